/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside the provider part: what its files share. A provider is looked at ("probed") when its plugin is there for the
 * first time, after the plugin failed, when its settings have changed, and once a day: Detect, its properties, the
 * instance, its permissions, in this order. */

#include "base/stop-actions.h"
#include "daemon/answer/cloud.h"
#include "daemon/plugin/request.h"
#include "daemon/provider/providers.h"

struct Provider {
        Providers *providers;
        Plugin *plugin;
        char *path;
        char *name, *version, *stop_effect;
        gboolean probing;
        gboolean outdated;        /* what it is being asked was for other settings of it */
        gboolean tried;           /* it was asked whether the machine is its own, whatever came of it */
        gboolean probed;          /* Detect was answered since the plugin was enabled or failed */
        gboolean detected;
        char *instance_id;
        gboolean asking_permissions; /* for callers: the operations that want them */
        gboolean permissions_known;
        char *obstacles[STOP_ACTION_COUNT]; /* to each of what a stop may do, the first; NULL: none, or not known */
};

struct Providers {
        ProvidersParameters parameters;
        Config *config;
        GPtrArray *list;          /* Provider, by id; owns */
        GHashTable *by_id;        /* borrows */
        Provider *active;         /* NULL: none */
        char *problem;            /* with any stop; NULL: none */
        sd_event_source *again;   /* probes what was not answered, and daily */
        uint64_t all_probed;      /* monotonic, when all were last asked anew */
        sd_bus_slot *vtable_slot, *enumerator_slot;
        GPtrArray *operations;    /* under way; owns, see operation.h */
        gboolean exported;
};

/* providers.c */
/* Something that the choice depends on has changed: chooses again, and tells who is interested. */
void providers_choose(Providers *providers);

/* choice.c */
/* Who is to stop this machine, and why nobody can (NULL: somebody can, obstacles apart). Changes nothing. */
Provider *choose_provider(Providers *providers, char **ret_problem);
gboolean stop_effect_allowed(const Config *config, const char *effect);

/* probe.c */
void provider_probe(Provider *provider);

/* Calls of a provider that somebody waits for. The list frees what the loop will not come back to. */
typedef struct Operation {
        Provider *provider;
        Request *request;         /* of a client, whose call is to be answered; or NULL */
        char *action, *reason;
        char *instance_id;
        JsonObject *options;
        gboolean wants_permissions; /* waits for another operation's answer, which is for all who do */
        ProviderStopped stopped;  /* one of the three, by who began it */
        ProviderStateKnown state_known;
        ProviderTagged tagged;
        void *userdata;
        unsigned attempts;
        sd_event_source *timer;
} Operation;

/* operation.c */
Operation *operation_new(Provider *provider);
/* For a client, whose calls to plugins count together; a negative errno with *error set where it has as many as it
 * may. */
int operation_begin(Provider *provider, sd_bus_message *call, const char *instance_id, JsonObject *options,
                    Operation **ret, sd_bus_error *error);
void operation_free(void *operation);
/* Takes it off the list and frees it. */
void operation_end(Operation *operation);
/* A call of CloudProvider for this operation; the answer comes to done with the operation as userdata. */
void operation_call(Operation *operation, const char *member, gboolean without_effect, PluginCallAppend append,
                    PluginCallDone done);

int append_instance_id(sd_bus_message *message, void *operation);
int append_instance_and_options(sd_bus_message *message, void *operation);
/* The options, as a{ss}. */
int append_tags(sd_bus_message *message, void *operation);

/* Whether a row that is not granted is no obstacle to a stop that is to do this: it says that the machine cannot be
 * made to do something else. */
gboolean permission_of_another(const char *name, const char *action);
/* Keeps what they say. */
void provider_learn_permissions(Provider *provider, JsonArray *permissions);
void provider_forget_permissions(Provider *provider);
/* What keeps it from doing this with this machine (a name of base/stop-actions.h), as far as is known, or NULL. */
const char *provider_obstacle(const Provider *provider, const char *action);
/* Tells that the active one may do what the configuration wants of a stop, if so. */
void provider_tell_permitted(Provider *provider);

/* provider-bus.c */
void provider_bus_added(Provider *provider);
void provider_bus_changed(Provider *provider);
