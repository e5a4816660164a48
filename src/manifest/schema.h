/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What may be configured about a plugin: the manifest's config_schema, values checked against it, and the values in
 * force with the origin of each. A value comes from the default, then the configuration, then the plugin's environment
 * file. */

#include <glib.h>
#include <json-glib/json-glib.h>

typedef enum SettingType {
        SETTING_STRING,
        SETTING_INTEGER,
        SETTING_NUMBER,
        SETTING_BOOLEAN,
        SETTING_LIST, /* of strings */
        SETTING_TYPE_COUNT,
} SettingType;

typedef struct Setting {
        char *name;
        SettingType type;
        char *description;
        JsonNode *fallback; /* NULL: without a default */
        gboolean required;
        gboolean secret;
        char *constraints;  /* as written, for messages; NULL: none */
        gboolean has_range;
        double minimum, maximum;
        char **choices;     /* NULL: no such constraint */
        GRegex *pattern;    /* NULL: no such constraint */
} Setting;

typedef struct Schema Schema;

#define SETTINGS_MAX 256U
#define SETTING_NAME_MAX 64U
#define SETTING_TEXT_MAX 8192 /* bytes of one string */
#define SETTING_LIST_MAX 1023 /* strings of one list */
/* All values together are one dictionary of the plugin's library: settings and strings of lists, and bytes of names
 * and strings. */
#define SETTINGS_VALUES_MAX 1024U
#define SETTINGS_BYTES_MAX 65536U

/* name: what messages call the text ("/usr/…/plugin.json: /config_schema"). description may be NULL: no settings. */
Schema *schema_parse(const char *name, JsonObject *description, GError **error);
void schema_free(Schema *schema);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Schema, schema_free)

/* In the order of the manifest; borrowed. */
GPtrArray *schema_settings(const Schema *schema);
const Setting *schema_find(const Schema *schema, const char *name);

/* Every member must be a setting, of its type and within its constraints. name: what messages call the values. */
gboolean schema_check(const Schema *schema, const char *name, JsonObject *values, GError **error);

typedef struct Settings {
        JsonObject *values;  /* what Initialize is sent */
        JsonObject *origins; /* name → "default" "configuration" "environment" */
} Settings;

void settings_free(Settings *settings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Settings, settings_free)

/* configured and environment may be NULL; environment is the text of an environment file, each SNOOZE_<NAME>=value. A
 * required setting without a value is an error. */
Settings *schema_resolve(const Schema *schema, const char *id, JsonObject *configured, const char *environment,
                         GError **error);
/* The same, but for that: it is left out. Not what a plugin may be started with. */
Settings *schema_resolve_to_show(const Schema *schema, const char *id, JsonObject *configured, const char *environment,
                                 GError **error);

/* How dictionary_append() is to write the values: name, signature, …, NULL. Free with g_strfreev(). */
char **schema_hints(const Schema *schema);
