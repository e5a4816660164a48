/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What may wait for somebody else without asking us: the C library for a name server, when a host has a name, and with
 * it the client libraries, which leave that to it. It is done in a thread of its own, which nobody waits for any
 * longer than he has time: it ends by itself, and what it made goes with it. */

#include "database.h"

/* flush: of the thread's own; it is called off when nobody waits any more. */
typedef void (*AsideWork)(const Flush *flush, void *job);

/* TRUE: the work is done, and the job is the caller's again. FALSE: it is not done in time, or was called off; release
 * is called with the job, now or whenever the thread comes back. The job must have all that it needs. by_name: it has
 * to look a name up; where too many who do are left already, it is not begun. */
gboolean aside_run(const Flush *flush, gboolean by_name, AsideWork work, GDestroyNotify release, void *job,
                   GError **error);
/* Whether a host (NULL: a socket) is a name, and no number. */
gboolean aside_is_name(const char *host);
