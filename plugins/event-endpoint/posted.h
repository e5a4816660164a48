/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What somebody posted, read: an event of theirs, or a sentence on what was wrong and what was expected. Pure. */

#include <glib.h>

#include <snooze/dictionary.h>

#define POSTED_BODY_MAX 65536U
/* So that the daemon, too, takes it: an event has at most 16 KiB. */
#define POSTED_DATA_MAX 12288U
#define POSTED_ENTRIES_MAX 200U
#define POSTED_DEPTH_MAX 6U
#define POSTED_SEVERITY_MAX 1
#define POSTED_AHEAD_MAX (24 * G_TIME_SPAN_HOUR)

typedef struct PostedEvent {
        char *id; /* NULL: none was given */
        char *type;
        unsigned severity;            /* 0: that of its type */
        uint64_t deadline;            /* wall clock µs; 0: that of its type */
        SnoozePluginDictionary *data; /* NULL: none */
        char *content;                /* all of it but the id, as a text: another event has another */
} PostedEvent;

/* 1 to 128 printable characters of ASCII without blanks. */
gboolean posted_id_valid(const char *id);

/* {id?, type, severity?, deadline?, data?}. now: wall clock µs. The error is to be shown to whoever posted it. */
gboolean posted_event_read(const char *body, gsize size, uint64_t now, PostedEvent *ret, GError **error);
void posted_event_clear(PostedEvent *event);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PostedEvent, posted_event_clear)
