/* SPDX-License-Identifier: Apache-2.0 */

#include "cloud/told.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cloud/announcement.h"
#include "cloud/text.h"
#include "util/json.h"

/* By less than this an end does not move: so the daemon has it (MOVE_LEAST). */
#define SAME_END (5 * USEC_PER_SEC)

typedef struct Entry {
        char *id;
        uint64_t begin;
        uint64_t next_begin; /* of an end: to be told instead; 0: none */
        bool told;       /* by whomever: it can be withdrawn */
        bool by_us;      /* by this process; what one before told may not have been heard */
        bool listed;
        bool end;        /* of the machine */
} Entry;

struct CloudTold {
        CloudProvider *cloud;
        GHashTable *entries; /* key → Entry */
        unsigned absences;   /* in a row */
};

static void entry_free(void *data) {
        Entry *entry = data;

        g_free(entry->id);
        g_free(entry);
}

CloudTold *cloud_told_new(CloudProvider *cloud) {
        CloudTold *told = g_new0(CloudTold, 1);

        told->cloud = cloud;
        told->entries = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, entry_free);
        return told;
}

CloudTold *cloud_told_free(CloudTold *told) {
        if (!told)
                return NULL;
        g_hash_table_unref(told->entries);
        g_free(told);
        return NULL;
}

static char *id_of(const char *key, uint64_t begin) {
        time_t seconds = (time_t) (begin / USEC_PER_SEC);
        char text[CLOUD_TOLD_SUFFIX_MAX + 1] = "";
        struct tm tm;

        if (begin == 0 || !gmtime_r(&seconds, &tm) || strftime(text, sizeof(text), "@%Y%m%dT%H%M%SZ", &tm) == 0)
                text[0] = '\0';
        return g_strconcat(key, text, NULL);
}

static Entry *add(CloudTold *told, const char *key, char *id, uint64_t begin) {
        Entry *entry = g_new0(Entry, 1);

        entry->id = id;
        entry->begin = begin;
        g_hash_table_insert(told->entries, g_strdup(key), entry);
        return entry;
}

static void withdraw(const CloudTold *told, const Entry *entry) {
        if (entry->told)
                cloud_withdraw(told->cloud, entry->id);
}

void cloud_told_begin(CloudTold *told, const char *own) {
        GHashTableIter iter;
        void *key, *entry;

        g_hash_table_iter_init(&iter, told->entries);
        while (g_hash_table_iter_next(&iter, &key, &entry)) {
                ((Entry *) entry)->listed = false;
                if (!g_str_has_prefix(key, own))
                        g_hash_table_iter_remove(&iter);
        }
}

const char *cloud_told_see(CloudTold *told, const char *key, uint64_t begin, bool *ret_new) {
        Entry *entry = g_hash_table_lookup(told->entries, key);

        if (entry && begin > 0 && entry->begin != begin) {
                withdraw(told, entry);
                entry = NULL;
        }
        if (!entry)
                entry = add(told, key, id_of(key, begin), begin);
        entry->listed = true;
        *ret_new = !entry->by_us;
        return entry->id;
}

const char *cloud_told_see_end(CloudTold *told, const char *key, uint64_t begin, bool *ret_new) {
        Entry *entry = g_hash_table_lookup(told->entries, key);

        if (!entry)
                entry = add(told, key, g_strdup(key), begin);
        entry->listed = entry->end = true;
        entry->next_begin = 0;
        if (!entry->told)
                entry->begin = begin;
        else if (begin > 0 && MAX(begin, entry->begin) - MIN(begin, entry->begin) >= SAME_END)
                entry->next_begin = begin;
        *ret_new = !entry->by_us || entry->next_begin > 0;
        return entry->id;
}

void cloud_told_done(CloudTold *told, const char *key) {
        Entry *entry = g_hash_table_lookup(told->entries, key);

        if (entry->next_begin > 0)
                entry->begin = entry->next_begin;
        entry->next_begin = 0;
        entry->told = entry->by_us = true;
}

static bool is_ending(CloudTold *told) {
        GHashTableIter iter;
        void *entry;

        g_hash_table_iter_init(&iter, told->entries);
        while (g_hash_table_iter_next(&iter, NULL, &entry))
                if (((Entry *) entry)->end && ((Entry *) entry)->listed)
                        return true;
        return false;
}

/* An end in whose place another one is listed now is withdrawn with that. */
static void withdraw_unlisted(CloudTold *told) {
        bool ending = is_ending(told) && g_hash_table_size(told->entries) <= CLOUD_TOLD_MAX;
        GHashTableIter iter;
        void *entry;

        g_hash_table_iter_init(&iter, told->entries);
        while (g_hash_table_iter_next(&iter, NULL, &entry)) {
                if (((Entry *) entry)->listed || (((Entry *) entry)->end && ending))
                        continue;
                withdraw(told, entry);
                g_hash_table_iter_remove(&iter);
        }
}

void cloud_told_end(CloudTold *told) {
        told->absences = 0;
        withdraw_unlisted(told);
}

void cloud_told_absent(CloudTold *told) {
        if (++told->absences >= CLOUD_TOLD_ABSENT)
                withdraw_unlisted(told);
}

void cloud_told_export(const CloudTold *told, JsonObject *state) {
        g_autoptr(JsonArray) list = json_array_new();
        GHashTableIter iter;
        void *key, *entry;

        g_hash_table_iter_init(&iter, told->entries);
        while (g_hash_table_iter_next(&iter, &key, &entry)) {
                JsonObject *row;

                if (!((Entry *) entry)->told || json_array_get_length(list) >= CLOUD_TOLD_MAX)
                        continue;
                row = json_object_new();
                json_object_set_string_member(row, "key", key);
                json_object_set_int_member(row, "begin", (gint64) ((Entry *) entry)->begin);
                json_object_set_string_member(row, "id", ((Entry *) entry)->id);
                json_object_set_boolean_member(row, "end", ((Entry *) entry)->end);
                json_array_add_object_element(list, row);
        }
        if (json_array_get_length(list) > 0)
                json_object_set_array_member(state, "told", g_steal_pointer(&list));
}

static void import_one(CloudTold *told, JsonNode *node) {
        JsonObject *row = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
        const char *key = row ? json_get_string(row, "key", "") : "";
        gint64 begin = row ? json_get_int(row, "begin", -1) : -1;
        g_autofree char *id = NULL;
        Entry *entry;

        /* One that this process knows already is what it saw itself. */
        if (begin < 0 || !text_is_plain(key, CLOUD_EVENT_ID_MAX - CLOUD_TOLD_SUFFIX_MAX) ||
            g_hash_table_contains(told->entries, key))
                return;
        id = id_of(key, (uint64_t) begin);
        if (g_str_equal(json_get_string(row, "id", id), key))
                g_free(g_steal_pointer(&id));
        entry = add(told, key, id ? g_steal_pointer(&id) : g_strdup(key), (uint64_t) begin);
        entry->told = true;
        entry->end = json_get_boolean(row, "end", false);
}

void cloud_told_import(CloudTold *told, JsonObject *state) {
        JsonArray *list = json_get_array(state, "told");

        for (guint i = 0; list && i < MIN(json_array_get_length(list), CLOUD_TOLD_MAX); i++)
                import_one(told, json_array_get_element(list, i));
}
