/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The two sides of "bus call" and "activation": CheckIdle of a plugin of the SDK through the daemon's call layer, and
 * CheckIdle of a service of bare sd-bus through sd_bus_call_async(). Both on one connection and one loop. */

#include "bench.h"
#include "daemon/plugin/plugins.h"
#include "daemon/store/store.h"

#define BARE_NAME "io.cloudsnooze.BareService1"
#define PLUGIN_ID "trivial"

typedef struct Callers {
        const char *contract; /* of the plugin; NULL: IdleCheck */
        unsigned more;        /* plugins of that kind beside it */
        unsigned bare_more;   /* further bare services: BARE_NAME.n0 and so on */
        bool slots; /* two instances of the plugin, and of the bare service as BARE_NAME.a and .b, can be started
                       beside each other */
        Store *store;         /* of the plugins' states */
        BenchBus bus;
        sd_event *event;
        sd_bus *connection;
        Plugins *plugins;
        Plugin *plugin;
} Callers;

/* program's folder has the two services. */
void callers_begin(Callers *callers, const char *program);
/* On the system bus of a machine where both are installed: as the user of the daemon, which does not run. */
void callers_begin_installed(Callers *callers);
void callers_end(Callers *callers);

/* Each until the answer is there; the other side is started by it where it does not run. */
void callers_call_plugin(Callers *callers);
void callers_call_bare(Callers *callers);

/* Until it is running, whatever its contract is. */
void callers_start_plugin(Callers *callers);

/* From now on the running plugin is called as one is that offers no channel. */
void callers_without_channel(Callers *callers);

/* Until its process is gone. */
void callers_end_plugin(Callers *callers);
void callers_end_bare(Callers *callers);
