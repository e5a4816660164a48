/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One run of the script: something on its stdin, what it prints kept up to a bound, killed at its deadline. It waits,
 * so it belongs into a thread. */

#include <stdint.h>

#include <glib.h>

#define CHILD_OUTPUT_MAX (4U * 1024U * 1024U)

typedef struct Child {
        char **argv;
        char **environment;
        GBytes *input;     /* NULL: nothing */
        uint64_t timeout;  /* µs */
} Child;

void child_clear(Child *child);

/* The exit status, with *ret_output NUL-terminated; -1 with error: it could not be run, was killed, or printed too
 * much. */
int child_run(const Child *child, GString **ret_output, GError **error);
