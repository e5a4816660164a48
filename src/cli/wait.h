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
