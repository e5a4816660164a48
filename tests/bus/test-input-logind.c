/* SPDX-License-Identifier: Apache-2.0 */

/* Input through logind: a logind of our own on a private bus, and somebody who pretends to be one. */

#include <gio/gio.h>
#include <stdbool.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/metrics/input-logind.h"
#include "private-bus.h"

#define LOGIND "org.freedesktop.login1"
#define LOGIND_PATH "/org/freedesktop/login1"
#define SESSION_INTERFACE "org.freedesktop.login1.Session"
#define PATIENCE (30 * USEC_PER_SEC)

typedef struct FakeSession {
        const char *path, *class, *type, *terminal;
        int idle;
        uint64_t idle_since;
        sd_bus_slot *slot;
        uint64_t began;
        const char *id, *name;
} FakeSession;

typedef struct Fixture {
        PrivateBus private_bus;
        sd_event *event; /* its */
        sd_bus *bus, *logind;
        sd_bus_slot *manager;
        FakeSession sessions[4];
        unsigned n_sessions, asked;

        char *root;
        Metrics *metrics;
        InputLogind *input;
        unsigned changes;
} Fixture;

static int method_list_sessions(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        Fixture *f = userdata;

        g_assert_cmpint(sd_bus_message_new_method_return(m, &reply), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(reply, 'a', "(susso)"), >=, 0);
        for (unsigned i = 0; i < f->n_sessions; i++)
                g_assert_cmpint(
                        sd_bus_message_append(reply, "(susso)", "1", 1000U, "alice", "seat0", f->sessions[i].path), >=,
                        0);
        g_assert_cmpint(sd_bus_message_close_container(reply), >=, 0);
        f->asked++;
        return sd_bus_send(NULL, reply, NULL);
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("ListSessions", NULL, "a(susso)", method_list_sessions, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL("SessionNew", "so", 0),
        SD_BUS_SIGNAL("SessionRemoved", "so", 0),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable session_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Class", "s", NULL, offsetof(FakeSession, class), 0),
        SD_BUS_PROPERTY("Type", "s", NULL, offsetof(FakeSession, type), 0),
        SD_BUS_PROPERTY("Id", "s", NULL, offsetof(FakeSession, id), 0),
        SD_BUS_PROPERTY("Name", "s", NULL, offsetof(FakeSession, name), 0),
        SD_BUS_PROPERTY("Timestamp", "t", NULL, offsetof(FakeSession, began), 0),
        SD_BUS_PROPERTY("TTY", "s", NULL, offsetof(FakeSession, terminal), 0),
        SD_BUS_PROPERTY("IdleHint", "b", NULL, offsetof(FakeSession, idle), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("IdleSinceHint", "t", NULL, offsetof(FakeSession, idle_since),
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_VTABLE_END,
};

static int on_pong(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        *(bool *) userdata = true;
        return 0;
}

/* What this connection has sent before has been handed on, and what was there for it has been read. */
static void round_trip(Fixture *f, sd_bus *bus) {
        uint64_t end = clock_monotonic() + PATIENCE;
        bool back = false;

        g_assert_cmpint(sd_bus_call_method_async(bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                                 "org.freedesktop.DBus", "GetId", on_pong, &back, ""),
                        >=, 0);
        while (!back) {
                g_assert_cmpuint(clock_monotonic(), <, end);
                g_assert_cmpint(sd_event_run(f->event, PATIENCE), >=, 0);
        }
}

/* The longest exchange is a signal, and one question and answer for each session. */
static void settle(Fixture *f) {
        for (unsigned i = 0; i < 4 * (2 + G_N_ELEMENTS(f->sessions)); i++) {
                if (f->logind)
                        round_trip(f, f->logind);
                round_trip(f, f->bus);
        }
}

static void begin_logind(Fixture *f) {
        f->logind = private_bus_connect(&f->private_bus);
        g_assert_cmpint(
                sd_bus_add_object_vtable(f->logind, &f->manager, LOGIND_PATH, LOGIND ".Manager", manager_vtable, f),
                >=, 0);
        for (unsigned i = 0; i < f->n_sessions; i++)
                g_assert_cmpint(sd_bus_add_object_vtable(f->logind, &f->sessions[i].slot, f->sessions[i].path,
                                                         SESSION_INTERFACE, session_vtable, &f->sessions[i]),
                                >=, 0);
        g_assert_cmpint(sd_bus_request_name(f->logind, LOGIND, 0), >=, 0);
}

static void end_logind(Fixture *f) {
        f->manager = sd_bus_slot_unref(f->manager);
        for (unsigned i = 0; i < f->n_sessions; i++)
                f->sessions[i].slot = sd_bus_slot_unref(f->sessions[i].slot);
        f->logind = sd_bus_flush_close_unref(f->logind);
}

static void on_change(void *userdata) {
        Fixture *f = userdata;

        f->changes++;
}

static void setup(Fixture *f, gconstpointer unused) {
        *f = (Fixture) { .root = g_dir_make_tmp("snooze-input-XXXXXX", NULL) };
        private_bus_up(&f->private_bus);
        f->event = f->private_bus.event;
        f->bus = private_bus_connect(&f->private_bus);
        f->metrics = metrics_new(f->root);
}

static void teardown(Fixture *f, gconstpointer unused) {
        f->input = input_logind_free(f->input);
        end_logind(f);
        f->bus = sd_bus_flush_close_unref(f->bus);
        metrics_free(f->metrics);
        private_bus_down(&f->private_bus);
        g_assert_cmpint(rmdir(f->root), ==, 0);
        g_free(f->root);
}

static void begin_input(Fixture *f) {
        g_assert_cmpint(input_logind_new(f->bus, f->metrics, on_change, f, &f->input), ==, 0);
        settle(f);
}

static void add_session(Fixture *f, const char *class, const char *type, const char *terminal, gboolean idle,
                        uint64_t idle_since) {
        static const char *const paths[] = { LOGIND_PATH "/session/_31", LOGIND_PATH "/session/_32",
                                             LOGIND_PATH "/session/_33", LOGIND_PATH "/session/_34" };

        f->sessions[f->n_sessions] = (FakeSession){ paths[f->n_sessions],
                                                    class,
                                                    type,
                                                    terminal,
                                                    idle,
                                                    idle_since,
                                                    NULL,
                                                    clock_realtime() - USEC_PER_HOUR,
                                                    "2",
                                                    "bob" };
        f->n_sessions++;
}

/* -1: absent. */
static double input_idle_seconds(Fixture *f) {
        Sample sample;

        metrics_sample(f->metrics, clock_monotonic(), clock_realtime(), &sample);
        g_assert_cmpint(sample.reading[METRIC_INPUT], !=, READING_FAILED);
        return sample.reading[METRIC_INPUT] == READING_OK ? sample.value[METRIC_INPUT] : -1;
}

static void assert_about(double value, double expected) {
        g_assert_cmpfloat(value, >=, expected - 1);
        g_assert_cmpfloat(value, <=, expected + 20);
}

static void test_no_logind(Fixture *f, gconstpointer unused) {
        begin_input(f);
        g_assert_nonnull(strstr(input_logind_problem(f->input), "not running"));
        g_assert_cmpfloat(input_idle_seconds(f), ==, -1);
        g_assert_cmpuint(f->changes, ==, 0);

        add_session(f, "user", "wayland", "", FALSE, 0);
        begin_logind(f);
        settle(f);
        g_assert_null(input_logind_problem(f->input));
        assert_about(input_idle_seconds(f), 0);
        g_assert_cmpuint(f->changes, ==, 1);
}

/* Greeter, cron and file transfers are nobody's input. */
static void test_nobody(Fixture *f, gconstpointer unused) {
        add_session(f, "greeter", "wayland", "", FALSE, 0);
        add_session(f, "background", "unspecified", "", FALSE, 0);
        add_session(f, "user", "unspecified", "", FALSE, 0);
        begin_logind(f);
        begin_input(f);
        g_assert_null(input_logind_problem(f->input));
        g_assert_cmpfloat(input_idle_seconds(f), ==, -1);
}

static void set_idle(Fixture *f, unsigned i, gboolean idle, uint64_t since) {
        f->sessions[i].idle = idle;
        f->sessions[i].idle_since = since;
        g_assert_cmpint(
                sd_bus_emit_properties_changed(f->logind, f->sessions[i].path, SESSION_INTERFACE, "IdleHint", NULL),
                >=, 0);
        settle(f);
}

static void test_idle_and_back(Fixture *f, gconstpointer unused) {
        uint64_t now = clock_realtime();

        add_session(f, "user", "x11", "tty2", TRUE, now - 500 * USEC_PER_SEC);
        add_session(f, "user", "wayland", "tty3", TRUE, now - 300 * USEC_PER_SEC);
        begin_logind(f);
        begin_input(f);
        assert_about(input_idle_seconds(f), 300);
        set_idle(f, 0, FALSE, 0);
        assert_about(input_idle_seconds(f), 0);
        set_idle(f, 0, TRUE, clock_realtime());
        assert_about(input_idle_seconds(f), 0);
        g_assert_cmpuint(f->changes, ==, 3);
}

static unsigned silent(Fixture *f, uint64_t before) {
        g_autoptr(GPtrArray) desktops = input_logind_silent(f->input, before);

        for (guint i = 0; i < desktops->len; i++)
                g_assert_cmpstr(desktops->pdata[i], ==, "session 2 of bob (x11)");
        return desktops->len;
}

/* Neither a login screen nor a terminal has a desktop; one that was idle once says so again. */
static void test_silent_desktops(Fixture *f, gconstpointer unused) {
        add_session(f, "user", "x11", "tty2", FALSE, 0);
        add_session(f, "greeter", "wayland", "", FALSE, 0);
        add_session(f, "user", "tty", "tty3", FALSE, 0);
        add_session(f, "user", "wayland", "tty4", FALSE, clock_realtime() - USEC_PER_MINUTE);
        begin_logind(f);
        begin_input(f);
        g_assert_cmpuint(silent(f, clock_realtime()), ==, 1);
        g_assert_cmpuint(silent(f, clock_realtime() - 2 * USEC_PER_HOUR), ==, 0);
        set_idle(f, 0, TRUE, clock_realtime());
        g_assert_cmpuint(silent(f, clock_realtime()), ==, 0);
        set_idle(f, 0, FALSE, clock_realtime());
        g_assert_cmpuint(silent(f, clock_realtime()), ==, 0);
}

/* What logind passes on of somebody's name is one line. */
static void test_silent_desktop_with_an_odd_name(Fixture *f, gconstpointer unused) {
        g_autoptr(GPtrArray) desktops = NULL;

        add_session(f, "user", "wayland", "", FALSE, 0);
        f->sessions[0].name = "e\nve";
        begin_logind(f);
        begin_input(f);
        desktops = input_logind_silent(f->input, clock_realtime());
        g_assert_cmpuint(desktops->len, ==, 1);
        g_assert_cmpstr(desktops->pdata[0], ==, "session 2 of e ve (wayland)");
}

/* Who logs out was there until then. */
static void test_session_ends(Fixture *f, gconstpointer unused) {
        add_session(f, "user", "wayland", "", FALSE, 0);
        begin_logind(f);
        begin_input(f);
        f->n_sessions = 0;
        f->sessions[0].slot = sd_bus_slot_unref(f->sessions[0].slot);
        g_assert_cmpint(sd_bus_emit_signal(f->logind, LOGIND_PATH, LOGIND ".Manager", "SessionRemoved", "so", "1",
                                           f->sessions[0].path), >=, 0);
        settle(f);
        assert_about(input_idle_seconds(f), 0);
        g_assert_cmpuint(f->changes, ==, 2);
}

static void test_session_begins(Fixture *f, gconstpointer unused) {
        begin_logind(f);
        begin_input(f);
        g_assert_cmpfloat(input_idle_seconds(f), ==, -1);
        add_session(f, "user", "wayland", "", FALSE, 0);
        g_assert_cmpint(sd_bus_add_object_vtable(f->logind, &f->sessions[0].slot, f->sessions[0].path,
                                                 SESSION_INTERFACE, session_vtable, &f->sessions[0]),
                        >=, 0);
        g_assert_cmpint(sd_bus_emit_signal(f->logind, LOGIND_PATH, LOGIND ".Manager", "SessionNew", "so", "1",
                                           f->sessions[0].path), >=, 0);
        settle(f);
        assert_about(input_idle_seconds(f), 0);
}

/* What logind said holds while it restarts; then it is asked anew. */
static void test_logind_restarts(Fixture *f, gconstpointer unused) {
        add_session(f, "user", "wayland", "", FALSE, 0);
        begin_logind(f);
        begin_input(f);
        end_logind(f);
        settle(f);
        g_assert_nonnull(input_logind_problem(f->input));
        assert_about(input_idle_seconds(f), 0);
        begin_logind(f);
        settle(f);
        g_assert_null(input_logind_problem(f->input));
        g_assert_cmpuint(f->asked, ==, 2);
}

static void forge(Fixture *f, sd_bus *bus, const char *path, const char *interface, const char *member,
                  const char *types, ...) {
        _cleanup_bus_message_ sd_bus_message *m = NULL;
        const char *victim;
        va_list ap;

        g_assert_cmpint(sd_bus_get_unique_name(f->bus, &victim), >=, 0);
        g_assert_cmpint(sd_bus_message_new_signal(bus, &m, path, interface, member), >=, 0);
        g_assert_cmpint(sd_bus_message_set_destination(m, victim), >=, 0);
        va_start(ap, types);
        g_assert_cmpint(sd_bus_message_appendv(m, types, ap), >=, 0);
        va_end(ap);
        g_assert_cmpint(sd_bus_send(bus, m, NULL), >=, 0);
}

/* Signals by somebody else, sent to us directly, change nothing and make us ask nothing. */
static void test_forged(Fixture *f, gconstpointer unused) {
        sd_bus *forger = private_bus_connect(&f->private_bus);
        const char *unique;

        add_session(f, "user", "wayland", "", FALSE, 0);
        begin_logind(f);
        begin_input(f);
        g_assert_cmpuint(f->changes, ==, 1);
        g_assert_cmpint(sd_bus_get_unique_name(forger, &unique), >=, 0);

        forge(f, forger, LOGIND_PATH, LOGIND ".Manager", "SessionRemoved", "so", "1", f->sessions[0].path);
        forge(f, forger, f->sessions[0].path, "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as",
              SESSION_INTERFACE, 1, "IdleHint", "b", 1, 0);
        forge(f, forger, "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged", "sss", LOGIND, ":1.1",
              unique);
        round_trip(f, forger);
        settle(f);
        assert_about(input_idle_seconds(f), 0);
        g_assert_null(input_logind_problem(f->input));
        g_assert_cmpuint(f->changes, ==, 1);
        g_assert_cmpuint(f->asked, ==, 1);
        sd_bus_flush_close_unref(forger);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define ADD(path, function) g_test_add("/input-logind/" path, Fixture, NULL, setup, function, teardown)
        ADD("no-logind", test_no_logind);
        ADD("nobody", test_nobody);
        ADD("idle-and-back", test_idle_and_back);
        ADD("silent-desktops", test_silent_desktops);
        ADD("silent-desktop-with-an-odd-name", test_silent_desktop_with_an_odd_name);
        ADD("session-ends", test_session_ends);
        ADD("session-begins", test_session_begins);
        ADD("logind-restarts", test_logind_restarts);
        ADD("forged", test_forged);
        return g_test_run();
}
