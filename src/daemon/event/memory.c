/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/event/memory.h"

struct Memory {
        GHashTable *sources; /* source → Ids */
};

typedef struct Ids {
        GQueue order;      /* oldest first; borrowed from the set */
        GHashTable *known; /* set; owns */
} Ids;

static void ids_free(void *data) {
        Ids *ids = data;

        g_queue_clear(&ids->order);
        g_hash_table_unref(ids->known);
        g_free(ids);
}

Memory *memory_new(void) {
        Memory *memory = g_new0(Memory, 1);

        memory->sources = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, ids_free);
        return memory;
}

void memory_free(Memory *memory) {
        if (!memory)
                return;
        g_hash_table_unref(memory->sources);
        g_free(memory);
}

gboolean memory_has(Memory *memory, const char *source, const char *id) {
        const Ids *ids = g_hash_table_lookup(memory->sources, source);

        return ids && g_hash_table_contains(ids->known, id);
}

static Ids *find_or_add(Memory *memory, const char *source) {
        Ids *ids = g_hash_table_lookup(memory->sources, source);

        if (ids)
                return ids;
        ids = g_new0(Ids, 1);
        g_queue_init(&ids->order);
        ids->known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_hash_table_insert(memory->sources, g_strdup(source), ids);
        return ids;
}

char *memory_add(Memory *memory, const char *source, const char *id) {
        Ids *ids = find_or_add(memory, source);
        char *copy, *oldest;

        if (g_hash_table_contains(ids->known, id))
                return NULL;
        copy = g_strdup(id);
        g_hash_table_add(ids->known, copy);
        g_queue_push_tail(&ids->order, copy);
        if (g_queue_get_length(&ids->order) <= MEMORY_PER_SOURCE_MAX)
                return NULL;
        oldest = g_queue_pop_head(&ids->order);
        (void) g_hash_table_steal(ids->known, oldest);
        return oldest;
}
