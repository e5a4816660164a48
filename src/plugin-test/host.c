/* SPDX-License-Identifier: Apache-2.0 */

#include "plugin-test/host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/names.h"
#include "util/file.h"

#define LOG_MAX (256U * 1024U)
#define ADDRESS_MAX 4096U

static const char bus_configuration[] =
        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN\"\n"
        " \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
        "<busconfig>\n"
        "  <listen>unix:path=%s/socket</listen>\n"
        "  <auth>EXTERNAL</auth>\n"
        "  <policy context=\"default\">\n"
        "    <allow user=\"*\"/>\n"
        "    <allow own=\"*\"/>\n"
        "    <allow send_type=\"method_call\"/>\n"
        "    <allow send_type=\"signal\"/>\n"
        "    <allow send_requested_reply=\"true\" send_type=\"method_return\"/>\n"
        "    <allow send_requested_reply=\"true\" send_type=\"error\"/>\n"
        "    <allow receive_type=\"method_call\"/>\n"
        "    <allow receive_type=\"method_return\"/>\n"
        "    <allow receive_type=\"error\"/>\n"
        "    <allow receive_type=\"signal\"/>\n"
        "  </policy>\n"
        "</busconfig>\n";

/* Nothing of ours outlives us, however we end. */
static void die_with_parent(void *userdata) {
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static gboolean start_bus(Host *host, GError **error) {
        g_autofree char *path = g_build_filename(host->directory, "bus.conf", NULL);
        g_autofree char *text = g_strdup_printf(bus_configuration, host->directory);
        const char *argv[] = { "dbus-daemon", "--config-file", path, "--nofork", "--print-address=1", NULL };
        _cleanup_close_ int output = -1;
        char address[ADDRESS_MAX];
        size_t length = 0;
        ssize_t n;

        if (!g_file_set_contents(path, text, -1, error))
                return FALSE;
        if (!g_spawn_async_with_pipes(NULL, (char **) argv, NULL,
                                      G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDERR_TO_DEV_NULL,
                                      die_with_parent, NULL, &host->bus_pid, NULL, &output, NULL, error)) {
                g_prefix_error(error, "A bus of its own is needed: ");
                return FALSE;
        }
        while (length < sizeof(address) - 1 &&
               (n = read(output, address + length, sizeof(address) - 1 - length)) > 0) {
                length += (size_t) n;
                if (memchr(address, '\n', length))
                        break;
        }
        address[length] = 0;
        host->address = g_strstrip(g_strdup(address));
        if (*host->address)
                return TRUE;
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "dbus-daemon did not start");
        return FALSE;
}

int host_connect(const Host *host, sd_bus **ret) {
        _cleanup_bus_ sd_bus *bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r < 0)
                return r;
        r = sd_bus_set_address(bus, host->address);
        if (r < 0)
                return r;
        r = sd_bus_set_bus_client(bus, true);
        if (r < 0)
                return r;
        r = sd_bus_start(bus);
        if (r < 0)
                return r;
        *ret = steal(bus);
        return 0;
}

Host *host_new(GError **error) {
        g_autoptr(Host) host = g_new0(Host, 1);
        int r;

        host->directory = g_dir_make_tmp("snooze-plugin-test-XXXXXX", error);
        if (!host->directory || !start_bus(host, error))
                return NULL;
        r = host_connect(host, &host->bus);
        if (r < 0) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: %s", host->address, g_strerror(-r));
                return NULL;
        }
        return g_steal_pointer(&host);
}

static void remove_directory(const char *path) {
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
        const char *name;

        while (directory && (name = g_dir_read_name(directory))) {
                g_autofree char *entry = g_build_filename(path, name, NULL);

                /* A link is removed, and not what it leads to. */
                if (g_unlink(entry) < 0 && (errno == EISDIR || errno == EPERM))
                        remove_directory(entry);
        }
        (void) g_rmdir(path);
}

void host_free(Host *host) {
        if (!host)
                return;
        sd_bus_close_unref(host->bus);
        if (host->bus_pid > 0) {
                (void) kill(host->bus_pid, SIGTERM);
                (void) waitpid(host->bus_pid, NULL, 0);
        }
        if (host->directory)
                remove_directory(host->directory);
        g_free(host->directory);
        g_free(host->address);
        g_free(host);
}

static char **environment_for(const Host *host, const char *const *additional) {
        char **environment = g_get_environ();

        environment = g_environ_setenv(environment, "DBUS_SYSTEM_BUS_ADDRESS", host->address, TRUE);
        environment = g_environ_unsetenv(environment, "NOTIFY_SOCKET");
        for (; additional && *additional; additional++) {
                g_autofree char *name = g_strndup(*additional, strcspn(*additional, "="));

                environment = g_environ_setenv(environment, name, *additional + strlen(name) + 1, TRUE);
        }
        return environment;
}

static void child_setup(void *userdata) {
        die_with_parent(NULL);
        (void) dup2(*(int *) userdata, STDOUT_FILENO);
        (void) dup2(*(int *) userdata, STDERR_FILENO);
}

Subject *subject_new(Host *host, const Manifest *manifest, const char *option, const char *const *environment,
                     GError **error) {
        g_autoptr(Subject) subject = g_new0(Subject, 1);
        g_auto(GStrv) variables = environment_for(host, environment);
        g_autofree char *directory = g_path_get_dirname(manifest->exec),
                        *state = g_build_filename(host->directory, "state-XXXXXX", NULL);
        const char *argv[] = { manifest->exec, option, NULL };
        _cleanup_close_ int log = -1;

        subject->host = host;
        subject->manifest = manifest;
        subject->pidfd = -1;
        subject->log = g_build_filename(host->directory, "log-XXXXXX", NULL);
        log = g_mkstemp_full(subject->log, O_RDWR | O_CLOEXEC | O_APPEND, 0600);
        if (log < 0) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: %s", subject->log, g_strerror(errno));
                return NULL;
        }
        /* Unset, a script's "$STATE_DIRECTORY/x" would be a file of this machine. */
        if (!g_mkdtemp_full(state, 0700)) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: %s", state, g_strerror(errno));
                return NULL;
        }
        variables = g_environ_setenv(variables, "STATE_DIRECTORY", state, TRUE);
        subject->started = clock_monotonic();
        if (!g_spawn_async(directory, (char **) argv, variables, G_SPAWN_DO_NOT_REAP_CHILD, child_setup, &log,
                           &subject->pid, error))
                return NULL;
        subject->pidfd = (int) syscall(SYS_pidfd_open, subject->pid, 0);
        if (subject->pidfd < 0) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "pidfd_open: %s", g_strerror(errno));
                return NULL;
        }
        return g_steal_pointer(&subject);
}

gboolean subject_wait_exit(Subject *subject, uint64_t timeout) {
        struct pollfd wait = { .fd = subject->pidfd, .events = POLLIN };
        int milliseconds = (int) ((timeout + USEC_PER_MSEC - 1) / USEC_PER_MSEC);

        if (!subject->exited && TEMP_FAILURE_RETRY(poll(&wait, 1, milliseconds)) > 0 &&
            waitpid(subject->pid, &subject->status, 0) == subject->pid)
                subject->exited = TRUE;
        return subject->exited;
}

void subject_free(Subject *subject) {
        if (!subject)
                return;
        if (subject->pid > 0 && !subject->exited) {
                (void) kill(subject->pid, SIGKILL);
                (void) waitpid(subject->pid, NULL, 0);
        }
        sd_bus_close_unref(subject->channel);
        safe_close(subject->pidfd);
        g_free(subject->owner);
        g_free(subject->log);
        g_free(subject);
}

/* Whoever owns the name or waits for it, and is not the other. */
static char *name_find(const Subject *subject, const char *other) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autofree char *name = g_strconcat(PLUGIN_NAME_PREFIX, subject->manifest->id, NULL);
        const char *queued;

        if (sd_bus_call_method(subject->host->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                               "org.freedesktop.DBus", "ListQueuedOwners", &error, &reply, "s", name) < 0 ||
            sd_bus_message_enter_container(reply, 'a', "s") < 0)
                return NULL;
        while (sd_bus_message_read_basic(reply, 's', &queued) > 0)
                if (g_strcmp0(queued, other) != 0)
                        return g_strdup(queued);
        return NULL;
}

/* The queue tells nobody when it grows, so the bus is asked, often at first. */
gboolean subject_wait_name(Subject *subject, const char *other, uint64_t timeout) {
        uint64_t end = clock_monotonic() + timeout, pause = USEC_PER_MSEC / 4;

        for (;;) {
                subject->owner = name_find(subject, other);
                if (subject->owner)
                        return TRUE;
                if (clock_monotonic() >= end || subject_wait_exit(subject, 0))
                        return FALSE;
                g_usleep(pause);
                pause = MIN(pause * 2, 50 * USEC_PER_MSEC);
        }
}

char *subject_end(const Subject *subject) {
        if (!subject->exited)
                return g_strdup("runs still");
        if (WIFSIGNALED(subject->status))
                return g_strdup_printf("was killed by %s", strsignal(WTERMSIG(subject->status)));
        return g_strdup_printf("ended with status %d", WEXITSTATUS(subject->status));
}

char *subject_read_log(const Subject *subject) {
        char *text = NULL;

        return file_read(subject->log, LOG_MAX, &text, NULL, NULL) ? text : g_strdup("");
}

sd_bus *subject_bus(const Subject *subject) {
        return subject->channel ? subject->channel : subject->host->bus;
}

const char *subject_peer(const Subject *subject) {
        return subject->channel ? NULL : subject->owner;
}

int subject_message(const Subject *subject, const char *interface, const char *member, sd_bus_message **ret) {
        g_autofree char *name = g_strconcat(PLUGIN_INTERFACE, interface, NULL);

        return sd_bus_message_new_method_call(subject_bus(subject), ret, subject_peer(subject), PLUGIN_PATH, name,
                                              member);
}

int subject_send(const Subject *subject, uint64_t timeout, sd_bus_message *message, sd_bus_error *error,
                 sd_bus_message **reply) {
        return sd_bus_call(subject_bus(subject), message, timeout, error, reply);
}

int subject_call(const Subject *subject, uint64_t timeout, const char *interface, const char *member,
                 sd_bus_error *error, sd_bus_message **reply, const char *types, ...) {
        _cleanup_bus_message_ sd_bus_message *message = NULL;
        va_list ap;
        int r;

        r = subject_message(subject, interface, member, &message);
        if (r < 0)
                return r;
        va_start(ap, types);
        r = types ? sd_bus_message_appendv(message, types, ap) : 0;
        va_end(ap);
        if (r < 0)
                return r;
        return subject_send(subject, timeout, message, error, reply);
}

char **subject_property_list(const Subject *subject, const char *interface, const char *property) {
        g_autofree char *name = g_strconcat(PLUGIN_INTERFACE, interface, NULL);
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        char **list = NULL, **copy;

        if (sd_bus_get_property_strv(subject_bus(subject), subject_peer(subject), PLUGIN_PATH, name, property, &error,
                                     &list) < 0)
                return NULL;
        copy = g_strdupv(list);
        for (char **p = list; p && *p; p++)
                free(*p);
        free(list);
        return copy;
}

uint64_t subject_memory(const Subject *subject) {
        g_autofree char *path = g_strdup_printf("/proc/%d/smaps_rollup", subject->pid), *text = NULL;
        const char *line;

        if (!g_file_get_contents(path, &text, NULL, NULL))
                return 0;
        line = strstr(text, "\nPss:");
        return line ? g_ascii_strtoull(line + strlen("\nPss:"), NULL, 10) : 0;
}
