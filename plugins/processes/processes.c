/* SPDX-License-Identifier: Apache-2.0 */

/* Processes that an administrator named keep the machine on: by being there, or by using the CPU. Each pattern has a
 * vote of its own, `processes/NAME`; the plugin's own vote is about itself alone: unknown if it cannot see the
 * processes, else idle. Nobody learns from it what stands in a command line, which may hold secrets of others. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <snooze/plugin.h>

#include "base/clock.h"
#include "config.h"
#include "patterns.h"
#include "scan.h"
#include "usage.h"

typedef struct Processes {
        GPtrArray *patterns; /* Pattern */
        GPtrArray *usages;   /* Usage of each; NULL where the pattern does not ask for it */
} Processes;

/* What one look saw of one pattern. */
typedef struct Sight {
        const Pattern *pattern;
        Usage *usage;
        gboolean owner_known;
        uid_t owner;
        unsigned n;
        char name[PROCESS_NAME_SIZE]; /* of the first */
        double percent;
} Sight;

typedef struct Look {
        Sight *sights;
        guint n;
} Look;

static void usage_done(void *usage) {
        (void) usage_free(usage);
}

static int configure(SnoozePluginCall *call, const SnoozePluginDictionary *config, void *userdata) {
        uint64_t window =
                (uint64_t) (snooze_plugin_dictionary_get_double(config, "window_seconds", 60) * (double) USEC_PER_SEC);
        Processes *processes = userdata;
        g_autoptr(GPtrArray) patterns = NULL, usages = NULL;
        g_autoptr(GError) error = NULL;

        patterns = patterns_parse(snooze_plugin_dictionary_get_strv(config, "patterns", NULL), &error);
        if (!patterns)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "patterns: %s",
                                               error->message);
        usages = g_ptr_array_new_with_free_func(usage_done);
        for (guint i = 0; i < patterns->len; i++) {
                const Pattern *pattern = g_ptr_array_index(patterns, i);

                g_ptr_array_add(usages, pattern->cpu > 0 ? usage_new(window) : NULL);
        }
        g_clear_pointer(&processes->patterns, g_ptr_array_unref);
        g_clear_pointer(&processes->usages, g_ptr_array_unref);
        processes->patterns = g_steal_pointer(&patterns);
        processes->usages = g_steal_pointer(&usages);
        return 0;
}

static void on_process(const ScannedProcess *process, void *userdata) {
        const Look *look = userdata;

        for (guint i = 0; i < look->n; i++) {
                Sight *sight = &look->sights[i];

                if (!sight->owner_known || !pattern_matches(sight->pattern, sight->owner, process))
                        continue;
                if (sight->n++ == 0)
                        g_strlcpy(sight->name, process->name, sizeof(sight->name));
                if (sight->usage)
                        usage_add(sight->usage, process->pid, process->started, process->cpu);
        }
}

static const char *judge(const Sight *sight, char *reason, size_t size) {
        const Pattern *pattern = sight->pattern;
        g_autofree char *what = sight->n == 1 ? g_strdup_printf("%s runs", sight->name)
                                              : g_strdup_printf("%u processes run, one is %s", sight->n, sight->name);

        if (!sight->owner_known) {
                g_snprintf(reason, (gulong) size, "there is no user %s", pattern->owner);
                return "unknown";
        }
        if (sight->n == 0) {
                g_snprintf(reason, (gulong) size, "no such process runs");
                return "idle";
        }
        if (!sight->usage) {
                g_snprintf(reason, (gulong) size, "%s", what);
                return "busy";
        }
        if (sight->percent < 0) {
                g_snprintf(reason, (gulong) size, "%s; how much CPU is used is known at the next look", what);
                return "unknown";
        }
        g_snprintf(reason, (gulong) size, "%s with %.1f %% of a CPU (from %g %% on it is work)", what, sight->percent,
                   pattern->cpu);
        return sight->percent >= pattern->cpu ? "busy" : "idle";
}

static void fill_vote(SnoozePluginDictionary *details, const Sight *sight) {
        SnoozePluginDictionary *entry = snooze_plugin_dictionary_append_dictionary(details, "votes");
        char reason[256];

        snooze_plugin_dictionary_set_string(entry, "name", sight->pattern->name);
        snooze_plugin_dictionary_set_string(entry, "verdict", judge(sight, reason, sizeof(reason)));
        snooze_plugin_dictionary_set_string(entry, "reason", reason);
        snooze_plugin_dictionary_set_uint(entry, "processes", sight->n);
        if (sight->usage && sight->percent >= 0)
                snooze_plugin_dictionary_set_double(entry, "cpu_percent", sight->percent);
}

static int look_around(const Processes *processes, Look *look) {
        uint64_t now = clock_boottime();
        int r;

        for (guint i = 0; i < look->n; i++) {
                Sight *sight = &look->sights[i];

                sight->pattern = g_ptr_array_index(processes->patterns, i);
                sight->usage = g_ptr_array_index(processes->usages, i);
                sight->owner_known = pattern_owner(sight->pattern, &sight->owner);
                if (sight->usage)
                        usage_begin(sight->usage, now);
        }
        r = scan("", patterns_need_cmdline(processes->patterns), on_process, look);
        for (guint i = 0; i < look->n; i++)
                if (look->sights[i].usage)
                        look->sights[i].percent = usage_end(look->sights[i].usage);
        return r;
}

static int check_idle(SnoozePluginCall *call, const SnoozePluginDictionary *metrics, void *userdata) {
        SnoozePluginDictionary *details = snooze_plugin_call_get_result(call);
        const Processes *processes = userdata;
        g_autofree Sight *sights = NULL;
        Look look = { .n = processes->patterns->len };
        int r;

        if (look.n == 0) {
                snooze_plugin_dictionary_set_bool(details, "watching", false);
                return snooze_plugin_call_set_verdict(call, SNOOZE_PLUGIN_IDLE, "no patterns are configured");
        }
        look.sights = sights = g_new0(Sight, look.n);
        r = look_around(processes, &look);
        if (r < 0)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_FAILED, "Cannot read the processes: %s",
                                               strerror(-r));
        for (guint i = 0; i < look.n; i++)
                fill_vote(details, &sights[i]);
        if (r == 0)
                return snooze_plugin_call_set_verdict(call, SNOOZE_PLUGIN_UNKNOWN,
                                                      "there are too many processes, or those of others are hidden: "
                                                      "permission `processes` is missing");
        return snooze_plugin_call_set_verdict(call, SNOOZE_PLUGIN_IDLE, "%u pattern%s, each with a vote of its own",
                                              look.n, look.n == 1 ? "" : "s");
}

int main(int argc, char *argv[]) {
        static const SnoozePluginSetting settings[] = {
                { "patterns", SNOOZE_PLUGIN_LIST },
                { "window_seconds", SNOOZE_PLUGIN_NUMBER, 5, 3600, .default_value = "60" },
                { NULL },
        };
        Processes processes = {
                .patterns = g_ptr_array_new(),
                .usages = g_ptr_array_new(),
        };
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = "processes",
                .version = PACKAGE_VERSION,
                .description = "Tells whether processes that match a pattern run, or work.",
                .userdata = &processes,
                .settings = settings,
                .initialize = configure,
                .configure = configure,
                .check_idle = check_idle,
        };
        int r = snooze_plugin_main(&plugin, argc, argv);

        g_ptr_array_unref(processes.patterns);
        g_ptr_array_unref(processes.usages);
        return r;
}
