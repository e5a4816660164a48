/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Until when whatever is announced is an end that was handled already, as the plugin's next instance has to know it.
 */

#include <stdint.h>

#include <snooze/plugin.h>

/* until: wall clock µs; 0: nothing was handled. Both return what a function of the plugin's table is to return. */
int handled_export(SnoozePluginCall *call, uint64_t until);
int handled_import(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, uint64_t *ret_until);
