/* SPDX-License-Identifier: Apache-2.0 */

/* Tags of this machine are the metadata of its server. Bounds of nova/api/validation/parameter_types.py: keys of 1 to 255 letters, digits and
 * -_:. and space, values of at most 255 characters; how many there may be is a quota of the project's, and Nova says so. */

#include <string.h>

#include "api.h"
#include "util/json.h"

#define LENGTH_MAX 255
#define TAGS_MAX 128U

static void on_tagged(CloudJob *job, const ApiReply *reply) {
        g_autofree char *what = g_strdup_printf("metadata of %s", job->instance_id);

        if (reply->ok)
                cloud_job_end(job, 0);
        else
                api_fail(job, reply, what);
}

/* POST changes those that are named, and leaves the others. */
static void authenticated(CloudJob *job) {
        api_call(job, "/metadata", openstack_extra(job)->body, on_tagged);
}

static bool is_key(const char *key) {
        size_t length = strlen(key);

        return length > 0 && length <= LENGTH_MAX &&
                strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:. ") == length;
}

int openstack_set_tags(SnoozePluginCall *call, const SnoozePluginDictionary *tags, void *userdata) {
        g_autoptr(JsonObject) body = json_object_new();
        JsonObject *metadata = json_object_new();
        const char *key;
        unsigned n = 0;
        CloudJob *job;

        json_object_set_object_member(body, "metadata", metadata);
        for (; (key = snooze_plugin_dictionary_get_key(tags, n)); n++) {
                const char *value = snooze_plugin_dictionary_get_string(tags, key, NULL);

                if (!value || !is_key(key) || g_utf8_strlen(value, -1) > LENGTH_MAX)
                        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                                       "tags: %s: Nova takes keys of letters, digits and -_:. and space, and values of at most %d "
                                                       "characters",
                                                       key, LENGTH_MAX);
                json_object_set_string_member(metadata, key, value);
        }
        if (n > TAGS_MAX)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "tags: %u, expected at most %u", n, TAGS_MAX);
        if (n == 0)
                return 0;
        job = openstack_job_new(userdata, call, NULL);
        openstack_extra(job)->body = json_object_text(body);
        cloud_job_authenticate(job, authenticated);
        return SNOOZE_PLUGIN_LATER;
}
