/* SPDX-License-Identifier: Apache-2.0 */

/* What is known of an instance: by instances.get, or, for this one where the account may not ask, by the metadata
 * service alone. */

#include "instance.h"

#include <string.h>

#include "info.h"
#include "scopes.h"
#include "util/json.h"

/* Not the metadata, which has start-up scripts in it. */
#define FIELDS                                                                                                        \
        "id,name,zone,machineType,status,labels,labelFingerprint,creationTimestamp,lastStartTimestamp,scheduling,"    \
        "disks,guestAccelerators"

int instance_check_id(SnoozePluginCall *call, const char *instance_id) {
        if (parse_is_name(instance_id) || parse_is_path(instance_id))
                return 0;
        return snooze_plugin_call_fail(
                call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                "instance_id: expected a name, a number, or projects/PROJECT/zones/ZONE/instances/NAME, not \"%s\"",
                instance_id);
}

static char *path_of(const Identity *identity, const char *name) {
        return g_strdup_printf("projects/%s/zones/%s/instances/%s", identity->project, identity->zone, name);
}

bool instance_is_own(const CloudJob *job) {
        const Gcp *gcp = job->provider;
        g_autofree char *own = gcp->identity ? path_of(gcp->identity, gcp->identity->name) : NULL;

        return g_strcmp0(gcp_extra(job)->target, own) == 0;
}

static void identified(CloudJob *job) {
        const Gcp *gcp = job->provider;
        const Identity *identity = gcp->identity;
        Extra *extra = gcp_extra(job);

        g_free(extra->target);
        if (g_str_equal(job->instance_id, identity->id))
                extra->target = path_of(identity, identity->name);
        else
                extra->target = strchr(job->instance_id, '/') ? g_strdup(job->instance_id)
                                                              : path_of(identity, job->instance_id);
        extra->found(job);
}

void instance_find(CloudJob *job, CloudJobStep next) {
        gcp_extra(job)->found = next;
        cloud_job_identify(job, identified);
}

void instance_get(CloudJob *job, CloudCallDone done) {
        g_autofree char *path = g_strdup_printf("%s?fields=" FIELDS, gcp_extra(job)->target);

        api_call(job, path, NULL, done);
}

static void begin(CloudJob *job) {
        if (scopes_allow(job))
                instance_get(job, gcp_extra(job)->got);
}

static void begin_found(CloudJob *job) {
        cloud_job_authenticate(job, begin);
}

void instance_begin(CloudJob *job, CloudCallDone got) {
        gcp_extra(job)->got = got;
        instance_find(job, begin_found);
}

char *instance_mistaken(const CloudJob *job, JsonObject *instance) {
        const Gcp *gcp = job->provider;

        if (!gcp->identity || !instance_is_own(job) ||
            g_str_equal(json_get_string(instance, "id", ""), gcp->identity->id))
                return NULL;
        return g_strdup_printf("The API knows another instance by the name %s (%s)", last_part(gcp_extra(job)->target),
                               json_get_string(instance, "id", "without an id"));
}

static bool has_local_ssd(const CloudJob *job, JsonObject *instance) {
        const Gcp *gcp = job->provider;

        return instance ? instance_has_local_ssd(instance) : instance_is_own(job) && gcp->identity->local_ssd;
}

char *instance_obstacle(const CloudJob *job, StopAction action, JsonObject *instance, const char **ret_error_name) {
        JsonArray *accelerators = instance ? json_get_array(instance, "guestAccelerators") : NULL;
        const char *name = last_part(gcp_extra(job)->target);
        bool decided = !g_str_equal(cloud_setting(job->cloud, "local_ssd"), "refuse");

        if (action == STOP_ACTION_SUSPEND && accelerators && json_array_get_length(accelerators) > 0) {
                if (ret_error_name)
                        *ret_error_name = SNOOZE_PLUGIN_ERROR_NOT_SUPPORTED;
                return g_strdup_printf("%s has GPUs: Google suspends no such instance", name);
        }
        if (decided || !has_local_ssd(job, instance))
                return NULL;
        if (ret_error_name)
                *ret_error_name = SNOOZE_PLUGIN_ERROR_REFUSED;
        return g_strdup_printf("%s has local SSDs, whose content a %s loses: allow that with local_ssd \"discard\", "
                               "or have it kept, and paid for, with \"preserve\" (providers.gcp)",
                               name, stop_action_names[action]);
}

static void tell_of_metadata(CloudJob *job) {
        const Gcp *gcp = job->provider;

        info_tell_own(snooze_plugin_call_get_result(job->call), gcp->identity);
        cloud_job_end(job, 0);
}

static void on_got(CloudJob *job, const CloudReply *reply) {
        if (reply->object && *instance_status(reply->object)) {
                info_tell_instance(snooze_plugin_call_get_result(job->call), reply->object);
                cloud_job_end(job, 0);
        } else if (reply->object)
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_THROTTLED,
                               "compute.instances.get on %s: an answer without a status",
                               last_part(gcp_extra(job)->target));
        else if (api_is_denied(reply) && instance_is_own(job))
                cloud_job_identify(job, tell_of_metadata);
        else
                api_fail(job, reply, "get");
}

static void found(CloudJob *job) {
        instance_get(job, on_got);
}

int gcp_get_instance_info(SnoozePluginCall *call, const char *instance_id, void *userdata) {
        CloudJob *job;
        int r = cloud_job_new_for(userdata, call, instance_id, &job);

        if (r < 0)
                return r;
        /* Before there is any right, the machine's id is what the policy needs. */
        if (!*instance_id)
                job->without_credentials = tell_of_metadata;
        instance_find(job, found);
        return SNOOZE_PLUGIN_LATER;
}
