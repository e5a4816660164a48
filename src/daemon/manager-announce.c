/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/manager-announce.h"

#include <stdbool.h>
#include <string.h>

#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/journal.h"
#include "base/names.h"
#include "bus/dictionary.h"
#include "daemon/manager-state.h"
#include "daemon/wall-clock.h"

/* The clock of an active machine moves with every key that is hit: subscribers hear of it when it matters, not each
 * time. */
#define MOMENT_TOLERANCE USEC_PER_SEC
#define BLIND_PATIENCE USEC_PER_HOUR

void manager_emit_changed(Manager *manager, const char *property) {
        if (!manager->manager_slot)
                return;
        (void) sd_bus_emit_properties_changed(manager->bus, SNOOZE_PATH, SNOOZE_MANAGER_INTERFACE, property, NULL);
}

void manager_emit_dry_run(Manager *manager) {
        gboolean dry_run = stop_dry_run(manager->stop);

        if (dry_run == manager->announced_dry_run)
                return;
        manager->announced_dry_run = dry_run;
        manager_emit_changed(manager, "DryRun");
}

void manager_emit_problem(Manager *manager, const char *source, const char *message, JsonObject *details) {
        _cleanup_bus_message_ sd_bus_message *signal = NULL;
        int r;

        r = sd_bus_message_new_signal(manager->bus, &signal, SNOOZE_PATH, SNOOZE_MANAGER_INTERFACE, "Problem");
        if (r >= 0)
                r = sd_bus_message_append(signal, "ss", source, message);
        if (r >= 0)
                r = dictionary_append(signal, details, NULL);
        if (r >= 0)
                r = sd_bus_send(manager->bus, signal, NULL);
        if (r < 0)
                log_warning("A problem could not be told on the bus: %s", strerror(-r));
}

static const char *provider_name(Manager *manager) {
        Provider *provider = providers_active(manager->providers);

        return provider ? provider_id(provider) : "";
}

static void write_down(Manager *manager, State previous) {
        const Outcome *outcome = &manager->outcome;
        g_autofree char *state = g_strdup_printf("SNOOZE_STATE=%s", state_name(outcome->state));
        g_autofree char *before = g_strdup_printf("SNOOZE_PREVIOUS=%s", state_name(previous));
        g_autoptr(JsonObject) row = json_object_new();

        journal_write(LOG_INFO, MESSAGE_STATE_CHANGED, (const char *[]) { state, before, NULL }, "%s → %s: %s",
                      state_name(previous), state_name(outcome->state), manager_reason(manager));
        json_object_set_string_member(row, "state", state_name(outcome->state));
        json_object_set_string_member(row, "previous", state_name(previous));
        json_object_set_string_member(row, "reason", manager_reason(manager));
        if (stop_dry_run(manager->stop))
                json_object_set_boolean_member(row, "dry_run", TRUE);
        (void) store_append(manager->store, clock_realtime(), HISTORY_STATE, row, NULL, NULL);
        (void) sd_notifyf(false, "STATUS=%s: %s", state_name(outcome->state), manager_reason(manager));
}

/* Monotonic; 0: it is not for idleness that it stops. */
static uint64_t idle_since(Manager *manager) {
        return decision_stop_requested(manager->decision, NULL) ? 0 : manager->outcome.idle_since;
}

static void enter_warning(Manager *manager) {
        const char *reason = manager_reason(manager);

        journal_write(LOG_NOTICE, MESSAGE_STOP_SCHEDULED, NULL, "This machine stops in %llu s: %s",
                      (unsigned long long) (usec_sub(manager->outcome.next_stop, clock_monotonic()) / USEC_PER_SEC),
                      reason);
        (void) sd_bus_emit_signal(manager->bus, SNOOZE_PATH, SNOOZE_MANAGER_INTERFACE, "StopScheduled", "ts",
                                  manager_realtime(manager, manager->outcome.next_stop), reason);
        stop_warning_began(manager->stop, manager->outcome.next_stop, idle_since(manager), reason);
}

static void enter_stopping(Manager *manager) {
        journal_write(LOG_NOTICE, MESSAGE_STOPPING, NULL, "Stopping: %s", manager_reason(manager));
        (void) sd_bus_emit_signal(manager->bus, SNOOZE_PATH, SNOOZE_MANAGER_INTERFACE, "Stopping", "ss",
                                  provider_name(manager), manager_reason(manager));
        /* A daemon that died after asking the provider asks for the state first; nobody is warned a second time. */
        if (!stop_was_asked(manager->stop))
                stop_stopping_began(manager->stop, idle_since(manager), manager_reason(manager));
}

/* A person's word, where one called it off; else what the machine does now instead. */
static void leave_stages(Manager *manager) {
        g_autofree char *called_off = g_steal_pointer(&manager->called_off);
        const char *reason = called_off ? called_off : manager_reason(manager);

        journal_write(LOG_NOTICE, MESSAGE_STOP_CANCELLED, NULL, "The stop is off: %s", reason);
        (void) sd_bus_emit_signal(manager->bus, SNOOZE_PATH, SNOOZE_MANAGER_INTERFACE, "StopCancelled", "s", reason);
        stop_called_off(manager->stop, reason);
}

static gboolean is_stage(State state) {
        return state == STATE_WARNING || state == STATE_STOPPING;
}

/* Neither about to stop nor stopped. */
static gboolean runs_on(State state) {
        return !is_stage(state) && state != STATE_STOPPED;
}

static void transition(Manager *manager) {
        State previous = manager->announced, state = manager->outcome.state;

        manager->announced = state;
        write_down(manager, previous);
        manager_save(manager);
        (void) sd_bus_emit_signal(manager->bus, SNOOZE_PATH, SNOOZE_MANAGER_INTERFACE, "StateChanged", "sss",
                                  state_name(state), state_name(previous), manager_reason(manager));
        /* A machine may be suspended before the answer of who was asked for that arrives. From stopping to a warning
         * it comes where a person wants another stop, later than one that is off. */
        if (runs_on(state) &&
            (previous == STATE_STOPPED || (previous == STATE_STOPPING && stop_was_asked(manager->stop))))
                manager_came_back(manager);
        else if (is_stage(previous) && (runs_on(state) || (previous == STATE_STOPPING && state == STATE_WARNING)))
                leave_stages(manager);
        if (state == STATE_WARNING)
                enter_warning(manager);
        if (state == STATE_STOPPING)
                enter_stopping(manager);
        /* Untold where another stop took the place of the one that was called off. */
        g_clear_pointer(&manager->called_off, g_free);
}

/* A person's stop took the place of the one that was told. Where that one was called off before, it had to be said. */
static void renew(Manager *manager) {
        State state = manager->outcome.state;

        write_down(manager, state);
        manager_save(manager);
        if (manager->called_off || state == STATE_STOPPING)
                leave_stages(manager);
        if (state == STATE_WARNING)
                enter_warning(manager);
        else
                enter_stopping(manager);
}

static gboolean moved(uint64_t a, uint64_t b) {
        return (a == 0) != (b == 0) || MAX(a, b) - MIN(a, b) > MOMENT_TOLERANCE;
}

gboolean manager_all_told(const Manager *manager) {
        return manager->outcome.state == manager->announced &&
               !moved(manager->outcome.idle_since, manager->announced_idle_since) &&
               !moved(manager->outcome.next_stop, manager->announced_next_stop);
}

static void emit_properties(Manager *manager, gboolean at_once) {
        const Outcome *outcome = &manager->outcome;
        uint64_t now = clock_monotonic();

        if (!at_once &&
            (manager_all_told(manager) || now < usec_add(manager->announced_at,
                                      (uint64_t) (manager->config->check_interval_seconds * USEC_PER_SEC))))
                return;
        manager->announced_at = now;
        manager->announced_idle_since = outcome->idle_since;
        manager->announced_next_stop = outcome->next_stop;
        (void) sd_bus_emit_properties_changed(manager->bus, SNOOZE_PATH, SNOOZE_MANAGER_INTERFACE, "State", "Reason",
                                              "IdleSince", "NextStop", "Refusal", NULL);
}

/* A machine that is kept on by nothing but silence costs money without anybody wanting it: somebody should know. */
static void tell_blindness(Manager *manager) {
        if (manager->outcome.blind_since == 0) {
                manager->blind_told = FALSE;
                return;
        }
        if (manager->blind_told || clock_monotonic() < usec_add(manager->outcome.blind_since, BLIND_PATIENCE))
                return;
        manager->blind_told = TRUE;
        manager_problem(manager, "decision", manager_reason(manager));
        manager_notice(manager, manager_reason(manager));
}

void manager_announce(Manager *manager) {
        gboolean changed = manager->outcome.state != manager->announced;
        /* What a daemon before this one told of is off, though the state reads the same. */
        gboolean replaced = manager->called_off && manager_in_stage(manager);
        gboolean renewed = !changed && (manager->outcome.renewed || replaced);

        /* Whoever hears of a stop reads from the property whether it is one. */
        manager_emit_dry_run(manager);
        if (changed)
                transition(manager);
        else if (renewed)
                renew(manager);
        else if (manager->warning_told_off)
                stop_clock_was_set(manager->stop);
        manager->warning_told_off = FALSE;
        emit_properties(manager, changed || renewed);
        tell_blindness(manager);
}
