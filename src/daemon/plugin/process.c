/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/plugin/process.h"

#include <errno.h>

#include "base/cleanup.h"
#include "daemon/plugin/plugin.h"

PluginProcess *process_new(Plugin *plugin, PluginSlot slot, const Manifest *manifest, const ProcessHooks *hooks) {
        PluginProcess *process = g_new0(PluginProcess, 1);

        *process = (PluginProcess) { .plugin = plugin,
                                     .hooks = hooks,
                                     .slot = slot,
                                     .unit = plugin->units[slot],
                                     .manifest = manifest,
                                     .pidfd = -EBADF };
        g_queue_init(&process->controls);
        g_queue_init(&process->in_flight);
        return process;
}

void process_free(PluginProcess *process) {
        if (!process)
                return;
        process_calls_free(process);
        start_cancel(process->start);
        identity_cancel(process->identity);
        safe_close(process->pidfd);
        g_clear_pointer(&process->sent, json_object_unref);
        g_free(process->candidate);
        g_free(process->peer);
        g_free(process);
}

static void on_started(const char *message, void *userdata) {
        PluginProcess *process = userdata;

        process->start = NULL;
        if (message)
                process_fail(process, "%s", message);
        else
                process->hooks->started(process);
}

gboolean process_start(PluginProcess *process) {
        Plugin *plugin = process->plugin;

        process->start = starter_begin(plugin->plugins->starter, plugin->name, process->unit, plugin->failure_count > 0,
                                       on_started, process);
        return process->start != NULL;
}

void process_kill(PluginProcess *process) {
        starter_kill(process->plugin->plugins->starter, process->unit, process->pidfd);
}

void process_fail(PluginProcess *process, const char *format, ...) {
        g_autofree char *reason = NULL;
        va_list ap;

        va_start(ap, format);
        reason = g_strdup_vprintf(format, ap);
        va_end(ap);
        process->hooks->failed(process, reason);
}
