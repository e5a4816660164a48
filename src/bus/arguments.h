/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Arguments of calls, before anything is made of them.
 *
 * What sd-bus itself tells back in its errors: the names of an interface and a property that are none. (Of the path,
 * too; but one of more than 64 KiB it does not take.) A message may be nearly as large as the bus lets through; an
 * error that repeats it is larger, and the bus ends the connection of whoever sends that. */

#include <stdbool.h>
#include <stddef.h>

#include <systemd/sd-bus.h>

#define CALL_NAME_MAX 255U /* D-Bus specification, "Valid Names" */

/* For a filter, before any method call is handled. 0: fine, and the message is as it was; a negative errno with *error
 * set, which tells nothing back. */
int call_check_names(sd_bus_message *call, sd_bus_error *error);

/* What a call keeps here while it waits: the bytes of a block, where it is one ("ay"). Whatever else clients send has
 * a bound that is far smaller, and is refused beyond that before it waits for anything. The message is at its
 * beginning afterwards. */
size_t call_bulk(sd_bus_message *call);

/* Of all calls that wait for one thing (the bus, polkit): of the largest blocks there are 16 MiB. */
#define CALLS_BULK_MAX ((size_t) 32 * 1024 * 1024)

/* A text from a client: UTF-8 (sd-bus saw to that), nothing that steers a terminal, at most maximum bytes. 0, or
 * ERROR_INVALID_ARGUMENT that names the argument. */
int check_text(const char *argument, const char *text, size_t maximum, bool may_be_empty, sd_bus_error *error);
