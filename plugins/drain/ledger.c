/* SPDX-License-Identifier: Apache-2.0 */

#include "ledger.h"

#include <inttypes.h>
#include <string.h>

#include "units.h"

static void event_free(void *data) {
        LedgerEvent *event = data;

        g_free(event->id);
        g_free(event->type);
        g_free(event);
}

Ledger *ledger_new(void) {
        Ledger *ledger = g_new0(Ledger, 1);

        ledger->units = g_ptr_array_new_with_free_func(g_free);
        ledger->events = g_ptr_array_new_with_free_func(event_free);
        return ledger;
}

void ledger_free(Ledger *ledger) {
        if (!ledger)
                return;
        g_ptr_array_unref(ledger->units);
        g_ptr_array_unref(ledger->events);
        g_free(ledger);
}

/* A word of a line; what else a name could have is of no importance here. */
static char *word(const char *text) {
        char *copy = g_strndup(text, 128);

        for (char *p = copy; *p; p++)
                if (!g_ascii_isgraph(*p))
                        *p = '_';
        if (!*copy) {
                g_free(copy);
                return g_strdup("-");
        }
        return copy;
}

static void forget(Ledger *ledger, const char *id, const char *type) {
        for (guint i = ledger->events->len; i-- > 0;) {
                const LedgerEvent *event = g_ptr_array_index(ledger->events, i);

                if ((id && g_str_equal(event->id, id)) || (type && g_str_equal(event->type, type)))
                        (void) g_ptr_array_remove_index(ledger->events, i);
        }
}

void ledger_add_event(Ledger *ledger, const char *id, const char *type, uint64_t deadline) {
        LedgerEvent *event = g_new0(LedgerEvent, 1);

        event->id = word(id);
        event->type = word(type);
        event->deadline = deadline;
        forget(ledger, event->id, NULL);
        if (ledger->events->len >= LEDGER_EVENTS_MAX)
                (void) g_ptr_array_remove_index(ledger->events, 0);
        g_ptr_array_add(ledger->events, event);
}

gboolean ledger_has_event(const Ledger *ledger, const char *id) {
        g_autofree char *id_word = word(id);

        for (guint i = 0; i < ledger->events->len; i++)
                if (g_str_equal(((const LedgerEvent *) g_ptr_array_index(ledger->events, i))->id, id_word))
                        return TRUE;
        return FALSE;
}

gboolean ledger_has_unit(const Ledger *ledger, const char *name) {
        return g_ptr_array_find_with_equal_func(ledger->units, name, g_str_equal, NULL);
}

gboolean ledger_add_unit(Ledger *ledger, const char *name) {
        if (ledger_has_unit(ledger, name) || ledger->units->len >= UNITS_MAX)
                return FALSE;
        g_ptr_array_add(ledger->units, g_strdup(name));
        return TRUE;
}

void ledger_remove_unit(Ledger *ledger, const char *name) {
        guint i;

        if (g_ptr_array_find_with_equal_func(ledger->units, name, g_str_equal, &i))
                (void) g_ptr_array_remove_index(ledger->units, i);
}

gboolean ledger_call_off(Ledger *ledger, const char *id, const char *type) {
        g_autofree char *id_word = word(id), *type_word = word(type);
        guint before = ledger->events->len;

        forget(ledger, id_word, NULL);
        if (ledger->events->len == before)
                forget(ledger, NULL, type_word);
        /* Units without an event: it was called off, but whoever was starting them did not live to do it. */
        return ledger->events->len == 0 && (before > 0 || ledger->units->len > 0);
}

void ledger_clear(Ledger *ledger) {
        g_ptr_array_set_size(ledger->units, 0);
        g_ptr_array_set_size(ledger->events, 0);
}

uint64_t ledger_deadline(const Ledger *ledger) {
        uint64_t latest = 0;

        for (guint i = 0; i < ledger->events->len; i++)
                latest = MAX(latest, ((const LedgerEvent *) g_ptr_array_index(ledger->events, i))->deadline);
        return latest;
}

char *ledger_write(const Ledger *ledger, const char *boot) {
        g_autoptr(GString) text = g_string_new(NULL);

        g_string_append_printf(text, "boot %s\n", boot);
        for (guint i = 0; i < ledger->units->len; i++)
                g_string_append_printf(text, "unit %s\n", (const char *) g_ptr_array_index(ledger->units, i));
        for (guint i = 0; i < ledger->events->len; i++) {
                const LedgerEvent *event = g_ptr_array_index(ledger->events, i);

                g_string_append_printf(text, "event %" PRIu64 " %s %s\n", event->deadline, event->type, event->id);
        }
        return g_string_free(g_steal_pointer(&text), FALSE);
}

static gboolean read_line(Ledger *ledger, const char *line, gboolean (*unit_valid)(const char *name)) {
        g_auto(GStrv) words = g_strsplit(line, " ", -1);
        guint n = g_strv_length(words);
        guint64 deadline;

        if (n == 2 && g_str_equal(words[0], "unit") && unit_valid(words[1]) && ledger->units->len < UNITS_MAX)
                ledger_add_unit(ledger, words[1]);
        else if (n == 4 && g_str_equal(words[0], "event") && *words[2] && *words[3] &&
                 ledger->events->len < LEDGER_EVENTS_MAX &&
                 g_ascii_string_to_unsigned(words[1], 10, 0, G_MAXUINT64, &deadline, NULL))
                ledger_add_event(ledger, words[3], words[2], deadline);
        else
                return FALSE;
        return TRUE;
}

Ledger *ledger_read(const char *text, const char *boot, gboolean (*unit_valid)(const char *name)) {
        g_autoptr(Ledger) ledger = ledger_new();
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        guint n = g_strv_length(lines);

        /* Each line ends. */
        if (n < 2 || *lines[n - 1] || !g_str_has_prefix(lines[0], "boot "))
                return NULL;
        for (guint i = 1; i + 1 < n; i++)
                if (!read_line(ledger, lines[i], unit_valid))
                        return NULL;
        if (!g_str_equal(lines[0] + strlen("boot "), boot))
                ledger_clear(ledger);
        return g_steal_pointer(&ledger);
}
