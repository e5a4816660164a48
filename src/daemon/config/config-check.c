/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/config/config-check.h"

#include <math.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/config/config-keys.h"
#include "util/json.h"
#include "util/line.h"
#include "util/secret.h"

#define SHOWN_MAX 60

/* Where we are: which text, which key. */
typedef struct Place {
        const char *text;
        const char *pointer;
        GPtrArray *warnings;
} Place;

char *config_pointer(const char *parent, const char *member) {
        g_auto(GStrv) tildes = g_strsplit(member, "~", -1);
        g_autofree char *escaped = g_strjoinv("~0", tildes);
        g_auto(GStrv) slashes = g_strsplit(escaped, "/", -1);
        g_autofree char *step = g_strjoinv("~1", slashes);

        return g_strconcat(parent, "/", step, NULL);
}

/* As a message shows it, shortened. */
static char *show_value(JsonNode *node) {
        g_autofree char *text = NULL;
        const char *end;

        if (JSON_NODE_HOLDS_OBJECT(node))
                return g_strdup("an object");
        if (JSON_NODE_HOLDS_ARRAY(node))
                return g_strdup("an array");
        text = json_text_compact(node);
        if (text_carries_credentials(text))
                return g_strdup("a value with a password");
        if (g_utf8_strlen(text, -1) <= SHOWN_MAX)
                return steal(text);
        end = g_utf8_offset_to_pointer(text, SHOWN_MAX);
        return g_strdup_printf("%.*s…", (int) (end - text), text);
}

G_GNUC_PRINTF(5, 6)
static gboolean fail(const Place *place, ConfigError code, JsonNode *got, GError **error, const char *format, ...) {
        g_autofree char *expected = NULL, *value = NULL;
        va_list ap;

        va_start(ap, format);
        expected = g_strdup_vprintf(format, ap);
        va_end(ap);
        if (got) {
                value = show_value(got);
                g_set_error(error, CONFIG_ERROR, code, "%s: %s: got %s, expected %s", place->text,
                            *place->pointer ? place->pointer : "/", value, expected);
        } else
                g_set_error(error, CONFIG_ERROR, code, "%s: %s: %s", place->text,
                            *place->pointer ? place->pointer : "/", expected);
        return FALSE;
}

static gboolean is_number(JsonNode *node) {
        return JSON_NODE_HOLDS_VALUE(node) &&
               (json_node_get_value_type(node) == G_TYPE_INT64 || json_node_get_value_type(node) == G_TYPE_DOUBLE);
}

static gboolean is_boolean(JsonNode *node) {
        return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_BOOLEAN;
}

static gboolean is_string(JsonNode *node) {
        return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING;
}

static gboolean check_range(const Place *place, JsonNode *node, double minimum, gboolean above, double maximum,
                            const char *unit, GError **error) {
        const char *space = unit ? " " : "";
        double value;

        if (!unit)
                unit = "";
        if (!is_number(node))
                return fail(place, CONFIG_ERROR_TYPE, node, error, "a number");
        value = json_node_get_double(node);
        if (!isfinite(value))
                return fail(place, CONFIG_ERROR_RANGE, node, error, "a finite number");
        if (value >= minimum && !(above && value <= minimum) && value <= maximum)
                return TRUE;
        if (above)
                return fail(place, CONFIG_ERROR_RANGE, node, error, "a number above %.12g and at most %.12g%s%s",
                            minimum, maximum, space, unit);
        return fail(place, CONFIG_ERROR_RANGE, node, error, "a number from %.12g to %.12g%s%s", minimum, maximum,
                    space, unit);
}

static gboolean check_whole(const Place *place, JsonNode *node, GError **error) {
        double value = json_node_get_double(node);

        return value <= floor(value) || fail(place, CONFIG_ERROR_RANGE, node, error, "a whole number");
}

static gboolean check_choice(const Place *place, JsonNode *node, const char *const *choices, GError **error) {
        g_autofree char *list = NULL;

        if (is_string(node) && g_strv_contains(choices, json_node_get_string(node)))
                return TRUE;
        list = g_strjoinv("\", \"", (char **) choices);
        return fail(place, is_string(node) ? CONFIG_ERROR_RANGE : CONFIG_ERROR_TYPE, node, error, "one of \"%s\"",
                    list);
}

static gboolean check_string(const Place *place, const ConfigKey *key, JsonNode *node, GError **error) {
        const char *value;

        if (!is_string(node))
                return fail(place, CONFIG_ERROR_TYPE, node, error, "a string");
        if (key->choices)
                return check_choice(place, node, key->choices, error);
        value = json_node_get_string(node);
        if (strlen(value) > CONFIG_STRING_MAX)
                return fail(place, CONFIG_ERROR_RANGE, node, error, "at most %u bytes", CONFIG_STRING_MAX);
        for (const char *c = value; *c; c++)
                if (g_ascii_iscntrl(*c))
                        return fail(place, CONFIG_ERROR_RANGE, node, error, "text without control characters");
        if (key->valid && !key->valid(value))
                return fail(place, CONFIG_ERROR_RANGE, node, error, "%s", key->expected);
        return TRUE;
}

static gboolean check_array(const Place *place, const ConfigKey *key, JsonNode *node, GError **error) {
        JsonArray *array;

        if (!JSON_NODE_HOLDS_ARRAY(node))
                return fail(place, CONFIG_ERROR_TYPE, node, error, "an array");
        array = json_node_get_array(node);
        if (json_array_get_length(array) > CONFIG_MAP_MAX)
                return fail(place, CONFIG_ERROR_RANGE, node, error, "at most %u elements", CONFIG_MAP_MAX);

        for (guint i = 0; i < json_array_get_length(array); i++) {
                g_autofree char *pointer = g_strdup_printf("%s/%u", place->pointer, i);
                JsonNode *element = json_array_get_element(array, i);
                Place here = { place->text, pointer, place->warnings };

                if (!check_string(&here, key, element, error))
                        return FALSE;
        }
        return TRUE;
}

static gboolean check_source(const Place *place, JsonObject *source, GError **error) {
        static const char *const keys[] = { "policy", "on_error", "timeout_seconds", NULL };
        static const char *const policies[] = { "required", "advisory", "sufficient", "off", NULL };
        static const char *const on_errors[] = { "busy", "ignore", NULL };
        JsonObjectIter iter;
        const char *member;
        JsonNode *node;

        json_object_iter_init_ordered(&iter, source);
        while (json_object_iter_next_ordered(&iter, &member, &node)) {
                g_autofree char *pointer = config_pointer(place->pointer, member);
                Place here = { place->text, pointer, place->warnings };
                gboolean good;

                if (!g_strv_contains(keys, member))
                        return fail(&here, CONFIG_ERROR_UNKNOWN_KEY, NULL, error,
                                    "unknown key, expected one of policy, on_error, timeout_seconds");
                if (JSON_NODE_HOLDS_NULL(node))
                        continue;
                if (g_str_equal(member, "policy"))
                        good = check_choice(&here, node, policies, error);
                else if (g_str_equal(member, "on_error"))
                        good = check_choice(&here, node, on_errors, error);
                else
                        good = check_range(&here, node, 0.1, FALSE, 300, "s", error);
                if (!good)
                        return FALSE;
        }
        return TRUE;
}

static gboolean check_limits(const Place *place, JsonObject *limits, GError **error) {
        JsonObjectIter iter;
        const char *member;
        JsonNode *node;

        json_object_iter_init_ordered(&iter, limits);
        while (json_object_iter_next_ordered(&iter, &member, &node)) {
                g_autofree char *pointer = config_pointer(place->pointer, member);
                Place here = { place->text, pointer, place->warnings };
                gboolean percent = g_str_equal(member, "cpu_percent");

                if (!percent && !g_str_equal(member, "memory_mb") && !g_str_equal(member, "tasks"))
                        return fail(&here, CONFIG_ERROR_UNKNOWN_KEY, NULL, error,
                                    "unknown key, expected one of memory_mb, cpu_percent, tasks");
                if (JSON_NODE_HOLDS_NULL(node))
                        continue;
                if (!check_range(&here, node, 1, FALSE, percent ? 100000 : 1 << 22, percent ? "%" : NULL, error) ||
                    (!percent && !check_whole(&here, node, error)))
                        return FALSE;
        }
        return TRUE;
}

static gboolean check_timeouts(const Place *place, JsonObject *timeouts, GError **error) {
        JsonObjectIter iter;
        const char *member;
        JsonNode *node;

        json_object_iter_init_ordered(&iter, timeouts);
        while (json_object_iter_next_ordered(&iter, &member, &node)) {
                g_autofree char *pointer = config_pointer(place->pointer, member);
                Place here = { place->text, pointer, place->warnings };

                if (plugin_timeout_find(member) == TIMEOUT_COUNT)
                        return fail(&here, CONFIG_ERROR_UNKNOWN_KEY, NULL, error,
                                    "unknown key, expected one of " PLUGIN_TIMEOUT_NAMES);
                if (!JSON_NODE_HOLDS_NULL(node) && !check_range(&here, node, PLUGIN_TIMEOUT_SECONDS_MIN, FALSE,
                                                                PLUGIN_TIMEOUT_SECONDS_MAX, "s", error))
                        return FALSE;
        }
        return TRUE;
}

static gboolean check_event(const Place *place, JsonObject *event, GError **error) {
        static const char *const modes[] = { "all", "first", NULL };
        JsonObjectIter iter;
        const char *member;
        JsonNode *node;

        json_object_iter_init_ordered(&iter, event);
        while (json_object_iter_next_ordered(&iter, &member, &node)) {
                g_autofree char *pointer = config_pointer(place->pointer, member);
                Place here = { place->text, pointer, place->warnings };

                if (!g_str_equal(member, "mode"))
                        return fail(&here, CONFIG_ERROR_UNKNOWN_KEY, NULL, error, "unknown key, expected mode");
                if (!JSON_NODE_HOLDS_NULL(node) && !check_choice(&here, node, modes, error))
                        return FALSE;
        }
        return TRUE;
}

static gboolean check_handler(const Place *place, JsonObject *handler, GError **error) {
        JsonObjectIter iter;
        const char *member;
        JsonNode *node;

        json_object_iter_init_ordered(&iter, handler);
        while (json_object_iter_next_ordered(&iter, &member, &node)) {
                g_autofree char *pointer = config_pointer(place->pointer, member);
                Place here = { place->text, pointer, place->warnings };

                if (!g_str_equal(member, "priority") && !g_str_equal(member, "enabled"))
                        return fail(&here, CONFIG_ERROR_UNKNOWN_KEY, NULL, error,
                                    "unknown key, expected priority or enabled");
                if (JSON_NODE_HOLDS_NULL(node))
                        continue;
                if (g_str_equal(member, "enabled") && !is_boolean(node))
                        return fail(&here, CONFIG_ERROR_TYPE, node, error, "true or false");
                if (g_str_equal(member, "priority") &&
                    (!check_range(&here, node, -CONFIG_PRIORITY_MAX, FALSE, CONFIG_PRIORITY_MAX, NULL, error) ||
                     !check_whole(&here, node, error)))
                        return FALSE;
        }
        return TRUE;
}

/* plugin_configs.<id>.events is ours, whatever the plugin's schema says. */
static gboolean check_handlers(const Place *place, JsonObject *config, GError **error) {
        g_autofree char *pointer = config_pointer(place->pointer, "events");
        Place events = { place->text, pointer, place->warnings };
        JsonNode *node = json_object_get_member(config, "events");
        JsonObjectIter iter;
        const char *member;
        JsonNode *value;

        if (!node || JSON_NODE_HOLDS_NULL(node))
                return TRUE;
        if (!JSON_NODE_HOLDS_OBJECT(node))
                return fail(&events, CONFIG_ERROR_TYPE, node, error, "an object");
        json_object_iter_init_ordered(&iter, json_node_get_object(node));
        while (json_object_iter_next_ordered(&iter, &member, &value)) {
                g_autofree char *below = config_pointer(pointer, member);
                Place here = { place->text, below, place->warnings };

                if (!config_event_valid(member))
                        return fail(&here, CONFIG_ERROR_UNKNOWN_KEY, NULL, error,
                                    "got \"%.64s\" as a type, expected one in snoozed(8), or \"….*\" for all below",
                                    member);
                if (JSON_NODE_HOLDS_NULL(value))
                        continue;
                if (!JSON_NODE_HOLDS_OBJECT(value))
                        return fail(&here, CONFIG_ERROR_TYPE, value, error, "an object");
                if (!check_handler(&here, json_node_get_object(value), error))
                        return FALSE;
        }
        return TRUE;
}

/* Values below a plugin's or provider's id are its schema's business; that they are an object of bounded size is ours.
 */
static gboolean check_map(const Place *place, const ConfigKey *key, JsonNode *node, GError **error) {
        JsonObjectIter iter;
        const char *member;
        JsonNode *value;

        if (!JSON_NODE_HOLDS_OBJECT(node))
                return fail(place, CONFIG_ERROR_TYPE, node, error, "an object");
        if (json_object_get_size(json_node_get_object(node)) > CONFIG_MAP_MAX)
                return fail(place, CONFIG_ERROR_RANGE, node, error, "at most %u entries", CONFIG_MAP_MAX);

        json_object_iter_init_ordered(&iter, json_node_get_object(node));
        while (json_object_iter_next_ordered(&iter, &member, &value)) {
                g_autofree char *pointer = config_pointer(place->pointer, member);
                Place here = { place->text, pointer, place->warnings };

                if (!key->valid(member))
                        return fail(&here, CONFIG_ERROR_UNKNOWN_KEY, NULL, error,
                                    "got \"%.*s\" as a name, expected %s", line_cut(member, 64), member,
                                    key->expected);
                if (JSON_NODE_HOLDS_NULL(value))
                        continue;
                if (!JSON_NODE_HOLDS_OBJECT(value))
                        return fail(&here, CONFIG_ERROR_TYPE, value, error, "an object");
                if (g_str_equal(key->name, "plugins.limits") &&
                    !check_limits(&here, json_node_get_object(value), error))
                        return FALSE;
                if (g_str_equal(key->name, "plugins.timeouts") &&
                    !check_timeouts(&here, json_node_get_object(value), error))
                        return FALSE;
                if (g_str_equal(key->name, "plugins.plugin_configs") &&
                    !check_handlers(&here, json_node_get_object(value), error))
                        return FALSE;
                if (g_str_equal(key->name, "events") && !check_event(&here, json_node_get_object(value), error))
                        return FALSE;
                if (g_str_equal(key->name, "sources") && !check_source(&here, json_node_get_object(value), error))
                        return FALSE;
        }
        return TRUE;
}

static gboolean check_section(const Place *place, const char *prefix, JsonNode *node, GError **error);

static gboolean check_value(const Place *place, const ConfigKey *key, JsonNode *node, GError **error) {
        g_autofree char *prefix = NULL;

        switch (key->type) {
        case KEY_NUMBER:
                return check_range(place, node, key->minimum, key->above, key->maximum, key->unit, error) &&
                        (!key->whole || check_whole(place, node, error));
        case KEY_BOOLEAN:
                return is_boolean(node) || fail(place, CONFIG_ERROR_TYPE, node, error, "true or false");
        case KEY_STRING:
                return check_string(place, key, node, error);
        case KEY_STRINGS:
                return check_array(place, key, node, error);
        case KEY_SECTION:
                prefix = g_strconcat(key->name, ".", NULL);
                return check_section(place, prefix, node, error);
        case KEY_MAP:
                return check_map(place, key, node, error);
        case KEY_LEGACY:
                g_ptr_array_add(place->warnings, g_strdup_printf("%s: %s has no meaning here and is ignored: %s",
                                                                 place->text, place->pointer, key->description));
                return TRUE;
        }
        g_assert_not_reached();
}

static gboolean check_section(const Place *place, const char *prefix, JsonNode *node, GError **error) {
        JsonObjectIter iter;
        const char *member;
        JsonNode *value;

        if (!JSON_NODE_HOLDS_OBJECT(node))
                return fail(place, CONFIG_ERROR_TYPE, node, error, "an object");

        json_object_iter_init_ordered(&iter, json_node_get_object(node));
        while (json_object_iter_next_ordered(&iter, &member, &value)) {
                g_autofree char *pointer = config_pointer(place->pointer, member);
                Place here = { place->text, pointer, place->warnings };
                const ConfigKey *key = config_key_find(prefix, member);

                if (!key) {
                        const char *nearest = config_key_suggest(prefix, member);

                        if (nearest)
                                return fail(&here, CONFIG_ERROR_UNKNOWN_KEY, NULL, error,
                                            "unknown key, did you mean \"%s\"?", nearest);
                        return fail(&here, CONFIG_ERROR_UNKNOWN_KEY, NULL, error,
                                    "unknown key, expected one of those in snooze.json(5)");
                }
                if (!JSON_NODE_HOLDS_NULL(value) && !check_value(&here, key, value, error))
                        return FALSE;
        }
        return TRUE;
}

gboolean config_check_text(const char *name, JsonNode *root, GPtrArray *warnings, GError **error) {
        Place place = { name, "", warnings };

        return check_section(&place, "", root, error);
}

static const char *culprit(const Config *config, const char *a, const char *b) {
        const char *origin = config_origin(config, b);

        return g_str_equal(origin, "default") ? config_origin(config, a) : origin;
}

gboolean config_check_conflicts(const Config *config, GError **error) {
        const struct {
                const char *small, *large;
                double less, more;
        } orders[] = {
                { "/burst_seconds", "/window_seconds", config->burst_seconds, config->window_seconds },
                { "/window_seconds", "/long_window_seconds", config->window_seconds, config->long_window_seconds },
                { "/sample_interval_seconds", "/window_seconds", config->sample_interval_seconds,
                  config->window_seconds },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(orders); i++) {
                if (orders[i].less <= orders[i].more)
                        continue;
                g_set_error(error, CONFIG_ERROR, CONFIG_ERROR_CONFLICT,
                            "%s: %s: got %.12g, expected at most %s, which is %.12g (%s)",
                            culprit(config, orders[i].large, orders[i].small), orders[i].small, orders[i].less,
                            orders[i].large + 1, orders[i].more, config_origin(config, orders[i].large));
                return FALSE;
        }
        return TRUE;
}
