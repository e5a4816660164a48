/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of provider openstack share: the server that this is, and the means to ask. */

#include <glib.h>
#include <snooze/plugin.h>

#include "cloud/job.h"
#include "cloud/provider.h"
#include "parse.h"

typedef struct Inquiry Inquiry;

typedef struct Openstack {
        CloudProvider cloud;
        Identity *identity; /* NULL: not known yet */
        Token *token;
        Inquiry *inquiry;   /* of Keystone, under way */
        char *stop_effect;
} Openstack;

/* A job's extra. */
typedef struct Extra {
        char *body;              /* that waits for the identity */
        const struct Move *move; /* what the server is to do */
        char *refusal;           /* what Nova said to it */
        unsigned looks;          /* at its state since then */
        sd_event_source *timer;  /* until the next one */
} Extra;

Extra *openstack_extra(const CloudJob *job);

/* identity.c */
extern const CloudQuestion identity_questions[];
void identity_know(void *openstack, void *identity);
const char *identity_id(const void *openstack);
int identity_check_id(SnoozePluginCall *call, const char *server_id);

/* token.c */
CloudCredentials token_state(const void *openstack);
void token_ask(void *openstack);
void token_drop(void *openstack);
Inquiry *inquiry_free(Inquiry *inquiry);

/* server.c, move.c, tags.c, permissions.c: the functions of the table. */
int openstack_get_instance_info(SnoozePluginCall *call, const char *server_id, void *userdata);
int openstack_stop_instance(SnoozePluginCall *call, const char *server_id, const SnoozePluginDictionary *options,
                            void *userdata);
int openstack_start_instance(SnoozePluginCall *call, const char *server_id, const SnoozePluginDictionary *options,
                             void *userdata);
int openstack_check_permissions(SnoozePluginCall *call, void *userdata);
int openstack_set_tags(SnoozePluginCall *call, const SnoozePluginDictionary *tags, void *userdata);
