/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/config/config.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/config/config-check.h"
#include "daemon/config/config-keys.h"
#include "util/json.h"

#define DEFAULT_TIMEOUT_SECONDS 5.0

G_DEFINE_QUARK(snooze-config-error-quark, config_error)

static const char *const policy_names[] = {
        [POLICY_REQUIRED] = "required",
        [POLICY_ADVISORY] = "advisory",
        [POLICY_SUFFICIENT] = "sufficient",
        [POLICY_OFF] = "off",
};

const char *policy_name(Policy policy) {
        return (gsize) policy < G_N_ELEMENTS(policy_names) ? policy_names[policy] : NULL;
}

static void *field(Config *config, const ConfigKey *key) {
        return (char *) config + key->offset;
}

static void config_free(Config *config) {
        for (gsize i = 0; i < config_keys_count; i++) {
                if (config_keys[i].type == KEY_STRING)
                        g_free(*(char **) field(config, &config_keys[i]));
                else if (config_keys[i].type == KEY_STRINGS)
                        g_strfreev(*(char ***) field(config, &config_keys[i]));
        }
        g_clear_pointer(&config->merged, json_object_unref);
        g_clear_pointer(&config->origins, g_hash_table_unref);
        g_strfreev(config->warnings);
        g_free(config);
}

Config *config_ref(Config *config) {
        g_ref_count_inc(&config->references);
        return config;
}

void config_unref(Config *config) {
        if (config && g_ref_count_dec(&config->references))
                config_free(config);
}

/* Walks a dotted name down the merged document. */
static JsonNode *lookup(JsonObject *object, const char *name) {
        const char *dot = strchr(name, '.');
        g_autofree char *first = g_strndup(name, dot ? (gsize) (dot - name) : strlen(name));
        JsonNode *node = json_object_get_member(object, first);

        if (!node || !dot)
                return node;
        return JSON_NODE_HOLDS_OBJECT(node) ? lookup(json_node_get_object(node), dot + 1) : NULL;
}

static char **strings_of(JsonNode *node) {
        JsonArray *array = node ? json_node_get_array(node) : NULL;
        guint n = array ? json_array_get_length(array) : 0;
        char **strings = g_new0(char *, n + 1);

        for (guint i = 0; i < n; i++)
                strings[i] = g_strdup(json_array_get_string_element(array, i));
        return strings;
}

/* The merged document is a merge of checked texts, so every member has its type here. */
static void fill(Config *config) {
        for (gsize i = 0; i < config_keys_count; i++) {
                const ConfigKey *key = &config_keys[i];
                JsonNode *node = lookup(config->merged, key->name);

                switch (key->type) {
                case KEY_NUMBER:
                        *(double *) field(config, key) = node ? json_node_get_double(node) : key->number;
                        break;
                case KEY_BOOLEAN:
                        *(gboolean *) field(config, key) = node ? json_node_get_boolean(node) : key->number != 0;
                        break;
                case KEY_STRING:
                        *(char **) field(config, key) = g_strdup(node ? json_node_get_string(node) : key->text);
                        break;
                case KEY_STRINGS:
                        *(char ***) field(config, key) = strings_of(node);
                        break;
                default:
                        break;
                }
        }

        if (config->provider_type[0] != '\0' && !lookup(config->merged, "provider")) {
                g_free(config->provider);
                config->provider = g_strdup(config->provider_type);
        }
}

/* Forgets the origins of a pointer and of everything below it. */
static gboolean below(gpointer key, gpointer value, gpointer userdata) {
        const char *pointer = key, *parent = userdata;
        gsize n = strlen(parent);

        return strncmp(pointer, parent, n) == 0 && (pointer[n] == '\0' || pointer[n] == '/');
}

static void note_origins(GHashTable *origins, const char *parent, JsonObject *object, const char *name) {
        JsonObjectIter iter;
        const char *member;
        JsonNode *node;

        json_object_iter_init(&iter, object);
        while (json_object_iter_next(&iter, &member, &node)) {
                g_autofree char *pointer = config_pointer(parent, member);

                if (JSON_NODE_HOLDS_OBJECT(node)) {
                        g_hash_table_remove(origins, pointer);
                        note_origins(origins, pointer, json_node_get_object(node), name);
                        continue;
                }
                g_hash_table_foreach_remove(origins, below, pointer);
                if (!JSON_NODE_HOLDS_NULL(node))
                        g_hash_table_insert(origins, steal(pointer), g_strdup(name));
        }
}

static JsonNode *empty_document(void) {
        JsonNode *node = json_node_new(JSON_NODE_OBJECT);

        json_node_take_object(node, json_object_new());
        return node;
}

static void merge_into(JsonNode **target, JsonNode *patch) {
        JsonNode *merged = json_merge_patch(*target, patch);

        json_node_unref(*target);
        *target = merged;
}

static gboolean add_text(JsonNode **merged, GHashTable *origins, GPtrArray *warnings, const ConfigText *text,
                         GError **error) {
        g_autoptr(GError) failure = NULL;
        g_autoptr(JsonNode) node = json_text_parse(text->name, text->text, -1, &failure);

        if (!node) {
                g_set_error_literal(error, CONFIG_ERROR, CONFIG_ERROR_SYNTAX, failure->message);
                return FALSE;
        }
        if (!config_check_text(text->name, node, warnings, error))
                return FALSE;
        note_origins(origins, "", json_node_get_object(node), text->name);
        merge_into(merged, node);
        return TRUE;
}

Config *config_parse(const ConfigText *texts, gsize n, GError **error) {
        g_autoptr(GHashTable) origins = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(JsonNode) merged = empty_document();
        g_autoptr(Config) config = NULL;
        JsonObject *plugins;

        for (gsize i = 0; i < n; i++)
                if (!add_text(&merged, origins, warnings, &texts[i], error))
                        return NULL;

        config = g_new0(Config, 1);
        g_ref_count_init(&config->references);
        config->merged = json_object_ref(json_node_get_object(merged));
        config->sources = json_get_object(config->merged, "sources");
        plugins = json_get_object(config->merged, "plugins");
        config->timeouts = plugins ? json_get_object(plugins, "timeouts") : NULL;
        config->origins = steal(origins);
        g_ptr_array_add(warnings, NULL);
        config->warnings = (char **) g_ptr_array_steal(warnings, NULL);
        fill(config);
        if (!config_check_conflicts(config, error))
                return NULL;
        return steal(config);
}

Config *config_new_default(void) {
        g_autoptr(GError) error = NULL;
        Config *config = config_parse(NULL, 0, &error);

        /* The defaults are ours: a test parses them, they cannot contradict each other. */
        g_assert_no_error(error);
        return config;
}

static JsonObject *source_entry(const Config *config, const char *name) {
        JsonNode *sources = lookup(config->merged, "sources");
        JsonNode *node = sources ? json_object_get_member(json_node_get_object(sources), name) : NULL;

        return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

static void apply_source(SourceConfig *source, JsonObject *entry) {
        const char *policy, *on_error;

        if (!entry)
                return;
        policy = json_get_string(entry, "policy", NULL);
        for (gsize i = 0; policy && i < G_N_ELEMENTS(policy_names); i++)
                if (g_str_equal(policy, policy_names[i]))
                        source->policy = (Policy) i;
        on_error = json_get_string(entry, "on_error", NULL);
        if (on_error)
                source->on_error = g_str_equal(on_error, "ignore") ? ON_ERROR_IGNORE : ON_ERROR_BUSY;
        source->timeout_seconds = json_get_double(entry, "timeout_seconds", source->timeout_seconds);
}

/* A full cache is no activity, and a habit no work. */
static const char *const advisory_sources[] = { "memory", "usage-pattern", NULL };

SourceConfig config_source(const Config *config, const char *source) {
        SourceConfig result = { .policy = POLICY_REQUIRED, .timeout_seconds = DEFAULT_TIMEOUT_SECONDS };
        const char *slash = strchr(source, '/');

        if (g_strv_contains(advisory_sources, source))
                result.policy = POLICY_ADVISORY;
        if (slash) {
                g_autofree char *id = g_strndup(source, (gsize) (slash - source));

                apply_source(&result, source_entry(config, id));
        }
        apply_source(&result, source_entry(config, source));
        if (g_str_equal(source, "gpu") && !config->gpu_monitoring_enabled)
                result.policy = POLICY_OFF;
        return result;
}

/* The older key of the first cloud, which has the least to say. */
static JsonNode *begin_plugin(const Config *config, const char *id) {
        JsonNode *node;

        if (!g_str_equal(id, "aws") || !config->aws_region || !*config->aws_region)
                return NULL;
        node = empty_document();
        json_object_set_string_member(json_node_get_object(node), "region", config->aws_region);
        return node;
}

/* Into what stands at `place`, which may have to be made first. */
static void take_back(JsonNode *patch, const char *place, const char *name) {
        g_auto(GStrv) parts = g_strsplit(place, ".", -1);
        JsonObject *object = json_node_get_object(patch);

        for (char **part = parts; *part; part++) {
                if (!json_object_has_member(object, *part))
                        json_object_set_object_member(object, *part, json_object_new());
                object = json_object_get_object_member(object, *part);
        }
        json_object_set_null_member(object, name);
}

/* Its subjects are chosen by whoever has its id. */
static gboolean is_of(const char *source, const char *id) {
        size_t length = strlen(id);

        return strncmp(source, id, length) == 0 && (source[length] == '\0' || source[length] == '/');
}

char *config_forget_plugin(const Config *config, const char *id) {
        static const char *const maps[] = { "plugins.plugin_configs", "plugins.timeouts", "providers", "sources" };
        static const char *const choices[] = { "provider", "provider_type" };
        g_autoptr(JsonNode) patch = empty_document();

        for (gsize i = 0; i < G_N_ELEMENTS(maps); i++) {
                JsonNode *map = lookup(config->merged, maps[i]);
                g_autoptr(GList) names = map ? json_object_get_members(json_node_get_object(map)) : NULL;

                for (GList *l = names; l; l = l->next)
                        if (is_of(l->data, id))
                                take_back(patch, maps[i], l->data);
        }
        for (gsize i = 0; i < G_N_ELEMENTS(choices); i++)
                if (g_strcmp0(json_get_string(config->merged, choices[i], NULL), id) == 0)
                        take_back(patch, "", choices[i]);
        return json_object_get_size(json_node_get_object(patch)) > 0 ? json_text_compact(patch) : NULL;
}

JsonObject *config_plugin(const Config *config, const char *id) {
        const char *const places[] = { "plugins.plugin_configs", "providers" };
        g_autoptr(JsonNode) merged = begin_plugin(config, id);

        for (gsize i = 0; i < G_N_ELEMENTS(places); i++) {
                JsonNode *map = lookup(config->merged, places[i]);
                JsonNode *node = map ? json_object_get_member(json_node_get_object(map), id) : NULL;

                if (!node)
                        continue;
                if (!merged)
                        merged = empty_document();
                merge_into(&merged, node);
                if (i == 0)
                        json_object_remove_member(json_node_get_object(merged), "events");
        }
        return merged ? json_object_ref(json_node_get_object(merged)) : NULL;
}

JsonObject *config_provider(const Config *config, const char *id) {
        JsonNode *map = lookup(config->merged, "providers");

        return map ? json_get_object(json_node_get_object(map), id) : NULL;
}

/* The member for this type, else that for the longest "….*" above it. */
static JsonObject *type_entry(JsonObject *map, const char *type) {
        g_autofree char *above = g_strdup(type);
        JsonObject *entry = map ? json_get_object(map, type) : NULL;
        char *dot;

        while (map && !entry && (dot = strrchr(above, '.'))) {
                g_autofree char *pattern = NULL;

                *dot = '\0';
                pattern = g_strconcat(above, ".*", NULL);
                entry = json_get_object(map, pattern);
        }
        return entry;
}

gboolean config_event_first(const Config *config, const char *type) {
        JsonNode *map = lookup(config->merged, "events");
        JsonObject *entry = map ? type_entry(json_node_get_object(map), type) : NULL;

        return entry && g_str_equal(json_get_string(entry, "mode", "all"), "first");
}

static JsonNode *handlers(const Config *config, const char *id) {
        JsonNode *map = lookup(config->merged, "plugins.plugin_configs");
        JsonObject *plugin = map ? json_get_object(json_node_get_object(map), id) : NULL;
        JsonNode *node = plugin ? json_object_get_member(plugin, "events") : NULL;

        return node && JSON_NODE_HOLDS_OBJECT(node) ? node : NULL;
}

gboolean config_event_handlers_equal(const Config *a, const Config *b, const char *id) {
        JsonNode *left = handlers(a, id), *right = handlers(b, id);

        return left && right ? json_node_equal(left, right) : left == right;
}

void config_event_handler(const Config *config, const char *id, const char *type, int *priority, gboolean *enabled) {
        JsonNode *map = handlers(config, id);
        JsonObject *entry = map ? type_entry(json_node_get_object(map), type) : NULL;

        if (!entry)
                return;
        *priority = (int) json_get_double(entry, "priority", *priority);
        *enabled = json_get_boolean(entry, "enabled", *enabled);
}

JsonObject *config_limits(const Config *config, const char *id) {
        JsonNode *map = lookup(config->merged, "plugins.limits");
        JsonNode *node = map ? json_object_get_member(json_node_get_object(map), id) : NULL;

        return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

uint64_t config_timeout(const Config *config, const char *id, PluginTimeout timeout) {
        JsonObject *source = timeout == TIMEOUT_CHECK && config->sources ? json_get_object(config->sources, id) : NULL;
        JsonObject *entry = config->timeouts ? json_get_object(config->timeouts, id) : NULL;
        double seconds = source ? json_get_double(source, "timeout_seconds", 0) : 0;

        if (seconds <= 0 && entry)
                seconds = json_get_double(entry, plugin_timeouts[timeout].name, 0);
        return (uint64_t) (seconds * (double) USEC_PER_SEC);
}

const char *config_origin(const Config *config, const char *pointer) {
        const char *origin = g_hash_table_lookup(config->origins, pointer);

        return origin ? origin : "default";
}
