/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of provider aws share: the machine that this is, and the means to ask. */

#include <glib.h>
#include <snooze/plugin.h>

#include "cloud/job.h"
#include "cloud/provider.h"
#include "cloud/told.h"
#include "parse.h"

typedef struct Notices Notices;

/* Where Auto Scaling is about to take the instance, as last read. Outlives configurations and versions of this
 * program, because a state that goes on is not a second event. */
typedef struct Scaling {
        char *state;         /* "InService", "Terminated", …; NULL: not known yet */
        char *id;            /* of the event that it is; NULL: none */
        uint64_t deadline;   /* wall clock µs, counted from when it was first seen; 0: none */
        bool told;           /* by this process */
        bool acknowledged;   /* the handlers are done */
        bool completed;      /* and Auto Scaling was told so */
} Scaling;

typedef struct Aws {
        CloudProvider cloud;
        Identity *identity; /* NULL: not known yet */
        Credentials *credentials;
        Notices *notices;
        Scaling scaling;
        CloudTold *maintenance;
        const char *stop_effect;
} Aws;

/* A job's extra. */
typedef struct Extra {
        GPtrArray *tags; /* parameters of a CreateTags: "Tag.1.Key", …; NULL: none */
        sd_bus_slot *logind; /* what it is being asked */
} Extra;

/* identity.c */
extern const CloudQuestion identity_questions[];
void identity_know(void *aws, void *identity);
const char *identity_id(const void *aws);
int identity_check_id(SnoozePluginCall *call, const char *instance_id);

/* credentials.c */
CloudCredentials credentials_state(const void *aws);
void credentials_ask(void *aws);
void credentials_drop(void *aws);

/* instance.c, stop.c, tags.c, permissions.c: the functions of the table. */
int aws_get_instance_info(SnoozePluginCall *call, const char *instance_id, void *userdata);
int aws_stop_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                      void *userdata);
int aws_start_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                       void *userdata);
int aws_check_permissions(SnoozePluginCall *call, void *userdata);
int aws_set_tags(SnoozePluginCall *call, const SnoozePluginDictionary *tags, void *userdata);

/* notices.c */
int notices_watch(void *aws);
void notices_end(void *aws);
void scaling_clear(Scaling *scaling);
int aws_export_state(SnoozePluginCall *call, void *userdata);
int aws_import_state(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, void *userdata);
int notices_acknowledged(SnoozePluginCall *call, const char *event_id, void *userdata);

/* stop_method is "poweroff". */
bool aws_powers_off(const Aws *aws);
/* There is a lifecycle hook to complete. */
bool aws_has_hook(const Aws *aws);
