/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin with moods: moody-plugin ID DIRECTORY bus|channel. How it answers stands in DIRECTORY/ID.mood and is read
 * anew for each call, so that one and the same process can be well, then mad, then well again. Whatever it says in a
 * bad mood is "idle" with the reason "poison" wherever it can: should that ever count as a vote, it is seen. It
 * answers by hand, without a vtable, because sd-bus would hold it to what a vtable promises.
 *
 * DIRECTORY/ID.pid has the latest of its processes that has the name of its slot, from before it can answer anything:
 * while that one is stopped or dead, nobody speaks for the plugin.
 *
 * Without arguments, as systemd starts a plugin: it is always well, has its program's name, and no channel. */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/names.h"

#define LATE (2500 * USEC_PER_MSEC)
#define HUGE_ENTRIES 50000U
#define FLOOD 300U
#define DEPTH 30U

static const char *id, *directory;
static bool offers_channel;
static char mood[32], own_name[128];
static sd_event *event;
static sd_bus *bus, *channel;

static void read_mood(void) {
        char path[4096];

        snprintf(path, sizeof(path), "%s/%s.mood", directory, id);
        strcpy(mood, "well");
        _cleanup_(fclosep) FILE *file = fopen(path, "re");
        if (file && fscanf(file, "%31s", mood) != 1)
                strcpy(mood, "well");
}

static bool is(const char *name) {
        return strcmp(mood, name) == 0;
}

static int leave(sd_event_source *source, void *userdata) {
        (void) sd_bus_release_name(bus, own_name);
        return sd_event_exit(event, 0);
}

static int reply_vote(sd_bus_message *call, const char *verdict, const char *reason) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(call, &reply);

        if (r >= 0)
                r = sd_bus_message_append(reply, "ssa{sv}", verdict, reason, 0);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int reply_huge(sd_bus_message *call) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(call, &reply);

        if (r >= 0)
                r = sd_bus_message_append(reply, "ss", "idle", "poison");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        for (unsigned i = 0; r >= 0 && i < HUGE_ENTRIES; i++) {
                char key[32];

                snprintf(key, sizeof(key), "key%u", i);
                r = sd_bus_message_append(reply, "{sv}", key, "s", "value");
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

/* A variant in a variant in a variant … */
static int reply_deep(sd_bus_message *call) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(call, &reply);

        if (r >= 0)
                r = sd_bus_message_append(reply, "ss", "idle", "poison");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", "deep");
        for (unsigned i = 1; r >= 0 && i < DEPTH; i++)
                r = sd_bus_message_open_container(reply, 'v', "v");
        if (r >= 0)
                r = sd_bus_message_append(reply, "v", "s", "value");
        for (unsigned i = 1; r >= 0 && i < DEPTH + 2; i++)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int reply_rubbish(sd_bus_message *call) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(call, &reply);

        if (r >= 0)
                r = sd_bus_message_append(reply, "sai", "idle", 3, 1, 2, 3);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int on_late(sd_event_source *source, uint64_t usec, void *userdata) {
        _cleanup_bus_message_ sd_bus_message *call = userdata;

        (void) reply_vote(call, "idle", "poison");
        sd_event_source_unref(source);
        return 0;
}

static int reply_late(sd_bus_message *call) {
        sd_event_source *source;
        int r = sd_event_add_time_relative(event, &source, CLOCK_MONOTONIC, LATE, 1, on_late,
                                           sd_bus_message_ref(call));

        if (r < 0)
                sd_bus_message_unref(call);
        return r;
}

static int reply_twice(sd_bus_message *call) {
        int r = reply_vote(call, "busy", "first");

        return r < 0 ? r : reply_vote(call, "idle", "poison");
}

static int flood(sd_bus_message *call) {
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < FLOOD; i++)
                r = sd_bus_emit_signal(sd_bus_message_get_bus(call), PLUGIN_PATH, PLUGIN_INTERFACE, "Nonsense", "s",
                                       "poison");
        return r < 0 ? r : reply_vote(call, "busy", "flooded");
}

/* Bytes that are no message, right into the connection. */
static int break_connection(sd_bus_message *call) {
        static const char bytes[4096] = "l\2\1\1 poison";
        sd_bus *connection = sd_bus_message_get_bus(call);

        (void) sd_bus_flush(connection);
        return send(sd_bus_get_fd(connection), bytes, sizeof(bytes), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int answer_check(sd_bus_message *call) {
        if (is("die"))
                _exit(1);
        if (is("error"))
                return sd_bus_reply_method_errorf(call, "org.example.Strange", "idle poison");
        if (is("lie"))
                return reply_vote(call, "certainly", "poison");
        if (is("rubbish"))
                return reply_rubbish(call);
        if (is("huge"))
                return reply_huge(call);
        if (is("deep"))
                return reply_deep(call);
        if (is("late"))
                return reply_late(call);
        if (is("twice"))
                return reply_twice(call);
        if (is("flood"))
                return flood(call);
        if (is("break"))
                return break_connection(call);
        return reply_vote(call, "idle", "well");
}

static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error);

/* The other end of the daemon's private connection. */
static int open_channel(int *ret_fd) {
        sd_id128_t random;
        int fds[2], r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
                return -errno;
        channel = sd_bus_close_unref(channel);
        r = sd_bus_new(&channel);
        if (r >= 0)
                r = sd_bus_set_fd(channel, fds[0], fds[0]);
        if (r >= 0)
                r = sd_id128_randomize(&random);
        if (r >= 0)
                r = sd_bus_set_server(channel, 1, random);
        if (r >= 0)
                r = sd_bus_set_anonymous(channel, 1);
        if (r >= 0)
                r = sd_bus_add_filter(channel, NULL, on_message, NULL);
        if (r >= 0)
                r = sd_bus_start(channel);
        if (r >= 0)
                r = sd_bus_attach_event(channel, event, 0);
        *ret_fd = fds[1];
        return r;
}

static int answer_channel(sd_bus_message *call) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (!offers_channel)
                return sd_bus_reply_method_errorf(call, ERROR_NOT_SUPPORTED, "no channel");
        r = open_channel(&fd);
        return r < 0 ? r : sd_bus_reply_method_return(call, "h", fd);
}

static int answer(sd_bus_message *call, const char *member) {
        if (is("hang"))
                return 0;
        if (is("deaf") && (strcmp(member, "Handshake") == 0 || strcmp(member, "CheckIdle") == 0))
                return 0;
        if (strcmp(member, "CheckIdle") == 0)
                return answer_check(call);
        if (strcmp(member, "Handshake") == 0)
                return sd_bus_reply_method_return(call, "ua{sv}", PLUGIN_API_VERSION, 2, "id", "s", id,
                                                  "contracts", "as", 1, "IdleCheck");
        if (strcmp(member, "OpenChannel") == 0)
                return answer_channel(call);
        if (strcmp(member, "Shutdown") == 0)
                (void) sd_event_add_defer(event, NULL, leave, NULL);
        return sd_bus_reply_method_return(call, NULL);
}

static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        if (!sd_bus_message_is_method_call(message, NULL, NULL) || !sd_bus_message_get_path(message) ||
            strcmp(sd_bus_message_get_path(message), PLUGIN_PATH) != 0)
                return 0;
        read_mood();
        (void) answer(message, sd_bus_message_get_member(message));
        return 1;
}

static int tell_pid(void) {
        char path[4096], whole[4096];

        snprintf(path, sizeof(path), "%s/%s.pid.new", directory, id);
        snprintf(whole, sizeof(whole), "%s/%s.pid", directory, id);
        FILE *file = fopen(path, "we");
        if (!file)
                return -errno;
        fprintf(file, "%d", (int) getpid());
        if (fclose(file) != 0 || rename(path, whole) < 0)
                return -errno;
        return 0;
}

/* With a name for its slot another version can take its place while it serves. */
static int own_slot(void) {
        const char *slot = getenv("SNOOZE_SLOT");
        char name[160];

        snprintf(name, sizeof(name), "%s.%s", own_name, slot ?: "a");
        return sd_bus_request_name(bus, name, 0);
}

static int run(void) {
        int r = sd_event_default(&event);

        if (r >= 0)
                r = sd_bus_open(&bus);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(bus, 1);
        if (r >= 0)
                r = sd_bus_add_filter(bus, NULL, on_message, NULL);
        if (r >= 0)
                r = sd_bus_attach_event(bus, event, 0);
        if (r >= 0)
                r = own_slot();
        if (r >= 0 && *directory)
                r = tell_pid();
        if (r >= 0)
                r = sd_bus_request_name(bus, own_name, SD_BUS_NAME_QUEUE);
        if (r >= 0)
                (void) sd_notify(0, "READY=1");
        return r < 0 ? r : sd_event_loop(event);
}

int main(int argc, char **argv) {
        int r;

        if (argc != 1 && argc != 4)
                return 2;
        id = argc == 4 ? argv[1] : program_invocation_short_name;
        directory = argc == 4 ? argv[2] : "";
        offers_channel = argc == 4 && strcmp(argv[3], "channel") == 0;
        snprintf(own_name, sizeof(own_name), PLUGIN_NAME_PREFIX "%s", id);
        read_mood();
        if (is("stillborn"))
                return 1;
        r = run();
        sd_bus_close_unref(channel);
        sd_bus_flush_close_unref(bus);
        sd_event_unref(event);
        return r < 0 ? 1 : 0;
}
