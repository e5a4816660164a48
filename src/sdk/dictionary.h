/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The library's side of dictionaries: between the wire and the author. Counters of the bounds and the first failure
 * live in the outermost dictionary, so that they hold for the whole tree. */

#include <stddef.h>

#include <systemd/sd-bus.h>

#include <snooze/dictionary.h>

#define DICTIONARY_DEPTH_MAX 8U
#define DICTIONARY_ENTRIES_MAX 1024U
#define DICTIONARY_KEY_MAX 128U
#define DICTIONARY_BYTES_MAX 65536U

typedef enum DictionaryKind {
        DICTIONARY_STRING,
        DICTIONARY_INT,
        DICTIONARY_UINT,
        DICTIONARY_DOUBLE,
        DICTIONARY_BOOL,
        DICTIONARY_STRV,
        DICTIONARY_DICTIONARY,
        DICTIONARY_LIST,   /* of dictionaries */
        DICTIONARY_OPAQUE, /* of a type that has no getter: present, but no more */
        DICTIONARY_NONE,
} DictionaryKind;

SnoozePluginDictionary *dictionary_new(void);
/* Of a whole tree, its outermost dictionary only. NULL is fine. */
SnoozePluginDictionary *dictionary_free(SnoozePluginDictionary *dictionary);
void dictionary_freep(SnoozePluginDictionary **location);

/* DICTIONARY_NONE where the key is missing. */
DictionaryKind dictionary_kind(const SnoozePluginDictionary *dictionary, const char *key);

/* The first failure of any setter in the tree, 0 if there was none. */
int dictionary_failure(const SnoozePluginDictionary *dictionary);

/* Reads an a{sv} or, with contents "{ss}", an a{ss}. A negative errno with *error set if it is over a bound. */
int dictionary_read(sd_bus_message *message, const char *contents, SnoozePluginDictionary **ret, sd_bus_error *error);

/* The same, but only when somebody looks at the dictionary, which nobody may do behind the message. What it fails for
 * is then dictionary_failure(), and it is empty. */
int dictionary_read_later(sd_bus_message *message, const char *contents, SnoozePluginDictionary **ret);
/* Now, whether somebody looks or not. */
void dictionary_read_now(SnoozePluginDictionary *dictionary);
/* Says in *error what dictionary_read() failed for. -> r */
int dictionary_explain(int r, sd_bus_error *error);

/* Appends an a{sv}. */
int dictionary_append(sd_bus_message *message, const SnoozePluginDictionary *dictionary);
