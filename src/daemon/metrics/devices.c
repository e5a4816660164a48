/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/metrics/devices.h"

#include <errno.h>
#include <string.h>

#include <glib.h>

#include "daemon/metrics/scan.h"

/* No device moves a petabyte between two samples: such a step is an error of its driver. */
#define GROWTH_MAX (UINT64_C(1) << 50)

/* A new device is not complete at once: its links in /sys (a master, slaves) come a moment after it. So it is
 * classified again with this many samples after it was seen. */
#define SETTLING_SAMPLES 3U

uint64_t counter_advance(Counter *counter, uint64_t now) {
        uint64_t before = counter->last;

        counter->last = now;
        if (now < before) {
                if (before > counter->high)
                        counter->high = before;
                return 0;
        }
        if (counter->high > 0 && now >= counter->high) {
                uint64_t grown = now - counter->high;

                counter->high = 0;
                return grown;
        }
        return now - before;
}

void device_table_init(DeviceTable *table, const DeviceFormat *format) {
        *table = (DeviceTable) { .format = format };
}

void device_table_done(DeviceTable *table) {
        g_clear_pointer(&table->devices, g_free);
        table->n = table->counted = 0;
}

typedef struct Lines {
        const DeviceFormat *format;
        const char *next, *end;
        unsigned number;
} Lines;

/* Behind the header. The kernel ends every line: a text without the last newline was cut off. */
static int lines_begin(const DeviceTable *table, const char *text, size_t length, Lines *ret) {
        Lines lines = { table->format, text, text + length, 0 };

        if (length > 0 && text[length - 1] != '\n')
                return -EBADMSG;
        for (; lines.number < table->format->header_lines; lines.number++) {
                if (lines.next >= lines.end)
                        return -EBADMSG;
                lines.next = scan_next_line(lines.next, lines.end);
        }
        *ret = lines;
        return 0;
}

/* 1: there is a line, 0: that was all, -EBADMSG. */
static int lines_next(Lines *lines, DeviceLine *ret) {
        const char *line = lines->next;

        if (line >= lines->end)
                return 0;
        lines->number++;
        lines->next = scan_next_line(line, lines->end);
        if (!lines->format->split(line, ret) || ret->name_length == 0 || ret->name_length > DEVICE_NAME_MAX)
                return -EBADMSG;
        return 1;
}

static int read_numbers(const DeviceFormat *format, const DeviceLine *line, Device *device) {
        if (!format->read(line->numbers, &device->now_in, &device->now_out))
                return -EBADMSG;
        return 0;
}

/* One pass over the text, with the names as they were: 1, or 0 if they are others now, or -EBADMSG. */
static int read_known(DeviceTable *table, Lines lines, unsigned *ret_line) {
        DeviceLine line;
        size_t i = 0;
        int r;

        while ((r = lines_next(&lines, &line)) > 0) {
                Device *device = &table->devices[i];

                if (i >= table->n || device->name_length != line.name_length ||
                    memcmp(device->name, line.name, line.name_length) != 0)
                        return 0;
                if (device->counted) {
                        r = read_numbers(table->format, &line, device);
                        if (r < 0)
                                break;
                }
                i++;
        }
        if (r < 0) {
                *ret_line = lines.number;
                return r;
        }
        return i == table->n;
}

static GHashTable *index_by_name(const DeviceTable *table) {
        GHashTable *index = g_hash_table_new(g_str_hash, g_str_equal);

        for (size_t i = 0; i < table->n; i++)
                g_hash_table_insert(index, table->devices[i].name, &table->devices[i]);
        return index;
}

/* The names anew, in the order of the text. Who was there before keeps its counters. */
static int list_devices(DeviceTable *table, Lines lines, unsigned *ret_line) {
        g_autoptr(GHashTable) before = index_by_name(table);
        g_autoptr(GArray) devices = g_array_new(FALSE, TRUE, sizeof(Device));
        DeviceLine line;
        int r;

        while ((r = lines_next(&lines, &line)) > 0) {
                Device device = { 0 };
                const Device *old;

                memcpy(device.name, line.name, line.name_length);
                device.name_length = line.name_length;
                old = g_hash_table_lookup(before, device.name);
                if (old)
                        device = *old;
                if (devices->len >= DEVICES_MAX) {
                        r = -EBADMSG;
                        break;
                }
                g_array_append_val(devices, device);
        }
        if (r < 0) {
                *ret_line = lines.number;
                return r;
        }

        g_free(table->devices);
        table->n = devices->len;
        table->devices = (Device *) (void *) g_array_free(g_steal_pointer(&devices), FALSE);
        return 0;
}

static void classify(DeviceTable *table, const char *root) {
        table->format->classify(root, table->devices, table->n);
        table->counted = 0;
        for (size_t i = 0; i < table->n; i++) {
                Device *device = &table->devices[i];

                table->counted += device->counted;
                /* Not followed while it did not count: begin anew should it ever. */
                if (!device->counted)
                        device->known = false;
        }
}

static uint64_t bytes_grown(Counter *counter, uint64_t now, unsigned unit) {
        uint64_t grown = counter_advance(counter, now);

        return grown > GROWTH_MAX / unit ? 0 : grown * unit;
}

static uint64_t take_growth(Device *device, unsigned unit) {
        if (device->known) {
                device->grown_in = bytes_grown(&device->in, device->now_in, unit);
                device->grown_out = bytes_grown(&device->out, device->now_out, unit);
        } else {
                device->in = (Counter) { .last = device->now_in };
                device->out = (Counter) { .last = device->now_out };
                device->grown_in = device->grown_out = 0;
                device->known = true;
        }
        return device->grown_in + device->grown_out;
}

int device_table_update(DeviceTable *table, const char *root, const char *text, size_t length, uint64_t *ret_bytes,
                        unsigned *ret_line) {
        uint64_t bytes = 0;
        Lines lines;
        int r;

        *ret_line = 0;
        r = lines_begin(table, text, length, &lines);
        if (r < 0)
                return r;
        if (table->settling > 0) {
                table->settling--;
                classify(table, root);
        }
        r = read_known(table, lines, ret_line);
        if (r == 0) {
                r = list_devices(table, lines, ret_line);
                if (r < 0)
                        return r;
                table->settling = SETTLING_SAMPLES;
                classify(table, root);
                r = read_known(table, lines, ret_line);
        }
        if (r < 0)
                return r;

        for (size_t i = 0; i < table->n; i++)
                if (table->devices[i].counted)
                        bytes += take_growth(&table->devices[i], table->format->unit);
        *ret_bytes = bytes;
        return 0;
}
