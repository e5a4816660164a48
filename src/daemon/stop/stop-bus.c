/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/stop-actions.h"
#include "bus/dictionary.h"
#include "config.h"
#include "daemon/manager-bus.h"
#include "util/duration.h"

#define DELAY_MAX USEC_PER_DAY

static const char *const stop_options[] = { "force",   "b", "delay", "t", "action", "s",
                                            "dry-run", "b", "wake",  "t", NULL };

static int check_options(JsonObject *options, sd_bus_error *error) {
        const char *action = json_get_string(options, "action", "stop");
        gint64 delay = json_get_int(options, "delay", 0);

        if (!stop_action_known(action))
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT,
                                         "options.action is '%s', expected " STOP_ACTIONS_EXPECTED ".", action);
        if (delay < 0 || (uint64_t) delay > DELAY_MAX)
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT,
                                         "options.delay is %lld µs, expected at most a day.", (long long) delay);
        return provider_check_wake(options, usec_add(clock_realtime(), (uint64_t) delay), error);
}

static const Hold *find_inhibitor(const Manager *manager) {
        GPtrArray *holds = holds_list(manager->holds);

        for (guint i = 0; i < holds->len; i++) {
                const Hold *hold = g_ptr_array_index(holds, i);

                if (hold->kind == HOLD_LOGIND)
                        return hold;
        }
        return NULL;
}

/* Force ends every hold, but logind knows of none, only of its own inhibitors. */
static int refuse_held(const Manager *manager, sd_bus_error *error) {
        const Hold *block = holds_block(manager->holds), *held = block ? block : holds_timed(manager->holds);
        const Provider *provider = providers_active(manager->providers);
        const Hold *inhibitor = provider && provider_reaches_logind(provider) ? find_inhibitor(manager) : NULL;

        if (inhibitor)
                return sd_bus_error_setf(error, ERROR_HELD,
                                         "%s inhibits it at logind (%s), and only its owner can end that: %s may have "
                                         "to ask logind, which refuses what is inhibited, by force, too; "
                                         "systemd-inhibit --list",
                                         inhibitor->who, *inhibitor->why ? inhibitor->why : "no reason given",
                                         provider_id(provider));
        if (!held)
                return 0;
        return sd_bus_error_setf(error, ERROR_HELD,
                                 "%s holds this machine on (%s); stop it all the same: " SNOOZE_COMMAND
                                 " stop --force",
                                 held->who, *held->why ? held->why : "no reason given");
}

static int request_stop(Manager *manager, uid_t uid, const char *reason, JsonObject *options, sd_bus_error *error) {
        StopRequest request = {
                .delay = (uint64_t) json_get_int(options, "delay", 0),
                .force = json_get_boolean(options, "force", FALSE),
                .dry_run = json_get_boolean(options, "dry-run", FALSE) || stop_dry_run(manager->stop),
        };
        g_autofree char *user = user_name(uid), *full = *reason ? g_strdup_printf("%s: %s", user, reason)
                                                                : g_strdup_printf("%s wants it to stop", user);
        const char *problem = providers_problem(manager->providers, json_get_string(options, "action", NULL));
        int r = request.force ? 0 : refuse_held(manager, error);

        if (r < 0)
                return r;
        request.reason = full;
        if (!request.dry_run && problem)
                return sd_bus_error_set(
                        error, providers_active(manager->providers) ? ERROR_REFUSED : ERROR_NO_PROVIDER, problem);

        r = decision_request_stop(manager->decision, clock_monotonic(), &request);
        if (r == -EALREADY)
                return sd_bus_error_set(error, ERROR_BUSY,
                                        "A stop is under way already; " SNOOZE_COMMAND " status shows it.");
        if (r < 0)
                return r;
        /* What polkit was asked about and people are told, whatever the settings become meanwhile. */
        stop_set_wishes(manager->stop, json_get_string(options, "action", manager->config->stop_action),
                        (uint64_t) json_get_int(options, "wake", 0));
        manager_record_call(manager, uid, "StopInstance", reason);
        manager_step_soon(manager);
        return 0;
}

static int authorize_stop(Manager *manager, sd_bus_message *message, const char *reason, JsonObject *options,
                          sd_bus_error *error) {
        uint64_t delay = (uint64_t) json_get_int(options, "delay", 0);
        uint64_t wake_at = (uint64_t) json_get_int(options, "wake", 0);
        g_autofree char *span = delay > 0 ? duration_format(delay) : g_strdup("");
        /* With its date, whatever day it is: this runs again when polkit has answered. */
        g_autofree char *wake = wake_at > 0 ? moment_format(wake_at, 0, TRUE) : g_strdup("");
        const char *const details[] = { "action", json_get_string(options, "action", manager->config->stop_action),
                                        "force", json_get_boolean(options, "force", FALSE) ? "true" : "false",
                                        "dry-run", json_get_boolean(options, "dry-run", FALSE) ? "true" : "false",
                                        "delay", span,
                                        "wake", wake,
                                        "reason", reason,
                                        NULL };
        uid_t uid;
        int r;

        r = check_text("reason", reason, STOP_REASON_MAX, TRUE, error);
        if (r >= 0)
                r = check_options(options, error);
        if (r < 0)
                return r;
        r = manager_authorize_caller(manager, message, details, &uid, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = request_stop(manager, uid, reason, options, error);
        return r < 0 ? r : sd_bus_reply_method_return(message, NULL);
}

int method_stop_instance(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        g_autoptr(JsonObject) options = NULL;
        const char *reason;
        int r;

        r = sd_bus_message_read(message, "s", &reason);
        if (r >= 0)
                r = options_read(message, stop_options, &options, error);
        return r < 0 ? r : authorize_stop(userdata, message, reason, options, error);
}

int stop_this_machine(Provider *provider, sd_bus_message *message, const char *reason, JsonObject *options,
                      sd_bus_error *error, void *userdata) {
        Manager *manager = userdata;

        if (provider != providers_active(manager->providers))
                return sd_bus_error_setf(error, ERROR_REFUSED,
                                         "%s is not the provider of this machine; " SNOOZE_COMMAND " provider list",
                                         provider_id(provider));
        return authorize_stop(manager, message, reason, options, error);
}

int method_cancel_stop(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        g_autofree char *user = NULL, *full = NULL;
        const char *reason;
        uid_t uid;
        int r;

        r = sd_bus_message_read(message, "s", &reason);
        if (r < 0)
                return r;
        r = check_text("reason", reason, STOP_REASON_MAX, TRUE, error);
        if (r < 0)
                return r;
        r = manager_authorize_caller(manager, message, (const char *[]) { "reason", reason, NULL }, &uid, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = manager_refuse_too_late(manager, error);
        if (r >= 0)
                r = manager_take_turn(manager, uid, error);
        if (r < 0)
                return r;
        user = user_name(uid);
        full = *reason ? g_strdup_printf("%s cancelled: %s", user, reason) : g_strdup_printf("%s cancelled", user);
        r = decision_cancel(manager->decision, clock_monotonic(), full);
        if (r < 0)
                return r;
        if (manager->outcome.state == STATE_WARNING || manager->outcome.state == STATE_STOPPING) {
                g_free(manager->called_off);
                manager->called_off = g_steal_pointer(&full);
        }
        manager_record_call(manager, uid, "CancelStop", reason);
        manager_step_soon(manager);
        return sd_bus_reply_method_return(message, NULL);
}

/* The answer to Pause and Resume waits for the disk: both outlive a reboot. */
static void pause_kept(const GError *error, void *userdata) {
        sd_bus_message *call = userdata;

        if (error)
                (void) sd_bus_reply_method_errorf(call, ERROR_STORE, "It is so until the next boot only: %s",
                                                  error->message);
        else
                (void) sd_bus_reply_method_return(call, NULL);
        sd_bus_message_unref(call);
}

/* Who is told that nothing is decided believes that the machine stays on, and this was decided before. */
static int refuse_pause(Manager *manager, sd_bus_error *error) {
        int r = manager_refuse_too_late(manager, error);
        const char *reason = decision_stop_reason(manager->decision);

        if (r < 0 || !reason)
                return r;
        return sd_bus_error_setf(error, ERROR_BUSY,
                                 "A stop that somebody asked for is under way (%s), and a pause would not end it; end "
                                 "it first: " SNOOZE_COMMAND " cancel",
                                 reason);
}

static int set_pause(Manager *manager, sd_bus_message *message, gboolean pause, sd_bus_error *error) {
        uint64_t until = 0;
        uid_t uid;
        int r;

        r = manager_authorize_caller(manager, message, NULL, &uid, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = pause ? refuse_pause(manager, error) : 0;
        if (r < 0)
                return r;

        if (pause)
                until = usec_add(clock_boottime(),
                                 (uint64_t) (manager->config->pause_max_hours * (double) USEC_PER_HOUR));
        r = manager_set_pause(manager, until, pause_kept, sd_bus_message_ref(message));
        if (r < 0) {
                sd_bus_message_unref(message);
                return r;
        }
        manager_record_call(manager, uid, pause ? "Pause" : "Resume", "");
        return 1;
}

int method_pause(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return set_pause(userdata, message, TRUE, error);
}

int method_resume(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return set_pause(userdata, message, FALSE, error);
}
