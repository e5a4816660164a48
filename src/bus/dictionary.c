/* SPDX-License-Identifier: Apache-2.0 */

#include "bus/dictionary.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/errors.h"

const DictionaryLimits dictionary_limits_default = {
        .depth = 8,
        .entries = 1024,
        .key_max = 128,
        .bytes = 65536,
};

/* sd-bus has checked the message's framing, its signatures and that strings are UTF-8; what is left is how much of it
 * there is, and what JSON cannot say. */
typedef struct Reader {
        sd_bus_message *message;
        const DictionaryLimits *limits;
        unsigned entries;
        gsize bytes;
        sd_bus_error *error;
} Reader;

static int read_value(Reader *reader, unsigned depth, JsonNode **ret);

__attribute__((format(printf, 2, 3))) static int reject(Reader *reader, const char *format, ...) {
        g_autofree char *text = NULL;
        va_list ap;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        (void) sd_bus_error_set(reader->error, ERROR_INVALID_ARGUMENT, text);
        return -EBADMSG;
}

static int count_entry(Reader *reader, gsize elements) {
        if (elements > reader->limits->entries - reader->entries)
                return reject(reader, "More than %u entries in a dictionary", reader->limits->entries);
        reader->entries += (unsigned) elements;
        return 0;
}

static int count_bytes(Reader *reader, const char *string) {
        reader->bytes += strlen(string);
        if (reader->bytes > reader->limits->bytes)
                return reject(reader, "More than %u bytes of text in a dictionary", reader->limits->bytes);
        return 0;
}

static JsonNode *int_node(gint64 value) {
        JsonNode *node = json_node_new(JSON_NODE_VALUE);

        json_node_set_int(node, value);
        return node;
}

static int read_string(Reader *reader, char type, JsonNode **ret) {
        g_autoptr(JsonNode) node = NULL;
        const char *string;
        int r;

        r = sd_bus_message_read_basic(reader->message, type, &string);
        if (r < 0)
                return r;
        r = count_bytes(reader, string);
        if (r < 0)
                return r;
        node = json_node_new(JSON_NODE_VALUE);
        json_node_set_string(node, string);
        *ret = g_steal_pointer(&node);
        return 0;
}

static int read_double(Reader *reader, JsonNode **ret) {
        double value;
        int r;

        r = sd_bus_message_read_basic(reader->message, 'd', &value);
        if (r < 0)
                return r;
        if (!isfinite(value))
                return reject(reader, "A number in a dictionary is not finite");
        *ret = json_node_new(JSON_NODE_VALUE);
        json_node_set_double(*ret, value);
        return 0;
}

static int read_basic(Reader *reader, char type, JsonNode **ret) {
        union {
                uint8_t y;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
                int b;
        } value;
        int r;

        if (type == SD_BUS_TYPE_STRING || type == SD_BUS_TYPE_OBJECT_PATH || type == SD_BUS_TYPE_SIGNATURE)
                return read_string(reader, type, ret);
        if (type == SD_BUS_TYPE_DOUBLE)
                return read_double(reader, ret);
        if (!strchr("ynqiuxtb", type))
                return reject(reader, "A dictionary cannot carry a value of type '%c'", type);

        r = sd_bus_message_read_basic(reader->message, type, &value);
        if (r < 0)
                return r;
        switch (type) {
        case 'y':
                *ret = int_node(value.y);
                break;
        case 'n':
                *ret = int_node(value.n);
                break;
        case 'q':
                *ret = int_node(value.q);
                break;
        case 'i':
                *ret = int_node(value.i);
                break;
        case 'u':
                *ret = int_node(value.u);
                break;
        case 'x':
                *ret = int_node(value.x);
                break;
        case 't':
                if (value.t > INT64_MAX)
                        return reject(reader, "A number in a dictionary is larger than %" G_GINT64_FORMAT, INT64_MAX);
                *ret = int_node((gint64) value.t);
                break;
        default:
                *ret = json_node_new(JSON_NODE_VALUE);
                json_node_set_boolean(*ret, value.b);
                break;
        }
        return 0;
}

static int read_bytes(Reader *reader, JsonNode **ret) {
        g_autoptr(JsonArray) array = NULL;
        const uint8_t *bytes;
        size_t size;
        int r;

        r = sd_bus_message_read_array(reader->message, 'y', (const void **) &bytes, &size);
        if (r < 0)
                return r;
        r = count_entry(reader, size);
        if (r < 0)
                return r;
        array = json_array_sized_new((guint) size);
        for (size_t i = 0; i < size; i++)
                json_array_add_int_element(array, bytes[i]);
        *ret = json_node_init_array(json_node_alloc(), array);
        return 0;
}

/* Elements of an array or members of a structure, whose container has been entered. */
static int read_elements(Reader *reader, unsigned depth, JsonNode **ret) {
        g_autoptr(JsonArray) array = json_array_new();
        int r;

        while ((r = sd_bus_message_at_end(reader->message, 0)) == 0) {
                g_autoptr(JsonNode) element = NULL;

                r = count_entry(reader, 1);
                if (r < 0)
                        return r;
                r = read_value(reader, depth, &element);
                if (r < 0)
                        return r;
                json_array_add_element(array, g_steal_pointer(&element));
        }
        if (r < 0)
                return r;
        *ret = json_node_init_array(json_node_alloc(), array);
        return 0;
}

static int check_key(Reader *reader, JsonObject *object, const char *key) {
        gsize length = strlen(key);

        if (length == 0 || length > reader->limits->key_max)
                return reject(reader, "A key in a dictionary has %" G_GSIZE_FORMAT " bytes, expected 1 to %u", length,
                              reader->limits->key_max);
        for (const char *p = key; *p; p++)
                if (g_ascii_iscntrl(*p))
                        return reject(reader, "A key in a dictionary has a control character in it");
        if (json_object_has_member(object, key))
                return reject(reader, "The key \"%s\" stands twice in a dictionary", key);
        return count_bytes(reader, key);
}

static int read_entries(Reader *reader, unsigned depth, const char *contents, JsonNode **ret) {
        g_autoptr(JsonObject) object = json_object_new();
        g_autofree char *entry = g_strndup(contents + 1, strlen(contents) - 2);
        int r;

        if (entry[0] != 's')
                return reject(reader, "The keys of a dictionary must be strings, not of type '%c'", entry[0]);
        while ((r = sd_bus_message_enter_container(reader->message, 'e', entry)) > 0) {
                g_autoptr(JsonNode) value = NULL;
                const char *key;

                r = count_entry(reader, 1);
                if (r < 0)
                        return r;
                r = sd_bus_message_read_basic(reader->message, 's', &key);
                if (r < 0)
                        return r;
                r = check_key(reader, object, key);
                if (r < 0)
                        return r;
                r = read_value(reader, depth, &value);
                if (r < 0)
                        return r;
                json_object_set_member(object, key, g_steal_pointer(&value));
                r = sd_bus_message_exit_container(reader->message);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        *ret = json_node_init_object(json_node_alloc(), object);
        return 0;
}

static int read_container(Reader *reader, unsigned depth, char type, const char *contents, JsonNode **ret) {
        g_autoptr(JsonNode) node = NULL;
        /* The signature belongs to the message and moves on with it. */
        g_autofree char *inner = g_strdup(contents);
        int r;

        if (depth >= reader->limits->depth)
                return reject(reader, "A dictionary is nested more than %u deep", reader->limits->depth);
        if (type == 'a' && strcmp(inner, "y") == 0)
                return read_bytes(reader, ret);
        r = sd_bus_message_enter_container(reader->message, type, inner);
        if (r < 0)
                return r;
        if (type == 'v')
                r = read_value(reader, depth + 1, &node);
        else if (type == 'a' && inner[0] == '{')
                r = read_entries(reader, depth + 1, inner, &node);
        else
                r = read_elements(reader, depth + 1, &node);
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(reader->message);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&node);
        return 0;
}

static int read_value(Reader *reader, unsigned depth, JsonNode **ret) {
        const char *contents;
        char type;
        int r;

        r = sd_bus_message_peek_type(reader->message, &type, &contents);
        if (r < 0)
                return r;
        if (r == 0)
                return reject(reader, "A dictionary ends too early");
        if (type == 'a' || type == 'v' || type == 'r')
                return read_container(reader, depth, type, contents, ret);
        return read_basic(reader, type, ret);
}

int dictionary_read(sd_bus_message *message, const DictionaryLimits *limits, JsonObject **ret, sd_bus_error *error) {
        Reader reader = { .message = message, .limits = limits, .error = error };
        g_autoptr(JsonNode) node = NULL;
        const char *contents;
        char type;
        int r;

        r = sd_bus_message_peek_type(message, &type, &contents);
        if (r < 0)
                return r;
        if (r == 0 || type != 'a' || strcmp(contents, "{sv}") != 0)
                return reject(&reader, "Expected a dictionary (a{sv})");
        r = sd_bus_message_enter_container(message, 'a', "{sv}");
        if (r < 0)
                return r;
        /* Most are empty, and one comes with each answer of a plugin. */
        if (sd_bus_message_at_end(message, 0) == 0) {
                r = read_entries(&reader, 1, "{sv}", &node);
                if (r < 0)
                        return r;
        }
        r = sd_bus_message_exit_container(message);
        if (r < 0)
                return r;
        *ret = node ? json_node_dup_object(node) : json_object_new();
        return 0;
}

static gboolean all_of(JsonArray *array, JsonNodeType node_type, GType value_type) {
        guint length = json_array_get_length(array);

        for (guint i = 0; i < length; i++) {
                JsonNode *element = json_array_get_element(array, i);

                if (JSON_NODE_HOLDS_NULL(element))
                        continue;
                if (json_node_get_node_type(element) != node_type ||
                    (node_type == JSON_NODE_VALUE && json_node_get_value_type(element) != value_type))
                        return FALSE;
        }
        return TRUE;
}

static const char *natural_signature_of_array(JsonArray *array) {
        if (all_of(array, JSON_NODE_VALUE, G_TYPE_STRING))
                return "as";
        return all_of(array, JSON_NODE_OBJECT, G_TYPE_INVALID) ? "aa{sv}" : "av";
}

/* The type that a value has on the bus where nobody asked for another. */
static const char *natural_signature(JsonNode *node) {
        switch (json_node_get_node_type(node)) {
        case JSON_NODE_OBJECT:
                return "a{sv}";
        case JSON_NODE_ARRAY:
                return natural_signature_of_array(json_node_get_array(node));
        case JSON_NODE_VALUE:
        case JSON_NODE_NULL:
        default:
                break;
        }
        switch (json_node_get_value_type(node)) {
        case G_TYPE_STRING:
                return "s";
        case G_TYPE_BOOLEAN:
                return "b";
        case G_TYPE_DOUBLE:
                return "d";
        default:
                return json_node_get_int(node) >= 0 ? "t" : "x";
        }
}

static int append_as(sd_bus_message *message, const char *signature, JsonNode *node, const char *const *hints);

static int append_integer(sd_bus_message *message, char type, gint64 value) {
        static const struct {
                char type;
                gint64 minimum, maximum;
        } ranges[] = {
                { 'y', 0, UINT8_MAX },
                { 'n', INT16_MIN, INT16_MAX },
                { 'q', 0, UINT16_MAX },
                { 'i', INT32_MIN, INT32_MAX },
                { 'u', 0, UINT32_MAX },
                { 'x', INT64_MIN, INT64_MAX },
                { 't', 0, INT64_MAX },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(ranges); i++)
                if (ranges[i].type == type && (value < ranges[i].minimum || value > ranges[i].maximum))
                        return -ERANGE;
        /* Not by sd_bus_message_append(), which first goes through a signature. */
        switch (type) {
        case 'y':
                return sd_bus_message_append_basic(message, type, &(uint8_t){ (uint8_t) value });
        case 'n':
        case 'q':
                return sd_bus_message_append_basic(message, type, &(uint16_t){ (uint16_t) value });
        case 'i':
        case 'u':
                return sd_bus_message_append_basic(message, type, &(uint32_t){ (uint32_t) value });
        case 'x':
        case 't':
                return sd_bus_message_append_basic(message, type, &value);
        default:
                return -EINVAL;
        }
}

static int append_basic(sd_bus_message *message, char type, JsonNode *node) {
        GType have = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_value_type(node) : G_TYPE_INVALID;

        if (type == 's' || type == 'o' || type == 'g')
                return have == G_TYPE_STRING ? sd_bus_message_append_basic(message, type, json_node_get_string(node))
                                             : -EINVAL;
        if (type == 'b')
                return have == G_TYPE_BOOLEAN ? sd_bus_message_append(message, "b", (int) json_node_get_boolean(node))
                                              : -EINVAL;
        if (type == 'd')
                return have == G_TYPE_DOUBLE || have == G_TYPE_INT64
                               ? sd_bus_message_append(message, "d", json_node_get_double(node))
                               : -EINVAL;
        return have == G_TYPE_INT64 ? append_integer(message, type, json_node_get_int(node)) : -EINVAL;
}

static const char *find_hint(const char *const *hints, const char *member) {
        for (; hints && hints[0]; hints += 2)
                if (strcmp(hints[0], member) == 0)
                        return hints[1];
        return NULL;
}

/* signature: "{s?}". */
static int append_entries(sd_bus_message *message, const char *signature, JsonObject *object,
                          const char *const *hints) {
        g_autofree char *entry = g_strndup(signature + 1, strlen(signature) - 2);
        JsonObjectIter iter;
        const char *member;
        JsonNode *node;
        int r;

        json_object_iter_init_ordered(&iter, object);
        while (json_object_iter_next_ordered(&iter, &member, &node)) {
                const char *hint = find_hint(hints, member);
                gboolean variant = strcmp(entry, "sv") == 0;

                if (JSON_NODE_HOLDS_NULL(node))
                        continue;
                r = sd_bus_message_open_container(message, 'e', entry);
                if (r >= 0)
                        r = sd_bus_message_append_basic(message, 's', member);
                if (r >= 0 && variant) {
                        hint = hint ?: natural_signature(node);
                        r = sd_bus_message_open_container(message, 'v', hint);
                }
                if (r >= 0)
                        r = append_as(message, variant ? hint : entry + 1, node, NULL);
                if (r >= 0 && variant)
                        r = sd_bus_message_close_container(message);
                if (r >= 0)
                        r = sd_bus_message_close_container(message);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int append_elements(sd_bus_message *message, const char *signature, JsonArray *array) {
        guint length = json_array_get_length(array);

        for (guint i = 0; i < length; i++) {
                JsonNode *element = json_array_get_element(array, i);
                int r;

                if (JSON_NODE_HOLDS_NULL(element))
                        continue;
                r = append_as(message, signature, element, NULL);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int append_as(sd_bus_message *message, const char *signature, JsonNode *node, const char *const *hints) {
        int r;

        if (signature[0] == 'v') {
                const char *natural = natural_signature(node);

                r = sd_bus_message_open_container(message, 'v', natural);
                if (r >= 0)
                        r = append_as(message, natural, node, NULL);
                return r < 0 ? r : sd_bus_message_close_container(message);
        }
        if (signature[0] != 'a')
                return append_basic(message, signature[0], node);

        if (signature[1] == '{' ? !JSON_NODE_HOLDS_OBJECT(node) : !JSON_NODE_HOLDS_ARRAY(node))
                return -EINVAL;
        r = sd_bus_message_open_container(message, 'a', signature + 1);
        if (r < 0)
                return r;
        r = signature[1] == '{' ? append_entries(message, signature + 1, json_node_get_object(node), hints)
                                : append_elements(message, signature + 1, json_node_get_array(node));
        return r < 0 ? r : sd_bus_message_close_container(message);
}

int dictionary_append(sd_bus_message *message, JsonObject *object, const char *const *hints) {
        g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), object);

        return append_as(message, "a{sv}", node, hints);
}

static int unknown_option(Reader *reader, const char *const *known, const char *key) {
        g_autoptr(GString) names = g_string_new(NULL);

        for (; known[0]; known += 2)
                g_string_append_printf(names, "%s%s", names->len > 0 ? ", " : "", known[0]);
        return reject(reader, "Unknown option \"%s\", known are: %s", key, names->len > 0 ? names->str : "none");
}

static int read_option(Reader *reader, const char *const *known, JsonObject *options) {
        g_autoptr(JsonNode) value = NULL;
        const char *key, *contents, *expected;
        char type;
        int r;

        r = sd_bus_message_read_basic(reader->message, 's', &key);
        if (r < 0)
                return r;
        r = check_key(reader, options, key);
        if (r < 0)
                return r;
        expected = find_hint(known, key);
        if (!expected)
                return unknown_option(reader, known, key);
        r = sd_bus_message_peek_type(reader->message, &type, &contents);
        if (r < 0)
                return r;
        if (strcmp(contents, expected) != 0)
                return reject(reader, "The option \"%s\" must be of type '%s', not '%s'", key, expected, contents);
        r = read_value(reader, 1, &value);
        if (r < 0)
                return r;
        json_object_set_member(options, key, g_steal_pointer(&value));
        return 0;
}

int options_read(sd_bus_message *message, const char *const *known, JsonObject **ret, sd_bus_error *error) {
        Reader reader = { .message = message, .limits = &dictionary_limits_default, .error = error };
        g_autoptr(JsonObject) options = json_object_new();
        int r;

        r = sd_bus_message_enter_container(message, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                r = count_entry(&reader, 1);
                if (r >= 0)
                        r = read_option(&reader, known, options);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(message);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&options);
        return 0;
}
