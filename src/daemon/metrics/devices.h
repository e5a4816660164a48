/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Devices with two byte counters each, as /proc/net/dev and /proc/diskstats list them. Which of them count is asked of
 * /sys, and only when the list of names has changed; between changes a sample compares names in place and allocates
 * nothing. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEVICE_NAME_MAX 63U
/* More interfaces or disks than this are no machine's. */
#define DEVICES_MAX 16384U

/* A counter that never runs backwards for its reader: a wrap, a device that was reset or replaced, a driver that says
 * 0 once and then goes on where it was, all give no growth instead of a spike. */
typedef struct Counter {
        uint64_t last;
        uint64_t high; /* where it stood before it fell; 0: it did not */
} Counter;

uint64_t counter_advance(Counter *counter, uint64_t now);

typedef struct Device {
        char name[DEVICE_NAME_MAX + 1];
        size_t name_length;
        bool counted;
        bool known; /* its counters were read before: there is a difference to tell */
        Counter in, out;
        uint64_t now_in, now_out;     /* as just read */
        uint64_t grown_in, grown_out; /* bytes since the sample before */
} Device;

typedef struct DeviceLine {
        const char *name;
        size_t name_length;
        const char *numbers;
} DeviceLine;

typedef struct DeviceFormat {
        unsigned header_lines;
        unsigned unit; /* bytes per count */
        bool (*split)(const char *line, DeviceLine *ret);
        bool (*read)(const char *numbers, uint64_t *ret_in, uint64_t *ret_out);
        void (*classify)(const char *root, Device *devices, size_t n);
} DeviceFormat;

/* Network interfaces, in = received, out = sent. */
extern const DeviceFormat network_format;
/* Disks, in = read, out = written. */
extern const DeviceFormat disk_format;

typedef struct DeviceTable {
        const DeviceFormat *format;
        Device *devices;
        size_t n, counted;
        unsigned settling;
} DeviceTable;

void device_table_init(DeviceTable *table, const DeviceFormat *format);
void device_table_done(DeviceTable *table);

/* Takes in one text of the kernel's. 0, or -EBADMSG: it is not in the format, and nothing has changed; *ret_line is
 * then the number of the line, or 0 if the text is cut off. *ret_bytes: what all that count moved since the text
 * before. */
int device_table_update(DeviceTable *table, const char *root, const char *text, size_t length, uint64_t *ret_bytes,
                        unsigned *ret_line);
