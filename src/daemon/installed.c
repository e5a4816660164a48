/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/installed.h"

#include <sys/stat.h>

#include "base/names.h"
#include "daemon/config/config-names.h"

static void begin(Installed *installed) {
        *installed = (Installed) { .plugins = g_ptr_array_new_with_free_func(g_free),
                                   .providers = g_ptr_array_new_with_free_func(g_free) };
}

/* One whose manifest is broken may be anything. */
static void add(Installed *installed, const char *id, const Manifest *manifest) {
        g_ptr_array_add(installed->plugins, g_strdup(id));
        if (!manifest || manifest_has_contract(manifest, "CloudProvider"))
                g_ptr_array_add(installed->providers, g_strdup(id));
}

static void end(Installed *installed) {
        g_ptr_array_add(installed->plugins, NULL);
        g_ptr_array_add(installed->providers, NULL);
}

void installed_clear(Installed *installed) {
        g_clear_pointer(&installed->plugins, g_ptr_array_unref);
        g_clear_pointer(&installed->providers, g_ptr_array_unref);
}

void installed_known(Plugins *plugins, Installed *ret) {
        GPtrArray *list = plugins_list(plugins);

        begin(ret);
        for (guint i = 0; i < list->len; i++) {
                const Plugin *plugin = g_ptr_array_index(list, i);

                add(ret, plugin_id(plugin), plugin_manifest(plugin));
        }
        end(ret);
}

static void add_directory(Installed *installed, const char *path) {
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
        const char *id;

        while (directory && (id = g_dir_read_name(directory))) {
                g_autoptr(Manifest) manifest = NULL;

                if (!plugin_id_valid(id) || !manifest_there(path, id))
                        continue;
                manifest = manifest_load(path, id, manifest_trusted_uid(), NULL);
                add(installed, id, manifest);
        }
}

void installed_on_disk(const char *const *directories, const Config *config, Installed *ret) {
        begin(ret);
        for (; directories && *directories; directories++)
                add_directory(ret, *directories);
        for (char **more = config->plugin_directories; more && *more; more++)
                add_directory(ret, *more);
        end(ret);
}

/* Its file can be read by everybody who may log in, whatever the daemon hides from them. */
static void add_open_secrets(const Config *config, GStrvBuilder *warnings) {
        g_auto(GStrv) pointers = config_secret_pointers(config);

        for (char **pointer = pointers; *pointer; pointer++) {
                const char *file = config_origin(config, *pointer);
                g_autofree char *warning = NULL;
                struct stat st;

                if (!g_path_is_absolute(file) || stat(file, &st) < 0 || !(st.st_mode & S_IROTH))
                        continue;
                warning = g_strdup_printf(
                        "%s: %s: a secret, in a file that everybody can read; chgrp snooze and chmod 640 it", file,
                        *pointer);
                g_strv_builder_add(warnings, warning);
        }
}

char **installed_warnings(const Installed *installed, const Config *config) {
        g_autoptr(GStrvBuilder) warnings = g_strv_builder_new();
        g_auto(GStrv) unknown = config_unknown_names(config, (const char *const *) installed->plugins->pdata,
                                                     (const char *const *) installed->providers->pdata);

        if (config->warnings)
                g_strv_builder_addv(warnings, (const char **) config->warnings);
        g_strv_builder_addv(warnings, (const char **) unknown);
        add_open_secrets(config, warnings);
        return g_strv_builder_end(warnings);
}
