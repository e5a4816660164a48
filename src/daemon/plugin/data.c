/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin as a filter: a block of bytes through its DataProcessor. Blocks are held here until they are answered, so
 * there is a ceiling on what all of them together may have. */

#include <errno.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "base/names.h"
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
