/* SPDX-License-Identifier: Apache-2.0 */

/* Calls that no daemon makes, and more of them than a daemon makes. Each may be refused as the plugin likes, but after
 * each it has to answer as before. */

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "plugin-test/trial.h"

#define CROWD 64U
#define DEPTH 16U
#define HUGE_BYTES (4U * 1024U * 1024U)

static int append_deep(sd_bus_message *m) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        for (unsigned i = 0; r >= 0 && i < DEPTH; i++) {
                r = sd_bus_message_open_container(m, 'e', "sv");
                if (r >= 0)
                        r = sd_bus_message_append_basic(m, 's', "x");
                if (r >= 0)
                        r = sd_bus_message_open_container(m, 'v', "a{sv}");
                if (r >= 0)
                        r = sd_bus_message_open_container(m, 'a', "{sv}");
        }
        for (unsigned i = 0; r >= 0 && i < 3 * DEPTH + 1; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_huge(sd_bus_message *m) {
        g_autofree char *text = g_strnfill(HUGE_BYTES, 'x');

        return sd_bus_message_append(m, "a{sv}", 1, "huge", "s", text);
}

static int append_twice(sd_bus_message *m) {
        return sd_bus_message_append(m, "a{sv}", 2, "cpu_usage", "d", 1.0, "cpu_usage", "d", 2.0);
}

static int append_strange(sd_bus_message *m) {
        return sd_bus_message_append(m, "a{sv}", 3, "", "s", "", "cpu_usage", "s", "many", "x", "(yv)", 1, "ao", 1,
                                     "/");
}

static int append_wrong(sd_bus_message *m) {
        return sd_bus_message_append(m, "ais", 3, 1, 2, 3, "x");
}

static int append_nothing(sd_bus_message *m) {
        return 0;
}

static const struct {
        const char *what;
        int (*append)(sd_bus_message *m);
} rubbish[] = {
        { "no arguments", append_nothing },      { "arguments of other types", append_wrong },
        { "a dictionary 16 deep", append_deep }, { "a dictionary of 4 MiB", append_huge },
        { "a key twice", append_twice },         { "strange values", append_strange },
};

static const struct {
        const char *contract, *interface, *member;
} targets[] = {
        { NULL, "", "Handshake" },
        { NULL, "", "Configure" },
        { NULL, "", "NoSuchMethod" },
        { NULL, ".NoSuchContract", "NoSuchMethod" },
        { "IdleCheck", ".IdleCheck", "CheckIdle" },
        { "RequestHandler", ".RequestHandler", "Handle" },
        { "State", ".State", "ImportState" },
        { "EventSource", ".EventSource", "Acknowledge" },
};

static gboolean survives(Trial *trial, Subject *subject, const char *interface, const char *member, size_t i) {
        _cleanup_bus_message_ sd_bus_message *message = NULL;
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autofree char *what =
                g_strdup_printf("%s%s%s with %s", interface, *interface ? "." : "", member, rubbish[i].what);
        int r;

        r = subject_message(subject, interface, member, &message);
        if (r >= 0)
                r = rubbish[i].append(message);
        if (r < 0) {
                report_failed(trial->report, "garbage", "%s could not be written: %s", what, g_strerror(-r));
                return FALSE;
        }
        (void) subject_send(subject, trial_timeout(trial, TIMEOUT_CHECK), message, &error, NULL);
        return trial_alive(trial, subject, "garbage", what);
}

void check_garbage(Trial *trial, Subject *subject) {
        unsigned n = 0;

        for (size_t t = 0; t < G_N_ELEMENTS(targets); t++) {
                if (targets[t].contract && !manifest_has_contract(trial->manifest, targets[t].contract))
                        continue;
                for (size_t i = 0; i < G_N_ELEMENTS(rubbish); i++, n++)
                        if (!survives(trial, subject, targets[t].interface, targets[t].member, i))
                                return;
        }
        report_passed(trial->report, "garbage", "answers as before after %u senseless calls", n);
}

typedef struct Crowd {
        unsigned answered;
        unsigned failed;
} Crowd;

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Crowd *crowd = userdata;

        crowd->answered++;
        if (sd_bus_message_is_method_error(m, NULL))
                crowd->failed++;
        return 0;
}

static int call_crowd(const Subject *subject, Crowd *crowd, uint64_t timeout) {
        for (unsigned i = 0; i < CROWD; i++) {
                _cleanup_bus_message_ sd_bus_message *message = NULL;
                int r;

                r = subject_message(subject, "", "Ping", &message);
                if (r >= 0)
                        r = sd_bus_call_async(subject_bus(subject), NULL, message, on_answer, crowd, timeout);
                if (r < 0)
                        return r;
        }
        return 0;
}

void check_crowd(Trial *trial, Subject *subject) {
        uint64_t timeout = trial_timeout(trial, TIMEOUT_CHECK), end = clock_monotonic() + timeout + USEC_PER_SEC;
        Crowd crowd = { .answered = 0 };
        int r;

        r = call_crowd(subject, &crowd, timeout);
        while (r >= 0 && crowd.answered < CROWD && clock_monotonic() < end) {
                r = sd_bus_process(subject_bus(subject), NULL);
                if (r == 0)
                        r = sd_bus_wait(subject_bus(subject), USEC_PER_SEC);
        }
        if (r < 0)
                report_failed(trial->report, "crowd", "%s", g_strerror(-r));
        else
                report_add(trial->report,
                           crowd.answered == CROWD && crowd.failed == 0 ? FINDING_PASSED : FINDING_FAILED, "crowd",
                           "%u of %u calls at once are answered, %u of them by an error", crowd.answered, CROWD,
                           crowd.failed);
}
