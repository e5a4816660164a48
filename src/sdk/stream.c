/* SPDX-License-Identifier: Apache-2.0 */

/* A stream through a function, on the loop. Only one of the two pipes is looked at: the input while nothing waits to
 * be written, else the output. So a reader that does not read stops the reading here, too, and the kernel's pipes are
 * all that fills. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sdk/call.h"

#define BLOCK_SIZE (64U * 1024U)
#define OUTPUT_MAX (1024U * 1024U)
/* Blocks that are passed before others on the loop have their turn. */
#define BLOCKS_AT_ONCE 16U

typedef struct Stream {
        SnoozePluginCall *call;
        SnoozePluginTransform transform;
        void *userdata;
        int input, output;
        sd_event_source *readable, *writable;

        char *block;
        char *pending; /* to be written: from done to size */
        size_t allocated;
        size_t size;
        size_t done;
        bool ended;    /* transform has seen the end */
} Stream;

static void stream_free(void *worker) {
        Stream *stream = worker;

        sd_event_source_disable_unref(stream->readable);
        sd_event_source_disable_unref(stream->writable);
        free(stream->block);
        free(stream->pending);
        free(stream);
}

static int pending_append(Stream *stream, const void *data, size_t size) {
        size_t wanted = stream->size + size;
        char *larger;

        if (size > OUTPUT_MAX - stream->size)
                return -ENOBUFS;
        if (wanted > stream->allocated) {
                wanted = wanted < BLOCK_SIZE ? BLOCK_SIZE : wanted * 2 < OUTPUT_MAX ? wanted * 2 : OUTPUT_MAX;
                larger = realloc(stream->pending, wanted);
                if (!larger)
                        return -ENOMEM;
                stream->pending = larger;
                stream->allocated = wanted;
        }
        memcpy(stream->pending + stream->size, data, size);
        stream->size += size;
        return 0;
}

int snooze_plugin_call_write(SnoozePluginCall *call, const void *data, size_t size) {
        Stream *stream = call_get_worker(call);

        if (!stream)
                return -EINVAL;
        return size > 0 ? pending_append(stream, data, size) : 0;
}

static int flush(Stream *stream) {
        while (stream->done < stream->size) {
                ssize_t n = write(stream->output, stream->pending + stream->done, stream->size - stream->done);

                if (n < 0)
                        return errno == EINTR ? -EAGAIN : -errno;
                stream->done += (size_t) n;
        }
        stream->done = stream->size = 0;
        return 0;
}

static int transform(Stream *stream, size_t size) {
        stream->ended = size == 0;
        if (stream->transform)
                return stream->transform(stream->call, stream->block, size, stream->userdata);
        return size > 0 ? pending_append(stream, stream->block, size) : 0;
}

/* 0: all is done; -EAGAIN: a pipe has to be waited for; 1: there is more. */
static int step(Stream *stream) {
        ssize_t n;
        int r;

        r = flush(stream);
        if (r < 0)
                return r;
        if (stream->ended)
                return 0;
        n = read(stream->input, stream->block, BLOCK_SIZE);
        if (n < 0)
                return errno == EINTR ? -EAGAIN : -errno;
        r = transform(stream, (size_t) n);
        return r < 0 ? r : 1;
}

static int wait_for_pipe(Stream *stream) {
        bool writing = stream->done < stream->size;
        int r;

        r = sd_event_source_set_enabled(stream->readable, writing ? SD_EVENT_OFF : SD_EVENT_ON);
        if (r < 0)
                return r;
        return sd_event_source_set_enabled(stream->writable, writing ? SD_EVENT_ON : SD_EVENT_OFF);
}

static int on_ready(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Stream *stream = userdata;
        int r = 1;

        for (unsigned i = 0; i < BLOCKS_AT_ONCE && r > 0; i++)
                r = step(stream);
        if (r == -EAGAIN || r > 0)
                r = wait_for_pipe(stream) < 0 ? -EIO : 1;
        if (r <= 0)
                snooze_plugin_call_finish(stream->call, r);
        return 0;
}

static int set_nonblocking(int fd) {
        int flags = fcntl(fd, F_GETFL);

        return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) >= 0 ? 0 : -errno;
}

static int stream_start(Stream *stream, sd_event *event) {
        int r;

        stream->block = malloc(BLOCK_SIZE);
        if (!stream->block)
                return -ENOMEM;
        r = set_nonblocking(stream->input);
        if (r < 0)
                return r;
        r = set_nonblocking(stream->output);
        if (r < 0)
                return r;
        r = sd_event_add_io(event, &stream->readable, stream->input, EPOLLIN, on_ready, stream);
        if (r < 0)
                return r;
        r = sd_event_add_io(event, &stream->writable, stream->output, EPOLLOUT, on_ready, stream);
        if (r < 0)
                return r;
        return sd_event_source_set_enabled(stream->writable, SD_EVENT_OFF);
}

/* Whoever holds its other ends may hold them for ever. */
static void on_abandoned(void *userdata) {
        const Stream *stream = userdata;

        snooze_plugin_call_finish(stream->call, -ECANCELED);
}

int snooze_plugin_call_filter(SnoozePluginCall *call, SnoozePluginTransform function, void *userdata) {
        Stream *stream;
        int r;

        if (snooze_plugin_call_get_input(call) < 0 || call_get_worker(call))
                return -EINVAL;
        stream = malloc(sizeof(Stream));
        if (!stream)
                return -ENOMEM;
        *stream = (Stream) {
                .call = call,
                .transform = function,
                .userdata = userdata,
                .input = snooze_plugin_call_get_input(call),
                .output = snooze_plugin_call_get_output(call),
        };
        call_set_worker(call, stream, stream_free);
        call_on_abandoned(call, on_abandoned, stream);
        r = stream_start(stream, call_get_instance(call)->event);
        return r < 0 ? r : SNOOZE_PLUGIN_LATER;
}
