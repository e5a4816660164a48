/* SPDX-License-Identifier: Apache-2.0 */

/* The channel, where the plugin offers one: what the daemon calls over the bus before it is open, it calls on it from
 * then on. So every contract is asked again there, and then the channel is treated as no daemon would treat it: after
 * each the plugin answers on the bus as before, and opens another one. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "daemon/answer/reply.h"
#include "plugin-test/trial.h"

#define GARBAGE_BYTES 65536U
#define ABANDONED 16U
#define LEAVE_WAIT (5 * USEC_PER_SEC)

/* A client's half of the greeting, as sd-bus sends it: all at once. */
static const char greeting[] = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";

/* A descriptor; -EOPNOTSUPP: it offers no channel; another errno with *error set. */
static int request(const Trial *trial, Subject *subject, sd_bus_error *error) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        g_autofree char *problem = NULL;
        int fd, r;

        r = subject_call(subject, trial_timeout(trial, TIMEOUT_INITIALIZE), "", "OpenChannel", error, &reply, NULL);
        if (r < 0 && (call_refused(error, SD_BUS_ERROR_UNKNOWN_METHOD) ||
                      call_refused(error, SD_BUS_ERROR_NOT_SUPPORTED) || call_refused(error, ERROR_NOT_SUPPORTED)))
                return -EOPNOTSUPP;
        if (r < 0)
                return r;
        if (reply_read_descriptor(reply, &fd, &problem) < 0)
                return sd_bus_error_setf(error, SD_BUS_ERROR_FAILED, "what it answers with %s", problem);
        fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return fd < 0 ? -errno : fd;
}

/* What the daemon takes for a channel. */
static const char *socket_problem(int fd, pid_t pid) {
        int domain = 0, type = 0;
        socklen_t n = sizeof(int);
        struct ucred peer;

        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) < 0 || domain != AF_UNIX ||
            getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0 || type != SOCK_STREAM)
                return "it is no stream socket of the family AF_UNIX";
        n = sizeof(peer);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0 || peer.pid != pid)
                return "the plugin did not make the socket itself";
        return NULL;
}

static int connect_channel(int fd, sd_bus **ret) {
        _cleanup_bus_ sd_bus *bus = NULL;
        int r;

        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_fd(bus, fd, fd);
        if (r < 0) {
                safe_close(fd);
                return r;
        }
        r = sd_bus_negotiate_fds(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r < 0)
                return r;
        *ret = steal(bus);
        return 0;
}

/* From here on calls go over it. FALSE: reported, unless it offers none. */
static gboolean open_channel(Trial *trial, Subject *subject, const char *check, gboolean *ret_offered) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *problem;
        int fd, r;

        fd = request(trial, subject, &error);
        *ret_offered = fd != -EOPNOTSUPP;
        if (fd == -EOPNOTSUPP)
                return FALSE;
        if (fd < 0) {
                report_failed(trial->report, check, "OpenChannel: %s", call_problem(&error, fd));
                return FALSE;
        }
        problem = socket_problem(fd, subject->pid);
        if (problem) {
                safe_close(fd);
                report_failed(trial->report, check, "OpenChannel: %s", problem);
                return FALSE;
        }
        r = connect_channel(fd, &subject->channel);
        if (r < 0)
                report_failed(trial->report, check, "OpenChannel: %s", g_strerror(-r));
        return r >= 0;
}

static void close_channel(Subject *subject) {
        subject->channel = sd_bus_close_unref(subject->channel);
}

/* Things that somebody does to the socket and then closes it. */

static void write_garbage(int fd) {
        g_autofree char *garbage = g_strnfill(GARBAGE_BYTES, '\xff');

        (void) send(fd, garbage, GARBAGE_BYTES, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void write_greeting(int fd) {
        (void) send(fd, greeting, sizeof(greeting) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void write_nothing(int fd) {
}

static void write_garbage_greeted(int fd) {
        write_greeting(fd);
        write_garbage(fd);
}

/* The first half of a call's header, whose other half never comes. */
static void write_half(int fd) {
        static const char half[] = { 'l', 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 64, 0, 0, 0, 1, 1, 'o', 0 };

        write_greeting(fd);
        (void) send(fd, half, sizeof(half), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* 128 MiB and more, of which nothing follows. */
static void write_huge(int fd) {
        static const char huge[] = { 'l', 1, 0, 1, 0, 0, 0, 127, 1, 0, 0, 0, 0, 0, 0, 127 };

        write_greeting(fd);
        (void) send(fd, huge, sizeof(huge), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static const struct {
        const char *what;
        void (*write)(int fd);
} abuses[] = {
        { "a channel closed at once", write_nothing },
        { "a channel closed within the greeting", write_greeting },
        { "garbage in the place of the greeting", write_garbage },
        { "garbage in the place of a message", write_garbage_greeted },
        { "half a message", write_half },
        { "a message of 2 GiB, announced", write_huge },
};

static gboolean survives(Trial *trial, Subject *subject, size_t i) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        int fd = request(trial, subject, &error);

        /* It may have gone of the one before. */
        if (fd < 0 && trial_alive(trial, subject, "garbage", "a channel that broke"))
                report_failed(trial->report, "garbage", "before %s it opens no channel: %s", abuses[i].what,
                              call_problem(&error, fd));
        if (fd < 0)
                return FALSE;
        abuses[i].write(fd);
        safe_close(fd);
        return trial_alive(trial, subject, "garbage", abuses[i].what);
}

/* Calls whose answers nobody waits for. */
static gboolean abandon(Trial *trial, Subject *subject) {
        gboolean offered;

        if (!open_channel(trial, subject, "garbage", &offered))
                return FALSE;
        for (unsigned i = 0; i < ABANDONED; i++) {
                _cleanup_bus_message_ sd_bus_message *message = NULL;

                if (subject_message(subject, "", "Ping", &message) >= 0)
                        (void) sd_bus_call_async(subject->channel, NULL, message, NULL, NULL, USEC_PER_SEC);
        }
        (void) sd_bus_flush(subject->channel);
        close_channel(subject);
        return trial_alive(trial, subject, "garbage", "a channel closed with calls under way");
}

static void check_abuse(Trial *trial, Subject *subject) {
        gboolean offered;

        for (size_t i = 0; i < G_N_ELEMENTS(abuses); i++)
                if (!survives(trial, subject, i))
                        return;
        if (!abandon(trial, subject) || !open_channel(trial, subject, "garbage", &offered))
                return;
        if (trial_alive(trial, subject, "garbage", "all that, on a new channel,"))
                report_passed(trial->report, "garbage", "after %zu channels that broke another one works",
                              G_N_ELEMENTS(abuses) + 1);
        close_channel(subject);
}

/* The one that is open is the latest. */
static gboolean check_renewal(Trial *trial, Subject *subject) {
        sd_bus *first = subject->channel;
        gboolean offered, opened;

        subject->channel = NULL;
        opened = open_channel(trial, subject, "renewal", &offered);
        sd_bus_close_unref(first);
        if (!opened || !trial_alive(trial, subject, "renewal", "another OpenChannel, on the new one,"))
                return FALSE;
        report_passed(trial->report, "renewal", "another one takes the place of the first");
        return TRUE;
}

void check_channel(Trial *trial, Subject *subject) {
        gboolean offered;

        if (!open_channel(trial, subject, "channel", &offered)) {
                if (!offered)
                        report_skipped(trial->report, "channel",
                                       "it offers none: the daemon calls it over the bus, at three times the cost");
                return;
        }
        report_passed(trial->report, "channel", "opens one");
        report_over(trial->report, "channel");
        check_contracts(trial, subject);
        check_configuration(trial, subject);
        check_garbage(trial, subject);
        check_crowd(trial, subject);
        if (check_renewal(trial, subject)) {
                close_channel(subject);
                check_abuse(trial, subject);
        }
        close_channel(subject);
        report_over(trial->report, NULL);
        (void) trial_alive(trial, subject, "channel", "its channel was closed");
}

typedef struct Departure {
        gboolean told, answered;
} Departure;

static int on_leaving(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        ((Departure *) userdata)->told = TRUE;
        return 0;
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        ((Departure *) userdata)->answered = !sd_bus_message_is_method_error(m, NULL);
        return 0;
}

/* A call that was sent before it said that it leaves is answered still. */
static int wait_for_departure(const Subject *subject, Departure *departure) {
        _cleanup_bus_slot_ sd_bus_slot *leaving = NULL, *answer = NULL;
        _cleanup_bus_message_ sd_bus_message *ping = NULL;
        uint64_t end = clock_monotonic() + LEAVE_WAIT;
        int r;

        r = sd_bus_match_signal(subject->channel, &leaving, NULL, NULL, PLUGIN_INTERFACE, "Leaving", on_leaving,
                                departure);
        if (r >= 0)
                r = subject_message(subject, "", "Ping", &ping);
        if (r >= 0)
                r = sd_bus_call_async(subject->channel, &answer, ping, on_answer, departure, LEAVE_WAIT);
        if (r >= 0)
                r = sd_bus_flush(subject->channel);
        (void) kill(subject->pid, SIGTERM);
        while (r >= 0 && !(departure->told && departure->answered) && clock_monotonic() < end) {
                r = sd_bus_process(subject->channel, NULL);
                if (r == 0)
                        r = sd_bus_wait(subject->channel, usec_sub(end, clock_monotonic()));
        }
        return r;
}

void check_channel_left(Trial *trial) {
        g_autoptr(Subject) subject = trial_start(trial, "channel: SIGTERM");
        g_autofree char *end = NULL;
        Departure departure = {};
        gboolean offered;

        if (!subject || !open_channel(trial, subject, "channel: SIGTERM", &offered))
                return;
        report_over(trial->report, "channel");
        (void) wait_for_departure(subject, &departure);
        close_channel(subject);
        (void) subject_wait_exit(subject, trial_timeout(trial, TIMEOUT_SHUTDOWN));
        end = subject_end(subject);
        if (!departure.told)
                report_failed(trial->report, "SIGTERM",
                              "it does not say on its channel that it leaves (the signal Leaving); it %s", end);
        else if (!departure.answered)
                report_failed(trial->report, "SIGTERM", "a call that was sent before it left was not answered; it %s",
                              end);
        else
                report_add(
                        trial->report, subject->exited && subject->status == 0 ? FINDING_PASSED : FINDING_FAILED,
                        "SIGTERM",
                        "it says that it leaves, answers what was asked before, and once the channel is closed it %s",
                        end);
        report_over(trial->report, NULL);
}
