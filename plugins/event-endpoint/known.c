/* SPDX-License-Identifier: Apache-2.0 */

#include "known.h"

#include <string.h>

#define DIGEST G_CHECKSUM_SHA256
#define DIGEST_SIZE 32U

typedef struct Entry {
        char *id;
        guint8 digest[DIGEST_SIZE];
        gboolean taken;
        uint64_t until; /* 0: nobody can replay it */
} Entry;

struct Known {
        GHashTable *entries; /* id → Entry */
        GQueue order;        /* Entry: taken, and no signature counts; the oldest first */
        guint n_signed;
};

static void entry_free(void *data) {
        Entry *entry = data;

        g_free(entry->id);
        g_free(entry);
}

Known *known_new(void) {
        Known *known = g_new0(Known, 1);

        known->entries = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, entry_free);
        g_queue_init(&known->order);
        return known;
}

void known_free(Known *known) {
        g_queue_clear(&known->order);
        g_hash_table_unref(known->entries);
        g_free(known);
}

static void digest_of(const char *content, guint8 ret[DIGEST_SIZE]) {
        g_autoptr(GChecksum) checksum = g_checksum_new(DIGEST);
        gsize size = DIGEST_SIZE;

        g_checksum_update(checksum, (const guchar *) content, (gssize) strlen(content));
        g_checksum_get_digest(checksum, ret, &size);
}

KnownState known_find(const Known *known, const char *id, const char *content) {
        const Entry *entry = g_hash_table_lookup(known->entries, id);
        guint8 digest[DIGEST_SIZE];

        if (!entry)
                return KNOWN_NOT;
        digest_of(content, digest);
        if (memcmp(entry->digest, digest, sizeof(digest)) != 0)
                return KNOWN_OTHER;
        return entry->taken ? KNOWN_TAKEN : KNOWN_PENDING;
}

static void line_up(Known *known, Entry *entry) {
        g_queue_push_tail(&known->order, entry);
        if (known->order.length > KNOWN_MAX)
                (void) g_hash_table_remove(known->entries, ((Entry *) g_queue_pop_head(&known->order))->id);
}

/* Signatures that count no longer: those events are as others are. */
static void expire(Known *known, uint64_t now) {
        g_autoptr(GPtrArray) expired = g_ptr_array_new();
        GHashTableIter iterator;
        gpointer value;

        g_hash_table_iter_init(&iterator, known->entries);
        while (g_hash_table_iter_next(&iterator, NULL, &value)) {
                const Entry *entry = value;

                if (entry->until > 0 && entry->until < now)
                        g_ptr_array_add(expired, value);
        }
        for (guint i = 0; i < expired->len; i++) {
                Entry *entry = g_ptr_array_index(expired, i);

                entry->until = 0;
                known->n_signed--;
                if (entry->taken)
                        line_up(known, entry);
        }
}

gboolean known_has_room(Known *known, uint64_t now) {
        /* Looked for where it matters: at each KNOWN_MAX more, and where there is no room. */
        if (known->n_signed >= KNOWN_SIGNED_MAX || (known->n_signed > 0 && known->n_signed % KNOWN_MAX == 0))
                expire(known, now);
        return known->n_signed < KNOWN_SIGNED_MAX;
}

static void hold(Known *known, Entry *entry, uint64_t until) {
        if (until == 0)
                return;
        if (entry->until == 0) {
                (void) g_queue_remove(&known->order, entry);
                known->n_signed++;
        }
        entry->until = MAX(entry->until, until);
}

void known_add(Known *known, const char *id, const char *content, uint64_t until) {
        Entry *entry = g_hash_table_lookup(known->entries, id);

        if (!entry) {
                entry = g_new0(Entry, 1);
                entry->id = g_strdup(id);
                digest_of(content, entry->digest);
                (void) g_hash_table_insert(known->entries, entry->id, entry);
        }
        hold(known, entry, until);
}

void known_take(Known *known, const char *id) {
        Entry *entry = g_hash_table_lookup(known->entries, id);

        if (!entry || entry->taken)
                return;
        entry->taken = TRUE;
        if (entry->until == 0)
                line_up(known, entry);
}
