/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of provider aws share: the machine that this is, the means to ask, and a job, which is a call of the contract on its
 * way through several answers. */

#include <glib.h>
#include <snooze/plugin.h>

#include "cloud/machine.h"
#include "cloud/metadata.h"
#include "cloud/options.h"
#include "http/http.h"

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
        GPtrArray *waiting; /* Job: for identity or credentials; borrows */
        bool asking_identity, asking_credentials;
        Notices *notices;
        const char *stop_effect;
} Aws;

typedef struct Job Job;
typedef void (*JobStep)(Job *job);

struct Job {
        Aws *aws;
        SnoozePluginCall *call; /* NULL: of nobody's (a heartbeat) */
        char *instance_id;      /* NULL until the identity is known: this one */
        CloudOptions options;
        JobStep next;           /* when it is ready */
        bool needs_credentials;
        bool waited;            /* for credentials: whatever came has to do */
        bool renewed;           /* its credentials were refused once */
        unsigned step;          /* of those that ask several things (permissions.c) */
        char **tags;            /* parameters of a CreateTags, without the instance's id */
        struct ApiCall *api;
};

/* job.c. call may be NULL. instance_id "" or NULL: this machine. */
Job *job_new(Aws *aws, SnoozePluginCall *call, const char *instance_id);
/* Answers the call, if there is one, and frees the job. result: as snooze_plugin_call_finish(). */
void job_end(Job *job, int result);
/* Calls next when this machine's identity is known, for the second its credentials, too; or ends the job with what went wrong. Either
 * may happen at once. */
void job_identify(Job *job, JobStep next);
void job_authenticate(Job *job, JobStep next);
/* Those that waited go on, or fail with an error name and text. */
void aws_release_jobs(Aws *aws, const char *error_name, const char *text);

/* identity.c, credentials.c: ask, if that is not under way, and release the jobs. */
void identity_ask(Aws *aws);
void identity_free(Identity *identity);
void credentials_ask(Aws *aws);
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
