/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The configuration: typed, checked, immutable once built, shared by reference. One table (config-keys.c) has for each
 * key its type, range, default, unit and the sentence that snooze.json(5) prints; parsing, `config get`, the manual
 * page and the tests all read it. Pure: texts come in, files are read by config-load.c alone. */

#include <stdint.h>

#include <glib.h>
#include <json-glib/json-glib.h>

#include "base/plugin-timeouts.h"

typedef enum Policy {
        POLICY_REQUIRED,
        POLICY_ADVISORY,
        POLICY_SUFFICIENT,
        POLICY_OFF,
} Policy;

const char *policy_name(Policy policy);

typedef enum OnError {
        ON_ERROR_BUSY,
        ON_ERROR_IGNORE,
} OnError;

/* sources.<name>: of a metric, a plugin or a plugin's subject "<id>/<name>". */
typedef struct SourceConfig {
        Policy policy;
        OnError on_error;
        double timeout_seconds; /* of CheckIdle */
} SourceConfig;

typedef struct Config Config;

struct Config {
        grefcount references;

        /* seed 002's names */
        double check_interval_seconds;      /* 1…3600 (60): plugins are asked this often */
        double naptime_minutes;             /* > 0 (30) */
        double cpu_threshold_percent;       /* 0…100 (5); 0: never idle by cpu */
        double memory_threshold_percent;    /* 0…100 (90) */
        double network_threshold_kbps;      /* ≥ 0 (50) */
        double disk_io_threshold_kbps;      /* ≥ 0 (100) */
        double input_idle_threshold_secs;   /* ≥ 0 (900) */
        gboolean gpu_monitoring_enabled;    /* (true) */
        double gpu_threshold_percent;       /* 0…100 (5) */
        char *provider_type;                /* "" (none): an older name of `provider` */
        char *aws_region;
        gboolean enable_instance_tags;      /* (false) */
        char *tagging_prefix;               /* "CloudSnooze" */
        gboolean detailed_instance_tags;
        gboolean plugins_enabled;           /* plugins.enabled (true) */
        gboolean plugins_native_enabled;    /* plugins.native_enabled (false) */
        char **plugin_directories;          /* plugins.directories, absolute paths */
        double max_restarts;                /* plugins.max_restarts (5), a whole number, within … */
        double restart_window_minutes;      /* … plugins.restart_window_minutes (10), then quarantined */

        /* ours */
        double cpu_threshold_cores;         /* ≥ 0 (0.5), 0 = off */
        double sample_interval_seconds;     /* 0.1…60 (5) */
        double window_seconds;              /* (60) */
        double burst_seconds;               /* (15), ≤ window */
        double long_window_seconds;         /* (600), ≥ window */
        double unknown_grace_seconds;       /* (180) */
        double warning_minutes;             /* ≥ 0 (5) */
        double min_uptime_minutes;          /* ≥ 0 (10) */
        double max_delay_seconds;           /* (60) */
        double max_hold_hours;              /* (72) */
        double pause_max_hours;             /* (24) */
        double disk_low_percent;            /* 0…100 (90), 0 = off */
        double memory_pressure_percent;     /* 0…100 (20), 0 = off */
        double cpu_pressure_percent;        /* 0…100 (90), 0 = off */
        double network_down_seconds;        /* ≥ 0 (10), 0 = off */
        gboolean dry_run;                   /* (true): until snooze setup */
        char *provider;                     /* "auto" or an id */
        char *stop_action;                  /* a name of base/stop-actions.h */
        char **allow_stop_effects;          /* of keeps-billing terminates unknown; ([]) */

        JsonObject *merged;                 /* the whole merged document, as written; never NULL */
        JsonObject *sources, *timeouts;     /* in it, "sources" and "plugins.timeouts"; NULL: not there. For each call
                                               of a plugin they are looked at */
        GHashTable *origins; /* "/plugins/enabled" (JSON pointer) → file it came from; others are defaults */
        char **warnings;                    /* accepted keys without a meaning here, each with what replaces it */
};

Config *config_ref(Config *config);
void config_unref(Config *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Config, config_unref)

/* Policy, on_error and time-out of any source: configured, or that of "<id>" for "<id>/<name>", or the default
 * (required, busy, 5 s; advisory for memory and usage-pattern). */
SourceConfig config_source(const Config *config, const char *source);

/* plugins.plugin_configs.<id>, but for its `events`, and providers.<id>, merged in this order (for a provider its
 * `providers` entry counts last), and aws_region as region of the provider aws before both; NULL if none exists. A new
 * reference. */
JsonObject *config_plugin(const Config *config, const char *id);

/* What SetConfiguration would be given to take back what was configured for it by its id, the trust that its votes and
 * those of its subjects have, and that it is the provider; NULL: there is nothing. Limits stay: without them the next
 * one of its name would have more. Caller frees. */
char *config_forget_plugin(const Config *config, const char *id);

/* Of it, what comes from providers.<id>. Borrowed; NULL: nothing does. */
JsonObject *config_provider(const Config *config, const char *id);

/* plugins.limits.<id>: memory_mb, cpu_percent, tasks, each as far as it is configured. Borrowed; NULL: none is. */
JsonObject *config_limits(const Config *config, const char *id);

/* plugins.timeouts.<id>, of CheckIdle sources.<id>.timeout_seconds before it; 0: neither is configured. µs. */
uint64_t config_timeout(const Config *config, const char *id, PluginTimeout timeout);

/* events.<type>.mode: an event of this type is over with the first handler that handled it. */
gboolean config_event_first(const Config *config, const char *type);

/* plugins.plugin_configs.<id>.events.<type>: changes what the manifest says, as far as it is configured. The entry for
 * the type itself, else the longest "….*" above it. */
void config_event_handler(const Config *config, const char *id, const char *type, int *priority, gboolean *enabled);
/* What they say of this plugin is the same. */
gboolean config_event_handlers_equal(const Config *a, const Config *b, const char *id);

typedef enum ConfigError {
        CONFIG_ERROR_SYNTAX,
        CONFIG_ERROR_UNKNOWN_KEY,
        CONFIG_ERROR_TYPE,
        CONFIG_ERROR_RANGE,
        CONFIG_ERROR_CONFLICT, /* two keys that contradict each other: burst_seconds > window_seconds */
        CONFIG_ERROR_FILE,     /* unreadable, not a regular file, writable by others */
} ConfigError;

#define CONFIG_ERROR (config_error_quark())
GQuark config_error_quark(void);

/* One text of the chain, lowest first. */
typedef struct ConfigText {
        const char *name; /* path, or what messages call it */
        const char *text;
} ConfigText;

/* Merges (RFC 7396) and checks. Every message reads "<name>: <json pointer>: got …, expected …" and names the text
 * that said it. n may be 0. */
Config *config_parse(const ConfigText *texts, gsize n, GError **error);

Config *config_new_default(void);

/* Everything as JSON, defaults filled in, values of keys that a plugin's schema or our table calls secret replaced by
 * "(hidden)". secret: asked for plugin_configs' and providers' keys; NULL hides what looks like one (password, secret,
 * token, key, credential, connection_string). */
JsonNode *config_to_json(const Config *config);

/* The pointers of what is set for plugins and providers and is named like a secret, or holds a password in a URL. Free
 * with g_strfreev(). */
char **config_secret_pointers(const Config *config);

/* file:line-less origin of one pointer ("/naptime_minutes"): a path, or "default". */
const char *config_origin(const Config *config, const char *pointer);

/* The table, for `config get`, man page and completion: one object per key with key, type, default, minimum, maximum,
 * unit, description. */
JsonNode *config_describe(void);
