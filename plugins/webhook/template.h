/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The body that is posted: an event put into a JSON document whose strings have ${type}, ${data.action} and the like
 * in them. A string that is nothing but one of these becomes the value with its type (null where the event has none);
 * within a text it is written out. Nothing of an event can leave its string: the document is built, not pasted
 * together. Pure. */

#include <glib.h>
#include <json-glib/json-glib.h>

#define TEMPLATE_MAX 16384U
#define TEMPLATE_FIELDS_MAX 64U

/* NULL with an error that says what was expected. The node is the caller's. */
JsonNode *template_parse(const char *text, GError **error);

/* event: what stands for the names. A new node. */
JsonNode *template_expand(JsonNode *template, JsonObject *event);
