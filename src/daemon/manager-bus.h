/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The Manager on the bus: its table, and what every method handler of it shares. Handlers stand with their nouns
 * (hold-bus.c, stop-bus.c, event-bus.c, config-bus.c); each runs again from its first line when polkit or the bus
 * driver has answered. */

#include "bus/arguments.h"
#include "daemon/manager.h"

typedef struct HistoryRange {
        uint64_t since, until;
        unsigned max, kinds; /* as store_query() */
} HistoryRange;

/* Filter, ObjectManager, Manager, plugins and providers. */
int manager_bus_register(Manager *manager);

/* The method's own action of bus/actions.h, asked with these details; as authorize(). */
int manager_authorize(Manager *manager, sd_bus_message *message, const char *const *details, sd_bus_error *error);

/* Reads like authorize(): 1 *ret is the caller's uid, 0 parked, <0 refused. */
int manager_caller(Manager *manager, sd_bus_message *message, uid_t *ret, sd_bus_error *error);

/* Both, for what is recorded with the caller's name. */
int manager_authorize_caller(Manager *manager, sd_bus_message *message, const char *const *details, uid_t *ret_uid,
                             sd_bus_error *error);

/* A CallAdmission: what changes something is recorded. */
int manager_admit(sd_bus_message *message, const char *const *details, const char *what, sd_bus_error *error,
                  void *userdata);

/* Once authorized, before a call leaves its trace in history: ERROR_LIMITS_EXCEEDED where its user does so all the
 * time. */
int manager_take_turn(Manager *manager, uid_t uid, sd_bus_error *error);

/* For what would keep the machine on, once authorized: ERROR_TOO_LATE where the provider was asked. */
int manager_refuse_too_late(Manager *manager, sd_bus_error *error);

/* Before a call that keeps the daemon from everything else for a while: by user, or who opens a connection for each
 * call would have as many as he likes. */
int manager_take_look(Manager *manager, uid_t uid, sd_bus_error *error);

/* A CheckAllowance, as CheckNow needs it, too. */
int manager_take_check(sd_bus_message *message, sd_bus_error *error, void *userdata);

/* Plugin.Configure, agreed to: plugins.h's callback. */
void keep_plugin_configs(JsonObject *configs, const ConfigCaller *caller, void *userdata);

/* aa{sv} of JSON objects, appended. hints as dictionary_append(). */
int append_rows(sd_bus_message *reply, GPtrArray *rows, const char *const *hints);

int method_hold(sd_bus_message *message, void *userdata, sd_bus_error *error);
int method_hold_for(sd_bus_message *message, void *userdata, sd_bus_error *error);
int method_postpone(sd_bus_message *message, void *userdata, sd_bus_error *error);
int method_release_hold(sd_bus_message *message, void *userdata, sd_bus_error *error);
int method_list_holds(sd_bus_message *message, void *userdata, sd_bus_error *error);

int method_stop_instance(sd_bus_message *message, void *userdata, sd_bus_error *error);
int method_cancel_stop(sd_bus_message *message, void *userdata, sd_bus_error *error);
int method_pause(sd_bus_message *message, void *userdata, sd_bus_error *error);
int method_resume(sd_bus_message *message, void *userdata, sd_bus_error *error);

/* Provider.StopInstance of this machine: providers.h's callback. */
int stop_this_machine(Provider *provider, sd_bus_message *message, const char *reason, JsonObject *options,
                      sd_bus_error *error, void *userdata);

int method_emit_event(sd_bus_message *message, void *userdata, sd_bus_error *error);
int method_list_events(sd_bus_message *message, void *userdata, sd_bus_error *error);

int method_get_configuration(sd_bus_message *message, void *userdata, sd_bus_error *error);
int method_get_configuration_origins(sd_bus_message *message, void *userdata, sd_bus_error *error);
int method_set_configuration(sd_bus_message *message, void *userdata, sd_bus_error *error);
int method_reload(sd_bus_message *message, void *userdata, sd_bus_error *error);

/* Asks the store on behalf of a call, one call after the other: rows of many at once would not fit into memory. done
 * gets the call, and owns it, as userdata. 1, or ERROR_LIMITS_EXCEEDED. */
int history_query(Manager *manager, sd_bus_message *call, const HistoryRange *range, StoreRows done,
                  sd_bus_error *error);

/* Whoever asks may read all of history: root, and the daemon itself. Others do without what programs wrote (event.h).
 * As manager_caller(). */
int history_reader(Manager *manager, sd_bus_message *call, gboolean *ret_trusted, sd_bus_error *error);
void history_hide(GPtrArray *rows);

int method_get_history(sd_bus_message *message, void *userdata, sd_bus_error *error);
int method_get_samples(sd_bus_message *message, void *userdata, sd_bus_error *error);
int method_diagnose(sd_bus_message *message, void *userdata, sd_bus_error *error);

/* The error for a change that could not even be begun (manager_change_config()); negative. */
int config_change_refused(int r, sd_bus_error *error);
/* Answers a call that changed the configuration, or could not: as manager_change_config() tells. */
void config_change_reply(sd_bus_message *call, const GError *error);

int method_list_plugins(sd_bus_message *message, void *userdata, sd_bus_error *error);
int method_search_plugins(sd_bus_message *message, void *userdata, sd_bus_error *error);
int method_get_plugin(sd_bus_message *message, void *userdata, sd_bus_error *error);
int method_discover_plugins(sd_bus_message *message, void *userdata, sd_bus_error *error);
int method_load_plugin(sd_bus_message *message, void *userdata, sd_bus_error *error);
int method_unload_plugin(sd_bus_message *message, void *userdata, sd_bus_error *error);
int method_forget_plugin(sd_bus_message *message, void *userdata, sd_bus_error *error);
int method_list_providers(sd_bus_message *message, void *userdata, sd_bus_error *error);
int method_get_provider(sd_bus_message *message, void *userdata, sd_bus_error *error);
