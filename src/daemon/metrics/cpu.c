/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/metrics/cpu.h"

#include <errno.h>

#include "daemon/metrics/scan.h"

int cpu_parse(const char *text, size_t length, CpuTimes *ret, unsigned *ret_cpus) {
        const char *end = text + length, *p = text;
        CpuTimes times = { 0 };
        unsigned cpus = 0;

        /* Kernels before 2.6.11 know fewer of them; the first four were always there. */
        if (!scan_literal(&p, "cpu ") || !scan_number(&p, &times.user) || !scan_number(&p, &times.nice) ||
            !scan_number(&p, &times.system) || !scan_number(&p, &times.idle))
                return -EBADMSG;
        if (scan_number(&p, &times.iowait) && scan_number(&p, &times.irq) && scan_number(&p, &times.softirq))
                (void) scan_number(&p, &times.steal);

        for (p = scan_next_line(p, end); p < end; p = scan_next_line(p, end)) {
                const char *number = p;

                if (!scan_literal(&number, "cpu") || *number < '0' || *number > '9')
                        break;
                cpus++;
        }
        *ret = times;
        *ret_cpus = cpus;
        return 0;
}

static uint64_t growth(uint64_t before, uint64_t after) {
        return after > before ? after - before : 0;
}

CpuTimes cpu_times_between(const CpuTimes *before, const CpuTimes *after) {
        return (CpuTimes) {
                .user = growth(before->user, after->user),
                .nice = growth(before->nice, after->nice),
                .system = growth(before->system, after->system),
                .idle = growth(before->idle, after->idle),
                .iowait = growth(before->iowait, after->iowait),
                .irq = growth(before->irq, after->irq),
                .softirq = growth(before->softirq, after->softirq),
                .steal = growth(before->steal, after->steal),
        };
}

uint64_t cpu_times_busy(const CpuTimes *times) {
        return times->user + times->nice + times->system + times->irq + times->softirq;
}

uint64_t cpu_times_given(const CpuTimes *times) {
        return cpu_times_busy(times) + times->idle + times->iowait;
}
