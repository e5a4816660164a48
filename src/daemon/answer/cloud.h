/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a plugin with the contract CloudProvider answers, read. */

#include <glib.h>
#include <json-glib/json-glib.h>
#include <systemd/sd-bus.h>

gboolean stop_effect_known(const char *effect);
/* What a stop of that effect does, where that needs somebody's consent; NULL: it needs none. */
const char *stop_effect_consent(const char *effect);

/* Detect's reply. 0, or -EBADMSG and a sentence. */
int detection_read(sd_bus_message *reply, gboolean *ret_detected, char **ret_problem);
/* GetInstanceInfo's reply with the members of the contract only, each of its type; NULL and a sentence else. */
JsonObject *instance_info_read(sd_bus_message *reply, char **ret_problem);
/* What a provider says of itself, its contract's properties. name, version: NULL where it says nothing that fits. 0,
 * or -EBADMSG and a sentence. */
typedef struct ProviderDescription {
        char *name, *version, *stop_effect;
} ProviderDescription;
int provider_description_read(sd_bus_message *reply, ProviderDescription *ret, char **ret_problem);
void provider_description_clear(ProviderDescription *description);
/* CheckPermissions' reply: rows {name, granted, explanation}. */
JsonArray *permissions_read(sd_bus_message *reply, char **ret_problem);
