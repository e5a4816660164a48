/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/decision/decision.h"

Vote *vote_new(const char *source, Verdict verdict, const char *reason, uint64_t begun, uint64_t received) {
        Vote *vote = g_new0(Vote, 1);

        vote->source = g_strdup(source);
        vote->verdict = verdict;
        vote->reason = g_strdup(reason ? reason : "");
        vote->begun = begun;
        vote->received = received;
        return vote;
}

void vote_free(Vote *vote) {
        if (!vote)
                return;
        g_free(vote->source);
        g_free(vote->reason);
        g_clear_pointer(&vote->details, json_object_unref);
        g_free(vote);
}
