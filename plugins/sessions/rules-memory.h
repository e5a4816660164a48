/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the rules saw of jobs, as text: where checks are rare the plugin is away between them, and one that begins anew
 * would take every job that ever worked to have worked just now. Its times and processes are those of one boot. */

#include "session-rules.h"

#define MEMORY_FORMAT 1U
#define MEMORY_BOOT_SIZE 33U
#define MEMORY_LINE_MAX 256U
#define MEMORY_TEXT_SIZE (MEMORY_LINE_MAX * (RULES_HISTORY_MAX + 1))

/* Writes at most MEMORY_TEXT_SIZE bytes; returns how many. */
size_t rules_export(const Rules *rules, const char *boot, char *text);

/* 0: taken (of another boot: nothing of it); -EBADMSG and nothing changed where it is not what rules_export() writes,
 * or tells of a time after now (monotonic). */
int rules_import(Rules *rules, const char *boot, uint64_t now, const char *text, size_t size);
