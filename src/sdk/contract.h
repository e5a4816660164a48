/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the contracts share: how a call of one begins, and their vtables where they are files of their own. */

#include "sdk/call.h"
#include "sdk/dictionary.h"

/* -> a call of an initialized plugin, or a negative errno with *error set. */
int contract_begin(SnoozePluginInstance *instance, sd_bus_message *m, CallParts parts, SnoozePluginCall **ret,
                   sd_bus_error *error);
/* The same for a message whose next argument is an a{sv}, which the call keeps. */
int contract_begin_with_dictionary(SnoozePluginInstance *instance, sd_bus_message *m, CallParts parts,
                                   SnoozePluginCall **ret, const SnoozePluginDictionary **ret_dictionary,
                                   sd_bus_error *error);

extern const sd_bus_vtable state_vtable[];
extern const sd_bus_vtable event_source_vtable[];
extern const sd_bus_vtable data_processor_vtable[];
