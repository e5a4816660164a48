/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin that behaves as the tests say, well or badly: fake-plugin ID BEHAVIOUR DIRECTORY. The bus starts it. What
 * it lived through is appended to DIRECTORY/ID.log, a word a line. One whose behaviour begins with "channel-" offers a
 * channel, and behaves so there; one whose begins with "slot-" owns a name for its slot, so that another version can
 * take its place while it serves. One that is to "hold" keeps the request that it is sent and answers it at SIGUSR1;
 * told to leave meanwhile it gives its names away and goes behind the answer, with "hold-name" it does not hear that
 * before, and with "hold-on" never. One whose behaviour is the name of an error answers every question with it; one
 * that is "api-N" says that it speaks that plugin API. */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "base/names.h"

static const char *id, *behaviour, *directory;
static bool offers_channel, owns_slot;
static sd_bus *bus, *channel;
static int channel_fd = -1;
static sd_event *event;
static sd_bus_message *kept;
static char greeting[256];

static bool is(const char *name) {
        return strcmp(behaviour, name) == 0;
}

static void note(const char *word) {
        char path[4096];

        snprintf(path, sizeof(path), "%s/%s.log", directory, id);
        _cleanup_(fclosep) FILE *file = fopen(path, "ae");
        if (file)
                fprintf(file, "%s\n", word);
}

/* True the first time that anybody asks for this mark. */
static bool first_time(const char *mark) {
        char path[4096];

        snprintf(path, sizeof(path), "%s/%s.%s", directory, id, mark);
        _cleanup_(fclosep) FILE *file = fopen(path, "wxe");
        return file != NULL;
}

static uint32_t spoken_api(void) {
        if (strncmp(behaviour, "api-", strlen("api-")) == 0)
                return (uint32_t) strtoul(behaviour + strlen("api-"), NULL, 10);
        return is("wrong-api") ? 7 : PLUGIN_API_VERSION;
}

static int on_handshake(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        note("Handshake");
        if (is("hang-handshake"))
                return 1;
        if (is("die-handshake") || (is("die-handshake-once") && first_time("died")))
                _exit(1);
        if (is("wrong-id"))
                return sd_bus_reply_method_return(call, "ua{sv}", spoken_api(), 1, "id", "s", "somebody-else");
        if (is("wrong-contracts"))
                return sd_bus_reply_method_return(call, "ua{sv}", spoken_api(), 1, "contracts", "as", 1, "State");
        return sd_bus_reply_method_return(call, "ua{sv}", spoken_api(), 1, "id", "s", id);
}

static int read_greeting(sd_bus_message *call) {
        int r = sd_bus_message_enter_container(call, 'a', "{sv}");

        while (r >= 0 && (r = sd_bus_message_enter_container(call, 'e', "sv")) > 0) {
                const char *key, *value;

                r = sd_bus_message_read(call, "s", &key);
                if (r >= 0 && strcmp(key, "greeting") == 0) {
                        r = sd_bus_message_read(call, "v", "s", &value);
                        if (r >= 0)
                                snprintf(greeting, sizeof(greeting), "%s", value);
                } else if (r >= 0)
                        r = sd_bus_message_skip(call, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(call);
        }
        return r;
}

static int on_configure(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        note(sd_bus_message_get_member(call));
        if (is("hang-configure") && sd_bus_message_is_method_call(call, NULL, "Configure") > 0)
                return 1;
        if (read_greeting(call) < 0 || is("refuse-configuration"))
                return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT, "greeting: not today");
        if (*greeting)
                note(greeting);
        return sd_bus_reply_method_return(call, NULL);
}

static bool holds(void) {
        return is("hold") || is("hold-name") || is("hold-on");
}

static int on_ping(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        note("Ping");
        if (is("hang") || is("hold-on"))
                return 1;
        return sd_bus_reply_method_return(call, NULL);
}

static int leave(sd_event_source *source, void *userdata) {
        note("leaves");
        (void) sd_bus_release_name(bus, (const char *) userdata);
        return sd_event_exit(event, 0);
}

static char own_name[128];
static sd_bus_message *farewell;

static void give_names_away(void) {
        const char *slot = getenv("SNOOZE_SLOT");
        char name[sizeof(own_name) + 16];

        snprintf(name, sizeof(name), "%s.%s", own_name, slot ?: "a");
        (void) sd_bus_release_name(bus, name);
        (void) sd_bus_release_name(bus, own_name);
        note("leaves");
}

static int on_answer_now(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        int r = sd_bus_reply_method_return(kept, "ba{sv}", 1, 1, "answer", "x", INT64_C(42));

        kept = sd_bus_message_unref(kept);
        if (farewell && is("hold-name")) {
                (void) sd_bus_reply_method_return(farewell, NULL);
                give_names_away();
        }
        if (farewell && r >= 0 && !channel)
                return sd_event_exit(event, 0);
        return r;
}

static int hold(sd_bus_message *call) {
        kept = sd_bus_message_ref(call);
        return 1;
}

static int on_shutdown(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        note("Shutdown");
        if (is("stay"))
                return sd_bus_reply_method_return(call, NULL);
        if (holds() && kept) {
                farewell = sd_bus_message_ref(call);
                if (!is("hold"))
                        return 1;
                give_names_away();
                return sd_bus_reply_method_return(call, NULL);
        }
        (void) sd_event_add_defer(event, NULL, leave, own_name);
        return sd_bus_reply_method_return(call, NULL);
}

static int reply_huge(sd_bus_message *call) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(call, &reply);

        if (r >= 0)
                r = sd_bus_message_append(reply, "ss", "idle", "much");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        for (unsigned i = 0; r >= 0 && i < 100000; i++) {
                char key[32];

                snprintf(key, sizeof(key), "key%u", i);
                r = sd_bus_message_append(reply, "{sv}", key, "s", "value");
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

/* Deeper than anybody means it, and no deeper than the wire format allows. */
static int reply_deep(sd_bus_message *call) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(call, &reply);

        if (r >= 0)
                r = sd_bus_message_append(reply, "ss", "idle", "deep");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", "nest");
        for (unsigned i = 0; r >= 0 && i < 40; i++)
                r = sd_bus_message_open_container(reply, 'v', i < 39 ? "v" : "i");
        if (r >= 0)
                r = sd_bus_message_append(reply, "i", 1);
        for (unsigned i = 0; r >= 0 && i < 42; i++)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int flood(sd_bus_message *call) {
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < 1000; i++)
                r = sd_bus_emit_signal(sd_bus_message_get_bus(call), PLUGIN_PATH, PLUGIN_INTERFACE, "Ouch", "u", i);
        return r;
}

/* Requests, too, are nothing that the daemon serves on a channel. */
static int flood_of_requests(sd_bus_message *call) {
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < 1000; i++)
                r = sd_bus_call_method_async(sd_bus_message_get_bus(call), NULL, NULL, "/",
                                             "org.freedesktop.DBus.Peer", "Ping", NULL, NULL, NULL);
        return r;
}

/* The beginning of a message of 100 MiB, whose rest never comes. */
/* The beginning of an answer of 4 KiB, or of 100 MiB, that never goes on. */
static int announce(uint8_t kib4, uint8_t mib) {
        const uint8_t header[16] = { 'l', 2, 1, 1, 0, kib4, (uint8_t) (mib << 4), (uint8_t) (mib >> 4), 9, 0,
                                     0,   0, 0, 0, 0, 0 };

        return write(channel_fd, header, sizeof(header)) == sizeof(header) ? 1 : -EIO;
}

static int reply_subjects(sd_bus_message *call) {
        if (first_time("subjects"))
                return sd_bus_reply_method_return(call, "ssa{sv}", "busy", "two databases", 2, "metrics", "a{sd}", 1,
                                                  "gpu_usage", 42.0, "votes", "aa{sv}", 2, 3, "name", "s", "main",
                                                  "verdict", "s", "busy", "reason", "s", "7 clients", 3, "name", "s",
                                                  "spare", "verdict", "s", "idle", "reason", "s", "nobody");
        return sd_bus_reply_method_return(call, "ssa{sv}", "idle", "one database", 1, "votes", "aa{sv}", 1, 3, "name",
                                          "s", "main", "verdict", "s", "idle", "reason", "s", "nobody");
}

static int reply_late(sd_bus_message *call) {
        if (!kept) {
                kept = sd_bus_message_ref(call);
                return 1;
        }
        (void) sd_bus_reply_method_return(kept, "ssa{sv}", "busy", "stale", 0);
        kept = sd_bus_message_unref(kept);
        return sd_bus_reply_method_return(call, "ssa{sv}", "idle", "fresh", 0);
}

/* The other end was given away, and is kept all the same. */
static int shut(sd_event_source *source, void *userdata) {
        (void) sd_bus_flush(channel);
        return shutdown(channel_fd, SHUT_RDWR) < 0 ? -errno : 0;
}

/* A child has its connection to the bus, too, and so its name, when it is gone. ID.lingers names it. */
static void linger(void) {
        char path[4096];
        pid_t child = fork();

        if (child == 0) {
                (void) close(channel_fd);
                for (;;)
                        pause();
        }
        snprintf(path, sizeof(path), "%s/%s.lingers", directory, id);
        _cleanup_(fclosep) FILE *file = fopen(path, "we");
        if (file)
                fprintf(file, "%d", (int) child);
}

static int on_check(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        note("CheckIdle");
        if (sd_bus_message_get_bus(call) != bus)
                note("by channel");
        if (is("linger") && first_time("lingered"))
                linger();
        if (is("hang") || (is("hang-later") && !first_time("checked")))
                return 1;
        if (is("die") || (is("die-once") && first_time("died")))
                _exit(1);
        if (is("error"))
                return sd_bus_error_set(error, "org.example.Strange", "no \033[31mclue\n");
        if (is("lie"))
                return sd_bus_reply_method_return(call, "ssa{sv}", "certainly", "trust me", 0);
        if (is("rubbish"))
                return sd_bus_reply_method_return(call, "ai", 3, 1, 2, 3);
        if (is("huge"))
                return reply_huge(call);
        if (is("deep"))
                return reply_deep(call);
        if (is("announce-half"))
                return announce(0x10, 0);
        if (is("announce-huge"))
                return announce(0, 100);
        if (is("stall"))
                return sd_bus_detach_event(channel);
        if (is("close")) {
                channel = sd_bus_close_unref(channel);
                return 1;
        }
        if ((is("flood") && flood(call) < 0) || (is("flood-requests") && flood_of_requests(call) < 0))
                return -EIO;
        if (is("subjects"))
                return reply_subjects(call);
        if (is("late"))
                return reply_late(call);
        if (is("forever"))
                return sd_bus_reply_method_return(call, "ssa{sv}", "idle", "for ever", 1, "valid_seconds", "u",
                                                  86400U);
        if (is("watching-seven"))
                return sd_bus_reply_method_return(call, "ssa{sv}", "idle", "seven", 1, "watching", "u", 7U);
        if (is("watches-nothing"))
                return sd_bus_reply_method_return(call, "ssa{sv}", "idle", "nothing is set up", 2, "watching", "b", 0,
                                                  "valid_seconds", "u", 60U);
        if (is("valid") || is("valid-fails-once"))
                return sd_bus_reply_method_return(call, "ssa{sv}", "idle", "for a while", 1, "valid_seconds", "u",
                                                  60U);
        if (is("twice"))
                (void) sd_bus_reply_method_return(call, "ssa{sv}", "busy", "first", 0);
        if (is("shut"))
                (void) sd_event_add_defer(event, NULL, shut, NULL);
        if (is("leave-politely"))
                (void) sd_bus_emit_signal(channel, PLUGIN_PATH, PLUGIN_INTERFACE, "Leaving", NULL);
        if (is("leave"))
                (void) sd_event_add_defer(event, NULL, leave, own_name);
        return sd_bus_reply_method_return(call, "ssa{sv}", "idle", *greeting ? greeting : "nothing to do", 0);
}

static int on_event(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        note("HandleEvent");
        if (is("hang-event"))
                return 1;
        return sd_bus_reply_method_return(call, "ba{sv}", 1, 1, "by", "s", id);
}

static int on_detect(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        note("Detect");
        return sd_bus_reply_method_return(call, "b", strncmp(behaviour, "cloud", 5) == 0);
}

static int on_info(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        bool stopping = !first_time("asked") && is("cloud-stops");

        return sd_bus_reply_method_return(call, "a{sv}", 4, "id", "s", "i-1234", "state", "s",
                                          stopping ? "stopping" : "running", "launch-time", "t",
                                          UINT64_C(1700000000000000), "tags", "a{ss}", 1, "Name", "worker");
}

static int on_stop(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        note("StopInstance");
        if (is("cloud-refuses"))
                return sd_bus_error_set(error, ERROR_REFUSED, "it is a one-time spot request");
        if (is("cloud-throttles"))
                return sd_bus_error_set(error, ERROR_THROTTLED, "RequestLimitExceeded");
        if (is("cloud-dies"))
                _exit(1);
        return sd_bus_reply_method_return(call, NULL);
}

static int on_permissions(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(call, "a(sbs)", 1, "cloud:stop", !is("cloud-forbidden"), "the role may not");
}

static int on_handle(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        note("Handle");
        if (is("hang-handle"))
                return 1;
        if (holds())
                return hold(call);
        if (is("shut-request"))
                return sd_event_add_defer(event, NULL, shut, NULL) < 0 ? -EIO : 1;
        if (is("die-handle"))
                _exit(1);
        if (is("valid-fails-once") && first_time("failed"))
                return sd_bus_error_set(error, "org.example.Strange", "no clue");
        return sd_bus_reply_method_return(call, "ba{sv}", 1, 1, "answer", "x", INT64_C(42));
}

/* One byte more than the daemon keeps. */
static int on_export(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        size_t size = is("large-state") ? 4 * 1024 * 1024 + 1 : 4 * 1024 * 1024;
        void *space;
        int r = sd_bus_message_new_method_return(call, &reply);

        note("ExportState");
        if (sd_bus_message_get_bus(call) != bus)
                note("ExportState by channel");
        if (r >= 0)
                r = sd_bus_message_append(reply, "u", 1);
        if (r >= 0)
                r = sd_bus_message_append_array_space(reply, 'y', size, &space);
        if (r < 0)
                return r;
        memset(space, 'x', size);
        return sd_bus_send(NULL, reply, NULL);
}

static int on_import(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        note("ImportState");
        return sd_bus_reply_method_return(call, NULL);
}

static int on_process(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        const void *data;
        size_t size;
        int r = sd_bus_message_read_array(call, 'y', &data, &size);

        if (r >= 0)
                r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', data, size);
        /* Answered twice and more, a block is still answered once. */
        for (unsigned i = 0; r >= 0 && i < 2; i++)
                r = sd_bus_send(NULL, reply, NULL);
        return r;
}

/* A stream of one line. */
static int on_stream(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        int input, output, r = sd_bus_message_read(call, "hh", &input, &output);
        char line[64];
        ssize_t n;

        note("ProcessStream");
        if (r < 0)
                return r;
        n = read(input, line, sizeof(line));
        if (n <= 0 || write(output, line, (size_t) n) != n)
                return -EIO;
        return sd_bus_reply_method_return(call, "a{sv}", 1, "bytes", "x", (int64_t) n);
}

static int get_property(sd_bus *b, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const char *effect = is("cloud-terminates") ? "terminates"
                             : is("cloud-nonsense") ? "makes-coffee"
                                                    : "stops-billing";

        if (strcmp(property, "StopEffect") == 0)
                return sd_bus_message_append(reply, "s", effect);
        return sd_bus_message_append(reply, "s", strcmp(property, "ProviderName") == 0 ? "Fake cloud" : "1.2.3");
}

#define METHOD(name, in, out, handler) SD_BUS_METHOD(name, in, out, handler, SD_BUS_VTABLE_UNPRIVILEGED)

static int serve(sd_bus *connection);

static int on_end(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        note("end");
        channel = sd_bus_close_unref(channel);
        if (is("leave-politely") || farewell)
                return sd_event_exit(event, 0);
        return 0;
}

static int on_open(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        _cleanup_close_ int theirs = -EBADF;
        sd_id128_t guid;
        int fds[2], r;

        if (!offers_channel)
                return sd_bus_error_set(error, SD_BUS_ERROR_UNKNOWN_METHOD, "What channel?");
        note("OpenChannel");
        if (is("hang-open") || (is("hang-open-later") && !first_time("opened")))
                return 1;
        if (is("no-socket"))
                return sd_bus_reply_method_return(call, "h", STDERR_FILENO);
        if (is("foreign-socket"))
                return sd_bus_reply_method_return(call, "h", sd_bus_get_fd(bus));
        if (is("leaving") || (is("leaving-later") && !first_time("opened")))
                return sd_bus_error_set(error, ERROR_NOT_RUNNING, "leaving");
        sd_bus_close_unref(channel);
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        channel_fd = fds[0];
        theirs = fds[1];
        if (is("mute"))
                return sd_bus_reply_method_return(call, "h", theirs);
        if (is("shut") && fcntl(theirs, F_DUPFD_CLOEXEC, 3) < 0)
                return -errno;
        r = sd_bus_new(&channel);
        if (r >= 0)
                r = sd_bus_set_fd(channel, fds[0], fds[0]);
        if (r >= 0)
                r = sd_id128_randomize(&guid);
        if (r >= 0)
                r = sd_bus_set_server(channel, 1, guid);
        if (r >= 0)
                r = sd_bus_set_anonymous(channel, 1);
        if (r >= 0)
                r = sd_bus_start(channel);
        if (r >= 0)
                r = sd_bus_match_signal(channel, NULL, NULL, "/org/freedesktop/DBus/Local",
                                        "org.freedesktop.DBus.Local", "Disconnected", on_end, NULL);
        if (r >= 0)
                r = serve(channel);
        return r < 0 ? r : sd_bus_reply_method_return(call, "h", theirs);
}

static const sd_bus_vtable plugin_vtable[] = {
        SD_BUS_VTABLE_START(0),
        METHOD("Handshake", "us", "ua{sv}", on_handshake),
        METHOD("Initialize", "a{sv}", NULL, on_configure),
        METHOD("Configure", "a{sv}", NULL, on_configure),
        METHOD("Ping", NULL, NULL, on_ping),
        METHOD("OpenChannel", NULL, "h", on_open),
        METHOD("Shutdown", NULL, NULL, on_shutdown),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable check_vtable[] = {
        SD_BUS_VTABLE_START(0),
        METHOD("CheckIdle", "a{sv}", "ssa{sv}", on_check),
        SD_BUS_VTABLE_END,
};

/* sd-bus itself keeps to what a vtable promises. */
static const sd_bus_vtable rubbish_vtable[] = {
        SD_BUS_VTABLE_START(0),
        METHOD("CheckIdle", "a{sv}", "ai", on_check),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable handler_vtable[] = {
        SD_BUS_VTABLE_START(0),
        METHOD("HandleEvent", "a{sv}", "ba{sv}", on_event),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable request_vtable[] = {
        SD_BUS_VTABLE_START(0),
        METHOD("Handle", "sa{sv}", "ba{sv}", on_handle),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable state_vtable[] = {
        SD_BUS_VTABLE_START(0),
        METHOD("ExportState", NULL, "uay", on_export),
        METHOD("ImportState", "uay", NULL, on_import),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable data_vtable[] = {
        SD_BUS_VTABLE_START(0),
        METHOD("ProcessData", "ay", "ay", on_process),
        METHOD("ProcessStream", "hha{sv}", "a{sv}", on_stream),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable cloud_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("ProviderName", "s", get_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("ProviderVersion", "s", get_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("StopEffect", "s", get_property, 0, 0),
        METHOD("Detect", NULL, "b", on_detect),
        METHOD("GetInstanceInfo", "s", "a{sv}", on_info),
        METHOD("StopInstance", "sa{sv}", NULL, on_stop),
        METHOD("StartInstance", "sa{sv}", NULL, on_stop),
        METHOD("CheckPermissions", NULL, "a(sbs)", on_permissions),
        METHOD("SetTags", "a{ss}", NULL, on_stop),
        SD_BUS_VTABLE_END,
};

/* But when it is greeted, or asked whether it lives. */
static int answer_with_error(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        static const char *const answered[] = { "Handshake", "Initialize", "Ping", "OpenChannel", "Shutdown" };

        for (size_t i = 0; i < sizeof(answered) / sizeof(answered[0]); i++)
                if (sd_bus_message_is_method_call(call, PLUGIN_INTERFACE, answered[i]) > 0)
                        return 0;
        if (sd_bus_message_is_method_call(call, NULL, NULL) <= 0)
                return 0;
        return sd_bus_reply_method_errorf(call, behaviour, "as it was told");
}

static int serve(sd_bus *connection) {
        const struct {
                const char *interface;
                const sd_bus_vtable *vtable;
        } objects[] = {
                { PLUGIN_INTERFACE, plugin_vtable },
                { IDLE_CHECK_INTERFACE, is("rubbish") ? rubbish_vtable : check_vtable },
                { EVENT_HANDLER_INTERFACE, handler_vtable },
                { REQUEST_HANDLER_INTERFACE, request_vtable },
                { CLOUD_PROVIDER_INTERFACE, cloud_vtable },
                { DATA_PROCESSOR_INTERFACE, data_vtable },
                { STATE_INTERFACE, state_vtable },
        };
        int r = strchr(behaviour, '.') ? sd_bus_add_filter(connection, NULL, answer_with_error, NULL) : 0;

        for (size_t i = 0; r >= 0 && i < sizeof(objects) / sizeof(objects[0]); i++)
                r = sd_bus_add_object_vtable(connection, NULL, PLUGIN_PATH, objects[i].interface, objects[i].vtable,
                                             NULL);
        return r < 0 ? r : sd_bus_attach_event(connection, event, 0);
}

static int own_slot(void) {
        const char *slot = getenv("SNOOZE_SLOT");
        char name[sizeof(own_name) + 16];

        snprintf(name, sizeof(name), "%s.%s", own_name, slot ?: "a");
        return sd_bus_request_name(bus, name, 0);
}

static int run(void) {
        int r;

        if (is("never-starts"))
                return -EPERM;
        snprintf(own_name, sizeof(own_name), PLUGIN_NAME_PREFIX "%s", id);
        r = sd_event_default(&event);
        if (r >= 0 && holds())
                r = sd_event_add_signal(event, NULL, SIGUSR1 | SD_EVENT_SIGNAL_PROCMASK, on_answer_now, NULL);
        if (r >= 0)
                r = sd_bus_open(&bus);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(bus, 1);
        if (r >= 0)
                r = serve(bus);
        if (r >= 0 && owns_slot)
                r = own_slot();
        if (r >= 0)
                r = sd_bus_request_name(bus, own_name, owns_slot ? SD_BUS_NAME_QUEUE : 0);
        return r < 0 ? r : sd_event_loop(event);
}

int main(int argc, char **argv) {
        int r;

        if (argc != 4)
                return 2;
        id = argv[1];
        behaviour = argv[2];
        directory = argv[3];
        offers_channel = strncmp(behaviour, "channel-", strlen("channel-")) == 0;
        if (offers_channel)
                behaviour += strlen("channel-");
        owns_slot = strncmp(behaviour, "slot-", strlen("slot-")) == 0;
        if (owns_slot)
                behaviour += strlen("slot-");
        note("starts");
        r = run();
        sd_bus_message_unref(kept);
        sd_bus_message_unref(farewell);
        sd_bus_close_unref(channel);
        sd_bus_flush_close_unref(bus);
        sd_event_unref(event);
        return r < 0 ? 1 : 0;
}
