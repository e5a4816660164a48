/* SPDX-License-Identifier: Apache-2.0 */

#include "answer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "util/json.h"
#include "util/line.h"

#define KEY_MAX 32U

#define NUMBER_SIZE 8U
/* Fewer bytes of a text say nothing. */
#define PIECE_MIN 16U

/* To at most so many bytes, of which there are enough for the ellipsis. */
static void shorten(char *text, gsize max) {
        char *end;

        if (strlen(text) <= max)
                return;
        end = text + max - strlen("…");
        if (!g_utf8_validate(text, end - text, NULL))
                end = g_utf8_find_prev_char(text, end);
        memcpy(end, "…", strlen("…") + 1);
}

static char *words(const char *text) {
        g_autofree char *valid = g_utf8_make_valid(text, -1);
        char *start;

        line_clean(valid);
        start = g_strstrip(valid);
        shorten(start, ANSWER_TEXT_MAX);
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

static gsize text_length(const char *text) {
        return text ? strlen(text) : 0;
}

static gsize detail_size(const char *key, JsonNode *value) {
        gboolean text = json_node_get_value_type(value) == G_TYPE_STRING;

        return strlen(key) + (text ? strlen(json_node_get_string(value)) : NUMBER_SIZE);
}

gsize answer_evidence_size(const Answer *answer) {
        gsize size = text_length(answer->output);
        JsonObjectIter iter;
        const char *key;
        JsonNode *value;

        if (!answer->details)
                return size;
        json_object_iter_init_ordered(&iter, answer->details);
        while (json_object_iter_next_ordered(&iter, &key, &value))
                size += detail_size(key, value);
        return size;
}

/* The details as they come, of which a text may be cut; the line, which for the most part repeats them, has the rest.
 */
void answer_cut(Answer *answer, gsize max) {
        g_autoptr(JsonObject) whole = NULL;
        JsonObjectIter iter;
        const char *key;
        JsonNode *value;

        if (answer_evidence_size(answer) <= max)
                return;
        answer->cut = TRUE;
        if (answer->details) {
                whole = g_steal_pointer(&answer->details);
                answer->details = json_object_new();
                json_object_iter_init_ordered(&iter, whole);
                while (json_object_iter_next_ordered(&iter, &key, &value)) {
                        gsize size = detail_size(key, value);

                        if (size <= max) {
                                json_object_set_member(answer->details, key, json_node_copy(value));
                                max -= size;
                        } else if (json_node_get_value_type(value) == G_TYPE_STRING &&
                                   max >= strlen(key) + PIECE_MIN) {
                                g_autofree char *text = json_node_dup_string(value);

                                shorten(text, max - strlen(key));
                                json_object_set_string_member(answer->details, key, text);
                                max -= strlen(key) + strlen(text);
                        }
                }
        }
        if (answer->output && max < PIECE_MIN)
                g_clear_pointer(&answer->output, g_free);
        else if (answer->output)
                shorten(answer->output, max);
}

static int compare_sizes(const void *a, const void *b) {
        const gsize *left = a, *right = b;

        return (*left > *right) - (*left < *right);
}

/* The shortest first: what one leaves of an equal share is shared by the others. */
gsize evidence_share(const gsize *sizes, gsize n, gsize total) {
        g_autofree gsize *sorted = g_memdup2(sizes, n * sizeof(*sizes));

        if (n == 0)
                return G_MAXSIZE;
        qsort(sorted, n, sizeof(*sorted), compare_sizes);
        for (gsize i = 0; i < n; i++) {
                if (sorted[i] > total / (n - i))
                        return total / (n - i);
                total -= sorted[i];
        }
        return G_MAXSIZE;
}

void answer_clear(Answer *answer) {
        g_free(answer->reason);
        g_free(answer->output);
        g_clear_pointer(&answer->details, json_object_unref);
        *answer = (Answer) {};
}
