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
};

static unsigned capacity_for(const WindowShape *shape) {
        uint64_t n = shape->long_window / MAX(shape->interval, 1) + CAPACITY_SPARE;

        return (unsigned) MIN(n, CAPACITY_MAX);
}

static Entry *entry(const Window *window, unsigned age) {
        return &window->entries[(window->oldest + age) % window->capacity];
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
        window->count = 0;
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
        uint64_t begin, covered, last_high;
        double area, least, most;
} Sum;

static void sum_add(Sum *sum, const Entry *e, double threshold) {
        uint64_t span = span_after(e, sum->begin);

        if (span == 0)
                return;
        sum->least = sum->covered > 0 ? MIN(sum->least, e->value) : e->value;
        sum->most = sum->covered > 0 ? MAX(sum->most, e->value) : e->value;
        sum->covered += span;
        sum->area += e->value * (double) span;
        if (sum->last_high == 0 && e->value >= threshold)
                sum->last_high = e->end;
}

/* Rounding must not carry a mean across a threshold that every sample stayed on one side of. */
static double sum_mean(const Sum *sum) {
        return sum->covered > 0 ? CLAMP(sum->area / (double) sum->covered, sum->least, sum->most) : 0;
}

Activity window_judge(const Window *window, double threshold) {
        uint64_t now = window->count > 0 ? entry(window, window->count - 1)->end : 0;
        Sum burst = { .begin = usec_sub(now, window->shape.burst) };
        Sum middle = { .begin = usec_sub(now, window->shape.window) };
        Sum total = { .begin = usec_sub(now, window->shape.long_window) };
        Activity a = {};

        for (unsigned i = window->count; i-- > 0;) {
                const Entry *e = entry(window, i);

                if (e->end > burst.begin)
                        sum_add(&burst, e, threshold);
                if (e->end > middle.begin) {
                        sum_add(&middle, e, threshold);
                        if (e->value >= threshold)
                                a.high += span_after(e, middle.begin);
                }
                sum_add(&total, e, threshold);
        }
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
