/* SPDX-License-Identifier: Apache-2.0 */

/* The states of a plugin, and what takes it from one to the next: deadlines, failures, restarts, the coming and going
 * of its name. plugin.h has the picture. */

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/journal.h"
#include "config.h"
#include "daemon/plugin/plugin.h"
#include "daemon/store/store.h"

static const char *const state_names[PLUGIN_STATE_COUNT] = {
        [PLUGIN_DISCOVERED] = "discovered", [PLUGIN_LOADING] = "loading", [PLUGIN_INITIALIZING] = "initializing",
        [PLUGIN_RUNNING] = "running",       [PLUGIN_DRAINING] = "draining", [PLUGIN_STOPPED] = "stopped",
        [PLUGIN_FAILED] = "failed",         [PLUGIN_QUARANTINED] = "quarantined",
};

#define TO(state) (1U << (state))

/* From each state: where it may go. */
static const unsigned transitions[PLUGIN_STATE_COUNT] = {
        [PLUGIN_DISCOVERED] = TO(PLUGIN_LOADING) | TO(PLUGIN_FAILED),
        [PLUGIN_LOADING] = TO(PLUGIN_INITIALIZING) | TO(PLUGIN_FAILED) | TO(PLUGIN_QUARANTINED) | TO(PLUGIN_STOPPED),
        [PLUGIN_INITIALIZING] = TO(PLUGIN_RUNNING) | TO(PLUGIN_DRAINING) | TO(PLUGIN_FAILED) |
                TO(PLUGIN_QUARANTINED) | TO(PLUGIN_STOPPED),
        [PLUGIN_RUNNING] = TO(PLUGIN_DRAINING) | TO(PLUGIN_FAILED) | TO(PLUGIN_QUARANTINED) | TO(PLUGIN_STOPPED),
        [PLUGIN_DRAINING] = TO(PLUGIN_STOPPED) | TO(PLUGIN_FAILED) | TO(PLUGIN_QUARANTINED),
        [PLUGIN_STOPPED] = TO(PLUGIN_LOADING) | TO(PLUGIN_DISCOVERED) | TO(PLUGIN_FAILED),
        [PLUGIN_FAILED] = TO(PLUGIN_LOADING) | TO(PLUGIN_STOPPED) | TO(PLUGIN_DISCOVERED),
        [PLUGIN_QUARANTINED] = TO(PLUGIN_LOADING) | TO(PLUGIN_STOPPED) | TO(PLUGIN_DISCOVERED) | TO(PLUGIN_FAILED),
};

const char *plugin_state_name(PluginState state) {
        return state_names[state];
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata);

gboolean plugin_under_way(const Plugin *plugin) {
        return plugin->process && !g_queue_is_empty(&plugin->process->in_flight);
}

static uint64_t state_deadline(const Plugin *plugin) {
        switch (plugin->state) {
        case PLUGIN_LOADING:
                return plugin_timeout(plugin, TIMEOUT_START);
        case PLUGIN_INITIALIZING:
                return plugin_timeout(plugin, TIMEOUT_INITIALIZE);
        case PLUGIN_DRAINING:
                return plugin_timeout(plugin, TIMEOUT_SHUTDOWN);
        default:
                return 0;
        }
}

void plugin_set_timer(Plugin *plugin, uint64_t usec) {
        plugin->timer = sd_event_source_disable_unref(plugin->timer);
        if (usec > 0)
                (void) sd_event_add_time_relative(plugin->plugins->parameters.event, &plugin->timer, CLOCK_MONOTONIC,
                                                  usec, 0, on_deadline, plugin);
}

gboolean plugin_set_state(Plugin *plugin, PluginState state, const char *reason) {
        PluginState previous = plugin->state;

        if (state == previous)
                return TRUE;
        if (!(transitions[previous] & TO(state))) {
                log_error("Plugin %s: no way from %s to %s (%s)", plugin->id, state_names[previous],
                          state_names[state], reason);
                return FALSE;
        }
        /* One on trial that goes unasked may have fallen: that shows in a moment. */
        if ((previous == PLUGIN_RUNNING && !(state == PLUGIN_DRAINING && swap_on_trial(plugin))) ||
            previous == PLUGIN_DRAINING)
                swap_abort(plugin, reason);
        if (previous == PLUGIN_QUARANTINED)
                plugin_quarantine_drop(plugin);
        plugin->state = state;
        plugin_set_timer(plugin, state_deadline(plugin));
        if (state == PLUGIN_RUNNING)
                dependencies_up(plugin);
        else {
                plugin->healthy = FALSE;
                plugin_keep_cancel(plugin);
        }

        plugin_bus_changed(plugin, "State", "Healthy", "LastError", "Restarts", NULL);
        plugin_bus_state_changed(plugin, previous, reason);
        plugin_settle_reached(plugin);
        plugin_tell_changed(plugin, previous, reason);
        dispatch_plugin_changed(plugin);
        /* What was found meanwhile may count now. */
        if ((plugin->stale || plugin->refused || plugin->next_manifest) && !plugin_active(plugin))
                watch_touch(plugin->plugins->watch, plugin->id);
        return TRUE;
}

/* Taken out of the plugin before its calls are: what they lead to must not be sent to it. */
static void drop_process(Plugin *plugin, const char *reason) {
        PluginProcess *process = g_steal_pointer(&plugin->process);

        plugin->owner_question = sd_bus_slot_unref(plugin->owner_question);
        for (size_t i = 0; i < G_N_ELEMENTS(plugin->owner_questions); i++)
                plugin->owner_questions[i] = sd_bus_slot_unref(plugin->owner_questions[i]);
        if (!process)
                return;
        plugin->dismissed = FALSE;
        plugin->leftover_question = sd_bus_slot_unref(plugin->leftover_question);
        process_calls_lost(process, reason);
        process_free(process);
}

void plugin_end_process(Plugin *plugin, const char *reason) {
        if (plugin->process)
                process_kill(plugin->process);
        drop_process(plugin, reason);
}

void plugin_manifest_taken(Plugin *plugin) {
        PluginState state = plugin->manifest ? PLUGIN_DISCOVERED : PLUGIN_FAILED;
        static const char reason[] = "its manifest changed";

        plugin_bus_manifest_changed(plugin);
        if (plugin->state == state)
                plugin_tell_changed(plugin, state, reason);
        else
                plugin_set_state(plugin, state, reason);
        /* Another state ended that wait. */
        if (plugin->begin_wanted && plugin->manifest && !plugin->timer)
                plugin_set_timer(plugin, STORE_PATIENCE);
        /* Of one that fell, what waits for its restart. */
        if (!plugin->manifest) {
                plugin->begin_wanted = FALSE;
                plugin_calls_fail(plugin, ERROR_NOT_RUNNING, plugin->last_error);
                plugin_settle_reached(plugin);
        } else if (!g_queue_is_empty(&plugin->calls))
                plugin_begin(plugin);
        plugin_make_known(plugin);
        plugin_foresee_later(plugin);
}

/* Before it is started again, by whomever: a source is by those who hear that it has stopped. */
static void take_next_manifest(Plugin *plugin) {
        g_autofree char *directory = NULL;

        if (!plugin->next_manifest) {
                /* What was there was taken back, or is there again: whatever is started now is that. */
                plugin->behind = FALSE;
                return;
        }
        /* It need not lie where the one before it does. */
        directory = plugin_directory_of(plugin->next_manifest);
        plugin_set_manifest(plugin, directory, g_steal_pointer(&plugin->next_manifest), NULL);
        plugin_manifest_taken(plugin);
}

/* It ran on by a plugin.json that is there no more, and does not run now: what is there is what counts. */
static void take_broken(Plugin *plugin) {
        g_autofree char *broken = g_steal_pointer(&plugin->broken_told), *directory = g_strdup(plugin->directory),
                        *reason = g_strdup_printf("%s is broken: %s", plugin->id, broken);

        g_clear_pointer(&plugin->next_manifest, manifest_free);
        plugin_set_manifest(plugin, directory, NULL, broken);
        plugin_manifest_taken(plugin);
        plugin_check_failed(plugin, reason);
}

void plugin_stopped(Plugin *plugin, const char *reason) {
        gboolean again;

        drop_process(plugin, reason);
        /* Who waits for its restart hears that it does not come. */
        if (!plugin_may_run(plugin))
                plugin->restart_wanted = FALSE;
        if (!plugin_set_state(plugin, PLUGIN_STOPPED, reason) || plugin->state != PLUGIN_STOPPED)
                return;
        if (!plugin_may_run(plugin)) {
                plugin_calls_fail(plugin, ERROR_NOT_RUNNING, reason);
                return;
        }
        take_next_manifest(plugin);
        again = plugin->restart_wanted || !g_queue_is_empty(&plugin->calls);
        plugin->restart_wanted = FALSE;
        if (again)
                plugin_begin(plugin);
}

/* One that was sent away without being known had the name for a moment, and was greeted, or in the way of the one that
 * was: nobody is to blame. Once. */
static gboolean was_stray(Plugin *plugin, const char *reason) {
        if (!plugin->stray || (plugin->state != PLUGIN_LOADING && plugin->state != PLUGIN_INITIALIZING))
                return FALSE;
        plugin->stray = FALSE;
        plugin->restart_wanted = TRUE;
        plugin_end_process(plugin, reason);
        plugin_stopped(plugin, reason);
        return TRUE;
}

/* It was asked to go, or to be, and does: how is no failure of it any more. */
static gboolean was_to_leave(Plugin *plugin, const char *reason) {
        const PluginProcess *process = plugin->process;

        if (!process ||
            !(plugin->dismissed || (plugin->state == PLUGIN_DRAINING && process->farewell != FAREWELL_NONE)))
                return FALSE;
        if ((process->farewell == FAREWELL_CALLS || process->farewell == FAREWELL_STATE) &&
            manifest_has_contract(process->manifest, "State")) {
                g_autofree char *message =
                        g_strdup_printf("was to leave and fell before it had given its state away: %s", reason);

                plugins_problem(plugin->plugins, plugin->id, message);
        }
        plugin_end_process(plugin, reason);
        plugin_stopped(plugin, reason);
        return TRUE;
}

void plugin_fail(Plugin *plugin, const char *format, ...) {
        gboolean was_up = plugin->state == PLUGIN_RUNNING || plugin->state == PLUGIN_DRAINING;
        g_autofree char *text = NULL, *reason = NULL;
        uint64_t now = clock_monotonic();
        unsigned recent;
        va_list ap;

        if (!plugin_active(plugin))
                return;
        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        reason = plugin_words(text);
        if (swap_roll_back(plugin, reason) || was_stray(plugin, reason) || was_to_leave(plugin, reason))
                return;

        plugin_end_process(plugin, reason);
        if (!was_up)
                plugin_calls_fail(plugin, ERROR_NOT_RUNNING, reason);
        plugin_set_error(plugin, reason);
        plugin_failures_remember(plugin, now);
        plugin_check_failed(plugin, reason);

        if (!plugin_may_run(plugin)) {
                plugin->restart_wanted = FALSE;
                plugin_calls_fail(plugin, ERROR_NOT_RUNNING, reason);
                plugin_set_state(plugin, PLUGIN_FAILED, reason);
                return;
        }
        recent = plugin_failures_recent(plugin, now);
        if (recent > plugin_failures_max(plugin)) {
                plugin_quarantine(plugin, reason);
                return;
        }
        if (plugin_set_state(plugin, PLUGIN_FAILED, reason) && plugin->state == PLUGIN_FAILED)
                /* A good start is no excuse for one that falls behind it again and again. */
                plugin_set_timer(plugin, plugin->restart_wanted
                                                 ? 1
                                                 : plugin_restart_delay(plugin->plugins->parameters.restart_delay,
                                                                        MAX(recent, plugin->failure_count)));
}

void plugin_refuse(Plugin *plugin, const char *reason) {
        gboolean known = plugin->state == PLUGIN_FAILED && g_str_equal(plugin->last_error, reason);

        plugin->restart_wanted = FALSE;
        plugin_calls_fail(plugin, ERROR_NOT_RUNNING, reason);
        if (known) {
                plugin_settle_reached(plugin);
                return;
        }
        plugin_set_error(plugin, reason);
        if (plugin->state != PLUGIN_FAILED && plugin_set_state(plugin, PLUGIN_LOADING, "asked for") &&
            plugin->state == PLUGIN_LOADING)
                plugin_set_state(plugin, PLUGIN_FAILED, reason);
        else
                plugin_settle_reached(plugin);
        plugin_bus_changed(plugin, "LastError", NULL);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        Plugin *plugin = userdata;

        /* It begins when its mark is there after all. */
        if (plugin->begin_wanted) {
                plugin->timer = sd_event_source_disable_unref(plugin->timer);
                plugin_refuse(plugin, "could not be enabled so far: the disk does not answer");
                return 0;
        }
        switch (plugin->state) {
        case PLUGIN_LOADING:
                /* Nothing was started yet. It waits for others, or for the helper, which has a deadline of its own. */
                if (plugin->process && plugin->process->provisioning) {
                        plugin_set_timer(plugin, state_deadline(plugin));
                        break;
                }
                plugin_fail(plugin, "did not appear on the bus within %g s",
                            (double) plugin_timeout(plugin, TIMEOUT_START) / USEC_PER_SEC);
                break;
        case PLUGIN_INITIALIZING:
                plugin_fail(plugin, "did not answer its greeting within %g s",
                            (double) plugin_timeout(plugin, TIMEOUT_INITIALIZE) / USEC_PER_SEC);
                break;
        case PLUGIN_DRAINING:
                if (farewell_goes_on(plugin))
                        break;
                if (plugin->process && plugin->process->farewell == FAREWELL_NONE && process_lives(plugin->process)) {
                        plugin_fail(plugin, "was leaving, did not end in time and was killed");
                        break;
                }
                plugin_end_process(plugin, "did not end in time and was killed");
                plugin_stopped(plugin, "did not end in time and was killed");
                break;
        case PLUGIN_FAILED:
                /* It may have to wait for what it needs: that has a deadline of its own. */
                plugin->timer = sd_event_source_disable_unref(plugin->timer);
                plugin->restarts++;
                plugin_begin(plugin);
                break;
        default:
                break;
        }
        return 0;
}

static gboolean is_gone(const Plugin *plugin, const char *owner) {
        for (size_t i = 0; i < G_N_ELEMENTS(plugin->gone); i++)
                if (g_strcmp0(plugin->gone[i], owner) == 0)
                        return TRUE;
        return FALSE;
}

static gboolean owner_lives(const Plugin *plugin) {
        return plugin->owner && !is_gone(plugin, plugin->owner) && !drain_has_name(plugin);
}

static int on_owner(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Plugin *plugin = userdata;
        const char *owner;

        if (plugin->state == PLUGIN_LOADING && !plugin->owner && !sd_bus_message_is_method_error(reply, NULL) &&
            sd_bus_message_read(reply, "s", &owner) >= 0)
                plugin_owner_changed(plugin, owner);
        return 0;
}

void plugin_ask_owner(Plugin *plugin) {
        plugin->owner_question = sd_bus_slot_unref(plugin->owner_question);
        (void) sd_bus_call_method_async(plugin->plugins->parameters.bus, &plugin->owner_question,
                                        "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                        "GetNameOwner", on_owner, plugin, "s", plugin->name);
}

static void on_started(PluginProcess *process) {
        if (owner_lives(process->plugin))
                process_greet(process, process->plugin->owner);
        else if (drain_has_name(process->plugin)) {
                if (!process_find(process, process_greet))
                        process_fail(process, "the bus takes no message");
        } else
                plugin_ask_owner(process->plugin); /* nobody: its name is about to come, or the deadline */
}

static gboolean on_identified(PluginProcess *process) {
        Plugin *plugin = process->plugin;

        if (!plugin_set_state(plugin, PLUGIN_INITIALIZING, "started") || plugin->process != process)
                return FALSE;
        /* What it needs to come up may be more than it may have. */
        if (!process->native)
                limits_watch_begin(plugin);
        return TRUE;
}

static void on_restored(PluginProcess *process, const char *problem, void *userdata) {
        Plugin *plugin = process->plugin;

        if (plugin->dismissed) {
                process_dismiss(process, "is sent away");
                return;
        }
        plugin->failure_count = 0;
        plugin->restart_wanted = FALSE;
        plugin->stray = FALSE;
        plugin_set_error(plugin, "");
        plugin->healthy = TRUE;
        process->last_heard = process->last_used = clock_monotonic();
        plugins_care(plugin->plugins);
        /* systemd may have come meanwhile. */
        if (!process->native && !plugin->watch)
                limits_watch_begin(plugin);
        origin_about_to_serve(plugin);
        if (!plugin_set_state(plugin, PLUGIN_RUNNING, "greeted and configured"))
                return;
        /* What was set while it was greeted comes before any question. */
        plugin_reconfigure(plugin);
        plugin_pump(plugin);
        if (plugin->process == process && plugin->state == PLUGIN_RUNNING)
                origin_serves(process);
}

/* Its state comes before any call. Each step of that has a deadline of its own. */
static void on_ready(PluginProcess *process) {
        if (process->plugin->dismissed) {
                process_dismiss(process, "is sent away");
                return;
        }
        plugin_set_timer(process->plugin, 0);
        state_restore(process, on_restored, NULL);
}

static void on_failed(PluginProcess *process, const char *reason) {
        plugin_fail(process->plugin, "%s", reason);
}

static void on_leaving(PluginProcess *process) {
        Plugin *plugin = process->plugin;

        if (plugin->state == PLUGIN_INITIALIZING)
                process_fail(process, "leaves while it is greeted");
        else if (plugin->state == PLUGIN_DRAINING || plugin_set_state(plugin, PLUGIN_DRAINING, "is leaving"))
                plugin_call_ended(plugin);
}

/* Of a process that is to serve, or does. */
static const ProcessHooks serving = { on_started, on_identified, on_ready, on_leaving, on_failed };

const ProcessHooks *plugin_serving_hooks(void) {
        return &serving;
}

void plugin_start_process(Plugin *plugin) {
        /* Somebody has had the bus start it, or systemd. */
        plugin->process->unsure = owner_lives(plugin);
        if (!process_start(plugin->process))
                plugin_fail(plugin, "could not be started: the bus takes no message");
}

/* Where the bus starts it, whoever asks for that: one that was started meanwhile is then the one that is looked at.
 * Not while another one ends there, or for one whose own slot has it. */
static void choose_slot(Plugin *plugin) {
        if (plugin->previous || plugin->by_slot || plugin->slot == PLUGIN_SLOT_A)
                return;
        plugin->slot = PLUGIN_SLOT_A;
        plugin_bus_changed(plugin, "Unit", NULL);
}

void plugin_begin(Plugin *plugin) {
        g_autofree char *problem = NULL;

        /* Whoever runs yet is sent away first. */
        if (plugin->dismissed && !plugin_active(plugin)) {
                plugin->restart_wanted |= plugin_may_run(plugin);
                return;
        }
        if (!plugin_active(plugin) && !plugin->behind && plugin->broken_told && !plugin->next_manifest)
                take_broken(plugin);
        if (!plugin_active(plugin) && (plugin->looked || !plugin->behind)) {
                take_next_manifest(plugin);
                upgrade_take_refused(plugin);
        }
        if (plugin_active(plugin) || !plugin->manifest || !plugin_may_run(plugin))
                return;
        if (plugin->mark_missing) {
                /* Who comes later does not keep the first one waiting. */
                if (!plugin->begin_wanted || !plugin->timer)
                        plugin_set_timer(plugin, STORE_PATIENCE);
                plugin->begin_wanted = TRUE;
                return;
        }
        if (!plugin->looked)
                origin_take(plugin);
        /* No start would change it, and nothing is started for it. What runs already is not to be refused. */
        problem = plugin->behind ? NULL : configuration_obstacle(plugin);
        plugin->misconfigured = problem != NULL;
        if (problem) {
                plugin_refuse(plugin, problem);
                return;
        }
        if (!plugin->behind && !dependencies_ready(plugin))
                return;
        plugin->restart_wanted = FALSE;
        if (!plugin_set_state(plugin, PLUGIN_LOADING, "asked for") || plugin->state != PLUGIN_LOADING)
                return;
        if (plugin->behind)
                dependencies_wake(plugin);
        choose_slot(plugin);
        plugin->process = process_new(plugin, plugin->slot, plugin->manifest, &serving);
        plugin->process->by_slot = plugin->by_slot || plugin->slot != PLUGIN_SLOT_A || drain_has_name(plugin);
        plugin->by_slot = FALSE;
        if (plugin->looked || plugin_is_native(plugin))
                plugin_start_process(plugin);
        else
                plugin_adopt(plugin);
}

gboolean plugin_awaited(const Plugin *plugin) {
        return !plugin_active(plugin) && (plugin->begin_wanted || dependencies_awaited(plugin));
}

void plugin_leave(Plugin *plugin, const char *reason) {
        swap_abort(plugin, reason);
        drain_end(plugin, reason);
        (void) plugin_dismiss(plugin);
        if (plugin_awaited(plugin)) {
                plugin->begin_wanted = FALSE;
                dependencies_call_off(plugin);
                plugin_set_state(plugin, PLUGIN_LOADING, "asked for");
        }
        switch (plugin->state) {
        case PLUGIN_RUNNING:
                if (plugin_set_state(plugin, PLUGIN_DRAINING, reason) && plugin->state == PLUGIN_DRAINING)
                        farewell_begin(plugin);
                break;
        case PLUGIN_LOADING:
        case PLUGIN_INITIALIZING:
                /* Nobody knows yet whether one runs that is to go, nor who it is, or what it knows. */
                if (plugin->process && plugin_adopting(plugin)) {
                        plugin->dismissed = TRUE;
                        plugin_calls_fail(plugin, ERROR_NOT_RUNNING, reason);
                        break;
                }
                plugin_end_process(plugin, reason);
                plugin_calls_fail(plugin, ERROR_NOT_RUNNING, reason);
                plugin_stopped(plugin, reason);
                break;
        case PLUGIN_DRAINING:
                /* By itself, or it fell: whichever it was, it is to go, and how it does is no failure any more. */
                if (plugin->process && plugin->process->unasked)
                        plugin_stopped(plugin, reason);
                else if (plugin->process && plugin->process->farewell == FAREWELL_NONE)
                        plugin->process->farewell = FAREWELL_SHUTDOWN;
                break;
        case PLUGIN_FAILED:
        case PLUGIN_QUARANTINED:
                if (!plugin->manifest)
                        break;
                plugin_calls_fail(plugin, ERROR_NOT_RUNNING, reason);
                plugin_stopped(plugin, reason);
                break;
        default:
                break;
        }
}

void plugin_restart(Plugin *plugin) {
        plugin_forget_failures(plugin);
        if (!plugin_active(plugin)) {
                drain_end_before(plugin, "is restarted");
                plugin->restart_wanted = plugin_dismiss(plugin);
                if (!plugin->restart_wanted)
                        plugin_begin(plugin);
                return;
        }
        plugin->restart_wanted = TRUE;
        plugin_leave(plugin, "is restarted");
}

void plugin_replace(Plugin *plugin, Manifest *manifest) {
        if (plugin_active(plugin)) {
                g_clear_pointer(&plugin->next_manifest, manifest_free);
                plugin->next_manifest = manifest;
                g_free(plugin->directory);
                plugin->directory = plugin_directory_of(manifest);
                plugin_restart(plugin);
        } else {
                g_autofree char *directory = plugin_directory_of(manifest);

                plugin_forget_failures(plugin);
                plugin_set_manifest(plugin, directory, manifest, NULL);
                plugin_manifest_taken(plugin);
                plugin_begin(plugin);
        }
}

void plugin_unit_ended(Plugin *plugin) {
        const char *problem;

        if (plugin->state != PLUGIN_DRAINING || !plugin->process || !plugin->process->unasked ||
            !limits_watch_ended(plugin->watch, &problem))
                return;
        if (problem)
                plugin_fail(plugin, "%s", problem);
        else
                plugin_stopped(plugin, "ended by itself, having nothing to do");
}

static void ended(Plugin *plugin);

static int on_end(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        PluginProcess *process = userdata;
        Plugin *plugin = process->plugin;

        process->end_source = sd_event_source_disable_unref(process->end_source);
        if (process == plugin->process && plugin->state == PLUGIN_DRAINING && !owner_lives(plugin))
                ended(plugin);
        return 0;
}

/* One that has given its name away may hang yet, with what it was asked last: the deadline is for the process. FALSE:
 * there is none to wait for. */
static gboolean wait_for_end(PluginProcess *process) {
        Plugin *plugin = process->plugin;

        if (process->end_source)
                return TRUE;
        if (!process_lives(process) ||
            sd_event_add_io(plugin->plugins->parameters.event, &process->end_source, process->pidfd, EPOLLIN, on_end,
                            process) < 0)
                return FALSE;
        process->idle = plugin->state == PLUGIN_RUNNING;
        return plugin->state == PLUGIN_DRAINING || plugin_set_state(plugin, PLUGIN_DRAINING, "is leaving");
}

/* Nothing is under way and its name is gone. The bus does not tell whether one gave that away or fell; a channel does,
 * and so does systemd, which may come to know of it before the bus or after. Where there is neither, it has left; but
 * one that is gone so soon after it took another's place was no better than that. */
static void ended(Plugin *plugin) {
        PluginProcess *process = plugin->process;
        g_autofree char *exhausted = NULL;

        if (process && wait_for_end(process))
                return;
        exhausted = process && process->farewell == FAREWELL_NONE ? limits_watch_exhausted(plugin->watch) : NULL;
        if (exhausted) {
                plugin_fail(plugin, "%s", exhausted);
                return;
        }
        if (process && process->farewell == FAREWELL_NONE && process->channel_state == CHANNEL_NONE &&
            !plugin->watch && swap_on_trial(plugin)) {
                plugin_fail(plugin, "ended by itself");
                return;
        }
        if (!process || process->farewell != FAREWELL_NONE || process->channel_state != CHANNEL_NONE ||
            !plugin->watch) {
                plugin_stopped(plugin, plugin->state == PLUGIN_RUNNING || (process && process->idle)
                                               ? "ended by itself, having nothing to do"
                                               : "ended");
                return;
        }
        process->unasked = TRUE;
        if (plugin->state == PLUGIN_DRAINING || plugin_set_state(plugin, PLUGIN_DRAINING, "is leaving"))
                plugin_unit_ended(plugin);
}

/* A channel that is closed by us is what a plugin that leaves waits for. */
void plugin_call_ended(Plugin *plugin) {
        swap_call_ended(plugin);
        plugin_pump(plugin);
        if (plugin->state != PLUGIN_DRAINING || plugin_under_way(plugin))
                return;
        if (plugin->process && plugin->process->farewell == FAREWELL_CALLS)
                farewell_save(plugin->process);
        if (plugin->process && plugin->process->farewell == FAREWELL_STATE)
                return;
        if (plugin->process)
                process_close_channel(plugin->process);
        if (!owner_lives(plugin))
                ended(plugin);
}

/* The name went first, be it that it left politely or that it fell. Who had not been asked anything by then but
 * whether it lives, or for its channel, has left. */
void plugin_process_gone(PluginProcess *process, const char *member, gboolean control) {
        Plugin *plugin = process->plugin;

        if (control && process == plugin->process && plugin->state == PLUGIN_DRAINING && !owner_lives(plugin))
                ended(plugin);
        else
                process_fail(process, "ended while it was asked %s", member);
}

/* If it was not the one that was started, that one is to be started now. */
static void ended_at_start(Plugin *plugin) {
        if (!plugin->stray) {
                plugin_fail(plugin, "ended right after its start");
                return;
        }
        plugin->stray = FALSE;
        plugin->process->identity = identity_cancel(plugin->process->identity);
        plugin_start_process(plugin);
}

/* A bus without systemd starts nobody whose name has an owner yet. */
static void start_again(Plugin *plugin) {
        plugin->process->started = FALSE;
        plugin_start_process(plugin);
}

/* Its name has gone. What is under way may still be answered: a plugin that leaves politely releases its name first.
 */
static void name_gone(Plugin *plugin, gboolean lived) {
        switch (plugin->state) {
        case PLUGIN_LOADING:
                if (plugin->process && plugin->process->identity)
                        ended_at_start(plugin);
                else if (plugin->process && plugin->process->peer)
                        plugin_fail(plugin, "ended right after its start");
                else if (plugin->process && plugin->process->started && !lived)
                        start_again(plugin);
                break;
        case PLUGIN_INITIALIZING:
                plugin_fail(plugin, "ended while it was greeted");
                break;
        case PLUGIN_RUNNING:
                /* Where there is a channel it tells one that leaves from one that fell. */
                if (plugin_under_way(plugin) || plugin->process->channel)
                        plugin_set_state(plugin, PLUGIN_DRAINING, "is leaving");
                else
                        ended(plugin);
                break;
        case PLUGIN_DRAINING:
                if (!plugin_under_way(plugin))
                        ended(plugin);
                break;
        default:
                break;
        }
}

/* One that was killed while it waited for the name, or was not known well enough to be killed, has it for a while if
 * the one before it goes. */
static gboolean goes_to_a_stray(const Plugin *plugin, const char *owner) {
        const PluginProcess *process = plugin->process;

        return process && process->peer && strcmp(process->peer, owner) != 0 &&
               (is_gone(plugin, owner) || plugin->state == PLUGIN_DRAINING);
}

/* Anybody may have it started at any time. Before it is known whether it may run, or which of two is to serve, nobody
 * is asked anything: whoever has the name then is greeted then. */
static gboolean may_be_greeted(const Plugin *plugin) {
        return plugin->looked && !plugin->process->provisioning && !plugin->process->limiting;
}

void plugin_owner_changed(Plugin *plugin, const char *owner) {
        gboolean had = plugin->owner != NULL, lived = owner_lives(plugin);

        if (goes_to_a_stray(plugin, owner))
                owner = "";
        g_free(plugin->owner);
        plugin->owner = *owner ? g_strdup(owner) : NULL;
        swap_call_ended(plugin);
        if (!plugin->owner) {
                if (had)
                        name_gone(plugin, lived);
                return;
        }
        if (!plugin->process)
                return;
        if (had && plugin->process->peer && strcmp(plugin->process->peer, owner) != 0)
                plugin_fail(plugin, "lost its name to another process");
        else if (plugin->state == PLUGIN_LOADING && owner_lives(plugin) && may_be_greeted(plugin))
                process_greet(plugin->process, owner);
}

/* Not a failure: it may be alive and well, and slow. */
void process_overdue(PluginProcess *process, const char *reason) {
        Plugin *plugin = process->plugin;

        if (process != plugin->process) {
                process_fail(process, "%s", reason);
                return;
        }
        plugin->restart_wanted |= plugin->state == PLUGIN_RUNNING;
        plugin->restarts++;
        plugin_end_process(plugin, reason);
        plugin_stopped(plugin, reason);
}

void plugin_renew(Plugin *plugin, const char *reason, void (*done)(void *userdata), void *userdata) {
        PluginProcess *process = plugin->process;

        if (!process || process->native) {
                plugins_defer(plugin->plugins, done, NULL, userdata);
                return;
        }
        process_end_then(process, done, NULL, userdata);
        process_overdue(process, reason);
}
