/* SPDX-License-Identifier: Apache-2.0 */

/* .State, and what becomes of the state of a plugin that leaves without having been asked for it: nobody calls it any
 * more, the daemon has been gone for a while, the machine goes down. It is then kept in the plugin's own directory
 * ($STATE_DIRECTORY), and the next instance gives it to the daemon before anything is imported:
 *
 *         leaves, unsaved ──export──▸ DIRECTORY/kept-state ──Handshake says "kept"──▸ ExportState answers with it
 *                                             ▲                                             │ the daemon keeps it
 *                                             └──────────── removed ◂──── ImportState ◂─────┘
 *
 * The file goes only when the daemon hands the same state back, so whatever dies in between, one of the two has it. */

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "base/journal.h"
#include "base/names.h"
#include "sdk/contract.h"

#define KEPT_FILE "kept-state"
#define KEPT_TEMPORARY ".kept-state.new"

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

static int fill(int fd, uint32_t version, const void *state, size_t size) {
        KeptHeader header = { .version = htobe32(version), .size = htobe32((uint32_t) size) };
        int r;

        memcpy(header.magic, magic, sizeof(magic));
        r = write_all(fd, &header, sizeof(header));
        if (r >= 0)
                r = write_all(fd, state, size);
        if (r >= 0 && fsync(fd) < 0)
                r = -errno;
        return r;
}

/* Killed at any instruction, the old file is there or the new one, whole. */
static int kept_write(const SnoozePluginInstance *instance, uint32_t version, const void *state, size_t size) {
        _cleanup_close_ int directory = open_directory(instance), fd = -EBADF;
        int r;

        if (directory < 0)
                return directory;
        fd = openat(directory, KEPT_TEMPORARY, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        r = fill(fd, version, state, size);
        if (r >= 0 && renameat(directory, KEPT_TEMPORARY, directory, KEPT_FILE) < 0)
                r = -errno;
        if (r >= 0 && fsync(directory) < 0)
                r = -errno;
        if (r < 0)
                (void) unlinkat(directory, KEPT_TEMPORARY, 0);
        return r;
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

static int kept_remove(const SnoozePluginInstance *instance) {
        _cleanup_close_ int directory = open_directory(instance);

        if (directory < 0)
                return directory;
        if (unlinkat(directory, KEPT_FILE, 0) < 0)
                return -errno;
        return fsync(directory) < 0 ? -errno : 0;
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
        r = kept_open(instance, &header, &fd);
        instance->state_kept = r >= 0;
        if (r < 0 && r != -ENOENT)
                log_warning("The state kept in %s cannot be read: %s", instance->state_directory, strerror(-r));
        return 0;
}

const char *state_word(const SnoozePluginInstance *instance) {
        if (instance->state_live)
                return "live";
        return instance->state_kept ? "kept" : "none";
}

void state_used(SnoozePluginInstance *instance) {
        instance->state_live = true;
        instance->state_unsaved = true;
}

void state_handed_over(SnoozePluginInstance *instance) {
        if (instance->state_exported)
                instance->state_unsaved = false;
}

bool state_to_be_kept(const SnoozePluginInstance *instance) {
        return instance->plugin.export_state && instance->state_unsaved;
}

bool state_can_be_kept(const SnoozePluginInstance *instance) {
        return instance->state_directory != NULL;
}

/* What the plugin answered, if it did. */
static void keep(SnoozePluginCall *call, int result) {
        SnoozePluginInstance *instance = call_get_instance(call);
        uint32_t version;
        const void *state;
        size_t size;

        if (result >= 0) {
                state = call_get_state(call, &version, &size);
                result = kept_write(instance, version, state, size);
        }
        instance->state_keeping = false;
        /* Tried once: it leaves in any case. */
        instance->state_unsaved = false;
        if (result < 0)
                log_error("The state could not be kept, what changed since it was exported is lost: %s",
                          strerror(-result));
        else
                log_debug("The state was kept in %s", instance->state_directory);
        life_state_kept(instance);
}

bool state_keep(SnoozePluginInstance *instance) {
        SnoozePluginCall *call;
        int r;

        if (instance->state_keeping)
                return true;
        if (!state_to_be_kept(instance))
                return false;
        instance->state_unsaved = false;
        if (!state_can_be_kept(instance)) {
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

void state_clear(SnoozePluginInstance *instance) {
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

/* Something that is still under way may change it after this. */
static void exported(SnoozePluginCall *call) {
        SnoozePluginInstance *instance = call_get_instance(call);

        instance->state_exported = true;
        if (instance->calls == 1)
                instance->state_unsaved = false;
}

static int method_export_state(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SnoozePluginInstance *instance = userdata;
        bool unsaved = instance->state_unsaved, live = instance->state_live;
        SnoozePluginCall *call;
        int r;

        r = contract_begin(instance, m, CALL_STATE, &call, error);
        if (r < 0)
                return r;
        instance->state_unsaved = unsaved;
        instance->state_live = live;
        if (instance->state_kept && !live)
                return call_return(call, export_kept(call));
        call_on_success(call, exported);
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
        bool unsaved = instance->state_unsaved;
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
        r = contract_begin(instance, m, 0, &call, error);
        if (r < 0)
                return r;
        instance->state_unsaved = unsaved;
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
