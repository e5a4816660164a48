/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "sdk/dictionary-private.h"

static int read_entries(sd_bus_message *m, const char *contents, SnoozePluginDictionary *dictionary);

static int read_string(sd_bus_message *m, char type, SnoozePluginDictionary *dictionary, const char *key) {
        const char *value;
        int r;

        r = sd_bus_message_read_basic(m, type, &value);
        if (r < 0)
                return r;
        return snooze_plugin_dictionary_set_string(dictionary, key, value);
}

static int read_number(sd_bus_message *m, char type, SnoozePluginDictionary *dictionary, const char *key) {
        union {
                uint8_t y;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
                double d;
                int b;
        } value;
        int r;

        r = sd_bus_message_read_basic(m, type, &value);
        if (r < 0)
                return r;
        switch (type) {
        case 'y':
                return snooze_plugin_dictionary_set_uint(dictionary, key, value.y);
        case 'n':
                return snooze_plugin_dictionary_set_int(dictionary, key, value.n);
        case 'q':
                return snooze_plugin_dictionary_set_uint(dictionary, key, value.q);
        case 'i':
                return snooze_plugin_dictionary_set_int(dictionary, key, value.i);
        case 'u':
                return snooze_plugin_dictionary_set_uint(dictionary, key, value.u);
        case 'x':
                return snooze_plugin_dictionary_set_int(dictionary, key, value.x);
        case 't':
                return snooze_plugin_dictionary_set_uint(dictionary, key, value.t);
        case 'd':
                return snooze_plugin_dictionary_set_double(dictionary, key, value.d);
        default:
                return snooze_plugin_dictionary_set_bool(dictionary, key, value.b != 0);
        }
}

static int read_strv(sd_bus_message *m, SnoozePluginDictionary *dictionary, const char *key) {
        char **values = NULL;
        int r;

        r = sd_bus_message_read_strv(m, &values);
        if (r < 0)
                return r;
        /* An empty list comes as NULL. */
        r = snooze_plugin_dictionary_set_strv(dictionary, key,
                                              values ? (const char *const *) values : &(const char *){ NULL });
        for (char **p = values; p && *p; p++)
                free(*p);
        free(values);
        return r;
}

static int read_list(sd_bus_message *m, SnoozePluginDictionary *dictionary, const char *key) {
        int r;

        r = sd_bus_message_enter_container(m, 'a', "a{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_at_end(m, false)) == 0) {
                SnoozePluginDictionary *child = snooze_plugin_dictionary_append_dictionary(dictionary, key);

                if (!child)
                        return dictionary_failure(dictionary);
                r = read_entries(m, "{sv}", child);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        return sd_bus_message_exit_container(m);
}

static int read_inner(sd_bus_message *m, const char *contents, SnoozePluginDictionary *dictionary, const char *key) {
        SnoozePluginDictionary *child;

        if (strcmp(contents, "{ss}") == 0)
                child = snooze_plugin_dictionary_add_strings(dictionary, key);
        else if (strcmp(contents, "{sd}") == 0)
                child = snooze_plugin_dictionary_add_numbers(dictionary, key);
        else
                child = snooze_plugin_dictionary_add_dictionary(dictionary, key);
        return child ? read_entries(m, contents, child) : dictionary_failure(dictionary);
}

static int read_value(sd_bus_message *m, const char *signature, SnoozePluginDictionary *dictionary, const char *key) {
        int r;

        if (strlen(signature) == 1 && strchr("sog", signature[0]))
                return read_string(m, signature[0], dictionary, key);
        if (strlen(signature) == 1 && strchr("ynqiuxtdb", signature[0]))
                return read_number(m, signature[0], dictionary, key);
        if (strcmp(signature, "as") == 0)
                return read_strv(m, dictionary, key);
        if (strcmp(signature, "aa{sv}") == 0)
                return read_list(m, dictionary, key);
        if (strcmp(signature, "a{sv}") == 0 || strcmp(signature, "a{ss}") == 0 || strcmp(signature, "a{sd}") == 0)
                return read_inner(m, signature + 1, dictionary, key);

        r = sd_bus_message_skip(m, signature);
        if (r < 0)
                return r;
        return dictionary_set_opaque(dictionary, key);
}

static int read_variant(sd_bus_message *m, SnoozePluginDictionary *dictionary, const char *key) {
        const char *signature;
        char type;
        int r;

        r = sd_bus_message_peek_type(m, &type, &signature);
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(m, 'v', signature);
        if (r < 0)
                return r;
        r = read_value(m, signature, dictionary, key);
        if (r < 0)
                return r;
        return sd_bus_message_exit_container(m);
}

static int read_entry(sd_bus_message *m, const char *contents, SnoozePluginDictionary *dictionary) {
        const char *key;
        int r;

        r = sd_bus_message_read_basic(m, 's', &key);
        if (r < 0)
                return r;
        if (snooze_plugin_dictionary_has(dictionary, key))
                return -EEXIST;
        switch (contents[2]) {
        case 's':
                return read_string(m, 's', dictionary, key);
        case 'd':
                return read_number(m, 'd', dictionary, key);
        default:
                return read_variant(m, dictionary, key);
        }
}

static int read_entries(sd_bus_message *m, const char *contents, SnoozePluginDictionary *dictionary) {
        char entry[] = "sv";
        int r;

        entry[1] = contents[2];
        r = sd_bus_message_enter_container(m, 'a', contents);
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', entry)) > 0) {
                r = read_entry(m, contents, dictionary);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        return sd_bus_message_exit_container(m);
}

int dictionary_explain(int r, sd_bus_error *error) {
        switch (r) {
        case -E2BIG:
                return sd_bus_error_setf(
                        error, ERROR_LIMITS_EXCEEDED,
                        "The dictionary is too large: at most %u levels, %u entries, %u bytes a key, %u bytes of text",
                        DICTIONARY_DEPTH_MAX, DICTIONARY_ENTRIES_MAX, DICTIONARY_KEY_MAX, DICTIONARY_BYTES_MAX);
        case -EEXIST:
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "The dictionary has a key twice");
        case -ERANGE:
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT,
                                         "The dictionary has a number that is not finite");
        default:
                return r;
        }
}

int dictionary_read(sd_bus_message *m, const char *contents, SnoozePluginDictionary **ret, sd_bus_error *error) {
        _cleanup_(dictionary_freep) SnoozePluginDictionary *dictionary = dictionary_new();
        int r;

        if (!dictionary)
                return -ENOMEM;
        r = read_entries(m, contents, dictionary);
        if (r < 0)
                return dictionary_explain(r, error);
        *ret = steal(dictionary);
        return 0;
}

int dictionary_read_later(sd_bus_message *m, const char *contents, SnoozePluginDictionary **ret) {
        SnoozePluginDictionary *dictionary = dictionary_new();

        if (!dictionary)
                return -ENOMEM;
        dictionary->pending = sd_bus_message_ref(m);
        dictionary->contents = contents;
        *ret = dictionary;
        return 0;
}

void dictionary_resolve(SnoozePluginDictionary *dictionary) {
        _cleanup_bus_message_ sd_bus_message *m = steal(dictionary->pending);
        int r = read_entries(m, dictionary->contents, dictionary);

        if (r >= 0)
                return;
        dictionary->failed = r;
        dictionary_clear(dictionary);
}

static int append_container(sd_bus_message *m, const SnoozePluginDictionary *dictionary);

static int append_list(sd_bus_message *m, const DictionaryList *list) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "a{sv}");
        if (r < 0)
                return r;
        for (size_t i = 0; i < list->n; i++) {
                r = append_container(m, list->items[i]);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(m);
}

static const char *signature_of(const DictionaryEntry *entry) {
        static const char *const shapes[] = { [DICTIONARY_OF_VARIANTS] = "a{sv}",
                                              [DICTIONARY_OF_STRINGS] = "a{ss}",
                                              [DICTIONARY_OF_NUMBERS] = "a{sd}" };

        switch (entry->kind) {
        case DICTIONARY_STRING:
                return "s";
        case DICTIONARY_INT:
                return "x";
        case DICTIONARY_UINT:
                return "t";
        case DICTIONARY_DOUBLE:
                return "d";
        case DICTIONARY_BOOL:
                return "b";
        case DICTIONARY_STRV:
                return "as";
        case DICTIONARY_DICTIONARY:
                return shapes[entry->value.dictionary->shape];
        case DICTIONARY_LIST:
                return "aa{sv}";
        default:
                return NULL;
        }
}

static int append_value(sd_bus_message *m, const DictionaryEntry *entry) {
        switch (entry->kind) {
        case DICTIONARY_STRING:
                return sd_bus_message_append_basic(m, 's', entry->value.string);
        case DICTIONARY_INT:
                return sd_bus_message_append_basic(m, 'x', &entry->value.integer);
        case DICTIONARY_UINT:
                return sd_bus_message_append_basic(m, 't', &entry->value.natural);
        case DICTIONARY_DOUBLE:
                return sd_bus_message_append_basic(m, 'd', &entry->value.number);
        case DICTIONARY_BOOL:
                return sd_bus_message_append_basic(m, 'b', &(int) { entry->value.boolean });
        case DICTIONARY_STRV:
                return sd_bus_message_append_strv(m, entry->value.strv);
        case DICTIONARY_DICTIONARY:
                return append_container(m, entry->value.dictionary);
        case DICTIONARY_LIST:
                return append_list(m, &entry->value.list);
        default:
                return -EINVAL;
        }
}

static int append_variant(sd_bus_message *m, const DictionaryEntry *entry) {
        int r;

        r = sd_bus_message_open_container(m, 'v', signature_of(entry));
        if (r < 0)
                return r;
        r = append_value(m, entry);
        if (r < 0)
                return r;
        return sd_bus_message_close_container(m);
}

static int append_entry(sd_bus_message *m, const SnoozePluginDictionary *dictionary, const DictionaryEntry *entry) {
        static const char *const types[] = {
                [DICTIONARY_OF_VARIANTS] = "sv", [DICTIONARY_OF_STRINGS] = "ss", [DICTIONARY_OF_NUMBERS] = "sd"
        };
        int r;

        r = sd_bus_message_open_container(m, 'e', types[dictionary->shape]);
        if (r < 0)
                return r;
        r = sd_bus_message_append_basic(m, 's', entry->key);
        if (r < 0)
                return r;
        r = dictionary->shape == DICTIONARY_OF_VARIANTS ? append_variant(m, entry) : append_value(m, entry);
        if (r < 0)
                return r;
        return sd_bus_message_close_container(m);
}

static int append_container(sd_bus_message *m, const SnoozePluginDictionary *dictionary) {
        static const char *const contents[] = {
                [DICTIONARY_OF_VARIANTS] = "{sv}", [DICTIONARY_OF_STRINGS] = "{ss}", [DICTIONARY_OF_NUMBERS] = "{sd}"
        };
        int r;

        r = sd_bus_message_open_container(m, 'a', contents[dictionary->shape]);
        if (r < 0)
                return r;
        for (size_t i = 0; i < dictionary->n; i++) {
                /* What could not be understood on its way in cannot be repeated on its way out. */
                if (dictionary->entries[i].kind == DICTIONARY_OPAQUE)
                        continue;
                r = append_entry(m, dictionary, &dictionary->entries[i]);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(m);
}

int dictionary_append(sd_bus_message *m, const SnoozePluginDictionary *dictionary) {
        return append_container(m, dictionary);
}
