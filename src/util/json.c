/* SPDX-License-Identifier: Apache-2.0 */

#include "util/json.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "util/file.h"

G_DEFINE_QUARK(json-text-error-quark, json_text_error)

/* json-glib accepts comments, assignments, duplicate keys and any depth, and cuts strings at \u0000. So the text is
 * held against the grammar of RFC 8259 first, which also gives every error its line and column. */
typedef struct Scanner {
        const char *name;
        const char *start;
        const char *at;
        const char *end;
        guint members; /* of all objects, those that stand twice counted twice */
        GError **error;
} Scanner;

static gboolean scan_value(Scanner *scanner, unsigned depth);

static gboolean scan_fail(Scanner *scanner, JsonError code, const char *what) {
        unsigned line = 1;
        const char *line_start = scanner->start;

        for (const char *p = scanner->start; p < scanner->at; p++)
                if (*p == '\n') {
                        line++;
                        line_start = p + 1;
                }
        g_set_error(scanner->error, JSON_TEXT_ERROR, (int) code, "%s:%u:%ld: %s", scanner->name, line,
                    g_utf8_pointer_to_offset(line_start, scanner->at) + 1, what);
        return FALSE;
}

static char scan_peek(const Scanner *scanner) {
        return scanner->at < scanner->end ? *scanner->at : '\0';
}

static void scan_space(Scanner *scanner) {
        while (scan_peek(scanner) == ' ' || scan_peek(scanner) == '\n' || scan_peek(scanner) == '\t' ||
               scan_peek(scanner) == '\r')
                scanner->at++;
}

static gboolean scan_word(Scanner *scanner, const char *word) {
        size_t length = strlen(word);

        if ((size_t) (scanner->end - scanner->at) < length || memcmp(scanner->at, word, length) != 0)
                return scan_fail(scanner, JSON_ERROR_SYNTAX, "expected a value");
        scanner->at += length;
        return TRUE;
}

/* The four digits behind \u; -1 if they are not. */
static int scan_code_unit(Scanner *scanner) {
        int unit = 0;

        if (scanner->end - scanner->at < 4)
                return -1;
        for (unsigned i = 0; i < 4; i++, scanner->at++) {
                if (!g_ascii_isxdigit(*scanner->at))
                        return -1;
                unit = unit * 16 + g_ascii_xdigit_value(*scanner->at);
        }
        return unit;
}

static gboolean scan_escape(Scanner *scanner) {
        int unit;

        if (scanner->at < scanner->end && *scanner->at && strchr("\"\\/bfnrt", *scanner->at)) {
                scanner->at++;
                return TRUE;
        }
        if (scan_peek(scanner) != 'u')
                return scan_fail(scanner, JSON_ERROR_SYNTAX, "unknown escape in a string");
        scanner->at++;
        unit = scan_code_unit(scanner);
        if (unit < 0)
                return scan_fail(scanner, JSON_ERROR_SYNTAX, "\\u needs four hexadecimal digits");
        if (unit == 0)
                return scan_fail(scanner, JSON_ERROR_SYNTAX, "\\u0000 is not allowed in a string");
        if (unit < 0xd800 || unit > 0xdfff)
                return TRUE;
        if (unit < 0xdc00 && scanner->end - scanner->at >= 6 && scanner->at[0] == '\\' && scanner->at[1] == 'u') {
                scanner->at += 2;
                unit = scan_code_unit(scanner);
                if (unit >= 0xdc00 && unit <= 0xdfff)
                        return TRUE;
        }
        return scan_fail(scanner, JSON_ERROR_SYNTAX, "half a surrogate pair in a string");
}

static gboolean scan_string(Scanner *scanner) {
        if (scan_peek(scanner) != '"')
                return scan_fail(scanner, JSON_ERROR_SYNTAX, "expected a string in double quotes");
        scanner->at++;
        while (scanner->at < scanner->end) {
                unsigned char c = (unsigned char) *scanner->at;

                if (c < 0x20)
                        return scan_fail(scanner, JSON_ERROR_SYNTAX, "control character in a string");
                scanner->at++;
                if (c == '"')
                        return TRUE;
                if (c == '\\' && !scan_escape(scanner))
                        return FALSE;
        }
        return scan_fail(scanner, JSON_ERROR_SYNTAX, "the string does not end");
}

static gboolean scan_digits(Scanner *scanner) {
        const char *first = scanner->at;

        while (g_ascii_isdigit(scan_peek(scanner)))
                scanner->at++;
        if (scanner->at == first)
                return scan_fail(scanner, JSON_ERROR_SYNTAX, "expected a digit");
        return TRUE;
}

static gboolean scan_number(Scanner *scanner) {
        const char *first = scanner->at;
        gboolean integer = TRUE;

        if (scan_peek(scanner) == '-')
                scanner->at++;
        if (scan_peek(scanner) == '0')
                scanner->at++;
        else if (!scan_digits(scanner))
                return FALSE;
        if (g_ascii_isdigit(scan_peek(scanner)))
                return scan_fail(scanner, JSON_ERROR_SYNTAX, "a number does not begin with 0");
        if (scan_peek(scanner) == '.') {
                integer = FALSE;
                scanner->at++;
                if (!scan_digits(scanner))
                        return FALSE;
        }
        if (scan_peek(scanner) == 'e' || scan_peek(scanner) == 'E') {
                integer = FALSE;
                scanner->at++;
                if (scan_peek(scanner) == '+' || scan_peek(scanner) == '-')
                        scanner->at++;
                if (!scan_digits(scanner))
                        return FALSE;
        }

        errno = 0;
        if (integer)
                (void) g_ascii_strtoll(first, NULL, 10);
        if (integer ? errno == ERANGE : !isfinite(g_ascii_strtod(first, NULL))) {
                scanner->at = first;
                return scan_fail(scanner, JSON_ERROR_SYNTAX,
                                 integer ? "the integer does not fit into 64 bits" : "the number is too large");
        }
        return TRUE;
}

static gboolean scan_object(Scanner *scanner, unsigned depth) {
        scanner->at++;
        scan_space(scanner);
        if (scan_peek(scanner) == '}') {
                scanner->at++;
                return TRUE;
        }
        for (;;) {
                scan_space(scanner);
                if (!scan_string(scanner))
                        return FALSE;
                scanner->members++;
                scan_space(scanner);
                if (scan_peek(scanner) != ':')
                        return scan_fail(scanner, JSON_ERROR_SYNTAX, "expected ':' behind the key");
                scanner->at++;
                if (!scan_value(scanner, depth))
                        return FALSE;
                if (scan_peek(scanner) == '}') {
                        scanner->at++;
                        return TRUE;
                }
                if (scan_peek(scanner) != ',')
                        return scan_fail(scanner, JSON_ERROR_SYNTAX, "expected ',' or '}'");
                scanner->at++;
        }
}

static gboolean scan_array(Scanner *scanner, unsigned depth) {
        scanner->at++;
        scan_space(scanner);
        if (scan_peek(scanner) == ']') {
                scanner->at++;
                return TRUE;
        }
        for (;;) {
                if (!scan_value(scanner, depth))
                        return FALSE;
                if (scan_peek(scanner) == ']') {
                        scanner->at++;
                        return TRUE;
                }
                if (scan_peek(scanner) != ',')
                        return scan_fail(scanner, JSON_ERROR_SYNTAX, "expected ',' or ']'");
                scanner->at++;
        }
}

/* A value with the space around it. */
static gboolean scan_value(Scanner *scanner, unsigned depth) {
        gboolean good;

        if (depth > JSON_DEPTH_MAX)
                return scan_fail(scanner, JSON_ERROR_TOO_DEEP, "nested too deeply");
        scan_space(scanner);
        switch (scan_peek(scanner)) {
        case '{':
                good = scan_object(scanner, depth + 1);
                break;
        case '[':
                good = scan_array(scanner, depth + 1);
                break;
        case '"':
                good = scan_string(scanner);
                break;
        case 't':
                good = scan_word(scanner, "true");
                break;
        case 'f':
                good = scan_word(scanner, "false");
                break;
        case 'n':
                good = scan_word(scanner, "null");
                break;
        case '-':
        case '0' ... '9':
                good = scan_number(scanner);
                break;
        default:
                good = scan_fail(scanner, JSON_ERROR_SYNTAX,
                                 scanner->at < scanner->end ? "expected a value"
                                                            : "the text ends where a value was expected");
                break;
        }
        if (good)
                scan_space(scanner);
        return good;
}

static gboolean scan_text(Scanner *scanner) {
        if (!g_utf8_validate(scanner->start, scanner->end - scanner->start, &scanner->at))
                return scan_fail(scanner, JSON_ERROR_SYNTAX, "not UTF-8 text");
        scanner->at = scanner->start;
        if (!scan_value(scanner, 0))
                return FALSE;
        if (scanner->at < scanner->end)
                return scan_fail(scanner, JSON_ERROR_SYNTAX, "text behind the end of the value");
        return TRUE;
}

/* Keys compare equal only once they are unescaped, and of two that do json-glib keeps the later. So a text had one
 * twice if the objects hold fewer members than it has. */
static guint count_members(JsonNode *node) {
        guint count = 0;

        if (JSON_NODE_HOLDS_ARRAY(node)) {
                JsonArray *array = json_node_get_array(node);

                for (guint i = 0; i < json_array_get_length(array); i++)
                        count += count_members(json_array_get_element(array, i));
        } else if (JSON_NODE_HOLDS_OBJECT(node)) {
                JsonObjectIter iter;
                JsonNode *value;

                json_object_iter_init(&iter, json_node_get_object(node));
                while (json_object_iter_next(&iter, NULL, &value))
                        count += 1 + count_members(value);
        }
        return count;
}

/* Which one it is says a parser that announces each member, also one that replaces an earlier. That costs twice as
 * much, so it is asked only then. One set of keys per open object. */
typedef struct Duplicates {
        GPtrArray *open;
        char *found;
        guint line;
} Duplicates;

static void on_object_start(JsonParser *parser, gpointer userdata) {
        Duplicates *duplicates = userdata;

        g_ptr_array_add(duplicates->open, g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL));
}

static void on_object_member(JsonParser *parser, JsonObject *object, const char *member, gpointer userdata) {
        Duplicates *duplicates = userdata;
        GHashTable *keys = g_ptr_array_index(duplicates->open, duplicates->open->len - 1);

        if (!g_hash_table_add(keys, g_strdup(member)) && !duplicates->found) {
                duplicates->found = g_strdup(member);
                duplicates->line = json_parser_get_current_line(parser);
        }
}

static void on_object_end(JsonParser *parser, JsonObject *object, gpointer userdata) {
        Duplicates *duplicates = userdata;

        g_ptr_array_remove_index(duplicates->open, duplicates->open->len - 1);
}

static void name_duplicate(const char *name, const char *text, gsize length, GError **error) {
        g_autoptr(JsonParser) parser = json_parser_new();
        g_autoptr(GPtrArray) open = g_ptr_array_new_with_free_func((GDestroyNotify) g_hash_table_unref);
        g_autofree char *found = NULL;
        Duplicates duplicates = { .open = open };

        g_signal_connect(parser, "object-start", G_CALLBACK(on_object_start), &duplicates);
        g_signal_connect(parser, "object-member", G_CALLBACK(on_object_member), &duplicates);
        g_signal_connect(parser, "object-end", G_CALLBACK(on_object_end), &duplicates);
        (void) json_parser_load_from_data(parser, text, (gssize) length, NULL);
        found = duplicates.found;
        g_set_error(error, JSON_TEXT_ERROR, JSON_ERROR_SYNTAX, "%s:%u: the key \"%s\" stands twice in one object",
                    name, duplicates.line, found ? found : "?");
}

static JsonNode *parse_checked(const Scanner *scanner) {
        gsize length = (gsize) (scanner->end - scanner->start);
        g_autoptr(JsonParser) parser = json_parser_new();
        g_autoptr(JsonNode) root = NULL;
        g_autoptr(GError) cause = NULL;

        if (!json_parser_load_from_data(parser, scanner->start, (gssize) length, &cause)) {
                g_set_error(scanner->error, JSON_TEXT_ERROR, JSON_ERROR_SYNTAX, "%s: %s", scanner->name,
                            cause->message);
                return NULL;
        }
        root = json_parser_steal_root(parser);
        if (count_members(root) != scanner->members) {
                name_duplicate(scanner->name, scanner->start, length, scanner->error);
                return NULL;
        }
        return g_steal_pointer(&root);
}

JsonNode *json_text_parse(const char *name, const char *text, gssize length, GError **error) {
        gsize size = length < 0 ? strlen(text) : (gsize) length;
        g_autofree char *copy = NULL;
        Scanner scanner;

        if (size > JSON_SIZE_MAX) {
                g_set_error(error, JSON_TEXT_ERROR, JSON_ERROR_TOO_LARGE,
                            "%s: %" G_GSIZE_FORMAT " bytes, at most %u are read", name, size, JSON_SIZE_MAX);
                return NULL;
        }
        /* The number functions read on until something that is no number: never past a NUL of our own. */
        copy = g_strndup(text, size);
        scanner = (Scanner) { .name = name, .start = copy, .at = copy, .end = copy + size, .error = error };
        if (!scan_text(&scanner))
                return NULL;
        return parse_checked(&scanner);
}

JsonNode *json_file_parse(const char *path, GError **error) {
        g_autofree char *text = NULL;
        gsize length;

        if (!file_read(path, JSON_SIZE_MAX, &text, &length, error))
                return NULL;
        return json_text_parse(path, text, (gssize) length, error);
}

static void write_node(GString *text, JsonNode *node, int indent);

static gboolean is_plain(char c) {
        return (unsigned char) c >= 0x20 && c != '"' && c != '\\' && c != 0x7f;
}

static void write_escaped(GString *text, char c) {
        if (c == '"' || c == '\\') {
                g_string_append_c(text, '\\');
                g_string_append_c(text, c);
        } else if (c == '\n')
                g_string_append(text, "\\n");
        else if (c == '\t')
                g_string_append(text, "\\t");
        else
                g_string_append_printf(text, "\\u%04x", (unsigned char) c);
}

void json_append_string(GString *text, const char *string) {
        g_string_append_c(text, '"');
        for (const char *p = string; *p; p++) {
                const char *plain = p;

                while (is_plain(*p))
                        p++;
                g_string_append_len(text, plain, p - plain);
                if (!*p)
                        break;
                write_escaped(text, *p);
        }
        g_string_append_c(text, '"');
}

/* Not by printf(): every event has three of them, and is written down while others wait. */
void json_append_int(GString *text, gint64 value) {
        guint64 left = value < 0 ? -(guint64) value : (guint64) value;
        char digits[20];
        unsigned at = sizeof(digits);

        do
                digits[--at] = (char) ('0' + left % 10);
        while ((left /= 10) > 0);
        if (value < 0)
                g_string_append_c(text, '-');
        g_string_append_len(text, digits + at, (gssize) (sizeof(digits) - at));
}

/* The shortest digits that read back as the same number: json-glib would show people 0.10000000000000001 for 0.1. */
static void write_double(GString *text, double value) {
        char buffer[G_ASCII_DTOSTR_BUF_SIZE];

        if (!isfinite(value)) {
                g_string_append(text, "null");
                return;
        }
        g_ascii_formatd(buffer, sizeof(buffer), "%.15g", value);
        if (g_ascii_strtod(buffer, NULL) != value)
                g_ascii_dtostr(buffer, sizeof(buffer), value);
        g_string_append(text, buffer);
        /* A number with a fraction stays one when it is read again. */
        if (!strpbrk(buffer, ".e"))
                g_string_append(text, ".0");
}

static void write_value(GString *text, JsonNode *node) {
        GType type = json_node_get_value_type(node);

        if (type == G_TYPE_STRING)
                json_append_string(text, json_node_get_string(node));
        else if (type == G_TYPE_BOOLEAN)
                g_string_append(text, json_node_get_boolean(node) ? "true" : "false");
        else if (type == G_TYPE_DOUBLE)
                write_double(text, json_node_get_double(node));
        else
                json_append_int(text, json_node_get_int(node));
}

/* indent < 0: everything on one line. */
static void write_break(GString *text, int indent) {
        if (indent >= 0)
                g_string_append_printf(text, "\n%*s", 2 * indent, "");
}

static void write_object(GString *text, JsonObject *object, int indent) {
        int inner = indent < 0 ? indent : indent + 1;
        JsonObjectIter iter;
        const char *member;
        JsonNode *node;
        gboolean first = TRUE;

        g_string_append_c(text, '{');
        json_object_iter_init_ordered(&iter, object);
        while (json_object_iter_next_ordered(&iter, &member, &node)) {
                if (!first)
                        g_string_append_c(text, ',');
                first = FALSE;
                write_break(text, inner);
                json_append_string(text, member);
                g_string_append(text, indent < 0 ? ":" : ": ");
                write_node(text, node, inner);
        }
        if (!first)
                write_break(text, indent);
        g_string_append_c(text, '}');
}

static void write_array(GString *text, JsonArray *array, int indent) {
        int inner = indent < 0 ? indent : indent + 1;
        guint length = json_array_get_length(array);

        g_string_append_c(text, '[');
        for (guint i = 0; i < length; i++) {
                if (i > 0)
                        g_string_append_c(text, ',');
                write_break(text, inner);
                write_node(text, json_array_get_element(array, i), inner);
        }
        if (length > 0)
                write_break(text, indent);
        g_string_append_c(text, ']');
}

static void write_node(GString *text, JsonNode *node, int indent) {
        switch (json_node_get_node_type(node)) {
        case JSON_NODE_OBJECT:
                write_object(text, json_node_get_object(node), indent);
                break;
        case JSON_NODE_ARRAY:
                write_array(text, json_node_get_array(node), indent);
                break;
        case JSON_NODE_VALUE:
                write_value(text, node);
                break;
        case JSON_NODE_NULL:
        default:
                g_string_append(text, "null");
                break;
        }
}

char *json_text_compact(JsonNode *node) {
        GString *text = g_string_new(NULL);

        write_node(text, node, -1);
        return g_string_free(text, FALSE);
}

void json_append_object(GString *text, JsonObject *object) {
        write_object(text, object, -1);
}

char *json_object_text(JsonObject *object) {
        GString *text = g_string_new(NULL);

        write_object(text, object, -1);
        return g_string_free(text, FALSE);
}

gboolean json_objects_equal(JsonObject *a, JsonObject *b) {
        g_autoptr(JsonNode) left = NULL, right = NULL;

        if (!a || !b)
                return a == b;
        left = json_node_init_object(json_node_alloc(), a);
        right = json_node_init_object(json_node_alloc(), b);
        return json_node_equal(left, right);
}

char *json_text_pretty(JsonNode *node) {
        GString *text = g_string_new(NULL);

        write_node(text, node, 0);
        g_string_append_c(text, '\n');
        return g_string_free(text, FALSE);
}

static void merge_object(JsonObject *target, JsonObject *patch) {
        JsonObjectIter iter;
        const char *member;
        JsonNode *node;

        json_object_iter_init_ordered(&iter, patch);
        while (json_object_iter_next_ordered(&iter, &member, &node)) {
                g_autoptr(JsonNode) merged = NULL;

                if (JSON_NODE_HOLDS_NULL(node)) {
                        if (json_object_has_member(target, member))
                                json_object_remove_member(target, member);
                        continue;
                }
                merged = json_merge_patch(json_object_get_member(target, member), node);
                json_object_set_member(target, member, g_steal_pointer(&merged));
        }
}

JsonNode *json_merge_patch(JsonNode *target, JsonNode *patch) {
        g_autoptr(JsonNode) result = NULL;

        /* Arrays and values replace what was there; copied deeply, so that nothing is shared with the patch. */
        if (!JSON_NODE_HOLDS_OBJECT(patch)) {
                g_autofree char *text = json_text_compact(patch);

                return json_from_string(text, NULL);
        }
        if (target && JSON_NODE_HOLDS_OBJECT(target))
                result = json_node_ref(target);
        else {
                result = json_node_new(JSON_NODE_OBJECT);
                json_node_take_object(result, json_object_new());
        }
        merge_object(json_node_get_object(result), json_node_get_object(patch));
        return g_steal_pointer(&result);
}

static JsonNode *get_value(JsonObject *object, const char *member) {
        JsonNode *node = json_object_get_member(object, member);

        return node && JSON_NODE_HOLDS_VALUE(node) ? node : NULL;
}

const char *json_get_string(JsonObject *object, const char *member, const char *fallback) {
        JsonNode *node = get_value(object, member);

        return node && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node) : fallback;
}

gint64 json_get_int(JsonObject *object, const char *member, gint64 fallback) {
        JsonNode *node = get_value(object, member);

        return node && json_node_get_value_type(node) == G_TYPE_INT64 ? json_node_get_int(node) : fallback;
}

double json_get_double(JsonObject *object, const char *member, double fallback) {
        JsonNode *node = get_value(object, member);
        GType type = node ? json_node_get_value_type(node) : G_TYPE_INVALID;

        return type == G_TYPE_DOUBLE || type == G_TYPE_INT64 ? json_node_get_double(node) : fallback;
}

gboolean json_get_boolean(JsonObject *object, const char *member, gboolean fallback) {
        JsonNode *node = get_value(object, member);

        return node && json_node_get_value_type(node) == G_TYPE_BOOLEAN ? json_node_get_boolean(node) : fallback;
}

JsonObject *json_get_object(JsonObject *object, const char *member) {
        JsonNode *node = json_object_get_member(object, member);

        return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

JsonArray *json_get_array(JsonObject *object, const char *member) {
        JsonNode *node = json_object_get_member(object, member);

        return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}
