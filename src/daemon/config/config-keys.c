/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/config/config-keys.h"

#include <stddef.h>
#include <string.h>

#include "base/event-types.h"
#include "base/names.h"
#include "base/stop-actions.h"

#define TEN_YEARS_IN_MINUTES (10.0 * 366 * 24 * 60)
#define ANY 1e15

static const char *const stop_effects[] = { "keeps-billing", "terminates", "unknown", NULL };

gboolean config_id_valid(const char *id) {
        return plugin_id_valid(id);
}

gboolean config_event_valid(const char *type) {
        size_t n = strlen(type);

        if (n <= 2 || !g_str_has_suffix(type, ".*"))
                return event_type_find(type) != NULL;
        for (const EventType *known = event_types; known->name; known++)
                if (strncmp(known->name, type, n - 1) == 0)
                        return TRUE;
        return g_str_equal(type, "custom.*") ||
                (g_str_has_prefix(type, "custom.") && n <= EVENT_TYPE_MAX && !strstr(type, "..") &&
                 strspn(type, "abcdefghijklmnopqrstuvwxyz0123456789.-") == n - 1);
}

gboolean config_source_name_valid(const char *name) {
        const char *slash = strchr(name, '/');
        g_autofree char *id = g_strndup(name, slash ? (gsize) (slash - name) : strlen(name));

        if (!slash && metric_name_valid(id))
                return TRUE;
        if (!config_id_valid(id))
                return FALSE;
        if (!slash)
                return TRUE;
        if (slash[1] == '\0' || strlen(slash + 1) > 128)
                return FALSE;
        for (const char *c = slash + 1; *c; c++)
                if (g_ascii_iscntrl(*c))
                        return FALSE;
        return TRUE;
}

static gboolean id_or_none_valid(const char *value) {
        return value[0] == '\0' || config_id_valid(value);
}

static gboolean absolute_path_valid(const char *value) {
        return g_path_is_absolute(value) && !g_strstr_len(value, -1, "/../") && !g_str_has_suffix(value, "/..");
}

#define NUMBER(key, field, low, high, fallback, what, ...)                                                            \
        {                                                                                                             \
                .name = key, .type = KEY_NUMBER, .offset = offsetof(Config, field), .minimum = low, .maximum = high,  \
                .number = fallback, .unit = what, __VA_ARGS__                                                         \
        }
#define BOOLEAN(key, field, fallback, sentence)                                                                       \
        {                                                                                                             \
                .name = key, .type = KEY_BOOLEAN, .offset = offsetof(Config, field), .number = fallback,              \
                .description = sentence                                                                               \
        }
#define STRING(key, field, fallback, ...)                                                                             \
        { .name = key, .type = KEY_STRING, .offset = offsetof(Config, field), .text = fallback, __VA_ARGS__ }
#define LEGACY(key, sentence) { .name = key, .type = KEY_LEGACY, .description = sentence }

const ConfigKey config_keys[] = {
        NUMBER("check_interval_seconds", check_interval_seconds, 1, 3600, 60, "s",
               .description = "How often the plugins are asked."),
        NUMBER("naptime_minutes", naptime_minutes, 0, TEN_YEARS_IN_MINUTES, 30, "min", .above = TRUE,
               .description = "How long the machine must have been idle before the warning begins."),
        NUMBER("cpu_threshold_percent", cpu_threshold_percent, 0, 100, 5, "%",
               .description = "CPU use of all CPUs together at or above this is activity."),
        NUMBER("memory_threshold_percent", memory_threshold_percent, 0, 100, 90, "%",
               .description = "Memory use at or above this is activity, where sources.memory.policy lets it decide."),
        NUMBER("network_threshold_kbps", network_threshold_kbps, 0, ANY, 50, "kB/s",
               .description = "Network traffic, received and sent, at or above this is activity."),
        NUMBER("disk_io_threshold_kbps", disk_io_threshold_kbps, 0, ANY, 100, "kB/s",
               .description = "Disk traffic, read and written, at or above this is activity."),
        NUMBER("input_idle_threshold_secs", input_idle_threshold_secs, 0, ANY, 900, "s",
               .description = "A person is there until no key, pointer or terminal was touched for this long."),
        BOOLEAN("gpu_monitoring_enabled", gpu_monitoring_enabled, TRUE,
                "Whether a GPU's use decides, where a plugin measures it."),
        NUMBER("gpu_threshold_percent", gpu_threshold_percent, 0, 100, 5, "%",
               .description = "Use of the busiest GPU at or above this is activity."),
        STRING("provider_type", provider_type, "", .valid = id_or_none_valid,
               .expected = "a provider's id, \"auto\" or \"\"",
               .description = "Older name of provider, used where provider is not set."),
        STRING("aws_region", aws_region, "",
               .description = "Region whose API the provider aws asks; without it the instance's own."),
        BOOLEAN("enable_instance_tags", enable_instance_tags, FALSE,
                "Whether a stop leaves its time and reason in the instance's tags (Status stopped; running "
                "again when it was called off, or the machine is back)."),
        STRING("tagging_prefix", tagging_prefix, "CloudSnooze",
               .description = "What the names of these tags begin with."),
        BOOLEAN("detailed_instance_tags", detailed_instance_tags, FALSE,
                "Whether the tags carry the metrics at the time of the stop, too."),
        { .name = "plugins",
          .type = KEY_SECTION,
          .description = "Plugins: where they are and how they are configured." },
        BOOLEAN("plugins.enabled", plugins_enabled, TRUE, "Whether any plugin runs at all."),
        BOOLEAN("plugins.native_enabled", plugins_native_enabled, FALSE,
                "Whether official plugins with the runtime `native` are loaded into the daemon itself, without a "
                "process and a sandbox of "
                "their own: what goes wrong in one goes wrong in the daemon."),
        { .name = "plugins.directories",
          .type = KEY_STRINGS,
          .offset = offsetof(Config, plugin_directories),
          .valid = absolute_path_valid,
          .expected = "an absolute path without \"..\"",
          .description = "Further directories of plugins, owned by root." },
        { .name = "plugins.limits",
          .type = KEY_MAP,
          .valid = config_id_valid,
          .expected = "a plugin's id (" PLUGIN_ID_EXPECTED ")",
          .description = "Lower limits than those of a plugin's manifest, by id: memory_mb, cpu_percent and tasks." },
        { .name = "plugins.timeouts",
          .type = KEY_MAP,
          .valid = config_id_valid,
          .expected = "a plugin's id (" PLUGIN_ID_EXPECTED ")",
          .description = "Other time-outs than those of a plugin's manifest, by id, in seconds (0.1 to 3600): start, "
                         "initialize, check, "
                         "event, provider, export, shutdown and stream." },
        NUMBER("plugins.max_restarts", max_restarts, 0, 100, 5, "times", .whole = TRUE,
               .description = "How often a plugin that fails is started again within plugins.restart_window_minutes "
                              "before it is "
                              "quarantined; after a pause that grows from one failure to the next."),
        NUMBER("plugins.restart_window_minutes", restart_window_minutes, 0, 1440, 10, "min", .above = TRUE,
               .description = "Failures of a plugin longer ago than this do not count."),
        { .name = "plugins.plugin_configs",
          .type = KEY_MAP,
          .valid = config_id_valid,
          .expected = "a plugin's id (" PLUGIN_ID_EXPECTED ")",
          .description = "Values for each plugin's own configuration, by id; the plugin's schema says which." },
        NUMBER("cpu_threshold_cores", cpu_threshold_cores, 0, 65536, 0.5, "CPUs",
               .description = "This many busy CPUs are activity, however many the machine has; 0 turns the rule off."),
        NUMBER("sample_interval_seconds", sample_interval_seconds, 0.1, 60, 5, "s",
               .description = "How often the built-in metrics are measured."),
        NUMBER("window_seconds", window_seconds, 1, 3600, 60, "s",
               .description =
                       "The mean over this time at or above the threshold is activity, if enough of it was high."),
        NUMBER("burst_seconds", burst_seconds, 0.1, 3600, 15, "s",
               .description = "How much of window_seconds must be at or above the threshold to be activity."),
        NUMBER("long_window_seconds", long_window_seconds, 1, 86400, 600, "s",
               .description = "The mean over this time at or above the threshold is activity, whatever its shape."),
        NUMBER("unknown_grace_seconds", unknown_grace_seconds, 0, 86400, 180, "s",
               .description =
                       "How long a source may give no answer between two idle ones before that counts as activity."),
        NUMBER("warning_minutes", warning_minutes, 0, TEN_YEARS_IN_MINUTES, 5, "min",
               .description = "Time between the warning and the stop."),
        NUMBER("min_uptime_minutes", min_uptime_minutes, 0, TEN_YEARS_IN_MINUTES, 10, "min",
               .description = "No warning earlier than this after boot or resume."),
        NUMBER("max_delay_seconds", max_delay_seconds, 0, 3600, 60, "s",
               .description = "How long delay holds may delay a stop."),
        NUMBER("max_hold_hours", max_hold_hours, 0, 87600, 72, "h", .above = TRUE,
               .description = "Longest hold that a person may take for a span of time."),
        NUMBER("pause_max_hours", pause_max_hours, 0, 87600, 24, "h", .above = TRUE,
               .description = "A pause ends by itself after this time."),
        NUMBER("disk_low_percent", disk_low_percent, 0, 100, 90, "%",
               .description =
                       "A file system of this machine that is this full is announced (system.disk.low); 0: none is."),
        NUMBER("memory_pressure_percent", memory_pressure_percent, 0, 100, 20, "%",
               .description = "Some task waiting for memory this much of the time is announced "
                              "(system.memory.pressure); 0: never."),
        NUMBER("cpu_pressure_percent", cpu_pressure_percent, 0, 100, 90, "%",
               .description =
                       "Some task waiting for a CPU this much of the time is announced (system.cpu.high); 0: never."),
        NUMBER("network_down_seconds", network_down_seconds, 0, 86400, 10, "s",
               .description = "No way out of this machine for so long is announced (system.network.down); 0: never."),
        BOOLEAN("dry_run", dry_run, TRUE,
                "Do everything but the last call to the provider, until " SNOOZE_COMMAND " setup arms it."),
        STRING("provider", provider, "auto", .valid = config_id_valid, .expected = "a provider's id or \"auto\"",
               .description = "The provider that stops this machine; auto takes the one that detects itself."),
        STRING("stop_action", stop_action, "stop", .choices = stop_action_names,
               .description = "What the provider is asked to do."),
        { .name = "allow_stop_effects",
          .type = KEY_STRINGS,
          .offset = offsetof(Config, allow_stop_effects),
          .choices = stop_effects,
          .description =
                  "Effects of a stop, otherwise refused, that are wanted: keeps-billing, terminates, unknown." },
        { .name = "sources",
          .type = KEY_MAP,
          .valid = config_source_name_valid,
          .expected = "a metric, a plugin's id, or \"<id>/<name>\"",
          .description = "By source: policy (required, advisory, sufficient, off), on_error (busy, ignore) and "
                         "timeout_seconds (0.1 to 300)." },
        { .name = "events",
          .type = KEY_MAP,
          .valid = config_event_valid,
          .expected = "a type of event in snoozed(8), or \"custom.*\"",
          .description = "By type of event: mode, all (every handler gets it) or first (over with the first that "
                         "handled it)." },
        { .name = "providers",
          .type = KEY_MAP,
          .valid = config_id_valid,
          .expected = "a provider's id (" PLUGIN_ID_EXPECTED ")",
          .description = "Values for each provider's own configuration, by id." },
        LEGACY("plugins.external_repositories",
               "nothing fetches plugins; " SNOOZE_COMMAND " plugin install takes a directory or an archive"),
        LEGACY("logging", "the journal has everything, see journalctl -u snoozed"),
        LEGACY("monitoring_mode", "built-in metrics are always measured; sources says which of them decide"),
        LEGACY("tag_polling_*", "nothing polls tags; " SNOOZE_COMMAND " hold, postpone and pause say \"not now\""),
};

const gsize config_keys_count = G_N_ELEMENTS(config_keys);

static gboolean key_matches(const ConfigKey *key, const char *prefix, const char *name) {
        gsize n = strlen(prefix), length;

        if (strncmp(key->name, prefix, n) != 0)
                return FALSE;
        length = strlen(key->name + n);
        if (length > 0 && key->name[n + length - 1] == '*')
                return strncmp(key->name + n, name, length - 1) == 0;
        return g_str_equal(key->name + n, name);
}

const ConfigKey *config_key_find(const char *prefix, const char *name) {
        /* A dot in a member's name must not reach into a section: {"plugins.enabled": false} is no key. */
        if (strchr(name, '.'))
                return NULL;
        for (gsize i = 0; i < config_keys_count; i++)
                if (key_matches(&config_keys[i], prefix, name))
                        return &config_keys[i];
        return NULL;
}

#define SUGGEST_MAX 128U /* no name is longer */

/* Levenshtein's distance, in bytes: names are ASCII. */
static unsigned distance(const char *a, const char *b) {
        gsize n = strlen(b);
        g_autofree unsigned *row = g_new(unsigned, n + 1);

        for (gsize j = 0; j <= n; j++)
                row[j] = (unsigned) j;
        for (gsize i = 0; a[i]; i++) {
                unsigned diagonal = row[0];

                row[0] = (unsigned) i + 1;
                for (gsize j = 0; j < n; j++) {
                        unsigned replace = diagonal + (a[i] != b[j]);

                        diagonal = row[j + 1];
                        row[j + 1] = MIN(replace, MIN(row[j], row[j + 1]) + 1);
                }
        }
        return row[n];
}

typedef struct Nearest {
        const char *word, *best;
        unsigned distance;
} Nearest;

static void nearest_try(Nearest *nearest, const char *candidate) {
        unsigned d = distance(nearest->word, candidate);

        if (d < nearest->distance) {
                nearest->distance = d;
                nearest->best = candidate;
        }
}

static Nearest nearest_begin(const char *word) {
        return (Nearest){ .word = word,
                          .distance = strlen(word) > SUGGEST_MAX ? 0 : MAX(3U, (unsigned) strlen(word) / 3) };
}

const char *config_key_suggest(const char *prefix, const char *name) {
        Nearest nearest = nearest_begin(name);
        gsize n = strlen(prefix);

        for (gsize i = 0; nearest.distance > 0 && i < config_keys_count; i++) {
                const char *key = config_keys[i].name;

                if (config_keys[i].type != KEY_LEGACY && strncmp(key, prefix, n) == 0 && !strchr(key + n, '.'))
                        nearest_try(&nearest, key + n);
        }
        return nearest.best;
}

const char *config_suggest(const char *const *candidates, const char *name) {
        Nearest nearest = nearest_begin(name);

        for (; nearest.distance > 0 && *candidates; candidates++)
                nearest_try(&nearest, *candidates);
        return nearest.best;
}
