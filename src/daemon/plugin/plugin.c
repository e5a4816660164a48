/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/plugin/plugin.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/journal.h"
#include "base/names.h"
#include "bus/dictionary.h"
#include "util/json.h"

static const char *const state_names[PLUGIN_STATE_COUNT] = {
        [PLUGIN_DISCOVERED] = "discovered", [PLUGIN_LOADING] = "loading", [PLUGIN_INITIALIZING] = "initializing",
        [PLUGIN_RUNNING] = "running",       [PLUGIN_DRAINING] = "draining", [PLUGIN_STOPPED] = "stopped",
        [PLUGIN_FAILED] = "failed",         [PLUGIN_QUARANTINED] = "quarantined",
};

#define TO(state) (1U << (state))

/* From each state: where it may go. */
static const unsigned transitions[PLUGIN_STATE_COUNT] = {
        [PLUGIN_DISCOVERED] = TO(PLUGIN_LOADING),
        [PLUGIN_LOADING] = TO(PLUGIN_INITIALIZING) | TO(PLUGIN_FAILED) | TO(PLUGIN_QUARANTINED) | TO(PLUGIN_STOPPED),
        [PLUGIN_INITIALIZING] = TO(PLUGIN_RUNNING) | TO(PLUGIN_FAILED) | TO(PLUGIN_QUARANTINED) | TO(PLUGIN_STOPPED),
        [PLUGIN_RUNNING] = TO(PLUGIN_DRAINING) | TO(PLUGIN_FAILED) | TO(PLUGIN_QUARANTINED) | TO(PLUGIN_STOPPED),
        [PLUGIN_DRAINING] = TO(PLUGIN_STOPPED) | TO(PLUGIN_FAILED) | TO(PLUGIN_QUARANTINED),
        [PLUGIN_STOPPED] = TO(PLUGIN_LOADING),
        [PLUGIN_FAILED] = TO(PLUGIN_LOADING) | TO(PLUGIN_STOPPED),
        [PLUGIN_QUARANTINED] = TO(PLUGIN_LOADING) | TO(PLUGIN_STOPPED),
};

const char *plugin_state_name(PluginState state) {
        return state_names[state];
}

const char *plugin_id(const Plugin *plugin) {
        return plugin->id;
}

const char *plugin_display_name(const Plugin *plugin) {
        return plugin->manifest ? plugin->manifest->display_name : plugin->id;
}

const char *plugin_object_path(const Plugin *plugin) {
        return plugin->path;
}

PluginState plugin_state(const Plugin *plugin) {
        return plugin->state;
}

gboolean plugin_enabled(const Plugin *plugin) {
        return plugin_may_run(plugin);
}

gboolean plugin_has_contract(const Plugin *plugin, const char *contract) {
        return plugin->manifest && manifest_has_contract(plugin->manifest, contract);
}

const Manifest *plugin_manifest(const Plugin *plugin) {
        return plugin->manifest;
}

const char *plugin_last_error(const Plugin *plugin) {
        return plugin->last_error;
}

gboolean plugin_may_run(const Plugin *plugin) {
        return plugin->enabled && plugin->plugins->config->plugins_enabled;
}

gboolean plugin_active(const Plugin *plugin) {
        return plugin->state == PLUGIN_LOADING || plugin->state == PLUGIN_INITIALIZING ||
                plugin->state == PLUGIN_RUNNING || plugin->state == PLUGIN_DRAINING;
}

static void set_error(Plugin *plugin, const char *message) {
        g_free(plugin->last_error);
        plugin->last_error = plugin_words(message);
}

void plugin_set_healthy(Plugin *plugin, gboolean healthy, const char *error) {
        gboolean changed = healthy != plugin->healthy;

        if (error && !g_str_equal(error, plugin->last_error)) {
                set_error(plugin, error);
                plugin_bus_changed(plugin, "LastError", NULL);
        }
        plugin->healthy = healthy;
        if (changed)
                plugin_bus_changed(plugin, "Healthy", NULL);
}

/* Who waits for Load and Unload. */

typedef struct Settler {
        Plugin *plugin;
        gboolean load;
        PluginSettled done;
        void *userdata;
        sd_bus_error error;
} Settler;

static void settler_free(void *data) {
        Settler *settler = data;

        sd_bus_error_free(&settler->error);
        g_free(settler);
}

static void settler_run(void *data) {
        Settler *settler = data;

        settler->done(settler->plugin, settler->error.name ? &settler->error : NULL, settler->userdata);
}

static void settle(Plugin *plugin, guint i, const char *error, const char *message) {
        Settler *settler = g_ptr_array_steal_index(plugin->settlers, i);

        if (error)
                sd_bus_error_set(&settler->error, error, message);
        plugins_defer(plugin->plugins, settler_run, settler_free, settler);
}

/* Tells those whose wait has come to an end by the state that was just entered. */
static void settle_reached(Plugin *plugin) {
        gboolean up = plugin->state == PLUGIN_RUNNING, down = !plugin_active(plugin);

        if (plugin->restart_wanted && !up)
                return;
        for (guint i = plugin->settlers->len; i-- > 0;) {
                const Settler *settler = g_ptr_array_index(plugin->settlers, i);

                if (settler->load ? up : down)
                        settle(plugin, i, NULL, NULL);
                else if (settler->load && down)
                        settle(plugin, i, ERROR_PLUGIN_FAILED, *plugin->last_error ? plugin->last_error : "It was stopped.");
        }
}

void plugin_settle_later(Plugin *plugin, gboolean load, PluginSettled done, void *userdata) {
        Settler *settler;

        if (!done)
                return;
        settler = g_new0(Settler, 1);
        settler->plugin = plugin;
        settler->load = load;
        settler->done = done;
        settler->userdata = userdata;
        g_ptr_array_add(plugin->settlers, settler);
}

/* Transitions. */

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata);

static uint64_t state_deadline(const Plugin *plugin) {
        switch (plugin->state) {
        case PLUGIN_LOADING:
                return plugin->manifest->timeouts[TIMEOUT_START];
        case PLUGIN_INITIALIZING:
                return plugin->manifest->timeouts[TIMEOUT_INITIALIZE];
        case PLUGIN_DRAINING:
                return plugin->manifest->timeouts[TIMEOUT_SHUTDOWN];
        default:
                return 0;
        }
}

static void set_timer(Plugin *plugin, uint64_t usec) {
        plugin->timer = sd_event_source_disable_unref(plugin->timer);
        if (usec > 0)
                (void) sd_event_add_time_relative(plugin->plugins->parameters.event, &plugin->timer, CLOCK_MONOTONIC,
                                                  usec, 0, on_deadline, plugin);
}

static gboolean set_state(Plugin *plugin, PluginState state, const char *reason) {
        PluginState previous = plugin->state;

        if (state == previous)
                return TRUE;
        if (!(transitions[previous] & TO(state))) {
                log_error("Plugin %s: no way from %s to %s (%s)", plugin->id, state_names[previous], state_names[state],
                          reason);
                return FALSE;
        }
        plugin->state = state;
        set_timer(plugin, state_deadline(plugin));
        if (state != PLUGIN_RUNNING)
                plugin->healthy = FALSE;

        plugin_bus_changed(plugin, "State", "Healthy", "LastError", "Restarts", NULL);
        plugin_bus_state_changed(plugin, previous, reason);
        settle_reached(plugin);
        if (plugin->plugins->parameters.changed)
                plugin->plugins->parameters.changed(plugin, previous, reason, plugin->plugins->parameters.userdata);
        return TRUE;
}

static void cancel_operations(Plugin *plugin) {
        plugin->start = start_cancel(plugin->start);
        plugin->identity = identity_cancel(plugin->identity);
        plugin->owner_question = sd_bus_slot_unref(plugin->owner_question);
        plugin->pinging = FALSE;
}

static void drop_process(Plugin *plugin) {
        g_clear_pointer(&plugin->peer, g_free);
        g_clear_pointer(&plugin->sent, json_object_unref);
        plugin->pid = 0;
        plugin->pidfd = safe_close(plugin->pidfd);
}

static void end_process(Plugin *plugin) {
        starter_kill(plugin->plugins->starter, plugin->unit, plugin->pidfd);
        drop_process(plugin);
}

/* It is gone and nobody is to blame. */
static void stopped(Plugin *plugin, const char *reason) {
        gboolean again;

        cancel_operations(plugin);
        drop_process(plugin);
        plugin_calls_lost(plugin, reason);
        if (!set_state(plugin, PLUGIN_STOPPED, reason) || plugin->state != PLUGIN_STOPPED)
                return;
        if (!plugin_may_run(plugin)) {
                plugin_calls_fail(plugin, ERROR_NOT_RUNNING, reason);
                return;
        }
        if (plugin->next_manifest)
                plugin_set_manifest(plugin, plugin->directory, g_steal_pointer(&plugin->next_manifest), NULL);
        again = plugin->restart_wanted || !g_queue_is_empty(&plugin->calls);
        plugin->restart_wanted = FALSE;
        if (again)
                plugin_begin(plugin);
}

/* Failures and restarts. */

static unsigned recent_failures(const Plugin *plugin, uint64_t now) {
        unsigned n = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(plugin->failures); i++)
                if (plugin->failures[i] > 0 && usec_sub(now, plugin->failures[i]) < RESTARTS_WINDOW)
                        n++;
        return n;
}

static void remember_failure(Plugin *plugin, uint64_t now) {
        memmove(plugin->failures + 1, plugin->failures, sizeof(plugin->failures) - sizeof(plugin->failures[0]));
        plugin->failures[0] = now;
        plugin->failure_count++;
}

static void forget_failures(Plugin *plugin) {
        memset(plugin->failures, 0, sizeof(plugin->failures));
        plugin->failure_count = 0;
}

/* Doubles each time, up to a minute, and a quarter more or less, so that plugins that fail together do not return together. */
static uint64_t restart_delay(const Plugin *plugin) {
        unsigned doublings = MIN(plugin->failure_count > 0 ? plugin->failure_count - 1 : 0, 16U);
        uint64_t first = plugin->plugins->parameters.restart_delay;
        uint64_t delay = MIN((first > 0 ? first : RESTART_DELAY_MIN) << doublings, RESTART_DELAY_MAX);

        return (uint64_t) ((double) delay * g_random_double_range(0.75, 1.25));
}

static void quarantine(Plugin *plugin, const char *reason) {
        g_autofree char *message = g_strdup_printf("failed %u times within 10 minutes, the last time: %s; it is not started "
                                                   "again until: sudo snooze plugin disable %s, then enable it",
                                                   RESTARTS_MAX + 1, reason, plugin->id);

        plugin->restart_wanted = FALSE;
        set_error(plugin, message);
        if (set_state(plugin, PLUGIN_QUARANTINED, plugin->last_error))
                plugins_problem(plugin->plugins, plugin->id, message);
        plugin_calls_fail(plugin, ERROR_NOT_RUNNING, message);
}

void plugin_fail(Plugin *plugin, const char *format, ...) {
        gboolean was_up = plugin->state == PLUGIN_RUNNING || plugin->state == PLUGIN_DRAINING;
        g_autofree char *text = NULL, *reason = NULL;
        uint64_t now = clock_monotonic();
        va_list ap;

        if (!plugin_active(plugin))
                return;
        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        reason = plugin_words(text);

        cancel_operations(plugin);
        end_process(plugin);
        plugin_calls_lost(plugin, reason);
        if (!was_up)
                plugin_calls_fail(plugin, ERROR_NOT_RUNNING, reason);
        set_error(plugin, reason);
        remember_failure(plugin, now);

        if (!plugin_may_run(plugin)) {
                plugin->restart_wanted = FALSE;
                plugin_calls_fail(plugin, ERROR_NOT_RUNNING, reason);
                set_state(plugin, PLUGIN_FAILED, reason);
                return;
        }
        if (recent_failures(plugin, now) > RESTARTS_MAX) {
                quarantine(plugin, reason);
                return;
        }
        if (set_state(plugin, PLUGIN_FAILED, reason) && plugin->state == PLUGIN_FAILED)
                set_timer(plugin, plugin->restart_wanted ? 1 : restart_delay(plugin));
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        Plugin *plugin = userdata;

        switch (plugin->state) {
        case PLUGIN_LOADING:
                plugin_fail(plugin, "did not appear on the bus within %g s",
                            (double) plugin->manifest->timeouts[TIMEOUT_START] / USEC_PER_SEC);
                break;
        case PLUGIN_INITIALIZING:
                plugin_fail(plugin, "did not answer its greeting within %g s",
                            (double) plugin->manifest->timeouts[TIMEOUT_INITIALIZE] / USEC_PER_SEC);
                break;
        case PLUGIN_DRAINING:
                end_process(plugin);
                stopped(plugin, "did not end in time and was killed");
                break;
        case PLUGIN_FAILED:
                plugin->restarts++;
                plugin_begin(plugin);
                break;
        default:
                break;
        }
        return 0;
}

/* Greeting. */

static int append_handshake(sd_bus_message *message, void *userdata) {
        return sd_bus_message_append(message, "us", PLUGIN_API_VERSION, PACKAGE_VERSION);
}

static int append_sent(sd_bus_message *message, void *userdata) {
        Plugin *plugin = userdata;
        g_auto(GStrv) hints = schema_hints(plugin->manifest->schema);

        return dictionary_append(message, plugin->sent, (const char *const *) hints);
}

static void on_initialized(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        if (plugin->state != PLUGIN_INITIALIZING)
                return;
        if (error) {
                plugin_fail(plugin, "refused its configuration: %s", error->message);
                return;
        }
        plugin->failure_count = 0;
        plugin->restart_wanted = FALSE;
        set_error(plugin, "");
        plugin->healthy = TRUE;
        if (set_state(plugin, PLUGIN_RUNNING, "greeted and configured") && plugin->state == PLUGIN_RUNNING)
                plugin_pump(plugin);
}

/* The contracts that it names must cover the manifest's; more are not used. */
static const char *missing_contract(const Plugin *plugin, JsonObject *info) {
        JsonArray *served = json_get_array(info, "contracts");

        for (char **contract = plugin->manifest->contracts; served && *contract; contract++) {
                gboolean found = FALSE;

                for (guint i = 0; i < json_array_get_length(served) && !found; i++) {
                        JsonNode *node = json_array_get_element(served, i);

                        found = JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING &&
                                g_str_equal(json_node_get_string(node), *contract);
                }
                if (!found)
                        return *contract;
        }
        return NULL;
}

static gboolean greeting_fits(Plugin *plugin, sd_bus_message *reply) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autoptr(JsonObject) info = NULL;
        const char *id, *missing;
        uint32_t api;

        if (sd_bus_message_read(reply, "u", &api) < 0 ||
            dictionary_read(reply, &dictionary_limits_default, &info, &error) < 0) {
                plugin_fail(plugin, "answered the greeting with rubbish: %s", error.message ?: "no dictionary");
                return FALSE;
        }
        if (api != PLUGIN_API_VERSION && (api == 0 || api != PLUGIN_API_VERSION - 1)) {
                plugin_fail(plugin, "speaks version %u of the plugin API, expected %u", api, PLUGIN_API_VERSION);
                return FALSE;
        }
        id = json_get_string(info, "id", plugin->id);
        if (!g_str_equal(id, plugin->id)) {
                plugin_fail(plugin, "says that it is %s, expected %s", id, plugin->id);
                return FALSE;
        }
        missing = missing_contract(plugin, info);
        if (missing) {
                plugin_fail(plugin, "does not serve the contract %s of its manifest", missing);
                return FALSE;
        }
        return TRUE;
}

static void on_handshake(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        g_autoptr(GError) e = NULL;
        g_autoptr(Settings) settings = NULL;

        if (plugin->state != PLUGIN_INITIALIZING)
                return;
        if (error) {
                plugin_fail(plugin, "refused the greeting: %s", error->message);
                return;
        }
        if (!greeting_fits(plugin, reply))
                return;
        settings = plugin_settings(plugin, &e);
        if (!settings) {
                plugin_fail(plugin, "is not configured well: %s", e->message);
                return;
        }
        g_clear_pointer(&plugin->sent, json_object_unref);
        plugin->sent = json_object_ref(settings->values);
        plugin_control(plugin, "Initialize", plugin->manifest->timeouts[TIMEOUT_INITIALIZE], append_sent, on_initialized,
                       plugin);
}

static void on_identity(const char *message, pid_t pid, void *userdata) {
        Plugin *plugin = userdata;

        plugin->identity = NULL;
        if (plugin->state != PLUGIN_LOADING)
                return;
        if (message) {
                plugin_fail(plugin, "is not who it should be: %s", message);
                return;
        }
        g_free(plugin->peer);
        plugin->peer = g_strdup(plugin->owner);
        plugin->pid = pid;
        plugin->pidfd = safe_close(plugin->pidfd);
        if (pid > 0)
                plugin->pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
        if (set_state(plugin, PLUGIN_INITIALIZING, "started") && plugin->state == PLUGIN_INITIALIZING)
                plugin_control(plugin, "Handshake", plugin->manifest->timeouts[TIMEOUT_INITIALIZE], append_handshake,
                               on_handshake, plugin);
}

/* The name has an owner: is it the plugin? */
static void greet(Plugin *plugin) {
        Plugins *plugins = plugin->plugins;

        if (plugin->identity)
                return;
        plugin->start = start_cancel(plugin->start);
        plugin->identity = identity_begin(plugins->parameters.bus, starter_systemd(plugins->starter), plugin->id,
                                          plugin->name, plugin->unit, plugin->owner, on_identity, plugin);
        if (!plugin->identity)
                plugin_fail(plugin, "the bus could not be asked who it is");
}

static int on_owner(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Plugin *plugin = userdata;
        const char *owner;

        if (plugin->state == PLUGIN_LOADING && !plugin->owner && !sd_bus_message_is_method_error(reply, NULL) &&
            sd_bus_message_read(reply, "s", &owner) >= 0)
                plugin_owner_changed(plugin, owner);
        return 0;
}

/* One that ran before the daemon did was never announced. */
static void ask_owner(Plugin *plugin) {
        plugin->owner_question = sd_bus_slot_unref(plugin->owner_question);
        (void) sd_bus_call_method_async(plugin->plugins->parameters.bus, &plugin->owner_question, "org.freedesktop.DBus",
                                        "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetNameOwner", on_owner,
                                        plugin, "s", plugin->name);
}

static void on_started(const char *message, void *userdata) {
        Plugin *plugin = userdata;

        plugin->start = NULL;
        if (plugin->state != PLUGIN_LOADING)
                return;
        if (message)
                plugin_fail(plugin, "%s", message);
        else if (plugin->owner)
                greet(plugin);
        else
                ask_owner(plugin); /* nobody: its name is about to come, or the deadline */
}

void plugin_begin(Plugin *plugin) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Settings) settings = NULL;

        if (plugin_active(plugin) || !plugin->manifest || !plugin_may_run(plugin))
                return;
        plugin->restart_wanted = FALSE;
        if (!set_state(plugin, PLUGIN_LOADING, "asked for") || plugin->state != PLUGIN_LOADING)
                return;
        if (!g_str_equal(plugin->manifest->runtime, "dbus")) {
                plugin_fail(plugin, "has the runtime %s, which this build does not serve", plugin->manifest->runtime);
                return;
        }
        settings = plugin_settings(plugin, &error);
        if (!settings) {
                plugin_fail(plugin, "is not configured well: %s", error->message);
                return;
        }
        plugin->start = starter_begin(plugin->plugins->starter, plugin->name, plugin->unit, plugin->failure_count > 0,
                                      on_started, plugin);
        if (!plugin->start)
                plugin_fail(plugin, "could not be started: the bus takes no message");
}

/* Leaving. */

static void on_shutdown(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        /* What counts is that its name goes; one that refuses has until the deadline. */
}

static void ask_to_leave(Plugin *plugin) {
        plugin_control(plugin, "Shutdown", plugin->manifest->timeouts[TIMEOUT_SHUTDOWN], NULL, on_shutdown, plugin);
}

void plugin_leave(Plugin *plugin, const char *reason) {
        switch (plugin->state) {
        case PLUGIN_RUNNING:
                if (set_state(plugin, PLUGIN_DRAINING, reason) && plugin->state == PLUGIN_DRAINING)
                        ask_to_leave(plugin);
                break;
        case PLUGIN_LOADING:
        case PLUGIN_INITIALIZING:
                end_process(plugin);
                plugin_calls_fail(plugin, ERROR_NOT_RUNNING, reason);
                stopped(plugin, reason);
                break;
        case PLUGIN_FAILED:
        case PLUGIN_QUARANTINED:
                if (plugin->manifest)
                        stopped(plugin, reason);
                break;
        default:
                break;
        }
}

void plugin_restart(Plugin *plugin) {
        forget_failures(plugin);
        if (!plugin_active(plugin)) {
                plugin_begin(plugin);
                return;
        }
        plugin->restart_wanted = TRUE;
        plugin_leave(plugin, "is restarted");
}

void plugin_upgrade(Plugin *plugin, Manifest *manifest) {
        if (plugin_active(plugin)) {
                g_clear_pointer(&plugin->next_manifest, manifest_free);
                plugin->next_manifest = manifest;
        } else
                plugin_set_manifest(plugin, plugin->directory, manifest, NULL);
        plugin_restart(plugin);
}

void plugin_call_ended(Plugin *plugin) {
        if (plugin->state == PLUGIN_DRAINING && !plugin->owner && !plugin->in_flight)
                stopped(plugin, "ended");
        else
                plugin_pump(plugin);
}

/* Its name has gone. What is under way may still be answered: a plugin that leaves politely releases its name first. */
static void name_gone(Plugin *plugin) {
        switch (plugin->state) {
        case PLUGIN_LOADING:
                if (plugin->identity)
                        plugin_fail(plugin, "ended right after its start");
                break;
        case PLUGIN_INITIALIZING:
                plugin_fail(plugin, "ended while it was greeted");
                break;
        case PLUGIN_RUNNING:
                if (!plugin->in_flight)
                        stopped(plugin, "ended by itself, having nothing to do");
                else
                        set_state(plugin, PLUGIN_DRAINING, "is leaving");
                break;
        case PLUGIN_DRAINING:
                if (!plugin->in_flight)
                        stopped(plugin, "ended");
                break;
        default:
                break;
        }
}

void plugin_owner_changed(Plugin *plugin, const char *owner) {
        gboolean had = plugin->owner != NULL;

        g_free(plugin->owner);
        plugin->owner = *owner ? g_strdup(owner) : NULL;
        if (!plugin->owner) {
                if (had)
                        name_gone(plugin);
                return;
        }
        if (had && plugin->peer && strcmp(plugin->peer, owner) != 0)
                plugin_fail(plugin, "lost its name to another process");
        else if (plugin->state == PLUGIN_LOADING)
                greet(plugin);
}

/* Health. */

static void on_ping(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        plugin->pinging = FALSE;
        if (plugin->state == PLUGIN_RUNNING && error && sd_bus_error_has_name(error, ERROR_TIMED_OUT))
                plugin_fail(plugin, "hangs: it answers nothing any more");
}

void plugin_suspect(Plugin *plugin) {
        if (plugin->state != PLUGIN_RUNNING || plugin->pinging)
                return;
        plugin->pinging = TRUE;
        plugin_control(plugin, "Ping", plugin->manifest->timeouts[TIMEOUT_CHECK], NULL, on_ping, plugin);
}

/* Configuration and enabling. */

static void on_configured(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        if (error) {
                g_autofree char *message = g_strdup_printf("refused its new configuration: %s", error->message);

                plugins_problem(plugin->plugins, plugin->id, message);
        }
}

static gboolean same_values(JsonObject *a, JsonObject *b) {
        g_autoptr(JsonNode) left = json_node_init_object(json_node_alloc(), a);
        g_autoptr(JsonNode) right = json_node_init_object(json_node_alloc(), b);

        return json_node_equal(left, right);
}

void plugin_reconfigure(Plugin *plugin) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Settings) settings = NULL;

        if (!plugin_may_run(plugin)) {
                if (plugin_active(plugin))
                        plugin_leave(plugin, "plugins are turned off");
                return;
        }
        if (!plugin->manifest || plugin->state != PLUGIN_RUNNING || !plugin->sent)
                return;
        settings = plugin_settings(plugin, &error);
        if (!settings) {
                plugins_problem(plugin->plugins, plugin->id, error->message);
                return;
        }
        if (same_values(settings->values, plugin->sent))
                return;
        json_object_unref(plugin->sent);
        plugin->sent = json_object_ref(settings->values);
        plugin_control(plugin, "Configure", plugin->manifest->timeouts[TIMEOUT_INITIALIZE], append_sent, on_configured,
                       plugin);
}

int plugin_set_enabled(Plugin *plugin, gboolean enabled) {
        Plugins *plugins = plugin->plugins;
        int r = enabled_write(plugins, plugin->id, enabled);

        if (r < 0 || plugin->enabled == enabled)
                return r;
        plugin->enabled = enabled;
        plugin_bus_changed(plugin, "Enabled", NULL);
        if (enabled)
                forget_failures(plugin);
        else
                plugin_leave(plugin, "was disabled");
        if (plugins->parameters.changed)
                plugins->parameters.changed(plugin, plugin->state, enabled ? "was enabled" : "was disabled",
                                            plugins->parameters.userdata);
        return 0;
}

void plugin_load(Plugin *plugin, PluginSettled done, void *userdata) {
        plugin_settle_later(plugin, TRUE, done, userdata);
        if (plugin->state == PLUGIN_RUNNING) {
                settle_reached(plugin);
                return;
        }
        if (!plugin->manifest || !plugin_may_run(plugin) || plugin->state == PLUGIN_QUARANTINED) {
                if (done)
                        settle(plugin, plugin->settlers->len - 1, ERROR_NOT_RUNNING,
                               plugin->manifest && !plugin_may_run(plugin) ? "It is not enabled." : plugin->last_error);
                return;
        }
        if (plugin->state == PLUGIN_DRAINING)
                plugin->restart_wanted = TRUE;
        else
                plugin_begin(plugin);
}

void plugin_unload(Plugin *plugin, PluginSettled done, void *userdata) {
        plugin_settle_later(plugin, FALSE, done, userdata);
        plugin->restart_wanted = FALSE;
        if (plugin_active(plugin) || plugin->state == PLUGIN_FAILED)
                plugin_leave(plugin, "was unloaded");
        if (!plugin_active(plugin))
                settle_reached(plugin);
}

/* Made and unmade. */

void plugin_set_manifest(Plugin *plugin, const char *directory, Manifest *manifest, const char *broken) {
        g_clear_pointer(&plugin->manifest, manifest_free);
        plugin->manifest = manifest;
        g_free(plugin->directory);
        plugin->directory = g_strdup(directory);
        plugin->official = manifest && manifest->official && strcmp(directory, PKGPLUGINDIR) == 0;
        set_error(plugin, broken ?: "");
        plugin->state = manifest ? PLUGIN_DISCOVERED : PLUGIN_FAILED;
}

Plugin *plugin_new(Plugins *plugins, const char *directory, const char *id, Manifest *manifest, const char *broken) {
        Plugin *plugin = g_new0(Plugin, 1);
        _cleanup_free_ char *path = NULL;

        plugin->plugins = plugins;
        plugin->id = g_strdup(id);
        plugin->name = g_strconcat(PLUGIN_NAME_PREFIX, id, NULL);
        plugin->unit = g_strdup_printf(PLUGIN_UNIT_PREFIX "%s.service", id);
        plugin->pidfd = -EBADF;
        if (sd_bus_path_encode(SNOOZE_PLUGIN_PATH, id, &path) >= 0)
                plugin->path = g_strdup(path);
        g_queue_init(&plugin->calls);
        plugin->settlers = g_ptr_array_new_with_free_func(settler_free);
        plugin_check_init(plugin);
        plugin_set_manifest(plugin, directory, manifest, broken);
        return plugin;
}

void plugin_free(Plugin *plugin) {
        if (!plugin)
                return;
        cancel_operations(plugin);
        drop_process(plugin);
        plugin->timer = sd_event_source_disable_unref(plugin->timer);
        plugin_calls_free(plugin);
        plugin_check_clear(plugin);
        g_ptr_array_unref(plugin->settlers);
        manifest_free(plugin->manifest);
        manifest_free(plugin->next_manifest);
        g_free(plugin->owner);
        g_free(plugin->last_error);
        g_free(plugin->id);
        g_free(plugin->name);
        g_free(plugin->path);
        g_free(plugin->unit);
        g_free(plugin->directory);
        g_free(plugin);
}
