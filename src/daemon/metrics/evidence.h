/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a person wants to see behind a figure: by mode, by interface, by disk; load and pressure. Made when asked for,
 * never for a sample. */

#include <json-glib/json-glib.h>

#include "daemon/metrics/cpu.h"
#include "daemon/metrics/devices.h"
#include "daemon/metrics/procfile.h"

/* Percentages by mode, `iowait` and `steal` included, and `online`, the number of CPUs. */
JsonObject *evidence_cpu(const CpuTimes *passed, unsigned online);

/* One member per counted device: kB/s under both keys. */
JsonObject *evidence_devices(const DeviceTable *table, uint64_t span, const char *in_key, const char *out_key);

/* `load`: three numbers. `pressure`: cpu, memory and io with `some` and `full`, the average percentage over 10
 * seconds; left out where the kernel has none. */
void evidence_add_load(JsonObject *details, const char *root, ProcBuffer *buffer);
void evidence_add_pressure(JsonObject *details, const char *root, ProcBuffer *buffer);
