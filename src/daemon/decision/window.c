/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/decision/window.h"

#include "base/clock.h"

#define CAPACITY_MAX 4096U
#define CAPACITY_SPARE 32U /* last looks and late timers add samples to the regular ones */
#define LONG_COVERED_MIN (60 * USEC_PER_SEC)

typedef struct Entry {
        uint64_t end, span;
        double value;
} Entry;

struct Window {
        WindowShape shape;
        Entry *entries;
        unsigned capacity, oldest, count;

        /* Of window_is_quiet(): all but the latest `unseen` entries were held against `threshold`; the latest of them
         * that was at or above it ended at `high_end`, 0: none. */
        double threshold;
        uint64_t high_end;
        unsigned unseen;
};

static unsigned capacity_for(const WindowShape *shape) {
        uint64_t n = shape->long_window / MAX(shape->interval, 1) + CAPACITY_SPARE;

        return (unsigned) MIN(n, CAPACITY_MAX);
}

static Entry *entry(const Window *window, unsigned age) {
        unsigned index = window->oldest + age;

        return &window->entries[index < window->capacity ? index : index - window->capacity];
}

Window *window_new(const WindowShape *shape) {
        Window *window = g_new0(Window, 1);

        window->shape = *shape;
        window->capacity = capacity_for(shape);
        window->entries = g_new(Entry, window->capacity);
        return window;
}

void window_free(Window *window) {
        if (!window)
                return;
        g_free(window->entries);
        g_free(window);
}

void window_clear(Window *window) {
        window->count = window->unseen = 0;
        window->high_end = 0;
}

gboolean window_is_empty(const Window *window) {
        return window->count == 0;
}

/* How much of an entry lies after `begin`. */
static uint64_t span_after(const Entry *e, uint64_t begin) {
        return MIN(e->span, usec_sub(e->end, begin));
}

/* The oldest but one takes in the oldest. What lies before the long window is cut off first, else the past would
 * never leave. */
static void melt_oldest(Window *window, uint64_t begin) {
        Entry *a = entry(window, 0), *b = entry(window, 1);
        double weight = (double) span_after(a, begin), total = weight + (double) b->span;

        if (total > 0)
                b->value = (a->value * weight + b->value * (double) b->span) / total;
        b->span += span_after(a, begin);
        window->oldest = (window->oldest + 1) % window->capacity;
        window->count--;
        /* The past is another one now. */
        window->unseen = window->count;
        window->high_end = 0;
}

void window_add(Window *window, uint64_t end, uint64_t span, double value) {
        uint64_t begin = usec_sub(end, window->shape.long_window);

        if (window->count > 0)
                span = MIN(span, usec_sub(end, entry(window, window->count - 1)->end));
        if (span == 0)
                return;
        while (window->count > 0 && entry(window, 0)->end <= begin) {
                window->oldest = (window->oldest + 1) % window->capacity;
                window->count--;
        }
        if (window->count == window->capacity)
                melt_oldest(window, begin);
        *entry(window, window->count++) = (Entry) { end, span, value };
        window->unseen++;
}

void window_reshape(Window *window, const WindowShape *shape) {
        Window *fresh = window_new(shape);
        Window old = *window;

        for (unsigned i = 0; i < old.count; i++) {
                const Entry *e = entry(&old, i);

                window_add(fresh, e->end, e->span, e->value);
        }
        *window = *fresh;
        g_free(old.entries);
        g_free(fresh);
}

typedef struct Sum {
        uint64_t covered, high, last_high;
        double area, least, most;
} Sum;

static void sum_add(Sum *sum, const Entry *e, uint64_t span, double threshold) {
        sum->least = sum->covered > 0 ? MIN(sum->least, e->value) : e->value;
        sum->most = sum->covered > 0 ? MAX(sum->most, e->value) : e->value;
        sum->covered += span;
        sum->area += e->value * (double) span;
        if (e->value < threshold)
                return;
        sum->high += span;
        if (sum->last_high == 0)
                sum->last_high = e->end;
}

/* Rounding must not carry a mean across a threshold that every sample stayed on one side of. */
static double sum_mean(const Sum *sum) {
        return sum->covered > 0 ? CLAMP(sum->area / (double) sum->covered, sum->least, sum->most) : 0;
}

/* All windows end now, so that each is the end of the next longer one: the past is walked through once, back from *i,
 * and at most one entry lies across a beginning. */
static Sum sum_back_to(const Window *window, uint64_t begin, double threshold, unsigned *i, Sum *running) {
        const Entry *e = NULL;
        Sum sum;

        for (; *i > 0; (*i)--) {
                e = entry(window, *i - 1);
                if (e->end < begin + e->span)
                        break;
                sum_add(running, e, e->span, threshold);
        }
        sum = *running;
        if (*i > 0 && e->end > begin)
                sum_add(&sum, e, e->end - begin, threshold);
        return sum;
}

gboolean window_is_quiet(Window *window, double threshold) {
        uint64_t now = window->count > 0 ? entry(window, window->count - 1)->end : 0;

        if (threshold != window->threshold) {
                window->threshold = threshold;
                window->unseen = window->count;
                window->high_end = 0;
        }
        for (unsigned i = window->count - MIN(window->unseen, window->count); i < window->count; i++) {
                const Entry *e = entry(window, i);

                if (e->value >= threshold)
                        window->high_end = e->end;
        }
        window->unseen = 0;
        return window->high_end == 0 || window->high_end <= usec_sub(now, window->shape.long_window);
}

Activity window_judge(const Window *window, double threshold) {
        uint64_t now = window->count > 0 ? entry(window, window->count - 1)->end : 0;
        unsigned i = window->count;
        Sum running = {};
        Sum burst = sum_back_to(window, usec_sub(now, window->shape.burst), threshold, &i, &running);
        Sum middle = sum_back_to(window, usec_sub(now, window->shape.window), threshold, &i, &running);
        Sum total = sum_back_to(window, usec_sub(now, window->shape.long_window), threshold, &i, &running);
        Activity a = {};

        a.high = middle.high;
        a.covered = total.covered;
        a.mean_burst = sum_mean(&burst);
        a.mean_window = sum_mean(&middle);
        a.mean_long = sum_mean(&total);

        if (a.mean_window >= threshold && a.high >= window->shape.burst && middle.last_high > 0) {
                a.rule = ACTIVITY_SHORT;
                a.moment = middle.last_high;
        } else if (a.mean_long >= threshold && total.covered >= MIN(LONG_COVERED_MIN, window->shape.long_window) &&
                   total.last_high > 0) {
                a.rule = ACTIVITY_LONG;
                a.moment = total.last_high;
        } else if (a.mean_window >= threshold && total.covered < window->shape.burst)
                a.rule = ACTIVITY_UNSURE;
        return a;
}
