/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The plugins that can stop this machine, and the one of them that is to do it. `auto` asks each enabled one to
 * Detect; exactly one that says yes is chosen, two choose none and say so. `local` is chosen by auto only on a virtual
 * machine that DMI does not name a cloud's (bare metal, container: `snooze setup` can name it). */

#include <glib.h>
#include <json-glib/json-glib.h>
#include <systemd/sd-bus.h>

#include "daemon/plugin/plugins.h"

typedef struct Provider Provider;
typedef struct Providers Providers;

typedef struct ProvidersParameters {
        sd_bus *bus;
        sd_event *event;
        Config *config;
        Plugins *plugins;
        /* The active provider, its StopEffect, instance or permissions changed. */
        void (*changed)(void *userdata);
        /* The active provider was asked for its permissions and lacks none for what the configuration says that a stop
         * is to do: told when it has answered, when it was chosen, and when the configuration says something else. */
        void (*permitted)(void *userdata);
        /* Provider.StopInstance of this machine, before authorization: to be done exactly as Manager.StopInstance is.
         * Returns as a bus handler does. NULL: ERROR_NOT_SUPPORTED. */
        int (*stop_this_machine)(Provider *provider, sd_bus_message *call, const char *reason, JsonObject *options,
                                 sd_bus_error *error, void *userdata);
        CallAdmission admit; /* with the provider's id and the instance as what; NULL: nobody is */
        CheckAllowance take_check; /* NULL: as many as he likes */
        void *userdata;
} ProvidersParameters;

int providers_new(const ProvidersParameters *parameters, Providers **ret);
Providers *providers_free(Providers *providers);
void providers_set_config(Providers *providers, Config *config);

/* To be told by the owner of both when a plugin with CloudProvider came, went, or was enabled. */
void providers_plugin_changed(Providers *providers, Plugin *plugin);

Provider *providers_find(Providers *providers, const char *id);
GPtrArray *providers_list(Providers *providers); /* borrowed, by id */
Provider *providers_active(Providers *providers); /* NULL: none */

/* Why no stop could be asked for now that is to do this (a name of base/stop-actions.h; NULL: what the configuration
 * says), in a sentence that ends with what to type; NULL if one could: no provider, two detected, StopEffect not
 * allowed, permissions missing, a machine that cannot be made to do it. */
const char *providers_problem(Providers *providers, const char *action);

const char *provider_id(const Provider *provider);
const char *provider_object_path(const Provider *provider);
const char *provider_stop_effect(const Provider *provider); /* "unknown" until it said otherwise */
/* By what its manifest asks for it can have logind stop the machine, which refuses what somebody inhibits. */
gboolean provider_reaches_logind(const Provider *provider);
const char *provider_instance_id(const Provider *provider); /* "" until known */

typedef enum StopAnswer {
        STOP_ACCEPTED, /* the instance reports stopping or stopped */
        STOP_RETRY,    /* throttled, unreachable, timed out: its state is to be asked before anything is repeated */
        STOP_HELD,     /* somebody stands in the way who will leave: off, but no reason not to try another time */
        STOP_REFUSED,  /* it will never work like this: a permission, a wrong id, an effect that is not allowed */
} StopAnswer;

/* Asks the provider to stop this machine by `action` (a name of base/stop-actions.h) and verifies what it reports.
 * wake: when it is to be on again, µs since the epoch, which a provider that cannot see to it refuses; 0: not asked
 * for. */
typedef void (*ProviderStopped)(StopAnswer answer, const char *message, void *userdata);
void provider_stop(Provider *provider, const char *action, const char *reason, uint64_t wake, ProviderStopped done,
                   void *userdata);

/* A state of an instance that is on its way out, or out. */
gboolean instance_state_leaves(const char *state);

/* The instance's state: "running" "stopping" "stopped" …, or NULL and why. */
typedef void (*ProviderStateKnown)(const char *state, const char *message, void *userdata);
void provider_query_state(Provider *provider, ProviderStateKnown done, void *userdata);

/* Ends what it may still be doing for a daemon that died; done when that is certain. */
void provider_end_calls(Provider *provider, void (*done)(void *userdata), void *userdata);

/* Writes tags (strings) at this machine's instance: ok FALSE and why not. Waits no longer than patience, in µs, nor
 * than for any other call of a provider. */
typedef void (*ProviderTagged)(gboolean ok, const char *message, void *userdata);
void provider_set_tags(Provider *provider, JsonObject *tags, uint64_t patience, ProviderTagged done, void *userdata);

int providers_export(Providers *providers);
/* Each by object_append(). */
int providers_append_objects(Providers *providers, sd_bus_message *reply, sd_bus_error *error);

#define STOP_REASON_MAX 512U /* bytes of why somebody wants one */

/* options.wake of a stop at this moment (wall clock), where there is one: 0, or ERROR_INVALID_ARGUMENT. */
int provider_check_wake(JsonObject *options, uint64_t stop, sd_bus_error *error);
