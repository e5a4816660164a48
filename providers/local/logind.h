/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What logind is asked, without waiting. Each question ends in one call of its handler, also where logind is not
 * there: it is not started for this, since a machine without it could not be stopped by it either. */

#include <stdbool.h>

#include <systemd/sd-bus.h>

typedef enum PowerAction {
        POWER_OFF,
        POWER_SUSPEND,
        POWER_HIBERNATE,
        POWER_ACTION_COUNT,
} PowerAction;

/* "stop" "suspend" "hibernate" → the action, or a negative errno. */
int power_action_from_name(const char *name);
const char *power_action_name(PowerAction action);
/* As a part of a sentence: "power off this machine". */
const char *power_action_words(PowerAction action);
/* The polkit action behind it. */
const char *power_action_permission(PowerAction action);

/* m: the reply, an error reply included. What a handler returns is what sd-bus's reply handlers return. */
int logind_call(sd_bus *bus, const char *member, sd_bus_message_handler_t handler, void *userdata);
int logind_can(sd_bus *bus, PowerAction action, sd_bus_message_handler_t handler, void *userdata);
int logind_perform(sd_bus *bus, PowerAction action, sd_bus_message_handler_t handler, void *userdata);
/* GetAll of the manager's properties. */
int logind_properties(sd_bus *bus, sd_bus_message_handler_t handler, void *userdata);

/* From a reply of ListInhibitors: "gdm (alice, pid 12): installing updates" for the first that blocks the action, else
 * "". A negative errno for a reply that is none. */
int logind_read_blocker(sd_bus_message *reply, PowerAction action, char *text, size_t size);
/* From a reply of Can…: "yes" "no" "challenge" "na" and newer ones. */
int logind_read_can(sd_bus_message *reply, const char **ret);
/* From a reply of GetAll: whether a shutdown or a sleep is under way. */
int logind_read_preparing(sd_bus_message *reply, bool *ret);
