/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/metrics/procfile.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <glib.h>

#include "base/cleanup.h"

#define BUFFER_FIRST_SIZE 16384U

/* A sequence file ends a read where the next record does not fit into its page, so that a read near the length of a
 * page says nothing about the end. No record of the files read here is as long as the margin. */
#define SEQUENCE_PAGE 4096U
#define SEQUENCE_RECORD_MAX 512U

void proc_buffer_done(ProcBuffer *buffer) {
        g_clear_pointer(&buffer->text, g_free);
        buffer->size = 0;
}

void proc_file_init(ProcFile *file, const char *root, const char *path) {
        *file = (ProcFile) {
                .path = g_strconcat(root, path, NULL),
                .fd = -1,
        };
}

void proc_file_done(ProcFile *file) {
        file->fd = safe_close(file->fd);
        g_clear_pointer(&file->path, g_free);
}

static int grow(ProcBuffer *buffer) {
        size_t size = buffer->size == 0 ? BUFFER_FIRST_SIZE : buffer->size * 2;
        char *text;

        if (buffer->size >= PROC_TEXT_MAX)
                return -EFBIG;
        text = g_try_realloc(buffer->text, size);
        if (!text)
                return -ENOMEM;
        buffer->text = text;
        buffer->size = size;
        return 0;
}

static int read_text(int fd, ProcBuffer *buffer, size_t *ret_length) {
        size_t length = 0;

        for (;;) {
                size_t room;
                ssize_t n;
                int r;

                if (length + 1 >= buffer->size) {
                        r = grow(buffer);
                        if (r < 0)
                                return r;
                }
                room = buffer->size - 1 - length;
                n = pread(fd, buffer->text + length, room, (off_t) length);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                length += (size_t) n;
                if (n == 0 || ((size_t) n < room && n < (ssize_t) (SEQUENCE_PAGE - SEQUENCE_RECORD_MAX)))
                        break;
        }
        buffer->text[length] = '\0';
        *ret_length = length;
        return 0;
}

int proc_file_read(ProcFile *file, ProcBuffer *buffer, size_t *ret_length) {
        int r;

        if (file->fd < 0) {
                /* O_NONBLOCK: should a FIFO stand there, it must not stop the daemon. */
                file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
                if (file->fd < 0)
                        return -errno;
        }
        r = read_text(file->fd, buffer, ret_length);
        if (r < 0)
                file->fd = safe_close(file->fd);
        if (r == -EFBIG)
                proc_buffer_done(buffer);
        return r;
}
