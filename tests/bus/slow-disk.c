/* SPDX-License-Identifier: Apache-2.0 */

/* Loaded into the daemon by test-slow-disk.py: a disk that hangs for as long as the test has a lock on the file that
 * SNOOZE_DISK names. The daemon's loop may never wait for it: a sync in the main thread ends the daemon. The database
 * does not hang: a row of history would otherwise be in the way of the file that a test is about. A plugin's state on
 * its way into the database waits for the lock of another file, that SNOOZE_STATE_DISK names. */

#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_database(int fd) {
        char link[64], path[4096];
        ssize_t n;

        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, path, sizeof(path) - 1);
        if (n < 0)
                return 0;
        path[n] = '\0';
        return strstr(path, "/snooze.db") != NULL;
}

static void wait_for_lock(const char *variable, const char *what) {
        const char *path = getenv(variable);
        int fd;

        if (gettid() == getpid()) {
                fprintf(stderr, "the main thread called %s()\n", what);
                abort();
        }
        fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (fd < 0 || flock(fd, LOCK_SH) < 0)
                abort();
        close(fd);
}

static void wait_for_disk(int file, const char *what) {
        if (gettid() == getpid() || !is_database(file))
                wait_for_lock("SNOOZE_DISK", what);
}

/* Nothing but states is put there this way. */
int sqlite3_bind_blob64(void *statement, int i, const void *data, uint64_t size, void (*destroy)(void *));

int sqlite3_bind_blob64(void *statement, int i, const void *data, uint64_t size, void (*destroy)(void *)) {
        int (*next)(void *, int, const void *, uint64_t, void (*)(void *)) =
                (int (*)(void *, int, const void *, uint64_t, void (*)(void *))) dlsym(RTLD_NEXT, __func__);

        wait_for_lock("SNOOZE_STATE_DISK", __func__);
        return next ? next(statement, i, data, size, destroy) : -1;
}

int fsync(int fd) {
        wait_for_disk(fd, "fsync");
        return (int) syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
        wait_for_disk(fd, "fdatasync");
        return (int) syscall(SYS_fdatasync, fd);
}

int syncfs(int fd) {
        wait_for_disk(fd, "syncfs");
        return (int) syscall(SYS_syncfs, fd);
}

void sync(void) {
        wait_for_disk(-1, "sync");
        syscall(SYS_sync);
}
