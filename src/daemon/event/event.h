/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Events: what the cloud, the system, a person or the stop itself announces. An event is kept (history), then
 * signalled, then handed to the plugins that handle its type, and its results are kept and signalled. */

#include <systemd/sd-bus.h>

#include "daemon/plugin/plugins.h"
#include "daemon/store/store.h"

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

typedef struct Events Events;

typedef struct EventsParameters {
        sd_bus *bus;
        Store *store;
        Plugins *plugins;
} EventsParameters;

int events_new(const EventsParameters *parameters, Events **ret);
Events *events_free(Events *events);

/* handled: by at least one plugin. */
typedef void (*EventFinished)(gboolean handled, JsonArray *results, void *userdata);

/* source: EVENT_SOURCE_OWN, "alice". deadline: wall clock µs, 0 for the default of the type. data may be NULL. The
 * event is handed out as soon as it is durable, or known not to become so. done may be NULL. *ret_id is borrowed until
 * the next call. -EDQUOT with EVENTS_PER_SOURCE_MAX of this source or EVENTS_PENDING_MAX of all others under way; the
 * daemon's own are always taken, since nobody must be able to keep it from announcing a stop. */
int events_emit(Events *events, const char *type, const char *source, unsigned severity, uint64_t deadline,
                JsonObject *data, EventFinished done, void *userdata, const char **ret_id);

/* The caller of this done is not interested any more (it goes away before the event ended). */
void events_forget(Events *events, void *userdata);

#define EVENT_TYPE_MAX 64U
#define EVENT_SOURCE_OWN "snoozed"
#define EVENTS_PER_SOURCE_MAX 64U
#define EVENTS_PENDING_MAX 1024U
