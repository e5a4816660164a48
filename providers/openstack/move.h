/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What can be done to a server, and how its states tell that it was. */

#include <stdbool.h>

#include "cloud/options.h"

typedef struct Move {
        const char *action;        /* of POST …/action: "os-stop" */
        const char *policy;        /* Nova's name of the right */
        const char *gives;         /* of the right, for people */
        const char *const *going;  /* prefixes of task states that are this under way; end with NULL */
        const char *const *done;   /* vm states that are this done */
} Move;

/* stop, suspend, shelve: a value of stop_method. */
const Move *move_of_method(const char *method);

/* Why the method does not do what a stop is to do, as StopInstance and CheckPermissions tell it; NULL: it does. Caller
 * frees. */
char *move_obstacle(StopAction action, const char *method);

/* A server that is off keeps its place on its host, and clouds bill for that; one that is shelved leaves it, once it
 * is off-loaded. What a cloud makes of it on its bill is its own affair: stop_effect tells otherwise. */
const char *move_stop_effect(const char *method);
