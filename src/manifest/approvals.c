/* SPDX-License-Identifier: Apache-2.0 */

#include "manifest/approvals.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "manifest/permission.h"
#include "util/json.h"

#define PROGRAM "program:"
#define CONTRACT "contract:"
#define EVENT "event:"

void approvals_free(Approvals *approvals) {
        if (!approvals)
                return;
        g_free(approvals->digest);
        g_strfreev(approvals->permissions);
        g_strfreev(approvals->terms);
        g_free(approvals);
}

static gboolean invalid(GError **error, const char *path, const char *what) {
        g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_INVALID, "%s: %s", path, what);
        return FALSE;
}

static gboolean is_permission(const char *text) {
        return !permission_problem(text);
}

static gboolean is_term(const char *text) {
        return g_str_has_prefix(text, PROGRAM) || g_str_has_prefix(text, CONTRACT) || g_str_has_prefix(text, EVENT);
}

/* NULL: one of them is none. */
static char **read_list(JsonArray *array, gboolean (*is_one)(const char *text)) {
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

        for (guint i = 0; i < json_array_get_length(array); i++) {
                JsonNode *element = json_array_get_element(array, i);
                const char *text = JSON_NODE_HOLDS_VALUE(element) ? json_node_get_string(element) : NULL;

                if (!text || !is_one(text))
                        return NULL;
                g_strv_builder_add(builder, text);
        }
        return g_strv_builder_end(builder);
}

static gboolean read_object(Approvals *approvals, const char *path, JsonNode *root, GError **error) {
        JsonObject *object = JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
        const char *digest = object ? json_get_string(object, "manifest_sha256", NULL) : NULL;
        JsonArray *permissions = object ? json_get_array(object, "permissions") : NULL;
        JsonArray *terms = object ? json_get_array(object, "terms") : NULL;

        if (!digest || !permissions || !terms || json_object_get_size(object) != 3)
                return invalid(error, path, "expected {manifest_sha256, permissions, terms}");
        approvals->digest = g_strdup(digest);
        approvals->permissions = read_list(permissions, is_permission);
        if (!approvals->permissions)
                return invalid(error, path, "/permissions: expected a list of permissions");
        approvals->terms = read_list(terms, is_term);
        return approvals->terms ||
               invalid(error, path, "/terms: expected a list of " PROGRAM "…, " CONTRACT "… and " EVENT "…");
}

static Approvals *nothing_approved(void) {
        Approvals *approvals = g_new(Approvals, 1);

        *approvals = (Approvals){ g_strdup(""), g_new0(char *, 1), g_new0(char *, 1) };
        return approvals;
}

Approvals *approvals_load(const char *directory, const char *id, uid_t also, GError **error) {
        g_autofree char *file = g_strconcat(id, ".json", NULL), *path = g_build_filename(directory, file, NULL);
        g_autoptr(Approvals) approvals = g_new0(Approvals, 1);
        g_autoptr(JsonNode) root = NULL;

        if (access(path, F_OK) < 0 && errno == ENOENT)
                return nothing_approved();
        if (!file_trusted(directory, also, error) || !file_trusted(path, also, error))
                return NULL;
        root = json_file_parse(path, error);
        if (!root || !read_object(approvals, path, root, error))
                return NULL;
        return g_steal_pointer(&approvals);
}

static JsonArray *array_of(const char *const *list) {
        JsonArray *array = json_array_new();

        for (; *list; list++)
                json_array_add_string_element(array, *list);
        return array;
}

char *approvals_text(const char *digest, const char *const *permissions, const char *const *terms) {
        g_autoptr(JsonNode) node = json_node_alloc();
        JsonObject *object = json_object_new();

        json_object_set_string_member(object, "manifest_sha256", digest);
        json_object_set_array_member(object, "permissions", array_of(permissions));
        json_object_set_array_member(object, "terms", array_of(terms));
        json_node_take_object(json_node_init(node, JSON_NODE_OBJECT), object);
        return json_text_pretty(node);
}

char **approvals_terms_of(const Manifest *manifest) {
        GPtrArray *terms = g_ptr_array_new();

        g_ptr_array_add(terms, g_strconcat(PROGRAM, manifest->exec_written, NULL));
        for (char **contract = manifest->contracts; *contract; contract++)
                g_ptr_array_add(terms, g_strconcat(CONTRACT, *contract, NULL));
        for (guint i = 0; i < manifest->events->len; i++) {
                const ManifestEvent *event = g_ptr_array_index(manifest->events, i);

                g_ptr_array_add(terms, g_strconcat(EVENT, event->type, NULL));
        }
        g_ptr_array_add(terms, NULL);
        return (char **) g_ptr_array_free(terms, FALSE);
}

static gboolean contains(char *const *list, const char *text) {
        return g_strv_contains((const char *const *) list, text);
}

static char **new_terms(const Approvals *approvals, const Manifest *manifest) {
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
        g_auto(GStrv) terms = approvals_terms_of(manifest);

        for (char **term = terms; *term; term++)
                if (!contains(approvals->terms, *term))
                        g_strv_builder_add(builder, *term);
        return g_strv_builder_end(builder);
}

gboolean approvals_named(const Approvals *approvals, const char *permission) {
        return contains(approvals->permissions, permission);
}

gboolean approvals_include(const Approvals *approvals, const Manifest *manifest, const char *permission) {
        g_auto(GStrv) beyond = new_terms(approvals, manifest);

        return !beyond[0] && approvals_named(approvals, permission);
}

char *approvals_new_terms(const Approvals *approvals, const Manifest *manifest) {
        g_auto(GStrv) beyond = new_terms(approvals, manifest);
        gboolean asked = FALSE;

        for (char **permission = manifest->permissions; *permission; permission++)
                asked = asked || approvals_named(approvals, *permission);
        return asked && beyond[0] ? g_strjoinv(", ", beyond) : NULL;
}

static char **those(const Approvals *approvals, const Manifest *manifest, gboolean approved) {
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

        for (char **permission = manifest->permissions; *permission; permission++)
                if (approvals_include(approvals, manifest, *permission) == approved)
                        g_strv_builder_add(builder, *permission);
        return g_strv_builder_end(builder);
}

char **approvals_granted(const Approvals *approvals, const Manifest *manifest) {
        return those(approvals, manifest, TRUE);
}

char **approvals_missing(const Approvals *approvals, const Manifest *manifest) {
        return those(approvals, manifest, FALSE);
}
