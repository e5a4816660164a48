/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a cloud announces to this machine, told to the daemon. The machine must be known. */

#include "cloud/provider.h"

#define CLOUD_EVENT_ID_MAX 128U

#define CLOUD_EVENT_INTERRUPT "cloud.spot.interrupt"
#define CLOUD_EVENT_REBALANCE "cloud.spot.rebalance"
#define CLOUD_EVENT_MAINTENANCE "cloud.instance.maintenance"
#define CLOUD_EVENT_TERMINATION "cloud.instance.termination"
#define CLOUD_EVENT_SCALE "cloud.autoscaling.scale"

typedef enum CloudSeverity {
        CLOUD_SEVERITY_WARNING = 1,
        CLOUD_SEVERITY_URGENT,
        CLOUD_SEVERITY_CRITICAL
} CloudSeverity;

/* Data of an event with what all have: cloud and instance_id. */
SnoozePluginDictionary *cloud_announcement_data(const CloudProvider *cloud);

/* deadline: wall clock µs; 0: none. data is taken. false: it could not be told, which is logged. */
bool cloud_announce(CloudProvider *cloud, const char *id, const char *type, CloudSeverity severity, uint64_t deadline,
                    SnoozePluginDictionary *data);
/* The cloud announces it no more: it is over, or will not happen. */
void cloud_withdraw(CloudProvider *cloud, const char *id);
