/* SPDX-License-Identifier: Apache-2.0 */

/* The properties of io.cloudsnooze.Snooze1.Plugin. */

#include <errno.h>
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
             r >= 0 && permission && *permission; permission++) {
                r = sd_bus_message_open_container(reply, 'r', "sb");
                if (r >= 0)
                        r = append_text(reply, *permission);
                if (r >= 0)
                        r = append_boolean(reply, g_strv_contains((const char *const *) approved, *permission));
                if (r >= 0)
                        r = sd_bus_message_close_container(reply);
        }
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
        return append_text(reply, plugin_last_error(plugin));
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

/* In the order of the vtable. */
static const Property properties[] = {
        { "Id", append_id },
        { "DisplayName", append_display_name },
        { "Version", MANIFEST(version), .broken = "" },
        { "Author", MANIFEST(author), .broken = "" },
        { "Description", MANIFEST(description), .broken = "" },
        { "Category", MANIFEST(category), .broken = "" },
        { "Tags", append_tags },
        { "Repository", MANIFEST(repository), .broken = "" },
        { "Homepage", MANIFEST(homepage), .broken = "" },
        { "Language", MANIFEST(language), .broken = "" },
        { "Official", append_official },
        { "Trust", append_trust },
        { "Runtime", MANIFEST(runtime), .broken = "dbus" },
        { "Isolation", MANIFEST(isolation), .broken = "process" },
        { "Contracts", append_contracts },
        { "Events", append_events },
        { "State", append_state },
        { "Enabled", append_enabled },
        { "Healthy", append_healthy },
        { "LastError", append_last_error },
        { "Restarts", append_restarts },
        { "Pid", append_pid },
        { "Unit", append_unit },
        { "Permissions", append_permissions },
        { "ConfigSchema", MANIFEST(schema_text), .broken = "{}" },
        { "Dependencies", append_dependencies },
        { "MinHostVersion", MANIFEST(min_host_version), .broken = "" },
};

/* Who wants all of them asks in that order: the next is nearly always the one behind the last. */
static const Property *find_property(Plugins *plugins, const char *name) {
        for (size_t i = 0; i < G_N_ELEMENTS(properties); i++) {
                size_t at = (plugins->next_property + i) % G_N_ELEMENTS(properties);

                if (strcmp(properties[at].name, name) == 0) {
                        plugins->next_property = at + 1;
                        return &properties[at];
                }
        }
        return NULL;
}

static const char *manifest_text(const Manifest *manifest, const Property *property) {
        return manifest ? *(char *const *) ((const char *) manifest + property->offset) : property->broken;
}

int plugin_property_get(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Plugin *plugin = userdata;
        const Property *found = find_property(plugin->plugins, property);

        if (!found)
                return -ENOENT;
        return found->append ? found->append(plugin, reply)
                             : append_text(reply, manifest_text(plugin->manifest, found));
}
