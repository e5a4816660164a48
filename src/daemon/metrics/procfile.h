/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A file of /proc or /sys that is read again and again: opened once, then read with pread. One buffer serves all files
 * of a sampler, because each text is parsed before the next is read. */

#include <stddef.h>

/* No file that is read here is near this on any machine: what is longer is no answer of the kernel. */
#define PROC_TEXT_MAX (4U * 1024U * 1024U)

typedef struct ProcBuffer {
        char *text;
        size_t size;
} ProcBuffer;

void proc_buffer_done(ProcBuffer *buffer);

typedef struct ProcFile {
        char *path;
        int fd;
} ProcFile;

/* Opens nothing yet: a file that is not there may come (a module, a container's late mount). */
void proc_file_init(ProcFile *file, const char *root, const char *path);
void proc_file_done(ProcFile *file);

/* The whole content, NUL-terminated, in buffer->text. Negative errno: -ENOENT if there is no such file, -EFBIG if it
 * is longer than PROC_TEXT_MAX. A file that fails is opened anew next time. */
int proc_file_read(ProcFile *file, ProcBuffer *buffer, size_t *ret_length);
