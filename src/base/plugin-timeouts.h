/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How long a plugin may take for what: the one table for manifests (`timeouts`) and configuration
 * (`plugins.timeouts`). */

#include <stdint.h>

typedef enum PluginTimeout {
        TIMEOUT_START,      /* until it is on the bus */
        TIMEOUT_INITIALIZE, /* Handshake, Initialize, Configure, OpenChannel */
        TIMEOUT_CHECK,      /* CheckIdle, Ping */
        TIMEOUT_EVENT,      /* HandleEvent, Watch, Acknowledge */
        TIMEOUT_PROVIDER,   /* what a provider is asked, ProcessData, Handle */
        TIMEOUT_EXPORT,     /* ExportState, ImportState */
        TIMEOUT_SHUTDOWN,   /* from Shutdown until it has ended */
        TIMEOUT_STREAM,     /* a whole ProcessStream */
        TIMEOUT_COUNT,
} PluginTimeout;

typedef struct PluginTimeoutEntry {
        const char *name;
        double seconds; /* where nobody says otherwise */
} PluginTimeoutEntry;

extern const PluginTimeoutEntry plugin_timeouts[TIMEOUT_COUNT];

/* TIMEOUT_COUNT: there is none of this name. */
PluginTimeout plugin_timeout_find(const char *name);

#define PLUGIN_TIMEOUT_SECONDS_MIN 0.1
#define PLUGIN_TIMEOUT_SECONDS_MAX 3600.0
/* What messages say of an unknown name; tests hold it against the table. */
#define PLUGIN_TIMEOUT_NAMES "start, initialize, check, event, provider, export, shutdown, stream"
