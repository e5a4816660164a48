/* SPDX-License-Identifier: Apache-2.0 */

/* Which plugins have what: by capability, category, author and tag, and the words of each as they are searched. Made
 * at the first search after a manifest came, went or changed: nobody pays for it who does not search. */

#include <string.h>

#include "daemon/plugin/plugin.h"

typedef enum Facet {
        FACET_CAPABILITY,
        FACET_CATEGORY,
        FACET_AUTHOR,
        FACET_TAG,
        FACET_COUNT,
} Facet;

typedef struct Entry {
        Plugin *plugin;
        char *words; /* a line for each text, in folded case */
} Entry;

struct SearchIndex {
        GPtrArray *entries;              /* by id; owns */
        GHashTable *facets[FACET_COUNT]; /* value → GPtrArray of Entry, by id */
};

static void entry_free(void *data) {
        Entry *entry = data;

        g_free(entry->words);
        g_free(entry);
}

void plugins_search_forget(Plugins *plugins) {
        SearchIndex *index = g_steal_pointer(&plugins->search);

        if (!index)
                return;
        for (size_t i = 0; i < FACET_COUNT; i++)
                g_hash_table_unref(index->facets[i]);
        g_ptr_array_unref(index->entries);
        g_free(index);
}

static void add_words(GString *words, const char *text) {
        g_autofree char *folded = text ? g_utf8_casefold(text, -1) : NULL;

        if (folded)
                g_string_append_printf(words, "%s\n", folded);
}

static char *words_of(const Manifest *manifest) {
        GString *words = g_string_new(NULL);

        add_words(words, manifest->id);
        add_words(words, manifest->display_name);
        add_words(words, manifest->description);
        for (char **tag = manifest->tags; tag && *tag; tag++)
                add_words(words, *tag);
        return g_string_free(words, FALSE);
}

/* Once, even where a manifest names something twice. */
static void add_facet(SearchIndex *index, Facet facet, const char *value, Entry *entry) {
        GPtrArray *list;

        if (!value)
                return;
        list = g_hash_table_lookup(index->facets[facet], value);
        if (!list) {
                list = g_ptr_array_new();
                g_hash_table_insert(index->facets[facet], g_strdup(value), list);
        }
        if (list->len == 0 || g_ptr_array_index(list, list->len - 1) != entry)
                g_ptr_array_add(list, entry);
}

static void add_plugin(SearchIndex *index, Plugin *plugin) {
        const Manifest *manifest = plugin->manifest;
        Entry *entry = g_new(Entry, 1);

        *entry = (Entry) { plugin, words_of(manifest) };
        g_ptr_array_add(index->entries, entry);
        add_facet(index, FACET_CATEGORY, manifest->category, entry);
        add_facet(index, FACET_AUTHOR, manifest->author, entry);
        for (char **contract = manifest->contracts; contract && *contract; contract++)
                add_facet(index, FACET_CAPABILITY, *contract, entry);
        for (char **tag = manifest->tags; tag && *tag; tag++)
                add_facet(index, FACET_TAG, *tag, entry);
}

static const SearchIndex *search_index(Plugins *plugins) {
        SearchIndex *index = plugins->search;

        if (index)
                return index;
        index = g_new0(SearchIndex, 1);
        index->entries = g_ptr_array_new_with_free_func(entry_free);
        for (size_t i = 0; i < FACET_COUNT; i++)
                index->facets[i] = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                                         (GDestroyNotify) g_ptr_array_unref);
        for (guint i = 0; i < plugins->list->len; i++) {
                Plugin *plugin = g_ptr_array_index(plugins->list, i);

                if (plugin->manifest)
                        add_plugin(index, plugin);
        }
        return plugins->search = index;
}

static gboolean fits(const Manifest *manifest, const PluginsFilter *filter) {
        return (!filter->capability || manifest_has_contract(manifest, filter->capability)) &&
               (!filter->category || g_strcmp0(manifest->category, filter->category) == 0) &&
               (!filter->author || g_strcmp0(manifest->author, filter->author) == 0) &&
               (!filter->tag ||
                (manifest->tags && g_strv_contains((const char *const *) manifest->tags, filter->tag)));
}

GPtrArray *plugins_search(Plugins *plugins, const PluginsFilter *filter, const char *query) {
        const char *const wanted[FACET_COUNT] = { filter->capability, filter->category, filter->author, filter->tag };
        const SearchIndex *index = search_index(plugins);
        g_autofree char *folded = g_utf8_casefold(query, -1);
        const GPtrArray *candidates = index->entries;
        GPtrArray *found = g_ptr_array_new();

        for (size_t i = 0; i < FACET_COUNT; i++) {
                const GPtrArray *having = wanted[i] ? g_hash_table_lookup(index->facets[i], wanted[i]) : candidates;

                if (!having)
                        return found;
                if (having->len < candidates->len)
                        candidates = having;
        }
        for (guint i = 0; i < candidates->len; i++) {
                const Entry *entry = g_ptr_array_index(candidates, i);

                if (fits(entry->plugin->manifest, filter) && strstr(entry->words, folded))
                        g_ptr_array_add(found, entry->plugin);
        }
        return found;
}
