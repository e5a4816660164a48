/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reading what Azure answers: a path of members instead of a ladder of checks. NULL is a document without anything in
 * it. */

#include <json-glib/json-glib.h>

/* The object at "properties/instanceView"; NULL where there is none. Borrowed. */
JsonObject *document_object(JsonObject *root, const char *path);
/* The array at a path; NULL where there is none. Borrowed. */
JsonArray *document_array(JsonObject *root, const char *path);
/* The text at a path; "" where there is none. Borrowed. */
const char *document_text(JsonObject *root, const char *path);
/* true where it is true there, or, as the metadata service has it, "true". */
gboolean document_is_true(JsonObject *root, const char *path);
/* The n-th element where it is an object; NULL where not, or behind the last. Borrowed. */
JsonObject *document_element(JsonArray *array, guint n);
