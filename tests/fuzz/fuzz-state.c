/* SPDX-License-Identifier: Apache-2.0 */

/* Any bytes as the state that a plugin gets back: what the daemon kept, which an older version may have written, or
 * somebody else. The first byte says whose: sessions', usage-pattern's or storage's. It is refused and nothing has
 * changed, or it is taken: then the plugin works with it, and what it gives away from then on can be taken again, and
 * is the same. */

#include <stdint.h>
#include <string.h>
#include <sys/sysmacros.h>

#include <glib.h>

#include "base/clock.h"
#include "plugins/sessions/rules-memory.h"
#include "plugins/storage/entries.h"
#include "plugins/usage-pattern/week.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BOOT "0123456789abcdef0123456789abcdef"
#define NOW (UINT64_C(1000000) * USEC_PER_SEC)
#define EPOCH (UINT64_C(1700000000) * USEC_PER_SEC)
#define TERMINAL makedev(136, 3)

static void assert_same(const void *a, size_t size_of_a, const void *b, size_t size_of_b) {
        g_assert_cmpmem(a, size_of_a, b, size_of_b);
}

/* What one of the corpus tells of is there, and has done more since, or less. */
static void assert_works(Rules *rules) {
        Process job = { .pid = 100,
                        .parent = 1,
                        .group = 100,
                        .terminal = TERMINAL,
                        .foreground = 100,
                        .state = 'S',
                        .name = "job",
                        .started = NOW - USEC_PER_HOUR,
                        .cpu = 5000000,
                        .storage = 4096,
                        .characters = 1000,
                        .switches = 70,
                        .faults = 3 };
        Terminal terminal = { .device = TERMINAL, .name = "pts/3", .user = "alice", .last_input = EPOCH };
        Session session = { .id = "2", .user = "alice", .has_terminal = true };
        Snapshot snapshot = { .monotonic = NOW + USEC_PER_MINUTE,
                              .realtime = EPOCH + NOW + USEC_PER_MINUTE,
                              .has_logind = true,
                              .processes = &job,
                              .n_processes = 1,
                              .terminals = &terminal,
                              .n_terminals = 1,
                              .sessions = &session,
                              .n_sessions = 1 };
        RulesResult result;

        rules_evaluate(rules, &snapshot, &result);
        g_assert_cmpuint(result.verdict, <=, RULES_BUSY);
        g_assert_cmpuint(result.last_activity, <=, snapshot.realtime);
        g_assert_cmpuint(result.n_votes, <=, RULES_VOTES_MAX);
        for (size_t i = 0; i < result.n_votes; i++)
                g_assert_cmpuint(result.votes[i].last_activity, <=, snapshot.realtime);
}

static void assert_kept(const Rules *rules, uint64_t now) {
        g_autofree char *first = g_malloc(MEMORY_TEXT_SIZE), *second = g_malloc(MEMORY_TEXT_SIZE);
        size_t n = rules_export(rules, BOOT, first);
        Rules *again = rules_new();

        g_assert_cmpuint(n, <, MEMORY_TEXT_SIZE);
        g_assert_cmpint(rules_import(again, BOOT, now, first, n), ==, 0);
        assert_same(second, rules_export(again, BOOT, second), first, n);
        rules_free(again);
}

static void try_sessions(const char *data, size_t size) {
        static const RulesConfig config = { .input_idle = 15 * USEC_PER_MINUTE,
                                            .foreground_max = 12 * USEC_PER_HOUR,
                                            .work_within = 10 * USEC_PER_MINUTE,
                                            .cpu_share = 0.05 };
        g_autofree char *before = g_malloc(MEMORY_TEXT_SIZE), *after = g_malloc(MEMORY_TEXT_SIZE);
        Programs *programs = programs_new(NULL);
        Rules *rules = rules_new();
        size_t n = rules_export(rules, BOOT, before);

        rules_configure(rules, &config, programs);
        if (rules_import(rules, BOOT, NOW, data, size) < 0)
                assert_same(after, rules_export(rules, BOOT, after), before, n);
        else if (memcmp(data + strlen("sessions "), BOOT, strlen(BOOT)) == 0)
                assert_same(after, rules_export(rules, BOOT, after), data, size);
        assert_kept(rules, NOW);
        assert_works(rules);
        assert_kept(rules, NOW + USEC_PER_MINUTE);
        rules_free(rules);
        programs_free(programs);
}

static void assert_week(const Week *week) {
        char first[WEEK_TEXT_SIZE], second[WEEK_TEXT_SIZE];
        size_t n = week_export(week, first);
        Week again = {};

        g_assert_cmpuint(n, <=, WEEK_TEXT_SIZE);
        g_assert_cmpint(week_import(&again, first, n), ==, 0);
        assert_same(second, week_export(&again, second), first, n);
        for (unsigned hour = 0; hour < WEEK_HOURS; hour++) {
                double share = week_share(week, hour);

                g_assert_true(share == -1 || (share >= 0 && share <= 1));
        }
}

static void try_usage_pattern(const char *data, size_t size) {
        Week week = { .faded = EPOCH, .seen = { 3600 }, .used = { 1800 } }, before = week;

        if (week_import(&week, data, size) < 0)
                assert_same(&week, sizeof(week), &before, sizeof(before));
        assert_week(&week);
        week_learn(&week, EPOCH, 28 * 24 * USEC_PER_HOUR, 5, 60, true);
        assert_week(&week);
}

static void try_storage(const char *data, size_t size) {
        Entries *entries = entries_new(), *again = entries_new();
        g_autoptr(GByteArray) first = NULL, second = NULL;
        gboolean taken;

        g_assert_cmpint(entries_set(entries, "name", "text", ENTRIES_BYTES_MAX), ==, 0);
        taken = entries_import(entries, data, size) >= 0;
        if (!taken) {
                g_assert_cmpuint(entries_count(entries), ==, 1);
                g_assert_cmpstr(entries_get(entries, "name"), ==, "text");
        }
        g_assert_cmpuint(entries_count(entries), <=, ENTRIES_MAX);
        g_assert_cmpuint(entries_bytes(entries), <=, ENTRIES_BYTES_MAX);
        first = entries_export(entries);
        /* In another order perhaps, but all of it. */
        if (taken)
                g_assert_cmpuint(first->len, ==, size);
        g_assert_cmpint(entries_import(again, first->data, first->len), ==, 0);
        g_assert_cmpuint(entries_bytes(again), ==, entries_bytes(entries));
        second = entries_export(again);
        assert_same(second->data, second->len, first->data, first->len);
        entries_free(entries);
        entries_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static void (*const targets[])(const char *data, size_t size) = { try_sessions, try_usage_pattern,
                                                                          try_storage };
        g_autofree char *state = size > 1 ? g_memdup2(data + 1, size - 1) : NULL;

        if (state)
                targets[data[0] % G_N_ELEMENTS(targets)](state, size - 1);
        return 0;
}
