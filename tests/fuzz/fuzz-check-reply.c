/* SPDX-License-Identifier: Apache-2.0 */

/* Any bytes as what a plugin answers to CheckIdle. It is refused with a sentence, or each vote of it is one that a
 * daemon may count. */

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/plugin/plugin.h"
#include "message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW (USEC_PER_HOUR)
#define REALTIME (50 * 365 * 24 * USEC_PER_HOUR)

static void assert_votes(const CheckAnswer *answer) {
        g_assert_cmpuint(answer->valid_for, <=, 300 * USEC_PER_SEC);
        g_assert_cmpuint(answer->votes->len, >, 0);
        for (guint i = 0; i < answer->votes->len; i++) {
                const Vote *vote = g_ptr_array_index(answer->votes, i);

                g_assert_nonnull(verdict_name(vote->verdict));
                g_assert_true(g_utf8_validate(vote->reason, -1, NULL));
                g_assert_cmpuint(strlen(vote->reason), <=, REASON_MAX);
                g_assert_true(i == 0 ? g_str_equal(vote->source, "p") : g_str_has_prefix(vote->source, "p/"));
                g_assert_cmpuint(vote->last_activity, <=, NOW);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char *const words[] = { "idle", "busy", "unknown", "valid_seconds", "last_activity", "metrics",
                                             "votes", "name", "verdict", "reason", NULL };
        _cleanup_(check_answer_clear) CheckAnswer answer = {};
        _cleanup_bus_message_ sd_bus_message *m = NULL;
        g_autofree char *problem = NULL;
        Input input = { data, size, words };

        m = message_from_input("ssa{sv}", &input);
        if (!m)
                return 0;
        if (check_answer_read("p", m, NOW, NOW, REALTIME, &answer, &problem) < 0) {
                g_assert_nonnull(problem);
                g_assert_true(g_utf8_validate(problem, -1, NULL));
        } else
                assert_votes(&answer);
        return 0;
}
