/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is to be known of numbers that pass by once and are not kept: they come as text with spaces, line ends, commas
 * or semicolons between them, in pieces that may end in the middle of one. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A longer word is no number. */
#define STATISTICS_WORD_MAX 64U
/* Beyond this either way a number is rejected: sums of squares of many have to stay finite. */
#define STATISTICS_NUMBER_MAX 1e100

typedef struct Statistics {
        uint64_t bytes, count, rejected;
        double minimum, maximum, mean;
        double squares; /* sum of the squared distances from the mean */

        char word[STATISTICS_WORD_MAX + 1];
        size_t length;  /* of the word that has begun; STATISTICS_WORD_MAX + 1: it is too long */
} Statistics;

/* Begin with one that is all zero. finish: the last word ends here. */
void statistics_feed(Statistics *statistics, const void *data, size_t size);
void statistics_finish(Statistics *statistics);

/* As if both had passed by one after the other; both are finished. */
void statistics_merge(Statistics *statistics, const Statistics *other);

double statistics_deviation(const Statistics *statistics);
