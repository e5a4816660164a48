/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/installed.h"

#include <sys/stat.h>

#include <string.h>

#include "base/names.h"
#include "daemon/config/config-check.h"
#include "daemon/config/config-names.h"
#include "manifest/limits.h"

static void begin(Installed *installed) {
        *installed = (Installed) { .plugins = g_ptr_array_new_with_free_func(g_free),
                                   .providers = g_ptr_array_new_with_free_func(g_free),
                                   .excess = g_ptr_array_new_with_free_func(g_free) };
}

static void add_excess(Installed *installed, const Config *config, const char *id, const Manifest *manifest) {
        JsonObject *limits = manifest ? config_limits(config, id) : NULL;
        g_autofree char *excess = limits ? limits_excess(manifest, limits) : NULL, *parent = NULL, *member = NULL,
                        *pointer = NULL;

        if (!excess)
                return;
        parent = config_pointer("/plugins/limits", id);
        member = g_strndup(excess, strcspn(excess, ":"));
        pointer = config_pointer(parent, member);
        g_ptr_array_add(installed->excess,
                        g_strdup_printf("%s: %s/%s; the plugin is not started so", config_origin(config, pointer),
                                        parent, excess));
}

static gboolean has(const GPtrArray *ids, const char *id) {
        return g_ptr_array_find_with_equal_func((GPtrArray *) ids, id, g_str_equal, NULL);
}

/* One whose manifest is broken may be anything. */
static void add(Installed *installed, const Config *config, const char *id, const Manifest *manifest) {
        add_excess(installed, config, id, manifest);
        g_ptr_array_add(installed->plugins, g_strdup(id));
        if (!manifest || manifest_has_contract(manifest, "CloudProvider"))
                g_ptr_array_add(installed->providers, g_strdup(id));
}

static void end(Installed *installed) {
        g_ptr_array_add(installed->plugins, NULL);
        g_ptr_array_add(installed->providers, NULL);
        g_ptr_array_add(installed->excess, NULL);
}

void installed_clear(Installed *installed) {
        g_clear_pointer(&installed->plugins, g_ptr_array_unref);
        g_clear_pointer(&installed->providers, g_ptr_array_unref);
        g_clear_pointer(&installed->excess, g_ptr_array_unref);
}

void installed_known(Plugins *plugins, const Config *config, Installed *ret) {
        GPtrArray *list = plugins_list(plugins);

        begin(ret);
        for (guint i = 0; i < list->len; i++) {
                const Plugin *plugin = g_ptr_array_index(list, i);

                add(ret, config, plugin_id(plugin), plugin_next_manifest(plugin));
        }
        end(ret);
}

static void add_directory(Installed *installed, const Config *config, const char *path) {
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
        const char *id;

        while (directory && (id = g_dir_read_name(directory))) {
                g_autoptr(Manifest) manifest = NULL;

                /* Of two with one id the first counts. */
                if (!plugin_id_valid(id) || !manifest_there(path, id) || has(installed->plugins, id))
                        continue;
                manifest = manifest_load(path, id, manifest_trusted_uid(), NULL);
                add(installed, config, id, manifest);
        }
}

void installed_on_disk(const char *const *directories, const Config *config, Installed *ret) {
        begin(ret);
        for (; directories && *directories; directories++)
                add_directory(ret, config, *directories);
        for (char **more = config->plugin_directories; more && *more; more++)
                add_directory(ret, config, *more);
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
        g_strv_builder_addv(warnings, (const char **) installed->excess->pdata);
        add_open_secrets(config, warnings);
        return g_strv_builder_end(warnings);
}
