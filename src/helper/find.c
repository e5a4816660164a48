/* SPDX-License-Identifier: Apache-2.0 */

/* Where a plugin's manifest is. The directories are those of the daemon, but for what SetConfiguration changed:
 * that file is the daemon's, and it does not get to say what root reads. */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/names.h"
#include "helper/helper.h"
#include "util/json.h"

#define DROPINS_MAX 256U
#define CONFIG_FILE PKGSYSCONFDIR "/snooze.json"
#define CONFIG_DROPIN_DIRECTORY PKGSYSCONFDIR "/snooze.d"

/* The file if it is there and root's; NULL without error if it is not there. */
static JsonNode *read_configuration(const Places *places, const char *path, GError **error) {
        g_autofree char *real = place_path(places, path), *directory = g_path_get_dirname(path);

        if (access(real, F_OK) < 0 && errno == ENOENT)
                return NULL;
        if (!place_trusted(places, directory, error) || !file_trusted(real, places->also, error))
                return NULL;
        return json_file_parse(real, error);
}

static gboolean merge_file(const Places *places, const char *path, JsonNode **configuration, GError **error) {
        GError *e = NULL;
        g_autoptr(JsonNode) more = read_configuration(places, path, &e);
        g_autoptr(JsonNode) merged = NULL;

        if (e) {
                g_propagate_error(error, e);
                return FALSE;
        }
        if (!more)
                return TRUE;
        merged = json_merge_patch(*configuration, more);
        g_clear_pointer(configuration, json_node_unref);
        *configuration = g_steal_pointer(&merged);
        return TRUE;
}

static int compare_names(const void *a, const void *b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Drop-ins in the order of their names; hidden files and others than *.json are nobody's. */
static GPtrArray *list_dropins(const Places *places) {
        g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *real = place_path(places, CONFIG_DROPIN_DIRECTORY);
        g_autoptr(GDir) directory = g_dir_open(real, 0, NULL);
        const char *name;

        while (directory && (name = g_dir_read_name(directory)) && list->len < DROPINS_MAX)
                if (name[0] != '.' && g_str_has_suffix(name, ".json"))
                        g_ptr_array_add(list, g_build_filename(CONFIG_DROPIN_DIRECTORY, name, NULL));
        g_ptr_array_sort(list, compare_names);
        return g_steal_pointer(&list);
}

static gboolean add_configured(const Places *places, GPtrArray *directories, GError **error) {
        g_autoptr(JsonNode) configuration = json_node_new(JSON_NODE_OBJECT);
        g_autoptr(GPtrArray) dropins = list_dropins(places);
        JsonObject *plugins;
        JsonArray *array;

        json_node_take_object(configuration, json_object_new());
        if (!merge_file(places, CONFIG_FILE, &configuration, error))
                return FALSE;
        for (guint i = 0; i < dropins->len; i++)
                if (!merge_file(places, g_ptr_array_index(dropins, i), &configuration, error))
                        return FALSE;
        plugins = JSON_NODE_HOLDS_OBJECT(configuration)
                          ? json_get_object(json_node_get_object(configuration), "plugins")
                          : NULL;
        array = plugins ? json_get_array(plugins, "directories") : NULL;
        for (guint i = 0; array && i < json_array_get_length(array); i++) {
                JsonNode *element = json_array_get_element(array, i);

                if (JSON_NODE_HOLDS_VALUE(element) && json_node_get_string(element))
                        g_ptr_array_add(directories, g_strdup(json_node_get_string(element)));
        }
        return TRUE;
}

static gboolean has_manifest(const Places *places, const char *directory, const char *id) {
        g_autofree char *real = place_path(places, directory);

        return manifest_there(real, id);
}

gboolean plugin_packaged(const Places *places, const char *id) {
        return has_manifest(places, PKGPLUGINDIR, id);
}

/* What lies below the tests' root is looked at from there; a program of the system from /. */
static gboolean program_trusted(const Places *places, const char *program, GError **error) {
        const Places system = { .root = (char *) "", .also = places->also, .service = places->service };
        g_autofree char *directory = g_path_get_dirname(program);
        size_t length = strlen(places->root);

        if (length > 0 && strncmp(directory, places->root, length) == 0)
                return place_trusted(places, directory + length, error);
        return place_trusted(&system, directory, error);
}

Manifest *plugin_load(const Places *places, const char *directory, const char *id, const char *version,
                      GError **error) {
        g_autofree char *own = g_build_filename(directory, id, NULL), *real = place_path(places, directory);
        g_autofree char *place = NULL;
        g_autoptr(Manifest) manifest = NULL;

        if (!place_trusted(places, own, error))
                return NULL;
        if (version)
                manifest = manifest_load_version(real, id, version, places->also, error);
        else
                manifest = manifest_load(real, id, places->also, error);
        place = manifest ? g_path_get_dirname(manifest->path) : NULL;
        if (!place || !place_trusted(places, place + strlen(places->root), error) ||
            !program_trusted(places, manifest->exec, error))
                return NULL;
        return g_steal_pointer(&manifest);
}

char *plugin_directory(const Places *places, const char *id, gboolean *ret_packaged, GError **error) {
        g_autoptr(GPtrArray) directories = g_ptr_array_new_with_free_func(g_free);

        g_ptr_array_add(directories, g_strdup(PKGPLUGINDIR));
        g_ptr_array_add(directories, g_strdup(PKGSYSCONFDIR "/plugins"));
        g_ptr_array_add(directories, g_strdup(INSTALLED_PLUGINS));
        if (!add_configured(places, directories, error))
                return NULL;
        for (guint i = 0; i < directories->len; i++) {
                const char *directory = g_ptr_array_index(directories, i);

                if (!has_manifest(places, directory, id))
                        continue;
                *ret_packaged = i == 0;
                return g_strdup(directory);
        }
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
                    "No plugin.json of %s below " PKGPLUGINDIR ", " PKGSYSCONFDIR
                    "/plugins, " INSTALLED_PLUGINS " or plugins.directories of " CONFIG_FILE,
                    id);
        return NULL;
}

/* One whose plugin.json is missing behind the link is broken, and not to be taken for one that is not there: what is
 * kept of it is still its own. */
static Manifest *load_found(const Places *places, const char *directory, const char *id, const char *version,
                            GError **error) {
        g_autoptr(GError) e = NULL;
        Manifest *manifest = plugin_load(places, directory, id, version, &e);

        if (g_error_matches(e, G_FILE_ERROR, G_FILE_ERROR_NOENT))
                g_set_error_literal(error, MANIFEST_ERROR, MANIFEST_ERROR_INVALID, e->message);
        else if (e)
                g_propagate_error(error, g_steal_pointer(&e));
        return manifest;
}

Manifest *plugin_find(const Places *places, const char *id, gboolean *ret_packaged, GError **error) {
        g_autofree char *directory = plugin_directory(places, id, ret_packaged, error);

        return directory ? load_found(places, directory, id, NULL, error) : NULL;
}

Manifest *plugin_find_version(const Places *places, const char *id, const char *version, GError **error) {
        gboolean packaged;
        g_autofree char *directory = plugin_directory(places, id, &packaged, error);

        return directory ? load_found(places, directory, id, version, error) : NULL;
}

Manifest *plugin_read_version(const Places *places, const char *directory, const char *id, const char *version) {
        g_autofree char *path = g_build_filename(directory, id, version, "plugin.json", NULL);
        g_autofree char *real = place_path(places, path);
        g_autoptr(JsonNode) root = json_file_parse(real, NULL);

        return root ? manifest_parse(real, id, root, NULL) : NULL;
}

char **plugin_versions(const Places *places, const char *id) {
        gboolean packaged;
        g_autofree char *directory = plugin_directory(places, id, &packaged, NULL);
        g_autofree char *real = directory ? place_path(places, directory) : NULL;

        return real ? manifest_versions(real, id) : g_new0(char *, 1);
}
