/* SPDX-License-Identifier: Apache-2.0 */

/* What the client library adds to the generated proxies: ids from paths, and what an error means to a person. */

#include "client/client.h"

static void assert_id(const char *path, const char *expected) {
        g_autofree char *id = snooze_client_path_id(path);

        g_assert_cmpstr(id, ==, expected);
}

static void test_id_of_a_path(void) {
        assert_id(SNOOZE_CLIENT_PATH "/plugin/sessions", "sessions");
        assert_id(SNOOZE_CLIENT_PATH "/plugin/gpu_2dmonitor", "gpu-monitor");
        assert_id(SNOOZE_CLIENT_PATH "/plugin/_39lives", "9lives");
        assert_id(SNOOZE_CLIENT_PATH "/plugin/odd_2", "odd_2");
        assert_id("/", NULL);
        assert_id("", NULL);
        assert_id(NULL, NULL);
        assert_id(SNOOZE_CLIENT_PATH "/plugin/", NULL);
        assert_id("/org/somebody/else", NULL);
}

static GError *remote(const char *name) {
        return g_dbus_error_new_for_dbus_error(name, "what the daemon wrote");
}

static void assert_outcome(const char *name, SnoozeClientOutcome expected) {
        g_autoptr(GError) error = remote(name);

        g_assert_cmpint(snooze_client_error_outcome(error), ==, expected);
}

static void test_outcome_of_an_error(void) {
        assert_outcome("org.freedesktop.DBus.Error.AccessDenied", SNOOZE_CLIENT_REFUSED);
        assert_outcome("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", SNOOZE_CLIENT_REFUSED);
        assert_outcome(SNOOZE_CLIENT_ERROR_PREFIX "Held", SNOOZE_CLIENT_REFUSED);
        assert_outcome(SNOOZE_CLIENT_ERROR_PREFIX "TooLate", SNOOZE_CLIENT_REFUSED);
        assert_outcome(SNOOZE_CLIENT_ERROR_PREFIX "NotApproved", SNOOZE_CLIENT_REFUSED);
        assert_outcome(SNOOZE_CLIENT_ERROR_PREFIX "InvalidArgument", SNOOZE_CLIENT_FAILED);
        assert_outcome(SNOOZE_CLIENT_ERROR_PREFIX "NoSuchPlugin", SNOOZE_CLIENT_FAILED);
        assert_outcome("org.freedesktop.DBus.Error.ServiceUnknown", SNOOZE_CLIENT_UNREACHABLE);
        assert_outcome("org.freedesktop.DBus.Error.NoReply", SNOOZE_CLIENT_UNREACHABLE);
        assert_outcome("org.freedesktop.DBus.Error.Spawn.ChildExited", SNOOZE_CLIENT_UNREACHABLE);
        assert_outcome("org.freedesktop.systemd1.UnitMasked", SNOOZE_CLIENT_UNREACHABLE);
}

static void test_errors_of_our_own_side(void) {
        g_autoptr(GError) io = g_error_new(G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "no socket");
        g_autoptr(GError) other = g_error_new(G_FILE_ERROR, G_FILE_ERROR_NOENT, "no file");

        g_assert_cmpint(snooze_client_error_outcome(io), ==, SNOOZE_CLIENT_UNREACHABLE);
        g_assert_cmpint(snooze_client_error_outcome(other), ==, SNOOZE_CLIENT_FAILED);
        g_assert_false(snooze_client_error_is(io, "Held"));
}

static void test_name_and_message(void) {
        g_autoptr(GError) error = remote(SNOOZE_CLIENT_ERROR_PREFIX "Held");
        g_autofree char *message = snooze_client_error_message(error);

        g_assert_true(snooze_client_error_is(error, "Held"));
        g_assert_false(snooze_client_error_is(error, "Hel"));
        g_assert_cmpstr(message, ==, "what the daemon wrote");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/client/path-id", test_id_of_a_path);
        g_test_add_func("/client/outcome", test_outcome_of_an_error);
        g_test_add_func("/client/own-errors", test_errors_of_our_own_side);
        g_test_add_func("/client/message", test_name_and_message);
        return g_test_run();
}
