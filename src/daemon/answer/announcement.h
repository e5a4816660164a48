/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a plugin with the contract EventSource announces, read. */

#include <glib.h>
#include <json-glib/json-glib.h>
#include <systemd/sd-bus.h>

/* So much may be kept of one event. data may be NULL. */
gboolean event_data_fits(JsonObject *data);

/* An Event signal of this plugin as an event of ours; -EBADMSG with *ret_problem. of_cloud: its manifest has the
 * contract CloudProvider, so that cloud.* and system.* are its to announce. *ret_timed: it names its deadline. */
int announcement_read(sd_bus_message *signal, const char *source, gboolean of_cloud, uint64_t now, JsonObject **ret,
                      gboolean *ret_timed, char **ret_problem);
/* EventCancelled: the id, borrowed from the message. */
int announcement_read_cancelled(sd_bus_message *signal, const char **ret_id, char **ret_problem);
