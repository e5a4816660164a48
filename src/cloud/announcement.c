/* SPDX-License-Identifier: Apache-2.0 */

#include "cloud/announcement.h"

#include <string.h>
#include <syslog.h>

SnoozePluginDictionary *cloud_announcement_data(const CloudProvider *cloud) {
        SnoozePluginDictionary *data = snooze_plugin_dictionary_new();

        snooze_plugin_dictionary_set_string(data, "cloud", cloud->kind->cloud);
        snooze_plugin_dictionary_set_string(data, "instance_id", cloud->kind->identity(cloud));
        return data;
}

bool cloud_announce(CloudProvider *cloud, const char *id, const char *type, CloudSeverity severity, uint64_t deadline,
                    SnoozePluginDictionary *data) {
        int r = snooze_plugin_instance_emit_event(cloud->instance, id, type, (unsigned) severity, deadline, data);

        if (r < 0)
                snooze_plugin_log(LOG_WARNING, "%s cannot be announced: %s", id, strerror(-r));
        else
                snooze_plugin_log(LOG_NOTICE, "%s announces %s (%s)", cloud->kind->owner, type, id);
        return r >= 0;
}

void cloud_withdraw(CloudProvider *cloud, const char *id) {
        (void) snooze_plugin_instance_cancel_event(cloud->instance, id);
        snooze_plugin_log(LOG_NOTICE, "%s does not announce %s any more", cloud->kind->owner, id);
}
