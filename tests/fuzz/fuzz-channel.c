/* SPDX-License-Identifier: Apache-2.0 */

/* Any bytes as what a plugin writes into its channel, before the two ends have greeted each other or after: the first
 * byte says whether the greeting is given, and whether a call is under way. However it goes, the channel ends once and
 * for a reason, and the call with it. */

#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/plugin/channel.h"
#include "message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define GREETED 1U
#define CALLED 2U
#define DESCRIPTORS 4U
#define TURNS_MAX 10000U

static const char greeting[] = "OK 0123456789abcdef0123456789abcdef\r\n";
static const char greeting_descriptors[] = "OK 0123456789abcdef0123456789abcdef\r\nAGREE_UNIX_FD\r\n";

typedef struct Trial {
        unsigned broken, answered;
} Trial;

static void on_leaving(void *userdata) {
}

static void on_broken(const char *reason, void *userdata) {
        Trial *trial = userdata;

        g_assert_cmpint(*reason, !=, '\0');
        trial->broken++;
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Trial *trial = userdata;

        trial->answered++;
        return 1;
}

static void call(Channel *channel, Trial *trial) {
        g_assert_cmpint(
                sd_bus_call_method_async(channel_bus(channel), NULL, NULL, "/x", "x.y", "Z", on_answer, trial, NULL),
                >=, 0);
        channel_sent(channel, false);
}

/* All of it fits into a socket. */
static void write_all(int fd, const void *data, size_t size) {
        if (size > 0)
                g_assert_cmpint(send(fd, data, size, MSG_NOSIGNAL), ==, (ssize_t) size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const ChannelHooks hooks = { on_leaving, on_broken };
        static sd_event *event;
        Input input = { data, MIN(size, 65536), NULL };
        uint8_t how = input_take(&input);
        g_autofree char *problem = NULL;
        Trial trial = {};
        Channel *channel;
        int fds[2];

        if (!event)
                g_assert_cmpint(sd_event_new(&event), >=, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
        g_assert_cmpint(channel_new(event, fds[0], getpid(), how & DESCRIPTORS, UINT64_MAX, &hooks, &trial, &channel,
                                    &problem),
                        >=, 0);
        (void) close(fds[0]);
        if (how & CALLED)
                call(channel, &trial);
        if (how & GREETED) {
                const char *text = how & DESCRIPTORS ? greeting_descriptors : greeting;

                write_all(fds[1], text, strlen(text));
        }
        write_all(fds[1], input.data, input.left);
        g_assert_cmpint(shutdown(fds[1], SHUT_WR), ==, 0);
        for (unsigned turns = 0; trial.broken == 0; turns++) {
                g_assert_cmpuint(turns, <, TURNS_MAX);
                g_assert_cmpint(sd_event_run(event, USEC_PER_SEC), >=, 0);
        }
        channel_free(channel);
        (void) close(fds[1]);
        g_assert_cmpuint(trial.broken, ==, 1);
        g_assert_cmpuint(trial.answered, <=, how & CALLED ? 1 : 0);
        return 0;
}
