/* SPDX-License-Identifier: Apache-2.0 */

/* Has a database put on its disk what it has in memory, before the machine goes or the disk is full. In a thread,
 * since the client libraries wait. */

#include <errno.h>
#include <string.h>
#include <syslog.h>

#include <snooze/plugin.h>

#include "base/clock.h"
#include "config.h"
#include "database.h"
#include "plugins/spot-handler/notice.h"

#define RESERVE_SECONDS 5
#define RESTORE_TIME (10 * USEC_PER_SEC)
#define DISK_LOW "system.disk.low"

typedef struct DatabaseFlusher {
        SnoozePluginInstance *instance;
} DatabaseFlusher;

/* What the thread has of its own: the configuration may change meanwhile. */
typedef struct Work {
        const Database *database;
        char *connection;
        uint64_t deadline; /* monotonic µs */
        gboolean restore, ending;
} Work;

static void work_free(Work *work) {
        explicit_bzero(work->connection, strlen(work->connection));
        g_free(work->connection);
        g_free(work);
}

static int work_run(SnoozePluginCall *call, void *userdata) {
        SnoozePluginDictionary *result = snooze_plugin_call_get_result(call);
        uint64_t begun = clock_monotonic();
        Work *work = userdata;
        const Flush flush = {
                .connection = work->connection, .deadline = work->deadline, .ending = work->ending, .result = result
        };
        gboolean (*what)(const Flush *flush, GError **error) =
                work->restore ? work->database->restore : work->database->flush;
        g_autoptr(GError) error = NULL;
        gboolean done = what(&flush, &error);
        double seconds = (double) usec_sub(clock_monotonic(), begun) / (double) USEC_PER_SEC;

        work_free(work);
        (void) snooze_plugin_dictionary_set_bool(result, "success", done);
        (void) snooze_plugin_dictionary_set_double(result, "seconds", seconds);
        if (done)
                snooze_plugin_log(LOG_NOTICE, "The database is on its disk after %.1f s", seconds);
        else {
                (void) snooze_plugin_dictionary_set_string(result, "error", error->message);
                snooze_plugin_log(LOG_WARNING, "The database could not be flushed: %s", error->message);
        }
        return snooze_plugin_call_set_answer(call, done);
}

static int answer_status(SnoozePluginCall *call, const char *key, const char *text) {
        SnoozePluginDictionary *result = snooze_plugin_call_get_result(call);

        if (g_str_equal(key, "error"))
                (void) snooze_plugin_dictionary_set_bool(result, "success", false);
        (void) snooze_plugin_dictionary_set_string(result, key, text);
        return snooze_plugin_call_set_answer(call, false);
}

static int begin(const DatabaseFlusher *flusher, SnoozePluginCall *call, const Work *plan) {
        Work *work = g_new0(Work, 1);
        int r;

        *work = *plan;
        work->connection = g_strdup(snooze_plugin_instance_get_string(flusher->instance, "connection_string") ?: "");
        r = snooze_plugin_call_run_in_thread(call, work_run, work);
        if (r < 0)
                work_free(work);
        return r;
}

static int handle_event(SnoozePluginCall *call, const SnoozePluginDictionary *event, void *userdata) {
        const char *type = snooze_plugin_dictionary_get_string(event, "type", "");
        const DatabaseFlusher *flusher = userdata;
        gboolean low_disk = g_str_equal(type, DISK_LOW), known;
        const Database *database;
        uint64_t budget;
        Notice notice;
        Work work;

        if (!low_disk && !g_str_equal(type, "cloud.spot.interrupt") &&
            !g_str_equal(type, "cloud.instance.termination"))
                return snooze_plugin_call_set_answer(call, false);
        database = database_find(snooze_plugin_instance_get_string(flusher->instance, "db_type") ?: "", &known);
        if (!database)
                return -EINVAL; /* configure would not have taken it */
        notice = notice_read(event, clock_realtime());
        budget = notice_budget(&notice, RESERVE_SECONDS,
                               snooze_plugin_instance_get_integer(flusher->instance, "timeout_seconds"));
        if (notice.cancelled && (low_disk || !database->restore))
                return answer_status(call, "status", "cancelled");
        if (budget == 0 && !notice.cancelled)
                return answer_status(call, "error", "there is no time left");
        if (low_disk && !database->on_low_disk)
                return answer_status(call, "status", "takes space: not on a disk that is nearly full");
        work = (Work) {
                .database = database,
                .deadline = usec_add(clock_monotonic(), notice.cancelled ? RESTORE_TIME : budget),
                .restore = notice.cancelled,
                .ending = !low_disk,
        };
        if (notice.cancelled)
                (void) snooze_plugin_dictionary_set_string(snooze_plugin_call_get_result(call), "status", "cancelled");
        return begin(flusher, call, &work);
}

static int configure(SnoozePluginCall *call, const SnoozePluginDictionary *config, void *userdata) {
        const char *type = snooze_plugin_dictionary_get_string(config, "db_type", "");
        gboolean known;
        const Database *database = database_find(type, &known);
        g_autoptr(GError) error = NULL;

        if (!database)
                return snooze_plugin_call_fail(
                        call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "db_type: %s",
                        known ? "this build does not know that kind of database"
                              : "expected mysql, mariadb, postgresql, postgres, redis or valkey");
        if (!database->check(snooze_plugin_dictionary_get_string(config, "connection_string", ""), &error))
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "connection_string: %s",
                                               error->message);
        return 0;
}

static int start(SnoozePluginInstance *instance, void *userdata) {
        ((DatabaseFlusher *) userdata)->instance = instance;
        return 0;
}

int main(int argc, char *argv[]) {
        static const SnoozePluginSetting settings[] = {
                { "db_type", SNOOZE_PLUGIN_STRING, .required = true },
                { "connection_string", SNOOZE_PLUGIN_STRING, .required = true },
                { "timeout_seconds", SNOOZE_PLUGIN_INTEGER, 1, 3600, .default_value = "60" },
                { NULL },
        };
        static const char *const events[] = { "cloud.spot.interrupt", "cloud.instance.termination", DISK_LOW, NULL };
        DatabaseFlusher flusher = { .instance = NULL };
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = "database-flusher",
                .version = PACKAGE_VERSION,
                .description = "Has a database put on its disk what it has in memory.",
                .userdata = &flusher,
                .settings = settings,
                .start = start,
                .initialize = configure,
                .configure = configure,
                .supported_events = events,
                .handle_event = handle_event,
        };

        return snooze_plugin_main(&plugin, argc, argv);
}
