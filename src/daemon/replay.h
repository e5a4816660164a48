/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A recorded trace in the place of the built-in metrics, for demonstrations and tests: the whole daemon runs as it
 * would, only that its samples are not those of this machine. The trace begins when the daemon begins; its last
 * instant holds on. Its metrics and its event "resume" alone are used: votes come from the plugins, holds from
 * people. */

#include <glib.h>

#include "daemon/decision/sample.h"

typedef struct Replay Replay;

Replay *replay_new(const char *path, uint64_t now, GError **error);
void replay_free(Replay *replay);

/* TRUE: the trace says that the machine slept since the sample before. */
gboolean replay_sample(Replay *replay, uint64_t now, Sample *ret);
