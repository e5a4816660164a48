/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* a{sv}, as Properties.GetAll and its like answer: of its entries only some are wanted, and those have a known type.
 */

#include <systemd/sd-bus.h>

/* The message stands before the variant of the property `name`, and must stand behind it afterwards: an unwanted one
 * is skipped. Negative: what stands there is not understood. */
typedef int (*PropertyReader)(sd_bus_message *message, const char *name, void *userdata);

/* Hands each entry to `read`. 0, or a negative errno: the first that read() returned, or a message of another type. */
int properties_read(sd_bus_message *message, PropertyReader read, void *userdata);
