/* SPDX-License-Identifier: Apache-2.0 */

/* Tags of this machine, merged into those that it has: that needs a right on its tags alone, where writing the machine
 * itself could do anything to it. Bounds of learn.microsoft.com/azure/azure-resource-manager/management/tag-resources:
 * 50 tags, 512 characters a name, 256 a value, none of <>%&\?/ in a name (a colon is fine), and names that begin as
 * Azure's own are taken. */

#include <string.h>

#include "operation.h"
#include "util/json.h"
#include "vm.h"

#define TAGS_VERSION "2021-04-01"
#define TAGS_MAX 50U
#define NAME_MAX_LENGTH 512
#define VALUE_MAX_LENGTH 256
#define FORBIDDEN "<>%&\\?/"

static const char *const taken_prefixes[] = { "azure", "microsoft", "windows", NULL };

static void on_tagged(CloudJob *job, const CloudReply *reply) {
        g_autofree char *what = g_strdup_printf("tags of %s", vm_name(job));

        if (reply->ok)
                operation_follow(job, reply, "tags", NULL);
        else
                cloud_reply_fail(job, reply, what);
}

static void authenticated(CloudJob *job) {
        g_autofree char *path = api_path(job, "/providers/Microsoft.Resources/tags/default?api-version=" TAGS_VERSION);
        Extra *extra = job->extra;

        cloud_call(job, "PATCH", path, extra->body, on_tagged);
}

static int take_tag(SnoozePluginCall *call, const char *name, const char *value, void *userdata) {
        if (!value || !*name || g_utf8_strlen(name, -1) > NAME_MAX_LENGTH ||
            g_utf8_strlen(value, -1) > VALUE_MAX_LENGTH)
                return snooze_plugin_call_fail(
                        call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                        "tags: %.128s: Azure takes names of 1 to %d characters and values of at most %d", name,
                        NAME_MAX_LENGTH, VALUE_MAX_LENGTH);
        if (strpbrk(name, FORBIDDEN))
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "tags: %.128s: Azure takes no names with %s", name, FORBIDDEN);
        for (const char *const *prefix = taken_prefixes; *prefix; prefix++)
                if (g_ascii_strncasecmp(name, *prefix, strlen(*prefix)) == 0)
                        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                                       "tags: %.128s: names that begin with %s are Azure's own", name,
                                                       *prefix);
        json_object_set_string_member(userdata, name, value);
        return 0;
}

static char *body_of(JsonObject *tags) {
        g_autoptr(JsonObject) body = json_object_new();
        JsonObject *properties = json_object_new();

        json_object_set_string_member(body, "operation", "Merge");
        json_object_set_object_member(properties, "tags", json_object_ref(tags));
        json_object_set_object_member(body, "properties", properties);
        return json_object_text(body);
}

int azure_set_tags(SnoozePluginCall *call, const SnoozePluginDictionary *tags, void *userdata) {
        g_autoptr(JsonObject) pairs = json_object_new();
        int r = cloud_tags_read(call, tags, "Azure", TAGS_MAX, take_tag, pairs);
        CloudJob *job;

        if (r <= 0)
                return r;
        job = cloud_job_new(userdata, call, NULL);
        ((Extra *) job->extra)->body = body_of(pairs);
        cloud_job_authenticate(job, authenticated);
        return SNOOZE_PLUGIN_LATER;
}
