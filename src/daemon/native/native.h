/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A native plugin: a shared object with the SDK's table, in the daemon itself. Its contracts are called over a channel
 * as any plugin's are, from this process to this process; CheckIdle is called as a function. Whatever it does wrong
 * the daemon does wrong, so it is loaded only from root's own files, and never unloaded: of what runs in it nobody
 * knows when it ends. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "daemon/decision/decision.h"
#include "util/json.h"

typedef struct Native Native;

/* Loads the object. also: whose files are trusted besides root's, 0: nobody's. NULL with error. */
Native *native_load(const char *path, uid_t also, GError **error);
/* What is under way in it ends by itself. NULL is fine. */
void native_free(Native *native);

/* Begins to serve; -> the other end of its channel, or -1 with error: an earlier instance of it has not ended yet, its
 * table is wrong. */
int native_start(Native *native, sd_event *event, GError **error);
void native_stop(Native *native);

/* What the SDK calls it; NULL: none serves. */
void *native_instance(const Native *native);

typedef struct NativeVote {
        const char *error;   /* NULL: it answered */
        Verdict verdict;
        const char *reason;
        JsonObject *details;
} NativeVote;

typedef void (*NativeDone)(const NativeVote *vote, void *userdata);

/* done is called once, perhaps at once. FALSE: it cannot be asked like this now, done is not called. bus: any, to
 * write values with. */
gboolean native_check_idle(Native *native, sd_bus *bus, JsonObject *metrics, NativeDone done, void *userdata);
