/* SPDX-License-Identifier: Apache-2.0 */

/* Tags of this machine are the metadata of its server. Bounds of nova/api/validation/parameter_types.py: keys of 1 to
 * 255 letters, digits and
 * -_:. and space, values of at most 255 characters; how many there may be is a quota of the project's, and Nova says
 * so. */

#include "api.h"
#include "cloud/text.h"
#include "util/json.h"

#define LENGTH_MAX 255
#define TAGS_MAX 128U

static void on_tagged(CloudJob *job, const CloudReply *reply) {
        g_autofree char *what = g_strdup_printf("metadata of %s", job->instance_id);

        if (reply->ok)
                cloud_job_end(job, 0);
        else
                cloud_reply_fail(job, reply, what);
}

/* POST changes those that are named, and leaves the others. */
static void authenticated(CloudJob *job) {
        cloud_call(job, NULL, "/metadata", openstack_extra(job)->body, on_tagged);
}

static int take_tag(SnoozePluginCall *call, const char *key, const char *value, void *userdata) {
        if (!value || !text_consists_of(key, TEXT_LOWER TEXT_UPPER TEXT_DIGITS "-_:. ", LENGTH_MAX) ||
            g_utf8_strlen(value, -1) > LENGTH_MAX)
                return snooze_plugin_call_fail(
                        call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                        "tags: %s: Nova takes keys of letters, digits and -_:. and space, and values of at most %d "
                        "characters",
                        key, LENGTH_MAX);
        json_object_set_string_member(userdata, key, value);
        return 0;
}

int openstack_set_tags(SnoozePluginCall *call, const SnoozePluginDictionary *tags, void *userdata) {
        g_autoptr(JsonObject) body = json_object_new();
        JsonObject *metadata = json_object_new();
        CloudJob *job;
        int r;

        json_object_set_object_member(body, "metadata", metadata);
        r = cloud_tags_read(call, tags, "Nova", TAGS_MAX, take_tag, metadata);
        if (r <= 0)
                return r;
        job = cloud_job_new(userdata, call, NULL);
        openstack_extra(job)->body = json_object_text(body);
        cloud_job_authenticate(job, authenticated);
        return SNOOZE_PLUGIN_LATER;
}
