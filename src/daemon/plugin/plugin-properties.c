/* SPDX-License-Identifier: Apache-2.0 */

/* The properties of io.cloudsnooze.Snooze1.Plugin. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "daemon/plugin/plugin.h"

static const char *trust(const Plugin *plugin) {
        if (plugin_official(plugin->manifest))
                return "official";
        return g_str_equal(plugin->directory, PKGPLUGINDIR) || g_str_equal(plugin->directory, INSTALLED_PLUGINS)
                       ? "unsigned"
                       : "local";
}

/* As sd_bus_message_append(), without a format to go through: somebody who lists a thousand plugins asks for thirty
 * thousand values. */
static int append_text(sd_bus_message *reply, const char *text) {
        return sd_bus_message_append_basic(reply, 's', text);
}

static int append_boolean(sd_bus_message *reply, gboolean value) {
        return sd_bus_message_append_basic(reply, 'b', &value);
}

static int append_number(sd_bus_message *reply, uint32_t value) {
        return sd_bus_message_append_basic(reply, 'u', &value);
}

static int append_events(const Plugin *plugin, sd_bus_message *reply) {
        const Manifest *manifest = plugin->manifest;
        int r = sd_bus_message_open_container(reply, 'a', "{si}");

        for (guint i = 0; r >= 0 && manifest && i < manifest->events->len; i++) {
                const ManifestEvent *event = g_ptr_array_index(manifest->events, i);

                gboolean enabled = event->enabled;
                int priority = event->priority;

                config_event_handler(plugin->plugins->config, plugin->id, event->type, &priority, &enabled);
                if (enabled)
                        r = sd_bus_message_append(reply, "{si}", event->type, priority);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_permissions(const Plugin *plugin, sd_bus_message *reply) {
        g_auto(GStrv) approved = plugin_approved(plugin);
        int r = sd_bus_message_open_container(reply, 'a', "(sb)");

        for (char **permission = plugin->manifest ? plugin->manifest->permissions : NULL;
             r >= 0 && permission && *permission; permission++)
                r = sd_bus_message_append(reply, "(sb)", *permission,
                                          (int) g_strv_contains((const char *const *) approved, *permission));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_dependencies(const Plugin *plugin, sd_bus_message *reply) {
        const Manifest *manifest = plugin->manifest;
        int r = sd_bus_message_open_container(reply, 'a', "(ss)");

        for (guint i = 0; r >= 0 && manifest && i < manifest->dependencies->len; i++) {
                const ManifestDependency *dependency = g_ptr_array_index(manifest->dependencies, i);

                r = sd_bus_message_append(reply, "(ss)", dependency->name, dependency->version);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_id(const Plugin *plugin, sd_bus_message *reply) {
        return append_text(reply, plugin->id);
}

static int append_display_name(const Plugin *plugin, sd_bus_message *reply) {
        return append_text(reply, plugin_display_name(plugin));
}

static int append_tags(const Plugin *plugin, sd_bus_message *reply) {
        return sd_bus_message_append_strv(reply, plugin->manifest ? plugin->manifest->tags : NULL);
}

static int append_contracts(const Plugin *plugin, sd_bus_message *reply) {
        return sd_bus_message_append_strv(reply, plugin->manifest ? plugin->manifest->contracts : NULL);
}

static int append_official(const Plugin *plugin, sd_bus_message *reply) {
        return append_boolean(reply, plugin_official(plugin->manifest));
}

static int append_trust(const Plugin *plugin, sd_bus_message *reply) {
        return append_text(reply, trust(plugin));
}

static int append_state(const Plugin *plugin, sd_bus_message *reply) {
        return append_text(reply, plugin_state_name(plugin->state));
}

static int append_enabled(const Plugin *plugin, sd_bus_message *reply) {
        return append_boolean(reply, plugin->enabled);
}

static int append_healthy(const Plugin *plugin, sd_bus_message *reply) {
        return append_boolean(reply, plugin->state == PLUGIN_RUNNING && plugin->healthy);
}

static int append_last_error(const Plugin *plugin, sd_bus_message *reply) {
        return append_text(reply, plugin->last_error);
}

static int append_restarts(const Plugin *plugin, sd_bus_message *reply) {
        return append_number(reply, plugin->restarts);
}

static int append_pid(const Plugin *plugin, sd_bus_message *reply) {
        return append_number(reply, (uint32_t) plugin_pid(plugin));
}

static int append_unit(const Plugin *plugin, sd_bus_message *reply) {
        return append_text(reply, starter_systemd(plugin->plugins->starter) ? plugin_unit(plugin) : "");
}

typedef struct Property {
        const char *name;
        int (*append)(const Plugin *plugin, sd_bus_message *reply);
        size_t offset;      /* without append: of the text in the manifest … */
        const char *broken; /* … and what is said where there is none */
} Property;

#define MANIFEST(member) .offset = offsetof(Manifest, member)

/* By name: they are searched. */
static const Property properties[] = {
        { "Author", MANIFEST(author), .broken = "" },
        { "Category", MANIFEST(category), .broken = "" },
        { "ConfigSchema", MANIFEST(schema_text), .broken = "{}" },
        { "Contracts", append_contracts },
        { "Dependencies", append_dependencies },
        { "Description", MANIFEST(description), .broken = "" },
        { "DisplayName", append_display_name },
        { "Enabled", append_enabled },
        { "Events", append_events },
        { "Healthy", append_healthy },
        { "Homepage", MANIFEST(homepage), .broken = "" },
        { "Id", append_id },
        { "Isolation", MANIFEST(isolation), .broken = "process" },
        { "Language", MANIFEST(language), .broken = "" },
        { "LastError", append_last_error },
        { "MinHostVersion", MANIFEST(min_host_version), .broken = "" },
        { "Official", append_official },
        { "Permissions", append_permissions },
        { "Pid", append_pid },
        { "Repository", MANIFEST(repository), .broken = "" },
        { "Restarts", append_restarts },
        { "Runtime", MANIFEST(runtime), .broken = "dbus" },
        { "State", append_state },
        { "Tags", append_tags },
        { "Trust", append_trust },
        { "Unit", append_unit },
        { "Version", MANIFEST(version), .broken = "" },
};

static int compare_name(const void *key, const void *property) {
        return strcmp(key, ((const Property *) property)->name);
}

static const char *manifest_text(const Manifest *manifest, const Property *property) {
        return manifest ? *(char *const *) ((const char *) manifest + property->offset) : property->broken;
}

int plugin_property_get(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Property *found =
                bsearch(property, properties, G_N_ELEMENTS(properties), sizeof(*properties), compare_name);

        if (!found)
                return -ENOENT;
        return found->append ? found->append(userdata, reply)
                             : append_text(reply, manifest_text(((const Plugin *) userdata)->manifest, found));
}
