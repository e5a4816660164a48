/* SPDX-License-Identifier: Apache-2.0 */

#include "manifest/stamp.h"

#include <glib.h>

#include "base/clock.h"
#include "manifest/manifest.h"

#define NSEC_IN_SEC (NSEC_PER_USEC * USEC_PER_SEC)

void file_stamp(const struct stat *st, FileStamp *ret) {
        *ret = (FileStamp){
                .device = st->st_dev,
                .inode = st->st_ino,
                .mode = st->st_mode,
                .owner = st->st_uid,
                .group = st->st_gid,
        };
        if (S_ISDIR(st->st_mode))
                return;
        ret->size = (uint64_t) st->st_size;
        ret->modified = (uint64_t) st->st_mtim.tv_sec * NSEC_IN_SEC + (uint64_t) st->st_mtim.tv_nsec;
        ret->changed = (uint64_t) st->st_ctim.tv_sec * NSEC_IN_SEC + (uint64_t) st->st_ctim.tv_nsec;
}

static void stamp_path(const char *path, FileStamp *ret) {
        struct stat st;

        if (stat(path, &st) < 0)
                *ret = (FileStamp){};
        else
                file_stamp(&st, ret);
}

void manifest_stamp(const char *directory, const char *id, const char *exec, FileStamp ret[MANIFEST_FILES]) {
        g_autofree char *place = manifest_place(directory, id, NULL) ?: g_build_filename(directory, id, NULL);
        g_autofree char *file = g_build_filename(place, "plugin.json", NULL);

        stamp_path(place, &ret[MANIFEST_PLACE]);
        stamp_path(file, &ret[MANIFEST_TEXT]);
        stamp_path(exec, &ret[MANIFEST_PROGRAM]);
}
