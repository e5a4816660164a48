/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The types of events that there are, and what an event has where nobody said it: the one table for the daemon, its
 * configuration, the client and the tools. */

#include <stdbool.h>
#include <stdint.h>

typedef enum EventSeverity {
        SEVERITY_INFO,
        SEVERITY_WARNING,
        SEVERITY_URGENT,
        SEVERITY_CRITICAL,
} EventSeverity;

typedef struct EventType {
        const char *name;
        EventSeverity severity;
        uint64_t deadline; /* µs from the moment it is emitted, where nobody named one */
} EventType;

/* Known types, with the severity and the deadline that they have by default; ends with a NULL name. */
extern const EventType event_types[];

/* A known type, custom, or custom.* of [a-z0-9.-], at most EVENT_TYPE_MAX bytes; the entry for custom.* is that of
 * custom. NULL: not a type. */
const EventType *event_type_find(const char *type);

/* Some event may be of it: a type, or the beginning of one and ".*". */
bool event_pattern_known(const char *pattern);

#define EVENT_TYPE_MAX 64U
#define EVENT_ID_MAX 128U
/* EmitEvent: the severity that the type has by default. */
#define EVENT_SEVERITY_DEFAULT UINT32_MAX
