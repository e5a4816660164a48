/* SPDX-License-Identifier: Apache-2.0 */

/* The provider for machines that no cloud stops: logind switches off, suspends or hibernates the machine on which this
 * runs. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <systemd/sd-id128.h>

#include <snooze/plugin.h>

#include "base/clock.h"
#include "config.h"
#include "logind.h"
#include "cloud/info.h"
#include "cloud/machine.h"
#include "cloud/options.h"
#include "rtc.h"

/* Makes the machine id one that only CloudSnooze shows: machine-id(5) asks not to publish the id itself. */
#define APPLICATION_ID SD_ID128_MAKE(6e, 1f, 43, 29, b0, 5d, 4c, 0a, 92, 77, 5a, e1, 3d, 0c, 84, f6)

/* How long an accepted stop is reported as under way where logind has not begun to prepare yet. On boot time, so that
 * it is over after a sleep. */
#define ACCEPTED_FOR (10 * USEC_PER_SEC)

typedef struct Local {
        SnoozePluginInstance *instance;
        const char *root; /* "" */
        Machine machine;
        char id[SD_ID128_STRING_MAX];
        uint64_t accepted; /* boot time; 0: never */
} Local;

typedef struct Request {
        Local *local;
        SnoozePluginCall *call;
        PowerAction action;
        bool dry_run;
        uint64_t wake; /* wall clock µs; 0: when somebody switches it on */
        RtcAlarm alarm;
} Request;

static sd_bus *bus_of(Request *request) {
        return snooze_plugin_instance_get_bus(request->local->instance);
}

static Request *request_new(Local *local, SnoozePluginCall *call) {
        Request *request = calloc(1, sizeof(Request));

        if (request)
                *request = (Request) { .local = local, .call = call };
        return request;
}

/* Ends the request and its call. */
static int request_end(Request *request, int result) {
        snooze_plugin_call_finish(request->call, result);
        free(request);
        return 0;
}

/* What a question that could be asked leaves to its handler, and one that could not ends here. */
static int request_asked(Request *request, int r) {
        if (r < 0) {
                free(request);
                return r;
        }
        return SNOOZE_PLUGIN_LATER;
}

static bool no_logind(const sd_bus_error *error) {
        return sd_bus_error_has_names(error, SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER);
}

static bool no_answer(const sd_bus_error *error) {
        return sd_bus_error_has_names(error, SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_TIMEOUT);
}

static int fail_from_logind(Request *request, const sd_bus_error *error) {
        if (no_logind(error))
                return snooze_plugin_call_fail(
                        request->call, SNOOZE_PLUGIN_ERROR_REFUSED,
                        "logind is not on the system bus: nothing could switch this machine off");
        if (no_answer(error))
                return snooze_plugin_call_fail(request->call, SNOOZE_PLUGIN_ERROR_THROTTLED,
                                               "logind did not answer: %s", error->message);
        return snooze_plugin_call_fail(request->call, SNOOZE_PLUGIN_ERROR_REFUSED, "logind refused to %s: %s",
                                       power_action_words(request->action), error->message);
}

static int start(SnoozePluginInstance *instance, void *userdata) {
        const char *root = getenv("SNOOZE_LOCAL_ROOT") ?: ""; /* another machine's files, for tests */
        Local *local = userdata;
        sd_id128_t id;

        local->instance = instance;
        local->root = root;
        machine_detect(root, &local->machine);
        if (sd_id128_get_machine_app_specific(APPLICATION_ID, &id) >= 0)
                sd_id128_to_string(id, local->id);
        else
                snooze_plugin_log(LOG_NOTICE, "/etc/machine-id is missing: this machine has no instance id");
        return 0;
}

static const char *stop_effect(void *userdata) {
        const Local *local = userdata;

        /* Whether a cloud goes on billing for a machine that switched itself off, only its own provider knows. */
        return local->machine.cloud ? "unknown" : "saves-power";
}

/* Bare metal is somebody's own and may be far from a power button, a container is not ours to stop: both only by a
 * person's choice. */
static int detect(SnoozePluginCall *call, void *userdata) {
        const Local *local = userdata;

        return snooze_plugin_call_set_answer(call, local->machine.kind == MACHINE_VIRTUAL && !local->machine.cloud);
}

static int check_instance(Local *local, SnoozePluginCall *call, const char *instance_id) {
        if (!*instance_id || (local->id[0] && strcmp(instance_id, local->id) == 0))
                return 0;
        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_REFUSED,
                                       "%s is not this machine, and local knows no other", instance_id);
}

static void fill_info(Request *request, bool stopping) {
        Local *local = request->local;

        stopping = stopping || (local->accepted > 0 && clock_boottime() < local->accepted + ACCEPTED_FOR);
        cloud_info_tell_own(request->call, local->id, local->machine.product, stopping);
}

static int on_properties(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        bool preparing = false;

        /* Without logind nothing is preparing. */
        if (!sd_bus_message_is_method_error(m, NULL))
                (void) logind_read_preparing(m, &preparing);
        fill_info(userdata, preparing);
        return request_end(userdata, 0);
}

static int get_instance_info(SnoozePluginCall *call, const char *instance_id, void *userdata) {
        Request *request;
        int r;

        r = check_instance(userdata, call, instance_id);
        if (r < 0)
                return r;
        request = request_new(userdata, call);
        if (!request)
                return -ENOMEM;
        return request_asked(request, logind_properties(bus_of(request), on_properties, request));
}

static int on_performed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Request *request = userdata;

        /* Somebody was faster, or this is the second call: it stops, as it was asked to. */
        if (e && !sd_bus_error_has_name(e, "org.freedesktop.login1.OperationInProgress")) {
                rtc_restore(request->local->root, &request->alarm);
                return request_end(request, fail_from_logind(request, e));
        }
        request->local->accepted = clock_boottime();
        return request_end(request, 0);
}

static int fail_from_clock(Request *request, int error) {
        if (error == -ENOENT)
                return snooze_plugin_call_fail(request->call, SNOOZE_PLUGIN_ERROR_NOT_SUPPORTED,
                                               "wake: this machine has no clock that could wake it (" RTC_PATH ")");
        if (error == -ERANGE || error == -EINVAL)
                return snooze_plugin_call_fail(request->call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "wake: the clock cannot be set so far ahead");
        return snooze_plugin_call_fail(request->call, SNOOZE_PLUGIN_ERROR_REFUSED,
                                       "wake: " RTC_PATH "/wakealarm cannot be set: %s", strerror(-error));
}

/* The last step but one: a machine that was to come back and does not would be worse than one that stays on. */
static int perform(Request *request) {
        Local *local = request->local;
        int r = 0;

        if (request->wake > 0)
                r = request->dry_run ? rtc_check(local->root) : rtc_set(local->root, request->wake, &request->alarm);
        if (r < 0)
                return request_end(request, fail_from_clock(request, r));
        if (request->dry_run)
                return request_end(request, 0);
        r = logind_perform(bus_of(request), request->action, on_performed, request);
        if (r < 0)
                rtc_restore(local->root, &request->alarm);
        return r < 0 ? request_end(request, r) : 0;
}

static int on_can(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Request *request = userdata;
        const char *can;
        int r;

        if (e)
                return request_end(request, fail_from_logind(request, e));
        r = logind_read_can(m, &can);
        if (r < 0)
                return request_end(request, r);
        if (strcmp(can, "na") == 0)
                return request_end(request, snooze_plugin_call_fail(request->call, SNOOZE_PLUGIN_ERROR_NOT_SUPPORTED,
                                                                    "logind says that it cannot %s",
                                                                    power_action_words(request->action)));
        if (strcmp(can, "yes") != 0)
                return request_end(
                        request,
                        snooze_plugin_call_fail(request->call, SNOOZE_PLUGIN_ERROR_REFUSED,
                                                "logind does not let user snooze-local %s: it answers %s, polkit has "
                                                "to grant it %s",
                                                power_action_words(request->action), can,
                                                power_action_permission(request->action)));
        return perform(request);
}

static int on_inhibitors(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Request *request = userdata;
        char blocker[512];
        int r;

        if (e)
                return request_end(request, fail_from_logind(request, e));
        r = logind_read_blocker(m, request->action, blocker, sizeof(blocker));
        if (r < 0)
                return request_end(request, r);
        /* logind would say no itself, but not who stands in the way. */
        if (blocker[0])
                return request_end(request, snooze_plugin_call_fail(request->call, SNOOZE_PLUGIN_ERROR_HELD,
                                                                    "%s inhibits it", blocker));
        r = logind_can(bus_of(request), request->action, on_can, request);
        return r < 0 ? request_end(request, r) : 0;
}

static int read_options(SnoozePluginCall *call, const SnoozePluginDictionary *options, Request *request) {
        const unsigned all = CLOUD_ACTION_MASK(STOP_ACTION_STOP) | CLOUD_ACTION_MASK(STOP_ACTION_SUSPEND) |
                CLOUD_ACTION_MASK(STOP_ACTION_HIBERNATE);
        CloudOptions wanted;
        int r;

        r = cloud_options_read_stop(call, "", options, all | CLOUD_WAKES, &wanted);
        if (r < 0)
                return r;
        r = power_action_from_name(stop_action_names[wanted.action]);
        if (r < 0)
                return r;
        request->action = (PowerAction) r;
        request->dry_run = wanted.dry_run;
        request->wake = wanted.wake;
        return 0;
}

static int stop_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                         void *userdata) {
        Request wanted = { .local = userdata, .call = call }, *request;
        int r;

        r = check_instance(userdata, call, instance_id);
        if (r < 0)
                return r;
        r = read_options(call, options, &wanted);
        if (r < 0)
                return r;
        request = request_new(userdata, call);
        if (!request)
                return -ENOMEM;
        *request = wanted;
        return request_asked(request, logind_call(bus_of(request), "ListInhibitors", on_inhibitors, request));
}

/* One after the other. What the machine cannot do or may not do besides switching off is no missing permission: a stop
 * works without. */
static int on_can_checked(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Request *request = userdata;
        const char *can = NULL;
        char explanation[256];
        bool granted;
        int r;

        /* That says nothing about what it allows. */
        if (e && no_answer(e))
                return request_end(request, fail_from_logind(request, e));
        if (!e)
                (void) logind_read_can(m, &can);
        granted = can && strcmp(can, "yes") == 0;
        if (granted)
                snprintf(explanation, sizeof(explanation), "logind lets it %s", power_action_words(request->action));
        else if (e && no_logind(e))
                snprintf(explanation, sizeof(explanation), "logind is not on the system bus");
        else
                snprintf(explanation, sizeof(explanation), "logind does not let user snooze-local %s: it answers %s",
                         power_action_words(request->action), e ? e->message : can ?: "nothing of use");
        /* Under the name of the action it counts only where that is what a stop is to do. */
        snooze_plugin_call_add_permission(request->call,
                                          granted || request->action == POWER_OFF
                                                  ? power_action_permission(request->action)
                                                  : power_action_name(request->action),
                                          granted, explanation);

        request->action++;
        if (request->action == POWER_ACTION_COUNT) {
                if (rtc_check(request->local->root) >= 0)
                        snooze_plugin_call_add_permission(request->call, "rtc:wakealarm", true,
                                                          "wakes this machine at a time");
                return request_end(request, 0);
        }
        r = logind_can(bus_of(request), request->action, on_can_checked, request);
        return r < 0 ? request_end(request, r) : 0;
}

static int check_permissions(SnoozePluginCall *call, void *userdata) {
        Request *request = request_new(userdata, call);

        if (!request)
                return -ENOMEM;
        return request_asked(request, logind_can(bus_of(request), request->action, on_can_checked, request));
}

int main(int argc, char *argv[]) {
        static const SnoozePluginSetting settings[] = { { NULL } };
        Local local = { 0 };
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = "local",
                .version = PACKAGE_VERSION,
                .description = "Switches off, suspends or hibernates this machine through logind.",
                .userdata = &local,
                .settings = settings,
                .start = start,
                .provider_name = "This machine",
                .stop_effect = stop_effect,
                .detect = detect,
                .get_instance_info = get_instance_info,
                .stop_instance = stop_instance,
                .check_permissions = check_permissions,
        };

        return snooze_plugin_main(&plugin, argc, argv);
}
