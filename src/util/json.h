/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* JSON read strictly: bounded in size and depth, duplicate keys and trailing text refused, errors that name the place.
 * json-glib parses; what it is lenient about is checked here. JsonObject is also how dictionaries (evidence, details,
 * events, history rows) travel inside the daemon; bus/dictionary.h turns them into a{sv} and back. */

#include <glib.h>
#include <json-glib/json-glib.h>

#define JSON_SIZE_MAX (1024U * 1024U)
#define JSON_DEPTH_MAX 32U

typedef enum JsonError {
        JSON_ERROR_SYNTAX,   /* not JSON, or a duplicate key, or text behind it; the message has line and column */
        JSON_ERROR_TOO_LARGE,
        JSON_ERROR_TOO_DEEP,
        JSON_ERROR_TYPE,     /* valid JSON of another type than expected here */
} JsonError;

#define JSON_TEXT_ERROR (json_text_error_quark())
GQuark json_text_error_quark(void);

/* name is what messages call the text: a file's path, "patch". length -1: NUL-terminated. Every number must be finite,
 * every string UTF-8. Returns a new node; never NULL without error. */
JsonNode *json_text_parse(const char *name, const char *text, gssize length, GError **error);

/* json_text_parse() of a file of at most JSON_SIZE_MAX bytes. */
JsonNode *json_file_parse(const char *path, GError **error);

/* One line, keys in the order they were put in. */
char *json_text_compact(JsonNode *node);
char *json_object_text(JsonObject *object);

/* The same, behind what is there, for texts that are put together from parts; a string comes with its quotes. */
void json_append_string(GString *text, const char *string);
void json_append_int(GString *text, gint64 value);
void json_append_object(GString *text, JsonObject *object);

/* In whatever order their keys are; NULL is equal to NULL alone. */
gboolean json_objects_equal(JsonObject *a, JsonObject *b);

/* Two-space indented, ends with a newline: for files and people. */
char *json_text_pretty(JsonNode *node);

/* RFC 7396. Changes target's object in place where both are objects; else the result is new and shares nothing with
 * the patch. The caller owns a reference of the result and keeps that of target, which may be NULL. */
JsonNode *json_merge_patch(JsonNode *target, JsonNode *patch);

/* Members of an object with a default where the member is missing or has another type: for our own records, not for
 * input from outside, whose types are to be checked. */
const char *json_get_string(JsonObject *object, const char *member, const char *fallback);
gint64 json_get_int(JsonObject *object, const char *member, gint64 fallback);
double json_get_double(JsonObject *object, const char *member, double fallback);
gboolean json_get_boolean(JsonObject *object, const char *member, gboolean fallback);
JsonObject *json_get_object(JsonObject *object, const char *member);
JsonArray *json_get_array(JsonObject *object, const char *member);
