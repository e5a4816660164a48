/* SPDX-License-Identifier: Apache-2.0 */

/* What the end of a program and its last line mean. */

#include "answer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "checks.h"
#include "util/json.h"

static Answer answer_of(RunEnd end, int number, const char *line) {
        const RunOutcome outcome = { .end = end, .number = number, .duration = 1500 * USEC_PER_MSEC, .line = line };
        Answer answer;

        answer_read(&outcome, &answer);
        return answer;
}

static void expect(RunEnd end, int number, const char *line, const char *verdict, const char *reason) {
        _cleanup_(answer_clear) Answer answer = answer_of(end, number, line);

        g_assert_cmpstr(answer.verdict, ==, verdict);
        g_assert_cmpstr(answer.reason, ==, reason);
        g_assert_cmpint(answer.exit_status, ==, end == RUN_EXITED ? number : -1);
}

static void test_exit_status_decides(void) {
        expect(RUN_EXITED, 0, "no job in the queue", "idle", "no job in the queue");
        expect(RUN_EXITED, 1, "  3 jobs\t", "busy", "3 jobs");
        expect(RUN_EXITED, 0, "", "idle", "exit status 0");
        expect(RUN_EXITED, 2, "no such queue", "unknown", "exit status 2: no such queue");
        expect(RUN_EXITED, 127, "", "unknown", "exit status 127");
}

static void test_other_ends_are_unknown(void) {
        expect(RUN_KILLED, 11, "", "unknown", "was ended by signal 11 (Segmentation fault)");
        expect(RUN_TIMED_OUT, 0, "connecting", "unknown", "had not answered after 1.5 s: connecting");
        expect(RUN_FLOODED, 0, "", "unknown", "wrote more than 1048576 bytes");
        expect(RUN_FAILED, 8, "", "unknown", "cannot be run: Exec format error");
}

static void test_object(void) {
        _cleanup_(answer_clear) Answer answer =
                answer_of(RUN_EXITED, 0,
                          "{\"is_idle\": true, \"reason\": \"no connections\", \"last_activity\": 1700000000000000, "
                          "\"queue\": \"a\", \"deep\": [1], \"details\": {\"connection_count\": 0, \"x y\": 1}}");

        g_assert_cmpstr(answer.verdict, ==, "idle");
        g_assert_cmpstr(answer.reason, ==, "no connections");
        g_assert_cmpuint(answer.last_activity, ==, 1700000000000000);
        g_assert_cmpint(json_get_int(answer.details, "connection_count", -1), ==, 0);
        g_assert_cmpstr(json_get_string(answer.details, "queue", NULL), ==, "a");
        g_assert_cmpuint(json_object_get_size(answer.details), ==, 2);
        g_assert_nonnull(answer.output);
}

static void test_object_that_contradicts(void) {
        expect(RUN_EXITED, 0, "{\"is_idle\": false}", "unknown", "says is_idle otherwise than its exit status 0");
        expect(RUN_EXITED, 1, "{\"is_idle\": true}", "unknown", "says is_idle otherwise than its exit status 1");
        expect(RUN_EXITED, 3, "{\"error\": \"refused\"}", "unknown", "exit status 3: refused");
        expect(RUN_EXITED, 0, "{\"is_idle\": \"yes\", \"reason\": \"x\"}", "unknown",
               "says is_idle otherwise than its exit status 0");
}

/* What is no object after all is text, and no text gives orders to a terminal or breaks a message. */
static void test_rubbish(void) {
        g_autofree char *very_long = g_strnfill(3000, 'x');
        _cleanup_(answer_clear) Answer answer = answer_of(RUN_EXITED, 1, very_long);

        expect(RUN_EXITED, 1, "{\"reason\": ", "busy", "{\"reason\":");
        expect(RUN_EXITED, 1, "a\x1b[2Jb", "busy", "a [2Jb");
        expect(RUN_EXITED, 1, "a\xff", "busy", "a\xef\xbf\xbd");
        g_assert_cmpuint(strlen(answer.reason), <=, ANSWER_TEXT_MAX);
        g_assert_true(g_str_has_suffix(answer.reason, "x…"));
}

static void test_configured(void) {
        g_autoptr(GError) error = NULL;
        Check *check = check_parse("queue:20='/usr/bin/two words'", &error);

        g_assert_no_error(error);
        g_assert_cmpstr(check->name, ==, "queue");
        g_assert_cmpuint(check->timeout, ==, 20 * USEC_PER_SEC);
        g_assert_cmpstr(check->arguments[0], ==, "/usr/bin/two words");
        g_assert_null(check->arguments[1]);
        check_free(check);
}

static void test_configured_wrongly(void) {
        static const char *const wrong[] = { "",
                                             "queue",
                                             "=/bin/true",
                                             "queue=",
                                             "queue=true",
                                             "queue:0=/bin/true",
                                             "queue:21=/bin/true",
                                             "queue:=/bin/true",
                                             "que ue=/bin/true",
                                             "../queue=/bin/true",
                                             "queue=/bin/true 'x",
                                             "queue=/bin/sh -c 'touch /tmp/mine'",
                                             "queue=/usr/bin/qstat -f",
                                             NULL };

        for (const char *const *text = wrong; *text; text++) {
                g_autoptr(GError) error = NULL;

                g_assert_null(check_parse(*text, &error));
                g_assert_nonnull(error);
                g_assert_nonnull(strstr(error->message, *text));
        }
}

static void test_shares(void) {
        static const gsize few[] = { 700, 100, 300 }, zero[] = { 0, 5000, 0 }, alike[] = { 500, 500, 500 };

        g_assert_cmpuint(evidence_share(few, 3, 1100), ==, G_MAXSIZE);
        /* The short ones whole, and what they leave. */
        g_assert_cmpuint(evidence_share(few, 3, 1000), ==, 600);
        g_assert_cmpuint(evidence_share(few, 3, 600), ==, 250);
        g_assert_cmpuint(evidence_share(few, 3, 240), ==, 80);
        g_assert_cmpuint(evidence_share(zero, 3, 1000), ==, 1000);
        g_assert_cmpuint(evidence_share(alike, 3, 1000), ==, 333);
        g_assert_cmpuint(evidence_share(NULL, 0, 1000), ==, G_MAXSIZE);
}

static void test_cut(void) {
        static const char line[] = "{\"reason\": \"r\", \"a\": \"äöüäöüäöüäöüäöüäöü\", \"n\": 7, "
                                   "\"b\": \"second\"}";

        for (gsize max = 0; max < 200; max++) {
                _cleanup_(answer_clear) Answer answer = answer_of(RUN_EXITED, 0, line);
                gsize size = answer_evidence_size(&answer), left;

                answer_cut(&answer, max);
                left = answer_evidence_size(&answer);
                g_assert_cmpuint(left, <=, max);
                g_assert_cmpint(answer.cut, ==, max < size);
                /* As soon as there is room for a piece of anything. */
                g_assert_true(max < 17 || left > 0);
                g_assert_true(!answer.output || g_utf8_validate(answer.output, -1, NULL));
                g_assert_true(g_utf8_validate(json_get_string(answer.details, "a", ""), -1, NULL));
                if (max >= size) {
                        g_assert_cmpuint(left, ==, size);
                        g_assert_cmpint(json_get_int(answer.details, "n", 0), ==, 7);
                }
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/command/exit-status-decides", test_exit_status_decides);
        g_test_add_func("/command/other-ends-are-unknown", test_other_ends_are_unknown);
        g_test_add_func("/command/object", test_object);
        g_test_add_func("/command/object-that-contradicts", test_object_that_contradicts);
        g_test_add_func("/command/rubbish", test_rubbish);
        g_test_add_func("/command/shares", test_shares);
        g_test_add_func("/command/cut", test_cut);
        g_test_add_func("/command/configured", test_configured);
        g_test_add_func("/command/configured-wrongly", test_configured_wrongly);
        return g_test_run();
}
