/* SPDX-License-Identifier: Apache-2.0 */

/* CheckPermissions. Azure has no dry runs, but lists the actions that roles grant on a resource; deny assignments,
 * policies and locks do not show there. What only adds to a stop is listed where it is granted; its lack keeps no stop
 * from working. */

#include "permissions.h"

#include "document.h"
#include "resource.h"
#include "vm.h"

#define PERMISSIONS_VERSION "2022-04-01"
#define PAGES_MAX 32U
#define ENTRIES_MAX 1024U

static const struct {
        const char *provider; /* NULL: that of the machine */
        const char *action;
        bool required;
        const char *gives;
} rights[] = {
        [RIGHT_DEALLOCATE] = { NULL, "deallocate/action", true, "stops this machine and its bill" },
        [RIGHT_READ] = { NULL, "read", false, "knows hibernation, state and tags" },
        [RIGHT_TAGS] = { "Microsoft.Resources/tags", "write", false, "marks a stop with tags" },
        [RIGHT_START] = { NULL, "start/action", false, "starts machines" },
};

char *right_name(const CloudJob *job, Right right) {
        return g_strdup_printf("%s/%s", rights[right].provider ?: resource_type(job->instance_id),
                               rights[right].action);
}

static bool is_listed(JsonArray *patterns, const char *action) {
        for (guint i = 0; patterns && i < json_array_get_length(patterns) && i < ENTRIES_MAX; i++) {
                JsonNode *pattern = json_array_get_element(patterns, i);

                if (json_node_get_value_type(pattern) == G_TYPE_STRING &&
                    action_matches(json_node_get_string(pattern), action))
                        return true;
        }
        return false;
}

/* Each entry is a role: what it takes away again, another one may grant. */
static void read_entry(CloudJob *job, JsonObject *entry) {
        Extra *extra = job->extra;

        for (Right right = 0; right < RIGHT_COUNT; right++) {
                g_autofree char *name = right_name(job, right);

                if (is_listed(document_array(entry, "actions"), name) &&
                    !is_listed(document_array(entry, "notActions"), name))
                        extra->granted |= 1U << right;
        }
}

static void on_page(CloudJob *job, const CloudReply *reply) {
        Extra *extra = job->extra;
        JsonArray *entries = document_array(reply->object, "value");
        const char *next = document_text(reply->object, "nextLink");

        if (!entries) {
                extra->permitted(job, reply);
                return;
        }
        for (guint i = 0; i < json_array_get_length(entries) && i < ENTRIES_MAX; i++)
                read_entry(job, document_element(entries, i));
        if (*next && ++extra->pages < PAGES_MAX)
                cloud_call(job, "GET", next, NULL, on_page);
        else
                extra->permitted(job, NULL);
}

void permissions_ask(CloudJob *job, PermissionsDone done) {
        g_autofree char *path =
                api_path(job, "/providers/Microsoft.Authorization/permissions?api-version=" PERMISSIONS_VERSION);
        Extra *extra = job->extra;

        extra->granted = extra->pages = 0;
        extra->permitted = done;
        cloud_call(job, "GET", path, NULL, on_page);
}

static void tell(CloudJob *job, const CloudReply *failure) {
        if (failure && !api_is_denied(failure)) {
                cloud_reply_fail(job, failure, "Microsoft.Authorization/permissions/read");
                return;
        }
        if (failure)
                snooze_plugin_call_add_permission(job->call, "Microsoft.Authorization/permissions/read", false,
                                                  failure->message);
        for (Right right = 0; !failure && right < RIGHT_COUNT; right++) {
                g_autofree char *name = right_name(job, right);
                bool granted = right_is_granted(job, right);

                if (granted || rights[right].required)
                        snooze_plugin_call_add_permission(job->call, name, granted,
                                                          granted ? rights[right].gives
                                                                  : "no role of the managed identity grants it here");
        }
        cloud_job_end(job, 0);
}

static void authenticated(CloudJob *job) {
        permissions_ask(job, tell);
}

int azure_check_permissions(SnoozePluginCall *call, void *userdata) {
        cloud_job_authenticate(cloud_job_new(userdata, call, NULL), authenticated);
        return SNOOZE_PLUGIN_LATER;
}
