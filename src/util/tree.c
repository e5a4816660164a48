/* SPDX-License-Identifier: Apache-2.0 */

#include "util/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define CHUNK 65536U
/* Of a tree that is removed: what an older version with other bounds has written goes, too. */
#define REMOVE_DEPTH_MAX 64U

G_GNUC_PRINTF(4, 5)
static gboolean fail(GError **error, int number, const char *path, const char *format, ...) {
        g_autofree char *what = NULL, *words = g_strescape(path, NULL);
        va_list ap;

        va_start(ap, format);
        what = g_strdup_vprintf(format, ap);
        va_end(ap);
        g_set_error(error, G_FILE_ERROR, (gint) g_file_error_from_errno(number), "%s: %s", *words ? words : ".", what);
        return FALSE;
}

static gboolean fail_errno(GError **error, const char *path, const char *doing) {
        int number = errno;

        return fail(error, number, path, "%s: %s", doing, g_strerror(number));
}

static gboolean fail_write(TreeWriter *writer, GError **error, const char *path, const char *doing) {
        writer->failed = TRUE;
        return fail_errno(error, path, doing);
}

static gboolean name_valid(const char *name, size_t length) {
        if (length == 0 || length > TREE_NAME_MAX ||
            (name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.'))))
                return FALSE;
        if (!g_utf8_validate(name, (gssize) length, NULL))
                return FALSE;
        for (size_t i = 0; i < length; i++)
                if ((unsigned char) name[i] < 0x20 || name[i] == 0x7f)
                        return FALSE;
        return TRUE;
}

static unsigned depth_of(const char *path) {
        unsigned n = 0;

        while ((path = strchr(path, '/'))) {
                path++;
                n++;
        }
        return n;
}

static gboolean check_path(const char *path, GError **error) {
        if (depth_of(path) > TREE_DEPTH_MAX)
                return fail(error, ENAMETOOLONG, path, "lies deeper than the %u directories allowed", TREE_DEPTH_MAX);
        for (const char *name = path, *end;; name = end + 1) {
                end = strchrnul(name, '/');
                if (!name_valid(name, (size_t) (end - name)))
                        return fail(error, EINVAL, path,
                                    "expected a relative path of names of at most %u bytes, in UTF-8, without . and "
                                    ".. and control characters",
                                    TREE_NAME_MAX);
                if (!*end)
                        return TRUE;
        }
}

static gboolean count_entry(TreeWriter *writer, const char *path, GError **error) {
        if (writer->entries >= TREE_ENTRIES_MAX)
                return fail(error, EFBIG, path, "there are more than the %u files and directories allowed",
                            TREE_ENTRIES_MAX);
        writer->entries++;
        return TRUE;
}

/* Of the directory that the path's last name lies in, which has to be there. */
static int open_parent(const TreeWriter *writer, const char *path, GError **error) {
        _cleanup_close_ int fd = openat(writer->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        g_auto(GStrv) names = g_strsplit(path, "/", -1);

        for (char **name = names; fd >= 0 && name[0] && name[1]; name++) {
                int next = openat(fd, *name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

                fd = safe_close(fd);
                fd = next;
        }
        if (fd < 0) {
                fail_errno(error, path, "its directory cannot be opened");
                return -1;
        }
        return steal_fd(&fd);
}

static const char *last_name(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

static gboolean is_directory(int parent, const char *name) {
        struct stat st;

        return fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

gboolean tree_make_directory(TreeWriter *writer, const char *path, GError **error) {
        _cleanup_close_ int parent = -1, fd = -1;

        if (!*path)
                return TRUE;
        if (!check_path(path, error))
                return FALSE;
        parent = open_parent(writer, path, error);
        if (parent < 0)
                return FALSE;
        if (mkdirat(parent, last_name(path), 0755) < 0) {
                if (errno == EEXIST && is_directory(parent, last_name(path)))
                        return TRUE;
                return fail_write(writer, error, path, "cannot be made");
        }
        if (!count_entry(writer, path, error))
                return FALSE;
        fd = openat(parent, last_name(path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || fchmod(fd, 0755) < 0)
                return fail_write(writer, error, path, "cannot be made");
        return TRUE;
}

int tree_make_file(TreeWriter *writer, const char *path, mode_t mode, GError **error) {
        _cleanup_close_ int parent = -1, fd = -1;

        if (!check_path(path, error) || !count_entry(writer, path, error))
                return -1;
        if (mode & (S_ISUID | S_ISGID)) {
                fail(error, EPERM, path, "is setuid or setgid");
                return -1;
        }
        parent = open_parent(writer, path, error);
        if (parent < 0)
                return -1;
        fd = openat(parent, last_name(path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 && errno == EEXIST) {
                fail(error, EEXIST, path, "is there twice");
                return -1;
        }
        if (fd < 0 || fchmod(fd, mode & S_IXUSR ? 0755 : 0644) < 0) {
                fail_write(writer, error, path, "cannot be made");
                return -1;
        }
        return steal_fd(&fd);
}

gboolean tree_write(TreeWriter *writer, int fd, const char *path, const void *data, size_t size, GError **error) {
        const char *p = data;

        if (size > TREE_BYTES_MAX - writer->bytes)
                return fail(error, EFBIG, path,
                            "all files together have more than the %" G_GUINT64_FORMAT " MiB allowed",
                            TREE_BYTES_MAX >> 20);
        writer->bytes += size;
        while (size > 0) {
                ssize_t n = write(fd, p, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return fail_write(writer, error, path, "cannot be written");
                p += n;
                size -= (size_t) n;
        }
        return TRUE;
}

gboolean tree_link_stays(const char *target, unsigned depth) {
        g_auto(GStrv) parts = g_strsplit(target, "/", -1);
        gboolean down = FALSE;

        if (!*target || strlen(target) >= PATH_MAX)
                return FALSE;
        for (char **part = parts; *part; part++) {
                if (g_str_equal(*part, "..")) {
                        if (down || depth-- == 0)
                                return FALSE;
                } else if (!name_valid(*part, strlen(*part)))
                        return FALSE;
                else
                        down = TRUE;
        }
        return TRUE;
}

gboolean tree_make_link(TreeWriter *writer, const char *path, const char *target, GError **error) {
        _cleanup_close_ int parent = -1;

        if (!check_path(path, error) || !count_entry(writer, path, error))
                return FALSE;
        if (!tree_link_stays(target, depth_of(path)))
                return fail(error, EPERM, path, "is a link that may lead out of its directory");
        parent = open_parent(writer, path, error);
        if (parent < 0)
                return FALSE;
        if (symlinkat(target, parent, last_name(path)) == 0)
                return TRUE;
        return errno == EEXIST ? fail(error, EEXIST, path, "is there twice")
                               : fail_write(writer, error, path, "cannot be made");
}

/* Copying */

static gboolean copy_content(TreeWriter *writer, int from, int to, const char *path, GError **error) {
        g_autofree char *chunk = g_malloc(CHUNK);

        for (;;) {
                ssize_t n = read(from, chunk, CHUNK);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return fail_errno(error, path, "cannot be read");
                if (n == 0)
                        return TRUE;
                if (!tree_write(writer, to, path, chunk, (size_t) n, error))
                        return FALSE;
        }
}

static gboolean copy_file(TreeWriter *writer, uid_t reader, int parent, const char *name, const char *path,
                          GError **error) {
        /* O_NONBLOCK: by now it may be a FIFO. */
        _cleanup_close_ int from = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC),
                            to = -1;
        struct stat st;

        if (from < 0 || fstat(from, &st) < 0)
                return fail_errno(error, path, "cannot be read");
        if (!S_ISREG(st.st_mode))
                return fail(error, EINVAL, path, "is no regular file");
        if (reader != 0 && st.st_uid != reader && !(st.st_mode & S_IROTH))
                return fail(error, EACCES, path, "cannot be read by user %u", (unsigned) reader);
        to = tree_make_file(writer, path, st.st_mode, error);
        return to >= 0 && copy_content(writer, from, to, path, error);
}

static gboolean copy_link(TreeWriter *writer, int parent, const char *name, const char *path, GError **error) {
        char target[PATH_MAX];
        ssize_t n = readlinkat(parent, name, target, sizeof(target) - 1);

        if (n < 0)
                return fail_errno(error, path, "cannot be read");
        target[n] = 0;
        return tree_make_link(writer, path, target, error);
}

static DIR *open_list(int parent, const char *name) {
        _cleanup_close_ int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        DIR *list = fd >= 0 ? fdopendir(fd) : NULL;

        if (list)
                (void) steal_fd(&fd);
        return list;
}

/* Ordinary permissions as far as they are everybody's; a group's are not looked up. The directory at the top was
 * opened by the reader. */
static gboolean may_enter(DIR *list, uid_t reader) {
        struct stat st;

        return reader == 0 || (fstat(dirfd(list), &st) == 0 &&
                               (st.st_uid == reader || (st.st_mode & S_IROTH && st.st_mode & S_IXOTH)));
}

/* The next of the names, NULL at the end or (errno) where it cannot be read. */
static const char *next_name(DIR *list) {
        struct dirent *entry;

        do {
                errno = 0;
                entry = readdir(list);
        } while (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
        return entry ? entry->d_name : NULL;
}

static gboolean copy_directory(TreeWriter *writer, uid_t reader, int parent, const char *name, const char *path,
                               GError **error) {
        _cleanup_(closedirp) DIR *list = open_list(parent, name);
        const char *entry;

        if (!list)
                return fail_errno(error, path, "cannot be read");
        if (*path && !may_enter(list, reader))
                return fail(error, EACCES, path, "cannot be read by user %u", (unsigned) reader);
        if (!tree_make_directory(writer, path, error))
                return FALSE;
        while ((entry = next_name(list))) {
                g_autofree char *below = *path ? g_build_filename(path, entry, NULL) : g_strdup(entry);
                struct stat st;
                gboolean copied;

                if (fstatat(dirfd(list), entry, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        return fail_errno(error, below, "cannot be examined");
                if (S_ISDIR(st.st_mode))
                        copied = copy_directory(writer, reader, dirfd(list), entry, below, error);
                else if (S_ISLNK(st.st_mode))
                        copied = copy_link(writer, dirfd(list), entry, below, error);
                else if (S_ISREG(st.st_mode))
                        copied = copy_file(writer, reader, dirfd(list), entry, below, error);
                else
                        copied = fail(error, EINVAL, below, "is a device, pipe or socket");
                if (!copied)
                        return FALSE;
        }
        return errno == 0 || fail_errno(error, path, "cannot be read");
}

gboolean tree_copy(int from, uid_t reader, TreeWriter *writer, GError **error) {
        return copy_directory(writer, reader, from, ".", "", error);
}

/* Comparing */

static gboolean equal_content(int a, int b, const char *name, GError **error) {
        _cleanup_close_ int left = openat(a, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        _cleanup_close_ int right = openat(b, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        _cleanup_(fclosep) FILE *left_file = left >= 0 ? fdopen(left, "re") : NULL,
                                *right_file = right >= 0 ? fdopen(right, "re") : NULL;
        g_autofree char *one = g_malloc(CHUNK), *other = g_malloc(CHUNK);
        size_t n, m;

        if (left_file)
                (void) steal_fd(&left);
        if (right_file)
                (void) steal_fd(&right);
        if (!left_file || !right_file)
                return fail_errno(error, name, "cannot be read");
        do {
                n = fread(one, 1, CHUNK, left_file);
                m = fread(other, 1, CHUNK, right_file);
        } while (n > 0 && n == m && memcmp(one, other, n) == 0);
        if (ferror(left_file) || ferror(right_file))
                return fail_errno(error, name, "cannot be read");
        return n == 0 && m == 0;
}

static gboolean equal_links(int a, int b, const char *name) {
        char left[PATH_MAX], right[PATH_MAX];
        ssize_t n = readlinkat(a, name, left, sizeof(left)), m = readlinkat(b, name, right, sizeof(right));

        return n >= 0 && n == m && memcmp(left, right, (size_t) n) == 0;
}

static gboolean equal_entries(int a, int b, const char *name, GError **error) {
        _cleanup_close_ int left = -1, right = -1;
        struct stat st, other;

        if (fstatat(a, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || fstatat(b, name, &other, AT_SYMLINK_NOFOLLOW) < 0 ||
            (st.st_mode & (S_IFMT | S_IXUSR)) != (other.st_mode & (S_IFMT | S_IXUSR)))
                return FALSE;
        if (S_ISLNK(st.st_mode))
                return equal_links(a, b, name);
        if (S_ISREG(st.st_mode))
                return st.st_size == other.st_size && equal_content(a, b, name, error);
        if (!S_ISDIR(st.st_mode))
                return FALSE;
        left = openat(a, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        right = openat(b, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return left >= 0 && right >= 0 && tree_equal(left, right, error);
}

static unsigned count_names(int fd) {
        _cleanup_(closedirp) DIR *list = open_list(fd, ".");
        unsigned n = 0;

        while (list && next_name(list))
                n++;
        return n;
}

gboolean tree_equal(int a, int b, GError **error) {
        _cleanup_(closedirp) DIR *list = open_list(a, ".");
        const char *name;

        if (!list)
                return fail_errno(error, ".", "cannot be read");
        if (count_names(a) != count_names(b))
                return FALSE;
        while ((name = next_name(list)))
                if (!equal_entries(a, b, name, error))
                        return FALSE;
        return TRUE;
}

/* Removing */

static gboolean remove_below(int directory, const char *name, unsigned depth, GError **error) {
        _cleanup_(closedirp) DIR *list = NULL;
        const char *entry;

        if (unlinkat(directory, name, 0) == 0 || errno == ENOENT)
                return TRUE;
        if (errno != EISDIR && errno != EPERM)
                return fail_errno(error, name, "cannot be removed");
        list = open_list(directory, name);
        if (!list)
                return fail_errno(error, name, "cannot be removed");
        while ((entry = next_name(list)))
                if (depth >= REMOVE_DEPTH_MAX || !remove_below(dirfd(list), entry, depth + 1, error))
                        return error && *error ? FALSE : fail(error, ENAMETOOLONG, name, "is too deep to be removed");
        if (unlinkat(directory, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
                return fail_errno(error, name, "cannot be removed");
        return TRUE;
}

gboolean tree_remove(int directory, const char *name, GError **error) {
        return remove_below(directory, name, 0, error);
}
