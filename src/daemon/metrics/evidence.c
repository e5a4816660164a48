/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/metrics/evidence.h"

#include <math.h>
#include <string.h>

#include <glib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/metrics/scan.h"

JsonObject *evidence_cpu(const CpuTimes *passed, unsigned online) {
        const struct {
                const char *key;
                uint64_t ticks;
        } modes[] = {
                { "user", passed->user },     { "nice", passed->nice },       { "system", passed->system },
                { "idle", passed->idle },     { "iowait", passed->iowait },   { "irq", passed->irq },
                { "softirq", passed->softirq }, { "steal", passed->steal },
        };
        uint64_t all = cpu_times_given(passed) + passed->steal;
        JsonObject *object = json_object_new();

        for (size_t i = 0; all > 0 && i < G_N_ELEMENTS(modes); i++)
                json_object_set_double_member(object, modes[i].key, 100.0 * (double) modes[i].ticks / (double) all);
        if (online > 0)
                json_object_set_int_member(object, "online", online);
        return object;
}

JsonObject *evidence_devices(const DeviceTable *table, uint64_t span, const char *in_key, const char *out_key) {
        double seconds = (double) span / (double) USEC_PER_SEC;
        JsonObject *object = json_object_new();

        for (size_t i = 0; i < table->n; i++) {
                const Device *device = &table->devices[i];
                JsonObject *rates;

                if (!device->counted || !g_utf8_validate(device->name, -1, NULL))
                        continue;
                rates = json_object_new();
                json_object_set_double_member(rates, in_key,
                                              span > 0 ? (double) device->grown_in / 1000.0 / seconds : 0);
                json_object_set_double_member(rates, out_key,
                                              span > 0 ? (double) device->grown_out / 1000.0 / seconds : 0);
                json_object_set_object_member(object, device->name, rates);
        }
        return object;
}

static bool read_once(const char *root, const char *path, ProcBuffer *buffer) {
        _cleanup_(proc_file_done) ProcFile file;
        size_t length;

        proc_file_init(&file, root, path);
        return proc_file_read(&file, buffer, &length) >= 0;
}

/* A number as the kernel prints its averages; nothing else that strtod() knows. */
static bool scan_average(const char **text, double *ret) {
        const char *p = *text + strspn(*text, " ");
        char *end;
        double value;

        if (!g_ascii_isdigit(*p))
                return false;
        value = g_ascii_strtod(p, &end);
        if (!isfinite(value) || value < 0)
                return false;
        *text = end;
        *ret = value;
        return true;
}

void evidence_add_load(JsonObject *details, const char *root, ProcBuffer *buffer) {
        g_autoptr(JsonArray) load = json_array_new();
        const char *p;
        double value;

        if (!read_once(root, "/proc/loadavg", buffer))
                return;
        p = buffer->text;
        for (unsigned i = 0; i < 3; i++) {
                if (!scan_average(&p, &value))
                        return;
                json_array_add_double_element(load, value);
        }
        json_object_set_array_member(details, "load", steal(load));
}

static JsonObject *parse_pressure(const char *text) {
        g_autoptr(JsonObject) object = json_object_new();

        for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
                const char *p = line;
                const char *key = scan_literal(&p, "some avg10=")   ? "some"
                                  : scan_literal(&p, "full avg10=") ? "full"
                                                                    : NULL;
                double value;

                if (key && scan_average(&p, &value))
                        json_object_set_double_member(object, key, value);
        }
        return json_object_get_size(object) > 0 ? steal(object) : NULL;
}

void evidence_add_pressure(JsonObject *details, const char *root, ProcBuffer *buffer) {
        static const char *const resources[] = { "cpu", "memory", "io" };
        g_autoptr(JsonObject) pressure = json_object_new();

        for (size_t i = 0; i < G_N_ELEMENTS(resources); i++) {
                g_autofree char *path = g_strconcat("/proc/pressure/", resources[i], NULL);
                JsonObject *object = read_once(root, path, buffer) ? parse_pressure(buffer->text) : NULL;

                if (object)
                        json_object_set_object_member(pressure, resources[i], object);
        }
        if (json_object_get_size(pressure) > 0)
                json_object_set_object_member(details, "pressure", steal(pressure));
}
