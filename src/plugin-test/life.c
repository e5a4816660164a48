/* SPDX-License-Identifier: Apache-2.0 */

/* Greeting, configuration, and all the ways to leave. */

#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "bus/dictionary.h"
#include "daemon/answer/reply.h"
#include "plugin-test/trial.h"

#define HANDSHAKE_WAIT (10 * USEC_PER_SEC)
#define HOST_EXIT_ENVIRONMENT "SNOOZE_HOST_EXIT=1"
#define HOST_EXIT_WAIT (60 * USEC_PER_SEC)
#define DESCRIBE_WAIT (5 * USEC_PER_SEC)
#define END_WAIT (2 * USEC_PER_SEC)
#define LEEWAY (5 * USEC_PER_SEC)
#define MEMORY_MAX_KB (64U * 1024U) /* of the unit where the manifest asks for none */
#define API_OF_NOBODY 99U

uint64_t trial_timeout(const Trial *trial, PluginTimeout which) {
        return trial->manifest->timeouts[which];
}

const char *call_problem(const sd_bus_error *error, int r) {
        return error->message ? error->message : g_strerror(r < 0 ? -r : EIO);
}

gboolean call_refused(const sd_bus_error *error, const char *name) {
        return sd_bus_error_has_name(error, name);
}

static double milliseconds(uint64_t since) {
        return (double) (clock_monotonic() - since) / (double) USEC_PER_MSEC;
}

int trial_initialize(const Trial *trial, const Subject *subject, const char *member, JsonObject *config,
                     sd_bus_error *error) {
        g_auto(GStrv) hints = schema_hints(trial->manifest->schema);
        _cleanup_bus_message_ sd_bus_message *message = NULL;
        int r;

        r = subject_message(subject, "", member, &message);
        if (r < 0)
                return r;
        r = dictionary_append(message, config, config == trial->config ? (const char *const *) hints : NULL);
        if (r < 0)
                return r;
        return subject_send(subject, trial_timeout(trial, TIMEOUT_INITIALIZE), message, error, NULL);
}

int trial_greet(const Trial *trial, const Subject *subject, sd_bus_error *error) {
        int r;

        r = subject_call(subject, trial_timeout(trial, TIMEOUT_INITIALIZE), "", "Handshake", error, NULL, "us",
                         PLUGIN_API_VERSION, PACKAGE_VERSION);
        return r < 0 ? r : trial_initialize(trial, subject, "Initialize", trial->config, error);
}

gboolean trial_alive(Trial *trial, Subject *subject, const char *check, const char *after) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autofree char *end = NULL;
        int r;

        r = subject_call(subject, trial_timeout(trial, TIMEOUT_CHECK), "", "Ping", &error, NULL, NULL);
        if (r >= 0)
                return TRUE;
        /* The name goes first: its process may take a moment more to end. */
        (void) subject_wait_exit(subject, END_WAIT);
        end = subject_end(subject);
        report_failed(trial->report, check, "after %s it answers no Ping (%s): it %s", after, call_problem(&error, r),
                      end);
        return FALSE;
}

static Subject *start(Trial *trial, const char *check, const char *const *environment, const char *other) {
        g_autoptr(Subject) subject = NULL;
        g_autoptr(GError) error = NULL;
        g_autofree char *end = NULL;

        subject = subject_new(trial->host, trial->manifest, NULL, environment, &error);
        if (!subject) {
                report_failed(trial->report, check, "%s", error->message);
                return NULL;
        }
        if (subject_wait_name(subject, other, trial_timeout(trial, TIMEOUT_START)))
                return g_steal_pointer(&subject);
        end = subject_end(subject);
        report_failed(trial->report, check, "it does not own " PLUGIN_NAME_PREFIX "%s, and %s", trial->manifest->id,
                      end);
        return NULL;
}

Subject *trial_start(Trial *trial, const char *check) {
        g_autoptr(Subject) subject = start(trial, check, NULL, NULL);
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        if (!subject)
                return NULL;
        r = trial_greet(trial, subject, &error);
        if (r >= 0)
                return g_steal_pointer(&subject);
        report_failed(trial->report, check, "it was not to be initialized: %s", call_problem(&error, r));
        return NULL;
}

static gboolean agrees(JsonObject *described, const char *key, const char *expected, GString *differences) {
        const char *value = json_get_string(described, key, NULL);

        if (!value || g_str_equal(value, expected))
                return TRUE;
        g_string_append_printf(differences, "%s%s: the program says %s, the manifest %s",
                               differences->len > 0 ? "; " : "", key, value, expected);
        return FALSE;
}

static void compare_settings(const Trial *trial, JsonObject *described, GString *differences) {
        JsonObject *settings = json_get_object(described, "settings");
        GPtrArray *declared = schema_settings(trial->manifest->schema);
        JsonObjectIter iter;
        const char *name;

        if (!settings || json_object_get_size(settings) == 0)
                return; /* it looks at its configuration itself */
        for (guint i = 0; i < declared->len; i++) {
                const Setting *setting = g_ptr_array_index(declared, i);

                if (!json_object_has_member(settings, setting->name))
                        g_string_append_printf(differences, "%sthe program knows no setting %s",
                                               differences->len > 0 ? "; " : "", setting->name);
        }
        json_object_iter_init(&iter, settings);
        while (json_object_iter_next(&iter, &name, NULL))
                if (!schema_find(trial->manifest->schema, name))
                        g_string_append_printf(differences, "%sconfig_schema lacks the program's setting %s",
                                               differences->len > 0 ? "; " : "", name);
}

/* What a plugin of the SDK says of itself; others need not. One that takes no notice of the option finds no bus. */
static JsonNode *describe(Trial *trial) {
        static const char *const environment[] = { "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent", NULL };
        g_autoptr(Subject) subject = subject_new(trial->host, trial->manifest, "--describe", environment, NULL);
        g_autofree char *text = NULL;
        JsonNode *node;

        if (!subject || !subject_wait_exit(subject, DESCRIBE_WAIT) || subject->status != 0)
                return NULL;
        text = subject_read_log(subject);
        node = json_text_parse("--describe", text, -1, NULL);
        if (node && !JSON_NODE_HOLDS_OBJECT(node))
                g_clear_pointer(&node, json_node_unref);
        return node;
}

void check_description(Trial *trial) {
        g_autoptr(GString) differences = g_string_new(NULL);
        g_autoptr(JsonNode) node = describe(trial);
        JsonObject *described;

        if (!node) {
                report_skipped(trial->report, "describe", "--describe says nothing");
                return;
        }
        described = json_node_get_object(node);
        agrees(described, "name", trial->manifest->id, differences);
        agrees(described, "version", trial->manifest->version, differences);
        compare_settings(trial, described, differences);
        if (differences->len > 0)
                report_failed(trial->report, "describe", "%s", differences->str);
        else
                report_passed(trial->report, "describe", "program and manifest agree");
}

static gboolean lists_equal(JsonArray *told, char **declared) {
        if (!told || json_array_get_length(told) != g_strv_length(declared))
                return FALSE;
        for (guint i = 0; i < json_array_get_length(told); i++)
                if (!g_strv_contains((const char *const *) declared, json_array_get_string_element(told, i)))
                        return FALSE;
        return TRUE;
}

/* What the daemon does without, and an author should not. NULL: nothing. */
static const char *info_problem(const Manifest *manifest, JsonObject *info) {
        static const char *const words[] = { "none", "kept", "live", NULL };

        if (!json_get_string(info, "id", NULL))
                return "does not say which plugin it is";
        if (!json_get_string(info, "version", NULL))
                return "does not say its version";
        if (!lists_equal(json_get_array(info, "contracts"), manifest->contracts))
                return "has other contracts than the manifest";
        if (manifest_has_contract(manifest, "State") && !g_strv_contains(words, json_get_string(info, "state", "")))
                return "has the contract State, and does not say what state it has: expected none, kept or live";
        return NULL;
}

/* Returns the API that it speaks; 0: unknown. */
static uint32_t check_info(Trial *trial, sd_bus_message *reply) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autofree char *problem = NULL, *version = NULL;
        g_autoptr(JsonObject) info = NULL;
        const char *unsaid;
        uint32_t api = 0;
        StateHeld held;
        int r;

        if (reply_read_greeting(trial->manifest, reply, &held, &version, &problem) != 0) {
                report_failed(trial->report, "handshake", "it %s", problem);
                return 0;
        }
        r = sd_bus_message_rewind(reply, true);
        if (r >= 0)
                r = sd_bus_message_read_basic(reply, 'u', &api);
        if (r >= 0)
                r = dictionary_read(reply, &dictionary_limits_default, &info, &error);
        unsaid = r < 0 ? call_problem(&error, r) : info_problem(trial->manifest, info);
        if (unsaid)
                report_failed(trial->report, "handshake", "it %s", unsaid);
        else
                report_passed(trial->report, "handshake", "API %u, version %s", api, trial->manifest->version);
        return api;
}

/* That host would serve it. */
static void report_next(Trial *trial, sd_bus_message *reply, const sd_bus_error *error, int r) {
        uint32_t api = 0;

        if (r < 0)
                report_failed(trial->report, "next API",
                              "a host of API %u, which serves plugins of API %u, is refused: %s",
                              PLUGIN_API_VERSION + 1, PLUGIN_API_VERSION, call_problem(error, r));
        else if (!sd_bus_message_has_signature(reply, "ua{sv}") || sd_bus_message_read_basic(reply, 'u', &api) < 0)
                report_failed(trial->report, "next API", "a host of API %u is answered with rubbish: not (u, a{sv})",
                              PLUGIN_API_VERSION + 1);
        /* That host would take it for what it is not. */
        else if (api != PLUGIN_API_VERSION)
                report_failed(trial->report, "next API",
                              "a host of API %u is answered with API %u, expected the plugin's own, %u",
                              PLUGIN_API_VERSION + 1, api, PLUGIN_API_VERSION);
        else
                report_passed(trial->report, "next API", "a host of API %u is served", PLUGIN_API_VERSION + 1);
}

static void expect_refusal(Trial *trial, const char *check, const char *name, const char *what,
                           const sd_bus_error *error, int r) {
        if (r >= 0)
                report_failed(trial->report, check, "%s is accepted, expected %s", what, name);
        else if (!call_refused(error, name))
                report_failed(trial->report, check, "%s is answered by %s (%s), expected %s", what,
                              error->name ? error->name : "nothing", call_problem(error, r), name);
        else
                report_passed(trial->report, check, "%s is refused: %s", what, error->message);
}

/* The first that serves no plugin of this API any more, and one far off. */
static void check_foreign(Trial *trial, const Subject *subject) {
        static const uint32_t apis[] = { PLUGIN_API_VERSION + 2, API_OF_NOBODY };

        for (size_t i = 0; i < G_N_ELEMENTS(apis); i++) {
                _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
                g_autofree char *what = g_strdup_printf("a host of API %u", apis[i]);
                int r;

                r = subject_call(subject, trial_timeout(trial, TIMEOUT_INITIALIZE), "", "Handshake", &error, NULL,
                                 "us", apis[i], PACKAGE_VERSION);
                expect_refusal(trial, "foreign API", ERROR_UNSUPPORTED_API, what, &error, r);
        }
}

/* The first method of its contracts that changes nothing. */
static int call_early(const Trial *trial, const Subject *subject, sd_bus_error *error) {
        uint64_t timeout = trial_timeout(trial, TIMEOUT_CHECK);

        if (manifest_has_contract(trial->manifest, "IdleCheck"))
                return subject_call(subject, timeout, ".IdleCheck", "CheckIdle", error, NULL, "a{sv}", 0);
        if (manifest_has_contract(trial->manifest, "State"))
                return subject_call(subject, timeout, ".State", "ExportState", error, NULL, NULL);
        if (manifest_has_contract(trial->manifest, "CloudProvider"))
                return subject_call(subject, timeout, ".CloudProvider", "Detect", error, NULL, NULL);
        return subject_call(subject, timeout, "", "Configure", error, NULL, "a{sv}", 0);
}

Subject *check_start(Trial *trial) {
        g_autoptr(Subject) subject = start(trial, "start", NULL, NULL);
        _cleanup_bus_error_ sd_bus_error next = SD_BUS_ERROR_NULL, early = SD_BUS_ERROR_NULL,
                                         error = SD_BUS_ERROR_NULL;
        _cleanup_bus_message_ sd_bus_message *next_reply = NULL, *reply = NULL;
        uint64_t timeout = trial_timeout(trial, TIMEOUT_INITIALIZE);
        int r, answered;

        if (!subject)
                return NULL;
        report_measured(trial->report, "start_ms", milliseconds(subject->started));
        report_passed(trial->report, "start", "owns its name after %.1f ms", milliseconds(subject->started));

        check_foreign(trial, subject);
        /* Before the one that it is to remember. */
        answered = subject_call(subject, timeout, "", "Handshake", &next, &next_reply, "us", PLUGIN_API_VERSION + 1,
                                PACKAGE_VERSION);
        r = subject_call(subject, timeout, "", "Handshake", &error, &reply, "us", PLUGIN_API_VERSION, PACKAGE_VERSION);
        if (r < 0) {
                report_failed(trial->report, "handshake", "%s%s",
                              answered < 0 ? "" : "greeted again: ", call_problem(&error, r));
                return NULL;
        }
        /* One of the API before has no place there. */
        if (check_info(trial, reply) == PLUGIN_API_VERSION)
                report_next(trial, next_reply, &next, answered);
        r = call_early(trial, subject, &early);
        expect_refusal(trial, "order", ERROR_NOT_INITIALIZED, "a contract before Initialize", &early, r);

        r = trial_initialize(trial, subject, "Initialize", trial->config, &error);
        if (r < 0) {
                report_failed(trial->report, "initialize", "its own configuration is refused: %s",
                              call_problem(&error, r));
                return NULL;
        }
        report_passed(trial->report, "initialize", "%u settings, %.1f ms after its start",
                      json_object_get_size(trial->config), milliseconds(subject->started));
        return g_steal_pointer(&subject);
}

/* A value that this setting cannot have: NULL where none comes to mind. */
static JsonNode *wrong_value(const Setting *setting, gboolean typed) {
        JsonNode *node = json_node_new(JSON_NODE_VALUE);

        if (!typed && setting->type == SETTING_STRING)
                json_node_set_int(node, 12345);
        else if (!typed)
                json_node_set_string(node, setting->type == SETTING_LIST ? "no list" : "neither");
        else if (setting->has_range && isfinite(setting->maximum))
                json_node_set_double(node, floor(setting->maximum) + 1);
        else if (setting->has_range)
                json_node_set_double(node, ceil(setting->minimum) - 1);
        else if (setting->type == SETTING_STRING && setting->choices)
                json_node_set_string(node, "none of these");
        else if (setting->type == SETTING_STRING && setting->pattern &&
                 !g_regex_match(setting->pattern, "\t", 0, NULL))
                json_node_set_string(node, "\t");
        else
                g_clear_pointer(&node, json_node_unref);
        return node;
}

static gboolean refuses(Trial *trial, Subject *subject, const char *name, JsonNode *value) {
        g_autofree char *shown = json_text_compact(value);
        g_autofree char *what = g_strdup_printf("%s: %s", name, shown);
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autoptr(JsonObject) config = json_object_new();
        int r;

        json_object_set_member(config, name, json_node_ref(value));
        r = trial_initialize(trial, subject, "Configure", config, &error);
        if (r < 0 && call_refused(&error, ERROR_INVALID_ARGUMENT))
                return TRUE;
        expect_refusal(trial, "configuration", ERROR_INVALID_ARGUMENT, what, &error, r);
        return FALSE;
}

static gboolean refuses_all(Trial *trial, Subject *subject, unsigned *n) {
        GPtrArray *settings = schema_settings(trial->manifest->schema);
        g_autoptr(JsonNode) value = json_node_init_boolean(json_node_alloc(), TRUE);
        gboolean all = refuses(trial, subject, "no-such-setting", value);

        *n = 1;
        for (guint i = 0; i < 2 * settings->len; i++) {
                const Setting *setting = g_ptr_array_index(settings, i / 2);
                g_autoptr(JsonNode) wrong = wrong_value(setting, i % 2);

                if (!wrong)
                        continue;
                all = refuses(trial, subject, setting->name, wrong) && all;
                (*n)++;
        }
        return all;
}

void check_configuration(Trial *trial, Subject *subject) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        unsigned n;
        int r;

        if (refuses_all(trial, subject, &n))
                report_passed(trial->report, "configuration", "refuses all of %u wrong ones", n);
        r = trial_initialize(trial, subject, "Configure", trial->config, &error);
        if (r < 0)
                report_failed(trial->report, "configure", "the right one is refused: %s", call_problem(&error, r));
        else
                report_passed(trial->report, "configure", "takes the right one again");
}

void check_memory(Trial *trial, Subject *subject, const char *check, const char *name) {
        uint64_t used = subject_memory(subject);
        uint64_t limit = trial->manifest->memory_max > 0 ? trial->manifest->memory_max / 1024 : MEMORY_MAX_KB;

        if (used == 0) {
                report_skipped(trial->report, check, "this kernel tells no PSS");
                return;
        }
        report_measured(trial->report, name, (double) used);
        report_add(trial->report, used <= limit ? FINDING_PASSED : FINDING_FAILED, check, "%.1f MB (PSS) of %.0f MB",
                   (double) used / 1024, (double) limit / 1024);
}

static void check_same_slot(Trial *trial, Subject *subject) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Subject) second = subject_new(trial->host, trial->manifest, NULL, NULL, &error);
        g_autofree char *end = NULL;

        if (!second) {
                report_failed(trial->report, "second instance", "%s", error->message);
                return;
        }
        if (!subject_wait_exit(second, HANDSHAKE_WAIT / 2))
                report_failed(trial->report, "second instance",
                              "a second one in the same slot runs on, expected it to end");
        else if (WIFEXITED(second->status) && WEXITSTATUS(second->status) == 0)
                report_failed(trial->report, "second instance",
                              "a second one in the same slot ends without a failure");
        else {
                end = subject_end(second);
                report_passed(trial->report, "second instance", "a second one in the same slot %s", end);
        }
        (void) trial_alive(trial, subject, "second instance", "a second instance");
}

static void check_other_slot(Trial *trial, const Subject *subject) {
        static const char *const environment[] = { "SNOOZE_SLOT=b", NULL };
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autoptr(Subject) second = start(trial, "hot-swap", environment, subject->owner);
        int r;

        if (!second)
                return;
        r = trial_greet(trial, second, &error);
        if (r < 0)
                report_failed(trial->report, "hot-swap", "in slot b it was not to be initialized: %s",
                              call_problem(&error, r));
        else
                report_passed(trial->report, "hot-swap", "in slot b it serves beside the other");
}

void check_second_instance(Trial *trial, Subject *subject) {
        check_same_slot(trial, subject);
        check_other_slot(trial, subject);
}

static void expect_exit(Trial *trial, Subject *subject, const char *check, const char *what, uint64_t timeout) {
        g_autofree char *end = NULL;
        gboolean left = subject_wait_exit(subject, timeout);

        end = subject_end(subject);
        report_add(trial->report,
                   left && WIFEXITED(subject->status) && WEXITSTATUS(subject->status) == 0 ? FINDING_PASSED
                                                                                           : FINDING_FAILED,
                   check, "after %s it %s", what, end);
}

void check_shutdown(Trial *trial, Subject *subject) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        int r;

        r = subject_call(subject, trial_timeout(trial, TIMEOUT_SHUTDOWN), "", "Shutdown", &error, NULL, NULL);
        if (r < 0)
                report_failed(trial->report, "shutdown", "%s", call_problem(&error, r));
        else
                expect_exit(trial, subject, "shutdown", "Shutdown", trial_timeout(trial, TIMEOUT_SHUTDOWN));
}

void check_signal(Trial *trial) {
        g_autoptr(Subject) subject = trial_start(trial, "SIGTERM");

        if (!subject)
                return;
        (void) kill(subject->pid, SIGTERM);
        expect_exit(trial, subject, "SIGTERM", "SIGTERM", trial_timeout(trial, TIMEOUT_SHUTDOWN));
}

void check_host_gone(Trial *trial) {
        static const char *const environment[] = { HOST_EXIT_ENVIRONMENT, NULL };
        g_autoptr(Subject) subject = start(trial, "host gone", environment, NULL);
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus *own = trial->host->bus;
        sd_bus *other;
        int r;

        if (!subject)
                return;
        r = host_connect(trial->host, &other);
        if (r >= 0) {
                trial->host->bus = other;
                r = trial_greet(trial, subject, &error);
                trial->host->bus = own;
                sd_bus_flush_close_unref(other);
        }
        if (r < 0)
                report_failed(trial->report, "host gone", "it was not to be initialized: %s", call_problem(&error, r));
        else
                expect_exit(trial, subject, "host gone", "the end of its host", clock_bound(HOST_EXIT_WAIT) + LEEWAY);
}

/* It began to wait when the checks began. */
void check_not_wanted(Trial *trial, Subject *subject) {
        uint64_t end = subject->started + HANDSHAKE_WAIT + LEEWAY;

        expect_exit(trial, subject, "not wanted", "10 s without a greeting",
                    usec_sub(end, clock_monotonic()) + USEC_PER_MSEC);
}
