/* SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "signature.h"
#include "target.h"
#include "template.h"
#include "util/host.h"
#include "util/json.h"

static const char event_text[] = "{\"id\":\"n-1\",\"type\":\"cloud.spot.interrupt\",\"severity\":3,\"data\":{"
                                 "\"action\":\"a \\\"b\\\"\\n,\\\"x\\\":1\","
                                 "\"a.b\":true,\"in\":{\"deep\":1.5},\"list\":[\"p\",\"q\"]}}";

static char *expand(const char *template) {
        g_autoptr(JsonNode) event = json_text_parse("event", event_text, -1, NULL), node = NULL, parsed = NULL;
        g_autoptr(GError) error = NULL;

        parsed = template_parse(template, &error);
        g_assert_no_error(error);
        node = template_expand(parsed, json_node_get_object(event));
        return json_text_compact(node);
}

static void test_fields(void) {
        static const struct {
                const char *template, *body;
        } rows[] = {
                { "{\"text\":\"${type}: ${severity}\"}", "{\"text\":\"cloud.spot.interrupt: 3\"}" },
                /* Alone it keeps its type. */
                { "{\"n\":\"${severity}\"}", "{\"n\":3}" },
                { "{\"d\":\"${data.in}\"}", "{\"d\":{\"deep\":1.5}}" },
                { "[\"${data.in.deep}\",\"${data.list}\",\"${data.a.b}\"]", "[1.5,[\"p\",\"q\"],true]" },
                { "\"${data.list} ${data.in}\"", "\"[\\\"p\\\",\\\"q\\\"] {\\\"deep\\\":1.5}\"" },
                /* What is not there. */
                { "[\"${data.none}\",\"<${data.none}>\",\"${deadline}\"]", "[null,\"<>\",null]" },
                /* Nothing of an event leaves its string. */
                { "{\"text\":\"<${data.action}>\"}", "{\"text\":\"<a \\\"b\\\"\\n,\\\"x\\\":1>\"}" },
                { "[\"$${type}\",\"a $${ ${id}\",\"$\",\"${id}${id}\"]",
                  "[\"${type}\",\"a ${ n-1\",\"$\",\"n-1n-1\"]" },
                /* Not strings, and not keys. */
                { "{\"${id}\":[1,true,null,2.5]}", "{\"${id}\":[1,true,null,2.5]}" },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autofree char *body = expand(rows[i].template);

                g_assert_cmpstr(body, ==, rows[i].body);
        }
}

static void test_wrong_templates(void) {
        static const char *const wrong[] = { "",
                                             "{",
                                             "{\"a\":1,\"a\":2}",
                                             "\"${\"",
                                             "\"${type\"",
                                             "\"${}\"",
                                             "\"${kind}\"",
                                             "\"${types}\"",
                                             "\"${data.}\"",
                                             "\"${type.x}\"",
                                             "\"${ type}\"" };
        g_autofree char *long_text = g_strnfill(TEMPLATE_MAX + 1, ' ');
        GString *many = g_string_new("\"");

        for (guint i = 0; i <= TEMPLATE_FIELDS_MAX; i++)
                g_string_append(many, "${id}");
        g_string_append_c(many, '"');
        for (gsize i = 0; i < G_N_ELEMENTS(wrong) + 2; i++) {
                const char *text = i < G_N_ELEMENTS(wrong)    ? wrong[i]
                                   : i == G_N_ELEMENTS(wrong) ? long_text
                                                              : many->str;
                g_autoptr(GError) error = NULL;

                g_assert_null(template_parse(text, &error));
                g_assert_nonnull(error);
        }
        g_string_free(many, TRUE);
}

/* The example of Standard Webhooks' specification; the other is `printf 'id.1.{}' | openssl dgst -sha256 -hmac …
 * -binary | base64`. */
static void test_signature(void) {
        g_autoptr(GBytes) key = signature_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", NULL),
                          plain = signature_key("0123456789abcdef", NULL);
        static const char body[] = "{\"test\": 2432232314}";
        g_autofree char *signature =
                signature_make(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body, strlen(body));
        g_autofree char *other = signature_make(plain, "id", "1", "{}", 2),
                        *longer = g_strconcat("v2,x ", signature, " v1,y", NULL);

        g_assert_cmpstr(signature, ==, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        g_assert_cmpstr(other, ==, "v1,yeZaAZsMj+p9HYOuD1F+F/7d48vEptDLSKbEg9Q37pk=");
        g_assert_true(signature_matches(signature, signature));
        g_assert_true(signature_matches(signature, longer));
        g_assert_false(signature_matches(signature, ""));
        g_assert_false(signature_matches(signature, "v1,"));
        g_assert_false(signature_matches(signature, other));
}

static void test_wrong_keys(void) {
        static const char *const wrong[] = { "",
                                             "short",
                                             "whsec_",
                                             "whsec_AAAA",
                                             "whsec_????????????????????????????????",
                                             "whsec_=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" };

        for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
                g_autoptr(GError) error = NULL;

                g_assert_null(signature_key(wrong[i], &error));
                g_assert_nonnull(error);
                g_assert_null(strlen(wrong[i]) > 6 ? strstr(error->message, wrong[i]) : NULL);
        }
}

static void test_targets(void) {
        static const struct {
                const char *url, *name;
                gboolean loopback;
        } rows[] = {
                { "https://hooks.example.org/services/T0/SECRET?k=v", "https://hooks.example.org", FALSE },
                { "https://hooks.example.org:8443/", "https://hooks.example.org:8443", FALSE },
                { "http://localhost:8080/x", "http://localhost:8080", TRUE },
                { "http://127.8.9.10/", "http://127.8.9.10", TRUE },
                { "http://[::1]:80/", "http://[::1]:80", TRUE },
                { "http://hooks.example.org/", NULL, FALSE },
                { "http://127.example.org/", NULL, FALSE },
                { "http://127.0.0.1.example.org/", NULL, FALSE },
                { "https://user:pa55@example.org/", NULL, FALSE },
                { "ftp://localhost/", NULL, FALSE },
                { "file:///etc/passwd", NULL, FALSE },
                { "hooks.example.org/pa55", NULL, FALSE },
                { "https://", NULL, FALSE },
                { "", NULL, FALSE },
                { "https://example.org/a b\nHost: x", NULL, FALSE },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autoptr(GError) error = NULL;
                gboolean loopback = FALSE;
                g_autofree char *name = target_name(rows[i].url, &loopback, &error);

                g_assert_cmpstr(name, ==, rows[i].name);
                g_assert_true((name != NULL) == (error == NULL));
                if (name)
                        g_assert_cmpint(loopback, ==, rows[i].loopback);
                else
                        g_assert_null(strstr(error->message, "pa55"));
        }
}

static void test_headers(void) {
        static const char *const right[] = { "X-Token: abc", "Authorization:Bearer x",
                                             "content-type: application/cloudevents+json", NULL };
        static const char *const wrong[] = { "",
                                             "X",
                                             ": x",
                                             "X-Token:",
                                             "X-Token:  ",
                                             "X Token: x",
                                             "X: a\r\nEvil: b",
                                             "X: a\nb",
                                             "Host: x",
                                             "content-length: 3",
                                             "Webhook-Signature: v1,x",
                                             "Idempotency-Key: x" };

        for (const char *const *header = right; *header; header++)
                g_assert_true(header_valid(*header, NULL));
        for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
                g_autoptr(GError) error = NULL;

                g_assert_false(header_valid(wrong[i], &error));
                g_assert_nonnull(error);
        }
        g_assert_true(headers_have(right, "Content-Type"));
        g_assert_false(headers_have(right, "X"));
        g_assert_false(headers_have(NULL, "X"));
}

static void test_loopback(void) {
        static const char *const here[] = { "localhost", "LOCALHOST", "127.0.0.1", "127.255.1.2", "::1", "[::1]" };
        static const char *const elsewhere[] = { "",          "127.", "127.0.0.1.example.org",
                                                 "128.0.0.1", "::2",  "localhost.example.org",
                                                 "0.0.0.0",   "[]" };

        for (gsize i = 0; i < G_N_ELEMENTS(here); i++)
                g_assert_true(host_is_loopback(here[i]));
        for (gsize i = 0; i < G_N_ELEMENTS(elsewhere); i++)
                g_assert_false(host_is_loopback(elsewhere[i]));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/webhook/template/fields", test_fields);
        g_test_add_func("/webhook/template/wrong", test_wrong_templates);
        g_test_add_func("/webhook/signature", test_signature);
        g_test_add_func("/webhook/signature/wrong-keys", test_wrong_keys);
        g_test_add_func("/webhook/target", test_targets);
        g_test_add_func("/webhook/headers", test_headers);
        g_test_add_func("/webhook/loopback", test_loopback);
        return g_test_run();
}
