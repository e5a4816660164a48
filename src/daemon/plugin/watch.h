/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Sees that a plugin was put somewhere, changed, or taken away. Installing writes many files, so what happens within a
 * moment is told as one. A directory that is not there is waited for at the nearest one above it that is. Where the
 * kernel has no more watches to give, or lost some events, everything is looked at again; nothing else depends on it
 * (DiscoverPlugins does the same by hand). */

#include <glib.h>
#include <systemd/sd-event.h>

typedef struct Watch Watch;

/* ids: a set of directory names that are to be looked at; NULL: all. */
typedef void (*WatchSettled)(GHashTable *ids, void *userdata);

int watch_new(sd_event *event, WatchSettled settled, void *userdata, Watch **ret);
void watch_free(Watch *watch);
/* Everything is looked at now: forgets what was waited for. */
void watch_begin(Watch *watch);
/* Before it is read: what comes afterwards is noticed. Again and again, also for one that is not there. */
void watch_directory(Watch *watch, const char *directory);
/* One plugin's in it. */
void watch_plugin(Watch *watch, const char *directory, const char *id);
/* Its program, in a folder of the plugin's that may yet come or in any other that is there. */
void watch_program(Watch *watch, const char *directory, const char *id, const char *program);
/* As if it had changed; NULL: everything. */
void watch_touch(Watch *watch, const char *id);
