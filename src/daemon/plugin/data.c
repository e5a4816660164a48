/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin as a filter: a block of bytes through its DataProcessor, for the daemon or for a client (.Plugin's
 * ProcessData). Blocks are held here until they are answered, so there is a ceiling on what all of them together may
 * have. */

#include <errno.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "base/names.h"
#include "daemon/plugin/plugin.h"
#include "daemon/answer/reply.h"
#include "daemon/plugin/request.h"

#define MIB (1024U * 1024U)

typedef struct Block {
        Plugins *plugins;
        Request *request; /* whose it is; NULL: the daemon's */
        GBytes *input;    /* NULL: answered */
        PluginDataDone done;
        void *userdata;
} Block;

static int block_new(Plugin *plugin, GBytes *input, PluginDataDone done, void *userdata, Block **ret) {
        Plugins *plugins = plugin->plugins;
        gsize size = g_bytes_get_size(input);

        if (size > PLUGIN_DATA_MAX)
                return -E2BIG;
        if (plugins->data_bytes + size > PLUGIN_DATA_MAX)
                return -EBUSY;
        *ret = g_new(Block, 1);
        **ret = (Block) { .plugins = plugins, .input = g_bytes_ref(input), .done = done, .userdata = userdata };
        plugins->data_bytes += size;
        return 0;
}

static void block_release(Block *block) {
        if (!block->input)
                return;
        block->plugins->data_bytes -= g_bytes_get_size(block->input);
        g_clear_pointer(&block->input, g_bytes_unref);
}

static void block_free(void *subject) {
        block_release(subject);
        g_free(subject);
}

static void block_drop(void *subject) {
        request_end(((Block *) subject)->request);
}

static int append_block(sd_bus_message *message, void *userdata) {
        const Block *block = userdata;
        const void *data;
        gsize size;

        data = g_bytes_get_data(block->input, &size);
        return sd_bus_message_append_array(message, 'y', data, size);
}

/* A client's goes with its request. */
static void on_block(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Block *block = userdata;
        PluginDataDone done = block->done;
        void *whose = block->userdata;
        g_autoptr(GBytes) output = NULL;
        _cleanup_bus_error_ sd_bus_error rubbish = SD_BUS_ERROR_NULL;
        g_autofree char *problem = NULL;

        block_release(block);
        if (!block->request)
                block_free(block);
        if (!error && reply_read_block(reply, &output, &problem) < 0) {
                plugin_note_problem(plugin, problem);
                sd_bus_error_setf(&rubbish, ERROR_PLUGIN_FAILED, "%s %s", plugin->id, problem);
                error = &rubbish;
        }
        done(plugin, output, error, whose);
}

int plugin_process_data(Plugin *plugin, GBytes *input, uint64_t timeout, PluginDataDone done, void *userdata) {
        Block *block;
        int r = block_new(plugin, input, done, userdata, &block);

        if (r < 0)
                return r;
        r = plugin_call(plugin, DATA_PROCESSOR_INTERFACE, "ProcessData", timeout, FALSE, append_block, on_block,
                        block);
        if (r < 0)
                block_free(block);
        return r;
}

static void reply_block(Plugin *plugin, GBytes *output, const sd_bus_error *error, void *userdata) {
        g_autoptr(Request) request = userdata;
        _cleanup_bus_message_ sd_bus_message *answer = NULL;
        const void *data;
        gsize size;
        int r;

        if (error) {
                (void) sd_bus_reply_method_error(request->call, error);
                return;
        }
        plugin_keep_state(plugin, TRUE);
        data = g_bytes_get_data(output, &size);
        r = sd_bus_message_new_method_return(request->call, &answer);
        if (r >= 0)
                r = sd_bus_message_append_array(answer, 'y', data, size);
        if (r >= 0)
                r = sd_bus_send(NULL, answer, NULL);
        if (r < 0)
                request_unanswered(request, r);
}

static void unref_message(void *message) {
        sd_bus_message_unref(message);
}

static int refuse_size(const Plugin *plugin, gsize size, sd_bus_error *error) {
        if (size > PLUGIN_DATA_MAX)
                return sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED,
                                         "The block has %zu bytes; one may have %u MiB. A stream may have any number.",
                                         size, PLUGIN_DATA_MAX / MIB);
        return sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED,
                                 "Blocks of %zu bytes are under way, and all together may have %u MiB; try again.",
                                 plugin->plugins->data_bytes, PLUGIN_DATA_MAX / MIB);
}

int plugin_check_block(const Plugin *plugin, size_t size, sd_bus_error *error) {
        return size > PLUGIN_DATA_MAX ? refuse_size(plugin, size, error) : 0;
}

int plugin_process_block(Plugin *plugin, sd_bus_message *call, const void *data, size_t size, sd_bus_error *error) {
        g_autoptr(GBytes) input = g_bytes_new_with_free_func(data, size, unref_message, sd_bus_message_ref(call));
        Request *request;
        Block *block;
        int r = plugin_check_room(plugin, error);

        if (r >= 0)
                r = request_begin(plugin, call, NULL, NULL, &request, error);
        if (r < 0)
                return r;
        if (block_new(plugin, input, reply_block, request, &block) < 0) {
                request_end(request);
                return refuse_size(plugin, size, error);
        }
        block->request = request;
        request_belongs_to(request, block, block_drop, block_free);
        return request_call(request, DATA_PROCESSOR_INTERFACE, "ProcessData", FALSE, append_block, on_block);
}
