/* SPDX-License-Identifier: Apache-2.0 */

/* Tags of this machine. Bounds of docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html: 50 tags, 128 characters
 * a key, 256 a value, nothing that begins with "aws:". */

#include "api.h"

#define TAGS_MAX 50U
#define KEY_MAX 128
#define VALUE_MAX 256

static void on_tagged(CloudJob *job, const CloudReply *reply) {
        g_autofree char *what = g_strdup_printf("ec2:CreateTags on %s", job->instance_id);

        if (reply->root)
                cloud_job_end(job, 0);
        else
                cloud_reply_fail(job, reply, what);
}

static void authenticated(CloudJob *job) {
        Extra *extra = job->extra;

        g_ptr_array_add(extra->tags, g_strdup("ResourceId.1"));
        g_ptr_array_add(extra->tags, g_strdup(job->instance_id));
        g_ptr_array_add(extra->tags, NULL);
        api_call(job, "ec2", "CreateTags", (const char *const *) extra->tags->pdata, on_tagged);
}

static int take_tag(SnoozePluginCall *call, const char *key, const char *value, void *userdata) {
        GPtrArray *parameters = userdata;
        unsigned n = parameters->len / 4 + 1;

        if (!value || g_utf8_strlen(key, -1) > KEY_MAX || g_utf8_strlen(value, -1) > VALUE_MAX || !*key)
                return snooze_plugin_call_fail(
                        call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                        "tags: %s: AWS takes keys of 1 to %d characters and values of at most %d", key, KEY_MAX,
                        VALUE_MAX);
        if (g_ascii_strncasecmp(key, "aws:", 4) == 0)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "tags: %s: aws: is AWS's own prefix", key);
        g_ptr_array_add(parameters, g_strdup_printf("Tag.%u.Key", n));
        g_ptr_array_add(parameters, g_strdup(key));
        g_ptr_array_add(parameters, g_strdup_printf("Tag.%u.Value", n));
        g_ptr_array_add(parameters, g_strdup(value));
        return 0;
}

int aws_set_tags(SnoozePluginCall *call, const SnoozePluginDictionary *tags, void *userdata) {
        g_autoptr(GPtrArray) parameters = g_ptr_array_new_with_free_func(g_free);
        int r = cloud_tags_read(call, tags, "AWS", TAGS_MAX, take_tag, parameters);
        CloudJob *job;

        if (r <= 0)
                return r;
        job = cloud_job_new(userdata, call, NULL);
        ((Extra *) job->extra)->tags = g_steal_pointer(&parameters);
        cloud_job_authenticate(job, authenticated);
        return SNOOZE_PLUGIN_LATER;
}
