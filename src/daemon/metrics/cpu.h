/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The first lines of /proc/stat. Of the ten times there, three are traps: iowait is idle time of a CPU whose task
 * waits for a disk; steal is time that the hypervisor gave to somebody else; guest and guest_nice are already
 * contained in user and nice. */

#include <stddef.h>
#include <stdint.h>

typedef struct CpuTimes {
        uint64_t user, nice, system, idle, iowait, irq, softirq, steal; /* clock ticks */
} CpuTimes;

/* 0, or -EBADMSG where this is no /proc/stat. *ret_cpus counts the lines of single CPUs: those that are online. */
int cpu_parse(const char *text, size_t length, CpuTimes *ret, unsigned *ret_cpus);

/* What passed from one to the other. Each time by itself never runs backwards: the kernel's iowait may, and so do the
 * times of a CPU that is taken out. */
CpuTimes cpu_times_between(const CpuTimes *before, const CpuTimes *after);

/* Work done, and the time that there was for it, stolen time left out: a machine that gets a tenth of its CPU and
 * works all of it is fully busy. */
uint64_t cpu_times_busy(const CpuTimes *times);
uint64_t cpu_times_given(const CpuTimes *times);
