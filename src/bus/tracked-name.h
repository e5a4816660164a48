/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Who owns one name, from before we asked on. sd-bus lets signals of anybody through a match on a well-known name:
 * what is said to come from a service counts only if its sender is the owner known here. */

#include <stdbool.h>

#include <systemd/sd-bus.h>

typedef struct TrackedName TrackedName;

/* changed: of the first owner that is found, too; "" for none. May be NULL. */
int tracked_name_new(sd_bus *bus, const char *name, void (*changed)(const char *owner, void *userdata), void *userdata,
                     TrackedName **ret);
TrackedName *tracked_name_free(TrackedName *tracked);

/* NULL: nobody, or not known yet. */
const char *tracked_name_owner(const TrackedName *tracked);
bool tracked_name_sent(const TrackedName *tracked, sd_bus_message *message);
