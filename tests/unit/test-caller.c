/* SPDX-License-Identifier: Apache-2.0 */

/* A caller whose user the bus does not know is refused, and what it called is not run. Both ends of the connection are
 * here: the other one calls, and is the bus driver. */

#include <sys/socket.h>

#include <glib.h>
#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "bus/caller.h"

#define CALLER ":1.99"
#define USER 1234U

typedef struct Fixture {
        sd_event *event;
        sd_bus *service, *driver;
        Callers *callers;
        const char *answer;   /* of the driver: a signature; "": an error */
        unsigned asked, run;  /* the driver, the method */
        unsigned answers;
        char *error;          /* the name in the latest answer; NULL: none */
} Fixture;

/* The handler of a service: again from its first line when the user is known. */
static int on_call(sd_bus_message *call, void *userdata, sd_bus_error *unused) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        Fixture *f = userdata;
        uid_t uid;
        int r;

        if (!sd_bus_message_is_method_call(call, "test.Service", "Run"))
                return 0;
        r = caller_uid(f->callers, call, &uid, &error);
        if (r == 0)
                return 1;
        if (r < 0)
                return sd_bus_reply_method_error(call, &error);
        g_assert_cmpuint(uid, ==, USER);
        f->run++;
        return sd_bus_reply_method_return(call, NULL);
}

static int on_question(sd_bus_message *call, void *userdata, sd_bus_error *unused) {
        Fixture *f = userdata;
        const char *name;

        if (!sd_bus_message_is_method_call(call, "org.freedesktop.DBus", "GetConnectionUnixUser"))
                return 0;
        g_assert_cmpint(sd_bus_message_read(call, "s", &name), >=, 0);
        g_assert_cmpstr(name, ==, CALLER);
        f->asked++;
        if (g_str_equal(f->answer, "u"))
                return sd_bus_reply_method_return(call, "u", USER);
        if (g_str_equal(f->answer, "s"))
                return sd_bus_reply_method_return(call, "s", "root");
        return sd_bus_reply_method_errorf(call, SD_BUS_ERROR_NAME_HAS_NO_OWNER, "It has left.");
}

static sd_bus *end_of(Fixture *f, int fd, gboolean server, sd_bus_message_handler_t handler) {
        sd_bus *bus = NULL;

        g_assert_cmpint(sd_bus_new(&bus), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(bus, fd, fd), >=, 0);
        if (server) {
                g_assert_cmpint(sd_bus_set_server(bus, 1,
                                                  SD_ID128_MAKE(1, 2, 3, 4, 5, 6, 7, 8, 9, a, b, c, d, e, f, 1)),
                                >=, 0);
        }
        g_assert_cmpint(sd_bus_set_anonymous(bus, 1), >=, 0);
        g_assert_cmpint(sd_bus_start(bus), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(bus, f->event, 0), >=, 0);
        g_assert_cmpint(sd_bus_add_filter(bus, NULL, handler, f), >=, 0);
        return bus;
}

static void set_up(Fixture *f, gconstpointer data) {
        int fds[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        f->service = end_of(f, fds[0], TRUE, on_call);
        f->driver = end_of(f, fds[1], FALSE, on_question);
        g_assert_cmpint(callers_new(f->service, &f->callers), >=, 0);
}

static void tear_down(Fixture *f, gconstpointer data) {
        callers_free(f->callers);
        sd_bus_close_unref(f->driver);
        sd_bus_close_unref(f->service);
        sd_event_unref(f->event);
        g_free(f->error);
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *unused) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        Fixture *f = userdata;

        f->answers++;
        g_free(f->error);
        f->error = error ? g_strdup(error->name) : NULL;
        return 1;
}

static void call_as(Fixture *f, const char *sender) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        unsigned before = f->answers;

        g_assert_cmpint(sd_bus_message_new_method_call(f->driver, &call, NULL, "/service", "test.Service", "Run"), >=,
                        0);
        if (sender)
                g_assert_cmpint(sd_bus_message_set_sender(call, sender), >=, 0);
        g_assert_cmpint(sd_bus_call_async(f->driver, NULL, call, on_answer, f, 0), >=, 0);
        while (f->answers == before)
                g_assert_cmpint(sd_event_run(f->event, UINT64_MAX), >=, 0);
        g_assert_cmpuint(callers_pending(f->callers), ==, 0);
}

static void test_known(Fixture *f, gconstpointer data) {
        f->answer = "u";
        for (unsigned i = 1; i <= 2; i++) {
                call_as(f, CALLER);
                g_assert_cmpstr(f->error, ==, NULL);
                g_assert_cmpuint(f->run, ==, i);
        }
        g_assert_cmpuint(f->asked, ==, 1);
}

/* And nothing is remembered of it: the next call is looked up anew. */
static void test_unknown(Fixture *f, gconstpointer data) {
        uid_t uid;

        f->answer = data;
        for (unsigned i = 1; i <= 2; i++) {
                call_as(f, CALLER);
                g_assert_cmpstr(f->error, ==, ERROR_ACCESS_DENIED);
                g_assert_cmpuint(f->asked, ==, i);
        }
        g_assert_cmpuint(f->run, ==, 0);
        g_assert_false(caller_known(f->callers, CALLER, &uid));
        f->answer = "u";
        call_as(f, CALLER);
        g_assert_cmpstr(f->error, ==, NULL);
        g_assert_cmpuint(f->run, ==, 1);
}

static void test_nobody(Fixture *f, gconstpointer data) {
        f->answer = "u";
        call_as(f, NULL);
        g_assert_cmpstr(f->error, ==, ERROR_ACCESS_DENIED);
        g_assert_cmpuint(f->run, ==, 0);
        g_assert_cmpuint(f->asked, ==, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/caller/known", Fixture, NULL, set_up, test_known, tear_down);
        g_test_add("/caller/unknown", Fixture, "", set_up, test_unknown, tear_down);
        g_test_add("/caller/nonsense", Fixture, "s", set_up, test_unknown, tear_down);
        g_test_add("/caller/nobody", Fixture, NULL, set_up, test_nobody, tear_down);
        return g_test_run();
}
