/* SPDX-License-Identifier: Apache-2.0 */

/* What people read, and that nobody but us writes headers and orders. */

#include <string.h>

#include "base/clock.h"
#include "message.h"

#define NOW (UINT64_C(1700000000) * USEC_PER_SEC)

static const char *const recipients[] = { "root", "alice@example.org", NULL };
static const Mail mail = { "cloudsnooze@example.org", recipients, "host.example", "id" };

static SnoozePluginDictionary *event_of(const char *type, const char *reason) {
        SnoozePluginDictionary *event = snooze_plugin_dictionary_new();

        snooze_plugin_dictionary_set_string(event, "type", type);
        snooze_plugin_dictionary_set_string(event, "source", "aws");
        snooze_plugin_dictionary_set_string(event, "id", "i-1");
        snooze_plugin_dictionary_set_uint(event, "severity", 3);
        snooze_plugin_dictionary_set_uint(event, "timestamp", NOW);
        snooze_plugin_dictionary_set_uint(event, "deadline", NOW + 2 * USEC_PER_MINUTE);
        snooze_plugin_dictionary_set_string(snooze_plugin_dictionary_add_dictionary(event, "data"), "reason", reason);
        return event;
}

static char *line_of(SnoozePluginDictionary *event) {
        char *line = message_line(event, NOW);

        snooze_plugin_dictionary_free(event);
        return line;
}

static void test_line(void) {
        g_autofree char *spot = line_of(event_of("cloud.spot.interrupt", "no capacity")),
                        *disk = line_of(event_of("system.disk.low", "/srv: 2 %"));
        SnoozePluginDictionary *cancelled = event_of("cloud.instance.maintenance", ""),
                               *moved = event_of("cloud.spot.interrupt", "no capacity");
        g_autofree char *off = NULL, *later = NULL;

        g_assert_true(g_str_has_prefix(spot, "The cloud takes this machine at "));
        g_assert_nonnull(strstr(spot, "(in 2 min): no capacity"));
        g_assert_cmpstr(disk, ==, "A disk is nearly full: /srv: 2 %");
        g_assert_null(strstr(spot, "At another time"));
        snooze_plugin_dictionary_set_bool(moved, "moved", true);
        later = line_of(moved);
        g_assert_true(g_str_has_prefix(later, "At another time: The cloud takes this machine at "));
        snooze_plugin_dictionary_set_bool(cancelled, "cancelled", true);
        off = line_of(cancelled);
        g_assert_cmpstr(off, ==, "Called off: The cloud maintains this machine");
}

static void test_line_is_one_and_bounded(void) {
        g_autofree char *longest = g_strnfill(30000, 'x'), *bounded = line_of(event_of("custom.x", longest));
        g_autofree char *hostile = line_of(event_of("custom.x", "a\x1b[2Jb\r\nSubject: c\xe2\x80\xae\xc2\x9b"));

        g_assert_cmpuint(strlen(bounded), ==, MESSAGE_LINE_MAX);
        g_assert_cmpstr(hostile, ==, "custom.x: a [2Jb  Subject: c  ");
}

static char *mail_of(SnoozePluginDictionary *event) {
        char *text = message_mail(event, &mail, NOW);

        snooze_plugin_dictionary_free(event);
        return text;
}

static void expect_line(const SnoozePluginDictionary *event, const char *expected) {
        g_autofree char *line = message_line(event, NOW);

        g_assert_cmpstr(line, ==, expected);
}

static void test_called_off(void) {
        SnoozePluginDictionary *event = event_of("cloud.spot.interrupt", "no capacity"), *data;

        snooze_plugin_dictionary_set_bool(event, "cancelled", true);
        expect_line(event, "Called off: The cloud takes this machine: no capacity");
        snooze_plugin_dictionary_free(event);

        event = event_of("system.disk.low", "/srv");
        snooze_plugin_dictionary_set_bool(event, "cancelled", true);
        expect_line(event, "Over: A disk is nearly full: /srv");
        snooze_plugin_dictionary_free(event);

        /* The words of what is called off are not those of the calling off … */
        event = snooze_plugin_dictionary_new();
        data = snooze_plugin_dictionary_add_dictionary(event, "data");
        snooze_plugin_dictionary_set_string(event, "type", "snooze.stop.pending");
        snooze_plugin_dictionary_set_string(data, "notice", "Somebody shuts this machine down");
        snooze_plugin_dictionary_set_bool(event, "cancelled", true);
        expect_line(event, "Called off: Somebody shuts this machine down");
        snooze_plugin_dictionary_free(event);

        /* … where that is not what they say. */
        event = snooze_plugin_dictionary_new();
        data = snooze_plugin_dictionary_add_dictionary(event, "data");
        snooze_plugin_dictionary_set_string(event, "type", "snooze.stop.pending");
        snooze_plugin_dictionary_set_string(data, "notice", "This machine stays on: a login");
        snooze_plugin_dictionary_set_bool(data, "cancelled", true);
        expect_line(event, "This machine stays on: a login");
        snooze_plugin_dictionary_free(event);
}

static void test_nobody_else_speaks_as_we_do(void) {
        static const char *const types[] = { "custom.backup", "cloud.spot.interrupt", "system.disk.low", "snoozed",
                                             NULL };

        for (const char *const *type = types; *type; type++) {
                SnoozePluginDictionary *event = snooze_plugin_dictionary_new();
                SnoozePluginDictionary *data = snooze_plugin_dictionary_add_dictionary(event, "data");
                g_autofree char *line = NULL;

                snooze_plugin_dictionary_set_string(event, "type", *type);
                snooze_plugin_dictionary_set_string(data, "notice", "This machine stops now: log in at evil.example");
                snooze_plugin_dictionary_set_bool(data, "cancelled", true);
                line = line_of(event);
                g_assert_null(strstr(line, "evil.example"));
                g_assert_null(strstr(line, "Called off"));
                g_assert_null(strstr(line, "Over"));
        }
}

static void test_mail(void) {
        g_autofree char *text = mail_of(event_of("system.disk.low", "full")), *end = NULL;
        g_autofree guchar *body = NULL;
        gsize length;

        g_assert_true(g_str_has_prefix(
                text, "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nFrom: cloudsnooze@example.org\r\n"
                      "To: root,\r\n alice@example.org\r\nSubject: [host.example] A disk is nearly full: full\r\n"
                      "Message-ID: <id@host.example>\r\nAuto-Submitted: auto-generated\r\n"));
        end = g_strdup(strstr(text, "\r\n\r\n") + 4);
        body = g_base64_decode(end, &length);
        g_assert_nonnull(g_strstr_len((const char *) body, (gssize) length,
                                      "Event: system.disk.low, from aws (i-1)\nSeverity: critical\n"));
        g_assert_nonnull(g_strstr_len((const char *) body, (gssize) length, "  reason: full\n"));
}

/* Every line ends with CRLF and is short, none but the headers that are ours comes before the empty one. */
static void check_form(const char *text) {
        static const char *const ours[] = { "Date: ",
                                            "From: ",
                                            "To: ",
                                            "Subject: ",
                                            "Message-ID: ",
                                            "Auto-Submitted: ",
                                            "MIME-Version: ",
                                            "Content-Type: ",
                                            "Content-Transfer-Encoding: ",
                                            " ",
                                            NULL };
        g_auto(GStrv) lines = g_strsplit(text, "\r\n", -1);
        gboolean header = TRUE;

        for (char **line = lines; *line; line++) {
                gboolean known = FALSE;

                g_assert_cmpuint(strlen(*line), <=, 120);
                g_assert_null(strpbrk(*line, "\r\n"));
                for (const char *p = *line; *p; p++)
                        g_assert_cmpint(*p, >=, 0x20);
                if (!**line)
                        header = FALSE;
                for (const char *const *prefix = ours; header && *prefix; prefix++)
                        known = known || g_str_has_prefix(*line, *prefix);
                g_assert_true(!header || known);
        }
        g_assert_false(header);
}

static void test_no_header_is_made_by_others(void) {
        static const char *const hostile[] = {
                "x\r\nBcc: all@example.org", "x\n\nbody", "\xc3\xa4\r\n.\r\nRCPT TO:<a>",
                "=?UTF-8?B?QQ==?=",          "\xff\xfe",  ""
        };
        g_autofree char *longest = g_strnfill(60000, 'y');

        for (gsize i = 0; i < G_N_ELEMENTS(hostile); i++) {
                g_autofree char *text = mail_of(event_of(hostile[i], hostile[i]));

                check_form(text);
                g_assert_null(strstr(text, "Bcc"));
        }
        {
                g_autofree char *text = mail_of(event_of("custom.x", longest));

                check_form(text);
                g_assert_cmpuint(strlen(text), <, 2 * MESSAGE_BODY_MAX);
        }
}

static void test_encoded_header(void) {
        g_autofree char *plain = message_encode_header("plain"), *umlaut = message_encode_header("M\xc3\xbchle"),
                        *trick = message_encode_header("=?x?=");
        g_autoptr(GString) many = g_string_new(NULL);
        g_autofree char *folded = NULL;
        g_auto(GStrv) words = NULL;

        g_assert_cmpstr(plain, ==, "plain");
        g_assert_cmpstr(umlaut, ==, "=?UTF-8?B?TcO8aGxl?=");
        g_assert_cmpstr(trick, ==, "=?UTF-8?B?PT94Pz0=?=");
        for (int i = 0; i < 100; i++)
                g_string_append(many, "\xe2\x82\xac");
        folded = message_encode_header(many->str);
        words = g_strsplit(folded, "\r\n ", -1);
        g_assert_cmpuint(g_strv_length(words), >, 5);
        for (char **word = words; *word; word++) {
                g_autofree char *inner = g_strndup(*word + 10, strlen(*word) - 12);
                g_autofree guchar *bytes = NULL;
                gsize length;

                g_assert_cmpuint(strlen(*word), <=, 75);
                bytes = g_base64_decode(inner, &length);
                /* Whole characters in each. */
                g_assert_true(g_utf8_validate((const char *) bytes, (gssize) length, NULL));
        }
}

static void test_addresses(void) {
        static const char *const good[] = { "root", "alice@example.org", "a.b+c@x.y", NULL };
        static const char *const bad[] = { "",     "-oX", "a b",  "a\r\nBcc: x", "a@",    "@b",         "a@b@c",
                                           "a@-b", "a,b", "a<b>", "\"a\"@b",     "a@b\n", "\xc3\xa4@b", NULL };

        g_assert_true(address_valid(good[0]));
        g_assert_true(address_valid(good[1]));
        g_assert_true(address_valid(good[2]));
        for (const char *const *text = bad; *text; text++)
                if (address_valid(*text))
                        g_error("“%s” was taken", *text);
}

int main(int argc, char *argv[]) {
        g_setenv("TZ", "UTC", TRUE);
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/message/called-off", test_called_off);
        g_test_add_func("/notify/nobody-else-speaks-as-we-do", test_nobody_else_speaks_as_we_do);
        g_test_add_func("/notify/line", test_line);
        g_test_add_func("/notify/line-is-one-and-bounded", test_line_is_one_and_bounded);
        g_test_add_func("/notify/mail", test_mail);
        g_test_add_func("/notify/no-header-is-made-by-others", test_no_header_is_made_by_others);
        g_test_add_func("/notify/encoded-header", test_encoded_header);
        g_test_add_func("/notify/addresses", test_addresses);
        return g_test_run();
}
