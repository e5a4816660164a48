/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the monitors see becomes events of the daemon's own, from sources "snoozed/disk" and the like, which no plugin
 * can be named. */

#include "daemon/manager.h"

/* Not where metrics are replayed: then this machine is not the one that is looked at. */
void manager_watch_system(Manager *manager);
/* EventsParameters' restored: what an earlier daemon announced is no news, and what is may be told from now on. */
void manager_announce_system(void *userdata);
