/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of provider gcp share: the machine that this is, and the means to ask. */

#include <glib.h>
#include <json-glib/json-glib.h>
#include <snooze/plugin.h>

#include "cloud/job.h"
#include "cloud/provider.h"
#include "parse.h"

typedef struct Notices Notices;

/* Of the machine's service account. */
typedef struct Credentials {
        char *token;        /* NULL: not got yet */
        uint64_t until;     /* wall clock µs */
        bool reads, writes; /* what the access scopes of the machine leave of the account's rights */
} Credentials;

/* What the metadata service said last of one of its notices, and what was made of it. Outlives configurations and
 * versions of this program, because an announcement that goes on is not a second one. */
typedef struct Announced {
        char *value;       /* NULL: not known yet */
        char *id;          /* the event; NULL: none */
        bool told;         /* by this process; what one before told may not have been heard */
        uint64_t deadline; /* wall clock µs */
} Announced;

typedef enum Watched { WATCH_MAINTENANCE, WATCH_PREEMPTION, WATCH_COUNT } Watched;

typedef struct Gcp {
        CloudProvider cloud;
        Identity *identity; /* NULL: not known yet */
        Credentials *credentials;
        Notices *notices;
        Announced announced[WATCH_COUNT];
} Gcp;

/* A job's extra. */
typedef struct Extra {
        CloudJobStep found;          /* what comes after the target is known */
        CloudCallDone got;           /* see instance_begin() */
        char *target;                /* "projects/P/zones/Z/instances/N", when it is known */
        struct Following *following; /* operation.c's */
        GHashTable *labels;          /* to set; NULL: none */
        bool conflict;               /* somebody else's labels came between once */
} Extra;

Extra *gcp_extra(const CloudJob *job);

/* identity.c */
extern const CloudQuestion identity_questions[];
void identity_know(void *gcp, void *identity);
const char *identity_id(const void *gcp);

/* credentials.c */
CloudCredentials credentials_state(const void *gcp);
void credentials_ask(void *gcp);
void credentials_drop(void *gcp);

/* instance.c, stop.c, start.c, labels.c, permissions.c: the functions of the table. */
int gcp_get_instance_info(SnoozePluginCall *call, const char *instance_id, void *userdata);
int gcp_stop_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                      void *userdata);
int gcp_start_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                       void *userdata);
int gcp_check_permissions(SnoozePluginCall *call, void *userdata);
int gcp_set_tags(SnoozePluginCall *call, const SnoozePluginDictionary *tags, void *userdata);

/* notices.c */
int notices_watch(void *gcp);
void notices_end(void *gcp);
void announced_clear(Announced *announced);
int gcp_export_state(SnoozePluginCall *call, void *userdata);
int gcp_import_state(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, void *userdata);

#define GCP_METADATA "/computeMetadata/v1/"
