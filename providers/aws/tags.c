/* SPDX-License-Identifier: Apache-2.0 */

/* Tags of this machine. Bounds of docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html: 50 tags, 128 characters a key, 256 a
 * value, nothing that begins with "aws:". */

#include "api.h"

#define TAGS_MAX 50U
#define KEY_MAX 128
#define VALUE_MAX 256

static void on_tagged(CloudJob *job, const ApiReply *reply) {
        g_autofree char *what = g_strdup_printf("ec2:CreateTags on %s", job->instance_id);

        if (reply->root)
                cloud_job_end(job, 0);
        else
                api_fail(job, reply, what);
}

static void authenticated(CloudJob *job) {
        Extra *extra = job->extra;

        extra->tags[1] = job->instance_id;
        api_call(job, "ec2", "CreateTags", (const char *const *) extra->tags, on_tagged);
}

static int check_tag(SnoozePluginCall *call, const char *key, const char *value) {
        if (!value || g_utf8_strlen(key, -1) > KEY_MAX || g_utf8_strlen(value, -1) > VALUE_MAX || !*key)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "tags: %s: AWS takes keys of 1 to %d characters and values of at most %d", key, KEY_MAX, VALUE_MAX);
        if (g_ascii_strncasecmp(key, "aws:", 4) == 0)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "tags: %s: aws: is AWS's own prefix", key);
        return 0;
}

int aws_set_tags(SnoozePluginCall *call, const SnoozePluginDictionary *tags, void *userdata) {
        g_autoptr(GPtrArray) parameters = g_ptr_array_new_with_free_func(g_free);
        const char *key;
        unsigned n = 0;
        CloudJob *job;
        int r;

        g_ptr_array_add(parameters, g_strdup("ResourceId.1"));
        g_ptr_array_add(parameters, NULL); /* the instance, when it is known */
        for (; (key = snooze_plugin_dictionary_get_key(tags, n)); n++) {
                const char *value = snooze_plugin_dictionary_get_string(tags, key, NULL);

                r = check_tag(call, key, value);
                if (r < 0)
                        return r;
                g_ptr_array_add(parameters, g_strdup_printf("Tag.%u.Key", n + 1));
                g_ptr_array_add(parameters, g_strdup(key));
                g_ptr_array_add(parameters, g_strdup_printf("Tag.%u.Value", n + 1));
                g_ptr_array_add(parameters, g_strdup(value));
        }
        if (n > TAGS_MAX)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "tags: %u, AWS takes at most %u", n, TAGS_MAX);
        if (n == 0)
                return 0;
        g_ptr_array_add(parameters, NULL);
        job = aws_job_new(userdata, call, NULL);
        ((Extra *) job->extra)->tags = (char **) g_ptr_array_free(g_steal_pointer(&parameters), FALSE);
        cloud_job_authenticate(job, authenticated);
        return SNOOZE_PLUGIN_LATER;
}
