/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* GetManagedObjects of an ObjectManager with very many objects, from the lists in which they are. sd-bus's own goes
 * through its tree instead: for each object it looks for every table that might be its one, and takes each property's
 * name to the reply through a format string. That costs half as much again as the reply does. What is said is the
 * same, in the same order; InterfacesAdded, InterfacesRemoved and everything else stay sd-bus's. */

#include <systemd/sd-bus.h>

/* Appends all objects below the manager's path, each by object_append(). */
typedef int (*ObjectsAppend)(sd_bus_message *reply, void *userdata, sd_bus_error *error);

/* In a handler of sd_bus_add_object() at the manager's path, which sd-bus asks before its own: answers if this is
 * GetManagedObjects. 0: it is another call, or one with arguments, which sd-bus refuses. */
int objects_answer(sd_bus_message *call, ObjectsAppend append, void *userdata, sd_bus_error *error);

/* One object that has one table, in which each property has a getter that is given the object itself. */
int object_append(sd_bus_message *reply, const char *path, const char *interface, const sd_bus_vtable *vtable,
                  void *object, sd_bus_error *error);
