/* SPDX-License-Identifier: Apache-2.0 */

/* .Plugin's ProcessStream: a client's pipes, handed on to a plugin that turns what comes out of the one into what goes
 * into the other. The daemon reads no byte of it, and keeps no descriptor once the plugin has them: with one open
 * here, too, no reader would ever see the end, and no writer that nobody is left. So the call itself, which has them
 * as long as it is there, is not kept either, but a message in its place that knows whom to answer. */

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "base/journal.h"
#include "base/names.h"
#include "bus/dictionary.h"
#include "bus/kept-call.h"
#include "daemon/plugin/plugin.h"
#include "daemon/plugin/request.h"

/* As many as the SDK has threads for, so that nobody is refused by a plugin that others keep busy. */
#define STREAMS_PER_PLUGIN_MAX 8U
/* Each takes one of IN_FLIGHT_MAX calls over the bus, for as long as it likes. */
#define STREAMS_MAX 32U

typedef struct Stream {
        Request *request;
        int input, output;
} Stream;

static void stream_destroy(void *subject) {
        Stream *stream = subject;

        safe_close(stream->input);
        safe_close(stream->output);
        g_free(stream);
}

static void stream_drop(void *subject) {
        request_end(((Stream *) subject)->request);
}

static gboolean is_pipe(int fd, const struct stat *st) {
        int type = 0, listens = 0;
        socklen_t size = sizeof(int);

        if (S_ISFIFO(st->st_mode))
                return TRUE;
        return S_ISSOCK(st->st_mode) && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) >= 0 &&
                type == SOCK_STREAM && getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) >= 0 && !listens;
}

/* A file holds nobody back and has no end that somebody else could close: it has to be read or written by whoever has
 * it. One that was opened for its path alone (O_PATH) says that it can be read. */
static int check_descriptor(int fd, const char *name, const char *verb, int forbidden, struct stat *ret,
                            sd_bus_error *error) {
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0 || fstat(fd, ret) < 0)
                return -errno;
        if (!is_pipe(fd, ret) || flags & O_PATH || (flags & O_ACCMODE) == forbidden)
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT,
                                         "%s: expected a pipe or a connected stream socket that can be %s.", name,
                                         verb);
        return 0;
}

int plugin_check_stream(int input, int output, sd_bus_error *error) {
        struct stat from, to;
        int r = check_descriptor(input, "input", "read", O_WRONLY, &from, error);

        if (r >= 0)
                r = check_descriptor(output, "output", "written", O_RDONLY, &to, error);
        if (r < 0)
                return r;
        if (S_ISFIFO(from.st_mode) && from.st_dev == to.st_dev && from.st_ino == to.st_ino)
                return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT,
                                        "input and output are the two ends of one pipe: it would never end.");
        return 0;
}

static int check_ceilings(const Plugin *plugin, sd_bus_error *error) {
        const GPtrArray *requests = plugin->plugins->requests;
        unsigned all = 0, own = 0;

        for (guint i = 0; i < requests->len; i++) {
                const Request *other = g_ptr_array_index(requests, i);

                if (other->destroy != stream_destroy)
                        continue;
                all++;
                own += other->plugin == plugin;
        }
        if (own >= STREAMS_PER_PLUGIN_MAX)
                return sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED,
                                         "%u streams of %s are under way; wait for one of them.", own, plugin->id);
        if (all >= STREAMS_MAX)
                return sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED, "%u streams are under way; try again.", all);
        return 0;
}

/* They are the message's from here on. */
static int append_stream(sd_bus_message *message, void *userdata) {
        Stream *stream = userdata;
        int r = sd_bus_message_append(message, "hh", stream->input, stream->output);

        if (r < 0)
                return r;
        stream->input = safe_close(stream->input);
        stream->output = safe_close(stream->output);
        return dictionary_append(message, stream->request->parameters, NULL);
}

static void on_streamed(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        g_autoptr(Request) request = ((Stream *) userdata)->request;
        _cleanup_bus_message_ sd_bus_message *answer = NULL;
        _cleanup_bus_error_ sd_bus_error rubbish = SD_BUS_ERROR_NULL;
        g_autoptr(JsonObject) result = NULL;
        int r;

        if (error) {
                (void) sd_bus_reply_method_error(request->call, error);
                return;
        }
        if (dictionary_read(reply, &dictionary_limits_default, &result, &rubbish) < 0) {
                g_autofree char *problem = g_strdup_printf("answered with rubbish: %s", rubbish.message ?: "no a{sv}");

                plugin_note_problem(plugin, problem);
                (void) sd_bus_reply_method_errorf(request->call, ERROR_PLUGIN_FAILED, "%s %s", plugin->id, problem);
                return;
        }
        plugin_keep_state(plugin, TRUE);
        r = sd_bus_message_new_method_return(request->call, &answer);
        if (r >= 0)
                r = dictionary_append(answer, result, NULL);
        if (r >= 0)
                r = sd_bus_send(NULL, answer, NULL);
        if (r < 0)
                request_unanswered(request, r);
}

void stream_abandon(const PluginProcess *process, gboolean over_bus, uint64_t serial) {
        _cleanup_bus_message_ sd_bus_message *message = NULL;
        Plugins *plugins = process->plugin->plugins;
        sd_bus *bus = over_bus ? plugins->parameters.bus : process_bus(process);
        uint64_t cookie;
        int r;

        r = sd_bus_message_new_method_call(bus, &message, over_bus ? process->peer : NULL, PLUGIN_PATH,
                                           DATA_PROCESSOR_INTERFACE, "AbandonStream");
        if (r >= 0)
                r = sd_bus_message_append(message, "u", (uint32_t) serial);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(message, false);
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(message, false);
        if (r >= 0)
                r = sd_bus_send(bus, message, &cookie);
        if (r < 0)
                log_debug("%s was not told that nobody waits for a stream: %s", process->plugin->id, g_strerror(-r));
        else if (!over_bus)
                plugins->question.serial = MAX(plugins->question.serial, cookie);
}

/* The Stream is the request's in any case. */
static int stream_new(Request *request, int input, int output, sd_bus_error *error) {
        Stream *stream = g_new(Stream, 1);

        *stream = (Stream) { .request = request,
                             .input = fcntl(input, F_DUPFD_CLOEXEC, 3),
                             .output = fcntl(output, F_DUPFD_CLOEXEC, 3) };
        request_belongs_to(request, stream, stream_drop, stream_destroy);
        if (stream->input < 0 || stream->output < 0)
                return sd_bus_error_set(error, ERROR_LIMITS_EXCEEDED,
                                        "So many files are open here that there is no place for these; try again.");
        return 0;
}

int plugin_process_stream(Plugin *plugin, sd_bus_message *call, int input, int output, JsonObject *options,
                          sd_bus_error *error) {
        _cleanup_bus_message_ sd_bus_message *substitute = NULL;
        Request *request;
        int r;

        r = plugin_check_room(plugin, error);
        if (r >= 0)
                r = check_ceilings(plugin, error);
        if (r >= 0)
                r = call_keep_head(call, &substitute);
        if (r >= 0)
                r = request_begin(plugin, substitute, NULL, options, &request, error);
        if (r < 0)
                return r;
        r = stream_new(request, input, output, error);
        if (r < 0) {
                request_end(request);
                return r;
        }
        return request_call(request, DATA_PROCESSOR_INTERFACE, "ProcessStream", FALSE, append_stream, on_streamed);
}
