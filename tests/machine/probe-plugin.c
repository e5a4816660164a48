/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin that tries what it is told to try, and says how far it got: "OK" or the name of the errno. Under another
 * name it is another plugin, with other permissions. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <snooze/plugin.h>
#include <systemd/sd-bus.h>

#include "../bus/installed-version.h"

/* What goes on after a call is work: without a call one that has none leaves. */
static SnoozePluginInstance *instance;
static unsigned works;

static void begin_work(void) {
        snooze_plugin_instance_begin_work(instance);
        works++;
}

static int try_connect_local(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd, r = 0;

        if (strlen(path) >= sizeof(address.sun_path))
                return -EINVAL;
        strcpy(address.sun_path, path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                r = -errno;
        close(fd);
        return r;
}

/* "127.0.0.1:8000". What does not answer at once is not there. */
static int try_connect(const char *target) {
        struct sockaddr_in address = { .sin_family = AF_INET };
        struct timeval patience = { .tv_sec = 2 };
        const char *colon = strchr(target, ':');
        char host[64] = "";
        int fd, r = 0;

        if (!colon || colon - target >= (ptrdiff_t) sizeof(host))
                return -EINVAL;
        memcpy(host, target, (size_t) (colon - target));
        address.sin_port = htons((uint16_t) atoi(colon + 1));
        if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
                return -EINVAL;
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
            connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                r = -errno;
        close(fd);
        return r;
}

/* A Unix socket that has a name and no file. */
static int try_abstract(const char *name) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        size_t length = strlen(name);
        int fd, r = 0;

        if (length >= sizeof(address.sun_path))
                return -EINVAL;
        memcpy(address.sun_path + 1, name, length);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (struct sockaddr *) &address,
                    (socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1 + length)) < 0)
                r = -errno;
        close(fd);
        return r;
}

static int try_open(const char *path, int flags) {
        int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);

        if (fd < 0)
                return -errno;
        close(fd);
        return 0;
}

static int try_write(const char *path) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), r = 0;

        if (fd < 0)
                return -errno;
        if (write(fd, "x", 1) < 0)
                r = -errno;
        close(fd);
        return r;
}

static int try_run(const char *path) {
        char *const arguments[] = { (char *) path, NULL };
        int status, r;
        pid_t pid;

        r = posix_spawn(&pid, path, NULL, NULL, arguments, environ);
        if (r != 0)
                return -r;
        if (waitpid(pid, &status, 0) < 0)
                return -errno;
        return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECHILD;
}

static int try_bus(const char *name) {
        sd_bus *bus = NULL;
        int r = sd_bus_open_system(&bus);

        if (r >= 0)
                r = sd_bus_call_method(bus, name, "/", "org.freedesktop.DBus.Peer", "Ping", NULL, NULL, NULL);
        sd_bus_flush_close_unref(bus);
        return r;
}

static int try_stop(const char *unit) {
        sd_bus *bus = NULL;
        int r = sd_bus_open_system(&bus);

        if (r >= 0)
                r = sd_bus_call_method(bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                                       "org.freedesktop.systemd1.Manager", "StopUnit", NULL, NULL, "ss", unit,
                                       "replace");
        sd_bus_flush_close_unref(bus);
        return r;
}

/* More than it may have: the kernel ends it before this returns. */
static int try_memory(const char *mebibytes) {
        size_t size = strtoul(mebibytes, NULL, 10) << 20;
        char *memory = malloc(size);

        if (!memory)
                return -ENOMEM;
        explicit_bzero(memory, size);
        free(memory);
        return 0;
}

/* Kept, and used, so that the kernel counts it. */
static int try_hold(const char *mebibytes) {
        static char *held;
        static size_t held_size;
        size_t more = strtoul(mebibytes, NULL, 10) << 20;
        char *memory = realloc(held, held_size + more);

        if (!memory)
                return -ENOMEM;
        memset(memory + held_size, 1, more);
        held = memory;
        held_size += more;
        begin_work();
        return 0;
}

/* More than it may have, in a process of its own, which the kernel ends. */
static int try_lose(const char *mebibytes) {
        pid_t pid = fork();
        int status;

        if (pid == 0)
                _exit(try_memory(mebibytes) < 0);
        if (pid < 0 || waitpid(pid, &status, 0) < 0)
                return -errno;
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? -EOWNERDEAD : -ECHILD;
}

/* Another process, for one that does not answer is ended as hung. Both end with the unit. */
static int try_cpu(void) {
        pid_t pid = fork();

        if (pid == 0)
                for (volatile unsigned long i = 0;; i++)
                        ;
        if (pid < 0)
                return -errno;
        begin_work();
        return 0;
}

static int try_fork(const char *times) {
        for (unsigned long left = strtoul(times, NULL, 10); left > 0; left--) {
                pid_t pid = fork();

                if (pid < 0)
                        return -errno;
                if (pid == 0)
                        for (;;)
                                pause();
                begin_work();
        }
        return 0;
}

static int try(const char *method, const char *what) {
        if (strcmp(method, "connect") == 0)
                return *what == '/' ? try_connect_local(what) : try_connect(what);
        if (strcmp(method, "abstract") == 0)
                return try_abstract(what);
        if (strcmp(method, "read") == 0)
                return try_open(what, O_RDONLY);
        if (strcmp(method, "write") == 0)
                return try_write(what);
        if (strcmp(method, "device") == 0)
                return try_open(what, O_WRONLY);
        if (strcmp(method, "run") == 0)
                return try_run(what);
        if (strcmp(method, "kill") == 0)
                return kill((pid_t) atoi(what), SIGTERM) < 0 ? -errno : 0;
        if (strcmp(method, "stop") == 0)
                return try_stop(what);
        if (strcmp(method, "memory") == 0)
                return try_memory(what);
        if (strcmp(method, "hold") == 0)
                return try_hold(what);
        if (strcmp(method, "lose") == 0)
                return try_lose(what);
        if (strcmp(method, "cpu") == 0)
                return try_cpu();
        if (strcmp(method, "fork") == 0)
                return try_fork(what);
        if (strcmp(method, "say") == 0) {
                snooze_plugin_log(LOG_NOTICE, "%s", what);
                return 0;
        }
        return try_bus(what);
}

static int handle_request(SnoozePluginCall *call, const char *method, const SnoozePluginDictionary *params,
                          void *userdata) {
        int r = try(method, snooze_plugin_dictionary_get_string(params, "what", ""));

        snooze_plugin_dictionary_set_string(snooze_plugin_call_get_result(call), "result",
                                            r < 0 ? strerrorname_np(-r) : "OK");
        return snooze_plugin_call_set_answer(call, true);
}

static int start(SnoozePluginInstance *self, void *userdata) {
        instance = self;
        return 0;
}

static int initialize_greedily(SnoozePluginCall *call, const SnoozePluginDictionary *config, void *userdata) {
        return try_memory("64");
}

static void end_works(void *userdata) {
        for (; works > 0; works--)
                snooze_plugin_instance_end_work(instance);
}

int main(int argc, char *argv[]) {
        static char version[32] = "1.0.0";
        static const char *const methods[] = { "connect", "abstract", "read", "write", "device", "run",  "bus", "kill",
                                               "stop",    "memory",   "hold", "lose",  "cpu",    "fork", "say", NULL };
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = program_invocation_short_name,
                .version = version,
                .start = start,
                .initialize = strcmp(program_invocation_short_name, "glutton") == 0 ? initialize_greedily : NULL,
                .shutdown = end_works,
                .methods = methods,
                .handle_request = handle_request,
        };

        read_installed_version(version, sizeof(version));
        return snooze_plugin_main(&plugin, argc, argv);
}
