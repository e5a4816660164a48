/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin as a filter: a block of bytes through its DataProcessor, or a stream from one pipe to another. Blocks are
 * held here until they are answered, so there is a ceiling on what all of them together may have. */

#include <errno.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/names.h"
#include "bus/dictionary.h"
#include "daemon/plugin/plugin.h"
#include "daemon/plugin/reply.h"

typedef struct Block {
        GBytes *input;
        PluginDataDone done;
        void *userdata;
} Block;

static int append_block(sd_bus_message *message, void *userdata) {
        const Block *block = userdata;
        const void *data;
        gsize size;

        data = g_bytes_get_data(block->input, &size);
        return sd_bus_message_append_array(message, 'y', data, size);
}

static void on_block(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        g_autofree Block *block = userdata;
        g_autoptr(GBytes) output = NULL;
        _cleanup_bus_error_ sd_bus_error rubbish = SD_BUS_ERROR_NULL;
        g_autofree char *problem = NULL;

        plugin->plugins->data_bytes -= g_bytes_get_size(block->input);
        g_bytes_unref(block->input);
        if (!error && reply_read_block(reply, &output, &problem) < 0) {
                plugin_note_problem(plugin, problem);
                sd_bus_error_setf(&rubbish, ERROR_PLUGIN_FAILED, "%s %s", plugin->id, problem);
                error = &rubbish;
        }
        block->done(plugin, output, error, block->userdata);
}

int plugin_process_data(Plugin *plugin, GBytes *input, uint64_t timeout, PluginDataDone done, void *userdata) {
        Plugins *plugins = plugin->plugins;
        gsize size = g_bytes_get_size(input);
        Block *block;
        int r;

        if (size > PLUGIN_DATA_MAX)
                return -E2BIG;
        if (plugins->data_bytes + size > PLUGIN_DATA_MAX)
                return -EBUSY;
        block = g_new(Block, 1);
        *block = (Block) { .input = g_bytes_ref(input), .done = done, .userdata = userdata };
        plugins->data_bytes += size;
        r = plugin_call(plugin, DATA_PROCESSOR_INTERFACE, "ProcessData", timeout, FALSE, append_block, on_block,
                        block);
        if (r < 0) {
                plugins->data_bytes -= size;
                g_bytes_unref(block->input);
                g_free(block);
        }
        return r;
}

typedef struct Stream {
        int input, output;
        JsonObject *options;
        PluginCallDone done;
        void *userdata;
} Stream;

static void stream_free(Stream *stream) {
        safe_close(stream->input);
        safe_close(stream->output);
        json_object_unref(stream->options);
        g_free(stream);
}

/* The descriptors are the message's from here on: with them open here, too, no reader would ever see the end. */
static int append_stream(sd_bus_message *message, void *userdata) {
        Stream *stream = userdata;
        int r = sd_bus_message_append(message, "hh", stream->input, stream->output);

        if (r < 0)
                return r;
        stream->input = safe_close(stream->input);
        stream->output = safe_close(stream->output);
        return dictionary_append(message, stream->options, NULL);
}

static void on_stream(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Stream *stream = userdata;

        stream->done(plugin, reply, error, stream->userdata);
        stream_free(stream);
}

int plugin_process_stream(Plugin *plugin, int input, int output, JsonObject *options, uint64_t timeout,
                          PluginCallDone done, void *userdata) {
        Stream *stream = g_new(Stream, 1);
        int r;

        *stream = (Stream) { .input = input,
                             .output = output,
                             .options = json_object_ref(options),
                             .done = done,
                             .userdata = userdata };
        r = plugin_call(plugin, DATA_PROCESSOR_INTERFACE, "ProcessStream", timeout, FALSE, append_stream, on_stream,
                        stream);
        if (r < 0)
                stream_free(stream);
        return r;
}
