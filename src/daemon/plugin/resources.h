/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a plugin uses and may use, as GetResources tells it. */

#include <stdint.h>

#include <systemd/sd-bus.h>

#include "daemon/plugin/plugins.h"

typedef struct Resource {
        const char *name;
        const char *used_properties[2], *limit_property; /* of systemd's Service; all t; what is used is the sum */
        uint64_t used_unit;                              /* the property's in ours: ns → µs */
        uint64_t used, limit;                            /* UINT64_MAX: not known, none */
} Resource;

#define RESOURCES 5U

/* Answers GetResources. */
int plugin_reply_resources(Plugin *plugin, sd_bus_message *call, sd_bus_error *error);

/* From systemd's answer to GetAll of the unit. 0, or a negative errno where a property has not the type that it has.
 */
int resources_read_unit(sd_bus_message *reply, Resource ret[RESOURCES]);
