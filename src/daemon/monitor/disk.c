/* SPDX-License-Identifier: Apache-2.0 */

/* system.disk.low: a file system of this machine's own fills up. Only such as cannot hang are asked (mounts.h), and
 * each once, however often it is mounted. What counts is the space that ordinary users may still have, and the names
 * that are left. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/metrics/procfile.h"
#include "daemon/metrics/scan.h"
#include "daemon/monitor/mounts.h"
#include "daemon/monitor/private.h"
#include "util/json.h"

/* It has to fall by this much before it can be low again. */
#define HYSTERESIS_PERCENT 3.0
#define FILE_SYSTEMS_MAX 256U

typedef struct FileSystem {
        char *device; /* "8:1": of the super block, the same for each of its mounts */
        char *path;   /* where it is mounted first, as long as it is mounted there */
        gboolean seen;
        gboolean closed; /* the way there may not be gone */
        Condition low;
} FileSystem;

struct DiskMonitor {
        Monitors *monitors;
        ProcFile mounts;
        ProcBuffer buffer;
        int watch; /* of the same file: the kernel tells by it that mounts changed */
        gboolean read; /* what was mounted when the monitors were settled, or later */
        GPtrArray *file_systems;
};

static void file_system_free(void *data) {
        FileSystem *file_system = data;

        condition_clear(&file_system->low);
        g_free(file_system->device);
        g_free(file_system->path);
        g_free(file_system);
}

DiskMonitor *disk_monitor_new(Monitors *monitors) {
        DiskMonitor *disk = g_new0(DiskMonitor, 1);
        g_autofree char *path = g_strconcat(monitors->with.root, "/proc/self/mountinfo", NULL);

        disk->monitors = monitors;
        disk->file_systems = g_ptr_array_new_with_free_func(file_system_free);
        proc_file_init(&disk->mounts, monitors->with.root, "/proc/self/mountinfo");
        disk->watch = open(path, O_RDONLY | O_CLOEXEC);
        return disk;
}

DiskMonitor *disk_monitor_free(DiskMonitor *disk) {
        g_ptr_array_unref(disk->file_systems);
        proc_file_done(&disk->mounts);
        proc_buffer_done(&disk->buffer);
        (void) safe_close(disk->watch);
        g_free(disk);
        return NULL;
}

static FileSystem *find(const DiskMonitor *disk, const char *device) {
        for (guint i = 0; i < disk->file_systems->len; i++) {
                FileSystem *file_system = g_ptr_array_index(disk->file_systems, i);

                if (g_str_equal(file_system->device, device))
                        return file_system;
        }
        return NULL;
}

/* NULL: there are too many. */
static FileSystem *find_or_add(DiskMonitor *disk, const char *device) {
        FileSystem *file_system = find(disk, device);

        if (file_system || disk->file_systems->len >= FILE_SYSTEMS_MAX)
                return file_system;
        file_system = g_new0(FileSystem, 1);
        file_system->device = g_strdup(device);
        g_ptr_array_add(disk->file_systems, file_system);
        return file_system;
}

/* "\040" and the like are how the kernel writes blanks in a path. */
static char *unescape(const char *text) {
        return g_strcompress(text);
}

static void take_mount(DiskMonitor *disk, const Mounts *mounts, const Mount *mount) {
        FileSystem *file_system = find(disk, mount->device);

        if ((file_system && file_system->seen) || !mounts_can_ask(mounts, mount))
                return;
        file_system = find_or_add(disk, mount->device);
        if (!file_system)
                return;
        file_system->seen = TRUE;
        g_free(file_system->path);
        file_system->path = unescape(mount->point);
}

static gboolean have_mounts_changed(const DiskMonitor *disk) {
        struct pollfd waited = { .fd = disk->watch, .events = POLLPRI };

        return !disk->read || disk->file_systems->len == 0 || disk->watch < 0 || poll(&waited, 1, 0) > 0;
}

static void read_mounts(DiskMonitor *disk) {
        g_autoptr(Mounts) mounts = NULL;
        const GPtrArray *list;
        size_t length;

        if (!have_mounts_changed(disk) || proc_file_read(&disk->mounts, &disk->buffer, &length) < 0)
                return;
        disk->read = disk->monitors->settled;
        for (guint i = 0; i < disk->file_systems->len; i++)
                ((FileSystem *) g_ptr_array_index(disk->file_systems, i))->seen = FALSE;
        mounts = mounts_parse(disk->buffer.text);
        list = mounts_list(mounts);
        for (guint i = 0; i < list->len; i++)
                take_mount(disk, mounts, list->pdata[i]);
        for (guint i = disk->file_systems->len; i-- > 0;) {
                FileSystem *file_system = g_ptr_array_index(disk->file_systems, i);

                if (file_system->seen)
                        continue;
                condition_set(disk->monitors, &file_system->low, FALSE, "disk", "system.disk.low", NULL);
                if (!file_system->low.holds)
                        g_ptr_array_remove_index(disk->file_systems, i);
        }
}

/* As df(1) counts: blocks that only root may have are neither used nor to be had. */
static double used_percent(uint64_t all, uint64_t unused, uint64_t available) {
        uint64_t used = all - MIN(unused, all);

        return used + available > 0 ? 100.0 * (double) used / (double) (used + available) : 0;
}

static JsonObject *describe(const FileSystem *file_system, double blocks, double names, uint64_t available,
                            double threshold) {
        JsonObject *data = json_object_new();

        json_object_set_string_member(data, "path", file_system->path);
        json_object_set_string_member(data, "device", file_system->device);
        json_object_set_double_member(data, "used_percent", blocks);
        json_object_set_double_member(data, "used_names_percent", names);
        json_object_set_int_member(data, "available_bytes", (gint64) MIN(available, (uint64_t) G_MAXINT64));
        json_object_set_double_member(data, "threshold_percent", threshold);
        return data;
}

static void look_at(DiskMonitor *disk, FileSystem *file_system) {
        double threshold = disk->monitors->config->disk_low_percent, blocks, names, used;
        g_autofree char *path = g_strconcat(disk->monitors->with.root, file_system->path, NULL);
        struct statvfs s;
        uint64_t available;

        if (threshold <= 0) {
                condition_set(disk->monitors, &file_system->low, FALSE, "disk", "system.disk.low", NULL);
                return;
        }
        if (!file_system->path)
                return;
        file_system->closed = FALSE;
        if (statvfs(path, &s) < 0) {
                file_system->closed = errno == EACCES;
                return;
        }
        available = (uint64_t) s.f_bavail * s.f_frsize;
        blocks = used_percent(s.f_blocks, s.f_bfree, s.f_bavail);
        /* Some have no fixed number of names, and say 0. */
        names = s.f_files > 0 ? used_percent(s.f_files, s.f_ffree, s.f_favail) : 0;
        used = MAX(blocks, names);
        if (used >= threshold)
                condition_set(disk->monitors, &file_system->low, TRUE, "disk", "system.disk.low",
                              describe(file_system, blocks, names, available, threshold));
        else if (used < threshold - HYSTERESIS_PERCENT)
                condition_set(disk->monitors, &file_system->low, FALSE, "disk", "system.disk.low", NULL);
}

char *disk_monitor_closed(const DiskMonitor *disk) {
        g_autoptr(GString) paths = g_string_new(NULL);

        for (guint i = 0; i < disk->file_systems->len; i++) {
                const FileSystem *file_system = g_ptr_array_index(disk->file_systems, i);

                if (file_system->closed)
                        g_string_append_printf(paths, "%s%s", paths->len > 0 ? ", " : "", file_system->path);
        }
        return paths->len > 0 ? g_string_free(g_steal_pointer(&paths), FALSE) : NULL;
}

/* One that is not mounted any more is missed by the next look at the mounts. */
gboolean disk_monitor_adopt(DiskMonitor *disk, const char *id, JsonObject *data) {
        const char *device = data ? json_get_string(data, "device", "") : "";
        FileSystem *file_system = *device ? find_or_add(disk, device) : NULL;

        return file_system && condition_adopt(&file_system->low, id);
}

void disk_monitor_check(DiskMonitor *disk) {
        read_mounts(disk);
        for (guint i = 0; i < disk->file_systems->len; i++)
                look_at(disk, g_ptr_array_index(disk->file_systems, i));
}
