/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a stop leaves at the instance itself, for who looks at it in the cloud's console: pure text. */

#include <json-glib/json-glib.h>

#include "daemon/config/config.h"

#define TAG_VALUE_MAX 256U /* bytes; the least that clouds take */

/* "<tagging_prefix>:Status" (stopped), ":StopTimestamp" (ISO 8601, UTC) and ":StopReason"; with detailed_instance_tags
 * one for each number of metrics, too. NULL where the configuration wants none. */
JsonObject *stop_tags(const Config *config, uint64_t realtime, const char *reason, JsonObject *metrics);
/* Of a machine that carries them and runs: when and why it stopped the last time stays. */
JsonObject *stop_tags_back(const Config *config);
