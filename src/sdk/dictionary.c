/* SPDX-License-Identifier: Apache-2.0 */

#include "sdk/dictionary.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "sdk/dictionary-private.h"
#include "sdk/text.h"

static void entry_clear(DictionaryEntry *entry) {
        switch (entry->kind) {
        case DICTIONARY_STRING:
                free(entry->value.string);
                break;
        case DICTIONARY_STRV:
                for (char **p = entry->value.strv; p && *p; p++)
                        free(*p);
                free(entry->value.strv);
                break;
        case DICTIONARY_DICTIONARY:
                dictionary_free(entry->value.dictionary);
                break;
        case DICTIONARY_LIST:
                for (size_t i = 0; i < entry->value.list.n; i++)
                        dictionary_free(entry->value.list.items[i]);
                free(entry->value.list.items);
                break;
        default:
                break;
        }
        entry->kind = DICTIONARY_OPAQUE;
}

SnoozePluginDictionary *dictionary_new(void) {
        /* Two for each call; see call_allocate(). */
        SnoozePluginDictionary *dictionary = malloc(sizeof(SnoozePluginDictionary));

        if (dictionary)
                *dictionary = (SnoozePluginDictionary) { .root = dictionary, .depth = 1 };
        return dictionary;
}

void dictionary_clear(SnoozePluginDictionary *dictionary) {
        for (size_t i = 0; i < dictionary->n; i++) {
                free(dictionary->entries[i].key);
                entry_clear(&dictionary->entries[i]);
        }
        dictionary->n = 0;
}

SnoozePluginDictionary *dictionary_free(SnoozePluginDictionary *dictionary) {
        if (!dictionary)
                return NULL;
        dictionary_clear(dictionary);
        free(dictionary->entries);
        sd_bus_message_unref(dictionary->pending);
        free(dictionary);
        return NULL;
}

SnoozePluginDictionary *snooze_plugin_dictionary_new(void) {
        return dictionary_new();
}

void snooze_plugin_dictionary_free(SnoozePluginDictionary *dictionary) {
        dictionary_free(dictionary);
}

void dictionary_freep(SnoozePluginDictionary **location) {
        dictionary_free(*location);
}

static int fail(SnoozePluginDictionary *dictionary, int error) {
        if (dictionary->root->failed == 0)
                dictionary->root->failed = error;
        return error;
}

int dictionary_failure(const SnoozePluginDictionary *dictionary) {
        return dictionary->root->failed;
}

/* What of the bounds of the tree a value takes beside its key, and with what is inside. */
typedef struct Cost {
        size_t entries;
        size_t bytes;
} Cost;

static Cost cost_of(const DictionaryEntry *entry);

static void add_costs(Cost *cost, const SnoozePluginDictionary *dictionary) {
        for (size_t i = 0; i < dictionary->n; i++) {
                Cost inside = cost_of(&dictionary->entries[i]);

                cost->entries += 1 + inside.entries;
                cost->bytes += strlen(dictionary->entries[i].key) + inside.bytes;
        }
}

static Cost cost_of(const DictionaryEntry *entry) {
        Cost cost = { .entries = 0 };

        switch (entry->kind) {
        case DICTIONARY_STRING:
                cost.bytes = strlen(entry->value.string);
                break;
        case DICTIONARY_STRV:
                for (char **p = entry->value.strv; *p; p++) {
                        cost.entries++;
                        cost.bytes += strlen(*p);
                }
                break;
        case DICTIONARY_DICTIONARY:
                add_costs(&cost, entry->value.dictionary);
                break;
        case DICTIONARY_LIST:
                cost.entries = entry->value.list.n;
                for (size_t i = 0; i < entry->value.list.n; i++)
                        add_costs(&cost, entry->value.list.items[i]);
                break;
        default:
                break;
        }
        return cost;
}

static int charge(SnoozePluginDictionary *dictionary, Cost cost) {
        SnoozePluginDictionary *root = dictionary->root;

        if (cost.entries > DICTIONARY_ENTRIES_MAX - root->n_entries || cost.bytes > DICTIONARY_BYTES_MAX - root->bytes)
                return fail(dictionary, -E2BIG);
        root->n_entries += (unsigned) cost.entries;
        root->bytes += cost.bytes;
        return 0;
}

static void credit(SnoozePluginDictionary *dictionary, Cost cost) {
        dictionary->root->n_entries -= (unsigned) cost.entries;
        dictionary->root->bytes -= cost.bytes;
}

/* Whoever looks has it read; to the author, who has it for reading, it was there all the time. */
static void resolve(const SnoozePluginDictionary *dictionary) {
        if (dictionary && dictionary->pending)
                dictionary_resolve((SnoozePluginDictionary *) dictionary);
}

void dictionary_read_now(SnoozePluginDictionary *dictionary) {
        resolve(dictionary);
}

static DictionaryEntry *find(const SnoozePluginDictionary *dictionary, const char *key) {
        resolve(dictionary);
        for (size_t i = 0; dictionary && i < dictionary->n; i++)
                if (strcmp(dictionary->entries[i].key, key) == 0)
                        return &dictionary->entries[i];
        return NULL;
}

static int grow(void **array, size_t *allocated, size_t n, size_t element) {
        size_t wanted = *allocated > 0 ? *allocated * 2 : 8;
        void *larger;

        if (n < *allocated)
                return 0;
        larger = reallocarray(*array, wanted, element);
        if (!larger)
                return -ENOMEM;
        *array = larger;
        *allocated = wanted;
        return 0;
}

/* The entry of this key, empty: a new one, or the old one cleared. */
static int entry_for(SnoozePluginDictionary *dictionary, const char *key, DictionaryEntry **ret) {
        _cleanup_free_ char *copy = NULL;
        DictionaryEntry *entry = find(dictionary, key);
        int r;

        if (entry) {
                credit(dictionary, cost_of(entry));
                entry_clear(entry);
                *ret = entry;
                return 0;
        }

        if (strlen(key) > DICTIONARY_KEY_MAX)
                return fail(dictionary, -E2BIG);
        r = charge(dictionary, (Cost) { .entries = 1, .bytes = strlen(key) });
        if (r < 0)
                return r;
        copy = strdup(key);
        if (!copy ||
            grow((void **) &dictionary->entries, &dictionary->allocated, dictionary->n, sizeof(DictionaryEntry)) < 0)
                return fail(dictionary, -ENOMEM);
        text_make_valid(copy);

        entry = &dictionary->entries[dictionary->n++];
        *entry = (DictionaryEntry) { .key = steal(copy), .kind = DICTIONARY_OPAQUE };
        *ret = entry;
        return 0;
}

static bool takes(const SnoozePluginDictionary *dictionary, DictionaryKind kind) {
        switch (dictionary->shape) {
        case DICTIONARY_OF_STRINGS:
                return kind == DICTIONARY_STRING;
        case DICTIONARY_OF_NUMBERS:
                return kind == DICTIONARY_DOUBLE;
        default:
                return true;
        }
}

/* What is replaced makes room for what replaces it. */
static int set(SnoozePluginDictionary *dictionary, const char *key, DictionaryKind kind, DictionaryValue value) {
        DictionaryEntry *entry;
        int r;

        if (!dictionary)
                return -EINVAL;
        if (!takes(dictionary, kind))
                return fail(dictionary, -EINVAL);
        r = entry_for(dictionary, key, &entry);
        if (r >= 0)
                r = charge(dictionary, cost_of(&(const DictionaryEntry) { .kind = kind, .value = value }));
        if (r < 0)
                return r;
        entry->kind = kind;
        entry->value = value;
        return 0;
}

int dictionary_set_opaque(SnoozePluginDictionary *dictionary, const char *key) {
        return set(dictionary, key, DICTIONARY_OPAQUE, (DictionaryValue) { .boolean = false });
}

int snooze_plugin_dictionary_set_string(SnoozePluginDictionary *dictionary, const char *key, const char *value) {
        _cleanup_free_ char *copy = NULL;
        int r;

        if (!dictionary)
                return -EINVAL;
        if (strlen(value) > DICTIONARY_BYTES_MAX)
                return fail(dictionary, -E2BIG);
        copy = strdup(value);
        if (!copy)
                return fail(dictionary, -ENOMEM);
        text_make_valid(copy);
        r = set(dictionary, key, DICTIONARY_STRING, (DictionaryValue) { .string = copy });
        if (r >= 0)
                copy = NULL;
        return r;
}

int snooze_plugin_dictionary_set_int(SnoozePluginDictionary *dictionary, const char *key, int64_t value) {
        return set(dictionary, key, DICTIONARY_INT, (DictionaryValue) { .integer = value });
}

int snooze_plugin_dictionary_set_uint(SnoozePluginDictionary *dictionary, const char *key, uint64_t value) {
        return set(dictionary, key, DICTIONARY_UINT, (DictionaryValue) { .natural = value });
}

int snooze_plugin_dictionary_set_double(SnoozePluginDictionary *dictionary, const char *key, double value) {
        if (dictionary && !isfinite(value))
                return fail(dictionary, -ERANGE);
        return set(dictionary, key, DICTIONARY_DOUBLE, (DictionaryValue) { .number = value });
}

int snooze_plugin_dictionary_set_bool(SnoozePluginDictionary *dictionary, const char *key, bool value) {
        return set(dictionary, key, DICTIONARY_BOOL, (DictionaryValue) { .boolean = value });
}

static int strv_copy(SnoozePluginDictionary *dictionary, const char *const *values, char **copy) {
        size_t bytes = 0;

        for (size_t i = 0; values[i]; i++) {
                bytes += strlen(values[i]);
                if (bytes > DICTIONARY_BYTES_MAX)
                        return fail(dictionary, -E2BIG);
                copy[i] = strdup(values[i]);
                if (!copy[i])
                        return fail(dictionary, -ENOMEM);
                text_make_valid(copy[i]);
        }
        return 0;
}

int snooze_plugin_dictionary_set_strv(SnoozePluginDictionary *dictionary, const char *key, const char *const *values) {
        DictionaryEntry entry = { .kind = DICTIONARY_STRV };
        size_t n = 0;
        int r;

        if (!dictionary)
                return -EINVAL;
        while (values[n])
                n++;
        if (n > DICTIONARY_ENTRIES_MAX)
                return fail(dictionary, -E2BIG);
        entry.value.strv = calloc(n + 1, sizeof(char *));
        if (!entry.value.strv)
                return fail(dictionary, -ENOMEM);
        r = strv_copy(dictionary, values, entry.value.strv);
        if (r >= 0)
                r = set(dictionary, key, DICTIONARY_STRV, entry.value);
        if (r < 0)
                entry_clear(&entry);
        return r;
}

static SnoozePluginDictionary *child_new(SnoozePluginDictionary *parent, DictionaryShape shape) {
        SnoozePluginDictionary *child;

        if (parent->depth >= DICTIONARY_DEPTH_MAX) {
                fail(parent, -E2BIG);
                return NULL;
        }
        child = calloc(1, sizeof(SnoozePluginDictionary));
        if (!child) {
                fail(parent, -ENOMEM);
                return NULL;
        }
        child->root = parent->root;
        child->depth = parent->depth + 1;
        child->shape = shape;
        return child;
}

static SnoozePluginDictionary *add(SnoozePluginDictionary *dictionary, const char *key, DictionaryShape shape) {
        SnoozePluginDictionary *child;

        if (!dictionary)
                return NULL;
        child = child_new(dictionary, shape);
        if (!child)
                return NULL;
        if (set(dictionary, key, DICTIONARY_DICTIONARY, (DictionaryValue) { .dictionary = child }) < 0)
                return dictionary_free(child);
        return child;
}

SnoozePluginDictionary *snooze_plugin_dictionary_add_dictionary(SnoozePluginDictionary *dictionary, const char *key) {
        return add(dictionary, key, DICTIONARY_OF_VARIANTS);
}

SnoozePluginDictionary *snooze_plugin_dictionary_add_strings(SnoozePluginDictionary *dictionary, const char *key) {
        return add(dictionary, key, DICTIONARY_OF_STRINGS);
}

SnoozePluginDictionary *snooze_plugin_dictionary_add_numbers(SnoozePluginDictionary *dictionary, const char *key) {
        return add(dictionary, key, DICTIONARY_OF_NUMBERS);
}

static DictionaryEntry *list_for(SnoozePluginDictionary *dictionary, const char *key) {
        DictionaryEntry *entry = find(dictionary, key);

        if (entry && entry->kind == DICTIONARY_LIST)
                return entry;
        if (set(dictionary, key, DICTIONARY_LIST, (DictionaryValue) { .list = { .items = NULL } }) < 0)
                return NULL;
        return find(dictionary, key);
}

SnoozePluginDictionary *snooze_plugin_dictionary_append_dictionary(SnoozePluginDictionary *dictionary,
                                                                   const char *key) {
        SnoozePluginDictionary *child;
        DictionaryEntry *entry;
        DictionaryList *list;

        if (!dictionary)
                return NULL;
        entry = list_for(dictionary, key);
        if (!entry || charge(dictionary, (Cost) { .entries = 1 }) < 0)
                return NULL;
        list = &entry->value.list;
        if (grow((void **) &list->items, &list->allocated, list->n, sizeof(list->items[0])) < 0) {
                fail(dictionary, -ENOMEM);
                return NULL;
        }
        child = child_new(dictionary, DICTIONARY_OF_VARIANTS);
        if (child)
                list->items[list->n++] = child;
        return child;
}

DictionaryKind dictionary_kind(const SnoozePluginDictionary *dictionary, const char *key) {
        const DictionaryEntry *entry = find(dictionary, key);

        return entry ? entry->kind : DICTIONARY_NONE;
}

bool snooze_plugin_dictionary_has(const SnoozePluginDictionary *dictionary, const char *key) {
        return find(dictionary, key) != NULL;
}

const char *snooze_plugin_dictionary_get_string(const SnoozePluginDictionary *dictionary, const char *key,
                                                const char *fallback) {
        const DictionaryEntry *entry = find(dictionary, key);

        return entry && entry->kind == DICTIONARY_STRING ? entry->value.string : fallback;
}

int64_t snooze_plugin_dictionary_get_int(const SnoozePluginDictionary *dictionary, const char *key, int64_t fallback) {
        const DictionaryEntry *entry = find(dictionary, key);

        if (!entry)
                return fallback;
        if (entry->kind == DICTIONARY_INT)
                return entry->value.integer;
        if (entry->kind == DICTIONARY_UINT && entry->value.natural <= INT64_MAX)
                return (int64_t) entry->value.natural;
        /* Beyond 2^53 a double no longer says which integer is meant. */
        if (entry->kind == DICTIONARY_DOUBLE && trunc(entry->value.number) == entry->value.number &&
            fabs(entry->value.number) <= 9007199254740992.0)
                return (int64_t) entry->value.number;
        return fallback;
}

uint64_t snooze_plugin_dictionary_get_uint(const SnoozePluginDictionary *dictionary, const char *key,
                                           uint64_t fallback) {
        const DictionaryEntry *entry = find(dictionary, key);
        int64_t value;

        if (entry && entry->kind == DICTIONARY_UINT)
                return entry->value.natural;
        value = snooze_plugin_dictionary_get_int(dictionary, key, -1);
        return value >= 0 ? (uint64_t) value : fallback;
}

double snooze_plugin_dictionary_get_double(const SnoozePluginDictionary *dictionary, const char *key,
                                           double fallback) {
        const DictionaryEntry *entry = find(dictionary, key);

        if (!entry)
                return fallback;
        if (entry->kind == DICTIONARY_DOUBLE)
                return entry->value.number;
        if (entry->kind == DICTIONARY_INT)
                return (double) entry->value.integer;
        if (entry->kind == DICTIONARY_UINT)
                return (double) entry->value.natural;
        return fallback;
}

bool snooze_plugin_dictionary_get_bool(const SnoozePluginDictionary *dictionary, const char *key, bool fallback) {
        const DictionaryEntry *entry = find(dictionary, key);

        return entry && entry->kind == DICTIONARY_BOOL ? entry->value.boolean : fallback;
}

const char *const *snooze_plugin_dictionary_get_strv(const SnoozePluginDictionary *dictionary, const char *key,
                                                     const char *const *fallback) {
        const DictionaryEntry *entry = find(dictionary, key);

        return entry && entry->kind == DICTIONARY_STRV ? (const char *const *) entry->value.strv : fallback;
}

const SnoozePluginDictionary *snooze_plugin_dictionary_get_dictionary(const SnoozePluginDictionary *dictionary,
                                                                      const char *key) {
        const DictionaryEntry *entry = find(dictionary, key);

        return entry && entry->kind == DICTIONARY_DICTIONARY ? entry->value.dictionary : NULL;
}

const SnoozePluginDictionary *snooze_plugin_dictionary_get_list_item(const SnoozePluginDictionary *dictionary,
                                                                     const char *key, unsigned n) {
        const DictionaryEntry *entry = find(dictionary, key);

        return entry && entry->kind == DICTIONARY_LIST && n < entry->value.list.n ? entry->value.list.items[n] : NULL;
}

char snooze_plugin_dictionary_get_type(const SnoozePluginDictionary *dictionary, const char *key) {
        static const char types[] = {
                [DICTIONARY_STRING] = 's', [DICTIONARY_INT] = 'x',        [DICTIONARY_UINT] = 't',
                [DICTIONARY_DOUBLE] = 'd', [DICTIONARY_BOOL] = 'b',       [DICTIONARY_STRV] = 'a',
                [DICTIONARY_LIST] = 'l',   [DICTIONARY_DICTIONARY] = 'e', [DICTIONARY_OPAQUE] = '?',
                [DICTIONARY_NONE] = 0,
        };

        return types[dictionary_kind(dictionary, key)];
}

const char *snooze_plugin_dictionary_get_key(const SnoozePluginDictionary *dictionary, unsigned n) {
        resolve(dictionary);
        return dictionary && n < dictionary->n ? dictionary->entries[n].key : NULL;
}
