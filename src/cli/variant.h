/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* JSON as somebody typed it → what plugins take over the bus: a{sv} of strings, numbers, booleans, lists and
 * dictionaries. */

#include <gio/gio.h>
#include <json-glib/json-glib.h>

/* Floating; null members are left out. */
GVariant *variant_of_object(JsonObject *object);

/* Anything that is JSON is taken as such; what is not is a string, so that nobody has to quote twice. */
JsonNode *json_of_text(const char *text);

/* An object as an argument of this verb; "-": from stdin, where a value need not pass through the list of processes.
 * NULL: it was not to be understood, and was said so. */
GVariant *variant_parse(const char *verb, const char *text);
