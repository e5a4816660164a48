/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/stop/record.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/journal.h"
#include "util/duration.h"
#include "util/file.h"
#include "util/json.h"

#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"
#define INIT_STAT_FILE "/proc/1/stat"
#define BOOT_MARK_FILE "boot"
#define BOOT_TEXT_MAX 256
#define STAT_MAX 4096

/* Field 22 of /proc/PID/stat, in clock ticks since boot (proc(5)). The name in field 2 may hold spaces and parentheses, so counting
 * starts behind the last one. */
static unsigned long long init_start_ticks(void) {
        g_autofree char *text = NULL;
        unsigned long long ticks = 0;
        const char *p;

        if (!file_read(INIT_STAT_FILE, STAT_MAX, &text, NULL, NULL))
                return 0;
        p = strrchr(text, ')');
        if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &ticks) != 1)
                return 0;
        return ticks;
}

/* What the runtime directory calls this boot; it does not outlive one. */
static char *boot_mark(const char *runtime_directory) {
        g_autofree char *path = g_build_filename(runtime_directory, BOOT_MARK_FILE, NULL), *mark = NULL;
        g_autoptr(GError) error = NULL;

        if (file_read(path, BOOT_TEXT_MAX, &mark, NULL, NULL) && g_uuid_string_is_valid(g_strstrip(mark)))
                return g_steal_pointer(&mark);
        g_free(mark);
        mark = g_uuid_string_random();
        if (file_write(path, mark, strlen(mark), 0600, &error))
                return g_steal_pointer(&mark);
        log_warning("A restart of the daemon will look like one of the machine: %s", error->message);
        return g_steal_pointer(&mark);
}

char *boot_identity(const char *runtime_directory) {
        g_autofree char *id = NULL, *mark = boot_mark(runtime_directory);

        if (!file_read(BOOT_ID_FILE, BOOT_TEXT_MAX, &id, NULL, NULL))
                return g_strdup(mark);
        return g_strdup_printf("%s.%s", g_strstrip(id), mark);
}

uint64_t boot_started(void) {
        uint64_t started = init_start_ticks() * USEC_PER_SEC / (uint64_t) sysconf(_SC_CLK_TCK);

        return MAX(started, 1);
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

        when = moment_format(stopped, now, FALSE);
        back = moment_format(booted, now, FALSE);
        off = duration_format(usec_sub(booted, stopped));
        if (idle_since == 0)
                return g_strdup_printf("Stopped %s (%s), back since %s, %s off", when,
                                       json_get_string(record, "reason", "by request"), back, off);
        since = moment_format(idle_since, stopped, FALSE);
        return g_strdup_printf("Stopped itself %s (idle since %s), back since %s, %s off", when, since, back, off);
}
