/* SPDX-License-Identifier: Apache-2.0 */

#include "entries.h"

#include <errno.h>
#include <string.h>

struct Entries {
        GTree *texts; /* name → text */
        gsize bytes;
};

static int compare(const void *a, const void *b, void *userdata) {
        return strcmp(a, b);
}

static GTree *tree_new(void) {
        return g_tree_new_full(compare, NULL, g_free, g_free);
}

Entries *entries_new(void) {
        Entries *entries = g_new0(Entries, 1);

        entries->texts = tree_new();
        return entries;
}

Entries *entries_free(Entries *entries) {
        if (entries) {
                g_tree_unref(entries->texts);
                g_free(entries);
        }
        return NULL;
}

gboolean entry_name_valid(const char *name) {
        gsize length = strlen(name);

        if (length == 0 || length > ENTRY_NAME_MAX || !g_utf8_validate(name, -1, NULL))
                return FALSE;
        for (const char *p = name; *p; p = g_utf8_next_char(p))
                if (g_unichar_iscntrl(g_utf8_get_char(p)))
                        return FALSE;
        return TRUE;
}

int entries_set(Entries *entries, const char *name, const char *text, gsize ceiling) {
        const char *before = g_tree_lookup(entries->texts, name);
        gsize bytes = entries->bytes;

        if (!entry_name_valid(name))
                return -EINVAL;
        if (strlen(text) > ENTRY_TEXT_MAX)
                return -E2BIG;
        if (before)
                bytes -= strlen(name) + strlen(before);
        bytes += strlen(name) + strlen(text);
        if (bytes > MIN(ceiling, ENTRIES_BYTES_MAX) || (!before && entries_count(entries) >= ENTRIES_MAX))
                return -ENOSPC;
        g_tree_replace(entries->texts, g_strdup(name), g_strdup(text));
        entries->bytes = bytes;
        return 0;
}

const char *entries_get(const Entries *entries, const char *name) {
        return g_tree_lookup(entries->texts, name);
}

gboolean entries_remove(Entries *entries, const char *name) {
        const char *text = entries_get(entries, name);

        if (!text)
                return FALSE;
        entries->bytes -= strlen(name) + strlen(text);
        g_tree_remove(entries->texts, name);
        return TRUE;
}

guint entries_count(const Entries *entries) {
        return (guint) g_tree_nnodes(entries->texts);
}

gsize entries_bytes(const Entries *entries) {
        return entries->bytes;
}

GPtrArray *entries_list(const Entries *entries, const char *prefix, const char *after, guint maximum,
                        gboolean *ret_more) {
        gboolean behind = after && strcmp(after, prefix) >= 0;
        GTreeNode *node =
                behind ? g_tree_upper_bound(entries->texts, after) : g_tree_lower_bound(entries->texts, prefix);
        GPtrArray *names = g_ptr_array_new();

        for (; node && names->len < maximum && g_str_has_prefix(g_tree_node_key(node), prefix);
             node = g_tree_node_next(node))
                g_ptr_array_add(names, g_tree_node_key(node));
        *ret_more = node && g_str_has_prefix(g_tree_node_key(node), prefix);
        return names;
}

GByteArray *entries_export(const Entries *entries) {
        GByteArray *data = g_byte_array_new();

        for (GTreeNode *node = g_tree_node_first(entries->texts); node; node = g_tree_node_next(node)) {
                const char *name = g_tree_node_key(node), *text = g_tree_node_value(node);

                g_byte_array_append(data, (const guint8 *) name, (guint) strlen(name) + 1);
                g_byte_array_append(data, (const guint8 *) text, (guint) strlen(text) + 1);
        }
        return data;
}

/* The next text of what is left; NULL where there is no end to it. */
static const char *take(const char **position, const char *end) {
        const char *text = *position, *nul = memchr(text, 0, (gsize) (end - text));

        if (nul)
                *position = nul + 1;
        return nul ? text : NULL;
}

int entries_import(Entries *entries, const void *data, gsize size) {
        const char *position = data, *end = position + size;
        Entries *read = entries_new();
        GTree *texts;
        int r = 0;

        while (r == 0 && position < end) {
                const char *name = take(&position, end), *text = name && position < end ? take(&position, end) : NULL;

                if (!text || entries_get(read, name) || !g_utf8_validate(text, -1, NULL))
                        r = -EBADMSG;
                else if (entries_set(read, name, text, ENTRIES_BYTES_MAX) < 0)
                        r = -EBADMSG;
        }
        if (r == 0) {
                texts = entries->texts;
                entries->texts = read->texts;
                entries->bytes = read->bytes;
                read->texts = texts;
        }
        entries_free(read);
        return r;
}
