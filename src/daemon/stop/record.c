/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/stop/record.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/journal.h"
#include "base/process-stat.h"
#include "util/duration.h"
#include "util/file.h"
#include "util/json.h"

#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"
#define INIT_STAT_FILE "/proc/1/stat"
#define BOOT_MARK_FILE "boot"
#define BOOT_TEXT_MAX 256

static gboolean read_below(const char *root, const char *file, gsize maximum, char **ret) {
        g_autofree char *path = g_strconcat(root, file, NULL);

        return file_read(path, maximum, ret, NULL, NULL);
}

static gboolean init_started(const char *root, uint64_t *ret) {
        g_autofree char *text = NULL;
        ProcessStat stat;

        if (!read_below(root, INIT_STAT_FILE, PROCESS_STAT_MAX, &text) ||
            process_stat_parse(text, sysconf(_SC_CLK_TCK), &stat) < 0)
                return FALSE;
        *ret = stat.started;
        return TRUE;
}

static gboolean in_container(const char *root) {
        static const char *const signs[] = { "/run/systemd/container", "/run/host/container-manager", "/.dockerenv",
                                             "/run/.containerenv" };

        for (size_t i = 0; i < G_N_ELEMENTS(signs); i++) {
                g_autofree char *path = g_strconcat(root, signs[i], NULL);

                if (g_file_test(path, G_FILE_TEST_EXISTS))
                        return TRUE;
        }
        return FALSE;
}

static gboolean parse_mark(const char *text, char **ret_name, uint64_t *ret_made) {
        g_auto(GStrv) words = g_strsplit(text, " ", 2);

        if (!words[0] || !g_uuid_string_is_valid(words[0]))
                return FALSE;
        *ret_name = g_strdup(words[0]);
        *ret_made = words[1] ? g_ascii_strtoull(words[1], NULL, 10) : 0;
        return TRUE;
}

/* What the runtime directory, which does not outlive a boot, calls this one, and when it was first asked for. */
static char *boot_mark(const char *runtime_directory, uint64_t *ret_made) {
        g_autofree char *path = g_build_filename(runtime_directory, BOOT_MARK_FILE, NULL), *text = NULL;
        g_autoptr(GError) error = NULL;
        char *name = NULL;

        if (file_read(path, BOOT_TEXT_MAX, &text, NULL, NULL) && parse_mark(g_strstrip(text), &name, ret_made))
                return name;
        g_free(text);
        name = g_uuid_string_random();
        *ret_made = clock_monotonic();
        text = g_strdup_printf("%s %" PRIu64, name, *ret_made);
        if (!file_replace(path, text, strlen(text), 0600, &error))
                log_warning("A restart of the daemon will look like one of the machine: %s", error->message);
        return name;
}

void boot_learn(const char *root, const char *runtime_directory, Boot *ret) {
        g_autofree char *id = NULL, *mark = NULL;
        uint64_t made, started;

        mark = boot_mark(runtime_directory, &made);
        if (read_below(root, BOOT_ID_FILE, BOOT_TEXT_MAX, &id))
                ret->identity = g_strdup_printf("%s.%s", g_strstrip(id), mark);
        else
                ret->identity = g_steal_pointer(&mark);
        /* The clock of a container is its host's: where its process 1 is hidden, it booted when we first ran in it, at
         * the latest. */
        if (!init_started(root, &started))
                started = in_container(root) ? made : 0;
        ret->started = MAX(started, 1);
}

JsonObject *stop_record_new(const char *boot, uint64_t realtime, uint64_t idle_since, const char *provider,
                            const char *action, const char *reason) {
        JsonObject *record = json_object_new();

        json_object_set_string_member(record, "boot", boot);
        json_object_set_int_member(record, "stopped", (gint64) realtime);
        json_object_set_int_member(record, "idle_since", (gint64) idle_since);
        json_object_set_string_member(record, "provider", provider);
        json_object_set_string_member(record, "action", action);
        json_object_set_string_member(record, "reason", reason);
        return record;
}

char *stop_record_close(JsonObject *record, uint64_t booted, uint64_t now) {
        uint64_t stopped = (uint64_t) json_get_int(record, "stopped", 0);
        uint64_t idle_since = (uint64_t) json_get_int(record, "idle_since", 0);
        g_autofree char *when = NULL, *since = NULL, *back = NULL, *off = NULL;

        if (stopped == 0)
                return NULL;
        json_object_set_int_member(record, "back", (gint64) booted);
        json_object_set_int_member(record, "off", (gint64) usec_sub(booted, stopped));

        when = moment_format_beside(stopped, booted, now);
        back = moment_format_beside(booted, stopped, now);
        off = duration_format(usec_sub(booted, stopped));
        if (idle_since == 0)
                return g_strdup_printf("Stopped %s (%s), back since %s, %s off", when,
                                       json_get_string(record, "reason", "by request"), back, off);
        since = moment_format(idle_since, stopped, FALSE);
        return g_strdup_printf("Stopped itself %s (idle since %s), back since %s, %s off", when, since, back, off);
}

char *stop_record_missing(uint64_t seen, uint64_t booted, uint64_t now) {
        g_autofree char *last = NULL, *back = moment_format_beside(booted, seen, now);

        if (seen == 0)
                return g_strdup_printf(
                        "Back since %s; of the time before, CloudSnooze has no stop of its own on record", back);
        last = moment_format_beside(seen, booted, now);
        return g_strdup_printf("Back since %s, last seen %s; CloudSnooze has no stop of its own on record", back,
                               last);
}
