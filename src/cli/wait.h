/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One asynchronous call, waited for with a sign of life: after a second the terminal says what is being waited for,
 * and since when. Used in one line: wait_new, the call with wait_done and the Wait as its last arguments, wait_for. */

#include "cli/cli.h"

typedef struct Wait Wait;

Wait *wait_new(const Cli *cli, const char *doing);
void wait_free(Wait *wait);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Wait, wait_free)

/* A GAsyncReadyCallback. */
void wait_done(GObject *source, GAsyncResult *result, gpointer wait);

/* Runs until the call has ended; the result belongs to the Wait. */
GAsyncResult *wait_for(Wait *wait);

/* For what tells of signals: wait_for_end() runs until Ctrl-C or SIGTERM, or until the bus is gone, from which no
 * signal comes any more (over ssh it goes with the way there); what happens after wait_end_new() counts already.
 * Returns what to exit with. */
typedef struct WaitEnd WaitEnd;
WaitEnd *wait_end_new(const Cli *cli);
int wait_for_end(WaitEnd *end);
void wait_end_free(WaitEnd *end);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WaitEnd, wait_end_free)
