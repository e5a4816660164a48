/* SPDX-License-Identifier: Apache-2.0 */

/* How often a plugin failed, how long it pauses for that, and when it is given up. That it was given up is kept below
 * /run: a daemon that begins anew, be it for that very plugin, does not try it again. Another boot does, and so does
 * another daemon, whose fault it may have been. */

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/errors.h"
#include "base/journal.h"
#include "config.h"
#include "daemon/plugin/plugin.h"
#include "util/file.h"
#include "util/json.h"

#define QUARANTINE_SIZE_MAX (16U * 1024U)

unsigned plugin_failures_max(const Plugin *plugin) {
        return (unsigned) plugin->plugins->config->max_restarts;
}

unsigned plugin_failures_recent(const Plugin *plugin, uint64_t now) {
        double window = plugin->plugins->config->restart_window_minutes * USEC_PER_MINUTE;
        unsigned n = 0;

        for (guint i = 0; plugin->failures && i < plugin->failures->len; i++)
                if ((double) usec_sub(now, g_array_index(plugin->failures, uint64_t, i)) < window)
                        n++;
        return n;
}

void plugin_failures_remember(Plugin *plugin, uint64_t now) {
        if (!plugin->failures)
                plugin->failures = g_array_new(FALSE, FALSE, sizeof(uint64_t));
        g_array_append_val(plugin->failures, now);
        if (plugin->failures->len > plugin_failures_max(plugin) + 1)
                g_array_remove_range(plugin->failures, 0, plugin->failures->len - plugin_failures_max(plugin) - 1);
        plugin->failure_count++;
}

void plugin_forget_failures(Plugin *plugin) {
        g_clear_pointer(&plugin->failures, g_array_unref);
        plugin->failure_count = 0;
}

void plugin_may_again(Plugin *plugin, const char *reason) {
        if (plugin->state != PLUGIN_FAILED || plugin->timer || !plugin->manifest || plugin_awaited(plugin))
                return;
        plugin_forget_failures(plugin);
        plugin_set_error(plugin, "");
        plugin_set_state(plugin, PLUGIN_DISCOVERED, reason);
        /* Whoever was refused because of that. */
        dependencies_up(plugin);
}

uint64_t plugin_restart_delay(uint64_t first, unsigned failures) {
        unsigned doublings = MIN(failures > 0 ? failures - 1 : 0, 16U);
        uint64_t delay = MIN((first > 0 ? first : RESTART_DELAY_MIN) << doublings, RESTART_DELAY_MAX);

        return (uint64_t) ((double) delay * g_random_double_range(0.75, 1.25));
}

/* NULL: nothing is kept. */
static char *quarantine_path(const Plugin *plugin) {
        g_autofree char *name = g_strconcat(plugin->id, ".quarantine", NULL);

        return plugin->plugins->origins_directory ? g_build_filename(plugin->plugins->origins_directory, name, NULL)
                                                  : NULL;
}

void plugin_quarantine_drop(const Plugin *plugin) {
        g_autofree char *path = quarantine_path(plugin);

        if (path)
                (void) unlink(path);
}

static char *program_mark(const FileStamp *stamp) {
        return g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *) stamp, sizeof(*stamp));
}

/* What failed in the daemon itself begins anew with that. */
static void quarantine_keep(const Plugin *plugin) {
        g_autofree char *path = quarantine_path(plugin), *text = NULL,
                        *program = program_mark(&plugin->stamp[MANIFEST_PROGRAM]);
        g_autoptr(JsonObject) record = NULL;
        g_autoptr(GError) error = NULL;

        if (!path || plugin_is_native(plugin))
                return;
        record = json_object_new();
        json_object_set_string_member(record, "daemon", PACKAGE_VERSION);
        json_object_set_string_member(record, "manifest", plugin->manifest->digest);
        json_object_set_string_member(record, "program", program);
        json_object_set_string_member(record, "reason", plugin->last_error);
        text = json_object_text(record);
        (void) mkdir(plugin->plugins->origins_directory, 0700);
        if (!file_replace(path, text, strlen(text), 0600, &error))
                log_warning("Plugin %s: a daemon after this one will not know that it was given up: %s", plugin->id,
                            error->message);
}

/* NULL: not the one that is there. Written by this program or an earlier one: what is not as it should be is as good
 * as nothing. */
static char *quarantine_reason(const Plugin *plugin) {
        g_autofree char *path = quarantine_path(plugin), *text = NULL, *program = NULL;
        g_autoptr(JsonNode) root = NULL;
        JsonObject *record;

        if (!path || !file_read(path, QUARANTINE_SIZE_MAX, &text, NULL, NULL))
                return NULL;
        root = json_text_parse(path, text, -1, NULL);
        if (!root || !JSON_NODE_HOLDS_OBJECT(root))
                return NULL;
        record = json_node_get_object(root);
        program = program_mark(&plugin->manifest->stamp[MANIFEST_PROGRAM]);
        if (!g_str_equal(json_get_string(record, "daemon", ""), PACKAGE_VERSION) ||
            !g_str_equal(json_get_string(record, "manifest", ""), plugin->manifest->digest) ||
            !g_str_equal(json_get_string(record, "program", ""), program))
                return NULL;
        return g_strdup(json_get_string(record, "reason", NULL));
}

void plugin_quarantine_recall(Plugin *plugin) {
        g_autofree char *reason = plugin->manifest && plugin->enabled ? quarantine_reason(plugin) : NULL;

        if (!reason) {
                plugin_quarantine_drop(plugin);
                return;
        }
        plugin->state = PLUGIN_QUARANTINED;
        plugin_set_error(plugin, reason);
        log_notice("Plugin %s stays quarantined: %s", plugin->id, plugin->last_error);
}

void plugin_quarantine(Plugin *plugin, const char *reason) {
        g_autofree char *message = g_strdup_printf(
                "failed %u times within %g minutes, the last time: %s; it is not started "
                "again until: sudo " SNOOZE_COMMAND " plugin restart %s",
                plugin->failures->len, plugin->plugins->config->restart_window_minutes, reason, plugin->id);

        plugin->restart_wanted = FALSE;
        plugin_set_error(plugin, message);
        if (plugin_set_state(plugin, PLUGIN_QUARANTINED, plugin->last_error)) {
                if (plugin->state == PLUGIN_QUARANTINED) {
                        g_autofree char *given_up = g_strdup_printf("%s is quarantined: %s", plugin->id, message);

                        quarantine_keep(plugin);
                        /* Not only how it ended: nobody is to wait for the next question to read the way out. */
                        plugin_check_failed(plugin, given_up);
                }
                plugins_problem(plugin->plugins, plugin->id, message);
        }
        plugin_calls_fail(plugin, ERROR_NOT_RUNNING, message);
}
