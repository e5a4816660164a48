/* SPDX-License-Identifier: Apache-2.0 */

/* How often a plugin failed, how long it pauses for that, and when it is given up. */

#include "base/clock.h"
#include "base/errors.h"
#include "config.h"
#include "daemon/plugin/plugin.h"

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

uint64_t plugin_restart_delay(uint64_t first, unsigned failures) {
        unsigned doublings = MIN(failures > 0 ? failures - 1 : 0, 16U);
        uint64_t delay = MIN((first > 0 ? first : RESTART_DELAY_MIN) << doublings, RESTART_DELAY_MAX);

        return (uint64_t) ((double) delay * g_random_double_range(0.75, 1.25));
}

void plugin_quarantine(Plugin *plugin, const char *reason) {
        g_autofree char *message = g_strdup_printf(
                "failed %u times within %g minutes, the last time: %s; it is not started "
                "again until: sudo " SNOOZE_COMMAND " plugin restart %s",
                plugin->failures->len, plugin->plugins->config->restart_window_minutes, reason, plugin->id);

        plugin->restart_wanted = FALSE;
        plugin_set_error(plugin, message);
        if (plugin_set_state(plugin, PLUGIN_QUARANTINED, plugin->last_error))
                plugins_problem(plugin->plugins, plugin->id, message);
        plugin_calls_fail(plugin, ERROR_NOT_RUNNING, message);
}
