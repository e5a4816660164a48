/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Spans and moments of time as people write and read them. */

#include <stdint.h>

#include <glib.h>

/* "90", "90s", "5min", "2h", "1h 30min", "1.5h", "3d", "1w" → microseconds; a bare number counts seconds. Units: s sec
 * second seconds, m min minute minutes, h hr hour hours, d day days, w week weeks. 0, negative spans and more than ten
 * years are errors. */
gboolean duration_parse(const char *text, uint64_t *ret_usec, GError **error);

/* "45 s", "5 min", "1 h 05 min", "2 d 4 h": the two largest units, rounded down. */
char *duration_format(uint64_t usec);

/* Wall-clock microseconds as local "22:41", "22:41 CET" with the zone; with seconds within a minute of `now`, and with
 * the date in front if it is not its day. 0 gives "never". */
char *moment_format(uint64_t realtime_usec, uint64_t now_realtime_usec, gboolean with_zone);
/* The same without a zone, next to another moment: with seconds where the two are within a minute. */
char *moment_format_beside(uint64_t realtime_usec, uint64_t other_realtime_usec, uint64_t now_realtime_usec);
