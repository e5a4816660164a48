/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of provider openstack share: the server that this is, and the means to ask. */

#include <glib.h>
#include <snooze/plugin.h>

#include "cloud/job.h"
#include "cloud/machine.h"
#include "cloud/metadata.h"
#include "http/http.h"

typedef struct Inquiry Inquiry;

/* What Keystone gave, and what it says of it. */
typedef struct Token {
        char *value;
        char *endpoint;    /* of Nova, without a slash at its end: "https://nova.example.com/v2.1" */
        char *region;
        GStrv roles;       /* names; never NULL */
        GStrv access_rules; /* "POST /v2.1/servers/…/action" of Nova's; NULL: the credential is not bound to any */
        uint64_t until;    /* wall clock µs */
} Token;

/* Texts of the metadata service. */
typedef struct Identity {
        char *server_id, *name, *zone;
} Identity;

typedef struct Openstack {
        SnoozePluginInstance *instance;
        Machine machine;
        HttpClient *http;
        Metadata *metadata;
        bool own_service;       /* the configuration names one, and with it says that this is OpenStack */
        Identity *identity;     /* NULL: not known yet */
        Token *token;
        Inquiry *inquiry;       /* of Keystone, under way */
        CloudJobs *jobs;
        char *stop_effect;
} Openstack;

/* A job's extra. */
typedef struct Extra {
        struct ApiCall *api;     /* under way */
        char *body;              /* that waits for it */
        const struct Move *move; /* what the server is to do */
        char *refusal;           /* what Nova said to it */
        unsigned looks;          /* at its state since then */
        sd_event_source *timer;  /* until the next one */
} Extra;

/* A new job for a call of this provider's; see cloud_job_new(). */
CloudJob *openstack_job_new(Openstack *openstack, SnoozePluginCall *call, const char *server_id);
Extra *openstack_extra(const CloudJob *job);

/* identity.c, token.c: ask, and answer cloud_jobs_answered(). */
void identity_ask(void *openstack);
void identity_free(Identity *identity);
void token_ask(void *openstack);
void token_free(Token *token);
bool token_is_fresh(const Token *token);
Inquiry *inquiry_free(Inquiry *inquiry);

/* server.c, move.c, tags.c, permissions.c: the functions of the table. */
int openstack_get_instance_info(SnoozePluginCall *call, const char *server_id, void *userdata);
int openstack_stop_instance(SnoozePluginCall *call, const char *server_id, const SnoozePluginDictionary *options, void *userdata);
int openstack_start_instance(SnoozePluginCall *call, const char *server_id, const SnoozePluginDictionary *options, void *userdata);
int openstack_check_permissions(SnoozePluginCall *call, void *userdata);
int openstack_set_tags(SnoozePluginCall *call, const SnoozePluginDictionary *tags, void *userdata);

/* 9d8f5a0e-…: what may stand in a path. */
bool openstack_is_server_id(const char *text);
/* 0, or InvalidArgument. "" is fine. */
int openstack_check_server_id(SnoozePluginCall *call, const char *server_id);

/* A value of the configuration in force; NULL where there is none. */
const char *openstack_setting(const Openstack *openstack, const char *name);
