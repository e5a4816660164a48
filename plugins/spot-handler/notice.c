/* SPDX-License-Identifier: Apache-2.0 */

#include "notice.h"

#include <string.h>

#include "base/clock.h"

#define DEFAULT_NOTICE (2 * USEC_PER_MINUTE)
#define REMAINING_MAX_SECONDS INT64_C(86400)

/* How long before a machine is taken its cloud says so:
 * docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html,
 * cloud.google.com/compute/docs/instances/preemptible (30 s),
 * learn.microsoft.com/azure/virtual-machines/windows/scheduled-events (Preempt: 30 s). */
static const struct {
        const char *source;
        uint64_t spot;
} clouds[] = {
        { "aws", 2 * USEC_PER_MINUTE },
        { "gcp", 30 * USEC_PER_SEC },
        { "azure", 30 * USEC_PER_SEC },
};

/* "aws", and "aws.spot-fleet". */
static bool is_from(const char *source, const char *cloud) {
        size_t length = strlen(cloud);

        return strncmp(source, cloud, length) == 0 && (source[length] == '\0' || source[length] == '.');
}

/* 0: there is none to be held to. Terminations are announced minutes to hours ahead, and their deadline is all that
 * there is. */
static uint64_t longest_notice(const SnoozePluginDictionary *event) {
        const SnoozePluginDictionary *data = snooze_plugin_dictionary_get_dictionary(event, "data");
        const char *source = snooze_plugin_dictionary_get_string(event, "source", "");
        const char *provider = snooze_plugin_dictionary_get_string(data, "provider", "");

        if (strcmp(snooze_plugin_dictionary_get_string(event, "type", ""), "cloud.spot.interrupt") != 0)
                return 0;
        for (size_t i = 0; i < sizeof(clouds) / sizeof(clouds[0]); i++)
                if (is_from(source, clouds[i].source) || strcmp(provider, clouds[i].source) == 0)
                        return clouds[i].spot;
        return 0;
}

static uint64_t announced_deadline(const SnoozePluginDictionary *event, uint64_t since) {
        const SnoozePluginDictionary *data = snooze_plugin_dictionary_get_dictionary(event, "data");
        uint64_t deadline = snooze_plugin_dictionary_get_uint(event, "deadline", 0);
        int64_t seconds;

        if (deadline > 0)
                return deadline;
        seconds = snooze_plugin_dictionary_get_int(data, "timeRemaining", -1);
        seconds = snooze_plugin_dictionary_get_int(data, "time_remaining", seconds);
        if (seconds < 0)
                return usec_add(since, DEFAULT_NOTICE);
        return usec_add(since,
                        (uint64_t) (seconds < REMAINING_MAX_SECONDS ? seconds : REMAINING_MAX_SECONDS) * USEC_PER_SEC);
}

Notice notice_read(const SnoozePluginDictionary *event, uint64_t now) {
        const SnoozePluginDictionary *data = snooze_plugin_dictionary_get_dictionary(event, "data");
        uint64_t since = snooze_plugin_dictionary_get_uint(event, "timestamp", 0), longest = longest_notice(event);
        Notice notice = {
                .share = snooze_plugin_dictionary_get_uint(event, "budget", UINT64_MAX),
                .cancelled = snooze_plugin_dictionary_get_bool(event, "cancelled", false) ||
                        snooze_plugin_dictionary_get_bool(data, "cancelled", false),
        };

        /* One of the future is no moment from which to count. */
        if (since == 0 || since > now)
                since = now;
        notice.deadline = announced_deadline(event, since);
        if (longest > 0 && notice.deadline > usec_add(since, longest))
                notice.deadline = usec_add(since, longest);
        notice.remaining = usec_sub(notice.deadline, now);
        return notice;
}

uint64_t notice_handled_until(const Notice *notice) {
        return usec_add(notice->deadline, NOTICE_GRACE_SECONDS * USEC_PER_SEC);
}

bool notice_is_handled(const Notice *notice, uint64_t handled_until, uint64_t now) {
        uint64_t until = usec_add(notice_handled_until(notice), NOTICE_GRACE_SECONDS * USEC_PER_SEC);

        return handled_until > now && until >= handled_until;
}

uint64_t notice_margin(const Notice *notice, int64_t reserve_seconds) {
        int64_t seconds = reserve_seconds < NOTICE_ENDING_SECONDS ? reserve_seconds : NOTICE_ENDING_SECONDS;
        uint64_t most = (uint64_t) seconds * USEC_PER_SEC;

        return notice->share / 4 < most ? notice->share / 4 : most;
}

uint64_t notice_budget(const Notice *notice, int64_t reserve_seconds, int64_t timeout_seconds) {
        uint64_t left = usec_sub(notice->remaining, (uint64_t) reserve_seconds * USEC_PER_SEC);
        uint64_t most = (uint64_t) timeout_seconds * USEC_PER_SEC;
        uint64_t share = usec_sub(notice->share, notice_margin(notice, reserve_seconds));

        if (share < most)
                most = share;
        return left < most ? left : most;
}
