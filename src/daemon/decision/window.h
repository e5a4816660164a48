/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The recent past of one metric, and whether it was activity. Samples weigh as long as they lasted, so that a look in
 * between, a late timer or a reload of the interval changes nothing. Everything is measured back from the end of the
 * latest sample. Memory is bounded: where samples come faster than configured, the oldest melt into one. */

#include <stdint.h>

#include <glib.h>

typedef struct WindowShape {
        uint64_t burst, window, long_window, interval; /* µs */
} WindowShape;

typedef enum ActivityRule {
        ACTIVITY_NONE,
        ACTIVITY_UNSURE, /* high from the beginning, and too little is known yet to tell work from noise */
        ACTIVITY_SHORT,  /* mean over `window` at or above the threshold, and at least `burst` of it high */
        ACTIVITY_LONG,   /* mean over `long_window` at or above the threshold */
} ActivityRule;

typedef struct Activity {
        ActivityRule rule;
        uint64_t moment; /* SHORT and LONG: end of the latest high sample in the rule's window */
        uint64_t covered; /* how much of the long window there are samples for */
        uint64_t high;    /* how much of `window` was high */
        double mean_burst, mean_window, mean_long; /* over as much as exists; 0 where nothing does */
} Activity;

typedef struct Window Window;

Window *window_new(const WindowShape *shape);
void window_free(Window *window);

/* A sample that ended at `end`, which is not before the one before. */
void window_add(Window *window, uint64_t end, uint64_t span, double value);

void window_clear(Window *window);
void window_reshape(Window *window, const WindowShape *shape);
Activity window_judge(const Window *window, double threshold);

/* No sample of the long window is at or above the threshold: then no mean is, and the judgement is known
 * (ACTIVITY_NONE) without going through the past, which is what most samples of a machine at rest find. */
gboolean window_is_quiet(Window *window, double threshold);
gboolean window_is_empty(const Window *window);
