/* SPDX-License-Identifier: Apache-2.0 */

#include "answer.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "util/json.h"
#include "util/line.h"

#define KEY_MAX 32U

static char *words(const char *text) {
        g_autofree char *valid = g_utf8_make_valid(text, -1);
        char *start;

        line_clean(valid);
        start = g_strstrip(valid);
        if (strlen(start) > ANSWER_TEXT_MAX) {
                char *end = start + ANSWER_TEXT_MAX - strlen("…");

                if (!g_utf8_validate(start, end - start, NULL))
                        end = g_utf8_find_prev_char(start, end);
                memcpy(end, "…", strlen("…") + 1);
        }
        return g_strdup(start);
}

static gboolean key_fits(const char *key) {
        size_t length = strlen(key);

        return length > 0 && length <= KEY_MAX &&
               strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == length;
}

static void add_detail(Answer *answer, const char *key, JsonNode *value) {
        if (!JSON_NODE_HOLDS_VALUE(value) || !key_fits(key) ||
            json_object_get_size(answer->details) >= ANSWER_DETAILS_MAX)
                return;
        if (json_node_get_value_type(value) == G_TYPE_STRING) {
                g_autofree char *text = words(json_node_get_string(value));

                json_object_set_string_member(answer->details, key, text);
        } else
                json_object_set_member(answer->details, key, json_node_copy(value));
}

static void read_details(Answer *answer, JsonObject *object) {
        static const char *const known[] = { "reason", "error", "is_idle", "last_activity", "details", NULL };
        JsonObject *inner = json_get_object(object, "details");
        JsonObjectIter iter;
        const char *key;
        JsonNode *value;

        answer->details = json_object_new();
        json_object_iter_init_ordered(&iter, object);
        while (json_object_iter_next_ordered(&iter, &key, &value))
                if (!g_strv_contains(known, key))
                        add_detail(answer, key, value);
        if (!inner)
                return;
        json_object_iter_init_ordered(&iter, inner);
        while (json_object_iter_next_ordered(&iter, &key, &value))
                add_detail(answer, key, value);
}

/* FALSE: it is no object, but text. */
static gboolean read_object(Answer *answer, const char *line) {
        g_autoptr(JsonNode) root = *line == '{' ? json_text_parse("output", line, -1, NULL) : NULL;
        JsonObject *object;
        const char *reason;
        gint64 activity;

        if (!root || !JSON_NODE_HOLDS_OBJECT(root))
                return FALSE;
        object = json_node_get_object(root);
        reason = json_get_string(object, "reason", NULL);
        if (!reason)
                reason = json_get_string(object, "error", "");
        answer->reason = words(reason);
        activity = json_get_int(object, "last_activity", 0);
        answer->last_activity = activity > 0 ? (uint64_t) activity : 0;
        read_details(answer, object);
        if (json_object_has_member(object, "is_idle") && !g_str_equal(answer->verdict, "unknown") &&
            json_get_boolean(object, "is_idle", FALSE) != g_str_equal(answer->verdict, "idle")) {
                g_free(answer->reason);
                answer->reason =
                        g_strdup_printf("says is_idle otherwise than its exit status %d", answer->exit_status);
                answer->verdict = "unknown";
        }
        return TRUE;
}

static void read_line(Answer *answer, const char *line) {
        g_autofree char *valid = g_utf8_make_valid(line, -1), *text = words(line);

        g_strstrip(valid);
        if (read_object(answer, valid))
                answer->output = g_steal_pointer(&text);
        else
                answer->reason = g_steal_pointer(&text);
}

static void say_first(Answer *answer, const char *what) {
        g_autofree char *reason =
                answer->reason && *answer->reason ? g_strdup_printf("%s: %s", what, answer->reason) : g_strdup(what);

        g_free(answer->reason);
        answer->reason = words(reason);
}

static void explain(const RunOutcome *outcome, Answer *answer) {
        g_autofree char *what = NULL;
        double seconds = (double) outcome->duration / (double) USEC_PER_SEC;

        switch (outcome->end) {
        case RUN_EXITED:
                if (outcome->number > 1 || !*answer->reason)
                        what = g_strdup_printf("exit status %d", outcome->number);
                break;
        case RUN_KILLED:
                what = g_strdup_printf("was ended by signal %d (%s)", outcome->number, g_strsignal(outcome->number));
                break;
        case RUN_TIMED_OUT:
                what = g_strdup_printf("had not answered after %.1f s", seconds);
                break;
        case RUN_FLOODED:
                what = g_strdup_printf("wrote more than %u bytes", RUN_OUTPUT_MAX);
                break;
        case RUN_FAILED:
                what = g_strdup_printf("cannot be run: %s", g_strerror(outcome->number));
                break;
        }
        if (what)
                say_first(answer, what);
}

void answer_read(const RunOutcome *outcome, Answer *ret) {
        gboolean exited = outcome->end == RUN_EXITED;

        *ret = (Answer){
                .verdict = exited && outcome->number == 0   ? "idle"
                           : exited && outcome->number == 1 ? "busy"
                                                            : "unknown",
                .exit_status = exited ? outcome->number : -1,
                .duration = outcome->duration,
        };
        read_line(ret, outcome->line);
        explain(outcome, ret);
}

void answer_unknown(const char *reason, Answer *ret) {
        *ret = (Answer) { .verdict = "unknown", .reason = words(reason), .exit_status = -1 };
}

void answer_clear(Answer *answer) {
        g_free(answer->reason);
        g_free(answer->output);
        g_clear_pointer(&answer->details, json_object_unref);
        *answer = (Answer) {};
}
