/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Samples wait in memory for company before they are committed. So that a daemon that is killed loses none of them,
 * they stand in a file of the runtime directory as long as they wait: one line for each, its time (wall clock µs), a
 * space, an object of JSON. The file belongs to this boot as the directory does, and is never synced: what it is for
 * is the end of a process. No lock in here. */

#include <stdint.h>

#include <glib.h>

#define WAITING_NAME "samples"
#define WAITING_BYTES_MAX (256U * 1024U)

typedef struct Waiting Waiting;

/* Opens or creates DIRECTORY/samples, for this process alone: G_FILE_ERROR_AGAIN where another one has it. */
Waiting *waiting_open(const char *directory, GError **error);
void waiting_close(Waiting *waiting);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Waiting, waiting_close)

/* Each sample in the file, in order. Returns how many lines are none, an unfinished one at the end included; that one
 * is cut off. */
typedef void (*WaitingSample)(uint64_t realtime, const char *text, void *userdata);
unsigned waiting_read(Waiting *waiting, WaitingSample sample, void *userdata);

/* FALSE: it is not in the file, which is full or cannot be written. */
gboolean waiting_append(Waiting *waiting, uint64_t realtime, const char *text);

/* All that is in it has been committed. */
void waiting_clear(Waiting *waiting);
