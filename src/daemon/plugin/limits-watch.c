/* SPDX-License-Identifier: Apache-2.0 */

/* Is a plugin near one of its limits, at it, or killed for it? The kernel's counters are read when the others are
 * looked after (care.c), so that nobody wakes up for it; that the kernel killed it systemd tells when it has happened.
 * Each is told once as ResourceViolation and as a Problem, and again only after it was well below. systemd also tells
 * of each other end of its process, which nobody else does where it has no channel. */

#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/journal.h"
#include "base/names.h"
#include "daemon/plugin/cgroup.h"
#include "daemon/plugin/plugin.h"

#define CGROUP_ROOT "/sys/fs/cgroup"
#define CLOSE_PERCENT 90U  /* of the limit: told */
#define AGAIN_PERCENT 80U  /* below this it may be told again */
#define FOR_MEMORY " for want of memory"

typedef enum WatchedResource {
        WATCHED_MEMORY,
        WATCHED_CPU,
        WATCHED_TASKS,
        WATCHED_COUNT,
} WatchedResource;

static const char *const resource_names[WATCHED_COUNT] = { "memory", "cpu", "tasks" };

struct LimitsWatch {
        Plugin *plugin;
        char *unit, *group;              /* group: NULL until systemd has said it */
        sd_bus_slot *question, *changed;
        CgroupUsage last;
        uint64_t sampled;                /* monotonic; 0: never */
        LimitLevel levels[WATCHED_COUNT];
        gboolean killed;                 /* by us */
        const char *exhausted;           /* how it was killed, once systemd has said that it was */
        gboolean ended;                  /* its process, … */
        char *problem;                   /* … and not well */
};

LimitLevel limit_level(uint64_t used, uint64_t limit, LimitLevel previous) {
        if (used == CGROUP_UNKNOWN || limit == CGROUP_UNKNOWN || limit == 0)
                return LIMIT_KEPT;
        if (used >= limit)
                return LIMIT_REACHED;
        if ((double) used * 100 >= (double) limit * CLOSE_PERCENT)
                return MAX(previous, LIMIT_NEAR);
        return (double) used * 100 < (double) limit * AGAIN_PERCENT ? LIMIT_KEPT : previous;
}

static char *in_words(WatchedResource resource, uint64_t used, uint64_t limit) {
        switch (resource) {
        case WATCHED_MEMORY:
                return g_strdup_printf("uses %.1f MB of memory, its limit is %.1f MB", (double) used / 1e6,
                                       (double) limit / 1e6);
        case WATCHED_CPU:
                return g_strdup_printf("uses %.3g %% of a CPU, its limit is %.3g %%",
                                       (double) used * 100 / USEC_PER_SEC, (double) limit * 100 / USEC_PER_SEC);
        default:
                return g_strdup_printf("has %" PRIu64 " tasks, its limit is %" PRIu64, used, limit);
        }
}

static void violated(LimitsWatch *watch, WatchedResource resource, uint64_t used, uint64_t limit,
                     const char *message) {
        plugin_bus_violation(watch->plugin, resource_names[resource], limit, used);
        plugins_problem(watch->plugin->plugins, watch->plugin->id, message);
}

static void judge(LimitsWatch *watch, WatchedResource resource, uint64_t used, uint64_t limit) {
        LimitLevel previous = watch->levels[resource];
        g_autofree char *message = NULL;

        watch->levels[resource] = limit_level(used, limit, previous);
        if (watch->levels[resource] <= previous)
                return;
        message = in_words(resource, used, limit);
        violated(watch, resource, used, limit, message);
}

static gboolean grew(uint64_t now, uint64_t before) {
        return now != CGROUP_UNKNOWN && before != CGROUP_UNKNOWN && now > before;
}

static void memory_exhausted(LimitsWatch *watch, const char *what) {
        uint64_t limit = watch->last.memory_max;
        g_autofree char *message = limit == CGROUP_UNKNOWN
                ? g_strconcat(what, FOR_MEMORY, NULL)
                : g_strdup_printf("%s" FOR_MEMORY ", its limit is %.1f MB", what, (double) limit / 1e6);

        watch->levels[WATCHED_MEMORY] = LIMIT_REACHED;
        violated(watch, WATCHED_MEMORY, limit, limit, message);
}

static void judge_cpu(LimitsWatch *watch, const CgroupUsage *usage, uint64_t now) {
        uint64_t span = usec_sub(now, watch->sampled);

        if (watch->sampled > 0 && span > 0 && grew(usage->cpu_usec, watch->last.cpu_usec))
                judge(watch, WATCHED_CPU,
                      (uint64_t) ((double) (usage->cpu_usec - watch->last.cpu_usec) * USEC_PER_SEC / (double) span),
                      usage->cpu_max);
}

void limits_watch_sample(LimitsWatch *watch) {
        uint64_t now = clock_monotonic(), tasks;
        CgroupUsage usage;

        if (!watch || !watch->group || !cgroup_read(CGROUP_ROOT, watch->group, &usage))
                return;
        judge(watch, WATCHED_MEMORY, usage.memory, usage.memory_max);
        judge_cpu(watch, &usage, now);
        /* One that forks as fast as it dies is never seen at its limit, but the kernel has counted. */
        tasks = watch->sampled > 0 && grew(usage.tasks_refused, watch->last.tasks_refused) ? usage.tasks_max
                                                                                           : usage.tasks;
        judge(watch, WATCHED_TASKS, tasks, usage.tasks_max);
        if (watch->sampled > 0 && grew(usage.oom_kills, watch->last.oom_kills)) {
                watch->last = usage;
                memory_exhausted(watch, "had one of its processes killed");
        }
        watch->last = usage;
        watch->sampled = now;
}

static int on_group(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        LimitsWatch *watch = userdata;
        const char *group;

        if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "v", "s", &group) < 0 ||
            *group != '/')
                return 0;
        g_free(watch->group);
        watch->group = g_strdup(group);
        limits_watch_sample(watch);
        return 0;
}

static int read_change(sd_bus_message *message, const char *key, UnitEnding *ending) {
        if (strcmp(key, "Result") == 0)
                return sd_bus_message_read(message, "v", "s", &ending->result);
        if (strcmp(key, "ExecMainCode") == 0)
                return sd_bus_message_read(message, "v", "i", &ending->code);
        if (strcmp(key, "ExecMainStatus") == 0)
                return sd_bus_message_read(message, "v", "i", &ending->status);
        return sd_bus_message_skip(message, "v");
}

int unit_ending_read(sd_bus_message *message, UnitEnding *ending) {
        int r = sd_bus_message_skip(message, "s");

        if (r >= 0)
                r = sd_bus_message_enter_container(message, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                const char *key;

                r = sd_bus_message_read(message, "s", &key);
                if (r >= 0)
                        r = read_change(message, key, ending);
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
        }
        return r;
}

/* NULL: not for its memory. With version 1 of the control groups systemd does not learn why the kernel killed it.
 * Where nobody of ours did, and the group has a limit, that is the reason that nearly always is; a person may have
 * done it. */
static const char *killed_for_memory(const LimitsWatch *watch, const UnitEnding *ending) {
        if (ending->result && strcmp(ending->result, "oom-kill") == 0)
                return "was killed";
        if (ending->result && strcmp(ending->result, "signal") == 0 && ending->code == CLD_KILLED &&
            ending->status == SIGKILL && !watch->killed && watch->last.memory_max != CGROUP_UNKNOWN &&
            g_file_test(CGROUP_ROOT "/memory/cgroup.procs", G_FILE_TEST_EXISTS))
                return "was killed, probably";
        return NULL;
}

/* A signal that means no harm (SIGTERM and the like) is a success to systemd, as is exit status 0. */
static char *ending_in_words(const UnitEnding *ending) {
        if (!ending->result || strcmp(ending->result, "success") == 0)
                return NULL;
        if (strcmp(ending->result, "oom-kill") == 0)
                return g_strdup("was killed" FOR_MEMORY);
        if (ending->code == CLD_EXITED)
                return g_strdup_printf("ended by itself with exit status %d", ending->status);
        return g_strdup_printf("was ended by signal %d (%s)%s", ending->status, g_strsignal(ending->status),
                               ending->code == CLD_DUMPED ? ", core dumped" : "");
}

static void set_ending(LimitsWatch *watch, gboolean ended, char *problem) {
        watch->ended = ended;
        g_free(watch->problem);
        watch->problem = problem;
}

char *limits_watch_exhausted(const LimitsWatch *watch) {
        return watch && watch->exhausted ? g_strconcat(watch->exhausted, FOR_MEMORY, NULL) : NULL;
}

gboolean limits_watch_ended(const LimitsWatch *watch, const char **ret_problem) {
        *ret_problem = watch->problem;
        return watch->ended;
}

/* systemd says it again with each step until the unit is down; and success, when it starts the next process. */
static void judge_result(LimitsWatch *watch, const UnitEnding *ending) {
        if (ending->result && strcmp(ending->result, "success") == 0) {
                watch->exhausted = NULL;
        } else if (!watch->exhausted) {
                watch->exhausted = killed_for_memory(watch, ending);
                if (watch->exhausted)
                        memory_exhausted(watch, watch->exhausted);
        }
}

static int on_changed(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *sender = sd_bus_message_get_sender(message);
        LimitsWatch *watch = userdata;
        UnitEnding ending = {};

        if (g_strcmp0(sender, starter_systemd(watch->plugin->plugins->starter)) != 0 ||
            unit_ending_read(message, &ending) < 0)
                return 0;
        judge_result(watch, &ending);
        if (ending.code != 0) {
                set_ending(watch, TRUE, ending_in_words(&ending));
                plugin_unit_ended(watch->plugin);
        }
        return 0;
}

/* By its name: systemd that was executed anew (daemon-reexec) has another unique one. */
static LimitsWatch *limits_watch_new(Plugin *plugin, const char *unit, const char *path) {
        g_autofree char *match =
                g_strdup_printf("type='signal',sender='" SYSTEMD_NAME "',path='%s',interface='" PROPERTIES_INTERFACE
                                "',member='PropertiesChanged',arg0='" SYSTEMD_SERVICE_INTERFACE "'",
                                path);
        LimitsWatch *watch = g_new0(LimitsWatch, 1);

        watch->plugin = plugin;
        watch->unit = g_strdup(unit);
        watch->last.memory_max = CGROUP_UNKNOWN;
        (void) sd_bus_add_match_async(plugin->plugins->parameters.bus, &watch->changed, match, on_changed, NULL,
                                      watch);
        return watch;
}

/* The same unit keeps its watch from one process to the next: what systemd says of the end of one comes after its name
 * has gone. */
void limits_watch_begin(Plugin *plugin) {
        const char *systemd = starter_systemd(plugin->plugins->starter), *unit = plugin_unit(plugin);
        _cleanup_free_ char *path = NULL;
        LimitsWatch *watch;

        if (!systemd || starter_subscribe(plugin->plugins->starter) < 0 ||
            sd_bus_path_encode(SYSTEMD_UNIT_PATH, unit, &path) < 0)
                return;
        if (plugin->watch && !g_str_equal(plugin->watch->unit, unit))
                plugin->watch = limits_watch_free(plugin->watch);
        if (!plugin->watch)
                plugin->watch = limits_watch_new(plugin, unit, path);
        watch = plugin->watch;
        watch->sampled = 0;
        watch->killed = FALSE;
        watch->exhausted = NULL;
        set_ending(watch, FALSE, NULL);
        memset(watch->levels, 0, sizeof(watch->levels));
        watch->question = sd_bus_slot_unref(watch->question);
        (void) sd_bus_call_method_async(plugin->plugins->parameters.bus, &watch->question, systemd, path,
                                        PROPERTIES_INTERFACE, "Get", on_group, watch, "ss", SYSTEMD_SERVICE_INTERFACE,
                                        "ControlGroup");
}

/* Who is killed because its channel broke may have been ended by the kernel just before, and systemd tells of that
 * later. Its group is there until systemd has noticed, and has counted. */
void limits_watch_killed(LimitsWatch *watch) {
        CgroupUsage usage;

        if (watch && !(watch->sampled > 0 && cgroup_read(CGROUP_ROOT, watch->group, &usage) &&
                       grew(usage.oom_kills, watch->last.oom_kills)))
                watch->killed = TRUE;
}

LimitsWatch *limits_watch_free(LimitsWatch *watch) {
        if (!watch)
                return NULL;
        sd_bus_slot_unref(watch->question);
        sd_bus_slot_unref(watch->changed);
        g_free(watch->unit);
        g_free(watch->group);
        g_free(watch->problem);
        g_free(watch);
        return NULL;
}
