/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of provider aws share: the machine that this is, and the means to ask. */

#include <glib.h>
#include <snooze/plugin.h>

#include "cloud/job.h"
#include "cloud/machine.h"
#include "cloud/metadata.h"
#include "http/http.h"

typedef struct Inquiry Inquiry;
typedef struct Notices Notices;

typedef struct Credentials {
        char *key, *secret, *token; /* token: NULL for a user's own, which do not end */
        uint64_t until;             /* wall clock µs; USEC_INFINITY */
} Credentials;

/* Texts of the metadata service, each of a form that cannot lead elsewhere. */
typedef struct Identity {
        char *instance_id, *region, *domain, *zone, *type, *lifecycle, *account;
} Identity;

typedef struct Aws {
        SnoozePluginInstance *instance;
        Machine machine;
        HttpClient *http;
        Metadata *metadata;
        bool own_service;   /* the configuration names one, and with it says that this is AWS */
        Identity *identity; /* NULL: not known yet */
        Credentials *credentials;
        Inquiry *inquiry;   /* under way */
        CloudJobs *jobs;
        Notices *notices;
        const char *stop_effect;
} Aws;

/* A job's extra: the call of an API under way, and parameters that wait for it. */
typedef struct Extra {
        struct ApiCall *api;
        char **tags; /* parameters of a CreateTags, its second the instance's id when it is known */
} Extra;

/* A new job for a call of this provider's; see cloud_job_new(). */
CloudJob *aws_job_new(Aws *aws, SnoozePluginCall *call, const char *instance_id);

/* identity.c, credentials.c: ask, and answer cloud_jobs_answered(). */
void identity_ask(void *aws);
void identity_free(Identity *identity);
/* Its questions must have ended with the metadata. */
Inquiry *inquiry_free(Inquiry *inquiry);
void credentials_ask(void *aws);
void credentials_free(Credentials *credentials);
bool credentials_are_fresh(const Credentials *credentials);

/* instance.c, stop.c, tags.c, permissions.c: the functions of the table. */
int aws_get_instance_info(SnoozePluginCall *call, const char *instance_id, void *userdata);
int aws_stop_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options, void *userdata);
int aws_start_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options, void *userdata);
int aws_check_permissions(SnoozePluginCall *call, void *userdata);
int aws_set_tags(SnoozePluginCall *call, const SnoozePluginDictionary *tags, void *userdata);

/* i-0123456789abcdef0 */
bool aws_is_instance_id(const char *text);

/* notices.c */
int notices_watch(Aws *aws);
int notices_acknowledged(Aws *aws, SnoozePluginCall *call, const char *event_id);
Notices *notices_free(Notices *notices);

/* Values of the configuration in force; NULL where there is none. */
const char *aws_setting(const Aws *aws, const char *name);
bool aws_powers_off(const Aws *aws);
