/* SPDX-License-Identifier: Apache-2.0 */

/* Somebody is at work while he types, or while what he started in the foreground of a terminal works: a compile
 * counts, also in a multiplexer that nobody looks at; a shell, an editor or a monitor that was left open does not. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <snooze/plugin.h>
#include <systemd/sd-id128.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/properties.h"
#include "config.h"
#include "login-reader.h"
#include "proc-reader.h"
#include "rules-memory.h"
#include "session-rules.h"

#define LOGIND_NAME "org.freedesktop.login1"
#define LOGIND_TIMEOUT (3 * USEC_PER_SEC)

typedef struct Sessions {
        SnoozePluginInstance *instance;
        Programs *programs;
        Rules *rules;
} Sessions;

/* One check: its snapshot is complete when logind has answered for each desktop. */
typedef struct Check {
        Sessions *sessions;
        SnoozePluginCall *call;
        Snapshot snapshot;
        unsigned pending;
} Check;

/* One question of a check. */
typedef struct Question {
        Check *check;
        size_t session;
} Question;

static int start(SnoozePluginInstance *instance, void *userdata) {
        Sessions *sessions = userdata;

        sessions->instance = instance;
        return 0;
}

static int configure(SnoozePluginCall *call, const SnoozePluginDictionary *config, void *userdata) {
        Sessions *sessions = userdata;
        const char *const *names = snooze_plugin_dictionary_get_strv(config, "idle_programs", NULL);
        RulesConfig rules = {
                .input_idle = (uint64_t) (snooze_plugin_dictionary_get_double(config, "input_idle_minutes", 15) *
                                          (double) USEC_PER_MINUTE),
                .foreground_max = (uint64_t) (snooze_plugin_dictionary_get_double(config, "foreground_max_hours", 12) *
                                              (double) USEC_PER_HOUR),
                .work_within = (uint64_t) (snooze_plugin_dictionary_get_double(config, "work_within_minutes", 10) *
                                           (double) USEC_PER_MINUTE),
                .cpu_share = snooze_plugin_dictionary_get_double(config, "cpu_percent", 5) / 100,
        };
        Programs *programs;
        size_t n = 0;

        while (names && names[n])
                n++;
        if (n > PROGRAMS_MAX)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "idle_programs: at most %u names", PROGRAMS_MAX);
        programs = programs_new(names);
        if (!programs)
                return -ENOMEM;
        rules_configure(sessions->rules, &rules, programs);
        programs_free(sessions->programs);
        sessions->programs = programs;
        return 0;
}

static void fill_votes(SnoozePluginDictionary *details, const RulesResult *result) {
        static const char *const verdicts[] = {
                [RULES_IDLE] = "idle", [RULES_UNKNOWN] = "unknown", [RULES_BUSY] = "busy"
        };

        for (size_t i = 0; i < result->n_votes; i++) {
                const RulesVote *vote = &result->votes[i];
                SnoozePluginDictionary *entry = snooze_plugin_dictionary_append_dictionary(details, "votes");

                snooze_plugin_dictionary_set_string(entry, "name", vote->name);
                snooze_plugin_dictionary_set_string(entry, "verdict", verdicts[vote->verdict]);
                snooze_plugin_dictionary_set_string(entry, "reason", vote->reason);
                if (vote->user[0])
                        snooze_plugin_dictionary_set_string(entry, "user", vote->user);
                if (vote->last_activity > 0)
                        snooze_plugin_dictionary_set_uint(entry, "last_activity", vote->last_activity);
        }
}

static int check_end(Check *check, int result) {
        snooze_plugin_call_finish(check->call, result);
        snapshot_clear(&check->snapshot);
        free(check);
        return 0;
}

static int check_answer(Check *check) {
        static const SnoozePluginVerdict verdicts[] = { [RULES_IDLE] = SNOOZE_PLUGIN_IDLE,
                                                        [RULES_UNKNOWN] = SNOOZE_PLUGIN_UNKNOWN,
                                                        [RULES_BUSY] = SNOOZE_PLUGIN_BUSY };
        SnoozePluginDictionary *details = snooze_plugin_call_get_result(check->call);
        RulesResult result;

        rules_evaluate(check->sessions->rules, &check->snapshot, &result);
        snooze_plugin_call_set_verdict(check->call, verdicts[result.verdict], "%s%s", result.reason,
                                       check->snapshot.has_logind ? "" : " (no logind: terminals alone)");
        snooze_plugin_dictionary_set_bool(details, "logind", check->snapshot.has_logind);
        if (result.last_activity > 0)
                snooze_plugin_dictionary_set_uint(details, "last_activity", result.last_activity);
        fill_votes(details, &result);
        return check_end(check, 0);
}

static int read_hint(sd_bus_message *m, const char *name, void *userdata) {
        Session *session = userdata;
        uint64_t since;
        int hint, r;

        if (strcmp(name, "IdleHint") == 0) {
                r = sd_bus_message_read(m, "v", "b", &hint);
                session->idle_known = r >= 0;
                session->idle = r >= 0 && hint;
        } else if (strcmp(name, "IdleSinceHint") == 0) {
                r = sd_bus_message_read(m, "v", "t", &since);
                session->idle_since = r >= 0 ? since : 0;
        } else
                r = sd_bus_message_skip(m, "v");
        return r;
}

static int on_hint(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Question *question = userdata;
        Check *check = question->check;
        Session *session = &check->snapshot.sessions[question->session];

        free(question);
        if (!sd_bus_message_is_method_error(m, NULL) && properties_read(m, read_hint, session) < 0)
                session->idle_known = false;
        return --check->pending == 0 ? check_answer(check) : 0;
}

static int ask_hint(Check *check, size_t index) {
        sd_bus *bus = snooze_plugin_instance_get_bus(check->sessions->instance);
        _cleanup_bus_message_ sd_bus_message *m = NULL;
        _cleanup_free_ char *path = NULL;
        Question *question;
        int r;

        r = sd_bus_path_encode("/org/freedesktop/login1/session", check->snapshot.sessions[index].id, &path);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_call(bus, &m, LOGIND_NAME, path, "org.freedesktop.DBus.Properties", "GetAll");
        if (r < 0)
                return r;
        r = sd_bus_message_set_auto_start(m, false);
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "s", LOGIND_NAME ".Session");
        if (r < 0)
                return r;
        question = malloc(sizeof(Question));
        if (!question)
                return -ENOMEM;
        *question = (Question) { .check = check, .session = index };
        r = sd_bus_call_async(bus, NULL, m, on_hint, question, LOGIND_TIMEOUT);
        if (r < 0) {
                free(question);
                return r;
        }
        check->pending++;
        return 0;
}

static int check_idle(SnoozePluginCall *call, const SnoozePluginDictionary *metrics, void *userdata) {
        Sessions *sessions = userdata;
        Check *check;
        int r;

        check = calloc(1, sizeof(Check));
        if (!check)
                return -ENOMEM;
        *check = (Check) { .sessions = sessions, .call = call };
        r = proc_read("", sessions->programs, &check->snapshot);
        if (r >= 0)
                r = login_read(&check->snapshot);
        if (r < 0) {
                snapshot_clear(&check->snapshot);
                free(check);
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_FAILED, "Cannot read the processes: %s",
                                               strerror(-r));
        }

        /* One that cannot be asked stays unknown, as one that does not answer. */
        for (size_t i = 0; i < check->snapshot.n_sessions; i++)
                if (check->snapshot.sessions[i].graphical && ask_hint(check, i) < 0)
                        snooze_plugin_log(LOG_DEBUG, "Cannot ask logind about session %s",
                                          check->snapshot.sessions[i].id);
        if (check->pending == 0)
                check_answer(check);
        return SNOOZE_PLUGIN_LATER;
}

/* What jobs did between checks belongs to this boot. */
static int read_boot(char boot[static MEMORY_BOOT_SIZE]) {
        sd_id128_t id;
        int r;

        r = sd_id128_get_boot(&id);
        if (r >= 0)
                (void) sd_id128_to_string(id, boot);
        return r;
}

static int export_state(SnoozePluginCall *call, void *userdata) {
        _cleanup_free_ char *text = malloc(MEMORY_TEXT_SIZE);
        const Sessions *sessions = userdata;
        char boot[MEMORY_BOOT_SIZE];
        int r;

        if (!text)
                return -ENOMEM;
        r = read_boot(boot);
        if (r < 0)
                return r;
        return snooze_plugin_call_set_state(call, MEMORY_FORMAT, text, rules_export(sessions->rules, boot, text));
}

static int import_state(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, void *userdata) {
        Sessions *sessions = userdata;
        char boot[MEMORY_BOOT_SIZE];
        int r;

        r = read_boot(boot);
        if (r < 0)
                return r;
        if (version != MEMORY_FORMAT || rules_import(sessions->rules, boot, clock_monotonic(), data, size) < 0)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "%zu bytes in format %u: expected jobs in format %u", size, version,
                                               MEMORY_FORMAT);
        return 0;
}

int main(int argc, char *argv[]) {
        static const SnoozePluginSetting settings[] = {
                { "idle_programs", SNOOZE_PLUGIN_LIST },
                { "foreground_max_hours", SNOOZE_PLUGIN_NUMBER, 0, 720 },
                { "input_idle_minutes", SNOOZE_PLUGIN_NUMBER, 0, 1440 },
                { "work_within_minutes", SNOOZE_PLUGIN_NUMBER, 0, 1440 },
                { "cpu_percent", SNOOZE_PLUGIN_NUMBER, 0.1, 100 },
                { NULL },
        };
        Sessions sessions = { .rules = rules_new() };
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = "sessions",
                .version = PACKAGE_VERSION,
                .description = "Tells whether somebody types or a foreground job works in any session.",
                .userdata = &sessions,
                .settings = settings,
                .start = start,
                .initialize = configure,
                .configure = configure,
                .check_idle = check_idle,
                .export_state = export_state,
                .import_state = import_state,
        };
        int r;

        if (!sessions.rules)
                return EXIT_FAILURE;
        r = snooze_plugin_main(&plugin, argc, argv);
        programs_free(sessions.programs);
        rules_free(sessions.rules);
        return r;
}
