/* SPDX-License-Identifier: Apache-2.0 */

/* The public headers are C++, too: this is a plugin that says its version. */

#include <syslog.h>

#include <snooze/plugin.h>

int main() {
        SnoozePlugin plugin = SnoozePlugin();
        char program[] = "example", option[] = "--version", *argv[] = { program, option, nullptr };

        plugin.size = sizeof(SnoozePlugin);
        plugin.id = "example";
        plugin.version = "1";
        snooze_plugin_log(LOG_DEBUG, "%s", plugin.id);
        snooze_plugin_log(LOG_DEBUG, "without a parameter");
        return snooze_plugin_main(&plugin, 2, argv);
}
