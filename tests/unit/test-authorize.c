/* SPDX-License-Identifier: Apache-2.0 */

/* polkit asked without waiting: the parked call comes back with the verdict, whatever polkit, the caller or the world
 * do meanwhile. Service, caller and a polkit that does as it is told are three connections on one loop. */

#include <string.h>

#include "base/errors.h"
#include "bus/actions.h"
#include "bus/arguments.h"
#include "bus/authorize.h"
#include "private-bus.h"

#define POLKIT_NAME "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE POLKIT_NAME ".Authority"

typedef enum Answer {
        ANSWER_YES,
        ANSWER_NO,
        ANSWER_CHALLENGE,
        ANSWER_NEVER,
        ANSWER_ERROR,
        ANSWER_RUBBISH,
} Answer;

typedef struct Fixture {
        PrivateBus bus;
        sd_bus *service, *polkit, *client;
        Authorizer *authorizer;

        Answer answer;
        unsigned asked, cancelled;
        char *subject, *action, *details, *cancellation_id, *cancelled_id;
        uint32_t flags;

        unsigned runs, done;   /* of the handler: begun, and got through */
        gboolean change;       /* the handler asks about something else the second time */
        gboolean forget;       /* the handler gives up before it asks a second time */
        char *error_name, *error_message;
        unsigned replies;
} Fixture;

static void replace(char **location, const char *text) {
        g_free(*location);
        *location = g_strdup(text);
}

static char *read_details(sd_bus_message *call) {
        GString *text = g_string_new(NULL);
        const char *key, *value;

        g_assert_cmpint(sd_bus_message_enter_container(call, 'a', "{ss}"), >=, 0);
        while (sd_bus_message_read(call, "{ss}", &key, &value) > 0)
                g_string_append_printf(text, "%s=%s;", key, value);
        g_assert_cmpint(sd_bus_message_exit_container(call), >=, 0);
        return g_string_free(text, FALSE);
}

static int on_check(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Fixture *f = userdata;
        const char *kind, *key, *subject, *action, *id;

        f->asked++;
        g_assert_cmpint(sd_bus_message_read(call, "(sa{sv})s", &kind, 1, &key, "s", &subject, &action), >=, 0);
        g_assert_cmpstr(kind, ==, "system-bus-name");
        g_assert_cmpstr(key, ==, "name");
        replace(&f->subject, subject);
        replace(&f->action, action);
        g_free(f->details);
        f->details = read_details(call);
        g_assert_cmpint(sd_bus_message_read(call, "us", &f->flags, &id), >=, 0);
        replace(&f->cancellation_id, id);

        switch (f->answer) {
        case ANSWER_YES:
                return sd_bus_reply_method_return(call, "(bba{ss})", 1, 0, 0);
        case ANSWER_NO:
                return sd_bus_reply_method_return(call, "(bba{ss})", 0, 0, 0);
        case ANSWER_CHALLENGE:
                return sd_bus_reply_method_return(call, "(bba{ss})", 0, 1, 1, "polkit.result", "auth_admin");
        case ANSWER_ERROR:
                return sd_bus_reply_method_errorf(call, POLKIT_NAME ".Error.Failed", "out of sorts");
        case ANSWER_RUBBISH:
                return sd_bus_reply_method_return(call, "s", "yes");
        case ANSWER_NEVER:
        default:
                return 1;
        }
}

static int on_cancel(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Fixture *f = userdata;
        const char *id;

        g_assert_cmpint(sd_bus_message_read(call, "s", &id), >=, 0);
        replace(&f->cancelled_id, id);
        f->cancelled++;
        return sd_bus_reply_method_return(call, NULL);
}

/* No vtable: it would keep the stub from answering rubbish. */
static int on_polkit_call(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        if (sd_bus_message_is_method_call(call, POLKIT_INTERFACE, "CheckAuthorization"))
                return on_check(call, userdata, error);
        if (sd_bus_message_is_method_call(call, POLKIT_INTERFACE, "CancelCheckAuthorization"))
                return on_cancel(call, userdata, error);
        return 0;
}

static int on_act(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Fixture *f = userdata;
        const char *const details[] = { "reason", f->change && f->runs > 0 ? "another" : "tea", NULL };
        int r;

        if (f->forget && f->runs++ > 0)
                return sd_bus_error_set(error, ERROR_NO_SUCH_HOLD, "gone meanwhile");
        r = authorize(f->authorizer, call, ACTION_STOP, details, error);
        f->runs++;
        if (r <= 0)
                return r < 0 ? r : 1;
        f->done++;
        return sd_bus_reply_method_return(call, NULL);
}

static const sd_bus_vtable service_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Act", NULL, NULL, on_act, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Feed", "ay", NULL, on_act, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static int on_unique_name(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        *(gboolean *) userdata = TRUE;
        return 0;
}

/* Until the driver answered once the connection has no unique name. */
static void settle(Fixture *f, sd_bus *connection) {
        gboolean answered = FALSE;

        g_assert_cmpint(sd_bus_call_method_async(connection, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                                 "org.freedesktop.DBus", "GetId", on_unique_name, &answered, NULL),
                        >=, 0);
        run_until(f->bus.event, answered);
}

static void set_up(Fixture *f, gconstpointer data) {
        private_bus_up(&f->bus);
        f->service = private_bus_connect(&f->bus);
        f->client = private_bus_connect(&f->bus);
        f->polkit = private_bus_connect(&f->bus);
        g_assert_cmpint(sd_bus_add_object_vtable(f->service, NULL, "/test", "test.Test", service_vtable, f), >=, 0);
        g_assert_cmpint(sd_bus_add_object(f->polkit, NULL, POLKIT_PATH, on_polkit_call, f), >=, 0);
        settle(f, f->service);
        settle(f, f->client);
        settle(f, f->polkit);
        if (!data)
                g_assert_cmpint(sd_bus_request_name(f->polkit, POLKIT_NAME, 0), >=, 0);
        g_assert_cmpint(authorizer_new(f->service, NULL, &f->authorizer), >=, 0);
}

static void tear_down(Fixture *f, gconstpointer data) {
        authorizer_free(f->authorizer);
        sd_bus_flush_close_unref(f->service);
        sd_bus_flush_close_unref(f->client);
        sd_bus_flush_close_unref(f->polkit);
        private_bus_down(&f->bus);
        g_free(f->subject);
        g_free(f->action);
        g_free(f->details);
        g_free(f->cancellation_id);
        g_free(f->cancelled_id);
        g_free(f->error_name);
        g_free(f->error_message);
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Fixture *f = userdata;
        const sd_bus_error *answer = sd_bus_message_get_error(reply);

        replace(&f->error_name, answer ? answer->name : NULL);
        replace(&f->error_message, answer ? answer->message : NULL);
        f->replies++;
        return 0;
}

static void call_act(Fixture *f, gboolean interactive) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        const char *service;

        g_assert_cmpint(sd_bus_get_unique_name(f->service, &service), >=, 0);
        g_assert_cmpint(sd_bus_message_new_method_call(f->client, &call, service, "/test", "test.Test", "Act"), >=, 0);
        g_assert_cmpint(sd_bus_message_set_allow_interactive_authorization(call, interactive), >=, 0);
        g_assert_cmpint(sd_bus_call_async(f->client, NULL, call, on_reply, f, 0), >=, 0);
}

static void call_feed(Fixture *f, size_t size) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        const char *service;
        void *block;

        g_assert_cmpint(sd_bus_get_unique_name(f->service, &service), >=, 0);
        g_assert_cmpint(sd_bus_message_new_method_call(f->client, &call, service, "/test", "test.Test", "Feed"), >=,
                        0);
        g_assert_cmpint(sd_bus_message_append_array_space(call, 'y', size, &block), >=, 0);
        memset(block, 'x', size);
        g_assert_cmpint(sd_bus_message_set_allow_interactive_authorization(call, TRUE), >=, 0);
        g_assert_cmpint(sd_bus_call_async(f->client, NULL, call, on_reply, f, 0), >=, 0);
}

static void assert_denied(Fixture *f, const char *name, const char *part) {
        run_until(f->bus.event, f->replies == 1);
        g_assert_cmpstr(f->error_name, ==, name);
        if (!strstr(f->error_message, part))
                g_error("expected \"%s\" in \"%s\"", part, f->error_message);
        g_assert_true(g_str_has_suffix(f->error_message, " /test test.Test Act"));
        g_assert_cmpuint(f->done, ==, 0);
        g_assert_cmpuint(authorizer_pending(f->authorizer), ==, 0);
}

static void test_allowed(Fixture *f, gconstpointer data) {
        const char *client;

        call_act(f, FALSE);
        run_until(f->bus.event, f->replies == 1);
        g_assert_cmpstr(f->error_name, ==, NULL);
        g_assert_cmpuint(f->runs, ==, 2);
        g_assert_cmpuint(f->done, ==, 1);
        g_assert_cmpuint(f->asked, ==, 1);
        g_assert_cmpint(sd_bus_get_unique_name(f->client, &client), >=, 0);
        g_assert_cmpstr(f->subject, ==, client);
        g_assert_cmpstr(f->action, ==, ACTION_STOP);
        g_assert_cmpstr(f->details, ==, "request=Act: reason \"tea\";reason=tea;");
        g_assert_cmpuint(f->flags, ==, 0);
}

/* A verdict is good for one call. */
static void test_asked_for_each_call(Fixture *f, gconstpointer data) {
        call_act(f, FALSE);
        run_until(f->bus.event, f->replies == 1);
        f->answer = ANSWER_NO;
        call_act(f, FALSE);
        run_until(f->bus.event, f->replies == 2);
        g_assert_cmpstr(f->error_name, ==, ERROR_ACCESS_DENIED);
        g_assert_cmpuint(f->asked, ==, 2);
        g_assert_cmpuint(f->done, ==, 1);
}

static void test_refused(Fixture *f, gconstpointer data) {
        f->answer = ANSWER_NO;
        call_act(f, TRUE);
        assert_denied(f, ERROR_ACCESS_DENIED, ACTION_STOP);
        g_assert_cmpuint(f->flags, ==, 1);
}

static void test_challenge_without_interaction(Fixture *f, gconstpointer data) {
        f->answer = ANSWER_CHALLENGE;
        call_act(f, FALSE);
        assert_denied(f, ERROR_INTERACTION_REQUIRED, "authentication is required");
        g_assert_cmpuint(f->flags, ==, 0);
}

static void test_challenge_without_agent(Fixture *f, gconstpointer data) {
        f->answer = ANSWER_CHALLENGE;
        call_act(f, TRUE);
        assert_denied(f, ERROR_ACCESS_DENIED, "authentication is required");
}

static void test_error(Fixture *f, gconstpointer data) {
        f->answer = ANSWER_ERROR;
        call_act(f, FALSE);
        assert_denied(f, ERROR_ACCESS_DENIED, "cannot be understood");
}

static void test_rubbish(Fixture *f, gconstpointer data) {
        f->answer = ANSWER_RUBBISH;
        call_act(f, FALSE);
        assert_denied(f, ERROR_ACCESS_DENIED, "cannot be understood");
}

static void test_no_polkit(Fixture *f, gconstpointer data) {
        call_act(f, FALSE);
        assert_denied(f, ERROR_ACCESS_DENIED, "polkit is not there");
}

/* polkit dies over the question: the bus says so, and nobody waits for the time-out. */
static void test_polkit_dies(Fixture *f, gconstpointer data) {
        f->answer = ANSWER_NEVER;
        call_act(f, FALSE);
        run_until(f->bus.event, f->asked == 1);
        sd_bus_close(f->polkit);
        assert_denied(f, ERROR_ACCESS_DENIED, "did not answer");
}

static void test_caller_leaves(Fixture *f, gconstpointer data) {
        f->answer = ANSWER_NEVER;
        call_act(f, TRUE);
        run_until(f->bus.event, f->asked == 1);
        g_assert_cmpuint(authorizer_pending(f->authorizer), ==, 1);
        sd_bus_close(f->client);
        run_until(f->bus.event, f->cancelled == 1);
        g_assert_cmpstr(f->cancelled_id, ==, f->cancellation_id);
        g_assert_cmpuint(authorizer_pending(f->authorizer), ==, 0);
        g_assert_cmpuint(f->done, ==, 0);
}

/* It has left before the service even read its call: the match alone would wait for a signal that was sent already. */
static void test_caller_left_before(Fixture *f, gconstpointer data) {
        f->answer = ANSWER_NEVER;
        call_act(f, TRUE);
        sd_bus_flush_close_unref(steal(f->client));
        settle(f, f->polkit);
        run_until(f->bus.event, f->cancelled == 1);
        g_assert_cmpuint(authorizer_pending(f->authorizer), ==, 0);
}

static void test_what_it_is_about_changes(Fixture *f, gconstpointer data) {
        f->change = TRUE;
        call_act(f, FALSE);
        assert_denied(f, ERROR_ACCESS_DENIED, "changed meanwhile");
}

/* A handler that ends early the second time leaves a verdict that nobody fetches. */
static void test_verdict_that_nobody_fetches(Fixture *f, gconstpointer data) {
        f->forget = TRUE;
        call_act(f, FALSE);
        run_until(f->bus.event, f->replies == 1);
        g_assert_cmpstr(f->error_name, ==, ERROR_NO_SUCH_HOLD);
        f->forget = FALSE;
        f->runs = 0;
        for (unsigned i = 0; i < AUTHORIZE_PENDING_PER_SENDER_MAX * 2; i++) {
                call_act(f, FALSE);
                run_until(f->bus.event, f->replies == i + 2);
                g_assert_cmpstr(f->error_name, ==, NULL);
        }
}

static void test_ceiling_of_one_caller(Fixture *f, gconstpointer data) {
        f->answer = ANSWER_NEVER;
        for (unsigned i = 0; i <= AUTHORIZE_PENDING_PER_SENDER_MAX; i++)
                call_act(f, FALSE);
        run_until(f->bus.event, f->replies == 1);
        g_assert_cmpstr(f->error_name, ==, ERROR_LIMITS_EXCEEDED);
        g_assert_cmpuint(authorizer_pending(f->authorizer), ==, AUTHORIZE_PENDING_PER_SENDER_MAX);
}

/* Whoever opens more connections does not get more questions. */
static void test_ceiling_of_one_user(Fixture *f, gconstpointer data) {
        sd_bus *others[AUTHORIZE_PENDING_PER_USER_MAX / AUTHORIZE_PENDING_PER_SENDER_MAX], *own = f->client;

        f->answer = ANSWER_NEVER;
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
                f->client = others[i] = private_bus_connect(&f->bus);
                for (unsigned n = 0; n < AUTHORIZE_PENDING_PER_SENDER_MAX; n++)
                        call_act(f, FALSE);
        }
        run_until(f->bus.event, f->asked == AUTHORIZE_PENDING_PER_USER_MAX);
        f->client = own;
        call_act(f, FALSE);
        run_until(f->bus.event, f->replies == 1);
        g_assert_cmpstr(f->error_name, ==, ERROR_LIMITS_EXCEEDED);

        /* And room is made by those who leave. */
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                sd_bus_flush_close_unref(others[i]);
        run_until(f->bus.event, authorizer_pending(f->authorizer) == 0);
        f->answer = ANSWER_YES;
        call_act(f, FALSE);
        run_until(f->bus.event, f->replies == 2);
        g_assert_cmpstr(f->error_name, ==, NULL);
}

/* A person takes minutes, and an agent that does not answer as many as polkit is waited for. */
static void test_large_blocks_wait_for_no_person(Fixture *f, gconstpointer data) {
        f->answer = ANSWER_CHALLENGE;
        call_feed(f, AUTHORIZE_INTERACTIVE_BULK_MAX);
        run_until(f->bus.event, f->replies == 1);
        g_assert_cmpuint(f->flags, ==, 1);
        call_feed(f, AUTHORIZE_INTERACTIVE_BULK_MAX + 1);
        run_until(f->bus.event, f->replies == 2);
        g_assert_cmpuint(f->flags, ==, 0);
        g_assert_cmpstr(f->error_name, ==, ERROR_INTERACTION_REQUIRED);
        g_assert_nonnull(strstr(f->error_message, "this large does not wait"));
        f->answer = ANSWER_YES;
        call_feed(f, AUTHORIZE_INTERACTIVE_BULK_MAX + 1);
        run_until(f->bus.event, f->replies == 3);
        g_assert_cmpstr(f->error_name, ==, NULL);
}

static void test_ceiling_of_blocks(Fixture *f, gconstpointer data) {
        sd_bus *others[2], *own = f->client;

        f->answer = ANSWER_NEVER;
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
                f->client = others[i] = private_bus_connect(&f->bus);
                call_feed(f, CALLS_BULK_MAX / G_N_ELEMENTS(others));
        }
        run_until(f->bus.event, f->asked == G_N_ELEMENTS(others));
        f->client = own;
        call_feed(f, 1);
        run_until(f->bus.event, f->replies == 1);
        g_assert_cmpstr(f->error_name, ==, ERROR_LIMITS_EXCEEDED);

        /* Who brings no block waits, and room is made by those who leave. */
        call_act(f, FALSE);
        run_until(f->bus.event, f->asked == G_N_ELEMENTS(others) + 1);
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                sd_bus_flush_close_unref(others[i]);
        run_until(f->bus.event, authorizer_pending(f->authorizer) == 1);
        f->answer = ANSWER_YES;
        call_feed(f, 1);
        run_until(f->bus.event, f->replies == 2);
        g_assert_cmpstr(f->error_name, ==, NULL);
}

/* Where the authorizer ends first, polkit is told to take its dialogue away. */
static void test_end(Fixture *f, gconstpointer data) {
        f->answer = ANSWER_NEVER;
        call_act(f, TRUE);
        run_until(f->bus.event, f->asked == 1);
        f->authorizer = authorizer_free(f->authorizer);
        run_until(f->bus.event, f->cancelled == 1);
}

static void assert_alternative(const char *object, const char *interface, const char *member, const char *expected) {
        g_autofree char *alternative = method_alternative(SNOOZE_NAME, object, interface, member);

        g_assert_cmpstr(alternative, ==, expected);
}

static void test_what_to_type_instead(void) {
        assert_alternative(SNOOZE_PATH, SNOOZE_MANAGER_INTERFACE, "Resume", "sudo snooze resume");
        assert_alternative(SNOOZE_PLUGIN_PATH "/gpu_2dmonitor", SNOOZE_PLUGIN_INTERFACE, "Enable",
                           "sudo snooze plugin enable gpu-monitor");
        assert_alternative(SNOOZE_PLUGIN_PATH "/x", SNOOZE_PLUGIN_INTERFACE, "Restart",
                           "sudo snooze plugin restart x");
        assert_alternative(SNOOZE_PATH, SNOOZE_MANAGER_INTERFACE, "EmitEvent", "sudo snooze event emit TYPE");
        assert_alternative(SNOOZE_PROVIDER_PATH "/x", SNOOZE_PROVIDER_INTERFACE, "StartInstance",
                           "sudo snooze start --provider x INSTANCE");
        assert_alternative(SNOOZE_PATH, SNOOZE_MANAGER_INTERFACE, "UnloadPlugin",
                           "sudo busctl call " SNOOZE_NAME " " SNOOZE_PATH " " SNOOZE_MANAGER_INTERFACE
                           " UnloadPlugin s ID");
        assert_alternative(SNOOZE_PROVIDER_PATH "/x", SNOOZE_PROVIDER_INTERFACE, "SetTags",
                           "sudo busctl call " SNOOZE_NAME " " SNOOZE_PROVIDER_PATH "/x " SNOOZE_PROVIDER_INTERFACE
                           " SetTags 'a{ss}' 1 KEY VALUE");
        assert_alternative("/x", "org.example.Other", "Do",
                           "sudo busctl call " SNOOZE_NAME " /x org.example.Other Do");
}

static void test_every_method_is_found(void) {
        for (const MethodAction *entry = method_actions; entry->interface; entry++)
                g_assert_true(method_action_find(entry->interface, entry->member) == entry);
        g_assert_null(method_action_find(SNOOZE_MANAGER_INTERFACE, "FormatDisk"));
}

#define ADD(name, function, data) g_test_add("/authorize/" name, Fixture, data, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(errors_register(), >=, 0);
        ADD("allowed", test_allowed, NULL);
        ADD("asked-for-each-call", test_asked_for_each_call, NULL);
        ADD("refused", test_refused, NULL);
        ADD("challenge-without-interaction", test_challenge_without_interaction, NULL);
        ADD("challenge-without-agent", test_challenge_without_agent, NULL);
        ADD("error", test_error, NULL);
        ADD("rubbish", test_rubbish, NULL);
        ADD("no-polkit", test_no_polkit, "no polkit");
        ADD("polkit-dies", test_polkit_dies, NULL);
        ADD("caller-leaves", test_caller_leaves, NULL);
        ADD("caller-left-before", test_caller_left_before, NULL);
        ADD("what-it-is-about-changes", test_what_it_is_about_changes, NULL);
        ADD("verdict-that-nobody-fetches", test_verdict_that_nobody_fetches, NULL);
        ADD("ceiling-of-one-caller", test_ceiling_of_one_caller, NULL);
        ADD("ceiling-of-one-user", test_ceiling_of_one_user, NULL);
        ADD("large-blocks-wait-for-no-person", test_large_blocks_wait_for_no_person, NULL);
        ADD("ceiling-of-blocks", test_ceiling_of_blocks, NULL);
        ADD("end", test_end, NULL);
        g_test_add_func("/authorize/what-to-type-instead", test_what_to_type_instead);
        g_test_add_func("/authorize/every-method-is-found", test_every_method_is_found);
        return g_test_run();
}
