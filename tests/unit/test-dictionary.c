/* SPDX-License-Identifier: Apache-2.0 */

/* a{sv} to JSON and back; what is too much, and what JSON cannot say, is refused with a name. */

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "bus/dictionary.h"
#include "loose-bus.h"

typedef struct Fixture {
        sd_bus *bus;
        sd_bus_message *message;
        int peer;
} Fixture;

static void set_up(Fixture *f, gconstpointer data) {
        f->bus = loose_bus(&f->peer);
        g_assert_cmpint(sd_bus_message_new_signal(f->bus, &f->message, "/x", "x.y", "Z"), >=, 0);
}

static void tear_down(Fixture *f, gconstpointer data) {
        sd_bus_message_unref(f->message);
        sd_bus_close_unref(f->bus);
        safe_close(f->peer);
}

static void seal(Fixture *f) {
        g_assert_cmpint(sd_bus_message_seal(f->message, 1, 0), >=, 0);
        g_assert_cmpint(sd_bus_message_rewind(f->message, 1), >=, 0);
}

static void assert_reads(Fixture *f, const char *expected) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autoptr(JsonObject) object = NULL;
        g_autofree char *text = NULL;

        seal(f);
        g_assert_cmpint(dictionary_read(f->message, &dictionary_limits_default, &object, &error), ==, 0);
        text = json_object_text(object);
        g_assert_cmpstr(text, ==, expected);
        g_assert_cmpint(sd_bus_message_at_end(f->message, 1), ==, 1);
}

static void assert_refused(Fixture *f, const DictionaryLimits *limits, const char *part) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        JsonObject *object = NULL;

        seal(f);
        g_assert_cmpint(dictionary_read(f->message, limits, &object, &error), ==, -EBADMSG);
        g_assert_cmpstr(error.name, ==, ERROR_INVALID_ARGUMENT);
        g_assert_nonnull(strstr(error.message, part));
        g_assert_null(object);
}

static void test_every_type(Fixture *f, gconstpointer data) {
        g_assert_cmpint(sd_bus_message_append(f->message, "a{sv}", 12,
                                              "y", "y", 255,
                                              "n", "n", -32768,
                                              "q", "q", 65535,
                                              "i", "i", -2147483647 - 1,
                                              "u", "u", 4294967295U,
                                              "x", "x", INT64_MIN,
                                              "t", "t", (uint64_t) INT64_MAX,
                                              "d", "d", 0.25,
                                              "b", "b", 1,
                                              "s", "s", "Zürich",
                                              "o", "o", "/a/b",
                                              "g", "g", "a{sv}"), >=, 0);
        assert_reads(f, "{\"y\":255,\"n\":-32768,\"q\":65535,\"i\":-2147483648,\"u\":4294967295,"
                        "\"x\":-9223372036854775808,\"t\":9223372036854775807,\"d\":0.25,\"b\":true,\"s\":\"Zürich\","
                        "\"o\":\"/a/b\",\"g\":\"a{sv}\"}");
}

static void test_nested(Fixture *f, gconstpointer data) {
        g_assert_cmpint(sd_bus_message_append(f->message, "a{sv}", 5,
                                              "bytes", "ay", 3, 1, 2, 3,
                                              "strings", "as", 2, "a", "b",
                                              "none", "as", 0,
                                              "struct", "(sub)", "a", 7U, 0,
                                              "dicts", "aa{sv}", 1, 1, "k", "v", "a{ss}", 1, "x", "y"), >=, 0);
        assert_reads(f, "{\"bytes\":[1,2,3],\"strings\":[\"a\",\"b\"],\"none\":[],\"struct\":[\"a\",7,false],"
                        "\"dicts\":[{\"k\":{\"x\":\"y\"}}]}");
}

static void test_empty(Fixture *f, gconstpointer data) {
        g_assert_cmpint(sd_bus_message_append(f->message, "a{sv}", 0), >=, 0);
        assert_reads(f, "{}");
}

/* Descriptors themselves travel only where both ends agreed; their type can always be sent. */
static void test_descriptors(Fixture *f, gconstpointer data) {
        g_assert_cmpint(sd_bus_message_append(f->message, "a{sv}", 1, "fd", "ah", 0), >=, 0);
        assert_reads(f, "{\"fd\":[]}");
}

static void test_too_large_a_number(Fixture *f, gconstpointer data) {
        g_assert_cmpint(sd_bus_message_append(f->message, "a{sv}", 1, "t", "t", (uint64_t) INT64_MAX + 1), >=, 0);
        assert_refused(f, &dictionary_limits_default, "larger than");
}

static void test_not_finite(Fixture *f, gconstpointer data) {
        g_assert_cmpint(sd_bus_message_append(f->message, "a{sv}", 1, "d", "d", (double) NAN), >=, 0);
        assert_refused(f, &dictionary_limits_default, "not finite");
}

static void test_duplicate(Fixture *f, gconstpointer data) {
        g_assert_cmpint(sd_bus_message_append(f->message, "a{sv}", 2, "k", "s", "a", "k", "s", "b"), >=, 0);
        assert_refused(f, &dictionary_limits_default, "\"k\" stands twice");
}

static void test_keys_that_are_no_strings(Fixture *f, gconstpointer data) {
        g_assert_cmpint(sd_bus_message_append(f->message, "a{sv}", 1, "k", "a{us}", 1, 1U, "x"), >=, 0);
        assert_refused(f, &dictionary_limits_default, "must be strings");
}

static void test_key_with_control_character(Fixture *f, gconstpointer data) {
        g_assert_cmpint(sd_bus_message_append(f->message, "a{sv}", 1, "k\n", "s", "x"), >=, 0);
        assert_refused(f, &dictionary_limits_default, "control character");
}

static void test_key_length(Fixture *f, gconstpointer data) {
        g_autofree char *key = g_strnfill(dictionary_limits_default.key_max + 1, 'k');

        g_assert_cmpint(sd_bus_message_append(f->message, "a{sv}", 1, key, "s", "x"), >=, 0);
        assert_refused(f, &dictionary_limits_default, "expected 1 to 128");
}

static void test_empty_key(Fixture *f, gconstpointer data) {
        g_assert_cmpint(sd_bus_message_append(f->message, "a{sv}", 1, "", "s", "x"), >=, 0);
        assert_refused(f, &dictionary_limits_default, "expected 1 to 128");
}

static void test_too_many_bytes(Fixture *f, gconstpointer data) {
        g_autofree char *text = g_strnfill(dictionary_limits_default.bytes, 'x');

        g_assert_cmpint(sd_bus_message_append(f->message, "a{sv}", 1, "k", "s", text), >=, 0);
        assert_refused(f, &dictionary_limits_default, "bytes of text");
}

static void test_too_many_entries(Fixture *f, gconstpointer data) {
        const DictionaryLimits few = { .depth = 8, .entries = 3, .key_max = 8, .bytes = 64 };

        g_assert_cmpint(sd_bus_message_append(f->message, "a{sv}", 1, "k", "as", 3, "a", "b", "c"), >=, 0);
        assert_refused(f, &few, "More than 3 entries");
}

static void test_too_many_raw_bytes(Fixture *f, gconstpointer data) {
        const DictionaryLimits few = { .depth = 8, .entries = 3, .key_max = 8, .bytes = 64 };

        g_assert_cmpint(sd_bus_message_append(f->message, "a{sv}", 1, "k", "ay", 3, 1, 2, 3), >=, 0);
        assert_refused(f, &few, "More than 3 entries");
}

/* A variant in a variant in a variant … */
static void test_too_deep(Fixture *f, gconstpointer data) {
        g_assert_cmpint(sd_bus_message_open_container(f->message, 'a', "{sv}"), >=, 0);
        g_assert_cmpint(sd_bus_message_open_container(f->message, 'e', "sv"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(f->message, "s", "k"), >=, 0);
        for (unsigned i = 0; i < 20; i++)
                g_assert_cmpint(sd_bus_message_open_container(f->message, 'v', "v"), >=, 0);
        g_assert_cmpint(sd_bus_message_append(f->message, "v", "s", "x"), >=, 0);
        for (unsigned i = 0; i < 22; i++)
                g_assert_cmpint(sd_bus_message_close_container(f->message), >=, 0);
        assert_refused(f, &dictionary_limits_default, "nested more than 8 deep");
}

static void test_no_dictionary(Fixture *f, gconstpointer data) {
        g_assert_cmpint(sd_bus_message_append(f->message, "a{ss}", 1, "k", "v"), >=, 0);
        assert_refused(f, &dictionary_limits_default, "a{sv}");
}

static int append_text(Fixture *f, const char *text, const char *const *hints) {
        g_autoptr(JsonNode) node = json_text_parse("test", text, -1, NULL);

        g_assert_nonnull(node);
        return dictionary_append(f->message, json_node_get_object(node), hints);
}

static void test_append_and_read_back(Fixture *f, gconstpointer data) {
        const char *text =
                "{\"s\":\"x\",\"b\":false,\"d\":1.5,\"t\":7,\"x\":-7,\"o\":{\"k\":[1,\"mixed\",{\"deep\":true}]},"
                "\"as\":[\"a\"],\"none\":[],\"aa\":[{\"a\":1},{}],\"av\":[1,2.5]}";

        g_assert_cmpint(append_text(f, text, NULL), >=, 0);
        assert_reads(f, text);
}

static void test_append_natural_types(Fixture *f, gconstpointer data) {
        uint64_t t;
        int64_t x;
        const char *s;
        double d;
        int b;

        g_assert_cmpint(append_text(f, "{\"s\":\"x\",\"b\":true,\"d\":1.0,\"t\":7,\"x\":-7}", NULL), >=, 0);
        seal(f);
        g_assert_cmpint(sd_bus_message_read(f->message, "a{sv}", 5, NULL, "s", &s, NULL, "b", &b, NULL, "d", &d, NULL,
                                            "t", &t, NULL, "x", &x), >=, 0);
        g_assert_cmpuint(t, ==, 7);
        g_assert_cmpint(x, ==, -7);
}

static void test_append_leaves_null_out(Fixture *f, gconstpointer data) {
        g_assert_cmpint(append_text(f, "{\"a\":null,\"b\":[null,\"x\"],\"c\":{\"d\":null}}", NULL), >=, 0);
        assert_reads(f, "{\"b\":[\"x\"],\"c\":{}}");
}

static void test_append_hints(Fixture *f, gconstpointer data) {
        static const char *const hints[] = { "severity", "u", "tags", "a{ss}", "share", "d", NULL };
        const char *key, *value;
        uint32_t severity;
        double share;

        g_assert_cmpint(append_text(f, "{\"severity\":3,\"tags\":{\"k\":\"v\"},\"share\":1}", hints), >=, 0);
        seal(f);
        g_assert_cmpint(sd_bus_message_read(f->message, "a{sv}", 3, NULL, "u", &severity, NULL, "a{ss}", 1, &key,
                                            &value, NULL, "d", &share),
                        >=, 0);
        g_assert_cmpuint(severity, ==, 3);
        g_assert_cmpstr(value, ==, "v");
        g_assert_cmpfloat(share, ==, 1);
}

static void test_append_hints_that_do_not_fit(Fixture *f, gconstpointer data) {
        static const char *const hints[] = { "severity", "u", NULL };

        g_assert_cmpint(append_text(f, "{\"severity\":4294967296}", hints), ==, -ERANGE);
}

static void test_append_hints_of_another_type(Fixture *f, gconstpointer data) {
        static const char *const hints[] = { "severity", "u", NULL };

        g_assert_cmpint(append_text(f, "{\"severity\":\"3\"}", hints), ==, -EINVAL);
}

static const char *const known[] = { "force", "b", "delay", "t", "action", "s", NULL };

static void test_options(Fixture *f, gconstpointer data) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autoptr(JsonObject) options = NULL;

        g_assert_cmpint(sd_bus_message_append(f->message, "a{sv}", 2, "delay", "t", (uint64_t) 5, "force", "b", 1), >=,
                        0);
        seal(f);
        g_assert_cmpint(options_read(f->message, known, &options, &error), ==, 0);
        g_assert_cmpint(json_get_int(options, "delay", 0), ==, 5);
        g_assert_true(json_get_boolean(options, "force", FALSE));
        g_assert_null(json_get_string(options, "action", NULL));
}

static void assert_options_refused(Fixture *f, const char *const *names, const char *part) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        JsonObject *options = NULL;

        seal(f);
        g_assert_cmpint(options_read(f->message, names, &options, &error), <, 0);
        g_assert_cmpstr(error.name, ==, ERROR_INVALID_ARGUMENT);
        g_assert_nonnull(strstr(error.message, part));
        g_assert_null(options);
}

static void test_unknown_option(Fixture *f, gconstpointer data) {
        g_assert_cmpint(sd_bus_message_append(f->message, "a{sv}", 1, "forec", "b", 1), >=, 0);
        assert_options_refused(f, known, "Unknown option \"forec\", known are: force, delay, action");
}

static void test_no_option_is_known(Fixture *f, gconstpointer data) {
        static const char *const none[] = { NULL };

        g_assert_cmpint(sd_bus_message_append(f->message, "a{sv}", 1, "x", "b", 1), >=, 0);
        assert_options_refused(f, none, "known are: none");
}

static void test_option_of_another_type(Fixture *f, gconstpointer data) {
        g_assert_cmpint(sd_bus_message_append(f->message, "a{sv}", 1, "delay", "u", 5U), >=, 0);
        assert_options_refused(f, known, "\"delay\" must be of type 't', not 'u'");
}

static void test_option_twice(Fixture *f, gconstpointer data) {
        g_assert_cmpint(sd_bus_message_append(f->message, "a{sv}", 2, "force", "b", 1, "force", "b", 0), >=, 0);
        assert_options_refused(f, known, "stands twice");
}

#define ADD(name, function) g_test_add("/dictionary/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("every-type", test_every_type);
        ADD("nested", test_nested);
        ADD("empty", test_empty);
        ADD("array-of-descriptors", test_descriptors);
        ADD("too-large-a-number", test_too_large_a_number);
        ADD("not-finite", test_not_finite);
        ADD("duplicate", test_duplicate);
        ADD("keys-that-are-no-strings", test_keys_that_are_no_strings);
        ADD("key-with-control-character", test_key_with_control_character);
        ADD("key-length", test_key_length);
        ADD("empty-key", test_empty_key);
        ADD("too-many-bytes", test_too_many_bytes);
        ADD("too-many-entries", test_too_many_entries);
        ADD("too-many-raw-bytes", test_too_many_raw_bytes);
        ADD("too-deep", test_too_deep);
        ADD("no-dictionary", test_no_dictionary);
        ADD("append/read-back", test_append_and_read_back);
        ADD("append/natural-types", test_append_natural_types);
        ADD("append/null", test_append_leaves_null_out);
        ADD("append/hints", test_append_hints);
        ADD("append/hints-that-do-not-fit", test_append_hints_that_do_not_fit);
        ADD("append/hints-of-another-type", test_append_hints_of_another_type);
        ADD("options/known", test_options);
        ADD("options/unknown", test_unknown_option);
        ADD("options/none-known", test_no_option_is_known);
        ADD("options/another-type", test_option_of_another_type);
        ADD("options/twice", test_option_twice);
        return g_test_run();
}
