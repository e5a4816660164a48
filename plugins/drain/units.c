/* SPDX-License-Identifier: Apache-2.0 */

#include "units.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER SYSTEMD_NAME ".Manager"
#define SYSTEMD_UNIT SYSTEMD_NAME ".Unit"

typedef struct Unit {
        Units *units;
        char *name;
        sd_bus_slot *slot;      /* of the call under way */
        char *job, *sender;     /* the job, and who has it */
        UnitEnd end;
        char *problem;
        gboolean over;
} Unit;

struct Units {
        sd_bus *bus;
        Unit *list;
        guint n, begun, over;
        gboolean start, in_order;
        uint64_t deadline;
        sd_event_source *timer;
        sd_bus_slot *removed;
        UnitsOrder order;
        UnitsDone done;
        void *userdata;
};

static void finish(Units *units) {
        g_autofree UnitOutcome *outcomes = g_new0(UnitOutcome, units->n + 1);

        for (guint i = 0; i < units->n; i++)
                outcomes[i] = (UnitOutcome){ units->list[i].name, units->list[i].end, units->list[i].problem };
        units->done(outcomes, units->n, units->userdata);
        units_free(units);
}

static void begin_next(Units *units);

/* Told by the timer, so that nobody is called back from where he came from. */
static void unit_over(Unit *unit, UnitEnd end, const char *problem) {
        Units *units = unit->units;

        unit->end = end;
        unit->problem = g_strdup(problem);
        unit->over = TRUE;
        units->over++;
        if (units->over == units->n)
                units_shorten(units, 0);
        else if (units->in_order)
                begin_next(units);
}

static void unit_refused(Unit *unit, const sd_bus_error *error) {
        g_autofree char *problem = NULL;

        if (sd_bus_error_has_name(error, SD_BUS_ERROR_ACCESS_DENIED) ||
            sd_bus_error_has_name(error, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED))
                problem = g_strdup("is not permitted");
        else
                problem = g_strdup(error->message ?: error->name);
        unit_over(unit, UNIT_REFUSED, problem);
}

static int call(Unit *unit, const char *path, const char *interface, const char *member, const char *first,
                const char *second, sd_bus_message_handler_t handler) {
        _cleanup_bus_message_ sd_bus_message *m = NULL;
        sd_bus_slot *slot;
        int r;

        r = sd_bus_message_new_method_call(unit->units->bus, &m, SYSTEMD_NAME, path, interface, member);
        if (r >= 0)
                r = sd_bus_message_append(m, "s", first);
        if (r >= 0 && second)
                r = sd_bus_message_append(m, "s", second);
        if (r >= 0)
                r = sd_bus_call_async(unit->units->bus, &slot, m, handler, unit, 0);
        if (r < 0)
                return r;
        sd_bus_slot_unref(unit->slot);
        unit->slot = slot;
        return 0;
}

static void call_or_fail(Unit *unit, const char *path, const char *interface, const char *member, const char *first,
                         const char *second, sd_bus_message_handler_t handler) {
        int r = call(unit, path, interface, member, first, second, handler);

        if (r < 0)
                unit_over(unit, UNIT_REFUSED, g_strerror(-r));
}

static int on_job(sd_bus_message *reply, void *userdata, sd_bus_error *unused) {
        Unit *unit = userdata;
        const char *path;

        if (sd_bus_message_is_method_error(reply, NULL)) {
                unit_refused(unit, sd_bus_message_get_error(reply));
                return 0;
        }
        if (sd_bus_message_read(reply, "o", &path) < 0 || !sd_bus_message_get_sender(reply)) {
                unit_over(unit, UNIT_REFUSED, "systemd's reply has another form than expected");
                return 0;
        }
        unit->job = g_strdup(path);
        unit->sender = g_strdup(sd_bus_message_get_sender(reply));
        return 0;
}

static void order(Unit *unit) {
        if (unit->units->order)
                unit->units->order(unit->name, unit->units->userdata);
        call_or_fail(unit, SYSTEMD_PATH, SYSTEMD_MANAGER, unit->units->start ? "StartUnit" : "StopUnit", unit->name,
                     "replace", on_job);
}

static int on_state(sd_bus_message *reply, void *userdata, sd_bus_error *unused) {
        Unit *unit = userdata;
        const char *state;

        if (sd_bus_message_is_method_error(reply, NULL)) {
                unit_refused(unit, sd_bus_message_get_error(reply));
                return 0;
        }
        if (sd_bus_message_read(reply, "v", "s", &state) < 0)
                unit_over(unit, UNIT_REFUSED, "systemd's reply has another form than expected");
        else if (g_str_equal(state, "inactive") || g_str_equal(state, "failed"))
                unit_over(unit, UNIT_NEEDLESS, NULL);
        else
                order(unit);
        return 0;
}

static int on_unit(sd_bus_message *reply, void *userdata, sd_bus_error *unused) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        Unit *unit = userdata;
        const char *path;

        /* What systemd has not loaded does not run. */
        if (sd_bus_error_has_name(error, SYSTEMD_NAME ".NoSuchUnit"))
                unit_over(unit, UNIT_NEEDLESS, NULL);
        else if (error)
                unit_refused(unit, error);
        else if (sd_bus_message_read(reply, "o", &path) < 0)
                unit_over(unit, UNIT_REFUSED, "systemd's reply has another form than expected");
        else
                call_or_fail(unit, path, "org.freedesktop.DBus.Properties", "Get", SYSTEMD_UNIT, "ActiveState",
                             on_state);
        return 0;
}

static void begin_next(Units *units) {
        Unit *unit;

        if (units->begun >= units->n)
                return;
        unit = &units->list[units->begun++];
        if (units->start)
                order(unit);
        else
                call_or_fail(unit, SYSTEMD_PATH, SYSTEMD_MANAGER, "GetUnit", unit->name, NULL, on_unit);
}

static int on_job_removed(sd_bus_message *signal, void *userdata, sd_bus_error *unused) {
        const char *job, *name, *result, *sender = sd_bus_message_get_sender(signal);
        Units *units = userdata;
        uint32_t id;

        if (!sender || sd_bus_message_read(signal, "uoss", &id, &job, &name, &result) < 0)
                return 0;
        for (guint i = 0; i < units->n; i++) {
                Unit *unit = &units->list[i];
                g_autofree char *problem = NULL;

                if (unit->over || !unit->job || !g_str_equal(unit->job, job) || !g_str_equal(unit->sender, sender))
                        continue;
                if (g_str_equal(result, "done"))
                        unit_over(unit, UNIT_DONE, NULL);
                else {
                        problem = g_strdup_printf("its job ended with “%s”", result);
                        unit_over(unit, UNIT_FAILED, problem);
                }
                return 0;
        }
        return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        finish(userdata);
        return 0;
}

static int on_nothing(sd_bus_message *reply, void *userdata, sd_bus_error *unused) {
        return 0;
}

/* systemd tells of jobs whoever subscribed. */
static int subscribe(const Units *units, const char *member) {
        return sd_bus_call_method_async(units->bus, NULL, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, member,
                                        on_nothing, NULL, NULL);
}

int units_begin(const UnitsParameters *parameters, Units **ret) {
        Units *units = g_new0(Units, 1);
        int r;

        units->bus = sd_bus_ref(parameters->bus);
        units->n = MIN(g_strv_length((char **) parameters->names), UNITS_MAX);
        units->list = g_new0(Unit, units->n + 1);
        units->start = parameters->start;
        units->in_order = parameters->in_order;
        units->deadline = parameters->deadline;
        units->order = parameters->order;
        units->done = parameters->done;
        units->userdata = parameters->userdata;
        for (guint i = 0; i < units->n; i++) {
                units->list[i].units = units;
                units->list[i].name = g_strdup(parameters->names[i]);
        }
        r = sd_event_add_time(parameters->event, &units->timer, CLOCK_MONOTONIC, units->n > 0 ? units->deadline : 0, 1,
                              on_timer, units);
        if (r >= 0)
                r = sd_bus_match_signal_async(units->bus, &units->removed, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER,
                                              "JobRemoved", on_job_removed, NULL, units);
        if (r >= 0)
                r = subscribe(units, "Subscribe");
        if (r < 0) {
                units_free(units);
                return r;
        }
        *ret = units;
        do
                begin_next(units);
        while (!units->in_order && units->begun < units->n);
        return 0;
}

void units_shorten(Units *units, uint64_t deadline) {
        if (deadline >= units->deadline)
                return;
        units->deadline = deadline;
        (void) sd_event_source_set_time(units->timer, deadline);
}

void units_free(Units *units) {
        if (!units)
                return;
        if (units->removed)
                (void) subscribe(units, "Unsubscribe");
        for (guint i = 0; i < units->n; i++) {
                sd_bus_slot_unref(units->list[i].slot);
                g_free(units->list[i].name);
                g_free(units->list[i].job);
                g_free(units->list[i].sender);
                g_free(units->list[i].problem);
        }
        g_free(units->list);
        sd_bus_slot_unref(units->removed);
        sd_event_source_disable_unref(units->timer);
        sd_bus_unref(units->bus);
        g_free(units);
}
