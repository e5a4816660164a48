/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Names and values, an a{sv} of D-Bus: configuration, metrics, events and options as they come in, details and results
 * as they go out. What comes in was checked already: bounded in depth, entries and bytes, keys unique, text valid
 * UTF-8. (Metrics are checked when they are looked at first; those that fail are empty then, and the call is answered
 * with the error.) What goes out has the same bounds: 8 levels, 1,024 entries, 128 bytes a key, 64 KiB of text in all.
 */

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct SnoozePluginDictionary SnoozePluginDictionary;

/* One of one's own, for snooze_plugin_instance_emit_event(); NULL without memory. Only an outermost one is freed; NULL
 * is fine. */
SnoozePluginDictionary *snooze_plugin_dictionary_new(void);
void snooze_plugin_dictionary_free(SnoozePluginDictionary *dictionary);

/* Reading. The fallback is what a missing key, or one of another type, gives. Integers are numbers, too, and a number
 * without a fraction is an integer. Strings and lists are borrowed from the dictionary. */
bool snooze_plugin_dictionary_has(const SnoozePluginDictionary *dictionary, const char *key);
const char *snooze_plugin_dictionary_get_string(const SnoozePluginDictionary *dictionary, const char *key,
                                                const char *fallback);
int64_t snooze_plugin_dictionary_get_int(const SnoozePluginDictionary *dictionary, const char *key, int64_t fallback);
uint64_t snooze_plugin_dictionary_get_uint(const SnoozePluginDictionary *dictionary, const char *key,
                                           uint64_t fallback);
double snooze_plugin_dictionary_get_double(const SnoozePluginDictionary *dictionary, const char *key, double fallback);
bool snooze_plugin_dictionary_get_bool(const SnoozePluginDictionary *dictionary, const char *key, bool fallback);
/* NULL-terminated. */
const char *const *snooze_plugin_dictionary_get_strv(const SnoozePluginDictionary *dictionary, const char *key,
                                                     const char *const *fallback);
/* A dictionary inside, or NULL. */
const SnoozePluginDictionary *snooze_plugin_dictionary_get_dictionary(const SnoozePluginDictionary *dictionary,
                                                                      const char *key);
/* The n-th of a list of dictionaries, or NULL behind the last. */
const SnoozePluginDictionary *snooze_plugin_dictionary_get_list_item(const SnoozePluginDictionary *dictionary,
                                                                     const char *key, unsigned n);
/* What a value is, for those who pass on what they do not know: 's' a string, 'x' or 't' an integer, 'd' a number, 'b'
 * a boolean, 'a' a list of strings, 'e' a dictionary, 'l' a list of dictionaries, '?' something that has no getter, 0
 * nothing. */
char snooze_plugin_dictionary_get_type(const SnoozePluginDictionary *dictionary, const char *key);
/* The n-th key, or NULL behind the last. */
const char *snooze_plugin_dictionary_get_key(const SnoozePluginDictionary *dictionary, unsigned n);

/* Writing; a second value for a key replaces the first. 0 or a negative errno, which the dictionary's call also
 * remembers. */
int snooze_plugin_dictionary_set_string(SnoozePluginDictionary *dictionary, const char *key, const char *value);
int snooze_plugin_dictionary_set_int(SnoozePluginDictionary *dictionary, const char *key, int64_t value);      /* x */
int snooze_plugin_dictionary_set_uint(SnoozePluginDictionary *dictionary, const char *key, uint64_t value);    /* t */
int snooze_plugin_dictionary_set_double(SnoozePluginDictionary *dictionary, const char *key,
                                        double value); /* d, finite */
int snooze_plugin_dictionary_set_bool(SnoozePluginDictionary *dictionary, const char *key, bool value);
int snooze_plugin_dictionary_set_strv(SnoozePluginDictionary *dictionary, const char *key, const char *const *values);
/* A new, empty dictionary inside; NULL on failure. Setters take NULL, so that one check at the end is enough. */
SnoozePluginDictionary *snooze_plugin_dictionary_add_dictionary(SnoozePluginDictionary *dictionary,
                                                                const char *key); /* a{sv} */
/* One more element of a list of dictionaries, which its first element begins. */
SnoozePluginDictionary *snooze_plugin_dictionary_append_dictionary(SnoozePluginDictionary *dictionary,
                                                                   const char *key); /* aa{sv} */
/* A dictionary inside whose values are all strings, or all numbers. */
SnoozePluginDictionary *snooze_plugin_dictionary_add_strings(SnoozePluginDictionary *dictionary,
                                                             const char *key); /* a{ss} */
SnoozePluginDictionary *snooze_plugin_dictionary_add_numbers(SnoozePluginDictionary *dictionary,
                                                             const char *key); /* a{sd} */

#ifdef __cplusplus
}
#endif
