/* SPDX-License-Identifier: Apache-2.0 */

/* Loaded into the helper by test-helper-crashes.py: once the file KILLED_AT is there it is killed before the change of
 * a directory that has the number that stands in it, the first one from then on being 1. Files are written whole, so
 * between two changes there is nothing to be seen. */

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void count(void) {
        const char *path = getenv("KILLED_AT");
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        char text[32] = "";
        static long counted;

        if (fd < 0) {
                counted = 0;
                return;
        }
        if (read(fd, text, sizeof(text) - 1) > 0 && ++counted == strtol(text, NULL, 10))
                (void) kill(getpid(), SIGKILL);
        close(fd);
}

int rename(const char *from, const char *to) {
        int (*next)(const char *, const char *) = (int (*)(const char *, const char *)) dlsym(RTLD_NEXT, __func__);

        count();
        return next(from, to);
}

int unlink(const char *path) {
        int (*next)(const char *) = (int (*)(const char *)) dlsym(RTLD_NEXT, __func__);

        count();
        return next(path);
}

int rmdir(const char *path) {
        int (*next)(const char *) = (int (*)(const char *)) dlsym(RTLD_NEXT, __func__);

        count();
        return next(path);
}
