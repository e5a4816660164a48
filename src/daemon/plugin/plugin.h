/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside the plugin part: what its files share. One plugin's life:
 *
 *   discovered ─► loading ─► initializing ─► running ─► draining ─► stopped ─► loading …
 *                    │            │             │           │          ▲
 *                    └────────────┴─► failed ◄──┴───────────┘          │ idle exit, Unload, Disable
 *                                     │    └─► loading (after a pause that grows)
 *                                     └─► quarantined (more than plugins.max_restarts in the window; out by Restart)
 *
 * One that the daemon finds running goes from initializing to draining where it says another version than is there,
 * and nothing is known of what it was started from, or where it was disabled, unloaded or restarted before anybody had
 * looked for it.
 * One that does not run, of whatever state, is discovered again by another manifest, and failed by a broken one.
 * Each waiting state (loading, initializing, draining; failed waits for its restart, and one that is to be enabled for
 * its mark) has a deadline in `timer`. */

#include "daemon/answer/check.h"
#include "daemon/answer/words.h"
#include "daemon/native/native.h"
#include "daemon/plugin/drain.h"
#include "daemon/plugin/limits.h"
#include "daemon/plugin/plugins.h"
#include "daemon/plugin/process.h"
#include "daemon/plugin/provision.h"
#include "daemon/plugin/statistics.h"
#include "daemon/plugin/swap.h"
#include "daemon/plugin/versions.h"
#include "daemon/plugin/watch.h"

#define ORIGINS_DIRECTORY "plugins"              /* below the runtime directory */
#define RESTART_DELAY_MIN (USEC_PER_SEC / 2)
#define RESTART_DELAY_MAX (60 * USEC_PER_SEC)
#define QUEUED_PER_PLUGIN_MAX 64U
#define QUEUED_FOR_CALLERS_MAX 32U               /* the rest is for the daemon's own questions */
#define QUEUED_WITH_CONFIGURE_MAX 48U            /* an administrator has room where everybody asks */
#define IN_FLIGHT_MAX 64U                        /* over the bus, to all plugins together */
#define CHANNEL_IN_FLIGHT_MAX 64U                /* to one plugin */
#define PLUGINS_MAX 4096U
#define LEISURE_SLACK USEC_PER_SEC               /* a sample may come late */

typedef struct Ending Ending;
typedef struct PluginCall PluginCall;
typedef struct NativeQuestion NativeQuestion;
typedef struct Round Round;
typedef struct LimitsWatch LimitsWatch;
typedef struct SearchIndex SearchIndex;

/* The state of CheckIdle for one plugin. */
typedef struct PluginCheck {
        gboolean asking;
        gboolean leisurely;      /* nobody waits for the answer */
        uint64_t begun;
        GPtrArray *rounds;       /* Round: wait for the answer under way */
        GPtrArray *next_rounds;  /* wait for one that begins after it */
        JsonObject *metrics;     /* what the next one is to be sent */
        NativeQuestion *native;  /* asked as a function, not answered yet */
        uint64_t valid_until;    /* monotonic */
        GPtrArray *votes;        /* Vote: the latest answer, as long as it is valid */
        GHashTable *subjects;    /* set of "<id>/<name>" that the latest good answer named */
} PluginCheck;

struct Plugin {
        Plugins *plugins;
        char *id, *name, *path, *directory;
        char *units[PLUGIN_SLOT_COUNT], *slot_names[PLUGIN_SLOT_COUNT];
        Manifest *manifest;      /* NULL: broken */
        Manifest *next_manifest; /* what it is to be started with when it has ended: another version, or a change of
                                    this one */
        FileStamp stamp[MANIFEST_FILES];
        gboolean stale;          /* to be looked at again when it has ended */
        char *broken_told;       /* what is wrong with what is there while it runs, as it was told; NULL: nothing is.
                                    It is not started again by what it had before */
        Manifest *refused;       /* the version on the disk that may not take the place of the one that runs, or
                                    could not … */
        char *refusal;           /* … and why it may not, as it was told last; NULL: it could not, and is not tried
                                    again by itself */
        const Manifest *as_if;   /* what others need, and what they would lack, is looked at as if it had this one;
                                    NULL: as it is */
        gboolean enabled;
        gboolean was_check;      /* the manifest that it had before this one said so; TRUE: it had none that could be
                                    read, and nobody knows */
        gboolean mark_missing;   /* enabled, but not on the disk so far, where systemd looks for it … */
        gboolean begin_wanted;   /* … and then it is to be started. Who waits for that is told after a while */

        char *provisioned[PLUGIN_SLOT_COUNT]; /* the digest of the manifest that the helper has made known to the
                                               * system for this slot; NULL: none so far */
        GPtrArray *provisionings; /* Provisioning, under way; owns */

        unsigned waiting_for;    /* dependencies that are being started … */
        gboolean called_off;     /* … for nobody any more */
        char *dependency_error;  /* the first that was not */
        gboolean lacking;        /* last_error is about a dependency */
        gboolean misconfigured;  /* it was refused because of its configuration */
        gboolean unforeseen;     /* its manifest is new: plugin_foresee_later() */

        PluginState state;
        char *last_error;
        gboolean healthy;
        unsigned faults;         /* so often something was its failure, whether that was the first or not */
        sd_event_source *timer;
        sd_event_source *keep;   /* its state is exported then, while it runs */
        uint64_t keep_at;
        unsigned handling;       /* events that it was handed and has not answered, also one that waits */
        GQueue events;           /* Handler of dispatch.c: events that are not urgent, and wait for their turn */
        unsigned turns, at_event; /* so many had theirs; the one behind which it has not been heard yet, or 0 */
        gboolean quick;          /* it answers events at once, as far as is known */
        gboolean probing;        /* it is to answer a Ping behind that one */
        uint64_t states_put;     /* into the store, since this daemon began */
        gboolean state_tried;    /* the latest of them beside the one of before, by a version on trial */
        gboolean state_unread;   /* what the store has could not be read by one that began without it, … */

        char *owner;             /* of the name, as the bus driver says; NULL: nobody */
        PluginProcess *process;  /* the one that serves, or is to serve as soon as it was greeted; NULL: none */
        PluginProcess *next;     /* the one that is to replace it */
        PluginProcess *previous; /* the one that it replaced: ends its calls and leaves (drain.h) */
        PluginSwap *swap;        /* while there is one of these, and until the new one has proved itself */
        VersionSwitch *switching; /* while the helper is asked to have the link name another version */
        sd_bus_slot *settle_question;
        PluginSlot slot;         /* in which it runs, or is started next … */
        gboolean by_slot;        /* … by the slot's name: another one is about to give the plugin's away */
        uint64_t held_since;     /* monotonic: calls that may change what it knows wait; 0: they do not */
        uint64_t held_before;    /* so many µs they did, all times before together */
        Native *native;          /* its code, once loaded; runtime native alone */
        sd_bus_slot *owner_question;
        sd_bus_slot *owner_questions[PLUGIN_SLOT_COUNT + 1]; /* before the first start, see adopt.c */
        char *slot_owners[PLUGIN_SLOT_COUNT];
        gboolean looked;         /* for one that ran before the daemon did */
        gboolean dismissed;      /* if there is one it is to go */
        sd_bus_slot *leftover_question; /* whether there is one, see dismiss.c */
        char *origin;            /* the unique name whose manifest is kept for the daemon after this one; NULL: none */
        gboolean behind;         /* its manifest is that of a process that ran before the daemon did, or was believed
                                    to; next_manifest is what is there, and takes its place when that serves: until
                                    then nobody is told that it is up */
        gboolean stray;          /* one was sent away without being known: it may have the name for a moment */
        /* The unique names of the latest process of each slot that is over: should one own the plugin's name yet, or
         * come to own it because the other one went, it is about to go. */
        char *gone[PLUGIN_SLOT_COUNT];

        uint32_t restarts;
        GArray *failures;        /* uint64_t, monotonic: the latest ones, oldest first; NULL: none */
        unsigned failure_count;              /* in a row, without a good start between them: for the pause, however
                                                long ago the first was */
        gboolean restart_wanted;             /* Restart: begin again as soon as it has stopped */

        GQueue calls;            /* PluginCall, waiting for `process` */
        gboolean blocked;        /* in Plugins.blocked */
        GPtrArray *settlers;     /* who waits for Load or Unload */

        char *limits_told;       /* the configured ones that the helper has set, as JSON; NULL: not known */
        LimitsCall *limits_latest; /* the one that says so when it is answered; borrowed */
        gboolean limits_unsettled; /* one was sent whose answer was not seen */
        LimitsCall *limiting;    /* while it runs */
        LimitsWatch *watch;      /* NULL: it never ran under systemd */
        Statistics statistics;
        PluginCheck check;
};

struct Plugins {
        PluginsParameters parameters; /* the strings in it are borrowed from the caller, the rest is referenced */
        char *state_directory, *config_directory;
        char *origins_directory; /* what ran, and what was given up; NULL: nothing is kept there */
        char **directories;
        uid_t trusted_uid;
        Config *config;
        Starter *starter;
        sd_bus_slot *owner_slot, *vtable_slot, *enumerator_slot;
        GHashTable *by_id;       /* borrows the ids */
        GPtrArray *list;         /* owns, by id */
        GPtrArray *gone;         /* owns; those whose manifest is: others may have kept them */
        SearchIndex *search;     /* NULL: not made since a manifest changed */
        Watch *watch;
        GHashTable *approvals; /* set of the files' names, as they were in this turn of the loop; NULL: never asked */
        uint64_t approvals_turn;
        size_t next_property; /* of the table, where the search begins */
        unsigned enabled_changes; /* that wait for the disk */
        unsigned configurings;   /* under way: configure.c */
        unsigned in_flight;      /* calls over the bus, to all plugins */
        GQueue blocked;          /* plugins with calls that wait for IN_FLIGHT_MAX */
        unsigned provisioning;   /* calls of the helper */
        GQueue provisionings;    /* that wait for PROVISIONING_MAX; borrowed from their plugins */
        GQueue deferred;
        sd_event_source *deferral;
        gboolean review_deferred; /* of dependencies */
        gboolean foreseeing;      /* plugin_foresee_later() */
        GPtrArray *endings;      /* Ending: of processes that are being killed; owns */
        sd_event_source *care;
        gsize data_bytes;        /* of all blocks under way */
        unsigned followers, follow_depth; /* of what would follow an upgrade: steps looked at, and those now entered */
        GPtrArray *rounds;       /* owns */
        uint64_t leisure;        /* plugins_set_leisure() */
        gboolean at_leisure;     /* somebody was asked at leisure since plugins_hear() */
        gboolean listening;      /* in plugins_hear() */
        sd_event_source *hearing; /* on: nobody called plugins_hear() since somebody was asked at leisure */
        /* What a round asks is the same for everybody: one message goes to all whose time-out is the same. */
        struct {
                gboolean open;           /* a round is being sent */
                sd_bus_message *message;
                uint64_t timeout;        /* of the message */
                uint64_t serial;         /* the highest of a call that went over any channel */
        } question;
        GPtrArray *dispatches;   /* owns */
        GPtrArray *requests;     /* Request: calls of clients that wait for plugins; owns */
        unsigned questions_to_systemd; /* of them, those that wait for systemd */
        unsigned watches;        /* of their senders */
        StateSaving *saving;     /* every state, at the end; NULL: not yet */
        gboolean exported;
        GHashTable *telling, *told; /* sets of what is in the way of whole directories, by this discovery and the one
                                     * before; NULL: there was none */
        gboolean crowded;        /* more plugins than PLUGINS_MAX lie there, and that was told */
        gboolean freeing;
};

/* plugins.c */
/* Runs it in the next iteration of the loop; free is called in any case. */
void plugins_defer(Plugins *plugins, void (*run)(void *data), void (*destroy)(void *data), void *data);
void plugins_problem(Plugins *plugins, const char *source, const char *message);
/* The values in force for this plugin, by the schema of this version of it. */
Settings *plugin_settings(Plugin *plugin, const Manifest *manifest, GError **error);
/* Those that there are, though one is missing. */
Settings *plugin_settings_to_show(Plugin *plugin, GError **error);
/* … and those that would be with these values in its configuration. */
Settings *plugin_settings_with(Plugin *plugin, const Manifest *manifest, JsonObject *values, GError **error);

/* registry.c */
/* What was seen by `watch`. */
void registry_settled(GHashTable *ids, void *userdata);

/* search.c */
/* A manifest comes, goes or changes. */
void plugins_search_forget(Plugins *plugins);

/* dependencies.c */
/* Before it is begun. FALSE: it is begun when they are up, or was refused. */
gboolean dependencies_ready(Plugin *plugin);
/* They are being started, and then it is. */
gboolean dependencies_awaited(const Plugin *plugin);
/* It is not begun when they are up, unless it is wanted again. */
void dependencies_call_off(Plugin *plugin);
/* Of one that runs already: what it needs is to run, too. */
void dependencies_wake(Plugin *plugin);
/* Of all that do not run: what they lack, or that they lack nothing any more. */
void dependencies_review(Plugins *plugins);
/* It runs: those that were refused because it could not be started are reviewed in the next iteration of the loop. */
void dependencies_up(const Plugin *plugin);
/* Refused, and TRUE, where it lacks what no start of another brings. Nothing is started. */
gboolean dependencies_refuse(Plugin *plugin);
/* The plugins of those meant by which() that need this one, or NULL. */
char *dependencies_of_others(const Plugin *plugin, gboolean (*which)(const Plugin *other));
/* What this version of it would lack, or who would lack the one that is there; NULL: nothing, nobody. Caller frees. */
char *dependencies_obstacle(Plugin *plugin, const Manifest *manifest);
/* One that this version needs, is there, and does not run; NULL: all of them run. */
Plugin *dependencies_missing(const Plugin *plugin, const Manifest *manifest);

/* upgrade.c */
/* Why a version of a plugin can be started by nobody here: what this build does not serve, what this machine does not
 * have and nobody has configured less of. NULL: it may be. Caller frees. */
char *manifest_obstacle(const Plugin *plugin, const Manifest *manifest);
/* What is configured of plugins.limits is more than it allows; NULL: it is not. Caller frees. */
char *limits_obstacle(const Plugin *plugin, const Manifest *manifest);
/* Why the one that is there is not started, as long as nobody configures something else, or NULL. Caller frees. */
char *configuration_obstacle(Plugin *plugin);
/* Takes the manifest: a running plugin is replaced by that version, any other is started with it. done as in
 * plugin_swap(). What cannot work is refused before anything is done to the one that is there. */
void plugin_upgrade(Plugin *plugin, Manifest *manifest, PluginSettled done, void *userdata);
/* Of one whose new version was refused and is what lies there now: that could take its place as soon as `plugin` has
 * this version. */
gboolean upgrade_would_follow(Plugin *other, Plugin *plugin, const Manifest *manifest);
/* What stood in the way of some may have gone: those that were refused when the watch saw them are tried again. */
void upgrades_review(Plugins *plugins);
/* Of one that does not run: what lies there alone would be started in any case, under the name of what was there. */
void upgrade_take_refused(Plugin *plugin);
/* Takes the manifest: it was allowed to take the place of the one that runs, and could not. */
void upgrade_failed(Plugin *plugin, Manifest *manifest);
/* What is on the disk is another one, or the one that runs. */
void upgrade_forget(Plugin *plugin);
/* This manifest takes the place of the one that runs, or is about to: what was refused or seen before it is older. */
void upgrade_taken(Plugin *plugin, const Manifest *manifest);

/* enabled.c */
/* Of one that was just found. An official plugin that is `enabled_by_default` and that nobody disabled is enabled when
 * it is first seen. */
void enabled_learn(Plugin *plugin);
typedef void (*PluginEnabled)(const GError *error, void *userdata);
/* Kept for good, or not: done is told, never from within this function. A negative errno where it will not be;
 * -EDQUOT: too many wait. */
int plugin_set_enabled(Plugin *plugin, gboolean enabled, PluginEnabled done, void *userdata);
/* As if it had never been enabled, nor disabled. As store_run(). */
int enabled_forget(Plugins *plugins, const char *id, StoreDone done, void *userdata);

/* plugin.c */
Plugin *plugin_new(Plugins *plugins, const char *directory, const char *id, Manifest *manifest, const char *broken);
void plugin_free(Plugin *plugin);
/* Takes the manifest; NULL: why it is broken. plugin_manifest_taken() tells everybody. */
void plugin_set_manifest(Plugin *plugin, const char *directory, Manifest *manifest, const char *broken);
/* The same of one that nobody knows so far, or any more. */
void plugin_reset(Plugin *plugin, const char *directory, Manifest *manifest, const char *broken);
/* plugin_timeout() of a version of it that need not be the current one. */
uint64_t plugins_timeout(const Plugins *plugins, const Manifest *manifest, PluginTimeout timeout);
/* What was seen on the disk could not be taken then, and may be now. */
void plugin_look_again(Plugin *plugin);
/* <directory>/<id>/plugin.json → <directory>. */
char *plugin_directory_of(const Manifest *manifest);
/* Not disabled, and plugins run at all. */
gboolean plugin_may_run(const Plugin *plugin);
/* … where this configuration is in force. */
gboolean plugin_may_run_by(const Plugin *plugin, const Config *config);
/* For a person, where it may not: who switched it off, and how to undo that. */
char *plugin_why_not(const Plugin *plugin);
/* It would run, or runs, in the daemon. */
gboolean plugin_is_native(const Plugin *plugin);
/* Why this cannot be loaded into the daemon; NULL: nothing stands against it, or it would not be.
 * manifest: NULL where there is none. */
const char *plugin_native_obstacle(const Manifest *manifest, const Config *config);
/* Its last error says why it may not. */
void plugin_tell_obstacle(Plugin *plugin);
/* What is there now cannot be read; NULL: it can again. It runs on by what it was started with. */
void plugin_tell_broken(Plugin *plugin, const char *broken);
/* On its way up or up. */
gboolean plugin_active(const Plugin *plugin);
/* Of the process that serves; where there is none, of the one that would be started. */
const char *plugin_unit(const Plugin *plugin);
/* 0: none, or not told. */
pid_t plugin_pid(const Plugin *plugin);
/* The rest of the daemon: its state is another one than `previous`, or its manifest, or whether it may run. */
void plugin_tell_changed(Plugin *plugin, PluginState previous, const char *reason);
/* It is on the disk. */
void plugin_enabled_changed(Plugin *plugin, gboolean enabled);
/* It is new, or its manifest is: refused in the next iteration of the loop, when the others are looked at too, where
 * no start would change what is in the way. */
void plugin_foresee_later(Plugin *plugin);
/* The mark that plugin_begin() waits for. */
void plugin_mark_made(Plugin *plugin);
void plugin_set_error(Plugin *plugin, const char *message);
/* error: why it is not. One that is not votes "unknown" until it is asked again; of one that is there is no last
 * error. */
void plugin_set_healthy(Plugin *plugin, gboolean healthy, const char *error);

/* lifecycle.c */
/* FALSE where the table of transitions does not allow it. Tells everybody, so the state may be another one afterwards.
 */
gboolean plugin_set_state(Plugin *plugin, PluginState state, const char *reason);
/* The deadline of its state; 0: none any more. */
void plugin_set_timer(Plugin *plugin, uint64_t usec);
/* It was asked something and has not answered. */
gboolean plugin_under_way(const Plugin *plugin);
/* One that does not run has another manifest, or none any more: it is discovered again, or broken. */
void plugin_manifest_taken(Plugin *plugin);
/* Whoever asks for it: starts it unless it is up or may not run. */
void plugin_begin(Plugin *plugin);
/* Of the process that serves. */
const ProcessHooks *plugin_serving_hooks(void);
/* Starts the process that was made. */
void plugin_start_process(Plugin *plugin);
/* Kills it. */
void plugin_end_process(Plugin *plugin, const char *reason);
/* It is gone and nobody is to blame. */
void plugin_stopped(Plugin *plugin, const char *reason);
/* Asks the bus who owns the name: one that ran before the daemon did was never announced. */
void plugin_ask_owner(Plugin *plugin);
/* It is to be started as soon as what it needs is up, or its mark there. */
gboolean plugin_awaited(const Plugin *plugin);
/* Nor is one started that is awaited: who waits for it hears that it does not come. */
void plugin_leave(Plugin *plugin, const char *reason);
void plugin_restart(Plugin *plugin);
/* Ends it, if it runs, and starts it with this manifest, which it takes. */
void plugin_replace(Plugin *plugin, Manifest *manifest);
void plugin_fail(Plugin *plugin, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* It is not started, and not again by itself. */
void plugin_refuse(Plugin *plugin, const char *reason);
void plugin_owner_changed(Plugin *plugin, const char *owner);
/* systemd says that its unit's process has ended. */
void plugin_unit_ended(Plugin *plugin);
/* A call ended: a plugin that leaves may be done now. */
void plugin_call_ended(Plugin *plugin);
/* It ended without an answer to this call. */
void plugin_process_gone(PluginProcess *process, const char *member, gboolean control);
/* The plugin's part of a new configuration. */
void plugin_reconfigure(Plugin *plugin);

/* failures.c */
/* So many within the window are borne. */
unsigned plugin_failures_max(const Plugin *plugin);
/* Those within the window that ends now. */
unsigned plugin_failures_recent(const Plugin *plugin, uint64_t now);
void plugin_failures_remember(Plugin *plugin, uint64_t now);
void plugin_forget_failures(Plugin *plugin);
/* What kept it from running has gone: one that failed and is not about to be started again is as any other that nobody
 * has asked so far. */
void plugin_may_again(Plugin *plugin, const char *reason);
/* Before the restart after so many failures in a row; first: before the first one, 0: RESTART_DELAY_MIN. Doubles each
 * time, up to RESTART_DELAY_MAX, and a quarter more or less, so that plugins that fail together do not return
 * together. */
uint64_t plugin_restart_delay(uint64_t first, unsigned failures);
/* It failed once too often. */
void plugin_quarantine(Plugin *plugin, const char *reason);
/* Of one that was just found: a daemon before this one gave up what is there. */
void plugin_quarantine_recall(Plugin *plugin);
/* For the daemon after this one it is as any other. */
void plugin_quarantine_drop(const Plugin *plugin);

/* farewell.c */
/* What is under way may change its state: that is exported behind it. */
void farewell_begin(Plugin *plugin);
/* Nothing is under way any more, or is waited for. */
void farewell_save(PluginProcess *process);
/* At its deadline. FALSE: it has been waited for long enough. */
gboolean farewell_goes_on(Plugin *plugin);

/* ending.c */
void ending_free(void *ending);

/* care.c */
/* Somebody runs, who has to be looked after. */
void plugins_care(Plugins *plugins);

/* keep.c */
/* It was asked something that may have changed what it knows. soon: by somebody who may count on that. */
void plugin_keep_state(Plugin *plugin, gboolean soon);
/* It is at an event, or about to be: its state is exported in a moment, and now and then until it has answered. */
void plugin_keep_state_at_work(Plugin *plugin);
void plugin_keep_cancel(Plugin *plugin);

/* adopt.c */
/* Looks for a process that ran before the daemon did and takes it; starts one where there is none. */
void plugin_adopt(Plugin *plugin);
/* It is found, or looked for: nothing may end it for another version before it serves. */
gboolean plugin_adopting(const Plugin *plugin);

/* unasked.c */
/* Realtime: when the helper wrote what this slot's unit may do; 0: it has not. */
uint64_t plugin_drop_in_written(const Plugin *plugin, PluginSlot slot);
/* It has, just now: what runs there and serves nobody is ended, and what does, runs on; the next is started anew. */
void plugin_drop_in_changed(Plugin *plugin, PluginSlot slot);
/* Of another manifest that was taken over, where no start is about to do it: before anybody has it started. */
void plugin_make_known(Plugin *plugin);

/* dismiss.c */
/* Of one that does not run, as far as is known: what ran before the daemon did is to go, if nobody has looked for it
 * yet. TRUE: it is looked for; whoever waits for the end, and restart_wanted, wait for that. */
gboolean plugin_dismiss(Plugin *plugin);

/* origin.c */
/* Before it is looked for one that ran before the daemon did: takes the manifest that it had, as far as that is known.
 */
void origin_take(Plugin *plugin);
/* … where only who that is matters, not what it had. */
void origin_learn(Plugin *plugin);
/* One of it ran before the daemon did, and may run yet. */
gboolean origin_known(const Plugin *plugin);
/* What it was started from is known, and its manifest. */
gboolean origin_is(const Plugin *plugin, const char *unique_name);
/* It is about to run, and does: what came to be there meanwhile is to take its place. */
void origin_about_to_serve(Plugin *plugin);
void origin_serves(PluginProcess *process);
/* That has taken its place, or was refused. */
void origin_caught_up(Plugin *plugin);
/* For the daemon after this one: what this process was started from, who is the one to serve. */
void origin_keep(PluginProcess *process);
/* It is over. */
void origin_forget(PluginProcess *process);
/* Whosever it is. */
void origin_drop(Plugin *plugin);
/* At the start: those that run with other files than are there now are looked after at once, and those that may not
 * run any more are sent away. */
void origins_follow(Plugins *plugins);

/* settle.c */
/* Waits for the plugin to be up (load) or down. */
void plugin_settle_later(Plugin *plugin, gboolean load, PluginSettled done, void *userdata);
/* Tells those whose wait has come to an end by the state that was just entered. */
void plugin_settle_reached(Plugin *plugin);
/* … of one that does not run, and that nobody is about to start. */
void plugin_settle_all(Plugin *plugin);
void plugin_settle_refused(Plugin *plugin, PluginSettled done, void *userdata, const char *error, const char *message);
void plugin_settler_free(void *settler);

/* call.c */
/* plugin_call() on behalf of this client (a unique name), for the log; NULL: the daemon's own. */
int plugin_call_for(Plugin *plugin, const char *sender, const char *interface, const char *member, uint64_t timeout,
                    gboolean without_effect, PluginCallAppend append, PluginCallDone done, void *userdata);
/* A call with this userdata has not been sent yet. */
gboolean plugin_call_waits(Plugin *plugin, const void *userdata);
/* Drops it, if so; done is not called. */
gboolean plugin_call_cancel(Plugin *plugin, const void *userdata);
/* However long it was held back (swap_held()): monotonic. */
void plugin_call_ends_by(Plugin *plugin, const void *userdata, uint64_t latest);
/* Sends what may be sent. */
void plugin_pump(Plugin *plugin);
/* CheckIdle. leisure: for so long its answer may lie unread (channel_sent()). */
void plugin_ask_idle(Plugin *plugin, uint64_t leisure, PluginCallAppend append, PluginCallDone done, void *userdata);
/* The answer is wanted as soon as it is there. */
void plugin_hasten(Plugin *plugin);
/* Every call ends with this error. */
void plugin_calls_fail(Plugin *plugin, const char *name, const char *message);
void plugin_calls_free(Plugin *plugin);

/* round.c */
void plugin_check_init(Plugin *plugin);
void plugin_check_clear(Plugin *plugin);
/* It fell: its vote is unknown from now on, not only when it is asked the next time. */
void plugin_check_failed(Plugin *plugin, const char *reason);
void round_free(void *round);

/* native-check.c */
/* Asks a native plugin by its function. answer, or problem where there is none, is told in a later iteration of the
 * loop, until native_check_cancel(). FALSE: ask it by a message. */
typedef void (*NativeChecked)(Plugin *plugin, CheckAnswer *answer, const char *problem);
gboolean native_check(Plugin *plugin, NativeChecked checked);
void native_check_cancel(Plugin *plugin);

/* dispatch.c */
void dispatch_free(void *dispatch);
/* It is up, or will not be: handlers wait for that. */
void dispatch_plugin_changed(Plugin *plugin);

/* plugin-properties.c */
int plugin_property_get(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error);

/* plugin-values.c */
/* As a{sv}, each a (vs): the value, and its origin. */
int plugin_values_append(sd_bus_message *reply, const Manifest *manifest, const Settings *settings);

/* request.c */
void plugin_request_free(void *request);

/* data.c */
/* Whether a block may have so many bytes; changes nothing. */
int plugin_check_block(const Plugin *plugin, size_t size, sd_bus_error *error);
/* For a client who may do so; the data is the call's. As a D-Bus method handler returns. */
int plugin_process_block(Plugin *plugin, sd_bus_message *call, const void *data, size_t size, sd_bus_error *error);

/* stream.c */
/* Whether they are what ProcessStream takes; changes nothing. */
int plugin_check_stream(int input, int output, sd_bus_error *error);
/* Nobody waits any more for the one that was sent with this serial number. Who holds its other ends may hold them for
 * ever: only its process can let go of it. One that does not know how goes on. */
void stream_abandon(const PluginProcess *process, gboolean over_bus, uint64_t serial);
/* For a client who may do so. The descriptors stay the message's. Its deadline is for the whole stream; after that the
 * plugin is told to let go of it. As a D-Bus method handler returns. */
int plugin_process_stream(Plugin *plugin, sd_bus_message *call, int input, int output, JsonObject *options,
                          sd_bus_error *error);

/* limits-watch.c */
typedef enum LimitLevel {
        LIMIT_KEPT,
        LIMIT_NEAR,
        LIMIT_REACHED,
} LimitLevel;

/* Of a use, after it was at that level. UINT64_MAX: not known, no limit. */
LimitLevel limit_level(uint64_t used, uint64_t limit, LimitLevel previous);
/* How systemd says that a unit's main process ended; what it does not say stays as it is. `result` is the message's.
 * Of its PropertiesChanged. */
typedef struct UnitEnding {
        const char *result;
        int32_t code, status;
} UnitEnding;
int unit_ending_read(sd_bus_message *message, UnitEnding *ending);
/* A process of it is there, in its present unit. */
void limits_watch_begin(Plugin *plugin);
/* For all these NULL is fine. */
void limits_watch_sample(LimitsWatch *watch);
void limits_watch_killed(LimitsWatch *watch);
/* Newly allocated: why it goes, if systemd ends its unit for what the kernel killed in it: it may leave as politely as
 * if it were done. NULL: not for that. */
char *limits_watch_exhausted(const LimitsWatch *watch);
/* The process has ended, as far as systemd has said. *ret_problem: NULL if it did so well. */
gboolean limits_watch_ended(const LimitsWatch *watch, const char **ret_problem);
LimitsWatch *limits_watch_free(LimitsWatch *watch);

/* plugin-bus.c */
void plugin_bus_violation(Plugin *plugin, const char *resource, uint64_t limit, uint64_t used);
void plugin_bus_changed(Plugin *plugin, const char *property, ...) __attribute__((sentinel));
void plugin_bus_state_changed(Plugin *plugin, PluginState previous, const char *reason);
void plugin_bus_added(Plugin *plugin);
/* Before nobody finds it any more. */
void plugin_bus_removed(Plugin *plugin);
/* Everything that its manifest says. */
void plugin_bus_manifest_changed(Plugin *plugin);
