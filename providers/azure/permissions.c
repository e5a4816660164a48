/* SPDX-License-Identifier: Apache-2.0 */

/* CheckPermissions. Azure has no dry runs, but lists the actions that roles grant on a resource; deny assignments,
 * policies and locks do not show there. What only adds to a stop is listed where it is granted; its lack keeps no stop
 * from working. What the machine cannot be made to do is listed under the name of that action. */

#include "permissions.h"

#include "resource.h"
#include "vm.h"

#define PERMISSIONS_VERSION "2022-04-01"
#define PAGES_MAX 32U

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

static void on_page(CloudJob *job, const CloudReply *reply) {
        Extra *extra = job->extra;
        const char *next;

        if (!parse_is_permissions(reply->object, &next)) {
                extra->permitted(job, reply);
                return;
        }
        for (Right right = 0; right < RIGHT_COUNT; right++) {
                g_autofree char *name = right_name(job, right);

                if (parse_grants(reply->object, name))
                        extra->granted |= 1U << right;
        }
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

static void tell_obstacle(CloudJob *job, StopAction action, const char *obstacle) {
        if (obstacle)
                snooze_plugin_call_add_permission(job->call, stop_action_names[action], false, obstacle);
}

/* Permitted is not all: what StopInstance would find wrong with the machine is told before anybody is warned of a
 * stop. */
static void on_described(CloudJob *job, const CloudReply *reply) {
        g_autofree char *what = g_strdup_printf("read %s", vm_name(job)),
                        *no_hibernation = vm_no_hibernation(job, vm_of(reply)),
                        *no_deallocation = vm_no_deallocation(job, vm_of(reply));

        if (!vm_of(reply) && !api_is_denied(reply)) {
                cloud_reply_fail(job, reply, what);
                return;
        }
        tell_obstacle(job, STOP_ACTION_STOP, no_deallocation);
        tell_obstacle(job, STOP_ACTION_HIBERNATE, no_deallocation ?: no_hibernation);
        cloud_actions_tell(job->call, job->cloud->kind->actions);
        cloud_job_end(job, 0);
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
        vm_describe(job, on_described);
}

static void authenticated(CloudJob *job) {
        permissions_ask(job, tell);
}

int azure_check_permissions(SnoozePluginCall *call, void *userdata) {
        cloud_job_authenticate(cloud_job_new(userdata, call, NULL), authenticated);
        return SNOOZE_PLUGIN_LATER;
}
