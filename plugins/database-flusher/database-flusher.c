/* SPDX-License-Identifier: Apache-2.0 */

/* Has a database put on its disk what it has in memory, before the machine goes or the disk is full. In a thread,
 * since the client libraries wait. */

#include <errno.h>
#include <string.h>
#include <syslog.h>

#include <systemd/sd-id128.h>

#include <snooze/plugin.h>

#include "base/clock.h"
#include "config.h"
#include "database.h"
#include "plugins/spot-handler/notice.h"

#define RESERVE_SECONDS 5
#define RESTORE_TIME (10 * USEC_PER_SEC)
#define DISK_LOW "system.disk.low"
/* Version 1 did not say which server was changed: it is taken where none was. */
#define STATE_VERSION 2U

/* What a thread and the loop share; atomic. */
typedef struct Progress {
        char *name; /* of the event; the loop's */
        gint called_off, over;
} Progress;

typedef struct DatabaseFlusher {
        SnoozePluginInstance *instance;
        GPtrArray *under_way; /* Progress */
} DatabaseFlusher;

/* What the thread has of its own: the configuration may change meanwhile. */
typedef struct Work {
        const Database *database;
        Progress *progress;
        char *connection, *server_user;
        uint64_t deadline; /* monotonic µs */
        gboolean restore, ending;
} Work;

static void progress_clear(void *progress) {
        g_free(((Progress *) progress)->name);
}

static void progress_release(void *progress) {
        g_atomic_rc_box_release_full(progress, progress_clear);
}

static char *name_of(const SnoozePluginDictionary *event) {
        return g_strconcat(snooze_plugin_dictionary_get_string(event, "source", ""), "\n",
                           snooze_plugin_dictionary_get_string(event, "id", ""), NULL);
}

static void forget_ended(DatabaseFlusher *flusher) {
        for (guint i = flusher->under_way->len; i-- > 0;)
                if (g_atomic_int_get(&((Progress *) g_ptr_array_index(flusher->under_way, i))->over))
                        g_ptr_array_remove_index_fast(flusher->under_way, i);
}

/* Whoever waits for the flush of this event stops waiting. */
static void call_off(const DatabaseFlusher *flusher, const SnoozePluginDictionary *event) {
        g_autofree char *name = name_of(event);

        for (guint i = 0; i < flusher->under_way->len; i++) {
                Progress *progress = g_ptr_array_index(flusher->under_way, i);

                if (g_str_equal(progress->name, name))
                        g_atomic_int_set(&progress->called_off, TRUE);
        }
}

static void work_free(Work *work) {
        explicit_bzero(work->connection, strlen(work->connection));
        g_free(work->connection);
        g_free(work->server_user);
        g_atomic_int_set(&work->progress->over, TRUE);
        progress_release(work->progress);
        g_free(work);
}

static int work_run(SnoozePluginCall *call, void *userdata) {
        SnoozePluginDictionary *result = snooze_plugin_call_get_result(call);
        uint64_t begun = clock_monotonic();
        Work *work = userdata;
        const char *const server_users[] = { work->server_user, NULL };
        const Flush flush = {
                .connection = work->connection,
                .server_users = *work->server_user ? server_users : work->database->server_users,
                .deadline = work->deadline,
                .called_off = &work->progress->called_off,
                .ending = work->ending,
                .result = result,
        };
        gboolean (*what)(const Flush *flush, GError **error) =
                work->restore ? work->database->restore : work->database->flush;
        g_autoptr(GError) error = NULL;
        gboolean done = what(&flush, &error);
        double seconds = (double) usec_sub(clock_monotonic(), begun) / (double) USEC_PER_SEC;
        gboolean called_off = flush_called_off(&flush);

        work_free(work);
        (void) snooze_plugin_dictionary_set_bool(result, "success", done);
        (void) snooze_plugin_dictionary_set_double(result, "seconds", seconds);
        if (called_off)
                (void) snooze_plugin_dictionary_set_string(result, "status", "cancelled");
        if (done)
                snooze_plugin_log(LOG_NOTICE, "The database is on its disk after %.1f s", seconds);
        else {
                const char *why = called_off ? "it was called off" : error->message;

                (void) snooze_plugin_dictionary_set_string(result, "error", why);
                snooze_plugin_log(LOG_WARNING, "The database could not be flushed: %s", why);
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

static int begin(const DatabaseFlusher *flusher, SnoozePluginCall *call, const SnoozePluginDictionary *event,
                 const Work *plan) {
        Work *work = g_new0(Work, 1);
        int r;

        *work = *plan;
        work->progress = g_atomic_rc_box_new0(Progress);
        work->progress->name = name_of(event);
        if (!work->restore)
                g_ptr_array_add(flusher->under_way, g_atomic_rc_box_acquire(work->progress));
        work->connection = g_strdup(snooze_plugin_instance_get_string(flusher->instance, "connection_string") ?: "");
        work->server_user = g_strdup(snooze_plugin_instance_get_string(flusher->instance, "server_user") ?: "");
        r = snooze_plugin_call_run_in_thread(call, work_run, work);
        if (r < 0)
                work_free(work);
        return r;
}

static const Database *configured(const DatabaseFlusher *flusher) {
        gboolean known;

        return database_find(snooze_plugin_instance_get_string(flusher->instance, "db_type") ?: "", &known);
}

static int handle_event(SnoozePluginCall *call, const SnoozePluginDictionary *event, void *userdata) {
        const SnoozePluginDictionary *data = snooze_plugin_dictionary_get_dictionary(event, "data");
        const char *type = snooze_plugin_dictionary_get_string(event, "type", "");
        DatabaseFlusher *flusher = userdata;
        gboolean low_disk = g_str_equal(type, DISK_LOW);
        const Database *database = configured(flusher);
        uint64_t budget;
        Notice notice;
        Work work;

        if (!low_disk && !g_str_equal(type, "cloud.spot.interrupt") &&
            !g_str_equal(type, "cloud.instance.termination"))
                return snooze_plugin_call_set_answer(call, false);
        if (!database)
                return -EINVAL; /* configure would not have taken it */
        notice = notice_read(event, clock_realtime());
        budget = notice_budget(&notice, RESERVE_SECONDS,
                               snooze_plugin_instance_get_integer(flusher->instance, "timeout_seconds"));
        forget_ended(flusher);
        if (notice.cancelled) {
                call_off(flusher, event);
                /* It may be another kind that was flushed. */
                database = database->restore ? database : database_changed() ?: database;
        }
        if (notice.cancelled && (low_disk || !database->restore))
                return answer_status(call, "status", "cancelled");
        /* Behind the calling off, which ends what waits, and before what changes anything. */
        if (snooze_plugin_dictionary_get_bool(data, "dry_run", false))
                return answer_status(call, "status", "dry_run");
        if (budget == 0 && !notice.cancelled)
                return answer_status(call, "error", "there is no time left");
        if (low_disk && !database->on_low_disk)
                return answer_status(call, "status", "takes space: not on a disk that is nearly full");
        work = (Work) {
                .database = database,
                .deadline = usec_add(clock_monotonic(), notice.cancelled ? MIN(RESTORE_TIME, notice.share) : budget),
                .restore = notice.cancelled,
                .ending = !low_disk,
        };
        if (notice.cancelled)
                (void) snooze_plugin_dictionary_set_string(snooze_plugin_call_get_result(call), "status", "cancelled");
        return begin(flusher, call, event, &work);
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

/* Another boot has started the server anew, with its own settings. */
static char *first_line(void) {
        char text[SD_ID128_STRING_MAX];
        sd_id128_t id;

        return g_strdup_printf("boot %s\n", sd_id128_get_boot(&id) >= 0 ? sd_id128_to_string(id, text) : "unknown");
}

static int export_state(SnoozePluginCall *call, void *userdata) {
        g_autofree char *first = first_line();
        g_autoptr(GString) text = g_string_new(first);

        database_export(text);
        return snooze_plugin_call_set_state(call, STATE_VERSION, text->str, text->len);
}

static gboolean read_line(const char *line, gboolean same_boot) {
        const char *value = strchr(line, ' ');
        g_autofree char *name = value ? g_strndup(line, (gsize) (value - line)) : NULL;

        return name && (!same_boot || database_import(name, value + 1));
}

static int import_state(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, void *userdata) {
        g_autofree char *first = first_line(), *text = g_strndup(data, size);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        guint n = g_strv_length(lines);
        /* Each line ends. */
        gboolean good = version > 0 && version <= STATE_VERSION && strlen(text) == size &&
                g_str_has_prefix(text, "boot ") && n >= 2 && !*lines[n - 1];

        for (guint i = 1; good && i + 1 < n; i++)
                good = read_line(lines[i], g_str_has_prefix(text, first));
        if (!good)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "version %u of the state: expected what version 1 or %u writes",
                                               version, STATE_VERSION);
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
                { "server_user", SNOOZE_PLUGIN_STRING, .default_value = "" },
                { "timeout_seconds", SNOOZE_PLUGIN_INTEGER, 1, 3600, .default_value = "60" },
                { NULL },
        };
        static const char *const events[] = { "cloud.spot.interrupt", "cloud.instance.termination", DISK_LOW, NULL };
        DatabaseFlusher flusher = { .under_way = g_ptr_array_new_with_free_func(progress_release) };
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
                .export_state = export_state,
                .import_state = import_state,
        };
        int r = snooze_plugin_main(&plugin, argc, argv);

        g_ptr_array_unref(flusher.under_way);
        return r;
}
