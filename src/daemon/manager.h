/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The daemon's one object: owns every part, drives the sampling, the rounds of questions and the decision, and
 * announces what comes of it. The parts know nothing of it; what they report comes back through callbacks. The methods
 * that the bus calls are in the *-bus.c files, one for each noun, and meet in manager-bus.c's table. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/clock.h"
#include "bus/authorize.h"
#include "bus/caller.h"
#include "bus/limits.h"
#include "daemon/config/config-load.h"
#include "daemon/decision/decision.h"
#include "daemon/event/delay.h"
#include "daemon/hold/inhibitors.h"
#include "daemon/log-control.h"
#include "daemon/metrics/input-logind.h"
#include "daemon/monitor/monitor.h"
#include "daemon/plugin-metrics.h"
#include "daemon/provider/providers.h"
#include "daemon/replay.h"
#include "daemon/stop/stop.h"

/* Where things are, as the command line or systemd said; borrowed strings that live as long as the process. */
typedef struct ManagerOptions {
        const char *state_directory;
        const char *runtime_directory;
        const char *config_directory;
        const char *const *plugin_directories; /* NULL-terminated, besides the configuration's */
        const char *proc_root;                 /* "" for the real machine */
        const char *replay;                    /* a trace that stands in for the metrics, or NULL */
} ManagerOptions;

#define LIMIT_CHANGES_PER_SECOND 10U
#define LIMIT_CHANGES_BURST 400U
#define LIMIT_LOOKS_PER_SECOND 2U
#define LIMIT_LOOKS_BURST 60U
/* Wider than what one caller may: root's tools are one user. */
#define LIMIT_CHECKS_PER_SECOND 5U
#define LIMIT_CHECKS_BURST 20U

typedef struct Manager Manager;

struct Manager {
        sd_event *event;
        sd_bus *bus;
        ManagerOptions options;
        char *boot;

        char *config_file, *config_dropins, *config_state, *config_good; /* paths */
        Config *config;
        unsigned config_changes; /* that wait for the disk */
        uint64_t config_newest;  /* monotonic: when the newest one arrived that was, or is about to be, made */
        char *config_problem; /* why the configuration in force is not the one in the files, or NULL */

        Authorizer *authorizer;
        Callers *callers;
        LogControl *log_control;
        SenderLimits *limits;       /* every call */
        SenderLimits *check_limits; /* calls that make the machine work: one a second … */
        SenderLimits *check_user_limits; /* … and so many by user, however many connections he has */
        SenderLimits
                *look_limits; /* by user, however many connections he has: calls that keep us from everything else */
        SenderLimits *user_limits;  /* by user, too: calls that leave rows in history */

        Store *store;
        char *store_problem;
        GQueue history_questions;   /* of callers, one of which is with the store (history-bus.c) */
        gboolean history_asked;
        Metrics *metrics;
        InputLogind *input;
        Replay *replay;
        Decision *decision;
        Holds *holds;
        Inhibitors *inhibitors;
        Plugins *plugins;
        Providers *providers;
        Events *events;
        Delay *delay;
        Monitors *monitors;         /* NULL: metrics are replayed */
        Stop *stop;
        Provider *provider; /* the latest that was active */

        /* What the runtime directory has of the decision (manager-state.c). */
        struct {
                JsonObject *decision; /* NULL: nothing yet */
                uint64_t boottime;    /* when that was exported */
                uint64_t pause_until;
                unsigned measured;    /* see metrics_measured() */
                int fd;               /* of the file */
        } saved;

        Sample sample;
        uint64_t sample_realtime;
        PluginMetrics *plugin_metrics;
        uint64_t started;           /* the daemon, monotonic */
        uint64_t booted;            /* monotonic */
        uint64_t up_since;          /* boot or resume, monotonic */
        uint64_t slept;             /* boot time minus monotonic time, when last looked at */
        uint64_t wall_offset;       /* wall clock minus monotonic time, when last told; 0: not yet */
        int64_t wall_distance;      /* wall clock minus boot time, as what is told of holds follows it */
        gboolean wall_known;
        gboolean warning_told_off;  /* the clock was set since: who was warned has the time on the old one */

        Outcome outcome;            /* of the latest step; manager_reason() has its reason */
        State announced;            /* the state that the world was told */
        uint64_t announced_idle_since, announced_next_stop; /* monotonic, as last told */
        uint64_t announced_at;
        gboolean announced_dry_run;
        char *greeting;
        char *verdicts;             /* the latest set of votes in history, compact */
        gboolean blind_told;

        uint64_t pause_until;       /* boot time; 0: not paused */
        gboolean pause_known;       /* set or ended since the start: what the database still says of it is old */
        char *called_off;           /* why CancelStop was called, until it was announced */
        uint64_t next_check;
        GPtrArray *checks;          /* CheckNow calls whose round is not over; owns */
        unsigned diagnoses;         /* Diagnose calls that wait for polkit */
        gboolean asking_inhibitors; /* a look waits for logind */

        sd_event_source *tick, *rest, *deadline, *step_soon, *pause_end;
        gboolean ending; /* manager_stop() was called */
        gboolean freeing;
        sd_bus_slot *manager_slot, *object_manager_slot, *objects_slot, *filter_slot;
};

int manager_new(sd_event *event, sd_bus *bus, const ManagerOptions *options, Manager **ret);
Manager *manager_free(Manager *manager);

/* Before the end: lets plugins give away what they know. done is called once, also from within. FALSE: that was begun
 * before. */
gboolean manager_stop(Manager *manager, void (*done)(void *userdata), void *userdata);

/* Tells everybody who waits for the disk how it ended, as long as there is a bus to tell it on. */
void manager_finish(Manager *manager);

static inline void manager_freep(Manager **manager) {
        manager_free(*manager);
}

/* Steps the decision now, or not at all while a last look waits for logind. */
void manager_step(Manager *manager);

/* Steps the decision in this iteration of the loop, once, however often it is asked for. */
void manager_step_soon(Manager *manager);
void manager_round_done(void *manager);

/* Why the machine is in its state. Put into words only when somebody wants them, which at rest is nobody. */
const char *manager_reason(Manager *manager);

/* GetMetrics as JSON, keys of design section 4. */
JsonObject *manager_metrics(Manager *manager);

/* Writes the decision's state below the runtime directory: it belongs to this boot, so it needs no disk. Where nothing
 * has changed, only that the daemon was there. */
void manager_save(Manager *manager);
void manager_saved_clear(Manager *manager);

/* A Problem: journal, history, signal. */
void manager_problem(Manager *manager, const char *source, const char *message);

/* Who did what: history and journal. */
void manager_record_call(Manager *manager, uid_t uid, const char *member, const char *what);

/* until: boot time, 0 ends the pause. */
int manager_set_pause(Manager *manager, uint64_t until, StoreDone done, void *userdata);

/* Takes a configuration into force everywhere. */
void manager_set_config(Manager *manager, Config *config);

/* The store's thread reads the files again or, with a merge patch, checks and keeps it; one change after the other, so
 * that none is lost. What comes of it is in force when done is told so. CONFIG_ERROR: the files or the patch are
 * wrong; any other error: it could not be kept; with both the running configuration stays. caller: passed through to
 * done; its call may be NULL. A negative errno where done will not be told: -EDQUOT where too many changes wait for
 * the disk, -ESTALE where one that arrived later was, or is about to be, made. */
typedef void (*ConfigChanged)(Manager *manager, const ConfigCaller *caller, const GError *error);
int manager_change_config(Manager *manager, const char *patch, const ConfigCaller *caller, ConfigChanged done);
/* The same, but nothing is kept nor put in force: whether that could be. */
int manager_try_patch(Manager *manager, const char *patch, const ConfigCaller *caller, ConfigChanged done);

/* As SIGHUP asks for: what is wrong becomes a Problem. */
void manager_reload(Manager *manager);

/* The configuration of the start, kept as the last good one. */
void manager_keep_good_config(Manager *manager);

/* A sleep since the latest sample restarts the idle clock, and ends a stop that led to it. */
void manager_notice_sleep(Manager *manager);

/* A sample now, of everything; a quick one leaves out what may wait until the next check. */
void manager_take_sample(Manager *manager);
void manager_take_quick_sample(Manager *manager);

/* Warned of, or under way. */
gboolean manager_in_stage(const Manager *manager);

static inline uint64_t usec_from_seconds(double seconds) {
        return (uint64_t) (seconds * (double) USEC_PER_SEC);
}

/* A sample and a round of questions now; the call, of this user, is answered with the verdict at its end.
 * ERROR_LIMITS_EXCEEDED where too many wait for that. */
int manager_check_now(Manager *manager, sd_bus_message *call, uid_t uid, sd_bus_error *error);
void manager_check_free(void *check);
