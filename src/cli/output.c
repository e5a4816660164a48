/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/output.h"

#include <math.h>
#include <stdio.h>

#include "util/duration.h"
#include "util/json.h"

#define MINUTE_USEC (UINT64_C(60) * G_USEC_PER_SEC)

const char *style_begin(const Cli *cli, Style style) {
        static const char *const sequences[] = {
                [STYLE_PLAIN] = "",        [STYLE_BOLD] = "\033[1m",  [STYLE_DIM] = "\033[2m",
                [STYLE_GOOD] = "\033[32m", [STYLE_WARN] = "\033[33m", [STYLE_BAD] = "\033[31m",
        };

        return cli->colour ? sequences[style] : "";
}

const char *style_end(const Cli *cli) {
        return cli->colour ? "\033[0m" : "";
}

char *text_clean(const char *text) {
        g_autofree char *valid = g_utf8_make_valid(text ?: "", -1);
        g_autoptr(GString) clean = g_string_new(NULL);

        for (const char *p = valid; *p; p = g_utf8_next_char(p)) {
                gunichar c = g_utf8_get_char(p);

                if (c == '\n' || c == '\t')
                        g_string_append_c(clean, ' ');
                else if (g_unichar_iscntrl(c) || g_unichar_type(c) == G_UNICODE_FORMAT ||
                         g_unichar_type(c) == G_UNICODE_LINE_SEPARATOR ||
                         g_unichar_type(c) == G_UNICODE_PARAGRAPH_SEPARATOR)
                        g_string_append(clean, "\xEF\xBF\xBD");
                else
                        g_string_append_unichar(clean, c);
        }
        return g_string_free(g_steal_pointer(&clean), FALSE);
}

char *text_number(double value) {
        char text[64];
        gsize length;

        length = (gsize) g_snprintf(text, sizeof(text), "%.*f", fabs(value) < 100 ? 1 : 0, value);
        if (length > 2 && g_str_has_suffix(text, ".0"))
                text[length - 2] = '\0';
        return g_strdup(text);
}

char *text_moment(uint64_t realtime) {
        return moment_format(realtime, (uint64_t) g_get_real_time(), FALSE);
}

char *text_span(uint64_t usec) {
        return duration_format(usec < MINUTE_USEC ? usec : usec - usec % MINUTE_USEC);
}

char *text_distance(uint64_t realtime) {
        uint64_t now = (uint64_t) g_get_real_time();

        if (now >= realtime)
                return text_span(now - realtime);
        /* What is left is rounded up: "in 5 min" is said of a warning that has just begun. */
        return realtime - now < MINUTE_USEC ? duration_format(realtime - now)
                                            : text_span(realtime - now + MINUTE_USEC - 1);
}

/* What is within a list or dictionary; the parentheses say where it ends. */
static char *text_of_member(GVariant *value) {
        g_autoptr(GVariant) inner = g_variant_ref(value);
        g_autofree char *text = NULL;

        while (g_variant_is_of_type(inner, G_VARIANT_TYPE_VARIANT)) {
                GVariant *content = g_variant_get_variant(inner);

                g_variant_unref(inner);
                inner = content;
        }
        text = text_of_variant(inner);
        return g_variant_is_container(inner) ? g_strdup_printf("(%s)", text) : g_steal_pointer(&text);
}

static void append_children(GString *text, GVariant *container) {
        gsize n = g_variant_n_children(container);

        for (gsize i = 0; i < n; i++) {
                g_autoptr(GVariant) child = g_variant_get_child_value(container, i);
                g_autofree char *piece = NULL;

                if (i > 0)
                        g_string_append(text, ", ");
                if (g_variant_is_of_type(child, G_VARIANT_TYPE_DICT_ENTRY)) {
                        g_autoptr(GVariant) key = g_variant_get_child_value(child, 0);
                        g_autoptr(GVariant) value = g_variant_get_child_value(child, 1);
                        g_autofree char *name = text_of_variant(key);

                        piece = text_of_member(value);
                        g_string_append_printf(text, "%s %s", name, piece);
                } else {
                        piece = text_of_member(child);
                        g_string_append(text, piece);
                }
        }
}

/* A number of this size is a moment in the years from 2001 to 5138; nobody counts anything else so far. */
static gboolean is_moment(guint64 value) {
        return value >= UINT64_C(1000000000000000) && value < UINT64_C(100000000000000000);
}

static char *text_of_integer(GVariant *value) {
        guint64 number = 0;

        if (g_variant_is_of_type(value, G_VARIANT_TYPE_UINT64))
                number = g_variant_get_uint64(value);
        else if (g_variant_is_of_type(value, G_VARIANT_TYPE_INT64))
                number = (guint64) MAX(g_variant_get_int64(value), 0);
        return is_moment(number) ? text_moment(number) : g_variant_print(value, FALSE);
}

char *text_of_variant(GVariant *value) {
        g_autoptr(GString) text = NULL;

        switch (g_variant_classify(value)) {
        case G_VARIANT_CLASS_VARIANT: {
                g_autoptr(GVariant) inner = g_variant_get_variant(value);

                return text_of_variant(inner);
        }
        case G_VARIANT_CLASS_STRING:
        case G_VARIANT_CLASS_OBJECT_PATH:
        case G_VARIANT_CLASS_SIGNATURE:
                return text_clean(g_variant_get_string(value, NULL));
        case G_VARIANT_CLASS_BOOLEAN:
                return g_strdup(g_variant_get_boolean(value) ? "yes" : "no");
        case G_VARIANT_CLASS_DOUBLE:
                return text_number(g_variant_get_double(value));
        case G_VARIANT_CLASS_ARRAY:
        case G_VARIANT_CLASS_TUPLE:
        case G_VARIANT_CLASS_DICT_ENTRY:
        case G_VARIANT_CLASS_MAYBE:
                text = g_string_new(NULL);
                append_children(text, value);
                return g_string_free(g_steal_pointer(&text), FALSE);
        default:
                return text_of_integer(value);
        }
}

char *text_of_entries(GVariant *entries) {
        g_autoptr(GString) lines = g_string_new(NULL);
        GVariantIter iter;
        const char *key;
        GVariant *value;

        g_variant_iter_init(&iter, entries);
        while (g_variant_iter_loop(&iter, "{&sv}", &key, &value)) {
                g_autofree char *name = text_clean(key), *text = text_of_variant(value);

                g_string_append_printf(lines, "%s: %s\n", name, text);
        }
        return g_string_free(g_steal_pointer(&lines), FALSE);
}

void json_print(JsonNode *node) {
        g_autoptr(JsonNode) owned = node;
        g_autofree char *text = json_text_pretty(owned);

        (void) fputs(text, stdout);
}

void json_print_line(JsonNode *node) {
        g_autoptr(JsonNode) owned = node;
        g_autofree char *text = json_text_compact(owned);

        (void) fprintf(stdout, "%s\n", text);
        (void) fflush(stdout);
}

JsonNode *json_of_variant(GVariant *value) {
        return json_gvariant_serialize(value);
}

JsonNode *json_of_object(JsonObject *object) {
        JsonNode *node = json_node_new(JSON_NODE_OBJECT);

        json_node_take_object(node, object);
        return node;
}

static char *snake_case(const char *name) {
        g_autoptr(GString) snake = g_string_new(NULL);

        for (const char *p = name; *p; p++) {
                if (g_ascii_isupper(*p) && p > name)
                        g_string_append_c(snake, '_');
                g_string_append_c(snake, g_ascii_tolower(*p));
        }
        return g_string_free(g_steal_pointer(&snake), FALSE);
}

JsonObject *json_of_dictionary(GVariant *properties) {
        JsonObject *object = json_object_new();
        GVariantIter iter;
        const char *name;
        GVariant *value;

        g_variant_iter_init(&iter, properties);
        while (g_variant_iter_next(&iter, "{&sv}", &name, &value)) {
                g_autofree char *key = snake_case(name);

                json_object_set_member(object, key, json_of_variant(value));
                g_variant_unref(value);
        }
        return object;
}

JsonObject *json_of_properties(GDBusProxy *proxy) {
        g_auto(GStrv) names = g_dbus_proxy_get_cached_property_names(proxy);
        g_autoptr(GVariant) properties = NULL;
        GVariantBuilder builder;

        g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
        for (char **name = names; name && *name; name++) {
                g_autoptr(GVariant) value = g_dbus_proxy_get_cached_property(proxy, *name);

                g_variant_builder_add(&builder, "{sv}", *name, value);
        }
        properties = g_variant_ref_sink(g_variant_builder_end(&builder));
        return json_of_dictionary(properties);
}
