/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What was stopped, and for which events: enough to start it again when none of them holds any more, also for a plugin
 * that was started anew meanwhile. Pure. */

#include <stdint.h>

#include <glib.h>

#define LEDGER_EVENTS_MAX 64U

typedef struct Ledger {
        GPtrArray *units;  /* char: stopped by us, or about to be, in that order */
        GPtrArray *events; /* LedgerEvent */
} Ledger;

typedef struct LedgerEvent {
        char *id, *type;
        uint64_t deadline; /* wall clock µs */
} LedgerEvent;

Ledger *ledger_new(void);
void ledger_free(Ledger *ledger);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ledger, ledger_free)

/* Of too many events the oldest is forgotten. One of the same id replaces what was known of it. */
void ledger_add_event(Ledger *ledger, const char *id, const char *type, uint64_t deadline);
gboolean ledger_has_event(const Ledger *ledger, const char *id);
/* TRUE: it was not there. */
gboolean ledger_add_unit(Ledger *ledger, const char *name);
gboolean ledger_has_unit(const Ledger *ledger, const char *name);
void ledger_remove_unit(Ledger *ledger, const char *name);
/* The event of this id, or where there is none all of its type. TRUE: something was forgotten, and no event is left.
 */
gboolean ledger_call_off(Ledger *ledger, const char *id, const char *type);
void ledger_clear(Ledger *ledger);
/* The latest deadline; 0: no event. */
uint64_t ledger_deadline(const Ledger *ledger);

/* As a text, for one boot: what an earlier one stopped was started by this one. */
char *ledger_write(const Ledger *ledger, const char *boot);
/* NULL: it is no such text. One of another boot is empty. unit_valid: whether that is the name of a unit. */
Ledger *ledger_read(const char *text, const char *boot, gboolean (*unit_valid)(const char *name));
