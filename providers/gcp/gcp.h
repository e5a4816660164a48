/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of provider gcp share: the machine that this is, and the means to ask. */

#include <glib.h>
#include <json-glib/json-glib.h>
#include <snooze/plugin.h>

#include "cloud/job.h"
#include "cloud/machine.h"
#include "cloud/metadata.h"
#include "http/http.h"

typedef struct Inquiry Inquiry;
typedef struct Notices Notices;

/* Of the machine's service account. */
typedef struct Credentials {
        char *token;
        uint64_t until;     /* wall clock µs */
        bool reads, writes; /* what the access scopes of the machine leave of the account's rights */
} Credentials;

/* Texts of the metadata service, each of a form that cannot lead elsewhere. */
typedef struct Identity {
        char *id; /* a number that no other instance has or had; names are given again */
        char *name, *zone, *project, *type, *universe;
        bool spot;
        bool local_ssd;
} Identity;

/* What the metadata service said last of one of its notices, and what was made of it. Outlives configurations and
 * versions of this program, because an announcement that goes on is not a second one. */
typedef struct Announced {
        char *value;       /* NULL: not known yet */
        char *id;          /* the event; NULL: none */
        uint64_t deadline; /* wall clock µs */
} Announced;

typedef enum Watched { WATCH_MAINTENANCE, WATCH_PREEMPTION, WATCH_COUNT } Watched;

typedef struct Gcp {
        SnoozePluginInstance *instance;
        const char *root; /* "" but in tests: the folder that stands for / */
        Machine machine;
        HttpClient *http;
        Metadata *metadata;
        bool own_service;   /* the configuration names one, and with it says that this is GCP */
        Identity *identity; /* NULL: not known yet */
        Credentials *credentials;
        Inquiry *inquiry; /* under way */
        CloudJobs *jobs;
        Notices *notices;
        Announced announced[WATCH_COUNT];
} Gcp;

/* A job's extra. */
typedef struct Extra {
        struct ApiCall *api;         /* under way */
        CloudJobStep found;          /* what comes after the target is known */
        char *target;                /* "projects/P/zones/Z/instances/N", when it is known */
        uint64_t deadline;           /* monotonic: before the daemon gives up */
        struct Following *following; /* operation.c's */
        GHashTable *labels;          /* to set; NULL: none */
        bool conflict;               /* somebody else's labels came between once */
} Extra;

/* A new job for a call of this provider's; see cloud_job_new(). */
CloudJob *gcp_job_new(Gcp *gcp, SnoozePluginCall *call, const char *instance_id);
Extra *gcp_extra(const CloudJob *job);

/* identity.c, credentials.c: ask, and answer cloud_jobs_answered(). */
void identity_ask(void *gcp);
void identity_free(Identity *identity);
/* Its questions must have ended with the metadata. */
Inquiry *inquiry_free(Inquiry *inquiry);
void credentials_ask(void *gcp);
void credentials_free(Credentials *credentials);
bool credentials_are_fresh(const Credentials *credentials);

/* "us-central1" of "us-central1-a". Caller frees. */
char *zone_region(const char *zone);
/* "n1-standard-1" of "projects/1/machineTypes/n1-standard-1". */
const char *last_part(const char *path);
/* 1 to most characters, all of them among those. NULL is none. */
bool text_consists_of(const char *text, const char *characters, size_t most);

/* instance.c, stop.c, start.c, labels.c, permissions.c: the functions of the table. */
int gcp_get_instance_info(SnoozePluginCall *call, const char *instance_id, void *userdata);
int gcp_stop_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                      void *userdata);
int gcp_start_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                       void *userdata);
int gcp_check_permissions(SnoozePluginCall *call, void *userdata);
int gcp_set_tags(SnoozePluginCall *call, const SnoozePluginDictionary *tags, void *userdata);

/* notices.c */
int notices_watch(Gcp *gcp);
Notices *notices_free(Notices *notices);
void announced_clear(Announced *announced);
int gcp_export_state(SnoozePluginCall *call, void *userdata);
int gcp_import_state(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, void *userdata);

/* Values of the configuration in force; NULL where there is none. */
const char *gcp_setting(const Gcp *gcp, const char *name);

#define GCP_METADATA "/computeMetadata/v1/"
#define GCP_SCOPE_PLATFORM "https://www.googleapis.com/auth/cloud-platform"
#define GCP_SCOPE_COMPUTE "https://www.googleapis.com/auth/compute"
#define GCP_SCOPE_READONLY "https://www.googleapis.com/auth/compute.readonly"
