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

/* Of a plugin whose versions come and go; the oldest is forgotten. */
#define APPROVALS_MAX 64U

/* The plugin.json that somebody looked at, and what he approved of it. */
typedef struct Approval {
        char *digest;
        char **permissions; /* at least one */
        char **terms;       /* approvals_terms_of(); none: kept by a CloudSnooze before terms, good for the very same
                               plugin.json */
} Approval;

static void approval_free(void *data) {
        Approval *approval = data;

        g_free(approval->digest);
        g_strfreev(approval->permissions);
        g_strfreev(approval->terms);
        g_free(approval);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Approval, approval_free)

Approvals *approvals_new(void) {
        Approvals *approvals = g_new(Approvals, 1);

        approvals->list = g_ptr_array_new_with_free_func(approval_free);
        return approvals;
}

void approvals_free(Approvals *approvals) {
        if (!approvals)
                return;
        g_ptr_array_unref(approvals->list);
        g_free(approvals);
}

static gboolean invalid(GError **error, const char *path, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

static gboolean invalid(GError **error, const char *path, const char *format, ...) {
        g_autofree char *text = NULL;
        va_list ap;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_INVALID, "%s: %s", path, text);
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

/* where: "" or "/approved/0". */
static gboolean read_approval(Approvals *approvals, const char *path, const char *where, JsonObject *object,
                              gboolean with_terms, GError **error) {
        const char *digest = object ? json_get_string(object, "manifest_sha256", NULL) : NULL;
        JsonArray *permissions = object ? json_get_array(object, "permissions") : NULL;
        JsonArray *terms = object && with_terms ? json_get_array(object, "terms") : NULL;
        g_autoptr(Approval) approval = g_new0(Approval, 1);

        if (!digest || !permissions || (with_terms && !terms) || json_object_get_size(object) != (with_terms ? 3 : 2))
                return invalid(error, path, "%s: expected {manifest_sha256, permissions%s}", *where ? where : "/",
                               with_terms ? ", terms" : "");
        approval->digest = g_strdup(digest);
        approval->permissions = read_list(permissions, is_permission);
        if (!approval->permissions)
                return invalid(error, path, "%s/permissions: expected a list of permissions", where);
        approval->terms = with_terms ? read_list(terms, is_term) : NULL;
        if (with_terms && !approval->terms)
                return invalid(error, path, "%s/terms: expected a list of " PROGRAM "…, " CONTRACT "… and " EVENT "…",
                               where);
        if (approval->permissions[0])
                g_ptr_array_add(approvals->list, g_steal_pointer(&approval));
        return TRUE;
}

static gboolean read_object(Approvals *approvals, const char *path, JsonNode *root, GError **error) {
        JsonObject *object = JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
        JsonArray *array = object ? json_get_array(object, "approved") : NULL;

        /* As it was kept before there were terms. */
        if (object && json_object_has_member(object, "manifest_sha256"))
                return read_approval(approvals, path, "", object, FALSE, error);
        if (!array || json_object_get_size(object) != 1 || json_array_get_length(array) > APPROVALS_MAX)
                return invalid(error, path, "expected {approved: a list of at most %u}", APPROVALS_MAX);
        for (guint i = 0; i < json_array_get_length(array); i++) {
                JsonNode *element = json_array_get_element(array, i);
                g_autofree char *where = g_strdup_printf("/approved/%u", i);

                if (!read_approval(approvals, path, where,
                                   JSON_NODE_HOLDS_OBJECT(element) ? json_node_get_object(element) : NULL, TRUE,
                                   error))
                        return FALSE;
        }
        return TRUE;
}

Approvals *approvals_load(const char *directory, const char *id, uid_t also, GError **error) {
        g_autofree char *file = g_strconcat(id, ".json", NULL), *path = g_build_filename(directory, file, NULL);
        g_autoptr(Approvals) approvals = approvals_new();
        g_autoptr(JsonNode) root = NULL;

        if (access(path, F_OK) < 0 && errno == ENOENT)
                return g_steal_pointer(&approvals);
        if (!file_trusted(directory, also, error) || !file_trusted(path, also, error))
                return NULL;
        root = json_file_parse(path, error);
        if (!root || !read_object(approvals, path, root, error))
                return NULL;
        return g_steal_pointer(&approvals);
}

static JsonArray *array_of(char *const *list) {
        JsonArray *array = json_array_new();

        for (; list && *list; list++)
                json_array_add_string_element(array, *list);
        return array;
}

/* One without terms is good for its own manifest alone, and stays so: no manifest is without a program. */
char *approvals_text(const Approvals *approvals) {
        g_autoptr(JsonNode) node = json_node_alloc();
        JsonArray *array = json_array_new();
        JsonObject *root = json_object_new();

        for (guint i = 0; i < approvals->list->len; i++) {
                const Approval *approval = g_ptr_array_index(approvals->list, i);
                JsonObject *object = json_object_new();

                json_object_set_string_member(object, "manifest_sha256", approval->digest);
                json_object_set_array_member(object, "permissions", array_of(approval->permissions));
                json_object_set_array_member(object, "terms", array_of(approval->terms));
                json_array_add_object_element(array, object);
        }
        json_object_set_array_member(root, "approved", array);
        json_node_take_object(json_node_init(node, JSON_NODE_OBJECT), root);
        return json_text_pretty(node);
}

char **approvals_terms_of(const Manifest *manifest) {
        GPtrArray *terms = g_ptr_array_new();

        g_ptr_array_add(terms, g_strconcat(PROGRAM, manifest->exec_written, NULL));
        for (char **contract = manifest->contracts; *contract; contract++)
                g_ptr_array_add(terms, g_strconcat(CONTRACT, *contract, NULL));
        for (guint i = 0; i < manifest->events->len; i++) {
                const ManifestEvent *event = g_ptr_array_index(manifest->events, i);

                if (event->enabled)
                        g_ptr_array_add(terms, g_strconcat(EVENT, event->type, NULL));
        }
        g_ptr_array_add(terms, NULL);
        return (char **) g_ptr_array_free(terms, FALSE);
}

static gboolean contains(char *const *list, const char *text) {
        return g_strv_contains((const char *const *) list, text);
}

/* "event:custom.*" has all below it. */
static gboolean has_term(const Approval *approval, const char *term) {
        for (char **one = approval->terms; *one; one++)
                if (g_str_equal(*one, term) || (g_str_has_prefix(*one, EVENT) && g_str_has_suffix(*one, ".*") &&
                                                strncmp(*one, term, strlen(*one) - 1) == 0))
                        return TRUE;
        return FALSE;
}

/* What the manifest says beyond the terms; NULL: nothing. */
static char *beyond(const Approval *approval, char *const *terms) {
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
        g_auto(GStrv) list = NULL;

        for (; *terms; terms++)
                if (!has_term(approval, *terms))
                        g_strv_builder_add(builder, *terms);
        list = g_strv_builder_end(builder);
        return list[0] ? g_strjoinv(", ", list) : NULL;
}

static gboolean is_of(const Approval *approval, const Manifest *manifest) {
        return g_strcmp0(approval->digest, manifest->digest) == 0;
}

static gboolean covers(const Approval *approval, const Manifest *manifest) {
        g_auto(GStrv) terms = NULL;
        g_autofree char *more = NULL;

        if (!approval->terms || !approval->terms[0])
                return is_of(approval, manifest);
        terms = approvals_terms_of(manifest);
        more = beyond(approval, terms);
        return !more;
}

static void leave_out(Approval *approval, gboolean (*keep)(const char *permission, void *userdata), void *userdata,
                      GPtrArray *dropped) {
        g_autoptr(GStrvBuilder) kept = g_strv_builder_new();

        for (char **permission = approval->permissions; *permission; permission++)
                if (keep(*permission, userdata))
                        g_strv_builder_add(kept, *permission);
                else if (!g_ptr_array_find_with_equal_func(dropped, *permission, g_str_equal, NULL))
                        g_ptr_array_add(dropped, g_strdup(*permission));
        g_strfreev(approval->permissions);
        approval->permissions = g_strv_builder_end(kept);
}

char **approvals_narrow(Approvals *approvals, gboolean (*keep)(const char *permission, void *userdata),
                        void *userdata) {
        GPtrArray *dropped = g_ptr_array_new();

        for (guint i = approvals->list->len; i-- > 0;) {
                Approval *approval = g_ptr_array_index(approvals->list, i);

                leave_out(approval, keep, userdata, dropped);
                if (!approval->permissions[0])
                        g_ptr_array_remove_index(approvals->list, i);
        }
        g_ptr_array_add(dropped, NULL);
        return (char **) g_ptr_array_free(dropped, FALSE);
}

static gboolean grants_no_more(const Approval *approval, const Approval *than) {
        g_autofree char *more = approval->terms ? beyond(than, approval->terms) : NULL;

        for (char **permission = approval->permissions; *permission; permission++)
                if (!contains(than->permissions, *permission))
                        return FALSE;
        return approval->terms && approval->terms[0] && !more;
}

typedef struct Choice {
        const Manifest *manifest;
        const char *const *permissions;
} Choice;

static gboolean chosen_or_not_asked(const char *permission, void *userdata) {
        const Choice *choice = userdata;

        return g_strv_contains(choice->permissions, permission) ||
               !contains(choice->manifest->permissions, permission);
}

void approvals_approve(Approvals *approvals, const Manifest *manifest, const char *const *permissions) {
        Choice choice = { manifest, permissions };
        Approval *approval = g_new(Approval, 1);

        g_strfreev(approvals_narrow(approvals, chosen_or_not_asked, &choice));
        *approval = (Approval){ g_strdup(manifest->digest), g_strdupv((char **) permissions),
                                approvals_terms_of(manifest) };
        for (guint i = approvals->list->len; i-- > 0;) {
                const Approval *other = g_ptr_array_index(approvals->list, i);

                if (is_of(other, manifest) || grants_no_more(other, approval))
                        g_ptr_array_remove_index(approvals->list, i);
        }
        if (!permissions[0]) {
                approval_free(approval);
                return;
        }
        if (approvals->list->len >= APPROVALS_MAX)
                g_ptr_array_remove_index(approvals->list, 0);
        g_ptr_array_add(approvals->list, approval);
}

gboolean approvals_include(const Approvals *approvals, const Manifest *manifest, const char *permission) {
        for (guint i = 0; i < approvals->list->len; i++) {
                const Approval *approval = g_ptr_array_index(approvals->list, i);

                if (contains(approval->permissions, permission) && covers(approval, manifest))
                        return TRUE;
        }
        return FALSE;
}

/* The last one is what somebody remembers. */
char *approvals_obstacle(const Approvals *approvals, const Manifest *manifest, const char *permission) {
        if (approvals_include(approvals, manifest, permission))
                return NULL;
        for (guint i = approvals->list->len; i-- > 0;) {
                const Approval *approval = g_ptr_array_index(approvals->list, i);
                g_auto(GStrv) terms = NULL;
                g_autofree char *more = NULL;

                if (!contains(approval->permissions, permission))
                        continue;
                if (!approval->terms || !approval->terms[0])
                        return g_strdup("it was approved of another plugin.json");
                terms = approvals_terms_of(manifest);
                more = beyond(approval, terms);
                return g_strdup_printf("it was approved of a plugin.json without %s", more);
        }
        return NULL;
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
