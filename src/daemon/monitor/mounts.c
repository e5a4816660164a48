/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/monitor/mounts.h"

#include <string.h>

/* Of file systems on disks; an unknown one is left out, because asking it might never end. */
static const char *const disk_types[] = { "ext2",  "ext3",     "ext4", "xfs",      "btrfs",  "zfs",
                                          "f2fs",  "bcachefs", "jfs",  "reiserfs", "vfat",   "ntfs3",
                                          "exfat", "nilfs2",   "ufs",  "udf",      NULL };
/* Nothing to fill up, but on the way to a disk nothing to wait for, either. Not autofs: passing it mounts what may be
 * a network's. */
static const char *const quiet_types[] = { "rootfs",   "tmpfs", "ramfs",   "devtmpfs", "sysfs", "proc",
                                           "squashfs", "erofs", "iso9660", "overlay",  NULL };

struct Mounts {
        GPtrArray *list;      /* owns Mount */
        GHashTable *by_id;    /* id → Mount; borrows */
        GHashTable *by_place; /* parent and point → Mount, the last of several; borrows values */
};

static void mount_free(void *data) {
        Mount *mount = data;

        g_free(mount->line);
        g_free(mount);
}

static char *place_of(const char *parent, const char *point, size_t length) {
        return g_strdup_printf("%s:%.*s", parent, (int) length, point);
}

/* The next field, ended in place; "" at the end of the line. */
static const char *next(char **rest) {
        char *field = *rest, *end = field + strcspn(field, " ");

        *rest = *end ? end + 1 : end;
        *end = '\0';
        return field;
}

/* 36 35 98:0 /root /mount/point rw,noatime shared:1 - ext4 /dev/root rw,errors=continue */
static Mount *parse_line(const char *text) {
        Mount *mount = g_new0(Mount, 1);
        char *rest = mount->line = g_strdup(text), *separator = strstr(rest, " - ");

        if (!separator) {
                mount_free(mount);
                return NULL;
        }
        *separator = '\0';
        mount->id = next(&rest);
        mount->parent = next(&rest);
        mount->device = next(&rest);
        (void) next(&rest);
        mount->point = next(&rest);
        rest = separator + strlen(" - ");
        mount->type = next(&rest);
        (void) next(&rest);
        mount->super_options = next(&rest);
        if (mount->point[0] == '/' && *mount->super_options)
                return mount;
        mount_free(mount);
        return NULL;
}

Mounts *mounts_parse(const char *text) {
        Mounts *mounts = g_new0(Mounts, 1);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        mounts->list = g_ptr_array_new_with_free_func(mount_free);
        mounts->by_id = g_hash_table_new(g_str_hash, g_str_equal);
        mounts->by_place = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        for (char **line = lines; *line; line++) {
                Mount *mount = parse_line(*line);

                if (!mount)
                        continue;
                g_ptr_array_add(mounts->list, mount);
                (void) g_hash_table_insert(mounts->by_id, (void *) mount->id, mount);
                (void) g_hash_table_insert(mounts->by_place,
                                           place_of(mount->parent, mount->point, strlen(mount->point)), mount);
        }
        return mounts;
}

Mounts *mounts_free(Mounts *mounts) {
        if (!mounts)
                return NULL;
        g_hash_table_unref(mounts->by_place);
        g_hash_table_unref(mounts->by_id);
        g_ptr_array_unref(mounts->list);
        g_free(mounts);
        return NULL;
}

const GPtrArray *mounts_list(const Mounts *mounts) {
        return mounts->list;
}

static const Mount *at(const Mounts *mounts, const char *parent, const char *point, size_t length) {
        g_autofree char *place = place_of(parent, point, length);

        return g_hash_table_lookup(mounts->by_place, place);
}

/* Another one stands in the way that leads from its parent to it. What is mounted over the root itself is passed by no
 * path: each begins below it. */
static gboolean is_covered(const Mounts *mounts, const Mount *mount) {
        const char *point = mount->point, *slash = point;

        if (g_str_equal(point, "/"))
                return FALSE;
        while ((slash = strchr(slash + 1, '/'))) {
                if (at(mounts, mount->parent, point, (size_t) (slash - point)))
                        return TRUE;
        }
        return at(mounts, mount->parent, point, strlen(point)) != mount;
}

static gboolean is_quiet(const Mount *mount) {
        return g_strv_contains(disk_types, mount->type) || g_strv_contains(quiet_types, mount->type);
}

static gboolean leads_there(const Mounts *mounts, const Mount *mount) {
        /* No chain is longer than there are mounts, whatever the text says. */
        for (guint i = 0; i < mounts->list->len; i++) {
                const Mount *parent = g_hash_table_lookup(mounts->by_id, mount->parent);

                if (is_covered(mounts, mount))
                        return FALSE;
                if (!parent || parent == mount)
                        return TRUE;
                if (!is_quiet(parent))
                        return FALSE;
                mount = parent;
        }
        return FALSE;
}

/* Of overlays, the machine's own root alone: each of a container's is a directory of a disk that is asked anyhow. */
static gboolean can_fill_up(const Mount *mount) {
        return g_strv_contains(disk_types, mount->type) ||
               (g_str_equal(mount->type, "overlay") && g_str_equal(mount->point, "/"));
}

gboolean mounts_can_ask(const Mounts *mounts, const Mount *mount) {
        return can_fill_up(mount) && g_str_has_prefix(mount->super_options, "rw") &&
               (g_str_equal(mount->point, "/") || !at(mounts, mount->id, mount->point, strlen(mount->point))) &&
               leads_there(mounts, mount);
}
