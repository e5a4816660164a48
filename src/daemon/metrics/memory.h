/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Memory in use, from /proc/meminfo: what is not available. MemFree would call every cache a load. */

#include <stddef.h>

/* 0 and the percentage, or -EBADMSG. */
int memory_parse(const char *text, size_t length, double *ret_percent);
