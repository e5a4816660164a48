/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/manager-state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/journal.h"
#include "base/names.h"
#include "daemon/manager-announce.h"
#include "daemon/stop/record.h"
#include "daemon/wall-clock.h"
#include "util/file.h"
#include "util/json.h"

#define DECISION_FILE "decision.json"
#define PAUSE_KEY "pause"
/* The boot in which the daemon was last there. */
#define BOOT_KEY "boot"

/* The file is an object of JSON that begins with the moment at which the daemon was last known to watch. */
#define ALIVE_FORMAT "{\"alive\":%20" G_GUINT64_FORMAT ","
#define ALIVE_LENGTH (sizeof("{\"alive\":,") - 1 + 20)

static char *decision_path(Manager *manager) {
        return g_build_filename(manager->options.runtime_directory, DECISION_FILE, NULL);
}

void manager_saved_clear(Manager *manager) {
        g_clear_pointer(&manager->saved.decision, json_object_unref);
        manager->saved.fd = safe_close(manager->saved.fd);
}

/* Of a fixed length, so that it can be overwritten: ALIVE_FORMAT stands at the beginning of the file. */
static int write_alive(int fd, uint64_t boottime) {
        char text[ALIVE_LENGTH + 1];
        struct stat st;

        (void) snprintf(text, sizeof(text), ALIVE_FORMAT, boottime);
        if (fstat(fd, &st) < 0 || st.st_nlink == 0)
                return -ESTALE;
        return pwrite(fd, text, ALIVE_LENGTH, 0) == (ssize_t) ALIVE_LENGTH ? 0 : -EIO;
}

/* What stood there a while ago is true now. */
static gboolean is_saved(Manager *manager, uint64_t boottime) {
        return manager->saved.decision && manager->saved.pause_until == manager->pause_until &&
               manager->saved.measured == metrics_measured(manager->metrics) &&
               decision_is_as_exported(manager->decision, clock_monotonic(),
                                       usec_sub(boottime, manager->saved.boottime), manager->saved.decision);
}

static JsonArray *names_of(unsigned measured) {
        JsonArray *names = json_array_new();

        for (Metric metric = 0; metric < METRIC_COUNT; metric++)
                if (measured & 1U << metric)
                        json_array_add_string_element(names, metric_source_name(metric));
        return names;
}

/* Names that this version does not know are left out. */
static unsigned take_measured(JsonObject *object) {
        JsonArray *names = json_get_array(object, "measured");
        unsigned measured = 0;

        for (guint i = 0; names && i < json_array_get_length(names); i++) {
                JsonNode *node = json_array_get_element(names, i);
                const char *name = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_string(node) : NULL;
                int metric = name ? metric_from_source_name(name) : -1;

                if (metric >= 0)
                        measured |= 1U << metric;
        }
        return measured;
}

static char *saved_text(Manager *manager) {
        g_autoptr(JsonObject) object = json_object_new();
        g_autofree char *text = NULL;

        json_object_set_string_member(object, "boot", manager->boot);
        json_object_set_int_member(object, "boottime", (gint64) manager->saved.boottime);
        json_object_set_int_member(object, "pause_until", (gint64) manager->saved.pause_until);
        json_object_set_array_member(object, "measured", names_of(manager->saved.measured));
        json_object_set_boolean_member(object, "dry_run", stop_dry_run(manager->stop));
        stop_export_wishes(manager->stop, object);
        json_object_set_object_member(object, "decision", json_object_ref(manager->saved.decision));
        text = json_object_text(object);
        return g_strdup_printf(ALIVE_FORMAT "%s", manager->saved.boottime, text + 1);
}

void manager_save(Manager *manager) {
        uint64_t boottime = clock_boottime();
        g_autofree char *path = NULL, *text = NULL;
        g_autoptr(GError) error = NULL;

        if (is_saved(manager, boottime) && write_alive(manager->saved.fd, boottime) >= 0)
                return;
        manager_saved_clear(manager);
        manager->saved.decision = decision_export(manager->decision, clock_monotonic());
        manager->saved.boottime = boottime;
        manager->saved.pause_until = manager->pause_until;
        manager->saved.measured = metrics_measured(manager->metrics);
        text = saved_text(manager);
        path = decision_path(manager);
        if (file_replace(path, text, strlen(text), 0600, &error))
                manager->saved.fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        else
                log_warning("The state of the decision could not be kept in %s: %s", path, error->message);
}

static int on_pause_end(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *manager = userdata;

        log_notice("The pause has come to its longest time and ends.");
        return manager_set_pause(manager, 0, NULL, NULL);
}

int manager_set_pause(Manager *manager, uint64_t until, StoreDone done, void *userdata) {
        g_autoptr(JsonObject) record = NULL;
        gboolean was = manager->pause_until > 0;
        int r;

        manager->pause_end = sd_event_source_disable_unref(manager->pause_end);
        manager->pause_until = until;
        manager->pause_known = TRUE;
        if (until > 0) {
                r = sd_event_add_time(manager->event, &manager->pause_end, CLOCK_BOOTTIME, until, USEC_PER_SEC,
                                      on_pause_end, manager);
                if (r < 0)
                        return r;
                record = json_object_new();
                json_object_set_int_member(record, "until",
                                           (gint64) (clock_realtime() + usec_sub(until, clock_boottime())));
        } else if (was)
                decision_end_pause(manager->decision, clock_monotonic());
        manager_save(manager);
        manager_emit_changed(manager, "Paused");
        manager_emit_changed(manager, "PausedUntil");
        manager_step_soon(manager);
        return store_put(manager->store, PAUSE_KEY, record, done, userdata);
}

static JsonNode *read_saved(Manager *manager) {
        g_autofree char *path = decision_path(manager);
        g_autoptr(GError) error = NULL;
        JsonNode *node = json_file_parse(path, &error);

        if (!node && !g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
                log_warning("What the last run of the daemon kept is not to be read: %s. The idle clock starts again.",
                            error->message);
        return node;
}

/* An automatic stop is decided anew: until then the one that was announced is off, and whoever was told of it hears so
 * with the first step, whatever that finds. Idle before and idle now is no transition to tell of; a stop that somebody
 * wants goes on, and is told again, because people may have missed it. */
static void take_up_announced(Manager *manager, const char *before, gboolean rehearsal) {
        int state = state_from_name(before);

        if (state == STATE_IDLE)
                manager->announced = STATE_IDLE;
        if ((state != STATE_WARNING && state != STATE_STOPPING) || decision_was_asked(manager->decision) ||
            decision_stop_requested(manager->decision, NULL))
                return;
        manager->announced = (State) state;
        manager->called_off = g_strdup("snoozed started anew, and decides anew");
        stop_resume_announced(manager->stop, rehearsal);
}

static void restore_decision(Manager *manager) {
        g_autoptr(JsonNode) node = read_saved(manager);
        JsonObject *object = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
        JsonObject *saved = object ? json_get_object(object, "decision") : NULL;
        uint64_t pause_until, boottime;

        if (!saved || strcmp(json_get_string(object, "boot", ""), manager->boot) != 0)
                return;
        metrics_set_measured(manager->metrics, take_measured(object));
        boottime = (uint64_t) json_get_int(object, "boottime", 0);
        if (decision_import(manager->decision, clock_monotonic(), usec_sub(clock_boottime(), boottime),
                            usec_sub(clock_boottime(), (uint64_t) json_get_int(object, "alive", (gint64) boottime)),
                            saved) < 0)
                log_warning("What the last run of the daemon kept makes no sense. The idle clock starts again.");
        else
                take_up_announced(manager, json_get_string(saved, "state", ""),
                                  json_get_boolean(object, "dry_run", stop_dry_run(manager->stop)));
        if (decision_stop_requested(manager->decision, NULL))
                stop_import_wishes(manager->stop, object);
        pause_until = (uint64_t) json_get_int(object, "pause_until", 0);
        if (pause_until > clock_boottime())
                (void) manager_set_pause(manager, pause_until, NULL, NULL);
        if (decision_was_asked(manager->decision))
                stop_resume_asked(manager->stop);
}

/* back: when it was there again, by boot or by resume. */
static void greet(Manager *manager, JsonObject *record, uint64_t back) {
        uint64_t now = clock_realtime();

        g_free(manager->greeting);
        manager->greeting = stop_record_close(record, back, now);
        if (!manager->greeting)
                return;
        journal_write(LOG_NOTICE, MESSAGE_BACK, NULL, "%s", manager->greeting);
        json_object_set_string_member(record, "outcome", "back");
        json_object_set_string_member(record, "message", manager->greeting);
        (void) store_append(manager->store, now, HISTORY_STOP, record, NULL, NULL);
        (void) store_put(manager->store, STOP_RECORD_KEY, NULL, NULL, NULL);
        manager_emit_changed(manager, "Greeting");
}

static uint64_t boot_realtime(const Manager *manager) {
        return usec_sub(clock_realtime(), usec_sub(clock_boottime(), manager->booted));
}

/* What was last written down before the boot tells how long the machine was there. */
static void on_last_row(GPtrArray *rows, const GError *error, void *userdata) {
        Manager *manager = userdata;
        uint64_t seen = rows && rows->len > 0 ? (uint64_t) json_get_int(rows->pdata[0], "time", 0) : 0;

        g_free(manager->greeting);
        manager->greeting = stop_record_missing(seen, boot_realtime(manager), clock_realtime());
        journal_write(LOG_NOTICE, MESSAGE_BACK, NULL, "%s", manager->greeting);
        manager_emit_changed(manager, "Greeting");
}

/* TRUE: the daemon was last there in another boot. From now on it is this one. */
static gboolean note_boot(Manager *manager, GHashTable *records, const GError *error) {
        JsonObject *known = error ? NULL : g_hash_table_lookup(records, BOOT_KEY);
        g_autoptr(JsonObject) record = NULL;

        if (error || (known && strcmp(json_get_string(known, "boot", ""), manager->boot) == 0))
                return FALSE;
        record = json_object_new();
        json_object_set_string_member(record, "boot", manager->boot);
        (void) store_put(manager->store, BOOT_KEY, record, NULL, NULL);
        return known != NULL;
}

static void on_boot_after_stop(GHashTable *records, const GError *error, void *userdata) {
        (void) note_boot(userdata, records, error);
}

static void on_boot_without_stop(GHashTable *records, const GError *error, void *userdata) {
        Manager *manager = userdata;
        unsigned everything = ~0U;

        if (note_boot(manager, records, error))
                (void) store_query(manager->store, 0, boot_realtime(manager), 1, everything, on_last_row, manager);
}

static void on_stop_record(GHashTable *records, const GError *error, void *userdata) {
        Manager *manager = userdata;
        JsonObject *record = error ? NULL : g_hash_table_lookup(records, STOP_RECORD_KEY);

        /* One of this boot is a stop under way (or suspended and resumed from): its own end closes it. */
        if (record && strcmp(json_get_string(record, "boot", ""), manager->boot) != 0) {
                stop_take_tags_back(manager->stop);
                greet(manager, record, boot_realtime(manager));
        }
        if (!error)
                (void) store_get(manager->store, BOOT_KEY, record ? on_boot_after_stop : on_boot_without_stop,
                                 manager);
}

static void on_record_of_this_boot(GHashTable *records, const GError *error, void *userdata) {
        Manager *manager = userdata;
        JsonObject *record = error ? NULL : g_hash_table_lookup(records, STOP_RECORD_KEY);

        if (record && strcmp(json_get_string(record, "boot", ""), manager->boot) == 0)
                greet(manager, record, manager_realtime(manager, manager->up_since));
}

void manager_came_back(Manager *manager) {
        stop_over(manager->stop);
        (void) store_get(manager->store, STOP_RECORD_KEY, on_record_of_this_boot, manager);
}

/* A pause outlives a reboot: whoever paused the machine did not say "until it restarts". Whoever paused or resumed it
 * since this answer was asked for has said something newer. */
static void on_pause_record(GHashTable *records, const GError *error, void *userdata) {
        Manager *manager = userdata;
        JsonObject *record = error ? NULL : g_hash_table_lookup(records, PAUSE_KEY);
        uint64_t until = record ? (uint64_t) json_get_int(record, "until", 0) : 0, now = clock_realtime();

        if (!manager->pause_known && until > now) {
                uint64_t left =
                        MIN(until - now, (uint64_t) (manager->config->pause_max_hours * (double) USEC_PER_HOUR));

                (void) manager_set_pause(manager, usec_add(clock_boottime(), left), NULL, NULL);
        }
}

void manager_restore(Manager *manager) {
        restore_decision(manager);
        (void) store_get(manager->store, STOP_RECORD_KEY, on_stop_record, manager);
        (void) store_get(manager->store, PAUSE_KEY, on_pause_record, manager);
}

static JsonArray *list_votes(Manager *manager) {
        g_autoptr(GPtrArray) votes = decision_explain(manager->decision, clock_monotonic());
        JsonArray *array = json_array_new();

        for (guint i = 0; i < votes->len; i++) {
                const Explained *vote = g_ptr_array_index(votes, i);
                JsonObject *object = json_object_new();

                json_object_set_string_member(object, "source", vote->source);
                json_object_set_string_member(object, "verdict", verdict_name(vote->verdict));
                json_object_set_string_member(object, "reason", vote->reason ? vote->reason : "");
                json_array_add_object_element(array, object);
        }
        return array;
}

static void keep_votes(Manager *manager) {
        g_autofree char *verdicts = decision_verdicts(manager->decision, clock_monotonic());
        g_autoptr(JsonObject) row = NULL;

        if (g_strcmp0(verdicts, manager->verdicts) == 0)
                return;
        row = json_object_new();
        json_object_set_array_member(row, "votes", list_votes(manager));
        (void) store_append(manager->store, manager->sample_realtime, HISTORY_VOTES, row, NULL, NULL);
        g_free(manager->verdicts);
        manager->verdicts = g_steal_pointer(&verdicts);
}

void manager_keep_history(Manager *manager, JsonObject *metrics) {
        if (manager->sample.span == 0)
                return;
        (void) store_append(manager->store, manager->sample_realtime, HISTORY_SAMPLE, metrics, NULL, NULL);
        keep_votes(manager);
}

void manager_notice(Manager *manager, const char *text) {
        g_autoptr(JsonObject) data = json_object_new();

        json_object_set_string_member(data, "notice", text);
        (void) events_emit(manager->events, EVENT_NOTICE, EVENT_SOURCE_OWN, SEVERITY_WARNING, 0, data, NULL, NULL,
                           NULL);
}
