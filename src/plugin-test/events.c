/* SPDX-License-Identifier: Apache-2.0 */

/* EventHandler and EventSource. A handler acts on what it is handed: only where that was asked for it gets an event,
 * and then hears all that the daemon may say of one, that its end has moved and that it is called off. */

#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/event-types.h"
#include "base/names.h"
#include "bus/dictionary.h"
#include "daemon/answer/announcement.h"
#include "daemon/answer/reply.h"
#include "plugin-test/trial.h"

/* One event, as the daemon hands it over. word: "moved", "cancelled", or NULL. */
static int hand_event(const Trial *trial, const Subject *subject, const char *type, const char *id, uint64_t deadline,
                      const char *word, sd_bus_error *error, sd_bus_message **reply) {
        static const char *const hints[] = { "severity", "u", "timestamp", "t", "deadline", "t", "budget", "t", NULL };
        _cleanup_bus_message_ sd_bus_message *message = NULL;
        g_autoptr(JsonObject) event = json_object_new();
        JsonObject *data = json_object_new();
        int r;

        json_object_set_boolean_member(data, "test", TRUE);
        json_object_set_string_member(event, "id", id);
        json_object_set_string_member(event, "type", type);
        json_object_set_string_member(event, "source", "snooze-plugin-test");
        json_object_set_int_member(event, "timestamp", (gint64) clock_realtime());
        json_object_set_int_member(event, "severity", SEVERITY_WARNING);
        json_object_set_int_member(event, "deadline", (gint64) deadline);
        json_object_set_int_member(event, "budget", (gint64) trial_timeout(trial, TIMEOUT_EVENT));
        json_object_set_object_member(event, "data", data);
        if (word)
                json_object_set_boolean_member(event, word, TRUE);
        r = subject_message(subject, ".EventHandler", "HandleEvent", &message);
        if (r >= 0)
                r = dictionary_append(message, event, hints);
        return r < 0 ? r : subject_send(subject, trial_timeout(trial, TIMEOUT_EVENT), message, error, reply);
}

static gboolean try_event(Trial *trial, const Subject *subject, const char *type, const char *name, const char *id,
                          uint64_t deadline, const char *word) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autofree char *what = word ? g_strconcat(type, ", ", word, NULL) : g_strdup(type), *problem = NULL;
        g_autoptr(JsonObject) result = NULL;
        gboolean handled;
        int r;

        r = hand_event(trial, subject, name, id, deadline, word, &error, &reply);
        if (r < 0)
                report_failed(trial->report, "HandleEvent", "%s: %s", what, call_problem(&error, r));
        else if (reply_read_result(reply, &handled, &result, &problem) < 0)
                report_failed(trial->report, "HandleEvent", "%s: it %s", what, problem);
        else
                report_passed(trial->report, "HandleEvent", "%s: %s", what, handled ? "handled" : "not handled");
        return r >= 0 && !problem;
}

static void check_event(Trial *trial, const Subject *subject, const char *type) {
        g_autofree char *example =
                g_str_has_suffix(type, ".*") ? g_strdup_printf("%.*s.test", (int) strlen(type) - 2, type) : NULL;
        g_autofree char *id = g_uuid_string_random();
        const char *name = example ? example : type;
        uint64_t deadline = clock_realtime() + USEC_PER_MINUTE;

        if (!trial->events) {
                report_skipped(trial->report, "HandleEvent", "%s: --events hands it over, and the plugin acts on it",
                               type);
                return;
        }
        if (!try_event(trial, subject, type, name, id, deadline, NULL))
                return;
        if (manifest_event(trial->manifest, type)->moves) {
                deadline += USEC_PER_MINUTE;
                (void) try_event(trial, subject, type, name, id, deadline, "moved");
        }
        (void) try_event(trial, subject, type, name, id, deadline, "cancelled");
}

void check_event_handler(Trial *trial, Subject *subject) {
        g_auto(GStrv) supported = subject_property_list(subject, ".EventHandler", "SupportedEvents");

        if (!supported || !*supported) {
                report_failed(trial->report, "EventHandler", "SupportedEvents names none");
                return;
        }
        for (guint i = 0; i < trial->manifest->events->len; i++) {
                const ManifestEvent *event = g_ptr_array_index(trial->manifest->events, i);

                if (!g_strv_contains((const char *const *) supported, event->type))
                        report_failed(trial->report, "EventHandler", "the manifest's %s is not among SupportedEvents",
                                      event->type);
        }
        for (char **type = supported; *type; type++)
                if (manifest_event(trial->manifest, *type))
                        check_event(trial, subject, *type);
                else
                        report_failed(trial->report, "HandleEvent",
                                      "%s is not in the manifest's events: it is never handed to the plugin", *type);
}

typedef struct Announced {
        const Manifest *manifest;
        unsigned n;
        char *problem;
} Announced;

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Announced *announced = userdata;
        const Manifest *manifest = announced->manifest;
        g_autoptr(JsonObject) event = NULL;
        g_autofree char *problem = NULL;
        gboolean timed;
        const char *id;

        if (sd_bus_message_is_signal(m, EVENT_SOURCE_INTERFACE, "Event")) {
                announced->n++;
                (void) announcement_read(m, manifest->id, manifest_has_contract(manifest, "CloudProvider"),
                                         clock_realtime(), &event, &timed, &problem);
        } else if (sd_bus_message_is_signal(m, EVENT_SOURCE_INTERFACE, "EventCancelled"))
                (void) announcement_read_cancelled(m, &id, &problem);
        if (!announced->problem)
                announced->problem = g_steal_pointer(&problem);
        return 0;
}

void check_event_source(Trial *trial, Subject *subject) {
        g_autofree char *sender = subject->channel ? g_strdup("") : g_strdup_printf("sender='%s',", subject->owner);
        g_autofree char *match =
                g_strdup_printf("type='signal',%sinterface='" EVENT_SOURCE_INTERFACE "'", sender);
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_bus_slot_ sd_bus_slot *slot = NULL;
        Announced announced = { .manifest = trial->manifest };
        int r;

        r = sd_bus_add_match(subject_bus(subject), &slot, match, on_signal, &announced);
        if (r >= 0)
                r = subject_call(subject, trial_timeout(trial, TIMEOUT_EVENT), ".EventSource", "Watch", &error, NULL,
                                 NULL);
        if (r < 0) {
                report_failed(trial->report, "Watch", "%s", call_problem(&error, r));
                return;
        }
        /* Whatever it announces at once stands before the answer to this. */
        if (!trial_alive(trial, subject, "Watch", "Watch"))
                return;
        while (sd_bus_process(subject_bus(subject), NULL) > 0)
                ;
        if (announced.problem)
                report_failed(trial->report, "Watch", "it %s", announced.problem);
        else
                report_passed(trial->report, "Watch", "watches; %u pending", announced.n);
        g_free(announced.problem);
        r = subject_call(subject, trial_timeout(trial, TIMEOUT_EVENT), ".EventSource", "Acknowledge", &error, NULL,
                         "s", "no-such-event");
        (void) trial_alive(trial, subject, "Acknowledge", "Acknowledge of an event that is none");
}
