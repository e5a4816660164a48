/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of provider azure share: the machine that this is, and the means to ask. */

#include <glib.h>
#include <json-glib/json-glib.h>
#include <snooze/plugin.h>

#include "cloud/job.h"
#include "cloud/provider.h"
#include "cloud/told.h"
#include "parse.h"

typedef struct Notices Notices;

/* The token of the managed identity. */
typedef struct Token {
        char *text;
        uint64_t until; /* boot time: it ends whether the machine sleeps or not */
} Token;

typedef struct Azure {
        CloudProvider cloud;
        Identity *identity; /* NULL: not known yet */
        Token *token;
        Notices *notices;
        CloudTold *told;
} Azure;

/* A job's extra: what is under way for it. */
typedef struct Extra {
        struct Operation *operation;
        char *body;       /* of what is to be sent when the identity is known */
        Notices *approving; /* among whose jobs this one is; NULL: of none */
        unsigned granted; /* bits of rights, as permissions_ask() finds them */
        unsigned pages;   /* of answers, so far */
        void (*permitted)(CloudJob *job, const CloudReply *failure);
} Extra;

/* identity.c */
extern const CloudQuestion identity_questions[];
void identity_know(void *azure, void *identity);
const char *identity_id(const void *azure);

/* token.c */
CloudCredentials token_state(const void *azure);
void token_ask(void *azure);
void token_drop(void *azure);

/* The functions of the table. */
int azure_get_instance_info(SnoozePluginCall *call, const char *instance_id, void *userdata);
int azure_stop_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                        void *userdata);
int azure_start_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                         void *userdata);
int azure_check_permissions(SnoozePluginCall *call, void *userdata);
int azure_set_tags(SnoozePluginCall *call, const SnoozePluginDictionary *tags, void *userdata);

/* notices.c */
int notices_watch(void *azure);
void notices_end(void *azure);
int azure_export_state(SnoozePluginCall *call, void *userdata);
int azure_import_state(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, void *userdata);
int notices_acknowledged(SnoozePluginCall *call, const char *event_id, void *userdata);

/* Of the Resource Manager, without a slash at its end. */
char *azure_endpoint(const Azure *azure);
