/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* By what a plugin's files are known to be those that were read. */

#include <stdint.h>
#include <sys/stat.h>

typedef struct FileStamp {
        uint64_t device, inode, mode, owner, group, size, modified, changed; /* the last two ns since 1970 */
} FileStamp;

typedef enum ManifestFile {
        MANIFEST_PLACE,
        MANIFEST_TEXT,
        MANIFEST_PROGRAM,
        MANIFEST_FILES,
} ManifestFile;

/* What else is done in a plugin's directory is no change of the plugin: a directory's has neither size nor times. */
void file_stamp(const struct stat *st, FileStamp *ret);

/* Of what lies there now; all zero of what cannot be seen. exec: the program's absolute path, or "". */
void manifest_stamp(const char *directory, const char *id, const char *exec, FileStamp ret[MANIFEST_FILES]);
