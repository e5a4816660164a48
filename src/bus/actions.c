/* SPDX-License-Identifier: Apache-2.0 */

#include "bus/actions.h"

#include <string.h>

#include <systemd/sd-bus.h>

#include "base/cleanup.h"
#include "config.h"

#define MANAGER SNOOZE_MANAGER_INTERFACE
#define PLUGIN SNOOZE_PLUGIN_INTERFACE
#define PROVIDER SNOOZE_PROVIDER_INTERFACE

const MethodAction method_actions[] = {
        { MANAGER, "GetMetrics" },
        { MANAGER, "Explain" },
        { MANAGER, "CheckNow", ACTION_CHECK, NULL, "sudo " SNOOZE_COMMAND " check" },
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
        { MANAGER, "LoadPlugin", ACTION_MANAGE_PLUGINS, NULL, NULL, "s ID" },
        { MANAGER, "UnloadPlugin", ACTION_MANAGE_PLUGINS, NULL, NULL, "s ID" },
        { MANAGER, "ForgetPlugin", ACTION_MANAGE_PLUGINS, NULL, "sudo " SNOOZE_COMMAND " plugin uninstall ID" },
        { MANAGER, "ListProviders" },
        { MANAGER, "GetProvider" },
        { MANAGER, "Hold", ACTION_HOLD, NULL, "sudo " SNOOZE_COMMAND " hold" },
        { MANAGER, "HoldFor", ACTION_HOLD, NULL, "sudo " SNOOZE_COMMAND " hold --for SPAN" },
        { MANAGER, "ReleaseHold", ACTION_HOLD, ACTION_HOLD_OTHERS, "sudo " SNOOZE_COMMAND " release COOKIE" },
        { MANAGER, "StopInstance", ACTION_STOP, NULL, "sudo " SNOOZE_COMMAND " stop" },
        { MANAGER, "CancelStop", ACTION_HOLD, NULL, "sudo " SNOOZE_COMMAND " cancel" },
        { MANAGER, "Postpone", ACTION_HOLD, NULL, "sudo " SNOOZE_COMMAND " postpone SPAN" },
        { MANAGER, "Pause", ACTION_PAUSE, NULL, "sudo " SNOOZE_COMMAND " pause" },
        { MANAGER, "Resume", ACTION_PAUSE, NULL, "sudo " SNOOZE_COMMAND " resume" },
        { MANAGER, "EmitEvent", ACTION_EMIT_EVENT, ACTION_EMIT_SYSTEM_EVENT,
          "sudo " SNOOZE_COMMAND " event emit TYPE" },
        { MANAGER, "SetConfiguration", ACTION_CONFIGURE, NULL, "sudo " SNOOZE_COMMAND " config set KEY VALUE" },
        { MANAGER, "Reload", ACTION_CONFIGURE, NULL, "sudo " SNOOZE_COMMAND " config reload" },

        { PLUGIN, "Load", ACTION_MANAGE_PLUGINS },
        { PLUGIN, "Unload", ACTION_MANAGE_PLUGINS },
        { PLUGIN, "Enable", ACTION_MANAGE_PLUGINS, NULL, "sudo " SNOOZE_COMMAND " plugin enable ID" },
        { PLUGIN, "Disable", ACTION_MANAGE_PLUGINS, NULL, "sudo " SNOOZE_COMMAND " plugin disable ID" },
        { PLUGIN, "Restart", ACTION_MANAGE_PLUGINS, NULL, "sudo " SNOOZE_COMMAND " plugin restart ID" },
        { PLUGIN, "Configure", ACTION_CONFIGURE, NULL, "sudo " SNOOZE_COMMAND " plugin configure ID KEY=VALUE" },
        { PLUGIN, "GetConfiguration" },
        { PLUGIN, "CheckIdle", ACTION_CHECK, NULL, "sudo " SNOOZE_COMMAND " check ID" },
        { PLUGIN, "CheckSubject", ACTION_CHECK, NULL, "sudo " SNOOZE_COMMAND " check ID/NAME" },
        { PLUGIN, "GetStatistics" },
        { PLUGIN, "GetResources" },
        { PLUGIN, "Upgrade", ACTION_MANAGE_PLUGINS, NULL, "sudo " SNOOZE_COMMAND " plugin update ID" },
        { PLUGIN, "Call", ACTION_CALL_PLUGIN, NULL, "sudo " SNOOZE_COMMAND " plugin call ID METHOD" },
        { PLUGIN, "ProcessData", ACTION_CALL_PLUGIN, NULL, "sudo " SNOOZE_COMMAND " plugin process --block ID" },
        { PLUGIN, "ProcessStream", ACTION_CALL_PLUGIN, NULL, "sudo " SNOOZE_COMMAND " plugin process ID" },

        { PROVIDER, "GetInstanceInfo", ACTION_CHECK, NULL, "sudo " SNOOZE_COMMAND " provider info ID" },
        { PROVIDER, "StopInstance", ACTION_STOP, NULL, "sudo " SNOOZE_COMMAND " stop" },
        { PROVIDER, "StartInstance", ACTION_START, NULL, "sudo " SNOOZE_COMMAND " start --provider ID INSTANCE" },
        { PROVIDER, "CheckPermissions", ACTION_CHECK, NULL, "sudo " SNOOZE_COMMAND " provider check ID" },
        { PROVIDER, "SetTags", ACTION_CONFIGURE, NULL, NULL, "'a{ss}' 1 KEY VALUE" },

        { HELPER_INTERFACE, "Provision" },
        { HELPER_INTERFACE, "Deprovision", ACTION_MANAGE_PLUGINS, NULL,
          "sudo " SNOOZE_COMMAND " plugin uninstall ID" },
        { HELPER_INTERFACE, "SetLimits" },
        { HELPER_INTERFACE, "ApprovePermissions", ACTION_APPROVE_PERMISSIONS, NULL,
          "sudo " SNOOZE_COMMAND " plugin permissions ID" },
        { HELPER_INTERFACE, "ListPermissions" },
        { HELPER_INTERFACE, "Install", ACTION_INSTALL_PLUGINS, NULL, "sudo " SNOOZE_COMMAND " plugin install SOURCE" },
        { HELPER_INTERFACE, "RemoveVersions", ACTION_MANAGE_PLUGINS, NULL,
          "sudo " SNOOZE_COMMAND " plugin uninstall ID" },
        { HELPER_INTERFACE, "ProvisionVersion" },
        { HELPER_INTERFACE, "SwitchVersion" },
        { HELPER_INTERFACE, "ListVersionPermissions" },
        {},
};

const MethodAction *method_action_find(const char *interface, const char *member) {
        for (const MethodAction *entry = method_actions; entry->interface; entry++)
                if (strcmp(entry->interface, interface) == 0 && strcmp(entry->member, member) == 0)
                        return entry;
        return NULL;
}

/* Plugins and providers are named by the last label of their path. */
static char *object_id(const char *object) {
        static const char *const parents[] = { SNOOZE_PLUGIN_PATH, SNOOZE_PROVIDER_PATH };
        _cleanup_free_ char *id = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(parents); i++)
                if (sd_bus_path_decode(object, parents[i], &id) > 0)
                        return g_strdup(id);
        return g_strdup("ID");
}

/* Stock cloud users have no password to give to polkit, but they have sudo. */
char *method_alternative(const char *destination, const char *object, const char *interface, const char *member) {
        const MethodAction *entry = method_action_find(interface, member);
        g_autofree char *id = NULL;
        g_auto(GStrv) pieces = NULL;

        if (!entry || !entry->command)
                return g_strdup_printf("sudo busctl call %s %s %s %s%s%s",
                                       g_str_has_prefix(interface, SNOOZE_NAME) ? SNOOZE_NAME : destination, object,
                                       interface, member, entry && entry->arguments ? " " : "",
                                       entry && entry->arguments ? entry->arguments : "");
        id = object_id(object);
        pieces = g_strsplit(entry->command, "ID", -1);
        return g_strjoinv(id, pieces);
}
