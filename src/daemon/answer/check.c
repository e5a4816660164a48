/* SPDX-License-Identifier: Apache-2.0 */

/* The reply of CheckIdle, word by word: what a plugin says decides whether a machine stops, so an answer that is not
 * exactly as the contract says is no answer, and counts as unknown. */

#include "daemon/answer/check.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "bus/dictionary.h"
#include "daemon/answer/words.h"
#include "util/json.h"
#include "util/line.h"

#define VALID_SECONDS_MAX 300
#define METRICS_MAX 64U

static gboolean is_number(JsonNode *node) {
        return JSON_NODE_HOLDS_VALUE(node) &&
                (json_node_get_value_type(node) == G_TYPE_INT64 || json_node_get_value_type(node) == G_TYPE_DOUBLE) &&
                isfinite(json_node_get_double(node));
}

static gboolean is_integer(JsonNode *node) {
        return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_INT64;
}

static gboolean is_boolean(JsonNode *node) {
        return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_BOOLEAN;
}

static const char *string_member(JsonObject *object, const char *member) {
        JsonNode *node = json_object_get_member(object, member);

        if (!node || !JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_STRING)
                return NULL;
        return json_node_get_string(node);
}

/* A moment on the wall clock, as a plugin tells it, on the monotonic clock. What lies ahead is now; what lies before
 * the machine was started is its first moment. */
static uint64_t to_monotonic(uint64_t moment, uint64_t now_monotonic, uint64_t now_realtime) {
        uint64_t ago = usec_sub(now_realtime, moment);

        return MAX(usec_sub(now_monotonic, ago), 1);
}

static gboolean name_fits(const char *name) {
        size_t length = name ? strlen(name) : 0;

        if (length == 0 || length > SUBJECT_NAME_MAX)
                return FALSE;
        for (const char *c = name; *c; c = g_utf8_next_char(c))
                if (!g_unichar_isgraph(g_utf8_get_char(c)))
                        return FALSE;
        return TRUE;
}

/* What a subject says besides its vote. How long that is valid, and what was measured, is for its plugin to say. */
static JsonObject *evidence_of(JsonObject *object) {
        static const char *const taken[] = { "name", "verdict", "reason", "valid_seconds", "metrics", "votes", NULL };
        JsonObject *evidence = json_object_new();
        JsonObjectIter iter;
        const char *key;
        JsonNode *value;

        json_object_iter_init_ordered(&iter, object);
        while (json_object_iter_next_ordered(&iter, &key, &value))
                if (!g_strv_contains(taken, key))
                        json_object_set_member(evidence, key, json_node_copy(value));
        return evidence;
}

static int read_activity(JsonObject *details, uint64_t now_realtime, Vote *vote, char **ret_problem) {
        JsonNode *activity = json_object_get_member(details, "last_activity");

        if (!activity)
                return 0;
        if (!is_integer(activity) || json_node_get_int(activity) < 0) {
                *ret_problem = g_strdup("gave a last_activity that is no time in µs");
                return -EBADMSG;
        }
        if (json_node_get_int(activity) > 0)
                vote->last_activity =
                        to_monotonic((uint64_t) json_node_get_int(activity), vote->received, now_realtime);
        return 0;
}

static int read_subject(const char *id, JsonNode *node, const Vote *own, uint64_t now_realtime, CheckAnswer *answer,
                        char **ret_problem) {
        JsonObject *object = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
        const char *name = object ? string_member(object, "name") : NULL;
        const char *verdict = object ? string_member(object, "verdict") : NULL;
        const char *reason = object ? string_member(object, "reason") : NULL;
        g_autofree char *source = NULL, *words = NULL;
        Vote *vote;

        if (!name_fits(name) || !verdict || verdict_from_name(verdict) < 0 || !reason) {
                *ret_problem =
                        g_strdup("gave a vote among its details without a name, a verdict (idle, busy, unknown) and a "
                                 "reason");
                return -EBADMSG;
        }
        source = g_strdup_printf("%s/%s", id, name);
        for (guint i = 0; i < answer->votes->len; i++)
                if (g_str_equal(((Vote *) g_ptr_array_index(answer->votes, i))->source, source)) {
                        *ret_problem = g_strdup_printf("gave two votes for %s", name);
                        return -EBADMSG;
                }
        words = plugin_words(reason);
        vote = vote_new(source, (Verdict) verdict_from_name(verdict), words, own->begun, own->received);
        vote->details = evidence_of(object);
        g_ptr_array_add(answer->votes, vote);
        return read_activity(object, now_realtime, vote, ret_problem);
}

static int read_subjects(const char *id, JsonObject *details, const Vote *own, uint64_t now_realtime,
                         CheckAnswer *answer, char **ret_problem) {
        JsonNode *node = json_object_get_member(details, "votes");
        JsonArray *votes;

        if (!node)
                return 0;
        if (!JSON_NODE_HOLDS_ARRAY(node) ||
            json_array_get_length(json_node_get_array(node)) > SUBJECTS_OF_PLUGIN_MAX) {
                *ret_problem = g_strdup_printf("gave votes that are no list of at most %u", SUBJECTS_OF_PLUGIN_MAX);
                return -EBADMSG;
        }
        votes = json_node_get_array(node);
        for (guint i = 0; i < json_array_get_length(votes); i++) {
                int r = read_subject(id, json_array_get_element(votes, i), own, now_realtime, answer, ret_problem);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int check_metrics(JsonObject *details, char **ret_problem) {
        JsonNode *node = json_object_get_member(details, "metrics"), *value;
        JsonObjectIter iter;
        const char *key;

        if (!node)
                return 0;
        if (!JSON_NODE_HOLDS_OBJECT(node) || json_object_get_size(json_node_get_object(node)) > METRICS_MAX) {
                *ret_problem = g_strdup_printf("gave metrics that are no dictionary of at most %u", METRICS_MAX);
                return -EBADMSG;
        }
        json_object_iter_init(&iter, json_node_get_object(node));
        while (json_object_iter_next(&iter, &key, &value))
                if (!name_fits(key) || !is_number(value) || json_node_get_double(value) < 0) {
                        *ret_problem = g_strdup("gave a metric that is no finite number ≥ 0 with a short name");
                        return -EBADMSG;
                }
        return 0;
}

static int read_details(const char *id, JsonObject *details, Vote *own, uint64_t now_realtime, CheckAnswer *answer,
                        char **ret_problem) {
        JsonNode *valid = json_object_get_member(details, "valid_seconds");
        JsonNode *watching = json_object_get_member(details, "watching");
        int r;

        if (valid) {
                if (!is_number(valid) || json_node_get_double(valid) < 0 ||
                    json_node_get_double(valid) > VALID_SECONDS_MAX) {
                        *ret_problem = g_strdup_printf("gave valid_seconds that are not 0 to %d", VALID_SECONDS_MAX);
                        return -EBADMSG;
                }
                answer->valid_for = (uint64_t) (json_node_get_double(valid) * (double) USEC_PER_SEC);
        }
        if (watching && !is_boolean(watching)) {
                *ret_problem = g_strdup("gave a word watching that is not true or false");
                return -EBADMSG;
        }
        own->vacuous = watching && !json_node_get_boolean(watching);
        r = read_activity(details, now_realtime, own, ret_problem);
        if (r >= 0)
                r = check_metrics(details, ret_problem);
        return r < 0 ? r : read_subjects(id, details, own, now_realtime, answer, ret_problem);
}

int check_answer_make(const char *id, Verdict verdict, const char *reason, JsonObject *details, uint64_t begun,
                      uint64_t now_monotonic, uint64_t now_realtime, CheckAnswer *ret, char **ret_problem) {
        _cleanup_(check_answer_clear) CheckAnswer answer = {};
        g_autofree char *words = plugin_words(reason);
        Vote *own;
        int r;

        answer.votes = g_ptr_array_new_with_free_func((GDestroyNotify) vote_free);
        own = vote_new(id, verdict, words, begun, now_monotonic);
        own->details = json_object_ref(details);
        g_ptr_array_add(answer.votes, own);
        r = read_details(id, details, own, now_realtime, &answer, ret_problem);
        if (r < 0)
                return r;
        *ret = (CheckAnswer) { .votes = g_steal_pointer(&answer.votes), .valid_for = answer.valid_for };
        return 0;
}

int check_answer_read(const char *id, sd_bus_message *reply, uint64_t begun, uint64_t now_monotonic,
                      uint64_t now_realtime, CheckAnswer *ret, char **ret_problem) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autoptr(JsonObject) details = NULL;
        const char *verdict, *reason;

        if (sd_bus_message_read(reply, "ss", &verdict, &reason) < 0 ||
            dictionary_read(reply, &dictionary_limits_default, &details, &error) < 0) {
                *ret_problem = g_strdup_printf("answered with rubbish: %s", error.message ?: "not (s, s, a{sv})");
                return -EBADMSG;
        }
        if (verdict_from_name(verdict) < 0) {
                g_autofree char *said = plugin_words(verdict);

                *ret_problem =
                        g_strdup_printf("answered “%.*s”, expected idle, busy or unknown", line_cut(said, 60), said);
                return -EBADMSG;
        }
        return check_answer_make(id, (Verdict) verdict_from_name(verdict), reason, details, begun, now_monotonic,
                                 now_realtime, ret, ret_problem);
}

void check_answer_clear(CheckAnswer *answer) {
        g_clear_pointer(&answer->votes, g_ptr_array_unref);
}
