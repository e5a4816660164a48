/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* JSON as somebody typed it → what plugins take over the bus: a{sv} of strings, numbers, booleans, lists and dictionaries. */

#include <gio/gio.h>
#include <json-glib/json-glib.h>

/* Floating; null members are left out. */
GVariant *variant_of_object(JsonObject *object);
