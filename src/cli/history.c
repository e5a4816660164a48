/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/history.h"

#include "cli/output.h"
#include "cli/wait.h"

GVariant *history_fetch(Cli *cli, guint64 span, guint maximum, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Reading the history");
        guint64 now = (guint64) g_get_real_time();
        GVariant *rows = NULL;

        snooze_client_manager_call_get_history(cli->manager, span > 0 && span < now ? now - span : 0, 0, maximum,
                                               G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done, wait);
        if (!snooze_client_manager_call_get_history_finish(cli->manager, &rows, wait_for(wait), error))
                return NULL;
        return rows;
}

guint64 history_time(GVariant *row) {
        guint64 time = 0;

        (void) g_variant_lookup(row, "time", "t", &time);
        return time;
}

const char *history_string(GVariant *row, const char *key) {
        const char *text = "";

        (void) g_variant_lookup(row, key, "&s", &text);
        return text;
}

const char *history_kind(GVariant *row) {
        return history_string(row, "kind");
}

char *history_text(GVariant *row) {
        g_autoptr(GString) text = g_string_new(NULL);
        GVariantIter iter;
        const char *key;
        GVariant *value;

        if (g_str_equal(history_kind(row), "state"))
                return g_strdup_printf("%s → %s: %s", history_string(row, "previous"), history_string(row, "state"),
                                       history_string(row, "reason"));

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
