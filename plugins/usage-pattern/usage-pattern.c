/* SPDX-License-Identifier: Apache-2.0 */

/* Learns from the metrics that it is handed with every check at which hours of the week the machine is used, and says
 * busy where the current one usually is, or one that begins soon. It is a hint: advisory unless the configuration says
 * otherwise. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <snooze/plugin.h>

#include "base/clock.h"
#include "config.h"
#include "week.h"

/* What lies between two checks was like the second of them, if that is not too long: not much longer than what lay
 * between the two before, however rarely the daemon asks (check_interval_seconds, an hour at most). */
#define GAP_MAX (5 * USEC_PER_MINUTE)
#define PACE_MAX (66 * USEC_PER_MINUTE)
/* It is learned in pieces: an hour teaches about two. */
#define PIECE_MAX (5 * USEC_PER_MINUTE)

typedef struct Usage {
        SnoozePluginInstance *instance;
        Week week;
        uint64_t last; /* monotonic; 0: no check yet */
        uint64_t pace; /* between the last two */
} Usage;

static int start(SnoozePluginInstance *instance, void *userdata) {
        Usage *usage = userdata;

        usage->instance = instance;
        return 0;
}

static double setting(const Usage *usage, const char *name) {
        return snooze_plugin_instance_get_number(usage->instance, name);
}

static bool is_known(const SnoozePluginDictionary *metrics) {
        return snooze_plugin_dictionary_has(metrics, "cpu_usage") ||
               snooze_plugin_dictionary_has(metrics, "network_kbps") ||
               snooze_plugin_dictionary_has(metrics, "input_idle_seconds");
}

static bool is_used(const Usage *usage, const SnoozePluginDictionary *metrics) {
        return snooze_plugin_dictionary_get_double(metrics, "cpu_usage", -1) >= setting(usage, "cpu_percent") ||
               snooze_plugin_dictionary_get_double(metrics, "network_kbps", -1) >= setting(usage, "network_kbps") ||
               (snooze_plugin_dictionary_has(metrics, "input_idle_seconds") &&
                snooze_plugin_dictionary_get_double(metrics, "input_idle_seconds", 0) <
                        setting(usage, "input_idle_minutes") * 60);
}

static uint64_t gap_max(const Usage *usage) {
        uint64_t usual = usage->pace + usage->pace / 4;

        return usage->pace <= PACE_MAX && usual > GAP_MAX ? usual : GAP_MAX;
}

static void learn(Usage *usage, const SnoozePluginDictionary *metrics, uint64_t now) {
        uint64_t monotonic = clock_monotonic(), gap = usec_sub(monotonic, usage->last);
        uint64_t half_life = (uint64_t) (setting(usage, "half_life_weeks") * 7 * (double) USEC_PER_DAY);

        bool used = is_used(usage, metrics);

        if (usage->last > 0 && gap <= gap_max(usage))
                for (uint64_t left = gap, piece; left > 0; left -= piece) {
                        piece = left < PIECE_MAX ? left : PIECE_MAX;
                        week_learn(&usage->week, now, half_life, week_hour(usec_sub(now, left - piece)),
                                   (double) piece / (double) USEC_PER_SEC, used);
                }
        usage->pace = usage->last > 0 ? gap : 0;
        usage->last = monotonic;
}

static int judge(Usage *usage, SnoozePluginCall *call, uint64_t now) {
        uint64_t ahead = (uint64_t) (setting(usage, "ahead_minutes") * (double) USEC_PER_MINUTE);
        unsigned hour = week_hour(now), later = week_hour(usec_add(now, ahead));
        SnoozePluginDictionary *details = snooze_plugin_call_get_result(call);
        double share = week_share(&usage->week, hour), share_later = week_share(&usage->week, later);
        double usual = setting(usage, "usual_percent");
        char name[16];

        if (100 * share < usual && 100 * share_later >= usual) {
                hour = later;
                share = share_later;
        }
        week_hour_name(hour, name, sizeof(name));
        snooze_plugin_dictionary_set_string(details, "hour", name);
        snooze_plugin_dictionary_set_double(details, "seen_hours", usage->week.seen[hour] / 3600);
        if (share < 0) {
                snooze_plugin_dictionary_set_bool(details, "watching", false);
                return snooze_plugin_call_set_verdict(call, SNOOZE_PLUGIN_IDLE,
                                                      "%s: too little is known of this hour yet", name);
        }
        snooze_plugin_dictionary_set_double(details, "used_percent", 100 * share);
        return snooze_plugin_call_set_verdict(call, 100 * share >= usual ? SNOOZE_PLUGIN_BUSY : SNOOZE_PLUGIN_IDLE,
                                              "%s: used %.0f %% of the time (usual from %g %% on)", name, 100 * share,
                                              usual);
}

static int check_idle(SnoozePluginCall *call, const SnoozePluginDictionary *metrics, void *userdata) {
        uint64_t now = clock_realtime();
        Usage *usage = userdata;

        if (!is_known(metrics))
                return snooze_plugin_call_set_verdict(call, SNOOZE_PLUGIN_UNKNOWN,
                                                      "there are no metrics to learn from");
        learn(usage, metrics, now);
        return judge(usage, call, now);
}

/* A line for each day, a character for each hour: tenths of the time, “.” where too little is known. */
static void draw(const Week *week, SnoozePluginDictionary *result) {
        char lines[7][32], name[16];
        const char *list[8] = { NULL };

        for (unsigned day = 0; day < 7; day++) {
                week_hour_name(day * 24, name, sizeof(name));
                snprintf(lines[day], sizeof(lines[day]), "%.3s ", name);
                for (unsigned hour = 0; hour < 24; hour++) {
                        double share = week_share(week, day * 24 + hour);

                        lines[day][4 + hour] = '.';
                        if (share >= 0)
                                lines[day][4 + hour] = (char) ('0' + (share >= 0.95 ? 9 : (int) (share * 10)));
                }
                lines[day][4 + 24] = 0;
                list[day] = lines[day];
        }
        snooze_plugin_dictionary_set_strv(result, "week", list);
}

static const char *const methods[] = { "week", "forget", NULL };

static int handle_request(SnoozePluginCall *call, const char *method, const SnoozePluginDictionary *params,
                          void *userdata) {
        Usage *usage = userdata;
        const char *key = snooze_plugin_dictionary_get_key(params, 0);

        if (key)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "“%s”: expected nothing",
                                               key);
        if (strcmp(method, "forget") == 0)
                usage->week = (Week) { .faded = 0 };
        draw(&usage->week, snooze_plugin_call_get_result(call));
        return snooze_plugin_call_set_answer(call, true);
}

static int export_state(SnoozePluginCall *call, void *userdata) {
        const Usage *usage = userdata;
        char text[WEEK_TEXT_SIZE];

        return snooze_plugin_call_set_state(call, WEEK_FORMAT, text, week_export(&usage->week, text));
}

static int import_state(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, void *userdata) {
        Usage *usage = userdata;

        if (version != WEEK_FORMAT || week_import(&usage->week, data, size) < 0)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "%zu bytes in format %u: expected a week of hours in format %u", size,
                                               version, WEEK_FORMAT);
        return 0;
}

int main(int argc, char *argv[]) {
        static const SnoozePluginSetting settings[] = {
                { "cpu_percent", SNOOZE_PLUGIN_NUMBER, 0.1, 100, .default_value = "10" },
                { "network_kbps", SNOOZE_PLUGIN_NUMBER, 0.1, 100000000, .default_value = "100" },
                { "input_idle_minutes", SNOOZE_PLUGIN_NUMBER, 0, 1440, .default_value = "15" },
                { "usual_percent", SNOOZE_PLUGIN_NUMBER, 1, 100, .default_value = "50" },
                { "ahead_minutes", SNOOZE_PLUGIN_NUMBER, 0, 60, .default_value = "10" },
                { "half_life_weeks", SNOOZE_PLUGIN_NUMBER, 0.5, 52, .default_value = "4" },
                { NULL },
        };
        static Usage usage;
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = "usage-pattern",
                .version = PACKAGE_VERSION,
                .description = "Learns at which hours of the week the machine is used.",
                .userdata = &usage,
                .settings = settings,
                .start = start,
                .check_idle = check_idle,
                .methods = methods,
                .handle_request = handle_request,
                .export_state = export_state,
                .import_state = import_state,
        };

        return snooze_plugin_main(&plugin, argc, argv);
}
