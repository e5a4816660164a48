/* SPDX-License-Identifier: Apache-2.0 */

#include "base/clock.h"
#include "daemon/decision/window.h"

#define SECOND USEC_PER_SEC
#define START (1000 * SECOND)
#define THRESHOLD 5.0

typedef struct Fixture {
        Window *window;
        uint64_t now;
} Fixture;

static const WindowShape shape = { 15 * SECOND, 60 * SECOND, 600 * SECOND, 5 * SECOND };

static void set_up(Fixture *f, gconstpointer data) {
        f->window = window_new(&shape);
        f->now = START;
}

static void tear_down(Fixture *f, gconstpointer data) {
        window_free(f->window);
}

/* The same value for some time, in samples of five seconds. */
static void run(Fixture *f, double value, unsigned seconds) {
        for (unsigned i = 0; i < seconds / 5; i++) {
                f->now += 5 * SECOND;
                window_add(f->window, f->now, 5 * SECOND, value);
        }
}

static ActivityRule rule(const Fixture *f) {
        return window_judge(f->window, THRESHOLD).rule;
}

static void test_empty(Fixture *f, gconstpointer data) {
        Activity a = window_judge(f->window, THRESHOLD);

        g_assert_cmpint(a.rule, ==, ACTIVITY_NONE);
        g_assert_cmpuint(a.covered, ==, 0);
}

static void test_unsure_until_a_burst_is_covered(Fixture *f, gconstpointer data) {
        run(f, 50, 10);
        g_assert_cmpint(rule(f), ==, ACTIVITY_UNSURE);
        run(f, 50, 5);
        g_assert_cmpint(rule(f), ==, ACTIVITY_SHORT);
}

static void test_burst_is_exact(Fixture *f, gconstpointer data) {
        run(f, 0, 600);
        run(f, 100, 10);
        g_assert_cmpint(rule(f), ==, ACTIVITY_NONE);
        run(f, 100, 5);
        g_assert_cmpint(rule(f), ==, ACTIVITY_SHORT);
        g_assert_cmpuint(window_judge(f->window, THRESHOLD).high, ==, 15 * SECOND);
}

/* 15 s at 20 make a mean of exactly 5 over 60 s; a little less does not. */
static void test_mean_is_exact(Fixture *f, gconstpointer data) {
        run(f, 0, 120);
        run(f, 20, 15);
        g_assert_cmpint(rule(f), ==, ACTIVITY_SHORT);
        window_clear(f->window);
        run(f, 0, 120);
        run(f, 19.99, 15);
        g_assert_cmpint(rule(f), ==, ACTIVITY_NONE);
}

static void test_long_mean(Fixture *f, gconstpointer data) {
        run(f, 0, 600);
        /* 5 s at 100 a minute: never a burst, a mean of 8.3. */
        for (unsigned minute = 0; minute < 10; minute++) {
                run(f, 100, 5);
                run(f, 0, 55);
        }
        g_assert_cmpint(rule(f), ==, ACTIVITY_LONG);
        g_assert_cmpfloat_with_epsilon(window_judge(f->window, THRESHOLD).mean_long, 100 / 12.0, 1e-9);
}

static void test_long_mean_needs_a_minute(Fixture *f, gconstpointer data) {
        run(f, 100, 10);
        run(f, 0, 45);
        g_assert_cmpint(rule(f), ==, ACTIVITY_NONE);
        run(f, 0, 5);
        g_assert_cmpint(rule(f), ==, ACTIVITY_LONG);
}

static void test_moment_is_the_end_of_the_load(Fixture *f, gconstpointer data) {
        uint64_t end;

        run(f, 0, 60);
        run(f, 80, 300);
        end = f->now;
        run(f, 0, 30);
        g_assert_cmpint(rule(f), ==, ACTIVITY_SHORT);
        g_assert_cmpuint(window_judge(f->window, THRESHOLD).moment, ==, end);
        run(f, 0, 120);
        g_assert_cmpint(rule(f), ==, ACTIVITY_LONG);
        g_assert_cmpuint(window_judge(f->window, THRESHOLD).moment, ==, end);
}

/* A late timer makes one long sample of what would have been many. */
static void test_samples_weigh_their_time(Fixture *f, gconstpointer data) {
        run(f, 0, 120);
        f->now += 30 * SECOND;
        window_add(f->window, f->now, 30 * SECOND, 10);
        g_assert_cmpfloat(window_judge(f->window, THRESHOLD).mean_window, ==, 5);
        g_assert_cmpint(rule(f), ==, ACTIVITY_SHORT);
}

/* Half of the oldest sample lies outside the window. */
static void test_partial_overlap(Fixture *f, gconstpointer data) {
        f->now += 60 * SECOND;
        window_add(f->window, f->now, 60 * SECOND, 12);
        f->now += 30 * SECOND;
        window_add(f->window, f->now, 30 * SECOND, 0);
        g_assert_cmpfloat(window_judge(f->window, THRESHOLD).mean_window, ==, 6);
        g_assert_cmpuint(window_judge(f->window, THRESHOLD).high, ==, 30 * SECOND);
}

static void test_constant_has_an_exact_mean(Fixture *f, gconstpointer data) {
        run(f, 0.1, 600);
        g_assert_cmpfloat(window_judge(f->window, 0.1).mean_long, ==, 0.1);
        g_assert_cmpint(window_judge(f->window, 0.1).rule, ==, ACTIVITY_SHORT);
}

static void test_overlapping_spans_are_cut(Fixture *f, gconstpointer data) {
        run(f, 0, 60);
        f->now += 5 * SECOND;
        window_add(f->window, f->now, 1000 * SECOND, 100);
        g_assert_cmpuint(window_judge(f->window, THRESHOLD).high, ==, 5 * SECOND);
        window_add(f->window, f->now, 5 * SECOND, 100);
        g_assert_cmpuint(window_judge(f->window, THRESHOLD).high, ==, 5 * SECOND);
}

/* A hundred samples a second: the memory is bounded, and the means stay right. */
static void test_too_fast(Fixture *f, gconstpointer data) {
        for (unsigned i = 0; i < 120000; i++) {
                f->now += SECOND / 100;
                window_add(f->window, f->now, SECOND / 100, i < 90000 ? 10 : 0);
        }
        g_assert_cmpuint(window_judge(f->window, THRESHOLD).covered, <=, 600 * SECOND);
        g_assert_cmpfloat(window_judge(f->window, THRESHOLD).mean_long, >, 0);
        for (unsigned i = 0; i < 600000; i++) {
                f->now += SECOND / 100;
                window_add(f->window, f->now, SECOND / 100, 0);
        }
        g_assert_cmpint(rule(f), ==, ACTIVITY_NONE);
}

static void test_reshape_keeps_the_past(Fixture *f, gconstpointer data) {
        const WindowShape wider = { 15 * SECOND, 120 * SECOND, 600 * SECOND, SECOND };

        run(f, 20, 60);
        run(f, 0, 60);
        g_assert_cmpfloat(window_judge(f->window, THRESHOLD).mean_window, ==, 0);
        window_reshape(f->window, &wider);
        g_assert_cmpfloat(window_judge(f->window, THRESHOLD).mean_window, ==, 10);
}

/* Word by word what the rule says of one window, of samples that need not touch each other. */
static double plain_mean(const uint64_t *ends, const uint64_t *spans, const double *values, unsigned n,
                         uint64_t length, uint64_t *ret_high) {
        uint64_t begin = ends[n - 1] - length, covered = 0;
        double area = 0;

        *ret_high = 0;
        for (unsigned i = 0; i < n; i++) {
                uint64_t span = ends[i] <= begin ? 0 : MIN(spans[i], ends[i] - begin);

                area += values[i] * (double) span;
                covered += span;
                *ret_high += values[i] >= THRESHOLD ? span : 0;
        }
        return area / (double) covered;
}

static void test_random_samples(Fixture *f, gconstpointer data) {
        uint64_t ends[100], spans[100], high, high_at_all, ignored;
        double values[100];

        for (unsigned i = 0; i < G_N_ELEMENTS(ends); i++) {
                Activity a;

                spans[i] = (uint64_t) g_test_rand_int_range(1, 20 * (gint32) SECOND);
                f->now +=
                        spans[i] + (g_test_rand_bit() ? (uint64_t) g_test_rand_int_range(0, 10 * (gint32) SECOND) : 0);
                ends[i] = f->now;
                values[i] = g_test_rand_double_range(0, 10);
                window_add(f->window, ends[i], spans[i], values[i]);

                a = window_judge(f->window, THRESHOLD);
                g_assert_cmpfloat_with_epsilon(a.mean_burst,
                                               plain_mean(ends, spans, values, i + 1, shape.burst, &ignored), 1e-9);
                g_assert_cmpfloat_with_epsilon(a.mean_window,
                                               plain_mean(ends, spans, values, i + 1, shape.window, &high), 1e-9);
                g_assert_cmpfloat_with_epsilon(
                        a.mean_long, plain_mean(ends, spans, values, i + 1, shape.long_window, &high_at_all), 1e-9);
                g_assert_cmpuint(a.high, ==, high);
                g_assert_cmpint(window_is_quiet(f->window, THRESHOLD), ==, high_at_all == 0);
        }
}

/* Quiet means that the judgement is known beforehand; it is never said of a past that somebody would find activity
 * in. */
static void test_quiet(Fixture *f, gconstpointer data) {
        g_assert_true(window_is_quiet(f->window, THRESHOLD));
        run(f, 4, 60);
        g_assert_true(window_is_quiet(f->window, THRESHOLD));
        g_assert_false(window_is_quiet(f->window, 4));
        g_assert_true(window_is_quiet(f->window, THRESHOLD));
        run(f, 5, 5);
        g_assert_false(window_is_quiet(f->window, THRESHOLD));
        run(f, 4, 595);
        g_assert_false(window_is_quiet(f->window, THRESHOLD));
        run(f, 4, 5);
        g_assert_true(window_is_quiet(f->window, THRESHOLD));
        window_clear(f->window);
        run(f, 10, 5);
        g_assert_false(window_is_quiet(f->window, THRESHOLD));
}

static void test_quiet_where_the_past_melts(Fixture *f, gconstpointer data) {
        for (unsigned i = 0; i < 300000; i++) {
                gboolean loud = g_test_rand_int_range(0, 2000) == 0;
                Activity a;

                f->now += SECOND / 100;
                window_add(f->window, f->now, SECOND / 100, loud ? 2000 : 0);
                if (!window_is_quiet(f->window, THRESHOLD) || i % 100 > 0)
                        continue;
                a = window_judge(f->window, THRESHOLD);
                g_assert_cmpint(a.rule, ==, ACTIVITY_NONE);
                g_assert_cmpfloat(MAX(a.mean_burst, MAX(a.mean_window, a.mean_long)), <, THRESHOLD);
        }
}

#define ADD(name, function) g_test_add("/window/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("empty", test_empty);
        ADD("unsure", test_unsure_until_a_burst_is_covered);
        ADD("burst", test_burst_is_exact);
        ADD("mean", test_mean_is_exact);
        ADD("long-mean", test_long_mean);
        ADD("long-mean-needs-a-minute", test_long_mean_needs_a_minute);
        ADD("moment", test_moment_is_the_end_of_the_load);
        ADD("weight", test_samples_weigh_their_time);
        ADD("partial-overlap", test_partial_overlap);
        ADD("constant", test_constant_has_an_exact_mean);
        ADD("overlap", test_overlapping_spans_are_cut);
        ADD("too-fast", test_too_fast);
        ADD("random-samples", test_random_samples);
        ADD("quiet", test_quiet);
        ADD("quiet-melting", test_quiet_where_the_past_melts);
        ADD("reshape", test_reshape_keeps_the_past);
        return g_test_run();
}
