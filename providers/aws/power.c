/* SPDX-License-Identifier: Apache-2.0 */

#include "power.h"

#include "base/cleanup.h"

#define LOGIND_NAME "org.freedesktop.login1"
#define LOGIND_PATH "/org/freedesktop/login1"
#define LOGIND_INTERFACE "org.freedesktop.login1.Manager"
#define POWER_OFF_PERMISSION "org.freedesktop.login1.power-off"
#define ONLY_STOPS "stop_method poweroff can only stop, not %s"

const char *power_stop_effect(const char *behavior) {
        if (!behavior)
                return "unknown";
        return g_str_equal(behavior, "stop") ? "stops-billing" : "terminates";
}

static int fail_from_logind(CloudJob *job, const sd_bus_error *error) {
        if (sd_bus_error_has_name(error, "org.freedesktop.login1.BlockedByInhibitorLock"))
                return snooze_plugin_call_fail(job->call, SNOOZE_PLUGIN_ERROR_HELD, "logind: %s", error->message);
        if (sd_bus_error_has_names(error, SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_TIMEOUT))
                return snooze_plugin_call_fail(job->call, SNOOZE_PLUGIN_ERROR_THROTTLED, "logind did not answer: %s",
                                               error->message);
        return snooze_plugin_call_fail(job->call, SNOOZE_PLUGIN_ERROR_REFUSED, "logind refused to power off: %s",
                                       error->message);
}

static int on_powered_off(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *error = sd_bus_message_get_error(m);
        CloudJob *job = userdata;

        if (error && !sd_bus_error_has_name(error, "org.freedesktop.login1.OperationInProgress"))
                cloud_job_end(job, fail_from_logind(job, error));
        else
                cloud_job_end(job, 0);
        return 0;
}

/* can: logind's answer. NULL: it lets. Caller frees. */
static char *find_refusal(const char *can) {
        if (g_str_equal(can, "yes"))
                return NULL;
        return g_strdup_printf("logind does not let user snooze-aws power off: it answers %s, polkit has to grant it "
                               POWER_OFF_PERMISSION,
                               can);
}

/* The slot of the question before is the one that is being answered. */
static sd_bus_slot **slot_of(CloudJob *job) {
        Extra *extra = job->extra;

        extra->logind = sd_bus_slot_unref(extra->logind);
        return &extra->logind;
}

static void ask_logind(CloudJob *job, sd_bus_message_handler_t answered) {
        const Aws *aws = job->provider;
        int r = sd_bus_call_method_async(snooze_plugin_instance_get_bus(aws->cloud.instance), slot_of(job),
                                         LOGIND_NAME, LOGIND_PATH, LOGIND_INTERFACE, "CanPowerOff", answered, job,
                                         NULL);

        if (r < 0)
                cloud_job_end(job, r);
}

static int on_may(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *error = sd_bus_message_get_error(m);
        g_autofree char *refusal = NULL;
        const char *can = "no";
        CloudJob *job = userdata;
        const Aws *aws = job->provider;
        int r;

        if (error) {
                cloud_job_end(job, fail_from_logind(job, error));
                return 0;
        }
        (void) sd_bus_message_read(m, "s", &can);
        refusal = find_refusal(can);
        if (refusal) {
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_REFUSED, "%s", refusal);
                return 0;
        }
        if (job->options.dry_run) {
                cloud_job_end(job, 0);
                return 0;
        }
        r = sd_bus_call_method_async(snooze_plugin_instance_get_bus(aws->cloud.instance), slot_of(job), LOGIND_NAME,
                                     LOGIND_PATH, LOGIND_INTERFACE, "PowerOff", on_powered_off, job, "b", 0);
        if (r < 0)
                cloud_job_end(job, r);
        return 0;
}

void power_off(CloudJob *job) {
        const Aws *aws = job->provider;

        if (job->options.action != STOP_ACTION_STOP) {
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_NOT_SUPPORTED, ONLY_STOPS,
                               stop_action_names[job->options.action]);
                return;
        }
        if (!cloud_setting(&aws->cloud, "shutdown_behavior")) {
                cloud_job_end(job,
                              snooze_plugin_call_fail(
                                      job->call, SNOOZE_PLUGIN_ERROR_REFUSED,
                                      "stop_method poweroff may terminate the instance: look at its shutdown behavior "
                                      "(InstanceInitiatedShutdownBehavior) and confirm it with shutdown_behavior"));
                return;
        }
        ask_logind(job, on_may);
}

static int on_checked(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *error = sd_bus_message_get_error(m);
        g_autofree char *refusal = NULL;
        const char *can = "no";
        CloudJob *job = userdata;

        if (sd_bus_error_has_names(error, SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_TIMEOUT)) {
                cloud_job_end(job, fail_from_logind(job, error));
                return 0;
        }
        if (!error)
                (void) sd_bus_message_read(m, "s", &can);
        refusal = error ? g_strdup_printf("logind: %s", error->message) : find_refusal(can);
        snooze_plugin_call_add_permission(job->call, POWER_OFF_PERMISSION, !refusal,
                                          refusal ?: "logind lets it power off this machine");
        for (unsigned i = 0; i < STOP_ACTION_COUNT; i++) {
                g_autofree char *text = g_strdup_printf(ONLY_STOPS, stop_action_names[i]);

                if (i != STOP_ACTION_STOP)
                        snooze_plugin_call_add_permission(job->call, stop_action_names[i], false, text);
        }
        cloud_job_end(job, 0);
        return 0;
}

void power_check(CloudJob *job) {
        ask_logind(job, on_checked);
}
