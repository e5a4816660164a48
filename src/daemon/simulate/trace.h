/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Traces: what happened on a machine, one JSON object a line, as `snooze record` writes and `snooze simulate` reads it
 * (docs/traces.md). Read strictly and line by line, so that a trace of any length needs the memory of one line. */

#include <stdio.h>

#include <glib.h>

#include "daemon/decision/decision.h"

#define TRACE_LINE_MAX (64U * 1024U)
#define TRACE_VOTES_MAX 256U /* in one line, and of different sources in one trace */

typedef enum TraceEvent {
        TRACE_EVENT_NONE,
        TRACE_EVENT_BOOT,
        TRACE_EVENT_RESUME,
        TRACE_EVENT_PAUSE,
        TRACE_EVENT_UNPAUSE,
        TRACE_EVENT_TERMINATION, /* the cloud announced the end of this machine … */
        TRACE_EVENT_TERMINATION_CANCELLED, /* … or says that it will not come */
        TRACE_EVENT_GAP, /* nothing was measured since the instant before: the machine stood still */
} TraceEvent;

typedef enum TraceHold {
        TRACE_HOLD_NONE,
        TRACE_HOLD_BLOCK,
        TRACE_HOLD_DELAY,
} TraceHold;

typedef struct TraceVote {
        char *source;
        gboolean forget; /* null in the trace */
        Verdict verdict;
        char *reason;
        gboolean has_last_activity;
        uint64_t last_activity; /* µs of the trace's time */
        gboolean vacuous;       /* as in Vote */
} TraceVote;

/* One line. What it does not mention keeps its value. */
typedef struct TraceInstant {
        uint64_t t; /* µs */
        gboolean has_metric[METRIC_COUNT];
        gboolean absent[METRIC_COUNT]; /* null in the trace */
        double value[METRIC_COUNT];
        gboolean has_cpus;
        unsigned cpus; /* 0: null in the trace */
        GPtrArray *votes; /* TraceVote, or NULL */
        TraceHold hold;
        gboolean release; /* of everything held before; `hold` begins after it */
        TraceEvent event;
} TraceInstant;

void trace_instant_clear(TraceInstant *instant);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TraceInstant, trace_instant_clear)

typedef enum TraceError {
        TRACE_ERROR_READ,   /* the file */
        TRACE_ERROR_SYNTAX, /* no JSON object, or too long a line */
        TRACE_ERROR_VALUE,  /* unknown key, wrong type or range, time going backwards */
} TraceError;

#define TRACE_ERROR (trace_error_quark())
GQuark trace_error_quark(void);

/* Messages read "<name>:<line>: …: got …, expected …". */
gboolean trace_parse_line(const char *name, guint64 line, const char *text, gsize length, TraceInstant *ret,
                          GError **error);

typedef struct TraceReader TraceReader;

/* The stream stays the caller's. */
TraceReader *trace_reader_new(FILE *stream, const char *name);
void trace_reader_free(TraceReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TraceReader, trace_reader_free)

/* 1: *ret is the next instant, to be cleared; 0: the end; -1: error set. Times never go backwards; blank lines are
 * passed over. */
int trace_reader_next(TraceReader *reader, TraceInstant *ret, GError **error);
