/* SPDX-License-Identifier: Apache-2.0 */

#include "base/stop-actions.h"

#include <stddef.h>
#include <string.h>

const char *const stop_action_names[STOP_ACTION_COUNT + 1] = {
        [STOP_ACTION_STOP] = "stop",
        [STOP_ACTION_HIBERNATE] = "hibernate",
        [STOP_ACTION_SUSPEND] = "suspend",
};

StopAction stop_action_find(const char *name) {
        unsigned i = 0;

        while (i < STOP_ACTION_COUNT && strcmp(stop_action_names[i], name) != 0)
                i++;
        return (StopAction) i;
}

bool stop_action_known(const char *name) {
        return stop_action_find(name) != STOP_ACTION_COUNT;
}
