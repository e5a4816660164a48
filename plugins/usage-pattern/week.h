/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How much of each hour of the week a machine was on, and how much of that it was used. What is older counts less:
 * both fade with the same half-life, so that their ratio stays and a new habit soon outweighs an old one. An hour in
 * which the machine was off teaches nothing. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEEK_HOURS (7U * 24U)
/* Seconds of an hour to have seen before it is spoken of. */
#define WEEK_SEEN_MIN 1800.0
#define WEEK_FORMAT 1U
#define WEEK_TEXT_SIZE (64U + WEEK_HOURS * 48U)

typedef struct Week {
        uint64_t faded; /* wall clock µs: until when; 0: nothing was learnt */
        double seen[WEEK_HOURS], used[WEEK_HOURS]; /* seconds; Monday 00:00 is hour 0 */
} Week;

/* half_life: µs. */
void week_learn(Week *week, uint64_t now, uint64_t half_life, unsigned hour, double seconds, bool used);

/* 0 to 1; negative: too little is known of this hour. */
double week_share(const Week *week, unsigned hour);

/* The hour of the week in local time. */
unsigned week_hour(uint64_t now);
/* "Tue 14:00". */
void week_hour_name(unsigned hour, char *name, size_t size);

/* As text, with a NUL, and back: one line for the time, one for each hour. Import replaces all, or changes nothing:
 * -EBADMSG. */
size_t week_export(const Week *week, char text[WEEK_TEXT_SIZE]);
int week_import(Week *week, const void *data, size_t size);
