/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the daemon knows beyond one run of it: the decision and a pause (below the runtime directory, for this boot),
 * the record of a stop and a pause (in the store, beyond it), and the history that it writes as it goes. */

#include "daemon/manager.h"

/* Once, before the first step. What the store knows comes later and is taken in then. */
void manager_restore(Manager *manager);

/* A stop is over without a boot (the machine was suspended, or it was a rehearsal): closes its record, if there is
 * one. */
void manager_came_back(Manager *manager);

/* The latest sample, as GetMetrics has it, and the votes if one of them changed. */
void manager_keep_history(Manager *manager, JsonObject *metrics);

/* One line to every terminal that is no announcement of a stop. */
void manager_notice(Manager *manager, const char *text);
