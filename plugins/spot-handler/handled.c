/* SPDX-License-Identifier: Apache-2.0 */

#include "handled.h"

#include <inttypes.h>
#include <string.h>

/* A moment in decimal digits, behind it the names of the announcements, and behind these what the plugin has besides;
 * a zero byte ends each. */
#define STATE_VERSION 3U
#define STATE_VERSION_NAMES 2U  /* nothing besides */
#define STATE_VERSION_MOMENT 1U /* that alone, and nothing ends it */
#define ANNOUNCEMENTS_MAX 256U
#define NAME_SEPARATOR '\n'

int handled_export(SnoozePluginCall *call, uint64_t until, GHashTable *announcements, const GPtrArray *more) {
        g_autoptr(GString) text = g_string_new(NULL);
        GHashTableIter iterator;
        const char *name;

        g_string_append_printf(text, "%" PRIu64, until);
        g_string_append_c(text, '\0');
        g_hash_table_iter_init(&iterator, announcements);
        while (g_hash_table_iter_next(&iterator, (void **) &name, NULL))
                g_string_append_len(text, name, (gssize) strlen(name) + 1);
        for (guint i = 0; more && i < more->len && i < HANDLED_MORE_MAX; i++) {
                name = g_ptr_array_index(more, i);
                g_string_append_len(text, name, (gssize) strlen(name) + 1);
        }
        /* A version before this one can go back to what has nothing new. */
        return snooze_plugin_call_set_state(call, more && more->len > 0 ? STATE_VERSION : STATE_VERSION_NAMES,
                                            text->str, text->len);
}

/* more NULL: there must be nothing but names. */
static gboolean read_names(const char *text, const char *end, GHashTable *announcements, GPtrArray *more) {
        for (; text < end; text += strlen(text) + 1)
                if (strchr(text, NAME_SEPARATOR)) {
                        if (g_hash_table_size(announcements) >= ANNOUNCEMENTS_MAX)
                                return FALSE;
                        g_hash_table_add(announcements, g_strdup(text));
                } else {
                        if (!more || more->len >= HANDLED_MORE_MAX)
                                return FALSE;
                        g_ptr_array_add(more, g_strdup(text));
                }
        return TRUE;
}

int handled_import(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, uint64_t *ret_until,
                   GHashTable *announcements, GPtrArray *more) {
        gboolean known = version >= STATE_VERSION_MOMENT && version <= (more ? STATE_VERSION : STATE_VERSION_NAMES);
        /* Also where it is not: ended by a zero byte. */
        g_autofree char *text = g_malloc0(size + 1);
        size_t whole = version == STATE_VERSION_MOMENT ? size + 1 : size;
        guint64 until;

        memcpy(text, data, size);
        if (!known || whole == 0 || text[whole - 1] != '\0' ||
            !g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, &until, NULL) ||
            (version == STATE_VERSION_MOMENT && strlen(text) != size) ||
            !read_names(text + strlen(text) + 1, text + whole, announcements,
                        version == STATE_VERSION ? more : NULL)) {
                g_hash_table_remove_all(announcements);
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "version %u of the state: expected a moment, and who announced it",
                                               version);
        }
        *ret_until = until;
        return 0;
}

char *announcement_name(const SnoozePluginDictionary *event) {
        return g_strdup_printf("%s%c%s", snooze_plugin_dictionary_get_string(event, "source", ""), NAME_SEPARATOR,
                               snooze_plugin_dictionary_get_string(event, "id", ""));
}

GHashTable *announcements_new(void) {
        return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

void announcements_add(GHashTable *announcements, const SnoozePluginDictionary *event) {
        if (g_hash_table_size(announcements) < ANNOUNCEMENTS_MAX)
                g_hash_table_add(announcements, announcement_name(event));
}

gboolean announcements_call_off(GHashTable *announcements, const SnoozePluginDictionary *event) {
        g_autofree char *name = announcement_name(event);

        (void) g_hash_table_remove(announcements, name);
        return g_hash_table_size(announcements) == 0;
}

uint64_t handled_told_again(uint64_t until, const SnoozePluginDictionary *event, const Notice *notice,
                            gboolean repeated, GHashTable *announcements, uint64_t now) {
        gboolean moved = repeated && snooze_plugin_dictionary_get_bool(event, "moved", false) &&
                g_hash_table_size(announcements) == 1;

        return moved || !notice_is_handled(notice, until, now) ? notice_handled_until(notice) : until;
}
