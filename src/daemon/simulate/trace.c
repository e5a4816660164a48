/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/simulate/trace.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "util/json.h"

#define T_MAX (10.0 * 366 * 24 * 3600)
#define VALUE_MAX 1e15
#define CPUS_MAX 65536
#define REASON_MAX 512U
#define SOURCE_MAX 160U

G_DEFINE_QUARK(snooze-trace-error-quark, trace_error)

struct TraceReader {
        FILE *stream;
        char *name;
        guint64 line;
        char *buffer;
        uint64_t t;
        gboolean begun;
};

typedef struct Place {
        const char *name;
        guint64 line;
        const char *key;
} Place;

static void trace_vote_free(TraceVote *vote) {
        g_free(vote->source);
        g_free(vote->reason);
        g_free(vote);
}

void trace_instant_clear(TraceInstant *instant) {
        g_clear_pointer(&instant->votes, g_ptr_array_unref);
}

static gboolean fail(const Place *place, JsonNode *got, const char *expected, GError **error) {
        g_autofree char *value = NULL;

        if (JSON_NODE_HOLDS_OBJECT(got))
                value = g_strdup("an object");
        else if (JSON_NODE_HOLDS_ARRAY(got))
                value = g_strdup("an array");
        else
                value = json_text_compact(got);
        g_set_error(error, TRACE_ERROR, TRACE_ERROR_VALUE, "%s:%" G_GUINT64_FORMAT ": %s: got %.80s, expected %s",
                    place->name, place->line, place->key, value, expected);
        return FALSE;
}

static gboolean holds(JsonNode *node, GType type) {
        return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type;
}

static gboolean read_number(const Place *place, JsonNode *node, double minimum, double maximum, const char *expected,
                            double *ret, GError **error) {
        if (!holds(node, G_TYPE_INT64) && !holds(node, G_TYPE_DOUBLE))
                return fail(place, node, expected, error);
        *ret = json_node_get_double(node);
        return (isfinite(*ret) && *ret >= minimum && *ret <= maximum) || fail(place, node, expected, error);
}

static gboolean read_moment(const Place *place, JsonNode *node, uint64_t *ret, GError **error) {
        double seconds;

        if (!read_number(place, node, 0, T_MAX, "seconds from 0 to ten years", &seconds, error))
                return FALSE;
        *ret = (uint64_t) llround(seconds * (double) USEC_PER_SEC);
        return TRUE;
}

static gboolean read_choice(const Place *place, JsonNode *node, const char *const *choices, const char *expected,
                            int *ret, GError **error) {
        const char *text = holds(node, G_TYPE_STRING) ? json_node_get_string(node) : NULL;

        for (int i = 0; text && choices[i]; i++) {
                if (g_str_equal(text, choices[i])) {
                        *ret = i;
                        return TRUE;
                }
        }
        return fail(place, node, expected, error);
}

static gboolean read_text(const Place *place, JsonNode *node, char **ret, GError **error) {
        if (!holds(node, G_TYPE_STRING) || strlen(json_node_get_string(node)) > REASON_MAX)
                return fail(place, node, "a string of at most 512 bytes", error);
        g_free(*ret);
        *ret = json_node_dup_string(node);
        /* Reasons are printed on terminals. */
        for (char *c = *ret; *c; c++)
                if (g_ascii_iscntrl(*c))
                        *c = ' ';
        return TRUE;
}

static gboolean read_vote_member(const Place *place, const char *member, JsonNode *node, TraceVote *vote,
                                 gboolean *has_verdict, GError **error) {
        static const char *const verdicts[] = { "idle", "busy", "unknown", NULL };
        int choice;

        if (g_str_equal(member, "verdict")) {
                if (!read_choice(place, node, verdicts, "\"idle\", \"busy\" or \"unknown\"", &choice, error))
                        return FALSE;
                vote->verdict = (Verdict) verdict_from_name(verdicts[choice]);
                *has_verdict = TRUE;
                return TRUE;
        }
        if (g_str_equal(member, "reason"))
                return read_text(place, node, &vote->reason, error);
        if (g_str_equal(member, "last_activity")) {
                vote->has_last_activity = TRUE;
                return read_moment(place, node, &vote->last_activity, error);
        }
        if (g_str_equal(member, "watching")) {
                if (!holds(node, G_TYPE_BOOLEAN))
                        return fail(place, node, "true or false", error);
                vote->vacuous = !json_node_get_boolean(node);
                return TRUE;
        }
        g_set_error(error, TRACE_ERROR, TRACE_ERROR_VALUE,
                    "%s:%" G_GUINT64_FORMAT
                    ": %s: unknown key \"%.80s\", expected verdict, reason, last_activity or watching",
                    place->name, place->line, place->key, member);
        return FALSE;
}

static gboolean read_vote(const Place *place, JsonNode *node, TraceVote *vote, GError **error) {
        gboolean has_verdict = FALSE;
        JsonObjectIter iter;
        const char *member;
        JsonNode *value;

        if (JSON_NODE_HOLDS_NULL(node)) {
                vote->forget = TRUE;
                return TRUE;
        }
        if (!JSON_NODE_HOLDS_OBJECT(node))
                return fail(place, node, "an object with verdict and reason, or null", error);

        json_object_iter_init_ordered(&iter, json_node_get_object(node));
        while (json_object_iter_next_ordered(&iter, &member, &value)) {
                g_autofree char *key = g_strdup_printf("%s.%.80s", place->key, member);

                if (!read_vote_member(&(Place){ place->name, place->line, key }, member, value, vote, &has_verdict,
                                      error))
                        return FALSE;
        }
        return has_verdict || fail(place, node, "a verdict in it", error);
}

static gboolean read_votes(const Place *place, JsonNode *node, TraceInstant *instant, GError **error) {
        JsonObjectIter iter;
        const char *member;
        JsonNode *value;

        if (!JSON_NODE_HOLDS_OBJECT(node))
                return fail(place, node, "an object: source → vote", error);
        if (json_object_get_size(json_node_get_object(node)) > TRACE_VOTES_MAX)
                return fail(place, node, "at most 256 votes", error);

        instant->votes = g_ptr_array_new_with_free_func((GDestroyNotify) trace_vote_free);
        json_object_iter_init_ordered(&iter, json_node_get_object(node));
        while (json_object_iter_next_ordered(&iter, &member, &value)) {
                g_autofree char *key = g_strdup_printf("votes.%.80s", member);
                Place here = { place->name, place->line, key };
                TraceVote *vote = g_new0(TraceVote, 1);

                vote->source = g_strdup(member);
                g_ptr_array_add(instant->votes, vote);
                if (*member == '\0' || strlen(member) > SOURCE_MAX)
                        return fail(&here, value, "a source's name of 1 to 160 bytes before it", error);
                if (metric_from_source_name(member) >= 0)
                        return fail(&here, value, "no vote for a built-in metric: its values vote", error);
                if (!read_vote(&here, value, vote, error))
                        return FALSE;
        }
        return TRUE;
}

static gboolean read_metric(const Place *place, JsonNode *node, Metric metric, TraceInstant *instant, GError **error) {
        double maximum = metric == METRIC_CPU || metric == METRIC_MEMORY || metric == METRIC_GPU ? 100 : VALUE_MAX;
        const char *expected = maximum > 100 ? "a number from 0 on, or null" : "a number from 0 to 100, or null";

        instant->has_metric[metric] = TRUE;
        if (JSON_NODE_HOLDS_NULL(node)) {
                instant->absent[metric] = TRUE;
                return TRUE;
        }
        return read_number(place, node, 0, maximum, expected, &instant->value[metric], error);
}

static gboolean read_cpus(const Place *place, JsonNode *node, TraceInstant *instant, GError **error) {
        instant->has_cpus = TRUE;
        if (JSON_NODE_HOLDS_NULL(node))
                return TRUE;
        if (!holds(node, G_TYPE_INT64) || json_node_get_int(node) < 1 || json_node_get_int(node) > CPUS_MAX)
                return fail(place, node, "a whole number from 1 to 65536, or null", error);
        instant->cpus = (unsigned) json_node_get_int(node);
        return TRUE;
}

static gboolean read_member(const Place *place, JsonNode *node, TraceInstant *instant, GError **error) {
        static const char *const hold_names[] = { "block", "delay", NULL };
        static const TraceHold hold_kinds[] = { TRACE_HOLD_BLOCK, TRACE_HOLD_DELAY };
        static const char *const event_names[] = { "boot", "resume", "pause", "unpause", "gap", "termination",
                                                   "termination-cancelled", NULL };
        static const TraceEvent events[] = { TRACE_EVENT_BOOT, TRACE_EVENT_RESUME, TRACE_EVENT_PAUSE,
                                             TRACE_EVENT_UNPAUSE, TRACE_EVENT_GAP, TRACE_EVENT_TERMINATION,
                                             TRACE_EVENT_TERMINATION_CANCELLED };
        int metric = metric_from_key(place->key), choice;
        double ignored;

        if (metric >= 0)
                return read_metric(place, node, (Metric) metric, instant, error);
        if (g_str_equal(place->key, "t"))
                return read_moment(place, node, &instant->t, error);
        if (g_str_equal(place->key, "cpus"))
                return read_cpus(place, node, instant, error);
        if (g_str_equal(place->key, "votes"))
                return read_votes(place, node, instant, error);
        if (g_str_equal(place->key, "clock_jump"))
                return read_number(place, node, -VALUE_MAX, VALUE_MAX, "seconds", &ignored, error);
        if (g_str_equal(place->key, "release")) {
                instant->release = holds(node, G_TYPE_BOOLEAN) && json_node_get_boolean(node);
                return holds(node, G_TYPE_BOOLEAN) || fail(place, node, "true or false", error);
        }
        if (g_str_equal(place->key, "hold")) {
                if (!read_choice(place, node, hold_names, "\"block\" or \"delay\"", &choice, error))
                        return FALSE;
                instant->hold = hold_kinds[choice];
                return TRUE;
        }
        if (g_str_equal(place->key, "event")) {
                if (!read_choice(place, node, event_names,
                                 "one of boot, resume, pause, unpause, gap, termination, termination-cancelled",
                                 &choice, error))
                        return FALSE;
                instant->event = events[choice];
                return TRUE;
        }
        g_set_error(error, TRACE_ERROR, TRACE_ERROR_VALUE,
                    "%s:%" G_GUINT64_FORMAT
                    ": unknown key \"%.80s\", expected t, cpu_usage, memory_usage, network_kbps, "
                    "disk_io_kbps, gpu_usage, input_idle_seconds, cpus, votes, hold, release, event or clock_jump",
                    place->name, place->line, place->key);
        return FALSE;
}

static gboolean read_instant(const char *name, guint64 line, JsonNode *root, TraceInstant *instant, GError **error) {
        JsonObjectIter iter;
        const char *member;
        JsonNode *node;

        if (!JSON_NODE_HOLDS_OBJECT(root))
                return fail(&(Place) { name, line, "line" }, root, "an object", error);
        if (!json_object_has_member(json_node_get_object(root), "t")) {
                g_set_error(error, TRACE_ERROR, TRACE_ERROR_VALUE,
                            "%s:%" G_GUINT64_FORMAT ": no \"t\", expected seconds", name, line);
                return FALSE;
        }
        json_object_iter_init_ordered(&iter, json_node_get_object(root));
        while (json_object_iter_next_ordered(&iter, &member, &node))
                if (!read_member(&(Place) { name, line, member }, node, instant, error))
                        return FALSE;
        return TRUE;
}

gboolean trace_parse_line(const char *name, guint64 line, const char *text, gsize length, TraceInstant *ret,
                          GError **error) {
        g_autoptr(GError) failure = NULL;
        g_autoptr(JsonNode) root = NULL;
        g_auto(TraceInstant) instant = {};

        root = json_text_parse("line", text, (gssize) length, &failure);
        if (!root) {
                g_set_error(error, TRACE_ERROR, TRACE_ERROR_SYNTAX,
                            "%s:%" G_GUINT64_FORMAT ": %s, expected one JSON object a line", name, line,
                            failure->message);
                return FALSE;
        }
        if (!read_instant(name, line, root, &instant, error))
                return FALSE;
        *ret = instant;
        instant = (TraceInstant) {};
        return TRUE;
}

TraceReader *trace_reader_new(FILE *stream, const char *name) {
        TraceReader *reader = g_new0(TraceReader, 1);

        reader->stream = stream;
        reader->name = g_strdup(name);
        reader->buffer = g_malloc(TRACE_LINE_MAX + 2);
        return reader;
}

void trace_reader_free(TraceReader *reader) {
        if (!reader)
                return;
        g_free(reader->name);
        g_free(reader->buffer);
        g_free(reader);
}

/* Length of the line without its end, or -1 at the end of the stream, or -EMSGSIZE, or another errno of reading. */
static gssize read_line(TraceReader *reader) {
        gsize n = 0;
        int c;

        while ((c = getc_unlocked(reader->stream)) != EOF && c != '\n') {
                if (n == TRACE_LINE_MAX)
                        return -EMSGSIZE;
                reader->buffer[n++] = (char) c;
        }
        if (ferror(reader->stream))
                return -EIO;
        if (c == EOF && n == 0)
                return -1;
        if (n > 0 && reader->buffer[n - 1] == '\r')
                n--;
        reader->buffer[n] = '\0';
        return (gssize) n;
}

static int fail_reading(const TraceReader *reader, gssize r, GError **error) {
        if (r == -EMSGSIZE)
                g_set_error(error, TRACE_ERROR, TRACE_ERROR_SYNTAX,
                            "%s:%" G_GUINT64_FORMAT ": line longer than %u bytes, expected a short one", reader->name,
                            reader->line, TRACE_LINE_MAX);
        else
                g_set_error(error, TRACE_ERROR, TRACE_ERROR_READ, "%s:%" G_GUINT64_FORMAT ": cannot be read",
                            reader->name, reader->line);
        return -1;
}

int trace_reader_next(TraceReader *reader, TraceInstant *ret, GError **error) {
        gssize n;

        do {
                reader->line++;
                n = read_line(reader);
                if (n == -1)
                        return 0;
                if (n < 0)
                        return fail_reading(reader, n, error);
        } while (strspn(reader->buffer, " \t") == (gsize) n);

        if (!trace_parse_line(reader->name, reader->line, reader->buffer, (gsize) n, ret, error))
                return -1;
        if (reader->begun && ret->t < reader->t) {
                g_set_error(error, TRACE_ERROR, TRACE_ERROR_VALUE,
                            "%s:%" G_GUINT64_FORMAT ": t: got %g, expected at least %g, that of the instant before",
                            reader->name, reader->line, (double) ret->t / (double) USEC_PER_SEC,
                            (double) reader->t / (double) USEC_PER_SEC);
                trace_instant_clear(ret);
                return -1;
        }
        reader->begun = TRUE;
        reader->t = ret->t;
        return 1;
}
