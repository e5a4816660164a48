/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What people are told of an event: one line for terminals, and a mail. Whatever an event carries may come from
 * anybody; nothing of it becomes a header, an order to a terminal or a message without end. Pure. */

#include <stdint.h>

#include <glib.h>

#include <snooze/dictionary.h>

#define MESSAGE_LINE_MAX 400U     /* bytes */
#define MESSAGE_BODY_MAX 16384U
#define RECIPIENTS_MAX 32U

/* "root", "alice@example.org": what can stand in a header and on a command line as it is. */
gboolean address_valid(const char *address);

/* "The cloud takes this machine at 22:41 CET (in 2 min): reason". now: wall clock µs. Caller frees. */
char *message_line(const SnoozePluginDictionary *event, uint64_t now);

typedef struct Mail {
        const char *from;
        const char *const *recipients;
        const char *host;       /* this machine's name */
        const char *message_id; /* without <> and host */
} Mail;

/* A whole message (RFC 5322) with CRLF. Caller frees. */
char *message_mail(const SnoozePluginDictionary *event, const Mail *mail, uint64_t now);

/* A header's text as RFC 2047 has it, folded; as it is where it is short and ASCII. Caller frees. */
char *message_encode_header(const char *text);
