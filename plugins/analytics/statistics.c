/* SPDX-License-Identifier: Apache-2.0 */

#include "statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_separator(char c) {
        return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == ',' || c == ';';
}

/* One pass, and no difference of two large sums: what is added to the mean is small. */
static void add(Statistics *statistics, double number) {
        double distance = number - statistics->mean;

        statistics->count++;
        statistics->mean += distance / (double) statistics->count;
        statistics->squares += distance * (number - statistics->mean);
        if (statistics->count == 1 || number < statistics->minimum)
                statistics->minimum = number;
        if (statistics->count == 1 || number > statistics->maximum)
                statistics->maximum = number;
}

static void end_word(Statistics *statistics) {
        double number;
        char *end;

        if (statistics->length == 0)
                return;
        if (statistics->length > STATISTICS_WORD_MAX) {
                statistics->rejected++;
                statistics->length = 0;
                return;
        }
        statistics->word[statistics->length] = 0;
        /* Decimal numbers alone; strtod knows others. A NUL in the middle of the word ends it for strtod. */
        number = strtod(statistics->word, &end);
        if (end != statistics->word + statistics->length ||
            strspn(statistics->word, "+-.0123456789eE") != statistics->length ||
            !(fabs(number) <= STATISTICS_NUMBER_MAX))
                statistics->rejected++;
        else
                add(statistics, number);
        statistics->length = 0;
}

void statistics_feed(Statistics *statistics, const void *data, size_t size) {
        const char *p = data, *end = p + size;

        statistics->bytes += size;
        for (; p < end; p++)
                if (is_separator(*p))
                        end_word(statistics);
                else if (statistics->length < STATISTICS_WORD_MAX)
                        statistics->word[statistics->length++] = *p;
                else
                        statistics->length = STATISTICS_WORD_MAX + 1;
}

void statistics_finish(Statistics *statistics) {
        end_word(statistics);
}

void statistics_merge(Statistics *statistics, const Statistics *other) {
        double a = (double) statistics->count, b = (double) other->count, distance = other->mean - statistics->mean;

        statistics->bytes += other->bytes;
        statistics->rejected += other->rejected;
        if (other->count == 0)
                return;
        if (statistics->count == 0 || other->minimum < statistics->minimum)
                statistics->minimum = other->minimum;
        if (statistics->count == 0 || other->maximum > statistics->maximum)
                statistics->maximum = other->maximum;
        statistics->count += other->count;
        statistics->mean += distance * b / (a + b);
        statistics->squares += other->squares + distance * distance * (a * b / (a + b));
}

double statistics_deviation(const Statistics *statistics) {
        return statistics->count > 1 ? sqrt(statistics->squares / (double) (statistics->count - 1)) : 0;
}
