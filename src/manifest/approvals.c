/* SPDX-License-Identifier: Apache-2.0 */

#include "manifest/approvals.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "manifest/permission.h"
#include "util/json.h"

void approvals_free(Approvals *approvals) {
        if (!approvals)
                return;
        g_free(approvals->digest);
        g_strfreev(approvals->permissions);
        g_free(approvals);
}

static gboolean invalid(GError **error, const char *path, const char *what) {
        g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_INVALID, "%s: %s", path, what);
        return FALSE;
}

static gboolean read_permissions(Approvals *approvals, const char *path, JsonArray *array, GError **error) {
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

        for (guint i = 0; i < json_array_get_length(array); i++) {
                JsonNode *element = json_array_get_element(array, i);
                const char *text = JSON_NODE_HOLDS_VALUE(element) ? json_node_get_string(element) : NULL;

                if (!text || permission_problem(text))
                        return invalid(error, path, "/permissions: expected a list of permissions");
                g_strv_builder_add(builder, text);
        }
        g_strfreev(approvals->permissions);
        approvals->permissions = g_strv_builder_end(builder);
        return TRUE;
}

static gboolean read_object(Approvals *approvals, const char *path, JsonNode *root, GError **error) {
        JsonObject *object = JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
        const char *digest = object ? json_get_string(object, "manifest_sha256", NULL) : NULL;
        JsonArray *array = object ? json_get_array(object, "permissions") : NULL;

        if (!digest || !array || json_object_get_size(object) != 2)
                return invalid(error, path, "expected {manifest_sha256, permissions}");
        g_free(approvals->digest);
        approvals->digest = g_strdup(digest);
        return read_permissions(approvals, path, array, error);
}

Approvals *approvals_load(const char *directory, const char *id, uid_t also, GError **error) {
        g_autofree char *file = g_strconcat(id, ".json", NULL), *path = g_build_filename(directory, file, NULL);
        g_autoptr(Approvals) approvals = g_new0(Approvals, 1);
        g_autoptr(JsonNode) root = NULL;

        approvals->digest = g_strdup("");
        approvals->permissions = g_new0(char *, 1);
        if (access(path, F_OK) < 0 && errno == ENOENT)
                return g_steal_pointer(&approvals);
        if (!file_trusted(directory, also, error) || !file_trusted(path, also, error))
                return NULL;
        root = json_file_parse(path, error);
        if (!root || !read_object(approvals, path, root, error))
                return NULL;
        return g_steal_pointer(&approvals);
}

char *approvals_text(const char *digest, const char *const *permissions) {
        g_autoptr(JsonNode) node = json_node_alloc();
        JsonArray *array = json_array_new();
        JsonObject *object = json_object_new();

        for (; *permissions; permissions++)
                json_array_add_string_element(array, *permissions);
        json_object_set_string_member(object, "manifest_sha256", digest);
        json_object_set_array_member(object, "permissions", array);
        json_node_take_object(json_node_init(node, JSON_NODE_OBJECT), object);
        return json_text_pretty(node);
}

gboolean approvals_include(const Approvals *approvals, const char *permission) {
        return g_strv_contains((const char *const *) approvals->permissions, permission);
}

static char **those(const Approvals *approvals, const Manifest *manifest, gboolean approved) {
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

        for (char **permission = manifest->permissions; *permission; permission++)
                if (approvals_include(approvals, *permission) == approved)
                        g_strv_builder_add(builder, *permission);
        return g_strv_builder_end(builder);
}

char **approvals_granted(const Approvals *approvals, const Manifest *manifest) {
        return those(approvals, manifest, TRUE);
}

char **approvals_missing(const Approvals *approvals, const Manifest *manifest) {
        return those(approvals, manifest, FALSE);
}
