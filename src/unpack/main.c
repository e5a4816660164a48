/* SPDX-License-Identifier: Apache-2.0 */

/* snooze-unpack DIRECTORY <ARCHIVE: what `snooze plugin install` has an archive unpacked by. It runs with no more than
 * the caller's own rights, and root never reads an archive: snooze-helper is given the directory. What comes out is
 * bounded by util/tree.h whatever the archive says, and memory and time are bounded by the kernel whatever the library
 * makes of it. */

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "base/cleanup.h"
#include "util/line.h"
#include "util/tree.h"

#define BLOCK 65536U
#define SECONDS_MAX 60U
#define MEMORY_MAX (UINT64_C(512) << 20)
/* Entries that make no file are counted, too: an archive may name one directory a million times. */
#define HEADERS_MAX (4U * TREE_ENTRIES_MAX)

DEFINE_CLEANUP(struct archive, archive_read_free)

static gboolean fail(GError **error, const char *path, const char *what) {
        g_autofree char *words = g_strescape(path, NULL);

        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s: %s", words, what);
        return FALSE;
}

static gboolean fail_archive(GError **error, struct archive *archive) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "the archive cannot be read: %s",
                    archive_error_string(archive) ?: "it is broken");
        return FALSE;
}

/* "./a/b/" → "a/b"; "." → "". What else is odd about it is refused where it is made. */
static char *path_of(struct archive_entry *entry) {
        const char *path = archive_entry_pathname_utf8(entry) ?: archive_entry_pathname(entry);
        g_autofree char *plain = NULL;
        size_t length;

        if (!path)
                return NULL;
        while (path[0] == '.' && path[1] == '/')
                path += 2;
        if (strcmp(path, ".") == 0)
                path++;
        plain = g_strdup(path);
        length = strlen(plain);
        if (length > 1 && plain[length - 1] == '/')
                plain[length - 1] = 0;
        return g_steal_pointer(&plain);
}

/* An archive need not name the directories that its files lie in. */
static gboolean make_parents(TreeWriter *writer, const char *path, GError **error) {
        for (const char *slash = path; (slash = strchr(slash, '/')); slash++) {
                g_autofree char *parent = g_strndup(path, (gsize) (slash - path));

                if (slash == path)
                        return fail(error, path, "is an absolute path");
                if (!tree_make_directory(writer, parent, error))
                        return FALSE;
        }
        return TRUE;
}

static gboolean unpack_file(struct archive *archive, struct archive_entry *entry, TreeWriter *writer, const char *path,
                            GError **error) {
        _cleanup_close_ int fd = tree_make_file(writer, path, archive_entry_mode(entry), error);
        g_autofree char *block = g_malloc(BLOCK);

        if (fd < 0)
                return FALSE;
        for (;;) {
                la_ssize_t n = archive_read_data(archive, block, BLOCK);

                if (n < 0)
                        return fail_archive(error, archive);
                if (n == 0)
                        return TRUE;
                if (!tree_write(writer, fd, path, block, (size_t) n, error))
                        return FALSE;
        }
}

static gboolean unpack_entry(struct archive *archive, struct archive_entry *entry, TreeWriter *writer,
                             GError **error) {
        g_autofree char *path = path_of(entry);
        const char *target;

        if (!path)
                return fail(error, "?", "has a name that is no UTF-8");
        if (!*path)
                return archive_entry_filetype(entry) == AE_IFDIR || fail(error, path, "expected a name");
        if (archive_entry_hardlink(entry))
                return fail(error, path, "is another name for a file");
        if (!make_parents(writer, path, error))
                return FALSE;
        switch (archive_entry_filetype(entry)) {
        case AE_IFDIR:
                return tree_make_directory(writer, path, error);
        case AE_IFREG:
                return unpack_file(archive, entry, writer, path, error);
        case AE_IFLNK:
                target = archive_entry_symlink_utf8(entry) ?: archive_entry_symlink(entry);
                return tree_make_link(writer, path, target ?: "", error);
        default:
                return fail(error, path, "is a device, pipe or socket");
        }
}

static gboolean unpack(struct archive *archive, TreeWriter *writer, GError **error) {
        for (unsigned n = 0;; n++) {
                struct archive_entry *entry;
                int r = archive_read_next_header(archive, &entry);

                if (r == ARCHIVE_EOF)
                        return n > 0 || fail(error, "the archive", "is empty");
                if (r < ARCHIVE_WARN)
                        return fail_archive(error, archive);
                if (n >= HEADERS_MAX)
                        return fail(error, "the archive", "has more entries than are allowed");
                if (!unpack_entry(archive, entry, writer, error))
                        return FALSE;
        }
}

static gboolean bound(GError **error) {
        const struct {
                int resource;
                rlim_t limit;
        } limits[] = {
                { RLIMIT_CPU, SECONDS_MAX },
                { RLIMIT_FSIZE, TREE_BYTES_MAX },
                { RLIMIT_CORE, 0 },
#ifndef __SANITIZE_ADDRESS__
                { RLIMIT_DATA, MEMORY_MAX },
#endif
        };

        for (size_t i = 0; i < G_N_ELEMENTS(limits); i++) {
                struct rlimit limit;

                if (getrlimit(limits[i].resource, &limit) < 0)
                        return fail(error, "its limits", g_strerror(errno));
                limit.rlim_cur = MIN(limits[i].limit, limit.rlim_max);
                limit.rlim_max = limit.rlim_cur;
                if (setrlimit(limits[i].resource, &limit) < 0)
                        return fail(error, "its limits", g_strerror(errno));
        }
        return TRUE;
}

/* tar alone, and the compressions that the library has itself: for others it would run programs. */
static gboolean run(const char *directory, GError **error) {
        _cleanup_(archive_read_freep) struct archive *archive = archive_read_new();
        _cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        TreeWriter writer = { .directory = fd };

        if (fd < 0)
                return fail(error, directory, g_strerror(errno));
        if (!bound(error))
                return FALSE;
        if (!archive || archive_read_support_format_tar(archive) < ARCHIVE_OK ||
            archive_read_support_filter_gzip(archive) < ARCHIVE_OK ||
            archive_read_support_filter_bzip2(archive) < ARCHIVE_OK ||
            archive_read_support_filter_xz(archive) < ARCHIVE_OK ||
            archive_read_support_filter_zstd(archive) < ARCHIVE_OK)
                return fail(error, "the archive", "cannot be read by the libarchive that is installed");
        if (archive_read_open_fd(archive, STDIN_FILENO, BLOCK) < ARCHIVE_OK)
                return fail_archive(error, archive);
        return unpack(archive, &writer, error);
}

int main(int argc, char **argv) {
        g_autoptr(GError) error = NULL;
        g_autofree char *message = NULL;

        (void) setlocale(LC_ALL, "");
        if (argc != 2 || argv[1][0] == '-') {
                fprintf(stderr, "snooze-unpack: expected DIRECTORY, and an archive on standard input\n");
                return 2;
        }
        if (run(argv[1], &error))
                return EXIT_SUCCESS;
        message = g_utf8_make_valid(error->message, -1);
        line_clean(message);
        fprintf(stderr, "%s\n", message);
        return EXIT_FAILURE;
}
