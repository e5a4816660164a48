/* SPDX-License-Identifier: Apache-2.0 */

#include "util/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/cleanup.h"

G_GNUC_PRINTF(3, 4)
static gboolean fail(GError **error, int number, const char *format, ...) {
        g_autofree char *what = NULL;
        va_list ap;

        va_start(ap, format);
        what = g_strdup_vprintf(format, ap);
        va_end(ap);
        g_set_error(error, G_FILE_ERROR, (gint) g_file_error_from_errno(number), "%s: %s", what, g_strerror(number));
        return FALSE;
}

/* Up to `room` bytes, whatever signals arrive; the number read or a negative errno. */
static ssize_t read_all(int fd, char *buffer, size_t room) {
        size_t length = 0;

        while (length < room) {
                ssize_t n = read(fd, buffer + length, room - length);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                length += (size_t) n;
        }
        return (ssize_t) length;
}

gboolean file_read(const char *path, gsize maximum, char **ret_text, gsize *ret_length, GError **error) {
        struct stat st;

        return file_read_status(path, maximum, ret_text, ret_length, &st, error);
}

gboolean file_read_status(const char *path, gsize maximum, char **ret_text, gsize *ret_length,
                          struct stat *ret_status, GError **error) {
        g_autofree char *text = NULL;
        _cleanup_close_ int fd = -1;
        struct stat st;
        ssize_t n;

        g_return_val_if_fail(maximum < G_MAXSSIZE - 1, FALSE);

        /* O_NONBLOCK: what stands there may be a FIFO, whose opening would wait for a writer. */
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return fail(error, errno, "%s cannot be opened", path);
        if (fstat(fd, &st) < 0)
                return fail(error, errno, "%s cannot be examined", path);
        if (!S_ISREG(st.st_mode)) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s is not a regular file", path);
                return FALSE;
        }

        /* st_size is a hint: files of /proc say 0, and the file may grow meanwhile. One byte more than allowed tells
         * the one that fits exactly from the one that does not. */
        if ((guint64) st.st_size <= maximum) {
                gsize room = st.st_size > 0 ? (gsize) st.st_size + 1 : maximum + 1;

                text = g_try_malloc(room + 1);
                if (!text)
                        return fail(error, ENOMEM, "%s cannot be read", path);
                n = read_all(fd, text, room);
                if (n < 0)
                        return fail(error, (int) -n, "%s cannot be read", path);
                if ((gsize) n == room && room <= maximum) {
                        char *longer = g_try_realloc(text, maximum + 2);
                        ssize_t more;

                        if (!longer)
                                return fail(error, ENOMEM, "%s cannot be read", path);
                        text = longer;
                        more = read_all(fd, text + n, maximum + 1 - (gsize) n);
                        if (more < 0)
                                return fail(error, (int) -more, "%s cannot be read", path);
                        n += more;
                }
        } else
                n = (ssize_t) maximum + 1;

        if ((gsize) n > maximum) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC,
                            "%s is longer than the %" G_GSIZE_FORMAT " bytes allowed", path, maximum);
                return FALSE;
        }
        text[n] = '\0';
        if (ret_length)
                *ret_length = (gsize) n;
        *ret_status = st;
        *ret_text = steal(text);
        return TRUE;
}

static int write_all(int fd, const char *data, size_t length) {
        while (length > 0) {
                ssize_t n = write(fd, data, length);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                data += n;
                length -= (size_t) n;
        }
        return 0;
}

static int sync_directory(const char *directory) {
        _cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        return fsync(fd) < 0 ? -errno : 0;
}

/* The content, mode and rename; on failure the caller removes what may be left of `temporary`. */
static gboolean fill_and_rename(int fd, const char *temporary, const char *path, const void *data, gsize length,
                                mode_t mode, gboolean durable, GError **error) {
        int r;

        r = write_all(fd, data, length);
        if (r < 0)
                return fail(error, -r, "%s cannot be written", path);
        if (fchmod(fd, mode) < 0)
                return fail(error, errno, "the mode of %s cannot be set", path);
        if (durable && fsync(fd) < 0)
                return fail(error, errno, "%s cannot be synced", path);
        if (rename(temporary, path) < 0)
                return fail(error, errno, "%s cannot be replaced", path);
        return TRUE;
}

static gboolean replace(const char *directory, const char *path, const void *data, gsize length, mode_t mode,
                        gboolean durable, GError **error) {
        g_autofree char *name = g_path_get_basename(path),
                        *temporary = g_strdup_printf("%s/.%s.XXXXXX", directory, name);
        _cleanup_close_ int fd = mkostemp(temporary, O_CLOEXEC);

        if (fd < 0)
                return fail(error, errno, "no temporary file can be made in %s", directory);
        if (fill_and_rename(fd, temporary, path, data, length, mode, durable, error))
                return TRUE;
        (void) unlink(temporary);
        return FALSE;
}

gboolean file_write(const char *path, const void *data, gsize length, mode_t mode, GError **error) {
        g_autofree char *directory = g_path_get_dirname(path);
        int r;

        if (!replace(directory, path, data, length, mode, TRUE, error))
                return FALSE;
        r = sync_directory(directory);
        return r < 0 ? fail(error, -r, "%s cannot be synced", directory) : TRUE;
}

gboolean file_replace(const char *path, const void *data, gsize length, mode_t mode, GError **error) {
        g_autofree char *directory = g_path_get_dirname(path);

        return replace(directory, path, data, length, mode, FALSE, error);
}
