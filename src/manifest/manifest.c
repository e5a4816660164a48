/* SPDX-License-Identifier: Apache-2.0 */

#include "manifest/manifest.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/event-types.h"
#include "base/names.h"
#include "manifest/permission.h"
#include "util/json.h"
#include "util/line.h"
#include "util/version-range.h"
#include "util/version.h"

#define TEXT_MAX 4096U
#define LIST_MAX 64U
#define PRIORITY_MAX 1000000

G_DEFINE_QUARK(snooze-manifest-error, manifest_error)

const char *const manifest_contract_names[] = { "IdleCheck",     "EventHandler",   "EventSource", "CloudProvider",
                                                "State",     "DataProcessor",  "RequestHandler", NULL };
static const char *const runtime_names[] = { "dbus", "native", "jsonrpc", "http", "grpc", NULL };
static const char *const isolation_names[] = { "none", "process", "container", NULL };

static void event_free(void *data) {
        ManifestEvent *event = data;

        g_free(event->type);
        g_free(event);
}

static void dependency_free(void *data) {
        ManifestDependency *dependency = data;

        g_free(dependency->name);
        g_free(dependency->version);
        g_free(dependency);
}

Manifest *manifest_ref(Manifest *manifest) {
        manifest->others++;
        return manifest;
}

void manifest_free(Manifest *manifest) {
        if (!manifest)
                return;
        if (manifest->others > 0) {
                manifest->others--;
                return;
        }
        g_free(manifest->id);
        g_free(manifest->path);
        g_free(manifest->directory);
        g_free(manifest->digest);
        g_free(manifest->display_name);
        g_free(manifest->version);
        g_free(manifest->author);
        g_free(manifest->description);
        g_free(manifest->category);
        g_free(manifest->repository);
        g_free(manifest->homepage);
        g_free(manifest->min_host_version);
        g_free(manifest->type);
        g_free(manifest->language);
        g_free(manifest->process_model);
        g_free(manifest->runtime);
        g_free(manifest->isolation);
        g_free(manifest->image);
        g_strfreev(manifest->tags);
        g_strfreev(manifest->contracts);
        g_strfreev(manifest->permissions);
        g_free(manifest->exec);
        g_free(manifest->exec_written);
        g_free(manifest->schema_text);
        schema_free(manifest->schema);
        g_ptr_array_unref(manifest->events);
        g_ptr_array_unref(manifest->dependencies);
        g_free(manifest);
}

static gboolean invalid(GError **error, const Manifest *manifest, const char *pointer, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

static gboolean invalid(GError **error, const Manifest *manifest, const char *pointer, const char *format, ...) {
        g_autofree char *text = NULL;
        va_list ap;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_INVALID, "%s: /%s: %s", manifest->path, pointer, text);
        return FALSE;
}

/* Of an element of a list. */
static char *element_of(const char *key, size_t i) {
        return g_strdup_printf("%s/%zu", key, i);
}

/* Shown to people on terminals, next to what they are asked to approve: nothing that moves a cursor or turns text
 * around. */
static const char *text_value(JsonNode *node) {
        const char *text;

        if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_STRING)
                return NULL;
        text = json_node_get_string(node);
        if (strlen(text) > TEXT_MAX)
                return NULL;
        for (const char *c = text; *c; c = g_utf8_next_char(c))
                if (character_steers(g_utf8_get_char(c)))
                        return NULL;
        return text;
}

static gboolean read_text(Manifest *manifest, const char *key, JsonNode *node, void *target, GError **error) {
        const char *text = text_value(node);

        if (!text)
                return invalid(error, manifest, key, "expected a line of text of at most %u bytes", TEXT_MAX);
        g_free(*(char **) target);
        *(char **) target = g_strdup(text);
        return TRUE;
}

static gboolean read_list(Manifest *manifest, const char *key, JsonNode *node, void *target, GError **error) {
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
        JsonArray *array;

        if (!JSON_NODE_HOLDS_ARRAY(node) || json_array_get_length(json_node_get_array(node)) > LIST_MAX)
                return invalid(error, manifest, key, "expected a list of at most %u strings", LIST_MAX);
        array = json_node_get_array(node);
        for (guint i = 0; i < json_array_get_length(array); i++) {
                const char *text = text_value(json_array_get_element(array, i));
                g_autofree char *place = element_of(key, i);

                if (!text || !*text)
                        return invalid(error, manifest, place, "expected a line of text of 1 to %u bytes", TEXT_MAX);
                g_strv_builder_add(builder, text);
        }
        g_strfreev(*(char ***) target);
        *(char ***) target = g_strv_builder_end(builder);
        return TRUE;
}

static gboolean read_boolean(Manifest *manifest, const char *key, JsonNode *node, void *target, GError **error) {
        if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_BOOLEAN)
                return invalid(error, manifest, key, "expected true or false");
        *(gboolean *) target = json_node_get_boolean(node);
        return TRUE;
}

static gboolean is_number(JsonNode *node) {
        return JSON_NODE_HOLDS_VALUE(node) &&
               (json_node_get_value_type(node) == G_TYPE_INT64 || json_node_get_value_type(node) == G_TYPE_DOUBLE);
}

static gboolean read_number(Manifest *manifest, const char *key, JsonNode *node, double minimum, double maximum,
                            double *ret, GError **error) {
        if (!is_number(node) || !(json_node_get_double(node) >= minimum && json_node_get_double(node) <= maximum))
                return invalid(error, manifest, key, "expected a number from %.12g to %.12g", minimum, maximum);
        *ret = json_node_get_double(node);
        return TRUE;
}

/* 1.5 of something that is counted would be another number than what stands there. */
static gboolean read_whole(Manifest *manifest, const char *key, JsonNode *node, double minimum, double maximum,
                           double *ret, GError **error) {
        double number;

        if (!read_number(manifest, key, node, minimum, maximum, &number, error))
                return FALSE;
        if (number != trunc(number))
                return invalid(error, manifest, key, "got %.12g, expected a whole number", number);
        *ret = number;
        return TRUE;
}

/* Of a page that a browser may be handed. */
static gboolean is_web_address(const char *text) {
        g_autofree char *scheme = NULL, *host = NULL;

        for (const char *c = text; *c; c++)
                if (!g_ascii_isgraph(*c))
                        return FALSE;
        return g_uri_split(text, G_URI_FLAGS_NONE, &scheme, NULL, &host, NULL, NULL, NULL, NULL, NULL) && scheme &&
                (g_str_equal(scheme, "http") || g_str_equal(scheme, "https")) && host && *host;
}

static gboolean read_homepage(Manifest *manifest, const char *key, JsonNode *node, void *target, GError **error) {
        if (!read_text(manifest, key, node, target, error))
                return FALSE;
        if (*manifest->homepage && !is_web_address(manifest->homepage))
                return invalid(error, manifest, key, "expected an address that begins with https:// or http://");
        return TRUE;
}

gboolean manifest_api_served(uint32_t host, uint32_t api) {
        return api > 0 && (api == host || api + 1 == host);
}

char *manifest_api_expected(uint32_t host) {
        return host > 1 ? g_strdup_printf("%u or %u", host - 1, host) : g_strdup_printf("%u", host);
}

static gboolean read_api(Manifest *manifest, const char *key, JsonNode *node, void *target, GError **error) {
        g_autofree char *expected = manifest_api_expected(PLUGIN_API_VERSION);
        double api = is_number(node) ? json_node_get_double(node) : 0;

        if (!(api > 0 && api <= UINT32_MAX && api == trunc(api)) ||
            !manifest_api_served(PLUGIN_API_VERSION, (uint32_t) api))
                return invalid(error, manifest, key, "expected %s", expected);
        return TRUE;
}

static gboolean read_schema(Manifest *manifest, const char *key, JsonNode *node, void *target, GError **error) {
        g_autofree char *name = g_strdup_printf("%s: /config_schema", manifest->path);

        if (!JSON_NODE_HOLDS_OBJECT(node))
                return invalid(error, manifest, key, "expected an object: name → {type, description, …}");
        g_clear_pointer(&manifest->schema, schema_free);
        manifest->schema = schema_parse(name, json_node_get_object(node), error);
        g_free(manifest->schema_text);
        manifest->schema_text = json_text_compact(node);
        return manifest->schema != NULL;
}

static gboolean add_dependency(Manifest *manifest, const char *place, const char *name, JsonNode *version,
                               GError **error) {
        ManifestDependency *dependency;

        if (!plugin_id_valid(name) || !version || !text_value(version))
                return invalid(error, manifest, place, "expected the id of a plugin with a version range");
        if (!version_range_valid(text_value(version)))
                return invalid(error, manifest, place,
                               "%s: got %s, expected a range of versions like >=1.2 <2, ~1.4 or ^1", name,
                               text_value(version));
        if (g_str_equal(name, manifest->id))
                return invalid(error, manifest, place, "it depends on itself");
        for (guint i = 0; i < manifest->dependencies->len; i++)
                if (g_str_equal(((const ManifestDependency *) g_ptr_array_index(manifest->dependencies, i))->name,
                                name))
                        return invalid(error, manifest, place, "%s stands there twice", name);
        dependency = g_new0(ManifestDependency, 1);
        dependency->name = g_strdup(name);
        dependency->version = g_strdup(text_value(version));
        g_ptr_array_add(manifest->dependencies, dependency);
        return TRUE;
}

/* [{"name": …, "version": …}], as in seed 002's type. */
static gboolean read_dependencies(Manifest *manifest, const char *key, JsonNode *node, void *target, GError **error) {
        JsonArray *array;

        if (!JSON_NODE_HOLDS_ARRAY(node) || json_array_get_length(json_node_get_array(node)) > LIST_MAX)
                return invalid(error, manifest, key, "expected a list of at most %u {name, version}", LIST_MAX);
        array = json_node_get_array(node);
        for (guint i = 0; i < json_array_get_length(array); i++) {
                JsonNode *element = json_array_get_element(array, i);
                JsonObject *object = JSON_NODE_HOLDS_OBJECT(element) ? json_node_get_object(element) : NULL;
                g_autofree char *place = element_of(key, i);

                if (!object || json_object_get_size(object) != 2)
                        return invalid(error, manifest, place, "expected {name, version}");
                if (!add_dependency(manifest, place, json_get_string(object, "name", ""),
                                    json_object_get_member(object, "version"), error))
                        return FALSE;
        }
        return TRUE;
}

static gboolean add_event(Manifest *manifest, const char *type, JsonNode *node, GError **error) {
        g_autofree char *pointer = g_strdup_printf("events/%s", type);
        ManifestEvent *event;
        JsonObjectIter iter;
        double priority = 0;
        const char *key;
        JsonNode *value;

        if (!JSON_NODE_HOLDS_OBJECT(node))
                return invalid(error, manifest, pointer, "expected an object: {priority, enabled, moves}");
        /* One that is misspelt would never be handled. */
        if (!event_pattern_known(type))
                return invalid(error, manifest, pointer,
                               "no event is of this type, expected one of snooze-plugin.json(5), custom, or "
                               "custom.NAME; .* at the end "
                               "stands for all that begin so");

        event = g_new0(ManifestEvent, 1);
        event->type = g_strdup(type);
        event->enabled = TRUE;
        g_ptr_array_add(manifest->events, event);

        json_object_iter_init(&iter, json_node_get_object(node));
        while (json_object_iter_next(&iter, &key, &value)) {
                g_autofree char *place = g_strconcat(pointer, "/", key, NULL);

                if (g_str_equal(key, "enabled")) {
                        if (!read_boolean(manifest, place, value, &event->enabled, error))
                                return FALSE;
                } else if (g_str_equal(key, "moves")) {
                        if (!read_boolean(manifest, place, value, &event->moves, error))
                                return FALSE;
                } else if (g_str_equal(key, "priority")) {
                        if (!read_whole(manifest, place, value, -PRIORITY_MAX, PRIORITY_MAX, &priority, error))
                                return FALSE;
                } else
                        return invalid(error, manifest, pointer, "unknown key %s, expected priority, enabled or moves",
                                       key);
        }
        event->priority = (int) priority;
        return TRUE;
}

static gboolean read_events(Manifest *manifest, const char *key, JsonNode *node, void *target, GError **error) {
        JsonObjectIter iter;
        const char *type;
        JsonNode *value;

        if (!JSON_NODE_HOLDS_OBJECT(node) || json_object_get_size(json_node_get_object(node)) > LIST_MAX)
                return invalid(error, manifest, key, "expected at most %u: type → {priority, enabled, moves}",
                               LIST_MAX);
        json_object_iter_init_ordered(&iter, json_node_get_object(node));
        while (json_object_iter_next_ordered(&iter, &type, &value))
                if (!add_event(manifest, type, value, error))
                        return FALSE;
        return TRUE;
}

static gboolean read_limits(Manifest *manifest, const char *key, JsonNode *node, void *target, GError **error) {
        JsonObjectIter iter;
        const char *name;
        JsonNode *value;
        double number;

        if (!JSON_NODE_HOLDS_OBJECT(node))
                return invalid(error, manifest, key, "expected {memory_mb, cpu_percent, tasks}");
        json_object_iter_init(&iter, json_node_get_object(node));
        while (json_object_iter_next(&iter, &name, &value)) {
                g_autofree char *pointer = g_strdup_printf("limits/%s", name);

                if (g_str_equal(name, "memory_mb")) {
                        if (!read_number(manifest, pointer, value, 1, 1 << 20, &number, error))
                                return FALSE;
                        manifest->memory_max = (uint64_t) (number * 1024 * 1024);
                } else if (g_str_equal(name, "cpu_percent")) {
                        if (!read_number(manifest, pointer, value, 1, 100000, &manifest->cpu_percent, error))
                                return FALSE;
                } else if (g_str_equal(name, "tasks")) {
                        if (!read_whole(manifest, pointer, value, 1, 1 << 22, &number, error))
                                return FALSE;
                        manifest->tasks_max = (uint64_t) number;
                } else
                        return invalid(error, manifest, pointer, "unknown, expected memory_mb, cpu_percent or tasks");
        }
        return TRUE;
}

static gboolean read_timeout(Manifest *manifest, const char *name, JsonNode *value, GError **error) {
        g_autofree char *pointer = g_strdup_printf("timeouts/%s", name);
        PluginTimeout timeout = plugin_timeout_find(name);
        double seconds;

        if (timeout == TIMEOUT_COUNT)
                return invalid(error, manifest, pointer, "unknown, expected one of " PLUGIN_TIMEOUT_NAMES);
        if (!read_number(manifest, pointer, value, PLUGIN_TIMEOUT_SECONDS_MIN, PLUGIN_TIMEOUT_SECONDS_MAX, &seconds,
                         error))
                return FALSE;
        manifest->timeouts[timeout] = (uint64_t) (seconds * USEC_PER_SEC);
        return TRUE;
}

static gboolean read_timeouts(Manifest *manifest, const char *key, JsonNode *node, void *target, GError **error) {
        JsonObjectIter iter;
        const char *name;
        JsonNode *value;

        if (!JSON_NODE_HOLDS_OBJECT(node))
                return invalid(error, manifest, key, "expected an object: name → seconds");
        json_object_iter_init(&iter, json_node_get_object(node));
        while (json_object_iter_next(&iter, &name, &value))
                if (!read_timeout(manifest, name, value, error))
                        return FALSE;
        return TRUE;
}

typedef struct ManifestKey {
        const char *name;
        gboolean (*read)(Manifest *manifest, const char *key, JsonNode *node, void *target, GError **error);
        size_t offset;
} ManifestKey;

#define FIELD(member) offsetof(Manifest, member)

static const ManifestKey manifest_keys[] = {
        { "name", NULL, 0 }, /* must repeat the directory's name */
        { "display_name", read_text, FIELD(display_name) },
        { "version", read_text, FIELD(version) },
        { "author", read_text, FIELD(author) },
        { "description", read_text, FIELD(description) },
        { "category", read_text, FIELD(category) },
        { "tags", read_list, FIELD(tags) },
        { "repository", read_text, FIELD(repository) },
        { "homepage", read_homepage, FIELD(homepage) },
        { "official", read_boolean, FIELD(official) },
        { "enabled_by_default", read_boolean, FIELD(enabled_by_default) },
        { "config_schema", read_schema, 0 },
        { "dependencies", read_dependencies, 0 },
        { "min_host_version", read_text, FIELD(min_host_version) },
        { "type", read_text, FIELD(type) },
        { "language", read_text, FIELD(language) },
        { "process_model", read_text, FIELD(process_model) },
        { "api", read_api, 0 },
        { "runtime", read_text, FIELD(runtime) },
        { "isolation", read_text, FIELD(isolation) },
        { "exec", read_text, FIELD(exec) },
        { "image", read_text, FIELD(image) },
        { "contracts", read_list, FIELD(contracts) },
        { "events", read_events, 0 },
        { "permissions", read_list, FIELD(permissions) },
        { "limits", read_limits, 0 },
        { "timeouts", read_timeouts, 0 },
};

static gboolean read_name(const Manifest *manifest, JsonNode *node, GError **error) {
        const char *name = text_value(node);

        if (!name || !g_str_equal(name, manifest->id))
                return invalid(error, manifest, "name", "got %s, expected the directory's name, %s",
                               name ? name : "no string", manifest->id);
        return TRUE;
}

static gboolean unknown_key(const Manifest *manifest, const char *key, GError **error) {
        g_autoptr(GString) names = g_string_new(NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(manifest_keys); i++)
                g_string_append_printf(names, "%s%s", i > 0 ? ", " : "", manifest_keys[i].name);
        return invalid(error, manifest, key, "unknown key, expected one of %s", names->str);
}

static gboolean read_members(Manifest *manifest, JsonObject *object, GError **error) {
        JsonObjectIter iter;
        const char *key;
        JsonNode *node;

        json_object_iter_init(&iter, object);
        while (json_object_iter_next(&iter, &key, &node)) {
                const ManifestKey *known = NULL;

                for (size_t i = 0; i < G_N_ELEMENTS(manifest_keys) && !known; i++)
                        if (g_str_equal(key, manifest_keys[i].name))
                                known = &manifest_keys[i];
                if (!known)
                        return unknown_key(manifest, key, error);
                if (known->read ? !known->read(manifest, key, node, (char *) manifest + known->offset, error)
                                : !read_name(manifest, node, error))
                        return FALSE;
        }
        return TRUE;
}

static gboolean one_of(const Manifest *manifest, const char *key, const char *value, const char *const *known,
                       GError **error) {
        g_autofree char *list = NULL;

        if (g_strv_contains(known, value))
                return TRUE;
        list = g_strjoinv(", ", (char **) known);
        return invalid(error, manifest, key, "got %s, expected one of %s", value, list);
}

static gboolean check_repetition(const Manifest *manifest, const char *key, char **list, GError **error) {
        for (char **each = list; *each; each++)
                for (char **other = list; other < each; other++)
                        if (g_str_equal(*other, *each)) {
                                g_autofree char *place = element_of(key, (size_t) (each - list));

                                return invalid(error, manifest, place, "%s stands there twice", *each);
                        }
        return TRUE;
}

static gboolean check_permissions(const Manifest *manifest, GError **error) {
        const char *excess;

        for (size_t i = 0; manifest->permissions[i]; i++) {
                const char *problem = permission_problem(manifest->permissions[i]);
                g_autofree char *place = element_of("permissions", i);

                if (problem)
                        return invalid(error, manifest, place, "got %s, %s", manifest->permissions[i], problem);
        }
        excess = permissions_excess((const char *const *) manifest->permissions);
        if (excess)
                return invalid(error, manifest, "permissions", "%s", excess);
        return check_repetition(manifest, "permissions", manifest->permissions, error);
}

static gboolean check_contracts(const Manifest *manifest, GError **error) {
        if (!manifest->contracts[0])
                return invalid(error, manifest, "contracts", "expected at least one");
        for (size_t i = 0; manifest->contracts[i]; i++) {
                g_autofree char *place = element_of("contracts", i);

                if (!one_of(manifest, place, manifest->contracts[i], manifest_contract_names, error))
                        return FALSE;
        }
        if (!check_repetition(manifest, "contracts", manifest->contracts, error))
                return FALSE;
        if (manifest->events->len > 0 && !manifest_has_contract(manifest, "EventHandler"))
                return invalid(error, manifest, "events", "expected the contract EventHandler with them");
        return TRUE;
}

static gboolean check_versions(const Manifest *manifest, GError **error) {
        if (!version_valid(manifest->version))
                return invalid(error, manifest, "version", "got %s, expected a version like 1.2.3", manifest->version);
        if (!*manifest->min_host_version)
                return TRUE;
        if (!version_valid(manifest->min_host_version))
                return invalid(error, manifest, "min_host_version", "got %s, expected a version like 1.2.3",
                               manifest->min_host_version);
        if (version_compare(manifest->min_host_version, PACKAGE_VERSION) > 0)
                return invalid(error, manifest, "min_host_version", "asks for CloudSnooze %s, this is %s",
                               manifest->min_host_version, PACKAGE_VERSION);
        return TRUE;
}

static gboolean check_manifest(const Manifest *manifest, GError **error) {
        return check_versions(manifest, error) && check_contracts(manifest, error) &&
                one_of(manifest, "runtime", manifest->runtime, runtime_names, error) &&
                one_of(manifest, "isolation", manifest->isolation, isolation_names, error) &&
                check_permissions(manifest, error);
}

static void set_default(char **field, const char *value) {
        if (!*field)
                *field = g_strdup(value);
}

static Manifest *manifest_new(const char *path, const char *id) {
        Manifest *manifest = g_new0(Manifest, 1);

        manifest->id = g_strdup(id);
        manifest->path = g_strdup(path);
        manifest->events = g_ptr_array_new_with_free_func(event_free);
        manifest->dependencies = g_ptr_array_new_with_free_func(dependency_free);
        for (size_t i = 0; i < TIMEOUT_COUNT; i++)
                manifest->timeouts[i] = (uint64_t) (plugin_timeouts[i].seconds * USEC_PER_SEC);
        return manifest;
}

static void fill_defaults(Manifest *manifest) {
        char **const empty[] = { &manifest->author,     &manifest->description, &manifest->category,
                                 &manifest->repository, &manifest->homepage,    &manifest->min_host_version,
                                 &manifest->type,       &manifest->language,    &manifest->process_model,
                                 &manifest->image,      &manifest->version };
        char ***const lists[] = { &manifest->tags, &manifest->contracts, &manifest->permissions };

        for (size_t i = 0; i < G_N_ELEMENTS(empty); i++)
                set_default(empty[i], "");
        for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
                if (!*lists[i])
                        *lists[i] = g_new0(char *, 1);
        set_default(&manifest->display_name, manifest->id);
        set_default(&manifest->runtime, "dbus");
        set_default(&manifest->isolation, "process");
        set_default(&manifest->exec, manifest->id);
        manifest->exec_written = g_strdup(manifest->exec);
        set_default(&manifest->schema_text, "{}");
        if (!manifest->schema)
                manifest->schema = schema_parse(manifest->path, NULL, NULL);
}

Manifest *manifest_refused(GError **error) {
        char *text;

        if (!error || !*error)
                return NULL;
        text = g_utf8_make_valid((*error)->message, -1);
        line_clean(text);
        g_free((*error)->message);
        (*error)->message = text;
        return NULL;
}

Manifest *manifest_parse(const char *path, const char *id, JsonNode *root, GError **error) {
        g_autoptr(Manifest) manifest = NULL;

        if (!id && JSON_NODE_HOLDS_OBJECT(root))
                id = json_get_string(json_node_get_object(root), "name", "");
        manifest = manifest_new(path, id ? id : "");
        if (!JSON_NODE_HOLDS_OBJECT(root)) {
                invalid(error, manifest, "", "expected an object");
                return manifest_refused(error);
        }
        if (!plugin_id_valid(manifest->id)) {
                invalid(error, manifest, "name", "expected " PLUGIN_ID_EXPECTED);
                return manifest_refused(error);
        }
        if (!read_members(manifest, json_node_get_object(root), error))
                return manifest_refused(error);
        fill_defaults(manifest);
        return check_manifest(manifest, error) ? g_steal_pointer(&manifest) : manifest_refused(error);
}

gboolean manifest_has_contract(const Manifest *manifest, const char *contract) {
        return g_strv_contains((const char *const *) manifest->contracts, contract);
}

char *manifest_unserved(const Manifest *manifest) {
        if (!g_str_equal(manifest->runtime, "dbus") && !g_str_equal(manifest->runtime, "native"))
                return g_strdup_printf("has the runtime %s, which this build does not serve", manifest->runtime);
        /* It may count on being shut in. */
        if (g_str_equal(manifest->isolation, "container"))
                return g_strdup("has the isolation container, which this build does not serve");
        return NULL;
}

const ManifestEvent *manifest_event(const Manifest *manifest, const char *type) {
        const ManifestEvent *best = NULL;

        for (guint i = 0; i < manifest->events->len; i++) {
                const ManifestEvent *event = g_ptr_array_index(manifest->events, i);
                size_t length = strlen(event->type);

                if (g_str_equal(event->type, type))
                        return event;
                if (g_str_has_suffix(event->type, ".*") && strncmp(event->type, type, length - 1) == 0 &&
                    (!best || strlen(best->type) < length))
                        best = event;
        }
        return best;
}
