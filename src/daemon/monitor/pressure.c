/* SPDX-License-Identifier: Apache-2.0 */

/* system.memory.pressure and system.cpu.high: how much of the time some task waits for memory or a CPU (PSI,
 * Documentation/accounting/psi.rst of the kernel). A trigger remembers that a window of two seconds was bad enough
 * until it is looked at, which is with each sample or, at rest, at once; without the right to have triggers (before
 * Linux 6.5 they took CAP_SYS_RESOURCE) the average over ten seconds is looked at with each check. It is over when
 * that average has fallen to half of the threshold. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/journal.h"
#include "daemon/metrics/procfile.h"
#include "daemon/monitor/private.h"

/* Unprivileged users may only have multiples of two seconds. */
#define WINDOW (2 * USEC_PER_SEC)
#define AVERAGE "some avg10="

typedef struct Resource {
        const char *path, *type, *source;
        PressureMonitor *pressure;
        ProcFile file;
        int trigger; /* -EBADF: none */
        Condition high;
} Resource;

enum { MEMORY, CPU, RESOURCES };

struct PressureMonitor {
        Monitors *monitors;
        ProcBuffer buffer;
        Resource resources[RESOURCES];
};

static double threshold_of(const Resource *resource) {
        const Config *config = resource->pressure->monitors->config;

        return resource == &resource->pressure->resources[MEMORY] ? config->memory_pressure_percent
                                                                  : config->cpu_pressure_percent;
}

/* some avg10=0.12 avg60=…; negative: cannot be known. */
static double average(Resource *resource) {
        ProcBuffer *buffer = &resource->pressure->buffer;
        size_t length;

        if (proc_file_read(&resource->file, buffer, &length) < 0 || !g_str_has_prefix(buffer->text, AVERAGE))
                return -1;
        return g_ascii_strtod(buffer->text + strlen(AVERAGE), NULL);
}

static void tell(Resource *resource, gboolean high, double percent) {
        g_autoptr(JsonObject) data = json_object_new();

        json_object_set_double_member(data, "percent", percent);
        json_object_set_double_member(data, "threshold_percent", threshold_of(resource));
        condition_set(resource->pressure->monitors, &resource->high, high, resource->source, resource->type,
                      g_steal_pointer(&data));
}

/* 0 or a negative errno; where there is no trigger, the checks do. */
static int arm(Resource *resource) {
        Monitors *monitors = resource->pressure->monitors;
        g_autofree char *path = g_strconcat(monitors->with.root, resource->path, NULL);
        _cleanup_close_ int fd = -1;
        char text[64];

        resource->trigger = safe_close(resource->trigger);
        if (threshold_of(resource) <= 0 || monitors->with.root[0])
                return 0;
        fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return -errno;
        snprintf(text, sizeof(text), "some %.0f %.0f", threshold_of(resource) / 100 * (double) WINDOW,
                 (double) WINDOW);
        if (write(fd, text, strlen(text) + 1) < 0)
                return -errno;
        resource->trigger = steal_fd(&fd);
        return 0;
}

PressureMonitor *pressure_monitor_new(Monitors *monitors) {
        PressureMonitor *pressure = g_new0(PressureMonitor, 1);

        pressure->monitors = monitors;
        pressure->resources[MEMORY] = (Resource){ .path = "/proc/pressure/memory",
                                                  .type = "system.memory.pressure",
                                                  .source = "memory",
                                                  .pressure = pressure };
        pressure->resources[CPU] = (Resource){
                .path = "/proc/pressure/cpu", .type = "system.cpu.high", .source = "cpu", .pressure = pressure
        };
        for (unsigned i = 0; i < RESOURCES; i++) {
                pressure->resources[i].trigger = -EBADF;
                proc_file_init(&pressure->resources[i].file, monitors->with.root, pressure->resources[i].path);
        }
        pressure_monitor_configure(pressure);
        return pressure;
}

PressureMonitor *pressure_monitor_free(PressureMonitor *pressure) {
        for (unsigned i = 0; i < RESOURCES; i++) {
                (void) safe_close(pressure->resources[i].trigger);
                condition_clear(&pressure->resources[i].high);
                proc_file_done(&pressure->resources[i].file);
        }
        proc_buffer_done(&pressure->buffer);
        g_free(pressure);
        return NULL;
}

void pressure_monitor_configure(PressureMonitor *pressure) {
        for (unsigned i = 0; i < RESOURCES; i++) {
                int r = arm(&pressure->resources[i]);

                if (r < 0)
                        log_debug("%s has no trigger for us (%s); it is read instead.", pressure->resources[i].path,
                                  strerror(-r));
        }
}

/* What it remembers of the time that is over. */
static void forget(const Resource *resource) {
        (void) poll(&(struct pollfd) { .fd = resource->trigger, .events = POLLPRI }, 1, 0);
}

gboolean pressure_monitor_adopt(PressureMonitor *pressure, const char *source, const char *id) {
        for (unsigned i = 0; i < RESOURCES; i++)
                if (g_str_equal(pressure->resources[i].source, source))
                        return condition_adopt(&pressure->resources[i].high, id);
        return FALSE;
}

static void check(Resource *resource) {
        double threshold = threshold_of(resource), now;

        if (threshold <= 0) {
                tell(resource, FALSE, 0);
                return;
        }
        /* With a trigger, and nothing going on, there is nothing to be read. */
        if (resource->trigger >= 0 && !resource->high.holds)
                return;
        now = average(resource);
        if (now < 0)
                return;
        if (resource->trigger < 0 && now >= threshold)
                tell(resource, TRUE, now);
        else if (now < threshold / 2) {
                forget(resource);
                tell(resource, FALSE, now);
        }
}

/* What is high already would only wake us once more with each of its windows. */
static int trigger_awaited(const Resource *resource) {
        return resource->high.holds ? -1 : resource->trigger;
}

/* TRUE: it began now. */
static gboolean take_word(Resource *resource, short events) {
        if (events & (POLLERR | POLLNVAL)) {
                log_warning("%s has no trigger any more; it is read instead.", resource->path);
                resource->trigger = safe_close(resource->trigger);
                return FALSE;
        }
        if (events == 0)
                return FALSE;
        tell(resource, TRUE, MAX(average(resource), threshold_of(resource)));
        return TRUE;
}

/* No sources of the loop: the kernel tells whoever looks first, and on_rest() of tick.c looks at all that the loop
 * listens to. */
gboolean pressure_monitor_wait(PressureMonitor *pressure, int fd, int timeout, gboolean *ret_readable) {
        struct pollfd waited[RESOURCES + 1];
        gboolean told = FALSE;
        int n;

        for (unsigned i = 0; i < RESOURCES; i++)
                waited[i] = (struct pollfd) { .fd = trigger_awaited(&pressure->resources[i]), .events = POLLPRI };
        waited[RESOURCES] = (struct pollfd) { .fd = fd, .events = POLLIN };
        n = poll(waited, G_N_ELEMENTS(waited), timeout);
        /* Whatever keeps it from waiting is for the loop to find. */
        *ret_readable = n < 0 || (n > 0 && waited[RESOURCES].revents != 0);
        for (unsigned i = 0; n > 0 && i < RESOURCES; i++)
                told |= take_word(&pressure->resources[i], waited[i].revents);
        return told;
}

gboolean pressure_monitor_look(PressureMonitor *pressure) {
        gboolean readable;

        return pressure_monitor_wait(pressure, -1, 0, &readable);
}

void pressure_monitor_check(PressureMonitor *pressure) {
        for (unsigned i = 0; i < RESOURCES; i++)
                check(&pressure->resources[i]);
}
