/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/history.h"

#include "cli/output.h"
#include "cli/wait.h"

/* until: 0 is now. */
static GVariant *fetch_page(Cli *cli, guint64 since, guint64 until, guint maximum, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Reading the history");
        GVariant *rows = NULL;

        snooze_client_manager_call_get_history(cli->manager, since, until, maximum, G_DBUS_CALL_FLAGS_NONE, -1, NULL,
                                               wait_done, wait);
        if (!snooze_client_manager_call_get_history_finish(cli->manager, &rows, wait_for(wait), error))
                return NULL;
        return rows;
}

/* How many rows of the page are known to be all of their moment. A full page may end amid rows of one moment, which
 * the next one then returns together. */
static gsize complete_rows(GVariant *page, gsize n) {
        g_autoptr(GVariant) last = g_variant_get_child_value(page, n - 1);
        guint64 oldest = history_time(last);

        for (gsize i = n; i > 0; i--) {
                g_autoptr(GVariant) row = g_variant_get_child_value(page, i - 1);

                if (history_time(row) != oldest)
                        return i;
        }
        return n;
}

/* The daemon knows no kinds, so all rows are read, page by page, and what is not wanted is dropped here. */
static GVariant *fetch_kind(Cli *cli, guint64 since, const char *kind, guint maximum, guint64 *ret_oldest,
                            GError **error) {
        g_auto(GVariantBuilder) builder = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
        guint64 until = 0;
        guint found = 0;
        gsize n;

        do {
                g_autoptr(GVariant) page = fetch_page(cli, since, until, HISTORY_MAX, error);
                gsize complete;

                if (!page)
                        return NULL;
                n = g_variant_n_children(page);
                complete = n < HISTORY_MAX ? n : complete_rows(page, n);
                for (gsize i = 0; i < complete && found < maximum; i++) {
                        g_autoptr(GVariant) row = g_variant_get_child_value(page, i);

                        until = history_time(row);
                        if (!g_str_equal(kind, history_kind(row)))
                                continue;
                        g_variant_builder_add_value(&builder, row);
                        found++;
                }
        } while (n == HISTORY_MAX && found < maximum && until > since);
        *ret_oldest = until;
        return g_variant_ref_sink(g_variant_builder_end(&builder));
}

static guint64 beginning_of(guint64 span) {
        guint64 now = (guint64) g_get_real_time();

        return span > 0 && span < now ? now - span : 0;
}

GVariant *history_fetch(Cli *cli, guint64 span, const char *kind, guint maximum, GError **error) {
        guint64 oldest;

        return kind ? fetch_kind(cli, beginning_of(span), kind, maximum, &oldest, error)
                    : fetch_page(cli, beginning_of(span), 0, maximum, error);
}

GVariant *history_fetch_kind(Cli *cli, guint64 span, const char *kind, guint maximum, guint64 *ret_oldest,
                             GError **error) {
        return fetch_kind(cli, beginning_of(span), kind, maximum, ret_oldest, error);
}

guint64 history_moment(GVariant *row, const char *key) {
        g_autoptr(GVariant) value = g_variant_lookup_value(row, key, NULL);

        if (value && g_variant_is_of_type(value, G_VARIANT_TYPE_UINT64))
                return g_variant_get_uint64(value);
        if (value && g_variant_is_of_type(value, G_VARIANT_TYPE_INT64))
                return (guint64) MAX(g_variant_get_int64(value), 0);
        return 0;
}

guint64 history_time(GVariant *row) {
        return history_moment(row, "time");
}

const char *history_string(GVariant *row, const char *key) {
        const char *text = "";

        (void) g_variant_lookup(row, key, "&s", &text);
        return text;
}

const char *history_kind(GVariant *row) {
        return history_string(row, "kind");
}

/* Whatever it has: for kinds that a later daemon may bring, and for samples. */
static char *all_members(GVariant *row) {
        g_autoptr(GString) text = g_string_new(NULL);
        GVariantIter iter;
        const char *key;
        GVariant *value;

        g_variant_iter_init(&iter, row);
        while (g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
                if (!g_str_equal(key, "time") && !g_str_equal(key, "kind")) {
                        g_autofree char *piece = text_of_variant(value);

                        g_string_append_printf(text, "%s%s %s", text->len > 0 ? ", " : "", key, piece);
                }
                g_variant_unref(value);
        }
        return g_string_free(g_steal_pointer(&text), FALSE);
}

static char *votes_text(GVariant *row) {
        g_autoptr(GVariant) votes = g_variant_lookup_value(row, "votes", NULL);
        g_autoptr(GString) text = g_string_new(NULL);

        for (gsize i = 0; votes && g_variant_is_container(votes) && i < g_variant_n_children(votes); i++) {
                g_autoptr(GVariant) child = g_variant_get_child_value(votes, i);
                g_autoptr(GVariant) vote = g_variant_is_of_type(child, G_VARIANT_TYPE_VARIANT)
                                                   ? g_variant_get_variant(child)
                                                   : g_variant_ref(child);

                if (g_variant_is_of_type(vote, G_VARIANT_TYPE_VARDICT))
                        g_string_append_printf(text, "%s%s %s", text->len > 0 ? ", " : "",
                                               history_string(vote, "source"), history_string(vote, "verdict"));
        }
        return text->len > 0 ? g_string_free(g_steal_pointer(&text), FALSE) : all_members(row);
}

static char *hold_text(GVariant *row) {
        const char *change = history_string(row, "change"), *who = history_string(row, "who");
        const char *why = history_string(row, "why");

        if (!*change)
                return all_members(row);
        return g_strdup_printf("%s: %s (%s)%s%s", change, who, history_string(row, "hold"), *why ? ": " : "", why);
}

static char *event_text(GVariant *row) {
        g_autoptr(GVariant) data = g_variant_lookup_value(row, "data", G_VARIANT_TYPE_VARDICT);
        const char *notice = data ? history_string(data, "notice") : "";
        gboolean finished = FALSE, handled = FALSE, cancelled = FALSE;

        if (g_str_equal(history_string(row, "change"), "moved")) {
                g_autofree char *when = text_moment(history_moment(row, "deadline"));

                return g_strdup_printf("%s: moved to %s", history_string(row, "type"), when);
        }
        (void) g_variant_lookup(row, "finished", "b", &finished);
        (void) g_variant_lookup(row, "handled", "b", &handled);
        (void) g_variant_lookup(row, "cancelled", "b", &cancelled);
        if (finished)
                return g_strdup_printf("%s: %s", history_string(row, "type"),
                                       handled ? "handled" : "handled by nobody");
        if (cancelled)
                return g_strdup_printf("%s: cancelled", history_string(row, "type"));
        return *notice ? g_strdup_printf("%s: %s", history_string(row, "type"), notice)
                       : g_strdup_printf("%s from %s", history_string(row, "type"), history_string(row, "source"));
}

static char *stop_text(GVariant *row) {
        const char *message = history_string(row, "message"), *reason = history_string(row, "reason");

        return g_strdup_printf("%s: %s%s%s%s", history_string(row, "outcome"), message, *reason ? " (" : "", reason,
                               *reason ? ")" : "");
}

char *history_text(GVariant *row) {
        const char *kind = history_kind(row), *what = history_string(row, "what");

        if (g_str_equal(kind, "state"))
                return g_strdup_printf("%s → %s: %s", history_string(row, "previous"), history_string(row, "state"),
                                       history_string(row, "reason"));
        if (g_str_equal(kind, "problem"))
                return g_strdup_printf("%s: %s", history_string(row, "source"), history_string(row, "message"));
        if (g_str_equal(kind, "call"))
                return g_strdup_printf("%s: %s%s%s", history_string(row, "user"), history_string(row, "call"),
                                       *what ? ": " : "", what);
        if (g_str_equal(kind, "stop"))
                return stop_text(row);
        if (g_str_equal(kind, "hold"))
                return hold_text(row);
        if (g_str_equal(kind, "event"))
                return event_text(row);
        return g_str_equal(kind, "votes") ? votes_text(row) : all_members(row);
}
