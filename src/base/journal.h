/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Structured logging. Each line goes to the journal with its fields; where stderr is no journal stream (a terminal, a
 * test), the message alone is printed there. Callers log once, at the place that decides what a failure means; code in
 * util/ and base/ does not log above debug. */

#include <syslog.h>

/* Message ids: the journal catalog (data/cloudsnooze.catalog) explains each to a person. */
#define MESSAGE_STATE_CHANGED "5b1f6c1c2d6e4a0f9a5c5d5d8a3a0c01"
#define MESSAGE_STOP_SCHEDULED "5b1f6c1c2d6e4a0f9a5c5d5d8a3a0c02"
#define MESSAGE_STOP_CANCELLED "5b1f6c1c2d6e4a0f9a5c5d5d8a3a0c03"
#define MESSAGE_STOPPING "5b1f6c1c2d6e4a0f9a5c5d5d8a3a0c04"
#define MESSAGE_PROBLEM "5b1f6c1c2d6e4a0f9a5c5d5d8a3a0c05"
#define MESSAGE_BACK "5b1f6c1c2d6e4a0f9a5c5d5d8a3a0c06"
#define MESSAGE_PLUGIN_STATE "5b1f6c1c2d6e4a0f9a5c5d5d8a3a0c07"
#define MESSAGE_CONFIGURATION "5b1f6c1c2d6e4a0f9a5c5d5d8a3a0c08"
#define MESSAGE_REFUSED_CALLER "5b1f6c1c2d6e4a0f9a5c5d5d8a3a0c09"
#define MESSAGE_APPROVED "5b1f6c1c2d6e4a0f9a5c5d5d8a3a0c0a"
#define MESSAGE_CLOCK_SET "5b1f6c1c2d6e4a0f9a5c5d5d8a3a0c0b"

/* Drops what is less severe than this LOG_* level; LOG_INFO at start. */
void journal_set_level(int level);
int journal_get_level(void);

/* A "KEY=value" that every line of this program carries from now on; it has to stay. NULL: none. */
void journal_set_field(const char *field);

/* fields: "KEY=value" strings after the format's arguments would be ambiguous, so they come as an array,
 * NULL-terminated; it may be NULL. */
void journal_write(int level, const char *message_id, const char *const *fields, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

#define log_debug(...) journal_write(LOG_DEBUG, NULL, NULL, __VA_ARGS__)
#define log_info(...) journal_write(LOG_INFO, NULL, NULL, __VA_ARGS__)
#define log_notice(...) journal_write(LOG_NOTICE, NULL, NULL, __VA_ARGS__)
#define log_warning(...) journal_write(LOG_WARNING, NULL, NULL, __VA_ARGS__)
#define log_error(...) journal_write(LOG_ERR, NULL, NULL, __VA_ARGS__)
