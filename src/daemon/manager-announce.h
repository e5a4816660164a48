/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the world hears of the decision: signals, changed properties, journal, history, and the parts that act on a
 * stage. */

#include "daemon/manager.h"

/* After each step. */
void manager_announce(Manager *manager);

/* FALSE: there is something to tell that waits for its time. */
gboolean manager_all_told(const Manager *manager);

/* One property of the Manager changed. */
void manager_emit_changed(Manager *manager, const char *property);

/* DryRun did, where it is not what was told last: by the configuration, or for as long as a person wants a stop. */
void manager_emit_dry_run(Manager *manager);

void manager_emit_problem(Manager *manager, const char *source, const char *message, JsonObject *details);
