/* SPDX-License-Identifier: Apache-2.0 */

#include "notice.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "config.h"

#define WHAT_TO_TYPE "Keep it on: " SNOOZE_COMMAND " postpone 2h · why: " SNOOZE_COMMAND " why"

/* Bytes of the character, by its first: what dictionaries hold is valid UTF-8. */
static size_t character_length(unsigned char first) {
        if (first < 0x80)
                return 1;
        if (first < 0xe0)
                return 2;
        return first < 0xf0 ? 3 : 4;
}

/* What was cut to fit may end within a character. */
static bool is_whole(const char *p, size_t length) {
        unsigned char first = (unsigned char) p[0];

        if (first >= 0x80 && first < 0xc2)
                return false;
        for (size_t i = 1; i < length; i++)
                if (((unsigned char) p[i] & 0xc0) != 0x80)
                        return false;
        return true;
}

static bool is_control(const char *p) {
        unsigned char first = (unsigned char) p[0], second = first ? (unsigned char) p[1] : 0;

        /* C0, DEL, and C1, which 8-bit terminals obey as well. */
        if (first < 0x20 || first == 0x7f || (first == 0xc2 && second < 0xa0))
                return true;
        /* U+2028 to U+202E and U+2066 to U+2069: lines and directions that make a text look like another. */
        if (first == 0xe2 && second == 0x80)
                return (unsigned char) p[2] >= 0xa8 && (unsigned char) p[2] <= 0xae;
        return first == 0xe2 && second == 0x81 && (unsigned char) p[2] >= 0xa6 && (unsigned char) p[2] <= 0xa9;
}

void notice_clean(const char *source, char *text, size_t size) {
        size_t n = 0;

        while (*source) {
                size_t length = character_length((unsigned char) *source);

                if (!is_whole(source, length)) {
                        source++;
                        continue;
                }
                if (is_control(source)) {
                        if (n + 1 >= size)
                                break;
                        text[n++] = ' ';
                } else {
                        if (n + length >= size)
                                break;
                        memcpy(text + n, source, length);
                        n += length;
                }
                source += length;
        }
        text[n] = 0;
}

static void write_clock(uint64_t moment, bool soon, char *text, size_t size) {
        time_t seconds = (time_t) (moment / USEC_PER_SEC);
        struct tm tm;

        if (!localtime_r(&seconds, &tm) || strftime(text, size, soon ? "%H:%M:%S %Z" : "%H:%M %Z", &tm) == 0)
                text[0] = 0;
}

static void compose(const SnoozePluginDictionary *event, const SnoozePluginDictionary *data, bool called_off,
                    uint64_t now, char *text, size_t size) {
        uint64_t deadline = snooze_plugin_dictionary_get_uint(event, "deadline", 0);
        uint64_t left = usec_sub(deadline, now);
        const char *reason = snooze_plugin_dictionary_get_string(data, "reason", "");
        char clock[64], span[32];

        /* The reason of what is called off is not that of the calling off. */
        if (called_off || snooze_plugin_dictionary_get_bool(data, "cancelled", false)) {
                snprintf(text, size, "This machine stays on%s%s", *reason && !called_off ? ": " : "",
                         called_off ? "" : reason);
                return;
        }
        write_clock(deadline, left < USEC_PER_MINUTE, clock, sizeof(clock));
        if (left >= USEC_PER_MINUTE)
                snprintf(span, sizeof(span), "%u min", (unsigned) ((left + USEC_PER_MINUTE / 2) / USEC_PER_MINUTE));
        else
                snprintf(span, sizeof(span), "%u s", (unsigned) (left / USEC_PER_SEC));
        if (deadline == 0 || !clock[0])
                snprintf(text, size, "This machine stops soon%s%s. " WHAT_TO_TYPE, *reason ? ": " : "", reason);
        else
                snprintf(text, size, "This machine stops at %s (in %s)%s%.300s. " WHAT_TO_TYPE, clock, span,
                         *reason ? ": " : "", reason);
}

void notice_write(const SnoozePluginDictionary *event, uint64_t now, char *text, size_t size) {
        const SnoozePluginDictionary *data = snooze_plugin_dictionary_get_dictionary(event, "data");
        const char *notice = snooze_plugin_dictionary_get_string(data, "notice", "");
        bool called_off = snooze_plugin_dictionary_get_bool(event, "cancelled", false);
        char composed[NOTICE_SIZE];

        if (*notice && called_off) {
                snprintf(composed, sizeof(composed), "Called off: %s", notice);
                notice = composed;
        } else if (!*notice) {
                compose(event, data, called_off, now, composed, sizeof(composed));
                notice = composed;
        }
        notice_clean(notice, text, size);
}
