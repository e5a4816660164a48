/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/hold/hold-file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/journal.h"
#include "util/json.h"

#define LAST_NAME "last"
#define TEMPORARY_NAME ".new"
#define RECORD_SIZE_MAX 8192U

/* "4294967295.json" */
#define NAME_SIZE 32U

static const char *record_name(char *buffer, uint32_t cookie) {
        snprintf(buffer, NAME_SIZE, "%" PRIu32 ".json", cookie);
        return buffer;
}

static const char *fifo_name(char *buffer, uint32_t cookie) {
        snprintf(buffer, NAME_SIZE, "%" PRIu32 ".fifo", cookie);
        return buffer;
}

HoldRecord *hold_record_new(HoldKind kind, uid_t uid, const char *who, const char *why) {
        HoldRecord *record = g_new0(HoldRecord, 1);

        record->hold.kind = kind;
        record->hold.uid = uid;
        record->hold.who = g_strdup(who);
        record->hold.why = g_strdup(why);
        return record;
}

void hold_record_free(HoldRecord *record) {
        if (!record)
                return;
        g_free(record->hold.who);
        g_free(record->hold.why);
        g_free(record->boot_id);
        g_free(record->key);
        g_free(record);
}

JsonObject *hold_record_to_json(const HoldRecord *record) {
        JsonObject *object = json_object_new();

        json_object_set_int_member(object, "cookie", record->hold.cookie);
        json_object_set_string_member(object, "kind", hold_kind_name(record->hold.kind));
        json_object_set_int_member(object, "uid", record->hold.uid);
        json_object_set_string_member(object, "who", record->hold.who);
        json_object_set_string_member(object, "why", record->hold.why);
        json_object_set_int_member(object, "since", (gint64) record->hold.since);
        json_object_set_int_member(object, "until", (gint64) record->hold.until);
        json_object_set_int_member(object, "until_boottime", (gint64) record->hold.until_boottime);
        json_object_set_int_member(object, "duration", (gint64) record->duration);
        json_object_set_string_member(object, "boot_id", record->boot_id ?: "");
        json_object_set_string_member(object, "key", record->key ?: "");
        json_object_set_boolean_member(object, "ended", record->ended);
        return object;
}

static gboolean take_int(JsonObject *object, const char *member, gint64 minimum, gint64 maximum, gint64 *ret,
                         GError **error) {
        gint64 value = json_get_int(object, member, -1);

        if (value < minimum || value > maximum) {
                g_set_error(error, JSON_TEXT_ERROR, JSON_ERROR_TYPE,
                            "\"%s\" must be an integer from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, member,
                            minimum, maximum);
                return FALSE;
        }
        *ret = value;
        return TRUE;
}

static gboolean take_string(JsonObject *object, const char *member, gsize minimum, gsize maximum, const char **ret,
                            GError **error) {
        const char *value = json_get_string(object, member, NULL);

        if (!value || strlen(value) < minimum || strlen(value) > maximum) {
                g_set_error(error, JSON_TEXT_ERROR, JSON_ERROR_TYPE,
                            "\"%s\" must be a string of %" G_GSIZE_FORMAT " to %" G_GSIZE_FORMAT " bytes", member,
                            minimum, maximum);
                return FALSE;
        }
        *ret = value;
        return TRUE;
}

static gboolean take_kind(JsonObject *object, HoldKind *ret, GError **error) {
        const char *name = json_get_string(object, "kind", "");

        for (HoldKind kind = HOLD_BLOCK; kind <= HOLD_POSTPONE; kind++)
                if (strcmp(hold_kind_name(kind), name) == 0) {
                        *ret = kind;
                        return TRUE;
                }
        g_set_error_literal(error, JSON_TEXT_ERROR, JSON_ERROR_TYPE,
                            "\"kind\" must be block, delay, timed or postpone");
        return FALSE;
}

HoldRecord *hold_record_from_json(JsonObject *object, GError **error) {
        g_autoptr(HoldRecord) record = NULL;
        gint64 cookie, uid, since, until, until_boottime, duration;
        const char *who, *why, *boot_id, *key;
        HoldKind kind;

        if (!take_int(object, "cookie", 1, UINT32_MAX, &cookie, error) || !take_kind(object, &kind, error) ||
            !take_int(object, "uid", 0, (gint64) UINT32_MAX - 1, &uid, error) ||
            !take_string(object, "who", 1, HOLD_WHO_MAX, &who, error) ||
            !take_string(object, "why", 0, HOLD_WHY_MAX, &why, error) ||
            !take_int(object, "since", 0, INT64_MAX, &since, error) ||
            !take_int(object, "until", 0, INT64_MAX, &until, error) ||
            !take_int(object, "until_boottime", 0, INT64_MAX, &until_boottime, error) ||
            !take_int(object, "duration", hold_kind_has_end(kind), INT64_MAX, &duration, error) ||
            !take_string(object, "boot_id", 32, 32, &boot_id, error) ||
            !take_string(object, "key", 0, 64, &key, error))
                return NULL;

        record = hold_record_new(kind, (uid_t) uid, who, why);
        record->hold.cookie = (uint32_t) cookie;
        record->hold.since = (uint64_t) since;
        record->hold.until = (uint64_t) until;
        record->hold.until_boottime = (uint64_t) until_boottime;
        record->duration = (uint64_t) duration;
        record->boot_id = g_strdup(boot_id);
        record->key = *key ? g_strdup(key) : NULL;
        record->ended = json_get_boolean(object, "ended", FALSE);
        return g_steal_pointer(&record);
}

int hold_directory_open(const char *path) {
        _cleanup_close_ int fd = -1;
        struct stat st;

        if (mkdir(path, 0700) < 0 && errno != EEXIST)
                return -errno;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (st.st_uid != geteuid())
                return -EPERM;
        if ((st.st_mode & 07777) != 0700 && fchmod(fd, 0700) < 0)
                return -errno;
        return steal_fd(&fd);
}

/* A small regular file of ours. */
static int read_small(int directory, const char *name, char **ret, size_t *ret_length) {
        g_autofree char *text = g_malloc(RECORD_SIZE_MAX + 1);
        _cleanup_close_ int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        struct stat st;
        ssize_t n;

        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EBADF;
        n = read(fd, text, RECORD_SIZE_MAX + 1);
        if (n < 0)
                return -errno;
        if (n > (ssize_t) RECORD_SIZE_MAX)
                return -EFBIG;
        text[n] = '\0';
        *ret = g_steal_pointer(&text);
        *ret_length = (size_t) n;
        return 0;
}

/* No fsync: the directory is a tmpfs, gone with the machine; it has to outlive the daemon alone. */
static int write_small(int directory, const char *name, const char *text) {
        _cleanup_close_ int fd = openat(directory, TEMPORARY_NAME,
                                        O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        ssize_t n;

        if (fd < 0)
                return -errno;
        n = write(fd, text, strlen(text));
        if (n < 0)
                return -errno;
        if ((size_t) n != strlen(text))
                return -ENOSPC;
        if (renameat(directory, TEMPORARY_NAME, directory, name) < 0)
                return -errno;
        return 0;
}

int hold_record_write(int directory, const HoldRecord *record) {
        g_autoptr(JsonObject) object = hold_record_to_json(record);
        g_autofree char *text = json_object_text(object);
        char name[NAME_SIZE];

        return write_small(directory, record_name(name, record->hold.cookie), text);
}

void hold_record_remove(int directory, uint32_t cookie) {
        char name[NAME_SIZE];

        (void) unlinkat(directory, record_name(name, cookie), 0);
        (void) unlinkat(directory, fifo_name(name, cookie), 0);
}

static HoldRecord *read_record(int directory, const char *name, uint32_t cookie, GError **error) {
        g_autoptr(HoldRecord) record = NULL;
        g_autoptr(JsonNode) node = NULL;
        g_autofree char *text = NULL;
        size_t length;
        int r;

        r = read_small(directory, name, &text, &length);
        if (r < 0) {
                g_set_error_literal(error, G_FILE_ERROR, (gint) g_file_error_from_errno(-r), g_strerror(-r));
                return NULL;
        }
        node = json_text_parse(name, text, (gssize) length, error);
        if (!node)
                return NULL;
        if (!JSON_NODE_HOLDS_OBJECT(node)) {
                g_set_error_literal(error, JSON_TEXT_ERROR, JSON_ERROR_TYPE, "an object was expected");
                return NULL;
        }
        record = hold_record_from_json(json_node_get_object(node), error);
        if (record && record->hold.cookie != cookie) {
                g_set_error(error, JSON_TEXT_ERROR, JSON_ERROR_TYPE, "it says cookie %" PRIu32, record->hold.cookie);
                return NULL;
        }
        return g_steal_pointer(&record);
}

/* The cookie in COOKIE.json or COOKIE.fifo; 0 for every other name, "007.json" included. */
static uint32_t cookie_of_name(const char *name, const char *suffix) {
        char expected[NAME_SIZE];
        guint64 cookie;

        if (!g_str_has_suffix(name, suffix))
                return 0;
        cookie = g_ascii_strtoull(name, NULL, 10);
        if (cookie == 0 || cookie > UINT32_MAX)
                return 0;
        snprintf(expected, sizeof(expected), "%" G_GUINT64_FORMAT "%s", cookie, suffix);
        return strcmp(expected, name) == 0 ? (uint32_t) cookie : 0;
}

static void remove_rubbish(int directory, const char *name, const char *why) {
        log_warning("Removing %s from the directory of holds: %s", name, why);
        if (unlinkat(directory, name, 0) < 0 && (errno != EISDIR || unlinkat(directory, name, AT_REMOVEDIR) < 0))
                log_warning("Cannot remove %s from the directory of holds: %s", name, g_strerror(errno));
}

static GPtrArray *list_names(int directory) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        _cleanup_(closedirp) DIR *stream = NULL;
        _cleanup_close_ int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (copy >= 0)
                stream = fdopendir(copy);
        if (!stream) {
                log_warning("Cannot list the directory of holds: %s", g_strerror(errno));
                return g_steal_pointer(&names);
        }
        (void) steal_fd(&copy);
        for (struct dirent *entry = readdir(stream); entry; entry = readdir(stream))
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                        g_ptr_array_add(names, g_strdup(entry->d_name));
        return g_steal_pointer(&names);
}

/* The fault is not the file's: it may be a good one, and readable at the next start. */
static gboolean is_passing(const GError *error) {
        return g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_IO) ||
               g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOMEM) ||
               g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_MFILE) ||
               g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NFILE);
}

static void read_entry(int directory, const char *name, GPtrArray *records) {
        g_autoptr(GError) error = NULL;
        g_autoptr(HoldRecord) record = NULL;
        uint32_t cookie = cookie_of_name(name, ".json");

        if (cookie == 0) {
                remove_rubbish(directory, name, "no hold has such a name");
                return;
        }
        record = read_record(directory, name, cookie, &error);
        if (record)
                g_ptr_array_add(records, g_steal_pointer(&record));
        else if (is_passing(error))
                log_error("The hold %s cannot be read: %s", name, error->message);
        else
                remove_rubbish(directory, name, error->message);
}

/* A FIFO without its record is one whose record was never written or already removed. */
static void remove_orphans(int directory, GPtrArray *names) {
        for (guint i = 0; i < names->len; i++) {
                uint32_t cookie = cookie_of_name(g_ptr_array_index(names, i), ".fifo");
                char name[NAME_SIZE];

                if (cookie > 0 && faccessat(directory, record_name(name, cookie), F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                        (void) unlinkat(directory, fifo_name(name, cookie), 0);
        }
}

GPtrArray *hold_directory_read(int directory) {
        GPtrArray *records = g_ptr_array_new_with_free_func((GDestroyNotify) hold_record_free);
        g_autoptr(GPtrArray) names = list_names(directory);

        for (guint i = 0; i < names->len; i++) {
                const char *name = g_ptr_array_index(names, i);

                if (strcmp(name, TEMPORARY_NAME) == 0)
                        (void) unlinkat(directory, name, 0);
                else if (strcmp(name, LAST_NAME) != 0 && cookie_of_name(name, ".fifo") == 0)
                        read_entry(directory, name, records);
        }
        remove_orphans(directory, names);
        return records;
}

static uint32_t read_last(int directory) {
        g_autofree char *text = NULL;
        size_t length;
        guint64 last;

        if (read_small(directory, LAST_NAME, &text, &length) < 0)
                return 0;
        return g_ascii_string_to_unsigned(text, 10, 0, UINT32_MAX, &last, NULL) ? (uint32_t) last : 0;
}

int hold_directory_take_cookie(int directory, uint32_t *ret) {
        uint32_t cookie = read_last(directory);
        char name[NAME_SIZE];
        int r;

        /* After four thousand million holds it begins again, and there may be old ones. */
        do
                cookie = cookie == UINT32_MAX ? 1 : cookie + 1;
        while (faccessat(directory, record_name(name, cookie), F_OK, AT_SYMLINK_NOFOLLOW) >= 0);

        snprintf(name, sizeof(name), "%" PRIu32, cookie);
        r = write_small(directory, LAST_NAME, name);
        if (r < 0)
                return r;
        *ret = cookie;
        return 0;
}

int hold_fifo_create(int directory, uint32_t cookie, int *ret_reader, int *ret_writer) {
        _cleanup_close_ int reader = -1, writer = -1;
        char name[NAME_SIZE];

        (void) unlinkat(directory, fifo_name(name, cookie), 0);
        if (mkfifoat(directory, name, 0600) < 0)
                return -errno;
        reader = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (reader >= 0)
                writer = openat(directory, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (reader < 0 || writer < 0) {
                int r = -errno;

                (void) unlinkat(directory, name, 0);
                return r;
        }
        *ret_reader = steal_fd(&reader);
        *ret_writer = steal_fd(&writer);
        return 0;
}

int hold_fifo_reopen(int directory, uint32_t cookie, int *ret_reader) {
        _cleanup_close_ int reader = -1;
        char name[NAME_SIZE], rubbish[4096];
        struct stat st;

        reader = openat(directory, fifo_name(name, cookie), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (reader < 0)
                return errno == ENOENT ? 0 : -errno;
        if (fstat(reader, &st) < 0)
                return -errno;
        if (!S_ISFIFO(st.st_mode))
                return -EBADF;

        /* Whatever the client wrote stands in front of the end. One that fills it faster than we read is alive. */
        for (unsigned i = 0; i < 1024; i++) {
                ssize_t n = read(reader, rubbish, sizeof(rubbish));

                if (n == 0)
                        return 0;
                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0)
                        return -errno;
        }
        *ret_reader = steal_fd(&reader);
        return 1;
}
