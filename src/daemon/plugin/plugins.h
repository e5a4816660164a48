/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* All plugins that this daemon knows: found by their manifests, enabled by an empty file below STATE/enabled/, started
 * by systemd (or, where the bus has no systemd, by activation), greeted (Handshake, Initialize), asked, and let go.
 * One `Plugin` each; the object on the bus is plugin-bus.c's. Nothing here waits: every answer comes through a
 * callback, exactly once, also when the plugin died, was too slow or sent rubbish. */

#include <glib.h>
#include <json-glib/json-glib.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "bus/authorize.h"
#include "daemon/answer/sizes.h"
#include "daemon/config/config.h"
#include "daemon/decision/decision.h"
#include "daemon/store/store.h"
#include "manifest/manifest.h"

typedef enum PluginState {
        PLUGIN_DISCOVERED,
        PLUGIN_LOADING,
        PLUGIN_INITIALIZING,
        PLUGIN_RUNNING,
        PLUGIN_DRAINING,
        PLUGIN_STOPPED,
        PLUGIN_FAILED,
        PLUGIN_QUARANTINED,
        PLUGIN_STATE_COUNT,
} PluginState;

const char *plugin_state_name(PluginState state);

typedef struct Plugin Plugin;
typedef struct Plugins Plugins;

/* Who changes the configuration. */
typedef struct ConfigCaller {
        sd_bus_message *call;
        uid_t uid;        /* by the end of it he may have left, and is not known any more */
        uint64_t arrived; /* monotonic: of two changes the one that arrived later counts */
} ConfigCaller;

/* configs: id → values; both borrowed, caller as plugins_configure() was told. */
typedef void (*PluginsAgreed)(JsonObject *configs, const ConfigCaller *caller, void *userdata);

typedef struct PluginsParameters {
        sd_bus *bus;
        sd_event *event;
        Config *config;
        Store *store;                    /* to be freed before the plugins: what it still has to tell, it tells then */
        const char *const
                *directories; /* where manifests are: <directory>/<id>/plugin.json; the first that has an id wins */
        const char *state_directory;
        const char *config_directory;    /* where plugins/<id>.env are; NULL: PKGSYSCONFDIR */
        const char *runtime_directory;   /* where it is kept what runs was started from, and what was given up; NULL:
                                            it is not */
        uint64_t restart_delay;          /* µs before the first restart, doubled each time; 0: half a second */
        uint64_t channel_idle;           /* µs without a call after which a channel is closed; 0: 3 minutes */
        uint64_t silence; /* µs without an answer after which a plugin is asked whether it lives; 0: 2 minutes */
        uint64_t trial;   /* µs after a version took the place of another in which that may come back; 0: 10 s */

        /* A vote arrived, or (verdict unknown, with the reason) did not. Ownership of the vote passes. */
        void (*vote)(Vote *vote, void *userdata);
        /* A subject "<id>/<name>" that its plugin no longer names: its latest vote is void. May be NULL. */
        void (*forgotten)(const char *source, void *userdata);
        /* Enabled, disabled, state changed, manifest changed; also where the configuration says that it may run now,
         * or not any more. */
        void (*changed)(Plugin *plugin, PluginState previous, const char *reason, void *userdata);
        void (*problem)(const char *source, const char *message, void *userdata);
        /* A signal of .EventSource, from the process that serves. FALSE: of no use; a plugin that sends many of these
         * is ended. May be NULL. */
        gboolean (*announced)(Plugin *plugin, sd_bus_message *signal, void *userdata);
        /* Plugin.Configure, checked against the schema, authorized and agreed to: to be kept as SetConfiguration
         * would keep {"plugins": {"plugin_configs": configs}}, and to be answered. Where it is not kept,
         * plugins_set_config() with what is in force gives a plugin that took it its old values back. NULL:
         * ERROR_NOT_SUPPORTED. */
        PluginsAgreed configure;
        CallAdmission admit; /* with the plugin's id as what; NULL: nobody is */
        CheckAllowance take_check; /* NULL: as many as he likes */
        void *userdata;
} PluginsParameters;

/* Once plugins_free() has begun no callback is called any more. */

int plugins_new(const PluginsParameters *parameters, Plugins **ret);
Plugins *plugins_free(Plugins *plugins);
void plugins_set_config(Plugins *plugins, Config *config);

/* Values that a configuration would give plugins (merged as by RFC 7396) are put to those of them that run, for this
 * call: agreed is told when all have taken them. What one refuses is the call's answer, and changes nothing; nor does
 * what was agreed to after 20 s, or when the caller had left. As a D-Bus method handler returns. */
int plugins_configure(Plugins *plugins, JsonObject *configs, const ConfigCaller *caller, PluginsAgreed agreed,
                      void *userdata, sd_bus_error *error);

Plugin *plugins_find(Plugins *plugins, const char *id);
/* By id; borrowed. */
GPtrArray *plugins_list(Plugins *plugins);
/* What a plugin has to have, exactly; NULL: anything. */
typedef struct PluginsFilter {
        const char *capability; /* a contract */
        const char *category, *author, *tag;
} PluginsFilter;
/* Those with a manifest that fit, and whose id, name, description or a tag contains the query, in any case. By id; the
 * caller frees the array, the plugins are borrowed. */
GPtrArray *plugins_search(Plugins *plugins, const PluginsFilter *filter, const char *query);
/* Reads the directories again; NULL-terminated ids of what is new. */
char **plugins_discover(Plugins *plugins);

/* What is kept of a plugin, whether it is there or not: that it is enabled, and its state. done is told when all of it
 * is gone, or what stays. -EBUSY: it is enabled, or runs; -EAGAIN: some plugin is just being enabled or disabled;
 * otherwise as store_run(). */
int plugins_forget(Plugins *plugins, const char *id, StoreDone done, void *userdata);

const char *plugin_id(const Plugin *plugin);
const char *plugin_display_name(const Plugin *plugin);
const char *plugin_object_path(const Plugin *plugin);
PluginState plugin_state(const Plugin *plugin);
gboolean plugin_enabled(const Plugin *plugin);
/* It is to be heard before this machine may be idle: it may run and has IdleCheck. One whose plugin.json is broken has
 * what it had before; where nobody knows what that was it might be a check. */
gboolean plugin_votes(const Plugin *plugin);
gboolean plugin_has_contract(const Plugin *plugin, const char *contract); /* "IdleCheck", "CloudProvider" … */
/* What its plugin.json says; NULL where that is broken (plugin_last_error() has the reason). */
const Manifest *plugin_manifest(const Plugin *plugin);
/* What it is started with next, which is another where its files were changed while it runs. */
const Manifest *plugin_next_manifest(const Plugin *plugin);
const char *plugin_last_error(const Plugin *plugin); /* "": none */
/* Of one that runs on by the plugin.json that it was started with: what is wrong with the one that is there now; NULL:
 * nothing is. */
const char *plugin_broken(const Plugin *plugin);
/* It is not up, and the next start is known to be refused: plugin_last_error() says why. */
gboolean plugin_refused(const Plugin *plugin);
/* Of one that failed: what there is to do about it. Caller frees. */
char *plugin_advice(const Plugin *plugin);

/* Starts it now, lets it end (it stays enabled, the next call starts it again). done is called exactly once, never
 * from within this function: with NULL, or with a named error. It may be NULL. */
typedef void (*PluginSettled)(Plugin *plugin, const sd_bus_error *error, void *userdata);
void plugin_load(Plugin *plugin, PluginSettled done, void *userdata);
void plugin_unload(Plugin *plugin, PluginSettled done, void *userdata);

/* Asks every enabled plugin with IdleCheck whose vote is not valid any more (details' valid_seconds); fresh: whether
 * it is or not (a last look). metrics: GetMetrics' keys. Votes go to the `vote` callback one by one, as they come;
 * done is called once after the last, at the latest when the longest time-out has passed. Rounds may overlap: a plugin
 * still being asked is not asked twice, the later round waits for a new answer only if `fresh`. */
void plugins_check(Plugins *plugins, JsonObject *metrics, gboolean fresh, void (*done)(void *userdata),
                   void *userdata);

/* Nobody waits for an ordinary round, so its answers need not wake anybody: those that come over channels may be left
 * lying until plugins_hear(), which is to be called when this time has passed. 0, as in the beginning: they are read
 * as they come, and so are those of a plugin that has less time to answer. A fresh round that meets such a question
 * hastens it. */
void plugins_set_leisure(Plugins *plugins, uint64_t within);
/* FALSE: nobody was asked at leisure since. */
gboolean plugins_hear(Plugins *plugins);

/* Before a call on behalf of somebody else: ERROR_LIMITS_EXCEEDED where so many wait that the daemon's own would find
 * no place. */
int plugin_check_room(const Plugin *plugin, sd_bus_error *error);
/* The same for Configure, which has room where everybody else has none, and goes before them. */
int plugin_check_room_to_configure(const Plugin *plugin, sd_bus_error *error);

/* One call of a contract method. Starts the plugin where needed. append writes the arguments (it may be called again
 * after a restart; NULL: none); done gets the reply, whose signature is the contract's, or NULL and a named error;
 * never from within this function. timeout in µs covers everything from now on; 0: the manifest's for this contract.
 * without_effect: repeated once if the plugin dies meanwhile. A negative errno for a method that is in no contract;
 * done is then not called. */
typedef int (*PluginCallAppend)(sd_bus_message *message, void *userdata);
typedef void (*PluginCallDone)(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata);
int plugin_call(Plugin *plugin, const char *interface, const char *member, uint64_t timeout, gboolean without_effect,
                PluginCallAppend append, PluginCallDone done, void *userdata);

/* As it is configured, else as the manifest says, in µs. */
uint64_t plugin_timeout(const Plugin *plugin, PluginTimeout timeout);

/* Ends its process, with whatever that was asked and still does, by a daemon before this one, too; another one takes
 * its place. done: when it is gone, never from within this function. */
void plugin_renew(Plugin *plugin, const char *reason, void (*done)(void *userdata), void *userdata);

/* EventSource's Watch, on which its signals follow (PluginsParameters' announced), as plugin_call(). */
void plugin_watch(Plugin *plugin, PluginCallDone done, void *userdata);

/* What it said makes no sense: its last error, and it is not healthy. */
void plugin_note_problem(Plugin *plugin, const char *problem);

/* One block of bytes through the plugin's DataProcessor. done gets what came of it, or NULL and a named error; never
 * from within this function. timeout as in plugin_call(). -E2BIG: more than PLUGIN_DATA_MAX; -EBUSY: more than that
 * together with all blocks under way; done is then not called. */
typedef void (*PluginDataDone)(Plugin *plugin, GBytes *output, const sd_bus_error *error, void *userdata);
int plugin_process_data(Plugin *plugin, GBytes *input, uint64_t timeout, PluginDataDone done, void *userdata);

/* Before the end: every running plugin with the State contract exports what it knows, and the store keeps it. done is
 * called once, at the latest after so many µs; it may be from within. */
void plugins_save_states(Plugins *plugins, uint64_t timeout, void (*done)(void *userdata), void *userdata);

/* Puts the objects below SNOOZE_PLUGIN_PATH on the bus (vtable, enumerator; ObjectManager is the manager's). */
int plugins_export(Plugins *plugins);
/* Each by object_append(). */
int plugins_append_objects(Plugins *plugins, sd_bus_message *reply, sd_bus_error *error);
