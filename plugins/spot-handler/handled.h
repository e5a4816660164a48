/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Until when whatever is announced is an end that was handled already, and who announced it, as the plugin's next
 * instance has to know it. */

#include <stdint.h>

#include <glib.h>

#include <snooze/plugin.h>

#include "notice.h"

/* until: wall clock µs; 0: nothing was handled. more: texts of one line that the plugin has besides, at most
 * HANDLED_MORE_MAX; NULL: none. Both return what a function of the plugin's table is to return. */
int handled_export(SnoozePluginCall *call, uint64_t until, GHashTable *announcements, const GPtrArray *more);
/* announcements: an empty one, to which those known to the earlier instance are added, as what it had besides is to
 * more (g_free(); NULL: it had none, or it is refused). */
int handled_import(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, uint64_t *ret_until,
                   GHashTable *announcements, GPtrArray *more);

#define HANDLED_MORE_MAX 64U

/* The announcements of one end, by what names each: several may tell of it, and it is called off when none of them
 * holds any more. Owned by the caller, freed by g_hash_table_unref(). */
GHashTable *announcements_new(void);
/* What names one; the caller frees it. */
char *announcement_name(const SnoozePluginDictionary *event);
void announcements_add(GHashTable *announcements, const SnoozePluginDictionary *event);
/* TRUE: nobody holds to it. One of which nothing is known (it was not acted upon, or told to an instance that could
 * not pass it on) takes nothing from the others; where none is known, it calls off what such an instance did. */
gboolean announcements_call_off(GHashTable *announcements, const SnoozePluginDictionary *event);

/* What `until` becomes, now that this, which is among the announcements, was told of the end that is or was handled.
 * One that is clearly earlier counts; a later one only where whoever announced the end, and nobody besides, has put it
 * off: no other notice of the same end is a new one before that. repeated: it is the notice that was acted upon. */
uint64_t handled_told_again(uint64_t until, const SnoozePluginDictionary *event, const Notice *notice,
                            gboolean repeated, GHashTable *announcements, uint64_t now);
