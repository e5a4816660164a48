/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of provider azure share: the machine that this is, and the means to ask. */

#include <glib.h>
#include <json-glib/json-glib.h>
#include <snooze/plugin.h>

#include "cloud/job.h"
#include "cloud/machine.h"
#include "cloud/metadata.h"
#include "http/http.h"

typedef struct Notices Notices;
struct ApiReply;

/* The token of the managed identity. */
typedef struct Token {
        char *text;
        uint64_t until; /* boot time: it ends whether the machine sleeps or not */
} Token;

/* Of the metadata service, each text of a form that cannot lead elsewhere. */
typedef struct Identity {
        char *resource_id; /* of the Resource Manager; what instance_id means here */
        char *vm_id;       /* a UUID, another one in each copy of the machine */
        char *name;        /* as scheduled events name it */
        char *location, *size, *zone, *priority, *scale_set;
        char *endpoint; /* of its cloud: "https://management.azure.com"; NULL: a cloud that is not known */
        bool ephemeral; /* the system's disk does not outlive a deallocation, so that Azure takes none */
        JsonObject *tags;
} Identity;

typedef struct Azure {
        SnoozePluginInstance *instance;
        Machine machine;
        HttpClient *http;
        Metadata *metadata;
        bool own_service;   /* the configuration names one, and with it says that this is Azure */
        Identity *identity; /* NULL: not known yet */
        Token *token;
        CloudJobs *jobs;
        Notices *notices;
} Azure;

/* A job's extra: what is under way for it. */
typedef struct Extra {
        struct ApiCall *api;
        struct Operation *operation;
        char *body;       /* of what is to be sent when the identity is known */
        unsigned granted; /* bits of rights, as permissions_ask() finds them */
        unsigned pages;   /* of answers, so far */
        void (*permitted)(CloudJob *job, const struct ApiReply *failure);
} Extra;

/* A new job for a call of this provider's; see cloud_job_new(). */
CloudJob *azure_job_new(Azure *azure, SnoozePluginCall *call, const char *instance_id);

/* identity.c, token.c: ask, and answer cloud_jobs_answered(). */
void identity_ask(void *azure);
void identity_free(Identity *identity);
void token_ask(void *azure);
void token_free(Token *token);
bool token_is_fresh(const Token *token);

/* The functions of the table. */
int azure_get_instance_info(SnoozePluginCall *call, const char *instance_id, void *userdata);
int azure_stop_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                        void *userdata);
int azure_start_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                         void *userdata);
int azure_check_permissions(SnoozePluginCall *call, void *userdata);
int azure_set_tags(SnoozePluginCall *call, const SnoozePluginDictionary *tags, void *userdata);

/* notices.c */
int notices_watch(Azure *azure);
int notices_acknowledged(Azure *azure, SnoozePluginCall *call, const char *event_id);
Notices *notices_free(Notices *notices);

/* Values of the configuration in force; NULL where there is none. */
const char *azure_setting(const Azure *azure, const char *name);
/* Of the Resource Manager, without a slash at its end. */
char *azure_endpoint(const Azure *azure);
