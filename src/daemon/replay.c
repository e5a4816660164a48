/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/replay.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/simulate/trace.h"

/* Read whole at the start: the loop must not wait for a file. */
#define INSTANTS_MAX 1000000U

typedef struct Moment {
        uint64_t t; /* µs since the beginning */
        gboolean known[METRIC_COUNT];
        double value[METRIC_COUNT];
        unsigned cpus;
        gboolean resumed;
} Moment;

struct Replay {
        uint64_t begun, sampled; /* monotonic */
        GArray *moments;
        guint at;
};

/* Values carry over: each moment is complete. */
static void add_moment(GArray *moments, const TraceInstant *instant) {
        Moment moment = moments->len > 0 ? g_array_index(moments, Moment, moments->len - 1) : (Moment) { 0 };

        moment.t = instant->t;
        moment.resumed = instant->event == TRACE_EVENT_RESUME;
        for (Metric m = 0; m < METRIC_COUNT; m++)
                if (instant->has_metric[m]) {
                        moment.known[m] = !instant->absent[m];
                        moment.value[m] = instant->value[m];
                }
        if (instant->has_cpus)
                moment.cpus = instant->cpus;
        g_array_append_val(moments, moment);
}

static gboolean read_moments(FILE *file, const char *path, GArray *moments, GError **error) {
        g_autoptr(TraceReader) reader = trace_reader_new(file, path);
        int r;

        for (;;) {
                g_auto(TraceInstant) instant = { 0 };

                r = trace_reader_next(reader, &instant, error);
                if (r <= 0)
                        return r == 0;
                if (moments->len >= INSTANTS_MAX) {
                        g_set_error(error, TRACE_ERROR, TRACE_ERROR_READ, "%s: more than %u instants", path,
                                    INSTANTS_MAX);
                        return FALSE;
                }
                add_moment(moments, &instant);
        }
}

Replay *replay_new(const char *path, uint64_t now, GError **error) {
        _cleanup_(fclosep) FILE *file = fopen(path, "re");
        g_autoptr(GArray) moments = g_array_new(FALSE, FALSE, sizeof(Moment));
        Replay *replay;

        if (!file) {
                g_set_error(error, TRACE_ERROR, TRACE_ERROR_READ, "%s: %s", path, strerror(errno));
                return NULL;
        }
        if (!read_moments(file, path, moments, error))
                return NULL;
        if (moments->len == 0) {
                g_set_error(error, TRACE_ERROR, TRACE_ERROR_READ, "%s: no instant in it", path);
                return NULL;
        }
        replay = g_new0(Replay, 1);
        replay->begun = now;
        replay->moments = g_steal_pointer(&moments);
        return replay;
}

void replay_free(Replay *replay) {
        if (!replay)
                return;
        g_array_unref(replay->moments);
        g_free(replay);
}

/* Input idle time runs on by itself from the instant that told it. */
static double value_at(const Moment *moment, Metric metric, uint64_t elapsed) {
        if (metric == METRIC_INPUT)
                return moment->value[metric] + (double) usec_sub(elapsed, moment->t) / (double) USEC_PER_SEC;
        return moment->value[metric];
}

gboolean replay_sample(Replay *replay, uint64_t now, Sample *ret) {
        uint64_t first = g_array_index(replay->moments, Moment, 0).t,
                 elapsed = usec_add(usec_sub(now, replay->begun), first);
        gboolean resumed = FALSE;
        const Moment *moment;

        while (replay->at + 1 < replay->moments->len &&
               g_array_index(replay->moments, Moment, replay->at + 1).t <= elapsed)
                resumed |= g_array_index(replay->moments, Moment, ++replay->at).resumed;
        moment = &g_array_index(replay->moments, Moment, replay->at);

        *ret = (Sample) { .monotonic = now,
                         .span = replay->sampled > 0 ? usec_sub(now, replay->sampled) : 0,
                         .cpus = moment->cpus };
        for (Metric m = 0; m < METRIC_COUNT; m++) {
                ret->reading[m] = moment->known[m] ? READING_OK : READING_ABSENT;
                ret->value[m] = moment->known[m] ? value_at(moment, m, elapsed) : 0;
        }
        replay->sampled = now;
        return resumed;
}
