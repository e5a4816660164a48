/* SPDX-License-Identifier: Apache-2.0 */

#include "manifest/schema.h"

#include <math.h>
#include <string.h>

#include "base/cleanup.h"
#include "manifest/manifest.h"
#include "util/json.h"
#include "util/number.h"
#include "util/secret.h"

#define INTEGER_EXACT_MAX 9007199254740992.0 /* beyond 2^53 a double skips integers */

/* A pattern is its author's, a value anybody's, and some pairs of them are tried for minutes (pcre2pattern(3)). A list
 * has so many strings that each of them gets less. */
#define PATTERN_STEPS "(*LIMIT_MATCH=10000)"
#define PATTERN_STEPS_OF_LIST "(*LIMIT_MATCH=1000)"

struct Schema {
        GPtrArray *settings;
        GHashTable *by_name; /* borrows from settings */
};

/* The first name of each type is what messages say; the others are how authors of other languages write it. */
static const struct {
        const char *name;
        SettingType type;
} type_names[] = {
        { "string", SETTING_STRING },   { "int", SETTING_INTEGER },  { "integer", SETTING_INTEGER },
        { "number", SETTING_NUMBER },   { "float", SETTING_NUMBER }, { "double", SETTING_NUMBER },
        { "boolean", SETTING_BOOLEAN }, { "bool", SETTING_BOOLEAN }, { "list", SETTING_LIST },
        { "array", SETTING_LIST },      { "strings", SETTING_LIST },
};

static const char *const type_expectation[SETTING_TYPE_COUNT] = {
        [SETTING_STRING] = "a string of at most " G_STRINGIFY(SETTING_TEXT_MAX) " bytes",
        [SETTING_INTEGER] = "a whole number",
        [SETTING_NUMBER] = "a number",
        [SETTING_BOOLEAN] = "true or false",
        [SETTING_LIST] = "a list of at most " G_STRINGIFY(SETTING_LIST_MAX) " strings of at most " G_STRINGIFY(
                SETTING_TEXT_MAX) " bytes",
};

static void setting_free(void *data) {
        Setting *setting = data;

        g_free(setting->name);
        g_free(setting->description);
        g_clear_pointer(&setting->fallback, json_node_unref);
        g_free(setting->constraints);
        g_strfreev(setting->choices);
        g_clear_pointer(&setting->pattern, g_regex_unref);
        g_free(setting);
}

void schema_free(Schema *schema) {
        if (!schema)
                return;
        g_hash_table_unref(schema->by_name);
        g_ptr_array_unref(schema->settings);
        g_free(schema);
}

GPtrArray *schema_settings(const Schema *schema) {
        return schema->settings;
}

const Setting *schema_find(const Schema *schema, const char *name) {
        return g_hash_table_lookup(schema->by_name, name);
}

static gboolean invalid(GError **error, const char *name, const char *member, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

static gboolean invalid(GError **error, const char *name, const char *member, const char *format, ...) {
        g_autofree char *text = NULL;
        va_list ap;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_INVALID, "%s/%s: %s", name, member, text);
        return FALSE;
}

static gboolean is_string(JsonNode *node) {
        return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING;
}

static gboolean is_boolean(JsonNode *node) {
        return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_BOOLEAN;
}

static gboolean is_number(JsonNode *node) {
        return JSON_NODE_HOLDS_VALUE(node) &&
               (json_node_get_value_type(node) == G_TYPE_INT64 || json_node_get_value_type(node) == G_TYPE_DOUBLE) &&
               isfinite(json_node_get_double(node));
}

static gboolean is_integer(JsonNode *node) {
        double value;

        if (!is_number(node))
                return FALSE;
        value = json_node_get_double(node);
        return value == floor(value) && fabs(value) <= INTEGER_EXACT_MAX;
}

static gboolean is_text(JsonNode *node) {
        return is_string(node) && strlen(json_node_get_string(node)) <= SETTING_TEXT_MAX;
}

/* Its elements are checked one by one. */
static gboolean is_list(JsonNode *node) {
        return JSON_NODE_HOLDS_ARRAY(node) && json_array_get_length(json_node_get_array(node)) <= SETTING_LIST_MAX;
}

static gboolean has_type(const Setting *setting, JsonNode *node) {
        switch (setting->type) {
        case SETTING_STRING:
                return is_text(node);
        case SETTING_INTEGER:
                return is_integer(node);
        case SETTING_NUMBER:
                return is_number(node);
        case SETTING_BOOLEAN:
                return is_boolean(node);
        case SETTING_LIST:
                return is_list(node);
        case SETTING_TYPE_COUNT:
                break;
        }
        return FALSE;
}

static gboolean text_fits(const Setting *setting, const char *text) {
        if (setting->choices && !g_strv_contains((const char *const *) setting->choices, text))
                return FALSE;
        return !setting->pattern || g_regex_match(setting->pattern, text, 0, NULL);
}

static gboolean fits(const Setting *setting, JsonNode *node) {
        if (setting->type == SETTING_STRING)
                return text_fits(setting, json_node_get_string(node));
        if (setting->has_range)
                return json_node_get_double(node) >= setting->minimum &&
                       json_node_get_double(node) <= setting->maximum;
        return TRUE;
}

/* What was got is shown, unless it is a secret, or stands in a list with one. */
static gboolean is_secret(const Setting *setting, JsonNode *value) {
        g_autofree char *text = json_text_compact(value);

        return setting->secret || name_sounds_secret(setting->name) || text_carries_credentials(text);
}

/* node: value, or an element of it. */
static gboolean refuse_value(const Setting *setting, const char *name, const char *place, JsonNode *value,
                             JsonNode *node, gboolean typed, GError **error) {
        SettingType type = node == value ? setting->type : SETTING_STRING;
        g_autofree char *got = is_secret(setting, value) ? g_strdup("a secret value") : json_text_compact(node);
        g_autofree char *shown = g_utf8_substring(got, 0, MIN(g_utf8_strlen(got, -1), 80));

        return invalid(error, name, place, "got %s, expected %s%s%s", shown, type_expectation[type],
                       typed ? " within " : "", typed ? setting->constraints : "");
}

static gboolean check_element(const Setting *setting, const char *name, const char *place, JsonNode *list, guint i,
                              GError **error) {
        JsonNode *node = json_array_get_element(json_node_get_array(list), i);
        gboolean typed = is_text(node);
        g_autofree char *element = NULL;

        if (typed && text_fits(setting, json_node_get_string(node)))
                return TRUE;
        element = g_strdup_printf("%s/%u", place, i);
        return refuse_value(setting, name, element, list, node, typed, error);
}

/* place: where it stands in what is called name. */
static gboolean check_value(const Setting *setting, const char *name, const char *place, JsonNode *node,
                            GError **error) {
        gboolean typed = has_type(setting, node);

        if (!typed || !fits(setting, node))
                return refuse_value(setting, name, place, node, node, typed, error);
        for (guint i = 0; setting->type == SETTING_LIST && i < json_array_get_length(json_node_get_array(node)); i++)
                if (!check_element(setting, name, place, node, i, error))
                        return FALSE;
        return TRUE;
}

static gboolean parse_bound(const char *text, size_t length, double *ret) {
        g_autofree char *copy = g_strstrip(g_strndup(text, length));

        return number_parse(copy, ret);
}

/* min..max, either may be left out; a|b|c; /regex/. */
static gboolean parse_constraints(Setting *setting, const char *name, const char *text, GError **error) {
        size_t length = strlen(text);
        const char *dots = strstr(text, "..");

        if (length >= 2 && text[0] == '/' && text[length - 1] == '/') {
                g_autofree char *inside = g_strndup(text + 1, length - 2);
                g_autofree char *pattern = g_strconcat(
                        setting->type == SETTING_LIST ? PATTERN_STEPS_OF_LIST : PATTERN_STEPS, inside, NULL);
                g_autoptr(GError) e = NULL;

                if (setting->type != SETTING_STRING && setting->type != SETTING_LIST)
                        return invalid(error, name, setting->name, "a /regex/ constrains strings only");
                /* Where there are two such settings the later one counts. */
                if (g_str_has_prefix(inside, "(*"))
                        return invalid(error, name, setting->name, "constraints: a /regex/ does not begin with (*");
                /* First as its author wrote it, for the words of a refusal. */
                setting->pattern = g_regex_new(inside, G_REGEX_DOLLAR_ENDONLY, 0, &e);
                if (!setting->pattern)
                        return invalid(error, name, setting->name, "constraints: %s", e->message);
                g_regex_unref(setting->pattern);
                setting->pattern = g_regex_new(pattern, G_REGEX_DOLLAR_ENDONLY, 0, &e);
                return setting->pattern ? TRUE : invalid(error, name, setting->name, "constraints: %s", e->message);
        }
        if ((setting->type == SETTING_INTEGER || setting->type == SETTING_NUMBER) && dots) {
                setting->minimum = -INFINITY;
                setting->maximum = INFINITY;
                if ((dots > text && !parse_bound(text, (size_t) (dots - text), &setting->minimum)) ||
                    (dots[2] && !parse_bound(dots + 2, strlen(dots + 2), &setting->maximum)) ||
                    setting->minimum > setting->maximum)
                        return invalid(error, name, setting->name, "constraints: got %s, expected min..max", text);
                setting->has_range = TRUE;
                return TRUE;
        }
        if (setting->type == SETTING_STRING || setting->type == SETTING_LIST) {
                setting->choices = g_strsplit(text, "|", -1);
                return TRUE;
        }
        return invalid(error, name, setting->name, "constraints: got %s, expected min..max, a|b|c or /regex/", text);
}

static gboolean parse_type(Setting *setting, const char *name, JsonNode *node, GError **error) {
        if (node && is_string(node))
                for (size_t i = 0; i < G_N_ELEMENTS(type_names); i++)
                        if (g_str_equal(json_node_get_string(node), type_names[i].name)) {
                                setting->type = type_names[i].type;
                                return TRUE;
                        }
        return invalid(error, name, setting->name, "type: expected string, integer, number, boolean or list");
}

static gboolean check_description_keys(const Setting *setting, const char *name, JsonObject *object, GError **error) {
        static const struct {
                const char *key;
                gboolean (*valid)(JsonNode *node);
                const char *expected;
        } keys[] = {
                { "description", is_string, "a string" },    { "constraints", is_string, "a string" },
                { "required", is_boolean, "true or false" }, { "secret", is_boolean, "true or false" },
                { "type", is_string, "a string" },           { "default", NULL, NULL },
        };
        JsonObjectIter iter;
        const char *key;
        JsonNode *node;

        json_object_iter_init(&iter, object);
        while (json_object_iter_next(&iter, &key, &node)) {
                size_t i;

                for (i = 0; i < G_N_ELEMENTS(keys); i++)
                        if (g_str_equal(key, keys[i].key))
                                break;
                if (i == G_N_ELEMENTS(keys))
                        return invalid(
                                error, name, setting->name,
                                "unknown key %s, expected type, description, default, required, constraints or secret",
                                key);
                if (keys[i].valid && !keys[i].valid(node))
                        return invalid(error, name, setting->name, "%s: expected %s", key, keys[i].expected);
        }
        return TRUE;
}

static gboolean valid_name(const char *name) {
        size_t length = strlen(name);

        if (length == 0 || length > SETTING_NAME_MAX || !(g_ascii_isalpha(name[0]) || name[0] == '_'))
                return FALSE;
        for (; *name; name++)
                if (!g_ascii_isalnum(*name) && *name != '_' && *name != '-')
                        return FALSE;
        return TRUE;
}

/* SNOOZE_<NAME>, upper case, every - as _. */
static char *variable_of(const char *name) {
        return g_strdelimit(g_ascii_strup(name, -1), "-", '_');
}

/* The first of that name. */
static const Setting *find_variable(const Schema *schema, const char *variable) {
        for (guint i = 0; i < schema->settings->len; i++) {
                const Setting *setting = g_ptr_array_index(schema->settings, i);
                g_autofree char *upper = variable_of(setting->name);

                if (g_str_equal(upper, variable))
                        return setting;
        }
        return NULL;
}

static gboolean parse_setting(Schema *schema, const char *name, const char *member, JsonNode *node, GError **error) {
        Setting *setting = g_new0(Setting, 1);
        g_autofree char *variable = NULL;
        const char *constraints;
        const Setting *other;
        JsonObject *object;
        JsonNode *fallback;

        setting->name = g_strdup(member);
        g_ptr_array_add(schema->settings, setting);
        g_hash_table_insert(schema->by_name, setting->name, setting);

        if (!valid_name(member))
                return invalid(error, name, member, "a setting's name is letters, digits, _ and -, at most %u of them",
                               SETTING_NAME_MAX);
        variable = variable_of(member);
        other = find_variable(schema, variable);
        if (other != setting)
                return invalid(error, name, member,
                               "is SNOOZE_%s in the environment file, as %s is, expected another name", variable,
                               other->name);
        if (!JSON_NODE_HOLDS_OBJECT(node))
                return invalid(error, name, member, "expected an object with type and description");
        object = json_node_get_object(node);
        if (!check_description_keys(setting, name, object, error) ||
            !parse_type(setting, name, json_object_get_member(object, "type"), error))
                return FALSE;

        setting->description = g_strdup(json_get_string(object, "description", ""));
        setting->required = json_get_boolean(object, "required", FALSE);
        setting->secret = json_get_boolean(object, "secret", FALSE);
        constraints = json_get_string(object, "constraints", "");
        if (*constraints) {
                setting->constraints = g_strdup(constraints);
                if (!parse_constraints(setting, name, constraints, error))
                        return FALSE;
        }
        fallback = json_object_get_member(object, "default");
        if (fallback && !JSON_NODE_HOLDS_NULL(fallback)) {
                g_autofree char *place = g_strconcat(member, "/default", NULL);

                if (!check_value(setting, name, place, fallback, error))
                        return FALSE;
                setting->fallback = json_node_copy(fallback);
        }
        return TRUE;
}

Schema *schema_parse(const char *name, JsonObject *description, GError **error) {
        g_autoptr(Schema) schema = g_new0(Schema, 1);
        JsonObjectIter iter;
        const char *member;
        JsonNode *node;

        schema->settings = g_ptr_array_new_with_free_func(setting_free);
        schema->by_name = g_hash_table_new(g_str_hash, g_str_equal);
        if (!description)
                return g_steal_pointer(&schema);

        if (json_object_get_size(description) > SETTINGS_MAX) {
                invalid(error, name, "", "more than %u settings", SETTINGS_MAX);
                return NULL;
        }
        json_object_iter_init_ordered(&iter, description);
        while (json_object_iter_next_ordered(&iter, &member, &node))
                if (!parse_setting(schema, name, member, node, error))
                        return NULL;
        return g_steal_pointer(&schema);
}

static char *known_names(const Schema *schema) {
        g_autoptr(GString) text = g_string_new(NULL);

        for (guint i = 0; i < schema->settings->len; i++) {
                const Setting *setting = g_ptr_array_index(schema->settings, i);

                g_string_append_printf(text, "%s%s", text->len > 0 ? ", " : "", setting->name);
        }
        return g_string_free(g_steal_pointer(&text), FALSE);
}

static size_t bytes_of(JsonNode *value) {
        return is_string(value) ? strlen(json_node_get_string(value)) : 0;
}

/* Each of them is checked already. */
static gboolean check_sum(const char *name, JsonObject *values, GError **error) {
        size_t n = 0, bytes = 0;
        JsonObjectIter iter;
        const char *member;
        JsonNode *node;

        json_object_iter_init(&iter, values);
        while (json_object_iter_next(&iter, &member, &node)) {
                JsonArray *list = JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
                guint length = list ? json_array_get_length(list) : 0;

                n += 1 + length;
                bytes += strlen(member) + bytes_of(node);
                for (guint i = 0; i < length; i++)
                        bytes += bytes_of(json_array_get_element(list, i));
        }
        if (n > SETTINGS_VALUES_MAX || bytes > SETTINGS_BYTES_MAX)
                return invalid(error, name, "",
                               "expected at most %u settings and strings of lists, and %u bytes of names and strings, "
                               "in all: there are %zu, and %zu bytes",
                               SETTINGS_VALUES_MAX, SETTINGS_BYTES_MAX, n, bytes);
        return TRUE;
}

gboolean schema_check(const Schema *schema, const char *name, JsonObject *values, GError **error) {
        JsonObjectIter iter;
        const char *member;
        JsonNode *node;

        json_object_iter_init(&iter, values);
        while (json_object_iter_next(&iter, &member, &node)) {
                const Setting *setting = schema_find(schema, member);

                if (!setting) {
                        g_autofree char *known = known_names(schema);

                        return *known ? invalid(error, name, member, "no such setting, expected one of %s", known)
                                      : invalid(error, name, member, "no such setting, the plugin has none");
                }
                if (!check_value(setting, name, member, node, error))
                        return FALSE;
        }
        return check_sum(name, values, error);
}

void settings_free(Settings *settings) {
        if (!settings)
                return;
        json_object_unref(settings->values);
        json_object_unref(settings->origins);
        g_free(settings);
}

static void settings_set(Settings *settings, const Setting *setting, JsonNode *value, const char *origin) {
        if (setting->type == SETTING_INTEGER)
                json_object_set_int_member(settings->values, setting->name, (gint64) json_node_get_double(value));
        else
                json_object_set_member(settings->values, setting->name, json_node_copy(value));
        json_object_set_string_member(settings->origins, setting->name, origin);
}

/* What begins with "[" is JSON, of which elements may have commas; where it is none the check that follows refuses
 * it. */
static JsonNode *list_from_text(const char *text) {
        JsonNode *node = *text == '[' ? json_text_parse("VALUE", text, -1, NULL) : NULL;
        g_auto(GStrv) parts = NULL;
        JsonArray *array;

        if (node)
                return node;
        node = json_node_new(*text == '[' ? JSON_NODE_VALUE : JSON_NODE_ARRAY);
        if (*text == '[') {
                json_node_set_string(node, text);
                return node;
        }
        array = json_array_new();
        parts = g_strsplit(text, ",", -1);

        for (size_t i = 0; parts[i]; i++)
                if (*g_strstrip(parts[i]))
                        json_array_add_string_element(array, parts[i]);
        json_node_take_array(node, array);
        return node;
}

/* The text of an environment variable as a value of the setting's type; a string where it does not look like one,
 * which the check that follows refuses. */
static JsonNode *value_from_text(const Setting *setting, const char *text) {
        JsonNode *node;
        double number;

        if (setting->type == SETTING_LIST)
                return list_from_text(text);

        node = json_node_new(JSON_NODE_VALUE);
        json_node_set_string(node, text);
        if (setting->type == SETTING_INTEGER || setting->type == SETTING_NUMBER) {
                if (!number_parse(text, &number))
                        return node;
                if (setting->type == SETTING_INTEGER && number == floor(number) && fabs(number) <= INTEGER_EXACT_MAX)
                        json_node_set_int(node, (gint64) number);
                else
                        json_node_set_double(node, number);
        } else if (setting->type == SETTING_BOOLEAN) {
                if (g_str_equal(text, "true") || g_str_equal(text, "1") || g_str_equal(text, "yes"))
                        json_node_set_boolean(node, TRUE);
                else if (g_str_equal(text, "false") || g_str_equal(text, "0") || g_str_equal(text, "no"))
                        json_node_set_boolean(node, FALSE);
        }
        return node;
}

static char *unquote(char *text) {
        size_t length = strlen(text);

        if (length >= 2 && (text[0] == '"' || text[0] == '\'') && text[length - 1] == text[0]) {
                text[length - 1] = 0;
                return text + 1;
        }
        return text;
}

static gboolean apply_line(const Schema *schema, const char *name, char *line, Settings *settings, GError **error) {
        char *equals = strchr(line, '=');
        g_autoptr(JsonNode) value = NULL;
        const Setting *setting;

        if (!equals || !g_str_has_prefix(line, "SNOOZE_"))
                return invalid(error, name, "", "expected lines SNOOZE_NAME=value");
        *equals = 0;
        g_strchomp(line);
        setting = find_variable(schema, line + strlen("SNOOZE_"));
        if (!setting)
                return invalid(error, name, line, "no such setting");
        value = value_from_text(setting, unquote(g_strstrip(equals + 1)));
        if (!check_value(setting, name, setting->name, value, error))
                return FALSE;
        settings_set(settings, setting, value, "environment");
        return TRUE;
}

static gboolean apply_environment(const Schema *schema, const char *id, const char *text, Settings *settings,
                                  GError **error) {
        g_autofree char *name = g_strdup_printf("plugins/%s.env", id);
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        for (size_t i = 0; lines[i]; i++) {
                char *line = g_strstrip(lines[i]);

                if (*line && *line != '#' && !apply_line(schema, name, line, settings, error))
                        return FALSE;
        }
        return TRUE;
}

static Settings *resolve(const Schema *schema, const char *id, JsonObject *configured, const char *environment,
                         gboolean complete, GError **error) {
        g_autofree char *name = g_strdup_printf("/plugins/plugin_configs/%s", id);
        g_autoptr(Settings) settings = g_new0(Settings, 1);

        settings->values = json_object_new();
        settings->origins = json_object_new();
        if (configured && !schema_check(schema, name, configured, error))
                return NULL;

        for (guint i = 0; i < schema->settings->len; i++) {
                const Setting *setting = g_ptr_array_index(schema->settings, i);

                if (configured && json_object_has_member(configured, setting->name))
                        settings_set(settings, setting, json_object_get_member(configured, setting->name),
                                     "configuration");
                else if (setting->fallback)
                        settings_set(settings, setting, setting->fallback, "default");
        }
        if (environment && !apply_environment(schema, id, environment, settings, error))
                return NULL;

        for (guint i = 0; i < schema->settings->len; i++) {
                const Setting *setting = g_ptr_array_index(schema->settings, i);

                if (complete && setting->required && !json_object_has_member(settings->values, setting->name)) {
                        invalid(error, name, setting->name, "is required and has no value, expected %s",
                                type_expectation[setting->type]);
                        return NULL;
                }
        }
        if (!check_sum(name, settings->values, error))
                return NULL;
        return g_steal_pointer(&settings);
}

Settings *schema_resolve(const Schema *schema, const char *id, JsonObject *configured, const char *environment,
                         GError **error) {
        return resolve(schema, id, configured, environment, TRUE, error);
}

Settings *schema_resolve_to_show(const Schema *schema, const char *id, JsonObject *configured, const char *environment,
                                 GError **error) {
        return resolve(schema, id, configured, environment, FALSE, error);
}

char **schema_hints(const Schema *schema) {
        static const char *const signatures[SETTING_TYPE_COUNT] = {
                [SETTING_STRING] = "s",  [SETTING_INTEGER] = "x", [SETTING_NUMBER] = "d",
                [SETTING_BOOLEAN] = "b", [SETTING_LIST] = "as",
        };
        GPtrArray *hints = g_ptr_array_new();

        for (guint i = 0; i < schema->settings->len; i++) {
                const Setting *setting = g_ptr_array_index(schema->settings, i);

                g_ptr_array_add(hints, g_strdup(setting->name));
                g_ptr_array_add(hints, g_strdup(signatures[setting->type]));
        }
        g_ptr_array_add(hints, NULL);
        return (char **) g_ptr_array_free(hints, FALSE);
}
