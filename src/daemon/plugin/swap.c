/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/plugin/swap.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/journal.h"
#include "base/names.h"
#include "daemon/plugin/plugin.h"
#include "daemon/store/store.h"

/* Calls that change the state and are under way are waited for: at first others still go in, then they are held back.
 */
#define QUIET_TIMEOUT (5 * USEC_PER_SEC)
#define HELD_TIMEOUT (5 * USEC_PER_SEC)
#define TRIAL_TIME (10 * USEC_PER_SEC)
/* What it needs and does not run. */
#define NEEDS_TIMEOUT (120 * USEC_PER_SEC)

typedef enum Step {
        STEP_NEEDS,
        STEP_START,
        STEP_GREETING,
        STEP_QUIET,
        STEP_HELD,
        STEP_EXPORT,
        STEP_IMPORT,
        STEP_SWITCH, /* of the link that names the version to run, where several are installed */
        STEP_TRIAL, /* the new one serves */
        STEP_COUNT,
} Step;

static const char *const step_names[STEP_COUNT] = {
        [STEP_NEEDS] = "starting what it needs",
        [STEP_START] = "starting it",
        [STEP_GREETING] = "greeting it",
        [STEP_QUIET] = "waiting for the calls under way",
        [STEP_HELD] = "waiting for the calls under way",
        [STEP_EXPORT] = "exporting the state",
        [STEP_IMPORT] = "importing the state",
        [STEP_SWITCH] = "switching to it",
        [STEP_TRIAL] = "its trial",
};

struct PluginSwap {
        Plugin *plugin;
        Step step;
        Manifest *other;  /* of the version that does not serve: until the switch the new one, then the old one */
        char *directory;  /* where that lies */
        PluginSlot slot;  /* in which that runs, or ran */
        const Plugin *needed; /* that is being started, before it is */
        sd_event_source *timer;
        sd_bus_slot *question;
        gboolean switching;        /* the plugin's VersionSwitch is ours */
        PluginSettled done;
        void *userdata;
};

typedef struct Answer {
        Plugin *plugin;
        PluginSettled done;
        void *userdata;
        sd_bus_error error;
} Answer;

static void answer_run(void *data) {
        Answer *answer = data;

        answer->done(answer->plugin, answer->error.name ? &answer->error : NULL, answer->userdata);
}

static void answer_free(void *data) {
        Answer *answer = data;

        sd_bus_error_free(&answer->error);
        g_free(answer);
}

static void answer_later(Plugin *plugin, PluginSettled done, void *userdata, const char *error, const char *message) {
        Answer *answer = g_new0(Answer, 1);

        *answer = (Answer) { .plugin = plugin, .done = done, .userdata = userdata };
        if (error)
                sd_bus_error_set(&answer->error, error, message);
        plugins_defer(plugin->plugins, answer_run, answer_free, answer);
}

void swap_free(PluginSwap *swap) {
        if (!swap)
                return;
        sd_event_source_disable_unref(swap->timer);
        sd_bus_slot_unref(swap->question);
        if (swap->switching)
                version_switch_forget(swap->plugin);
        manifest_free(swap->other);
        g_free(swap->directory);
        g_free(swap);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PluginSwap, swap_free)

/* Where nobody waits, a failure is told to everybody. */
static void tell(PluginSwap *swap, const char *error, const char *message) {
        if (swap->done)
                answer_later(swap->plugin, swap->done, swap->userdata, error, message);
        else if (error)
                plugins_problem(swap->plugin->plugins, swap->plugin->id, message);
        swap->done = NULL;
        if (!swap->plugin->previous)
                plugin_look_again(swap->plugin);
        origin_caught_up(swap->plugin);
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata);

static void enter(PluginSwap *swap, Step step, uint64_t timeout) {
        swap->step = step;
        swap->timer = sd_event_source_disable_unref(swap->timer);
        if (timeout > 0)
                (void) sd_event_add_time_relative(swap->plugin->plugins->parameters.event, &swap->timer,
                                                  CLOCK_MONOTONIC, timeout, 0, on_timeout, swap);
}

/* Whose process is not known cannot be killed where there is no systemd; if it serves its slot already it can be
 * asked. */
static void send_away(PluginProcess *process) {
        _cleanup_bus_message_ sd_bus_message *message = NULL;
        Plugin *plugin = process->plugin;
        sd_bus *bus = plugin->plugins->parameters.bus;

        if (sd_bus_message_new_method_call(bus, &message, plugin->slot_names[process->slot], PLUGIN_PATH,
                                           PLUGIN_INTERFACE, "Shutdown") < 0 ||
            sd_bus_message_set_auto_start(message, false) < 0 || sd_bus_message_set_expect_reply(message, false) < 0)
                return;
        (void) sd_bus_send(bus, message, NULL);
}

static void hold(Plugin *plugin) {
        if (plugin->held_since == 0)
                plugin->held_since = clock_monotonic();
}

static void let_go(Plugin *plugin) {
        plugin->held_before = swap_held(plugin);
        plugin->held_since = 0;
}

uint64_t swap_held(const Plugin *plugin) {
        return plugin->held_before + (plugin->held_since > 0 ? usec_sub(clock_monotonic(), plugin->held_since) : 0);
}

static void end_next(Plugin *plugin, const char *reason) {
        PluginProcess *next = plugin->next;

        if (next && !next->peer) {
                send_away(next);
                plugin->looked = FALSE;
                plugin->stray = TRUE;
        }
        process_end(&plugin->next, TRUE, reason);
        let_go(plugin);
}

static void on_link_back(Plugin *plugin, const char *problem, void *userdata) {
        if (problem && !version_is_current(plugin, plugin->manifest))
                plugins_problem(plugin->plugins, plugin->id, problem);
        version_settle(plugin);
}

/* What was prepared for the other version is taken back; link: it may name that already. */
static void take_back(Plugin *plugin, gboolean link) {
        if (link && plugin->manifest->versioned)
                version_switch(plugin, plugin->manifest, on_link_back, NULL, NULL);
        else
                version_settle(plugin);
}

/* Before the switch: nothing has changed. */
static void give_up(PluginSwap *swap, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void give_up(PluginSwap *swap, const char *format, ...) {
        g_autofree char *reason = NULL, *words = NULL, *message = NULL;
        Plugin *plugin = swap->plugin;
        g_autoptr(PluginSwap) owned = g_steal_pointer(&plugin->swap);
        va_list ap;

        va_start(ap, format);
        reason = g_strdup_vprintf(format, ap);
        va_end(ap);
        words = plugin_words(reason);
        message = g_strdup_printf("version %s could not replace version %s, which runs on (%s): %s",
                                  owned->other->version, plugin->manifest->version, step_names[owned->step], words);
        log_warning("Plugin %s: %s", plugin->id, message);
        if (owned->step == STEP_EXPORT && plugin->process)
                state_export_forget(plugin->process, owned);
        end_next(plugin, words);
        if (owned->switching)
                version_switch_forget(plugin);
        owned->switching = FALSE;
        take_back(plugin, owned->step == STEP_SWITCH);
        upgrade_failed(plugin, g_steal_pointer(&owned->other));
        tell(owned, ERROR_PLUGIN_FAILED, message);
        plugin_pump(plugin);
}

gboolean swap_on_trial(const Plugin *plugin) {
        return plugin->swap && plugin->swap->step == STEP_TRIAL;
}

gboolean swap_carries_state(const Plugin *plugin) {
        return plugin->swap && plugin->swap->step >= STEP_QUIET && plugin->swap->step < STEP_TRIAL;
}

/* The version that was replaced is nothing to come back to any more. */
static void swap_over(Plugin *plugin) {
        g_autoptr(PluginSwap) swap = g_steal_pointer(&plugin->swap);

        tell(swap, NULL, NULL);
        if (!plugin->previous)
                version_settle(plugin);
}

void swap_abort(Plugin *plugin, const char *reason) {
        if (!plugin->swap)
                return;
        if (!swap_on_trial(plugin)) {
                give_up(plugin->swap, "the running version is leaving: %s", reason);
                return;
        }
        swap_over(plugin);
}

/* After the switch */

void swap_previous_left(Plugin *plugin) {
        if (plugin->swap)
                tell(plugin->swap, NULL, NULL);
}

/* The two manifests and directories change places. */
static void exchange(PluginSwap *swap) {
        Plugin *plugin = swap->plugin;
        Manifest *manifest = plugin->manifest;
        char *directory = plugin->directory;
        PluginSlot slot = plugin->slot;

        plugins_search_forget(plugin->plugins);
        plugin->manifest = swap->other;
        plugin->directory = swap->directory;
        plugin->slot = swap->slot;
        swap->other = manifest;
        swap->directory = directory;
        swap->slot = slot;
}

static void announce(Plugin *plugin, const char *reason) {
        const PluginsParameters *parameters = &plugin->plugins->parameters;

        plugin_bus_manifest_changed(plugin);
        plugin_bus_changed(plugin, "Unit", NULL);
        if (parameters->changed)
                parameters->changed(plugin, plugin->state, reason, parameters->userdata);
        upgrades_review(plugin->plugins);
        /* It came without a change of state, which is what else brings a look at those that lacked it. */
        dependencies_up(plugin);
}

/* The old one is told to go before the new one is asked anything: killed in between, the daemon finds one of them that
 * is the newest. */
static void turn_over(PluginSwap *swap) {
        Plugin *plugin = swap->plugin;
        const PluginsParameters *parameters = &plugin->plugins->parameters;
        g_autofree char *reason = NULL;

        plugin->previous = g_steal_pointer(&plugin->process);
        plugin->process = g_steal_pointer(&plugin->next);
        plugin->process->hooks = plugin_serving_hooks();
        exchange(swap);
        origin_keep(plugin->process);
        enter(swap, STEP_TRIAL, parameters->trial > 0 ? parameters->trial : TRIAL_TIME);
        limits_watch_begin(plugin);
        drain_begin(plugin);
        let_go(plugin);
        reason = g_strdup_printf("version %s replaced version %s", plugin->manifest->version, swap->other->version);
        log_notice("Plugin %s: %s", plugin->id, reason);
        plugin->process->last_heard = plugin->process->last_used = clock_monotonic();
        plugin_set_error(plugin, "");
        plugin_set_healthy(plugin, TRUE, NULL);
        plugin_pump(plugin);
        announce(plugin, reason);
        if (plugin->swap == swap && plugin->process) {
                plugin_reconfigure(plugin);
                process_suspect(plugin->process);
        }
}

gboolean swap_roll_back(Plugin *plugin, const char *reason) {
        g_autofree char *message = NULL;
        g_autoptr(PluginSwap) swap = NULL;
        g_autoptr(Manifest) there = NULL;
        gboolean found, possible;

        if (!swap_on_trial(plugin) || !plugin_may_run(plugin))
                return FALSE;
        swap = g_steal_pointer(&plugin->swap);
        there = swap->other->versioned
                        ? manifest_load_version(swap->directory, plugin->id, swap->other->version,
                                                plugin->plugins->trusted_uid, NULL)
                        : manifest_load(swap->directory, plugin->id, plugin->plugins->trusted_uid, NULL);
        found = there && g_str_equal(there->version, swap->other->version);
        /* Of a package's name nothing else is made known. */
        possible = found && (manifest_packaged(there) || !manifest_packaged(plugin->manifest));
        process_end(&plugin->previous, TRUE, reason);
        message = g_strdup_printf("version %s failed shortly after it had replaced version %s, %s: %s",
                                  plugin->manifest->version, swap->other->version,
                                  possible ? "which runs again"
                                  : found  ? "beside which a package has brought one of its name"
                                           : "which is not there any more",
                                  reason);
        tell(swap, ERROR_PLUGIN_FAILED, message);
        plugins_problem(plugin->plugins, plugin->id, message);
        if (!possible)
                return FALSE;
        plugin_end_process(plugin, reason);
        exchange(swap);
        /* Its own slot still has it, unless somebody has had both brought up to date. */
        g_clear_pointer(&plugin->provisioned[plugin->slot], g_free);
        take_back(plugin, TRUE);
        plugin->by_slot = TRUE;
        plugin_set_error(plugin, message);
        if (plugin_set_state(plugin, PLUGIN_FAILED, message) && plugin->state == PLUGIN_FAILED)
                plugin_begin(plugin);
        announce(plugin, message);
        return TRUE;
}

static void on_link_switched(Plugin *plugin, const char *problem, void *userdata) {
        PluginSwap *swap = userdata;

        swap->switching = FALSE;
        if (problem)
                give_up(swap, "%s", problem);
        else
                turn_over(swap);
}

/* A daemon that comes after this one is to find what serves, or is about to. */
static void switch_over(PluginSwap *swap) {
        if (version_is_current(swap->plugin, swap->other)) {
                turn_over(swap);
                return;
        }
        enter(swap, STEP_SWITCH, 0);
        swap->switching = TRUE;
        version_switch(swap->plugin, swap->other, on_link_switched, NULL, swap);
}

/* The state */

static void on_state_settled(PluginProcess *process, const char *problem, void *userdata) {
        PluginSwap *swap = userdata;

        if (problem)
                give_up(swap, "%s", problem);
        else
                switch_over(swap);
}

static void on_exported(PluginProcess *process, uint32_t version, GBytes *state, const char *problem, void *userdata) {
        PluginSwap *swap = userdata;
        PluginProcess *next = swap->plugin->next;

        if (problem) {
                give_up(swap, "%s", problem);
                return;
        }
        /* What it is given knows nothing of what was kept before. */
        next->state_unread = process->state_unread;
        next->state_unsure = process->state_unsure;
        enter(swap, STEP_IMPORT, 0);
        state_import(next, version, state, on_state_settled, swap);
}

/* What the new one is given it knows. One without State takes nothing along: the disk has to have it by then. */
static void export(PluginSwap *swap) {
        PluginProcess *process = swap->plugin->process;

        hold(swap->plugin);
        if (manifest_has_contract(swap->plugin->next->manifest, "State")) {
                enter(swap, STEP_EXPORT, 0);
                state_export(process, on_exported, swap);
        } else {
                enter(swap, STEP_EXPORT, usec_add(process_timeout(process, TIMEOUT_EXPORT), STORE_PATIENCE));
                state_put_away(process, on_state_settled, swap);
        }
}

static void on_next_ready(PluginProcess *process) {
        Plugin *plugin = process->plugin;
        PluginSwap *swap = plugin->swap;

        plugin_hasten(plugin);
        if (manifest_has_contract(plugin->process->manifest, "State")) {
                enter(swap, STEP_QUIET, QUIET_TIMEOUT);
                if (!process_has_effects(plugin->process))
                        export(swap);
        } else if (manifest_has_contract(process->manifest, "State")) {
                enter(swap, STEP_IMPORT, 0);
                state_restore(process, on_state_settled, swap);
        } else
                switch_over(swap);
}

void swap_call_ended(Plugin *plugin) {
        PluginSwap *swap = plugin->swap;

        if (swap && (swap->step == STEP_QUIET || swap->step == STEP_HELD) && !process_has_effects(plugin->process))
                export(swap);
        drain_go_on(plugin);
}

/* The new process */

static void on_next_found(PluginProcess *process, const char *unique_name) {
        enter(process->plugin->swap, STEP_GREETING, 2 * process_timeout(process, TIMEOUT_INITIALIZE));
        process_greet(process, unique_name);
}

static void on_next_started(PluginProcess *process) {
        if (!process_find(process, on_next_found))
                give_up(process->plugin->swap, "the bus takes no message");
}

static gboolean on_next_identified(PluginProcess *process) {
        return TRUE;
}

static void on_next_leaving(PluginProcess *process) {
        give_up(process->plugin->swap, "it leaves by itself");
}

static void on_next_failed(PluginProcess *process, const char *reason) {
        give_up(process->plugin->swap, "%s", reason);
}

static const ProcessHooks replacing = { on_next_started, on_next_identified, on_next_ready, on_next_leaving,
                                        on_next_failed };

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        PluginSwap *swap = userdata;
        Plugin *plugin = swap->plugin;

        switch (swap->step) {
        case STEP_QUIET:
                hold(plugin);
                enter(swap, STEP_HELD, HELD_TIMEOUT);
                break;
        case STEP_EXPORT:
                give_up(swap, "its state is not kept: the disk does not answer");
                break;
        case STEP_TRIAL:
                swap_over(plugin);
                /* What it exported meanwhile is the plugin's from now on. */
                if (plugin->state_tried)
                        plugin_keep_state(plugin, TRUE);
                break;
        default:
                give_up(swap, "it takes too long");
                break;
        }
        return 0;
}

/* One that owns no slot does not know that there may be two of it: it has to end before another can begin. */
static void end_and_start(PluginSwap *swap) {
        Plugin *plugin = swap->plugin;
        g_autoptr(PluginSwap) owned = g_steal_pointer(&plugin->swap);

        process_end(&plugin->next, FALSE, "it is ended first");
        version_replace(plugin, g_steal_pointer(&owned->other), owned->done, owned->userdata);
}

static void on_allowed(Plugin *plugin, const char *error, const char *message, void *userdata) {
        PluginProcess *next = userdata;

        next->provisioning = NULL;
        if (error)
                give_up(plugin->swap, "%s", message);
        else
                end_and_start(plugin->swap);
}

/* What the new one may not do shows before the old one is ended for it. */
static void end_and_start_if_allowed(PluginSwap *swap) {
        PluginProcess *next = swap->plugin->next;

        if (!provision_needed(swap->plugin, next->manifest, next->slot)) {
                end_and_start(swap);
                return;
        }
        next->provisioning = provision_begin(swap->plugin, next->manifest, next->slot, on_allowed, next);
        if (!next->provisioning)
                give_up(swap, "the bus takes no message");
}

static int on_own_slot(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        PluginSwap *swap = userdata;
        Plugin *plugin = swap->plugin;
        const char *owner = "";

        if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "s", &owner) < 0 ||
            strcmp(owner, plugin->process->peer) != 0)
                end_and_start_if_allowed(swap);
        else if (!process_start(plugin->next))
                give_up(swap, "the bus takes no message");
        return 1;
}

static int ask_own_slot(PluginSwap *swap) {
        const Plugin *plugin = swap->plugin;

        return sd_bus_call_method_async(plugin->plugins->parameters.bus, &swap->question, "org.freedesktop.DBus",
                                        "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetNameOwner", on_own_slot,
                                        swap, "s", plugin->slot_names[plugin->process->slot]);
}

static void start_next(PluginSwap *swap) {
        g_autofree char *refusal = provision_refusal(swap->plugin, swap->other);
        Plugin *plugin = swap->plugin;

        if (refusal) {
                give_up(swap, "%s", refusal);
                return;
        }
        plugin->next = process_new(plugin, swap->slot, swap->other, &replacing);
        plugin->next->by_slot = TRUE;
        enter(swap, STEP_START, process_timeout(plugin->next, TIMEOUT_START));
        if (ask_own_slot(swap) < 0)
                give_up(swap, "the bus takes no message");
}

static void start_needed(PluginSwap *swap);

static void on_needed(Plugin *needed, const sd_bus_error *error, void *userdata) {
        Plugin *plugin = userdata;
        PluginSwap *swap = plugin->swap;

        /* Who asked may have been given up since. */
        if (!swap || swap->step != STEP_NEEDS || swap->needed != needed)
                return;
        if (error)
                give_up(swap, "it needs the plugin %s, which could not be started: %s", needed->id, error->message);
        else
                start_needed(swap);
}

/* One after the other: each may have ended again when the next one runs. */
static void start_needed(PluginSwap *swap) {
        Plugin *needed = dependencies_missing(swap->plugin, swap->other);

        swap->needed = needed;
        if (needed)
                plugin_load(needed, on_needed, swap->plugin);
        else
                start_next(swap);
}

/* The version before still has the slot. For a person that is an answer; what was seen on the disk is looked at again
 * when it has left, and is what is started before that, should the one that runs fall: it lies where that did. */
void swap_put_off(Plugin *plugin, Manifest *manifest, PluginSettled done, void *userdata) {
        g_autofree char *words = drain_in_words(plugin), *message = NULL;

        if (done) {
                message = g_strdup_printf("%s runs in two versions already: %s. Until then no other can take the "
                                          "place of version %s. To end both, and what they are asked: "
                                          "sudo " SNOOZE_COMMAND " plugin restart %s",
                                          plugin->id, words, plugin->manifest->version, plugin->id);
                manifest_free(manifest);
                answer_later(plugin, done, userdata, ERROR_BUSY, message);
                return;
        }
        upgrade_taken(plugin, manifest);
        if (manifest->versioned)
                manifest_free(manifest);
        else
                plugin->next_manifest = manifest;
        plugin->stale = TRUE;
}

/* The same version again: what is wanted is there, or on its way. */
static void swap_same(Plugin *plugin, Manifest *manifest, PluginSettled done, void *userdata) {
        PluginSwap *swap = plugin->swap;
        gboolean awaited = swap && (swap->step < STEP_TRIAL || plugin->previous);

        /* A change that was seen since is newer. */
        if (!awaited || !done)
                upgrade_taken(plugin, manifest);
        manifest_free(manifest);
        if (awaited && done) {
                swap->done = done;
                swap->userdata = userdata;
        } else if (done)
                answer_later(plugin, done, userdata, NULL, NULL);
}

void plugin_swap(Plugin *plugin, Manifest *manifest, PluginSettled done, void *userdata) {
        gboolean under_way = plugin->swap && plugin->swap->step < STEP_TRIAL;
        const Manifest *goal = under_way ? plugin->swap->other : plugin->manifest;
        PluginSwap *swap;

        /* Somebody types what the watch on the directory has seen, too. */
        if (g_str_equal(goal->digest, manifest->digest) && (!done || !plugin->swap || !plugin->swap->done)) {
                swap_same(plugin, manifest, done, userdata);
                return;
        }
        if (under_way) {
                if (!done)
                        upgrade_taken(plugin, manifest);
                manifest_free(manifest);
                if (done)
                        answer_later(plugin, done, userdata, ERROR_BUSY, "It is being replaced already.");
                else
                        plugin->stale = TRUE;
                return;
        }
        if (plugin->previous) {
                swap_put_off(plugin, manifest, done, userdata);
                return;
        }
        upgrade_taken(plugin, manifest);
        /* What is on trial has to serve as the one to come back to. What it exported is the plugin's: this swap may
         * come to nothing. */
        swap_free(g_steal_pointer(&plugin->swap));
        if (plugin->state_tried)
                plugin_keep_state(plugin, TRUE);
        plugin->swap = swap = g_new0(PluginSwap, 1);
        *swap = (PluginSwap) { .plugin = plugin,
                               .other = manifest,
                               .directory = plugin_directory_of(manifest),
                               .slot = plugin->process->slot == PLUGIN_SLOT_A ? PLUGIN_SLOT_B : PLUGIN_SLOT_A,
                               .done = done,
                               .userdata = userdata };
        enter(swap, STEP_NEEDS, NEEDS_TIMEOUT);
        start_needed(swap);
}
