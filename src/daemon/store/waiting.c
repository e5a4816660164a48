/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/store/waiting.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/uio.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "base/cleanup.h"
#include "util/json.h"

struct Waiting {
        int fd;
        size_t size; /* up to the end of the last whole line */
};

Waiting *waiting_open(const char *directory, GError **error) {
        g_autofree char *path = g_build_filename(directory, WAITING_NAME, NULL);
        _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        Waiting *waiting;

        /* Another daemon that is about to notice that it is the second one must not take what is the first one's. */
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
                g_set_error(error, G_FILE_ERROR, (gint) g_file_error_from_errno(errno), "%s: %s", path,
                            errno == EWOULDBLOCK ? "another process uses it" : g_strerror(errno));
                return NULL;
        }
        waiting = g_new0(Waiting, 1);
        waiting->fd = steal_fd(&fd);
        return waiting;
}

void waiting_close(Waiting *waiting) {
        if (!waiting)
                return;
        waiting->fd = safe_close(waiting->fd);
        g_free(waiting);
}

/* Up to the ceiling, NUL-terminated. */
static char *read_file(int fd, size_t *ret_length) {
        char *text = g_malloc(WAITING_BYTES_MAX + 1);
        size_t length = 0;

        while (length < WAITING_BYTES_MAX) {
                ssize_t n = pread(fd, text + length, WAITING_BYTES_MAX - length, (off_t) length);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        break;
                length += (size_t) n;
        }
        text[length] = '\0';
        *ret_length = length;
        return text;
}

/* line: NUL-terminated. Returns the object's text within it, or NULL. */
static const char *parse_line(char *line, size_t length, uint64_t *ret_realtime) {
        char *space = strchr(line, ' ');
        g_autoptr(JsonNode) node = NULL;
        guint64 realtime;

        if (strlen(line) != length || !space)
                return NULL;
        *space = '\0';
        if (!g_ascii_string_to_unsigned(line, 10, 1, G_MAXINT64, &realtime, NULL))
                return NULL;
        node = json_text_parse(WAITING_NAME, space + 1, -1, NULL);
        if (!node || !JSON_NODE_HOLDS_OBJECT(node))
                return NULL;
        *ret_realtime = realtime;
        return space + 1;
}

unsigned waiting_read(Waiting *waiting, WaitingSample sample, void *userdata) {
        size_t length;
        g_autofree char *text = read_file(waiting->fd, &length);
        char *line = text, *end;
        unsigned skipped = 0;

        while ((end = memchr(line, '\n', length - (size_t) (line - text)))) {
                uint64_t realtime;
                const char *data;

                *end = '\0';
                data = parse_line(line, (size_t) (end - line), &realtime);
                if (data)
                        sample(realtime, data, userdata);
                else
                        skipped++;
                line = end + 1;
        }
        waiting->size = (size_t) (line - text);
        if (waiting->size < length)
                skipped++;
        (void) ftruncate(waiting->fd, (off_t) waiting->size);
        return skipped;
}

gboolean waiting_append(Waiting *waiting, uint64_t realtime, const char *text) {
        char time[24];
        size_t time_length = (size_t) g_snprintf(time, sizeof(time), "%" G_GUINT64_FORMAT " ", realtime);
        size_t text_length = strlen(text), length = time_length + text_length + 1;
        const struct iovec parts[] = {
                { time, time_length },
                { (void *) text, text_length },
                { (void *) "\n", 1 },
        };

        if (length > WAITING_BYTES_MAX - waiting->size)
                return FALSE;
        if (pwritev(waiting->fd, parts, G_N_ELEMENTS(parts), (off_t) waiting->size) != (ssize_t) length) {
                (void) ftruncate(waiting->fd, (off_t) waiting->size);
                return FALSE;
        }
        waiting->size += length;
        return TRUE;
}

void waiting_clear(Waiting *waiting) {
        if (waiting->size == 0 || ftruncate(waiting->fd, 0) < 0)
                return;
        waiting->size = 0;
}
