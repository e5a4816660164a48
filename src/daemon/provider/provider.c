/* SPDX-License-Identifier: Apache-2.0 */

/* What the stop asks of the provider that was chosen: tags, to stop this machine, and how it is. */

#include <string.h>

#include "base/clock.h"
#include "base/errors.h"
#include "daemon/provider/provider.h"
#include "util/json.h"
#include "util/line.h"

#define LOCAL_PROVIDER "local" /* the machine itself: once logind has accepted there may be nobody left to ask */
#define VERIFY_ATTEMPTS 3U
#define VERIFY_PAUSE (2 * USEC_PER_SEC)

static void stop_end(Operation *operation, StopAnswer answer, const char *message) {
        ProviderStopped stopped = operation->stopped;
        void *userdata = operation->userdata;
        g_autofree char *words = g_strdup(message);

        operation_end(operation);
        stopped(answer, words, userdata);
}

gboolean instance_state_leaves(const char *state) {
        static const char *const states[] = { "stopping",    "stopped",     "shutting-down",
                                              "terminated",  "hibernating", "hibernated",
                                              "suspending",  "suspended",   "deallocating",
                                              "deallocated", NULL };

        return g_strv_contains(states, state);
}

static void verify(Operation *operation);

static int on_verify_again(sd_event_source *source, uint64_t usec, void *userdata) {
        Operation *operation = userdata;

        operation->timer = sd_event_source_disable_unref(operation->timer);
        verify(operation);
        return 0;
}

/* It accepted. Where it says that the machine still runs, its word is doubted a few times; where it says nothing any
 * more, it is believed, for it may be going down with the machine. */
static void on_verified(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Operation *operation = userdata;
        g_autoptr(JsonObject) info = NULL;
        g_autofree char *problem = NULL, *message = NULL;
        const char *state;

        if (!error)
                info = instance_info_read(reply, &problem);
        state = info ? json_get_string(info, "state", "") : "";
        if (!*state || instance_state_leaves(state)) {
                message = g_strdup_printf("%s accepted%s%s", provider_id(operation->provider), *state ? ": " : "",
                                          state);
                stop_end(operation, STOP_ACCEPTED, message);
                return;
        }
        if (operation->attempts < VERIFY_ATTEMPTS &&
            sd_event_add_time_relative(operation->provider->providers->parameters.event, &operation->timer,
                                       CLOCK_MONOTONIC, VERIFY_PAUSE, 0, on_verify_again, operation) >= 0)
                return;
        message = g_strdup_printf("%s accepted, and the machine is still %.*s", provider_id(operation->provider),
                                  line_cut(state, 64), state);
        stop_end(operation, STOP_RETRY, message);
}

static void verify(Operation *operation) {
        operation->attempts++;
        operation_call(operation, "GetInstanceInfo", TRUE, append_instance_id, on_verified);
}

/* What will be refused the next time, too. Everything else may pass: a network fault, throttling, a plugin that
 * died. */
static StopAnswer meaning_of(const sd_bus_error *error) {
        static const char *const names[] = { ERROR_REFUSED,       ERROR_ACCESS_DENIED,    ERROR_NOT_SUPPORTED,
                                             ERROR_INVALID_ARGUMENT, ERROR_UNSUPPORTED_API, ERROR_INTERACTION_REQUIRED,
                                             SD_BUS_ERROR_NOT_SUPPORTED, SD_BUS_ERROR_INVALID_ARGS, NULL };

        if (strcmp(error->name, ERROR_HELD) == 0)
                return STOP_HELD;
        return g_strv_contains(names, error->name) ? STOP_REFUSED : STOP_RETRY;
}

static void on_stopped(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Operation *operation = userdata;

        if (error)
                stop_end(operation, meaning_of(error), error->message ?: error->name);
        else if (g_str_equal(plugin_id(plugin), LOCAL_PROVIDER))
                stop_end(operation, STOP_ACCEPTED, "logind accepted");
        else
                verify(operation);
}

static int on_not_allowed(sd_event_source *source, void *userdata) {
        Operation *operation = userdata;

        stop_end(operation, STOP_REFUSED, operation->reason);
        return 0;
}

static void refuse_later(Operation *operation, char *message) {
        g_free(operation->reason);
        operation->reason = message;
        (void) sd_event_add_defer(operation->provider->providers->parameters.event, &operation->timer, on_not_allowed,
                                  operation);
}

void provider_stop(Provider *provider, const char *action, const char *reason, uint64_t wake, ProviderStopped done,
                   void *userdata) {
        Operation *operation = operation_new(provider);

        operation->stopped = done;
        operation->userdata = userdata;
        operation->options = json_object_new();
        json_object_set_string_member(operation->options, "action", action);
        json_object_set_string_member(operation->options, "reason", reason);
        if (wake > 0)
                json_object_set_int_member(operation->options, "wake", (gint64) wake);
        if (!stop_effect_allowed(provider->providers->config, provider->stop_effect)) {
                refuse_later(operation,
                             g_strdup_printf("%s has the StopEffect %s, which allow_stop_effects does not list",
                                             provider_id(provider), provider->stop_effect));
                return;
        }
        operation_call(operation, "StopInstance", FALSE, append_instance_and_options, on_stopped);
}

static void on_state(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Operation *operation = userdata;
        ProviderStateKnown state_known = operation->state_known;
        void *waiting = operation->userdata;
        g_autoptr(JsonObject) info = NULL;
        g_autofree char *problem = NULL;
        const char *state;

        operation_end(operation);
        if (!error)
                info = instance_info_read(reply, &problem);
        state = info ? json_get_string(info, "state", "") : "";
        if (*state)
                state_known(state, "", waiting);
        else
                state_known(NULL, error ? error->message : problem ?: "it tells no state", waiting);
}

void provider_query_state(Provider *provider, ProviderStateKnown done, void *userdata) {
        Operation *operation = operation_new(provider);

        operation->state_known = done;
        operation->userdata = userdata;
        operation_call(operation, "GetInstanceInfo", TRUE, append_instance_id, on_state);
}

void provider_end_calls(Provider *provider, void (*done)(void *userdata), void *userdata) {
        plugin_renew(provider->plugin, "may still do what a daemon before this one asked", done, userdata);
}

static void on_tags(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Operation *operation = userdata;
        ProviderTagged tagged = operation->tagged;
        void *waiting = operation->userdata;

        operation_end(operation);
        tagged(!error, error ? error->message ?: error->name : "", waiting);
}

void provider_set_tags(Provider *provider, JsonObject *tags, uint64_t patience, ProviderTagged done, void *userdata) {
        Operation *operation = operation_new(provider);

        operation->tagged = done;
        operation->userdata = userdata;
        operation->options = json_object_ref(tags);
        (void) plugin_call(provider->plugin, CLOUD_PROVIDER_INTERFACE, "SetTags",
                           MIN(patience, plugin_timeout(provider->plugin, TIMEOUT_PROVIDER)), FALSE, append_tags,
                           on_tags, operation);
}
