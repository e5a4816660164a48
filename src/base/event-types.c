/* SPDX-License-Identifier: Apache-2.0 */

#include "base/event-types.h"

#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/names.h"

const EventType event_types[] = {
        { "cloud.spot.interrupt", SEVERITY_CRITICAL, 2 * USEC_PER_MINUTE },
        { "cloud.spot.rebalance", SEVERITY_WARNING, 10 * USEC_PER_MINUTE },
        { "cloud.instance.termination", SEVERITY_CRITICAL, 2 * USEC_PER_MINUTE },
        { "cloud.instance.maintenance", SEVERITY_URGENT, 15 * USEC_PER_MINUTE },
        { "cloud.autoscaling.scale", SEVERITY_WARNING, 5 * USEC_PER_MINUTE },
        { "system.disk.low", SEVERITY_WARNING, 5 * USEC_PER_MINUTE },
        { "system.cpu.high", SEVERITY_INFO, 5 * USEC_PER_MINUTE },
        { "system.memory.pressure", SEVERITY_WARNING, USEC_PER_MINUTE },
        { "system.network.down", SEVERITY_WARNING, 5 * USEC_PER_MINUTE },
        { EVENT_STOP_PENDING, SEVERITY_URGENT, USEC_PER_MINUTE },
        { EVENT_NOTICE, SEVERITY_WARNING, USEC_PER_MINUTE },
        { "custom", SEVERITY_INFO, 5 * USEC_PER_MINUTE },
        { NULL },
};

const EventType *event_type_find(const char *type) {
        static const char custom[] = "custom.";
        size_t length = strlen(type);
        const char *name = type;

        if (strncmp(type, custom, strlen(custom)) == 0) {
                if (length > EVENT_TYPE_MAX || length == strlen(custom) || type[length - 1] == '.' ||
                    strstr(type, ".."))
                        return NULL;
                if (strspn(type, "abcdefghijklmnopqrstuvwxyz0123456789.-") != length)
                        return NULL;
                name = "custom";
        }
        for (const EventType *t = event_types; t->name; t++)
                if (strcmp(t->name, name) == 0)
                        return t;
        return NULL;
}

bool event_pattern_known(const char *pattern) {
        size_t length = strlen(pattern);
        char beginning[EVENT_TYPE_MAX + 1];

        if (length < 3 || length > EVENT_TYPE_MAX || strcmp(pattern + length - 2, ".*") != 0)
                return event_type_find(pattern) != NULL;
        /* With its dot: "cloud.*" is not "cloudy.…". */
        for (const EventType *t = event_types; t->name; t++)
                if (strncmp(t->name, pattern, length - 1) == 0)
                        return true;
        memcpy(beginning, pattern, length - 2);
        beginning[length - 2] = 0;
        return strncmp(pattern, "custom.", strlen("custom.")) == 0 && event_type_find(beginning) != NULL;
}
