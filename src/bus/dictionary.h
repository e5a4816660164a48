/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* a{sv} ↔ JsonObject. What comes from a plugin or a client is hostile until it went through here: depth, number of
 * entries, length of keys and strings and UTF-8 are bounded, duplicate keys and types that JSON does not know (h)
 * refused. */

#include <stdint.h>

#include <systemd/sd-bus.h>

#include "util/json.h"

typedef struct DictionaryLimits {
        unsigned depth;     /* nesting of a{…}, a… and v */
        unsigned entries;   /* in all, nested ones included */
        unsigned key_max;   /* bytes of one key */
        unsigned bytes;     /* of all keys and strings together */
} DictionaryLimits;

extern const DictionaryLimits dictionary_limits_default; /* 8, 1024, 128, 65536 */

/* Reads an a{sv} at the message's current position. Integers of every size become JSON integers (a t beyond INT64_MAX
 * is refused), ay becomes an array of integers, o and g strings. -EBADMSG with *error set on anything over the
 * limits. */
int dictionary_read(sd_bus_message *message, const DictionaryLimits *limits, JsonObject **ret, sd_bus_error *error);

/* Appends an a{sv}. Strings → s, booleans → b, doubles → d, integers → t where ≥ 0, else x, objects → a{sv}, arrays
 * → as where all are strings (also the empty one), aa{sv} where all are objects, else av; null members are left out.
 * hints may name members at the top level that want another type ("severity" → 'u'): key, signature, …, NULL. */
int dictionary_append(sd_bus_message *message, JsonObject *object, const char *const *hints);

/* Reads an options dictionary of a method: every key must stand in `known` (name, signature pairs, NULL), with that
 * type, once. ERROR_INVALID_ARGUMENT names the key and what is known. */
int options_read(sd_bus_message *message, const char *const *known, JsonObject **ret, sd_bus_error *error);
