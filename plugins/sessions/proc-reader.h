/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Fills a snapshot from /proc, /dev and logind's records. Processes come and go while it reads: one that is gone is
 * left out, and no line of the kernel's is trusted to have the form that it should. */

#include "base/process-stat.h"
#include "snapshot.h"

/* root: "" for this machine, else the folder that stands for / . programs: of which of the processes more is worth
 * reading. A negative errno if /proc cannot be read at all. */
int proc_read(const char *root, const Programs *programs, Snapshot *ret);

/* What a session is judged by of it. boot_offset: boot time minus monotonic time, µs. */
Process proc_process(const ProcessStat *stat, uint64_t boot_offset);

/* How often the threads of a process, an open folder of /proc, gave up the CPU to wait for something; 0 where that
 * cannot be read. */
uint64_t proc_switches(int process);

/* The name of a terminal below /dev: "pts/3", "tty1", "ttyS0". False for other devices. */
bool terminal_name(dev_t device, char *name, size_t size);

/* A shell's /proc/PID/cmdline, length bytes: whether it runs a script or a -c command. */
bool cmdline_is_script(const char *cmdline, size_t length);
