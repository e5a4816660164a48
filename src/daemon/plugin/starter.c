/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/plugin/starter.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include <glib.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "bus/owner.h"

#define DRIVER_NAME "org.freedesktop.DBus"

struct Starter {
        sd_bus *bus;
        char *systemd;       /* unique name; NULL: none */
        gboolean known;      /* whether systemd is there has been answered */
        gboolean subscribed; /* systemd sends signals to those only who asked … */
        gboolean interested; /* … and whoever comes after it is asked, too */
        sd_bus_slot *watch, *question;
        GPtrArray *starts;   /* under way; borrowed */
        GHashTable *killed;  /* units that were told to end their processes, or are to, and not to start since */
};

struct Start {
        Starter *starter;
        char *name, *unit, *job;
        gboolean reset;
        StartDone done;
        void *userdata;
        sd_bus_slot *call, *removed; /* the question under way; JobRemoved */
};

static void start_ask(Start *start);

static void start_free(Start *start) {
        g_ptr_array_remove_fast(start->starter->starts, start);
        sd_bus_slot_unref(start->call);
        sd_bus_slot_unref(start->removed);
        g_free(start->name);
        g_free(start->unit);
        g_free(start->job);
        g_free(start);
}

Start *start_cancel(Start *start) {
        if (start)
                start_free(start);
        return NULL;
}

/* The callback may cancel this start's successor or free the whole plugin: nothing is touched after it. */
static void start_end(Start *start, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void start_end(Start *start, const char *format, ...) {
        g_autofree char *message = NULL;
        StartDone done = start->done;
        void *userdata = start->userdata;
        va_list ap;

        if (format) {
                va_start(ap, format);
                message = g_strdup_vprintf(format, ap);
                va_end(ap);
        }
        start_free(start);
        done(message, userdata);
}

static void systemd_known(Starter *starter) {
        g_autoptr(GPtrArray) waiting = NULL;

        if (starter->known)
                return;
        starter->known = TRUE;
        waiting = g_ptr_array_copy(starter->starts, NULL, NULL);
        for (guint i = 0; i < waiting->len; i++)
                if (g_ptr_array_find(starter->starts, g_ptr_array_index(waiting, i), NULL))
                        start_ask(g_ptr_array_index(waiting, i));
}

static void on_systemd_changed(const char *name, const char *old_owner, const char *new_owner, void *userdata) {
        Starter *starter = userdata;

        if (strcmp(name, SYSTEMD_NAME) != 0)
                return;
        g_free(starter->systemd);
        starter->systemd = *new_owner ? g_strdup(new_owner) : NULL;
        starter->subscribed = FALSE;
        if (starter->systemd && starter->interested)
                (void) starter_subscribe(starter);
}

static int on_systemd_owner(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Starter *starter = userdata;
        const char *owner;

        if (!sd_bus_message_is_method_error(reply, NULL) && sd_bus_message_read(reply, "s", &owner) >= 0) {
                g_free(starter->systemd);
                starter->systemd = g_strdup(owner);
        }
        systemd_known(starter);
        return 0;
}

int starter_new(sd_bus *bus, Starter **ret) {
        Starter *starter = g_new0(Starter, 1);
        int r;

        starter->bus = sd_bus_ref(bus);
        starter->starts = g_ptr_array_new();
        starter->killed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        r = owner_watch(bus, SYSTEMD_NAME, on_systemd_changed, starter, &starter->watch);
        if (r >= 0)
                r = sd_bus_call_method_async(bus, &starter->question, DRIVER_NAME, "/org/freedesktop/DBus",
                                             DRIVER_NAME, "GetNameOwner", on_systemd_owner, starter, "s",
                                             SYSTEMD_NAME);
        if (r < 0) {
                starter_free(starter);
                return r;
        }
        *ret = starter;
        return 0;
}

void starter_free(Starter *starter) {
        if (!starter)
                return;
        g_ptr_array_unref(starter->starts);
        g_hash_table_unref(starter->killed);
        sd_bus_slot_unref(starter->watch);
        sd_bus_slot_unref(starter->question);
        g_free(starter->systemd);
        sd_bus_unref(starter->bus);
        g_free(starter);
}

const char *starter_systemd(const Starter *starter) {
        return starter->systemd;
}

static int on_service_started(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Start *start = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(reply);

        if (e)
                start_end(start, "the bus could not start it: %s", e->message ?: e->name);
        else
                start_end(start, NULL);
        return 0;
}

/* A unit whose condition is not met (it is not enabled) ends its job well and does not run. */
static int on_active_state(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Start *start = userdata;
        const char *state = "";

        if (!sd_bus_message_is_method_error(reply, NULL) && sd_bus_message_read(reply, "v", "s", &state) >= 0 &&
            (strcmp(state, "inactive") == 0 || strcmp(state, "failed") == 0))
                start_end(start, "systemd has started %s, and it is %s (journalctl -u %s)", start->unit, state,
                          start->unit);
        else
                start_end(start, NULL);
        return 0;
}

static void ask_active_state(Start *start) {
        _cleanup_free_ char *path = NULL;
        int r;

        start->call = sd_bus_slot_unref(start->call);
        r = sd_bus_path_encode(SYSTEMD_UNIT_PATH, start->unit, &path);
        if (r >= 0)
                r = sd_bus_call_method_async(start->starter->bus, &start->call, start->starter->systemd, path,
                                             PROPERTIES_INTERFACE, "Get", on_active_state, start, "ss",
                                             SYSTEMD_UNIT_INTERFACE, "ActiveState");
        if (r < 0)
                start_end(start, "systemd could not be asked: %s", g_strerror(-r));
}

static int on_job_removed(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *sender = sd_bus_message_get_sender(message), *job, *unit, *result;
        Start *start = userdata;

        if (!sender || !start->starter->systemd || strcmp(sender, start->starter->systemd) != 0 || !start->job ||
            sd_bus_message_read(message, "uoss", NULL, &job, &unit, &result) < 0 || strcmp(job, start->job) != 0)
                return 0;
        if (strcmp(result, "done") == 0 || strcmp(result, "skipped") == 0)
                ask_active_state(start);
        else
                start_end(start, "systemd could not start %s: %s (journalctl -u %s)", start->unit, result,
                          start->unit);
        return 0;
}

static int on_unit_started(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        Start *start = userdata;
        const char *job;

        if (e)
                start_end(start, "systemd could not start %s: %s", start->unit, e->message ?: e->name);
        else if (sd_bus_message_read(reply, "o", &job) < 0)
                start_end(start, "systemd answered the start of %s with rubbish", start->unit);
        else
                start->job = g_strdup(job);
        return 0;
}

int starter_subscribe(Starter *starter) {
        int r;

        if (starter->subscribed)
                return 0;
        r = sd_bus_call_method_async(starter->bus, NULL, starter->systemd, SYSTEMD_PATH, SYSTEMD_MANAGER_INTERFACE,
                                     "Subscribe", NULL, NULL, NULL);
        if (r >= 0)
                starter->subscribed = starter->interested = TRUE;
        return r < 0 ? r : 0;
}

/* The match is installed before the question: the bus works in order, so no JobRemoved is missed. It cannot name the
 * unit: sd-bus compares arguments only where all before them are strings, and JobRemoved begins with a number.
 *
 * A unit whose processes were killed is active, or still starting, until systemd has noticed: StartUnit would find
 * nothing to do, or join a job that is about to fail. */
static int start_unit(Start *start) {
        Starter *starter = start->starter;
        gboolean killed = g_hash_table_remove(starter->killed, start->unit);
        static const char match[] = "type='signal',sender='" SYSTEMD_NAME "',path='" SYSTEMD_PATH
                                    "',interface='" SYSTEMD_MANAGER_INTERFACE "',member='JobRemoved'";
        int r;

        r = starter_subscribe(starter);
        if (r < 0)
                return r;
        r = sd_bus_add_match_async(starter->bus, &start->removed, match, on_job_removed, NULL, start);
        if (r >= 0 && start->reset)
                r = sd_bus_call_method_async(starter->bus, NULL, starter->systemd, SYSTEMD_PATH,
                                             SYSTEMD_MANAGER_INTERFACE, "ResetFailedUnit", NULL, NULL, "s",
                                             start->unit);
        if (r >= 0)
                r = sd_bus_call_method_async(starter->bus, &start->call, starter->systemd, SYSTEMD_PATH,
                                             SYSTEMD_MANAGER_INTERFACE, killed ? "RestartUnit" : "StartUnit",
                                             on_unit_started, start, "ss", start->unit, "replace");
        return r;
}

/* The time-out is the plugin's own (its deadline for starting), so sd-bus's must not come first. */
static int start_service(Start *start) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        sd_bus *bus = start->starter->bus;
        int r;

        r = sd_bus_message_new_method_call(bus, &call, DRIVER_NAME, "/org/freedesktop/DBus", DRIVER_NAME,
                                           "StartServiceByName");
        if (r >= 0)
                r = sd_bus_message_append(call, "su", start->name, UINT32_C(0));
        if (r >= 0)
                r = sd_bus_call_async(bus, &start->call, call, on_service_started, start, UINT64_MAX);
        return r;
}

static void start_ask(Start *start) {
        int r = start->starter->systemd ? start_unit(start) : start_service(start);

        if (r < 0)
                start_end(start, "nothing could be sent to the bus: %s", g_strerror(-r));
}

Start *starter_begin(Starter *starter, const char *name, const char *unit, bool failed_before, StartDone done,
                     void *userdata) {
        Start *start = g_new0(Start, 1);
        int r = 0;

        *start = (Start) { .starter = starter,
                           .name = g_strdup(name),
                           .unit = g_strdup(unit),
                           .reset = failed_before,
                           .done = done,
                           .userdata = userdata };
        g_ptr_array_add(starter->starts, start);
        if (starter->known)
                r = starter->systemd ? start_unit(start) : start_service(start);
        if (r < 0)
                return start_cancel(start);
        return start;
}

/* Without systemd nobody reads a drop-in, and no start would take that back. */
void starter_renew(Starter *starter, const char *unit) {
        if (starter->systemd || !starter->known)
                (void) g_hash_table_add(starter->killed, g_strdup(unit));
}

bool starter_renews(const Starter *starter, const char *unit) {
        return g_hash_table_contains(starter->killed, unit);
}

void starter_kill(Starter *starter, const char *unit, int pidfd) {
        if (starter->systemd) {
                starter_renew(starter, unit);
                (void) sd_bus_call_method_async(starter->bus, NULL, starter->systemd, SYSTEMD_PATH,
                                                SYSTEMD_MANAGER_INTERFACE, "KillUnit", NULL, NULL, "ssi", unit, "all",
                                                (int32_t) SIGKILL);
        } else if (pidfd >= 0)
                (void) syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}
