/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#define CONFIG_PRIORITY_MAX 1000000 /* as in manifests */

/* The one table of configuration keys. Private to config/: everybody else reads struct Config or config_describe(). */

#include "daemon/config/config.h"

typedef enum KeyType {
        KEY_NUMBER,
        KEY_BOOLEAN,
        KEY_STRING,
        KEY_STRINGS, /* array of strings */
        KEY_SECTION, /* an object whose members stand in this table */
        KEY_MAP,     /* an object whose member names the administrator chooses */
        KEY_LEGACY,  /* accepted with a warning: seed formats had it, here it has no meaning */
} KeyType;

typedef struct ConfigKey {
        const char *name;   /* full, dotted: "plugins.enabled"; a legacy name may end in '*' */
        KeyType type;
        size_t offset;      /* into Config: NUMBER, BOOLEAN, STRING, STRINGS */
        double minimum, maximum;
        gboolean above;     /* `minimum` itself is too little */
        gboolean whole;     /* NUMBER: nothing after the point */
        double number;      /* default of NUMBER and BOOLEAN */
        const char *text;   /* default of STRING */
        const char *const *choices; /* STRING, STRINGS: nothing else */
        gboolean (*valid)(const char *value); /* STRING, each of STRINGS, each member name of MAP */
        const char *expected; /* what `valid` wants, in words */
        const char *unit;
        const char *description; /* LEGACY: what replaces it */
} ConfigKey;

extern const ConfigKey config_keys[];
extern const gsize config_keys_count;

/* prefix: "" or "plugins." NULL: no such key. */
const ConfigKey *config_key_find(const char *prefix, const char *name);

/* The known name that looks most like this one, or NULL if none does. */
const char *config_key_suggest(const char *prefix, const char *name);

/* The same among others; candidates end with NULL. */
const char *config_suggest(const char *const *candidates, const char *name);

/* A type of event, or "….*" for all below. */
gboolean config_event_valid(const char *type);
gboolean config_id_valid(const char *id);
gboolean config_source_name_valid(const char *name);

#define CONFIG_MAP_MAX 256U
#define CONFIG_STRING_MAX 4096U
