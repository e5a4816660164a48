/* SPDX-License-Identifier: Apache-2.0 */

/* Detect ─► properties ─► GetInstanceInfo ─► CheckPermissions, each only if it makes sense after the one before.
 * Nothing here changes anything in the cloud. */

#include "base/cleanup.h"
#include "base/journal.h"
#include "base/names.h"
#include "daemon/provider/provider.h"
#include "util/json.h"
#include "util/line.h"

static void probe_end(Operation *operation) {
        Provider *provider = operation->provider;

        operation_end(operation);
        provider->probing = FALSE;
        if (provider->outdated)
                provider_probe(provider);
        provider_bus_changed(provider);
        providers_choose(provider->providers);
}

static void set_text(char **field, const char *text) {
        if (!text)
                return;
        g_free(*field);
        *field = g_strdup(text);
        line_clean(*field);
}

static void on_permissions(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Operation *operation = userdata;
        g_autoptr(JsonArray) permissions = NULL;
        g_autofree char *problem = NULL;

        if (!error)
                permissions = permissions_read(reply, &problem);
        if (permissions)
                provider_learn_permissions(operation->provider, permissions);
        else
                log_warning("Provider %s does not say what it may do: %s", provider_id(operation->provider),
                            error ? error->message : problem);
        probe_end(operation);
}

static void on_info(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Operation *operation = userdata;
        g_autoptr(JsonObject) info = NULL;
        g_autofree char *problem = NULL;

        if (!error)
                info = instance_info_read(reply, &problem);
        if (info)
                set_text(&operation->provider->instance_id, json_get_string(info, "id", ""));
        else
                log_warning("Provider %s does not know this machine: %s", provider_id(operation->provider),
                            error ? error->message : problem);
        operation_call(operation, "CheckPermissions", TRUE, NULL, on_permissions);
}

static void on_properties(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        _cleanup_(provider_description_clear) ProviderDescription description = {};
        Operation *operation = userdata;
        Provider *provider = operation->provider;
        g_autofree char *problem = NULL;

        if (error || provider_description_read(reply, &description, &problem) < 0)
                log_warning("Provider %s does not say what its stop does: %s", provider_id(provider),
                            error ? error->message : problem);
        set_text(&provider->name, description.name);
        set_text(&provider->version, description.version);
        set_text(&provider->stop_effect, description.stop_effect ?: "unknown");
        operation_call(operation, "GetInstanceInfo", TRUE, append_instance_id, on_info);
}

static int append_interface(sd_bus_message *message, void *userdata) {
        return sd_bus_message_append(message, "s", CLOUD_PROVIDER_INTERFACE);
}

static void on_detected(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Operation *operation = userdata;
        Provider *provider = operation->provider;
        g_autofree char *problem = NULL;
        gboolean detected;

        provider->tried = TRUE;
        if (error || detection_read(reply, &detected, &problem) < 0) {
                log_debug("Provider %s could not be asked: %s", provider_id(provider),
                          error ? error->message : problem);
                provider->probed = FALSE;
                provider->detected = FALSE;
                probe_end(operation);
                return;
        }
        provider->probed = TRUE;
        provider->detected = detected;
        (void) plugin_call(plugin, PROPERTIES_INTERFACE, "GetAll", 0, TRUE, append_interface, on_properties,
                           operation);
}

void provider_probe(Provider *provider) {
        if (provider->probing || !plugin_enabled(provider->plugin))
                return;
        provider->probing = TRUE;
        provider->outdated = FALSE;
        operation_call(operation_new(provider), "Detect", TRUE, NULL, on_detected);
}
