/* SPDX-License-Identifier: Apache-2.0 */

/* The properties of io.cloudsnooze.Snooze1.Plugin. */

#include <errno.h>
#include <string.h>

#include "base/names.h"
#include "daemon/plugin/plugin.h"

static const char *trust(const Plugin *plugin) {
        if (plugin->official)
                return "official";
        return g_str_equal(plugin->directory, PKGPLUGINDIR) ? "unsigned" : "local";
}

static const struct {
        const char *property;
        size_t offset;
        const char *broken; /* where there is no manifest */
} manifest_strings[] = {
        { "Version", offsetof(Manifest, version), "" },
        { "Author", offsetof(Manifest, author), "" },
        { "Description", offsetof(Manifest, description), "" },
        { "Category", offsetof(Manifest, category), "" },
        { "Repository", offsetof(Manifest, repository), "" },
        { "Homepage", offsetof(Manifest, homepage), "" },
        { "Language", offsetof(Manifest, language), "" },
        { "Runtime", offsetof(Manifest, runtime), "dbus" },
        { "Isolation", offsetof(Manifest, isolation), "process" },
        { "ConfigSchema", offsetof(Manifest, schema_text), "{}" },
        { "MinHostVersion", offsetof(Manifest, min_host_version), "" },
};

static int append_events(const Manifest *manifest, sd_bus_message *reply) {
        int r = sd_bus_message_open_container(reply, 'a', "{si}");

        for (guint i = 0; r >= 0 && manifest && i < manifest->events->len; i++) {
                const ManifestEvent *event = g_ptr_array_index(manifest->events, i);

                if (event->enabled)
                        r = sd_bus_message_append(reply, "{si}", event->type, event->priority);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_permissions(const Plugin *plugin, sd_bus_message *reply) {
        g_auto(GStrv) approved = plugin_approved(plugin);
        int r = sd_bus_message_open_container(reply, 'a', "(sb)");

        for (char **permission = plugin->manifest ? plugin->manifest->permissions : NULL;
             r >= 0 && permission && *permission; permission++)
                r = sd_bus_message_append(reply, "(sb)", *permission, (int) g_strv_contains((const char *const *) approved, *permission));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_dependencies(const Manifest *manifest, sd_bus_message *reply) {
        int r = sd_bus_message_open_container(reply, 'a', "(ss)");

        for (guint i = 0; r >= 0 && manifest && i < manifest->dependencies->len; i++) {
                const ManifestDependency *dependency = g_ptr_array_index(manifest->dependencies, i);

                r = sd_bus_message_append(reply, "(ss)", dependency->name, dependency->version);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int plugin_property_get(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Plugin *plugin = userdata;
        const Manifest *manifest = plugin->manifest;

        for (size_t i = 0; i < G_N_ELEMENTS(manifest_strings); i++)
                if (g_str_equal(property, manifest_strings[i].property))
                        return sd_bus_message_append(reply, "s",
                                                     manifest ? *(char *const *) ((const char *) manifest +
                                                                                  manifest_strings[i].offset)
                                                              : manifest_strings[i].broken);
        if (g_str_equal(property, "Id"))
                return sd_bus_message_append(reply, "s", plugin->id);
        if (g_str_equal(property, "DisplayName"))
                return sd_bus_message_append(reply, "s", plugin_display_name(plugin));
        if (g_str_equal(property, "Tags"))
                return sd_bus_message_append_strv(reply, manifest ? manifest->tags : NULL);
        if (g_str_equal(property, "Contracts"))
                return sd_bus_message_append_strv(reply, manifest ? manifest->contracts : NULL);
        if (g_str_equal(property, "Official"))
                return sd_bus_message_append(reply, "b", (int) plugin->official);
        if (g_str_equal(property, "Trust"))
                return sd_bus_message_append(reply, "s", trust(plugin));
        if (g_str_equal(property, "Events"))
                return append_events(manifest, reply);
        if (g_str_equal(property, "State"))
                return sd_bus_message_append(reply, "s", plugin_state_name(plugin->state));
        if (g_str_equal(property, "Enabled"))
                return sd_bus_message_append(reply, "b", (int) plugin->enabled);
        if (g_str_equal(property, "Healthy"))
                return sd_bus_message_append(reply, "b", (int) (plugin->state == PLUGIN_RUNNING && plugin->healthy));
        if (g_str_equal(property, "LastError"))
                return sd_bus_message_append(reply, "s", plugin->last_error);
        if (g_str_equal(property, "Restarts"))
                return sd_bus_message_append(reply, "u", plugin->restarts);
        if (g_str_equal(property, "Pid"))
                return sd_bus_message_append(reply, "u", (uint32_t) plugin_pid(plugin));
        if (g_str_equal(property, "Unit"))
                return sd_bus_message_append(reply, "s", starter_systemd(plugin->plugins->starter) ? plugin_unit(plugin) : "");
        if (g_str_equal(property, "Permissions"))
                return append_permissions(plugin, reply);
        if (g_str_equal(property, "Dependencies"))
                return append_dependencies(manifest, reply);
        return -ENOENT;
}
