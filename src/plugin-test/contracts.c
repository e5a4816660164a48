/* SPDX-License-Identifier: Apache-2.0 */

/* Every contract that the manifest declares: the interface is there as its XML has it, and answers as the daemon
 * expects, which is what reads the answers here, too (daemon/answer). What would stop a machine is never called. */

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <gio/gio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/names.h"
#include "bus/dictionary.h"
#include "daemon/answer/check.h"
#include "daemon/answer/cloud.h"
#include "daemon/answer/reply.h"
#include "daemon/answer/sizes.h"
#include "plugin-test/interfaces.h"
#include "plugin-test/trial.h"
#include "util/json.h"

#define STREAM_BYTES (8U * 1024U * 1024U)

static const struct {
        const char *contract; /* NULL: every plugin's */
        const GDBusInterfaceInfo *interface;
} interfaces[] = {
        { NULL, &io_cloudsnooze_plugin1_interface },
        { "IdleCheck", &io_cloudsnooze_plugin1_idle_check_interface },
        { "EventHandler", &io_cloudsnooze_plugin1_event_handler_interface },
        { "EventSource", &io_cloudsnooze_plugin1_event_source_interface },
        { "CloudProvider", &io_cloudsnooze_plugin1_cloud_provider_interface },
        { "State", &io_cloudsnooze_plugin1_state_interface },
        { "DataProcessor", &io_cloudsnooze_plugin1_data_processor_interface },
        { "RequestHandler", &io_cloudsnooze_plugin1_request_handler_interface },
};

/* A plugin without them is called over the bus, and on blocks. */
static const char *const optional_methods[] = { "OpenChannel", "ProcessStream", "AbandonStream", NULL };

static char *signature_of(GDBusArgInfo **arguments) {
        GString *signature = g_string_new(NULL);

        for (; arguments && *arguments; arguments++)
                g_string_append(signature, (*arguments)->signature);
        return g_string_free(signature, FALSE);
}

static gboolean arguments_equal(GDBusArgInfo **a, GDBusArgInfo **b) {
        g_autofree char *first = signature_of(a), *second = signature_of(b);

        return g_str_equal(first, second);
}

/* What is missing or different, NULL: nothing. */
static char *interface_difference(const GDBusInterfaceInfo *declared, GDBusInterfaceInfo *live) {
        for (GDBusMethodInfo **method = declared->methods; method && *method; method++) {
                const GDBusMethodInfo *served = g_dbus_interface_info_lookup_method(live, (*method)->name);

                if (!served && g_strv_contains(optional_methods, (*method)->name))
                        continue;
                if (!served || !arguments_equal((*method)->in_args, served->in_args) ||
                    !arguments_equal((*method)->out_args, served->out_args))
                        return g_strdup_printf("%s is %s", (*method)->name,
                                               served ? "declared with other arguments" : "missing");
        }
        for (GDBusPropertyInfo **property = declared->properties; property && *property; property++) {
                const GDBusPropertyInfo *served = g_dbus_interface_info_lookup_property(live, (*property)->name);

                if (!served || !g_str_equal(served->signature, (*property)->signature))
                        return g_strdup_printf("property %s is %s", (*property)->name,
                                               served ? "of another type" : "missing");
        }
        return NULL;
}

static GDBusNodeInfo *introspect(const Trial *trial, const Subject *subject, GError **error) {
        _cleanup_bus_message_ sd_bus_message *message = NULL, *reply = NULL;
        _cleanup_bus_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        const char *xml;
        int r;

        r = sd_bus_message_new_method_call(subject_bus(subject), &message, subject_peer(subject), PLUGIN_PATH,
                                           "org.freedesktop.DBus.Introspectable", "Introspect");
        if (r >= 0)
                r = subject_send(subject, trial_timeout(trial, TIMEOUT_CHECK), message, &e, &reply);
        if (r >= 0)
                r = sd_bus_message_read_basic(reply, 's', &xml);
        if (r >= 0)
                return g_dbus_node_info_new_for_xml(xml, error);
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "it cannot be introspected: %s", call_problem(&e, r));
        return NULL;
}

void check_interfaces(Trial *trial, Subject *subject) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GDBusNodeInfo) node = introspect(trial, subject, &error);

        if (!node) {
                report_failed(trial->report, "interfaces", "%s", error->message);
                return;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(interfaces); i++) {
                const GDBusInterfaceInfo *declared = interfaces[i].interface;
                GDBusInterfaceInfo *live = g_dbus_node_info_lookup_interface(node, declared->name);
                gboolean wanted =
                        !interfaces[i].contract || manifest_has_contract(trial->manifest, interfaces[i].contract);
                g_autofree char *difference = live && wanted ? interface_difference(declared, live) : NULL;

                if (wanted && !live)
                        report_failed(trial->report, "interfaces", "%s is not served", declared->name);
                else if (!wanted && live)
                        report_failed(trial->report, "interfaces",
                                      "%s is served, and not among the manifest's contracts", declared->name);
                else if (difference)
                        report_failed(trial->report, "interfaces", "%s: %s", declared->name, difference);
                else if (wanted)
                        report_passed(trial->report, "interfaces", "%s", declared->name);
        }
}

/* IdleCheck */

/* The daemon takes it, and its author did not mean it. NULL: nothing. */
static const char *vote_problem(const char *reason) {
        if (!*reason)
                return "gave an empty reason";
        return strchr(reason, '\n') ? "gave a reason of more than one line" : NULL;
}

static const char *activity_problem(JsonObject *details) {
        return json_get_int(details, "last_activity", 0) > g_get_real_time()
                       ? "gave a last_activity that lies in the future: expected µs since the epoch"
                       : NULL;
}

static const char *details_problem(JsonObject *details) {
        JsonArray *votes = json_get_array(details, "votes");
        const char *problem = activity_problem(details);

        for (guint i = 0; !problem && votes && i < json_array_get_length(votes); i++) {
                JsonObject *vote = json_array_get_object_element(votes, i);

                problem = vote_problem(json_get_string(vote, "reason", "")) ?: activity_problem(vote);
        }
        return problem;
}

static char *verdict_problem(const Trial *trial, uint64_t begun, sd_bus_message *reply, char **ret_verdict) {
        _cleanup_(check_answer_clear) CheckAnswer answer = {};
        g_autofree char *problem = NULL;
        const char *reason, *unmeant;
        const Vote *own;
        int r;

        r = check_answer_read(trial->manifest->id, reply, begun, clock_monotonic(), clock_realtime(), &answer,
                              &problem);
        if (r < 0)
                return g_strdup_printf("it %s", problem);
        r = sd_bus_message_rewind(reply, true);
        if (r >= 0)
                r = sd_bus_message_read(reply, "ss", NULL, &reason);
        if (r < 0)
                return g_strdup(g_strerror(-r));
        own = g_ptr_array_index(answer.votes, 0);
        unmeant = vote_problem(reason) ?: details_problem(own->details);
        if (unmeant)
                return g_strdup_printf("it %s", unmeant);
        *ret_verdict = g_strdup_printf("%s (%s)", verdict_name(own->verdict), own->reason);
        return NULL;
}

/* One question; the answer's text, or NULL and *problem. */
static char *ask(const Trial *trial, const Subject *subject, JsonObject *metrics, char **problem) {
        static const char *const hints[] = { "timestamp", "t", NULL };
        _cleanup_bus_message_ sd_bus_message *message = NULL, *reply = NULL;
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        uint64_t begun = clock_monotonic();
        char *verdict = NULL;
        int r;

        r = subject_message(subject, ".IdleCheck", "CheckIdle", &message);
        if (r >= 0)
                r = dictionary_append(message, metrics, hints);
        if (r >= 0)
                r = subject_send(subject, trial_timeout(trial, TIMEOUT_CHECK), message, &error, &reply);
        *problem = r < 0 ? g_strdup(call_problem(&error, r)) : verdict_problem(trial, begun, reply, &verdict);
        return verdict;
}

static int compare_doubles(gconstpointer a, gconstpointer b) {
        const double *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

static void check_idle(Trial *trial, Subject *subject) {
        g_autoptr(GArray) times = g_array_new(FALSE, FALSE, sizeof(double));
        g_autofree char *verdict = NULL;

        for (guint i = 0; i < trial->metrics->len; i++) {
                uint64_t begin = clock_monotonic();
                g_autofree char *problem = NULL;
                double taken;

                g_free(verdict);
                verdict = ask(trial, subject, g_ptr_array_index(trial->metrics, i), &problem);
                if (problem) {
                        report_failed(trial->report, "CheckIdle", "question %u: %s", i + 1, problem);
                        return;
                }
                taken = (double) (clock_monotonic() - begin) / (double) USEC_PER_MSEC;
                g_array_append_val(times, taken);
        }
        g_array_sort(times, compare_doubles);
        report_measured(trial->report, "check_ms", g_array_index(times, double, times->len / 2));
        report_measured(trial->report, "check_max_ms", g_array_index(times, double, times->len - 1));
        report_passed(trial->report, "CheckIdle", "%u questions, %.2f ms (longest %.2f), at last %s", times->len,
                      g_array_index(times, double, times->len / 2), g_array_index(times, double, times->len - 1),
                      verdict);
}

/* CloudProvider */

static void check_stop_effect(Trial *trial, const Subject *subject) {
        _cleanup_(provider_description_clear) ProviderDescription description = {};
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL, e = SD_BUS_ERROR_NULL;
        _cleanup_bus_message_ sd_bus_message *message = NULL, *reply = NULL;
        _cleanup_free_ char *effect = NULL;
        g_autofree char *problem = NULL;
        int r;

        r = sd_bus_get_property_string(subject_bus(subject), subject_peer(subject), PLUGIN_PATH,
                                       CLOUD_PROVIDER_INTERFACE, "StopEffect", &e, &effect);
        if (r < 0 || !stop_effect_known(effect)) {
                report_failed(trial->report, "StopEffect", "%s is none that is known",
                              r < 0 ? call_problem(&e, r) : effect);
                return;
        }
        /* The daemon asks for all of them at once. */
        r = sd_bus_message_new_method_call(subject_bus(subject), &message, subject_peer(subject), PLUGIN_PATH,
                                           PROPERTIES_INTERFACE, "GetAll");
        if (r >= 0)
                r = sd_bus_message_append(message, "s", CLOUD_PROVIDER_INTERFACE);
        if (r >= 0)
                r = subject_send(subject, trial_timeout(trial, TIMEOUT_PROVIDER), message, &error, &reply);
        if (r < 0)
                report_failed(trial->report, "StopEffect", "GetAll: %s", call_problem(&error, r));
        else if (provider_description_read(reply, &description, &problem) < 0)
                report_failed(trial->report, "StopEffect", "GetAll answers with %s", problem);
        else if (!g_str_equal(description.stop_effect, effect))
                report_failed(trial->report, "StopEffect", "GetAll says %s, and Get %s", description.stop_effect,
                              effect);
        else
                report_passed(trial->report, "StopEffect", "%s", effect);
}

static void check_instance(Trial *trial, const Subject *subject) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        g_autoptr(JsonObject) info = NULL;
        g_autofree char *problem = NULL;
        int r;

        r = subject_call(subject, trial_timeout(trial, TIMEOUT_PROVIDER), ".CloudProvider", "GetInstanceInfo", &error,
                         &reply, "s", "");
        if (r >= 0)
                info = instance_info_read(reply, &problem);
        if (!info)
                report_failed(trial->report, "GetInstanceInfo", "of this machine: %s",
                              r < 0 ? call_problem(&error, r) : problem);
        else
                report_passed(trial->report, "GetInstanceInfo", "this machine is %s, %s",
                              json_get_string(info, "id", "of no id"), json_get_string(info, "state", "of no state"));
}

/* What it may do where this is not its cloud is nothing that it has to know. */
static void check_permissions(Trial *trial, const Subject *subject, gboolean detected) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        g_autoptr(JsonArray) permissions = NULL;
        g_autofree char *problem = NULL;
        int r;

        r = subject_call(subject, trial_timeout(trial, TIMEOUT_PROVIDER), ".CloudProvider", "CheckPermissions", &error,
                         &reply, NULL);
        if (r < 0 && (!detected || reply_is_unsupported(&error))) {
                report_skipped(trial->report, "CheckPermissions", "%s", call_problem(&error, r));
                return;
        }
        if (r >= 0)
                permissions = permissions_read(reply, &problem);
        if (!permissions)
                report_failed(trial->report, "CheckPermissions", "%s%s", r < 0 ? "" : "it answers with what is ",
                              r < 0 ? call_problem(&error, r) : problem);
        else
                report_passed(trial->report, "CheckPermissions", "tells of %u", json_array_get_length(permissions));
}

static void check_provider(Trial *trial, Subject *subject) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        g_autofree char *problem = NULL;
        gboolean detected = FALSE;
        int r;

        check_stop_effect(trial, subject);
        r = subject_call(subject, trial_timeout(trial, TIMEOUT_PROVIDER), ".CloudProvider", "Detect", &error, &reply,
                         NULL);
        if (r < 0 || detection_read(reply, &detected, &problem) < 0)
                report_failed(trial->report, "Detect", "%s%s", r < 0 ? "" : "it answers with what is ",
                              r < 0 ? call_problem(&error, r) : problem);
        else
                report_passed(trial->report, "Detect", "%s", detected ? "this is its cloud" : "this is not its cloud");
        if (detected)
                check_instance(trial, subject);
        else
                report_skipped(trial->report, "GetInstanceInfo", "asked only where this is its cloud");
        check_permissions(trial, subject, detected);
        report_skipped(trial->report, "StopInstance", "stops machines: never called from here");
}

/* State */

/* A daemon that comes back greets again, and imports what it has kept unless it is told that the plugin knows better.
 */
static void check_live(Trial *trial, Subject *subject) {
        static const char *const words[] = {
                [STATE_HELD_NONE] = "none", [STATE_HELD_KEPT] = "kept", [STATE_HELD_LIVE] = "live"
        };
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        g_autofree char *problem = NULL, *version = NULL;
        StateHeld held = STATE_HELD_NONE;
        int r;

        r = subject_call(subject, trial_timeout(trial, TIMEOUT_INITIALIZE), "", "Handshake", &error, &reply, "us",
                         PLUGIN_API_VERSION, PACKAGE_VERSION);
        /* What else is wrong with its greeting was said of the first. */
        if (r >= 0)
                (void) reply_read_greeting(trial->manifest, reply, &held, &version, &problem);
        if (r < 0)
                report_failed(trial->report, "state", "greeted again: %s", call_problem(&error, r));
        else if (held != STATE_HELD_LIVE)
                report_failed(trial->report, "state", "greeted again it says that its state is \"%s\", expected live",
                              words[held]);
        else
                report_passed(trial->report, "state", "greeted again it says that it has one");
}

static void check_state(Trial *trial, Subject *subject) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL, ignored = SD_BUS_ERROR_NULL;
        _cleanup_bus_message_ sd_bus_message *reply = NULL, *import = NULL;
        uint64_t timeout = trial_timeout(trial, TIMEOUT_EXPORT);
        g_autoptr(GBytes) state = NULL;
        g_autofree char *problem = NULL;
        uint32_t version;
        int r;

        r = subject_call(subject, timeout, ".State", "ExportState", &error, &reply, NULL);
        if (r < 0 || reply_read_state(reply, &version, &state, &problem) < 0) {
                report_failed(trial->report, "ExportState", "%s", r < 0 ? call_problem(&error, r) : problem);
                return;
        }
        report_passed(trial->report, "ExportState", "%zu bytes of %u, version %u", g_bytes_get_size(state),
                      PLUGIN_STATE_MAX, version);
        r = subject_message(subject, ".State", "ImportState", &import);
        if (r >= 0)
                r = sd_bus_message_append_basic(import, 'u', &version);
        if (r >= 0)
                r = sd_bus_message_append_array(import, 'y', g_bytes_get_data(state, NULL), g_bytes_get_size(state));
        if (r >= 0)
                r = subject_send(subject, timeout, import, &error, NULL);
        if (r < 0)
                report_failed(trial->report, "ImportState", "refuses what it exported: %s", call_problem(&error, r));
        else
                report_passed(trial->report, "ImportState", "takes what it exported");
        /* Who greets has to be on the bus. */
        if (r >= 0 && !subject->channel)
                check_live(trial, subject);
        r = subject_call(subject, timeout, ".State", "ImportState", &ignored, NULL, "uay", UINT32_MAX, 4, 0xde, 0xad,
                         0xbe, 0xef);
        if (r >= 0)
                report_failed(trial->report, "ImportState", "takes a state of a version that does not exist");
        else if (trial_alive(trial, subject, "ImportState", "a state of another version"))
                report_passed(trial->report, "ImportState", "refuses what is no state of its own");
}

/* DataProcessor */

static gboolean drain(int fd, uint64_t *total) {
        char block[65536];
        ssize_t n;

        while ((n = read(fd, block, sizeof(block))) > 0)
                *total += (uint64_t) n;
        return n == 0;
}

typedef struct Answer {
        unsigned n;
        char *problem;
        gboolean unsupported;
        gboolean refused; /* what came in, which was none of what it takes */
} Answer;

/* Writes and reads at once, and looks after the answer: any of the three may be what the others wait for. One
 * that refuses may leave both ends as they are. */
static gboolean pump(sd_bus *bus, int feed, int output, uint64_t *total, const Answer *answer) {
        uint64_t end = clock_monotonic() + USEC_PER_MINUTE;
        static const char block[65536];
        size_t left = STREAM_BYTES;
        gboolean ended = FALSE;

        while (!answer->problem && (!ended || answer->n == 0) && clock_monotonic() < end) {
                struct pollfd wait[] = { { .fd = feed, .events = POLLOUT },
                                         { .fd = ended ? -1 : output, .events = POLLIN },
                                         { .fd = sd_bus_get_fd(bus), .events = POLLIN } };
                ssize_t n;

                while (sd_bus_process(bus, NULL) > 0)
                        ;
                if (poll(wait, G_N_ELEMENTS(wait), answer->n > 0 && (ended || answer->problem) ? 0 : 1000) < 0)
                        break;
                if (feed >= 0 && wait[0].revents) {
                        n = write(feed, block, MIN(left, sizeof(block)));
                        left -= n > 0 ? (size_t) n : 0;
                        if (left == 0 || (wait[0].revents & POLLERR))
                                feed = safe_close(feed);
                }
                if (wait[1].revents)
                        ended = drain(output, total);
        }
        safe_close(feed);
        return ended && answer->n > 0;
}

static int on_stream(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Answer *answer = userdata;

        answer->n++;
        answer->unsupported = sd_bus_message_is_method_error(m, ERROR_NOT_SUPPORTED) ||
                sd_bus_message_is_method_error(m, SD_BUS_ERROR_UNKNOWN_METHOD);
        answer->refused = sd_bus_message_is_method_error(m, ERROR_INVALID_ARGUMENT) ||
                sd_bus_message_is_method_error(m, ERROR_REFUSED);
        if (sd_bus_message_is_method_error(m, NULL))
                answer->problem = g_strdup(sd_bus_message_get_error(m)->message);
        return 0;
}

static int stream_begin(const Subject *subject, Answer *answer, int input, int output, sd_bus_slot **slot) {
        _cleanup_bus_message_ sd_bus_message *message = NULL;
        int r;

        r = subject_message(subject, ".DataProcessor", "ProcessStream", &message);
        if (r >= 0)
                r = sd_bus_message_append(message, "hha{sv}", input, output, 0);
        return r < 0 ? r : sd_bus_call_async(subject_bus(subject), slot, message, on_stream, answer, USEC_PER_MINUTE);
}

static void check_stream(Trial *trial, Subject *subject) {
        _cleanup_bus_slot_ sd_bus_slot *slot = NULL;
        int input[2], output[2], r;
        Answer answer = { .n = 0 };
        uint64_t total = 0;
        gboolean ended;

        if (pipe2(input, O_CLOEXEC) < 0)
                return;
        if (pipe2(output, O_CLOEXEC) < 0) {
                safe_close(input[0]);
                safe_close(input[1]);
                return;
        }
        (void) fcntl(input[1], F_SETFL, O_NONBLOCK);
        (void) fcntl(output[0], F_SETFL, O_NONBLOCK);
        r = stream_begin(subject, &answer, input[0], output[1], &slot);
        safe_close(input[0]);
        safe_close(output[1]);
        ended = r >= 0 && pump(subject_bus(subject), input[1], output[0], &total, &answer);
        if (r < 0)
                safe_close(input[1]);
        safe_close(output[0]);
        if (answer.unsupported)
                report_skipped(trial->report, "ProcessStream", "it works on blocks alone");
        else if (answer.refused)
                report_passed(trial->report, "ProcessStream", "8 MiB of zeros were refused: %s", answer.problem);
        else if (!ended || answer.problem)
                report_failed(trial->report, "ProcessStream", "8 MiB: %s",
                              answer.problem ? answer.problem : "it does not end");
        else
                report_passed(trial->report, "ProcessStream", "8 MiB became %" G_GUINT64_FORMAT " bytes", total);
        g_free(answer.problem);
}

static void check_data_processor(Trial *trial, Subject *subject) {
        static const size_t sizes[] = { 0, 1, 65536, 1048576 };
        g_autofree char *data = g_strnfill(sizes[G_N_ELEMENTS(sizes) - 1], 'x');

        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                _cleanup_bus_message_ sd_bus_message *message = NULL, *reply = NULL;
                _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
                g_autoptr(GBytes) block = NULL;
                g_autofree char *problem = NULL;
                int r;

                r = subject_message(subject, ".DataProcessor", "ProcessData", &message);
                if (r >= 0)
                        r = sd_bus_message_append_array(message, 'y', data, sizes[i]);
                if (r >= 0)
                        r = subject_send(subject, trial_timeout(trial, TIMEOUT_PROVIDER), message, &error, &reply);
                /* To refuse data is an answer, too. */
                if (r < 0 && !call_refused(&error, ERROR_INVALID_ARGUMENT) && !call_refused(&error, ERROR_REFUSED)) {
                        report_failed(trial->report, "ProcessData", "%zu bytes: %s", sizes[i],
                                      call_problem(&error, r));
                        return;
                }
                if (r >= 0 && reply_read_block(reply, &block, &problem) < 0) {
                        report_failed(trial->report, "ProcessData", "%zu bytes: it %s", sizes[i], problem);
                        return;
                }
        }
        report_passed(trial->report, "ProcessData", "blocks of up to 1 MiB");
        check_stream(trial, subject);
}

/* RequestHandler */

static void check_request_handler(Trial *trial, Subject *subject) {
        g_auto(GStrv) methods = subject_property_list(subject, ".RequestHandler", "Methods");
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autofree char *list = methods ? g_strjoinv(", ", methods) : NULL;
        int r;

        if (!methods || !*methods) {
                report_failed(trial->report, "RequestHandler", "Methods names none");
                return;
        }
        r = subject_call(subject, trial_timeout(trial, TIMEOUT_CHECK), ".RequestHandler", "Handle", &error, NULL,
                         "sa{sv}", "no-such-method", 0);
        if (r >= 0 || !call_refused(&error, ERROR_INVALID_ARGUMENT))
                report_failed(trial->report, "RequestHandler", "an unknown method is answered by %s, expected %s",
                              r >= 0 ? "success" : error.name, ERROR_INVALID_ARGUMENT);
        else
                report_passed(trial->report, "RequestHandler", "%s, and no other", list);
}

void check_contracts(Trial *trial, Subject *subject) {
        static const struct {
                const char *contract;
                void (*check)(Trial *trial, Subject *subject);
        } checks[] = {
                { "IdleCheck", check_idle },           { "EventHandler", check_event_handler },
                { "EventSource", check_event_source }, { "CloudProvider", check_provider },
                { "State", check_state },              { "DataProcessor", check_data_processor },
                { "RequestHandler", check_request_handler },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(checks); i++)
                if (manifest_has_contract(trial->manifest, checks[i].contract))
                        checks[i].check(trial, subject);
}
