/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How a dictionary is laid out, for the two files that know: dictionary.c and dictionary-wire.c. */

#include "sdk/dictionary.h"

typedef enum DictionaryShape {
        DICTIONARY_OF_VARIANTS, /* a{sv} */
        DICTIONARY_OF_STRINGS,  /* a{ss} */
        DICTIONARY_OF_NUMBERS,  /* a{sd} */
} DictionaryShape;

typedef struct DictionaryList {
        SnoozePluginDictionary **items;
        size_t n;
        size_t allocated;
} DictionaryList;

typedef union DictionaryValue {
        char *string;
        int64_t integer;
        uint64_t natural;
        double number;
        bool boolean;
        char **strv;
        SnoozePluginDictionary *dictionary;
        DictionaryList list;
} DictionaryValue;

typedef struct DictionaryEntry {
        char *key;
        DictionaryKind kind;
        DictionaryValue value;
} DictionaryEntry;

struct SnoozePluginDictionary {
        SnoozePluginDictionary *root; /* itself for the outermost */
        DictionaryShape shape;
        unsigned depth;
        DictionaryEntry *entries;
        size_t n;
        size_t allocated;

        /* Of the whole tree, kept in its root. */
        unsigned n_entries;
        size_t bytes;
        int failed;
        /* Not read yet: dictionary_read_later(). */
        sd_bus_message *pending;
        const char *contents;
};

/* Reads what is pending, into the dictionary or its failure. */
void dictionary_resolve(SnoozePluginDictionary *dictionary);

void dictionary_clear(SnoozePluginDictionary *dictionary);

int dictionary_set_opaque(SnoozePluginDictionary *dictionary, const char *key);
