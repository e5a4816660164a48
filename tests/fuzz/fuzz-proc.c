/* SPDX-License-Identifier: Apache-2.0 */

/* Any bytes as what /proc says: refused, or figures that a machine can have. Each input is read as every file, and
 * once more after a cut through its middle, so that counters and names change between two samples. */

#include <stdint.h>
#include <string.h>

#include <glib.h>

#include "daemon/metrics/cpu.h"
#include "daemon/metrics/devices.h"
#include "daemon/metrics/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* No sysfs there: names alone decide. */
#define NOWHERE "/nonexistent"

static void try_cpu(const char *text, size_t length, const char *other, size_t other_length) {
        CpuTimes before, after, passed;
        unsigned cpus;

        if (cpu_parse(text, length, &before, &cpus) < 0)
                return;
        g_assert_cmpuint(cpus, <=, length / 4);
        if (cpu_parse(other, other_length, &after, &cpus) < 0)
                return;
        passed = cpu_times_between(&before, &after);
        g_assert_cmpuint(passed.idle, <=, after.idle);
        g_assert_cmpuint(passed.user, <=, after.user);
}

static void try_memory(const char *text, size_t length) {
        double percent;

        if (memory_parse(text, length, &percent) < 0)
                return;
        g_assert_cmpfloat(percent, >=, 0);
        g_assert_cmpfloat(percent, <=, 100);
}

static void try_devices(const DeviceFormat *format, const char *text, size_t length, const char *other,
                        size_t other_length) {
        const char *texts[] = { text, text, other, text };
        size_t lengths[] = { length, length, other_length, length };
        DeviceTable table;

        device_table_init(&table, format);
        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                uint64_t bytes = UINT64_MAX;
                unsigned line;

                if (device_table_update(&table, NOWHERE, texts[i], lengths[i], &bytes, &line) < 0)
                        continue;
                /* Two counters each, none of which leaps by more than 2^50. */
                g_assert_cmpuint(bytes >> 50, <=, 2 * table.counted);
                g_assert_cmpuint(table.counted, <=, table.n);
                if (i <= 1)
                        g_assert_cmpuint(bytes, ==, 0);
        }
        device_table_done(&table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autofree char *text = g_malloc(size + 1), *other = g_malloc(size + 1);
        size_t half = size / 2;

        if (size > 0) {
                memcpy(text, data, size);
                memcpy(other, data + half, size - half);
        }
        text[size] = '\0';
        other[size - half] = '\0';
        try_cpu(text, size, other, size - half);
        try_memory(text, size);
        try_devices(&network_format, text, size, other, size - half);
        try_devices(&disk_format, text, size, other, size - half);
        return 0;
}
