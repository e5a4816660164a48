/* SPDX-License-Identifier: Apache-2.0 */

/* JSON is read strictly and written so that it reads back the same. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "util/json.h"

static JsonNode *parse(const char *text) {
        g_autoptr(GError) error = NULL;
        JsonNode *node = json_text_parse("test", text, -1, &error);

        g_assert_no_error(error);
        g_assert_nonnull(node);
        return node;
}

static void test_round_trip(void) {
        static const char *const texts[] = {
                "{}", "[]", "null", "true", "0", "-1", "1.5", "0.1", "1e+100", "2.0", "9223372036854775807",
                "-9223372036854775808", "\"\"", "\"\\\"\\\\\\n\\t\\u0001\"", "\"Zürich 🛌\"",
                "{\"b\":1,\"a\":{\"z\":[1,[],{}],\"y\":null}}",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                g_autoptr(JsonNode) node = parse(texts[i]);
                g_autofree char *text = json_text_compact(node);

                g_assert_cmpstr(text, ==, texts[i]);
        }
}

static void test_pretty(void) {
        g_autoptr(JsonNode) node = parse(" { \"a\" : [ 1 , 2 ] , \"b\" : { } } ");
        g_autofree char *text = json_text_pretty(node);

        g_assert_cmpstr(text, ==, "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {}\n}\n");
}

static void test_not_json(void) {
        static const struct {
                const char *text;
                const char *place;
        } bad[] = {
                { "", "test:1:1:" },
                { "  ", "test:1:3:" },
                { "{", "test:1:2:" },
                { "{\"a\":1,}", "test:1:8:" },
                { "[1,]", "test:1:4:" },
                { "{\"a\" 1}", "test:1:6:" },
                { "{a:1}", "test:1:2:" },
                { "{'a':1}", "test:1:2:" },
                { "{\"a\":1} {}", "test:1:9:" },
                { "{\n  \"a\": tru\n}", "test:2:8:" },
                { "/* no */ {}", "test:1:1:" },
                { "{} // no", "test:1:4:" },
                { "var x = {};", "test:1:1:" },
                { "01", "test:1:2:" },
                { "0x10", "test:1:2:" },
                { "1.", "test:1:3:" },
                { ".5", "test:1:1:" },
                { "+1", "test:1:1:" },
                { "-", "test:1:2:" },
                { "1e", "test:1:3:" },
                { "1e999", "test:1:1:" },
                { "NaN", "test:1:1:" },
                { "-Infinity", "test:1:2:" },
                { "9223372036854775808", "test:1:1:" },
                { "\"a", "test:1:3:" },
                { "\"a\nb\"", "test:1:3:" },
                { "\"\\x\"", "test:1:3:" },
                { "\"\\u12g4\"", "test:1:6:" },
                { "\"\\u0000\"", "test:1:8:" },
                { "\"\\ud800\"", "test:1:8:" },
                { "\"\\ud800\\u0041\"", "test:1:14:" },
                { "\"\\udc00\"", "test:1:8:" },
                { "{\"a\":1,\"b\":2,\"a\":3}", "test:1:" },
                { "{\"x\":{\"a\":1,\"\\u0061\":3}}", "test:1:" },
                { "\"\xff\"", "test:1:2:" },
                { "{\"Zü\":\xc0}", "test:1:7:" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autoptr(GError) error = NULL;

                g_assert_null(json_text_parse("test", bad[i].text, -1, &error));
                g_assert_error(error, JSON_TEXT_ERROR, JSON_ERROR_SYNTAX);
                if (!g_str_has_prefix(error->message, bad[i].place))
                        g_error("%s: expected %s, got %s", bad[i].text, bad[i].place, error->message);
        }
}

/* A text that ends at any byte is an error, never a crash or half an object. */
static void test_truncated(void) {
        const char *whole = "{\"a\": [1, -2.5e3, \"x\\n\\u00e9\\ud83d\\ude00\"], \"b\": {\"c\": true, \"d\": null}}";

        for (gssize length = 0; length < (gssize) strlen(whole); length++) {
                g_autoptr(GError) error = NULL;

                g_assert_null(json_text_parse("test", whole, length, &error));
                g_assert_error(error, JSON_TEXT_ERROR, JSON_ERROR_SYNTAX);
        }
}

static void test_nul_inside(void) {
        g_autoptr(GError) error = NULL;

        g_assert_null(json_text_parse("test", "{}\0{}", 5, &error));
        g_assert_error(error, JSON_TEXT_ERROR, JSON_ERROR_SYNTAX);
}

static void test_depth(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GString) good = g_string_new(NULL), bad = g_string_new(NULL);
        g_autoptr(JsonNode) node = NULL;

        for (unsigned i = 0; i < JSON_DEPTH_MAX; i++)
                g_string_append_c(good, '[');
        for (unsigned i = 0; i < JSON_DEPTH_MAX; i++)
                g_string_append_c(good, ']');
        node = parse(good->str);

        for (unsigned i = 0; i < 100000; i++)
                g_string_append(bad, "{\"a\":");
        g_assert_null(json_text_parse("test", bad->str, -1, &error));
        g_assert_error(error, JSON_TEXT_ERROR, JSON_ERROR_TOO_DEEP);
}

static void test_size(void) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = g_strnfill(JSON_SIZE_MAX + 1, ' ');

        g_assert_null(json_text_parse("test", text, -1, &error));
        g_assert_error(error, JSON_TEXT_ERROR, JSON_ERROR_TOO_LARGE);
}

static void test_file(void) {
        g_autoptr(GError) error = NULL, missing = NULL, broken = NULL;
        g_autofree char *directory = g_dir_make_tmp("test-json-XXXXXX", &error);
        g_autofree char *path = g_build_filename(directory, "x.json", NULL);
        g_autoptr(JsonNode) node = NULL;

        g_assert_null(json_file_parse(path, &missing));
        g_assert_nonnull(missing);
        g_assert_true(g_file_set_contents(path, "{\"a\": 1}", -1, &error));
        node = json_file_parse(path, &error);
        g_assert_no_error(error);
        g_assert_cmpint(json_get_int(json_node_get_object(node), "a", 0), ==, 1);

        g_assert_true(g_file_set_contents(path, "{\"a\": 1", -1, &error));
        g_assert_null(json_file_parse(path, &broken));
        g_assert_nonnull(strstr(broken->message, "x.json:1:8:"));
        g_assert_cmpint(remove(path), ==, 0);
        g_assert_cmpint(remove(directory), ==, 0);
}

/* The examples of RFC 7396, appendix A. */
static void test_merge_patch(void) {
        static const struct {
                const char *target, *patch, *result;
        } examples[] = {
                { "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
                { "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
                { "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
                { "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
                { "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
                { "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
                { "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}" },
                { "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
                { "[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]" },
                { "{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]" },
                { "{\"a\":\"foo\"}", "null", "null" },
                { "{\"a\":\"foo\"}", "\"bar\"", "\"bar\"" },
                { "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
                { "[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}" },
                { "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(examples); i++) {
                g_autoptr(JsonNode) target = parse(examples[i].target), patch = parse(examples[i].patch);
                g_autoptr(JsonNode) result = json_merge_patch(target, patch);
                g_autofree char *text = json_text_compact(result);

                g_assert_cmpstr(text, ==, examples[i].result);
        }
}

static void test_merge_patch_without_target(void) {
        g_autoptr(JsonNode) patch = parse("{\"a\":{\"b\":1}}");
        g_autoptr(JsonNode) result = json_merge_patch(NULL, patch);
        g_autofree char *text = json_text_compact(result);

        g_assert_cmpstr(text, ==, "{\"a\":{\"b\":1}}");
}

static void test_members(void) {
        g_autoptr(JsonNode) node = parse("{\"s\":\"x\",\"i\":3,\"d\":2.5,\"b\":true,\"o\":{},\"a\":[],\"n\":null}");
        JsonObject *object = json_node_get_object(node);

        g_assert_cmpstr(json_get_string(object, "s", "y"), ==, "x");
        g_assert_cmpstr(json_get_string(object, "i", "y"), ==, "y");
        g_assert_cmpstr(json_get_string(object, "none", "y"), ==, "y");
        g_assert_cmpint(json_get_int(object, "i", 7), ==, 3);
        g_assert_cmpint(json_get_int(object, "d", 7), ==, 7);
        g_assert_cmpfloat(json_get_double(object, "d", 7), ==, 2.5);
        g_assert_cmpfloat(json_get_double(object, "i", 7), ==, 3);
        g_assert_cmpfloat(json_get_double(object, "n", 7), ==, 7);
        g_assert_true(json_get_boolean(object, "b", FALSE));
        g_assert_false(json_get_boolean(object, "i", FALSE));
        g_assert_nonnull(json_get_object(object, "o"));
        g_assert_null(json_get_object(object, "a"));
        g_assert_nonnull(json_get_array(object, "a"));
        g_assert_null(json_get_array(object, "o"));
}

static void test_not_finite(void) {
        g_autoptr(JsonObject) object = json_object_new();
        g_autofree char *text = NULL;

        json_object_set_double_member(object, "nan", NAN);
        json_object_set_double_member(object, "inf", INFINITY);
        text = json_object_text(object);
        g_assert_cmpstr(text, ==, "{\"nan\":null,\"inf\":null}");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/json/round-trip", test_round_trip);
        g_test_add_func("/json/pretty", test_pretty);
        g_test_add_func("/json/not-json", test_not_json);
        g_test_add_func("/json/truncated", test_truncated);
        g_test_add_func("/json/nul-inside", test_nul_inside);
        g_test_add_func("/json/depth", test_depth);
        g_test_add_func("/json/size", test_size);
        g_test_add_func("/json/file", test_file);
        g_test_add_func("/json/merge-patch", test_merge_patch);
        g_test_add_func("/json/merge-patch-without-target", test_merge_patch_without_target);
        g_test_add_func("/json/members", test_members);
        g_test_add_func("/json/not-finite", test_not_finite);
        return g_test_run();
}
