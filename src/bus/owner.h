/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Who owns which name, from the bus driver alone. Any local process can send a unicast signal that looks like
 * NameOwnerChanged, and sd-bus would deliver it; here a signal counts only if its sender is org.freedesktop.DBus,
 * which no client can forge. One match serves every name below a namespace. */

#include <stdbool.h>

#include <systemd/sd-bus.h>

/* old_owner and new_owner are unique names or "" for none. */
typedef void (*OwnerChangedHandler)(const char *name, const char *old_owner, const char *new_owner, void *userdata);

/* name_space: an arg0namespace match ("io.cloudsnooze.Plugin1": the name and all below), or NULL for every name,
 * unique names included. *ret is freed with sd_bus_slot_unref(); it owns everything. */
int owner_watch(sd_bus *bus, const char *name_space, OwnerChangedHandler handler, void *userdata, sd_bus_slot **ret);

/* True if the message comes from the bus driver itself. */
bool message_from_driver(sd_bus_message *message);

/* Calls the handler when this one sender (a unique name) leaves the bus; freeing the slot ends the watch. */
int sender_watch(sd_bus *bus, const char *sender, void (*gone)(const char *sender, void *userdata), void *userdata,
                 sd_bus_slot **ret);
