/* SPDX-License-Identifier: Apache-2.0 */

#include "bus/actions.h"

#include <string.h>

#define MANAGER SNOOZE_MANAGER_INTERFACE
#define PLUGIN SNOOZE_PLUGIN_INTERFACE
#define PROVIDER SNOOZE_PROVIDER_INTERFACE

const MethodAction method_actions[] = {
        { MANAGER, "GetMetrics" },
        { MANAGER, "Explain" },
        { MANAGER, "CheckNow", ACTION_CHECK },
        { MANAGER, "GetHistory" },
        { MANAGER, "GetSamples" },
        { MANAGER, "ListHolds" },
        { MANAGER, "ListEvents" },
        { MANAGER, "GetConfiguration" },
        { MANAGER, "GetConfigurationOrigins" },
        { MANAGER, "Diagnose" },
        { MANAGER, "ListPlugins" },
        { MANAGER, "SearchPlugins" },
        { MANAGER, "GetPlugin" },
        { MANAGER, "DiscoverPlugins" },
        { MANAGER, "LoadPlugin", ACTION_MANAGE_PLUGINS },
        { MANAGER, "UnloadPlugin", ACTION_MANAGE_PLUGINS },
        { MANAGER, "ListProviders" },
        { MANAGER, "GetProvider" },
        { MANAGER, "Hold", ACTION_HOLD },
        { MANAGER, "HoldFor", ACTION_HOLD },
        { MANAGER, "ReleaseHold", ACTION_HOLD, ACTION_HOLD_OTHERS },
        { MANAGER, "StopInstance", ACTION_STOP },
        { MANAGER, "CancelStop", ACTION_HOLD },
        { MANAGER, "Postpone", ACTION_HOLD },
        { MANAGER, "Pause", ACTION_PAUSE },
        { MANAGER, "Resume", ACTION_PAUSE },
        { MANAGER, "EmitEvent", ACTION_EMIT_EVENT, ACTION_EMIT_SYSTEM_EVENT },
        { MANAGER, "SetConfiguration", ACTION_CONFIGURE },
        { MANAGER, "Reload", ACTION_CONFIGURE },

        { PLUGIN, "Load", ACTION_MANAGE_PLUGINS },
        { PLUGIN, "Unload", ACTION_MANAGE_PLUGINS },
        { PLUGIN, "Enable", ACTION_MANAGE_PLUGINS },
        { PLUGIN, "Disable", ACTION_MANAGE_PLUGINS },
        { PLUGIN, "Restart", ACTION_MANAGE_PLUGINS },
        { PLUGIN, "Configure", ACTION_CONFIGURE },
        { PLUGIN, "GetConfiguration" },
        { PLUGIN, "CheckIdle", ACTION_CHECK },
        { PLUGIN, "GetStatistics" },
        { PLUGIN, "GetResources" },
        { PLUGIN, "Upgrade", ACTION_MANAGE_PLUGINS },
        { PLUGIN, "Call", ACTION_CALL_PLUGIN },

        { PROVIDER, "GetInstanceInfo", ACTION_CHECK },
        { PROVIDER, "StopInstance", ACTION_STOP },
        { PROVIDER, "StartInstance", ACTION_START },
        { PROVIDER, "CheckPermissions", ACTION_CHECK },
        { PROVIDER, "SetTags", ACTION_CONFIGURE },
        {},
};

const MethodAction *method_action_find(const char *interface, const char *member) {
        for (const MethodAction *entry = method_actions; entry->interface; entry++)
                if (strcmp(entry->interface, interface) == 0 && strcmp(entry->member, member) == 0)
                        return entry;
        return NULL;
}

#define BUSCTL_CALL "sudo busctl call " SNOOZE_NAME " OBJECT INTERFACE METHOD"

/* Stock cloud users have no password to give to polkit, but they have sudo. */
static const struct {
        const char *action;
        const char *alternative;
} alternatives[] = {
        { ACTION_HOLD, "sudo snooze hold" },
        { ACTION_HOLD_OTHERS, "sudo snooze release COOKIE" },
        { ACTION_CHECK, "sudo snooze check" },
        { ACTION_STOP, "sudo snooze stop" },
        { ACTION_START, BUSCTL_CALL },
        { ACTION_PAUSE, "sudo snooze pause, sudo snooze resume" },
        { ACTION_EMIT_EVENT, BUSCTL_CALL },
        { ACTION_EMIT_SYSTEM_EVENT, BUSCTL_CALL },
        { ACTION_CONFIGURE, "sudo snooze config set KEY VALUE" },
        { ACTION_CALL_PLUGIN, BUSCTL_CALL },
        { ACTION_MANAGE_PLUGINS, "sudo snooze plugin enable|disable ID" },
        { ACTION_APPROVE_PERMISSIONS, BUSCTL_CALL },
};

const char *action_alternative(const char *action) {
        for (size_t i = 0; i < G_N_ELEMENTS(alternatives); i++)
                if (strcmp(alternatives[i].action, action) == 0)
                        return alternatives[i].alternative;
        return NULL;
}
