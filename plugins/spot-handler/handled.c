/* SPDX-License-Identifier: Apache-2.0 */

#include "handled.h"

#include <inttypes.h>
#include <string.h>

#define STATE_VERSION 1U
#define ANNOUNCEMENTS_MAX 256U

int handled_export(SnoozePluginCall *call, uint64_t until) {
        char text[32];

        g_snprintf(text, sizeof(text), "%" PRIu64, until);
        return snooze_plugin_call_set_state(call, STATE_VERSION, text, strlen(text));
}

int handled_import(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, uint64_t *ret_until) {
        g_autofree char *text = g_strndup(data, size);
        guint64 until;

        if (version != STATE_VERSION || strlen(text) != size ||
            !g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, &until, NULL))
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "version %u of the state: expected a moment", version);
        *ret_until = until;
        return 0;
}

static char *name_of(const SnoozePluginDictionary *event) {
        return g_strconcat(snooze_plugin_dictionary_get_string(event, "source", ""), "\n",
                           snooze_plugin_dictionary_get_string(event, "id", ""), NULL);
}

GHashTable *announcements_new(void) {
        return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

void announcements_add(GHashTable *announcements, const SnoozePluginDictionary *event) {
        if (g_hash_table_size(announcements) < ANNOUNCEMENTS_MAX)
                g_hash_table_add(announcements, name_of(event));
}

gboolean announcements_call_off(GHashTable *announcements, const SnoozePluginDictionary *event) {
        g_autofree char *name = name_of(event);

        (void) g_hash_table_remove(announcements, name);
        return g_hash_table_size(announcements) == 0;
}
