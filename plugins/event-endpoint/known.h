/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Ids that were posted, each with the content it stands for: the same once more is the same event, another content
 * under an id that is taken is somebody's mistake or worse, and never answered as if it had been announced. Pure.
 *
 * What was signed is remembered for as long as its signature counts, whatever else is posted meanwhile: whoever
 * listened can send it until then. Of the others the latest KNOWN_MAX are, of which none is under way. */

#include <stdint.h>

#include <glib.h>

#define KNOWN_MAX 1024U
/* Whose signature still counts. More in so little time are refused, so that none is forgotten. */
#define KNOWN_SIGNED_MAX 32768U

typedef struct Known Known;

typedef enum KnownState {
        KNOWN_NOT,
        KNOWN_PENDING, /* announced, and not known to be taken */
        KNOWN_TAKEN,   /* by the daemon */
        KNOWN_OTHER,   /* by this id goes another content */
} KnownState;

Known *known_new(void);
void known_free(Known *known);

/* content: any text that tells one from another. */
KnownState known_find(const Known *known, const char *id, const char *content);

/* There is room for a signed one. now: wall clock µs. */
gboolean known_has_room(Known *known, uint64_t now);

/* Announced. until: wall clock µs up to which it is remembered in any case; 0: it was not signed. One that is known is
 * remembered until then, too. */
void known_add(Known *known, const char *id, const char *content, uint64_t until);

/* Kept by the daemon. An id that is not known changes nothing. */
void known_take(Known *known, const char *id);
