/* SPDX-License-Identifier: Apache-2.0 */

/* .State, and what becomes of the state of a plugin that leaves without having been asked for it: nobody calls it any
 * more, the daemon has been gone for a while, the machine goes down. It is then kept in the plugin's own directory
 * ($STATE_DIRECTORY), and the next instance gives it to the daemon before anything is imported:
 *
 *         leaves, unsaved ──export──▸ DIRECTORY/kept-state ──Handshake says "kept"──▸ ExportState answers with it
 *                                             ▲                                             │ the daemon keeps it
 *                                             └──────────── removed ◂──── ImportState ◂─────┘
 *
 * The file goes only when the daemon hands the same state back, so whatever dies in between, one of the two has it.
 *
 * What a plugin knows changes in its timers, too: whoever has served is asked for its state when it leaves, and what
 * differs from what the daemon was given is kept. Not behind Shutdown: its successor may serve already, and what that
 * knows is newer. A file that was written before Shutdown came is then taken back, unless the successor has replaced
 * it, or the state was not asked for since: the daemon may have failed to keep it, and nobody else has it then.
 *
 * What leaves is still asked things while it ends, and may keep its state again. Its name is free by then: if the
 * first file is gone, a successor has been given it and knows more.
 *
 * An event that was called off while nobody listened is in no state any more, and the next process would not know of
 * it. So what leaves the plugin as its state has such cancellations beside it, as a file of their own, until they are
 * told. */

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "base/journal.h"
#include "base/names.h"
#include "sdk/contract.h"

#define KEPT_FILE "kept-state"
#define UNTOLD_FILE "untold-cancellations"
#define TEMPORARY ".new"
/* What it was called before each slot had one of its own. */
#define FORMER_TEMPORARY "." KEPT_FILE TEMPORARY
#define UNTOLD_MAX 16384U

/* Big endian; as much as `size` says follows. */
typedef struct KeptHeader {
        char magic[8];
        uint32_t version;
        uint32_t size;
} KeptHeader;

static const char magic[8] = { 'S', 'N', 'Z', 'S', 'T', 'A', 'T', '1' };

static int open_directory(const SnoozePluginInstance *instance) {
        int fd = open(instance->state_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

static int write_all(int fd, const void *data, size_t size) {
        const char *p = data;

        while (size > 0) {
                ssize_t n = write(fd, p, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                p += n;
                size -= (size_t) n;
        }
        return 0;
}

static int read_all(int fd, void *data, size_t size) {
        char *p = data;

        while (size > 0) {
                ssize_t n = read(fd, p, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EBADMSG;
                p += n;
                size -= (size_t) n;
        }
        return 0;
}

/* What this one kept is there still: no other took it or replaced it. A number alone may be another file's by now. */
static bool kept_is_own(const SnoozePluginInstance *instance, int directory) {
        struct stat st;

        return fstatat(directory, KEPT_FILE, &st, AT_SYMLINK_NOFOLLOW) >= 0 && st.st_dev == instance->state_device &&
               st.st_ino == instance->state_inode && st.st_mtim.tv_sec == instance->state_written.tv_sec &&
               st.st_mtim.tv_nsec == instance->state_written.tv_nsec;
}

/* Killed at any instruction, the old file is there or the new one, whole. The other slot's process may write, too:
 * each has a file of its own until it takes the name, which is done under the directory's lock. -> 1, 0 where what
 * was to be replaced by it is not this one's own any more, or a negative errno. */
static int write_file(const SnoozePluginInstance *instance, const char *name, const struct iovec parts[static 2],
                      bool replaces_own, struct stat *ret) {
        _cleanup_close_ int directory = open_directory(instance), fd = -EBADF;
        char temporary[64];
        int r;

        if (directory < 0)
                return directory;
        snprintf(temporary, sizeof(temporary), ".%s" TEMPORARY "%c", name, instance->slot);
        fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        r = write_all(fd, parts[0].iov_base, parts[0].iov_len);
        if (r >= 0)
                r = write_all(fd, parts[1].iov_base, parts[1].iov_len);
        if (r >= 0 && (fsync(fd) < 0 || fstat(fd, ret) < 0 || flock(directory, LOCK_EX) < 0))
                r = -errno;
        if (r >= 0)
                r = !replaces_own || kept_is_own(instance, directory);
        if (r > 0 && (renameat(directory, temporary, directory, name) < 0 || fsync(directory) < 0))
                r = -errno;
        if (r <= 0)
                (void) unlinkat(directory, temporary, 0);
        return r;
}

/* -> 1, 0 where a successor has what this one kept before, or a negative errno. */
static int kept_write(SnoozePluginInstance *instance, uint32_t version, const void *state, size_t size) {
        KeptHeader header = { .version = htobe32(version), .size = htobe32((uint32_t) size) };
        struct stat st;
        int r;

        memcpy(header.magic, magic, sizeof(magic));
        r = write_file(instance, KEPT_FILE,
                       (const struct iovec[]){ { &header, sizeof(header) }, { (void *) state, size } },
                       instance->state_inode != 0, &st);
        if (r <= 0)
                return r;
        instance->state_device = st.st_dev;
        instance->state_inode = st.st_ino;
        instance->state_written = st.st_mtim;
        instance->state_exported = false;
        return 1;
}

/* -> 0, or a negative errno: -ENOENT where there is none, -EBADMSG where it is no state. */
static int kept_open(const SnoozePluginInstance *instance, KeptHeader *ret, int *ret_fd) {
        _cleanup_close_ int directory = open_directory(instance), fd = -EBADF;
        struct stat st;
        int r;

        if (directory < 0)
                return directory;
        fd = openat(directory, KEPT_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        r = read_all(fd, ret, sizeof(*ret));
        if (r < 0)
                return r;
        ret->version = be32toh(ret->version);
        ret->size = be32toh(ret->size);
        if (memcmp(ret->magic, magic, sizeof(magic)) != 0 || ret->size > STATE_MAX ||
            (uint64_t) st.st_size != sizeof(*ret) + (uint64_t) ret->size)
                return -EBADMSG;
        *ret_fd = steal_fd(&fd);
        return 0;
}

static int remove_file(int directory, const char *name) {
        if (unlinkat(directory, name, 0) < 0)
                return -errno;
        return fsync(directory) < 0 ? -errno : 0;
}

static int kept_remove(const SnoozePluginInstance *instance) {
        _cleanup_close_ int directory = open_directory(instance);

        if (directory < 0)
                return directory;
        /* Not between the look of whoever wrote it and what that writes in its place. */
        if (flock(directory, LOCK_EX) < 0)
                return -errno;
        return remove_file(directory, KEPT_FILE);
}

/* Only what is this one's own. */
static int kept_withdraw(SnoozePluginInstance *instance) {
        _cleanup_close_ int directory = open_directory(instance);

        if (directory < 0)
                return directory;
        if (flock(directory, LOCK_EX) < 0)
                return -errno;
        if (!kept_is_own(instance, directory))
                return 0;
        instance->state_inode = 0;
        return remove_file(directory, KEPT_FILE);
}

/* What nobody heard */

static int untold_read(SnoozePluginInstance *instance) {
        _cleanup_close_ int directory = open_directory(instance), fd = -EBADF;
        _cleanup_free_ char *ids = NULL;
        struct stat st;
        size_t size;
        int r;

        if (directory < 0)
                return directory;
        fd = openat(directory, UNTOLD_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        instance->untold_down = true;
        if (fstat(fd, &st) < 0)
                return -errno;
        size = st.st_size > 0 && st.st_size <= UNTOLD_MAX ? (size_t) st.st_size : 0;
        ids = calloc(size + 1, 1);
        if (!ids)
                return -ENOMEM;
        r = read_all(fd, ids, size);
        for (const char *id = ids; r >= 0 && id < ids + size; id += strlen(id) + 1)
                (void) events_add_untold(instance, id);
        return r;
}

static int untold_write(SnoozePluginInstance *instance) {
        _cleanup_free_ char *ids = NULL;
        struct stat st;
        size_t size;
        int r;

        r = events_untold(instance, &ids, &size);
        if (r < 0)
                return r;
        if (size > 0) {
                r = write_file(instance, UNTOLD_FILE, (const struct iovec[]){ { ids, size }, { NULL, 0 } }, false,
                               &st);
                instance->untold_down |= r >= 0;
        } else if (instance->untold_down) {
                _cleanup_close_ int directory = open_directory(instance);

                r = directory < 0 ? directory : remove_file(directory, UNTOLD_FILE);
                instance->untold_down = r < 0 && r != -ENOENT;
        }
        return r == -ENOENT ? 0 : r;
}

void state_keep_untold(SnoozePluginInstance *instance) {
        int r;

        if (!instance->untold_new || !instance->state_directory)
                return;
        instance->untold_new = false;
        r = untold_write(instance);
        if (r < 0)
                log_warning("What was called off and not told yet could not be kept: %s", strerror(-r));
}

/* Of a process that was killed while it wrote. Those of the slots are written again. */
static void remove_former_temporary(const SnoozePluginInstance *instance) {
        _cleanup_close_ int directory = open_directory(instance);

        if (directory >= 0 && unlinkat(directory, FORMER_TEMPORARY, 0) < 0 && errno != ENOENT)
                log_warning("%s cannot be removed from %s: %s", FORMER_TEMPORARY, instance->state_directory,
                            strerror(errno));
}

int state_start(SnoozePluginInstance *instance) {
        const char *directories = getenv("STATE_DIRECTORY");
        _cleanup_close_ int fd = -EBADF;
        KeptHeader header;
        int r;

        if (!instance->plugin.export_state || !directories || directories[0] != '/')
                return 0;
        instance->state_directory = strndup(directories, strcspn(directories, ":"));
        if (!instance->state_directory)
                return -ENOMEM;
        remove_former_temporary(instance);
        r = kept_open(instance, &header, &fd);
        instance->state_kept = r >= 0;
        if (r < 0 && r != -ENOENT)
                log_warning("The state kept in %s cannot be read: %s", instance->state_directory, strerror(-r));
        r = untold_read(instance);
        if (r < 0 && r != -ENOENT)
                log_warning("What was called off and not told yet cannot be read: %s", strerror(-r));
        return 0;
}

const char *state_word(const SnoozePluginInstance *instance) {
        if (instance->state_live)
                return "live";
        return instance->state_kept ? "kept" : "none";
}

void state_used(SnoozePluginInstance *instance) {
        instance->state_live = true;
        instance->state_used = true;
        instance->state_unsaved = true;
}

/* Before it serves it is nobody's: what was kept before may not be imported yet, or its predecessor still knows more.
 */
void state_changed(SnoozePluginInstance *instance) {
        if (instance->state_used)
                instance->state_unsaved = true;
}

void state_handed_over(SnoozePluginInstance *instance) {
        int r;

        if (!instance->state_exported || instance->state_handed)
                return;
        instance->state_handed = true;
        if (instance->state_inode == 0)
                return;
        r = kept_withdraw(instance);
        if (r < 0 && r != -ENOENT)
                log_warning("What is older than what was handed over cannot be removed from %s: %s",
                            instance->state_directory, strerror(-r));
}

bool state_to_be_kept(const SnoozePluginInstance *instance) {
        return instance->plugin.export_state && instance->state_unsaved && !instance->state_handed;
}

bool state_can_be_kept(const SnoozePluginInstance *instance) {
        return instance->state_directory != NULL;
}

static void know(SnoozePluginInstance *instance, SnoozePluginCall *call) {
        free(instance->state_known);
        instance->state_known =
                call_steal_state(call, &instance->state_known_version, &instance->state_known_size);
}

static int keep_other(SnoozePluginInstance *instance, SnoozePluginCall *call) {
        _cleanup_free_ void *known = steal(instance->state_known);
        uint32_t known_version = instance->state_known_version;
        size_t known_size = instance->state_known_size;
        int r;

        know(instance, call);
        if (known && known_version == instance->state_known_version && known_size == instance->state_known_size &&
            memcmp(known, instance->state_known, known_size) == 0)
                return 0;
        r = kept_write(instance, instance->state_known_version, instance->state_known, instance->state_known_size);
        if (r > 0)
                log_debug("The state was kept in %s", instance->state_directory);
        else if (r == 0)
                log_debug("A successor has the state that was kept in %s before, and knows more by now",
                          instance->state_directory);
        else {
                free(instance->state_known);
                instance->state_known = NULL;
        }
        return r;
}

/* What the plugin answered, if it did. */
static void keep(SnoozePluginCall *call, int result) {
        SnoozePluginInstance *instance = call_get_instance(call);

        if (!instance->state_handed) {
                state_keep_untold(instance);
                if (result >= 0)
                        result = keep_other(instance, call);
                if (result < 0)
                        log_error("The state could not be kept, what changed since it was exported is lost: %s",
                                  strerror(-result));
        }
        instance->state_keeping = false;
        /* Tried once: it leaves in any case. */
        instance->state_unsaved = false;
        life_state_kept(instance);
}

bool state_keep(SnoozePluginInstance *instance) {
        bool unsaved = state_to_be_kept(instance);
        SnoozePluginCall *call;
        int r;

        if (instance->state_keeping)
                return true;
        if (!instance->plugin.export_state || instance->state_handed || !(unsaved || instance->state_used))
                return false;
        instance->state_unsaved = false;
        if (!state_can_be_kept(instance)) {
                if (unsaved)
                        log_warning("There is no $STATE_DIRECTORY: what changed since the state was exported is lost");
                return false;
        }
        r = call_new_internal(instance, CALL_STATE, keep, &call);
        if (r < 0) {
                log_error("The state could not be kept, what changed since it was exported is lost: %s", strerror(-r));
                return false;
        }
        instance->state_keeping = true;
        (void) call_return(call, instance->plugin.export_state(call, instance->plugin.userdata));
        return true;
}

bool state_keep_last(SnoozePluginInstance *instance) {
        if (instance->state_last && !state_to_be_kept(instance))
                return false;
        instance->state_last = true;
        return state_keep(instance);
}

void state_clear(SnoozePluginInstance *instance) {
        free(instance->state_known);
        free(instance->state_directory);
}

/* The contract */

static int export_kept(SnoozePluginCall *call) {
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ char *state = NULL;
        KeptHeader header;
        int r;

        r = kept_open(call_get_instance(call), &header, &fd);
        if (r < 0)
                return r;
        state = malloc(header.size > 0 ? header.size : 1);
        if (!state)
                return -ENOMEM;
        r = read_all(fd, state, header.size);
        return r < 0 ? r : snooze_plugin_call_set_state(call, header.version, state, header.size);
}

/* These two are no calls that change it. */
static int begin(SnoozePluginInstance *instance, sd_bus_message *m, CallParts parts, SnoozePluginCall **ret,
                 sd_bus_error *error) {
        bool unsaved = instance->state_unsaved, live = instance->state_live, used = instance->state_used;
        int r;

        r = contract_begin(instance, m, parts, ret, error);
        instance->state_unsaved = unsaved;
        instance->state_live = live;
        instance->state_used = used;
        return r;
}

/* Something that is still under way may change it after this. Whoever has kept it already is going to look whether
 * that is still what it knows. */
static void exported(SnoozePluginCall *call) {
        SnoozePluginInstance *instance = call_get_instance(call);

        instance->state_exported = true;
        if (instance->calls == 1)
                instance->state_unsaved = false;
        if (instance->state_inode == 0)
                know(instance, call);
        state_keep_untold(instance);
}

static int method_export_state(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SnoozePluginInstance *instance = userdata;
        SnoozePluginCall *call;
        int r;

        r = begin(instance, m, CALL_STATE, &call, error);
        if (r < 0)
                return r;
        if (instance->state_kept && !instance->state_live)
                return call_return(call, export_kept(call));
        call_on_success(call, exported);
        /* Before it is the daemon's, which is told nothing of them by it. */
        state_keep_untold(instance);
        return call_return(call, instance->plugin.export_state(call, instance->plugin.userdata));
}

/* The daemon has it on its disk by now, whether it is of use here or not. Only what came from the file is not certain
 * to be there. */
static void consume_kept(SnoozePluginInstance *instance) {
        int r;

        if (!instance->state_kept)
                return;
        r = kept_remove(instance);
        if (r < 0 && r != -ENOENT)
                log_warning("The kept state cannot be removed from %s: %s", instance->state_directory, strerror(-r));
        instance->state_kept = false;
        instance->state_unsaved = true;
}

static int method_import_state(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SnoozePluginInstance *instance = userdata;
        SnoozePluginCall *call;
        uint32_t version;
        const void *data;
        size_t size;
        int r;

        r = sd_bus_message_read_basic(m, 'u', &version);
        if (r < 0)
                return r;
        r = sd_bus_message_read_array(m, 'y', &data, &size);
        if (r < 0)
                return r;
        if (size > STATE_MAX)
                return sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED, "The state has %zu bytes, more than %u", size,
                                         STATE_MAX);
        r = begin(instance, m, 0, &call, error);
        if (r < 0)
                return r;
        instance->state_live = true;
        consume_kept(instance);
        return call_return(call, instance->plugin.import_state(call, version, data, size, instance->plugin.userdata));
}

const sd_bus_vtable state_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("ExportState", SD_BUS_NO_ARGS, SD_BUS_RESULT("u", version, "ay", state),
                                method_export_state, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ImportState", SD_BUS_ARGS("u", version, "ay", state), SD_BUS_NO_RESULT,
                                method_import_state, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};
