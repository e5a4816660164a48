/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the metadata service, Keystone and Nova say, read without trust. */

#include "cloud/call.h"

typedef struct Identity {
        char *server_id, *name, *zone;
} Identity;

void identity_free(void *identity);
/* 9d8f5a0e-…: what may stand in a path. */
bool parse_is_server_id(const char *text);
/* meta_data.json. Returns NULL, or what is wrong, which the caller frees. */
char *parse_meta_data(const char *text, Identity *identity);

/* What Keystone gave, and what it says of it. */
typedef struct Token {
        char *value;
        char *endpoint;     /* of Nova, without a slash at its end: "https://nova.example.com/v2.1" */
        char *region;
        GStrv roles;        /* names; never NULL */
        GStrv access_rules; /* "POST /v2.1/servers/…/action" of Nova's; NULL: the credential is not bound to any */
        uint64_t until;     /* wall clock µs */
} Token;

/* Which of the endpoints in a token's catalog is asked, by the configuration. */
typedef struct Whereabouts {
        const char *endpoint_url; /* instead of the catalog; NULL: by it */
        const char *interface;    /* "public" */
        const char *region;       /* NULL: there is but one */
        bool allow_http;
} Whereabouts;

void token_free(Token *token);
/* value: of X-Subject-Token; body: what came with it. NULL: ret_problem says why; ret_lasting: it will be the same the
 * next time. */
Token *parse_token(const char *value, const char *body, size_t size, const Whereabouts *whereabouts, bool *ret_lasting,
                   char **ret_problem);
/* What Keystone says to a question that it refuses, "" where it says nothing, or repeats the secret that it was told.
 * Caller frees. */
char *parse_refusal(const char *body, size_t size, const char *secret);

/* An access rule ("POST /v2.1/servers/{server_id}/action") covers this method and path. "{server_id}" stands for one
 * part of a path, as "*" does; "**" for any number of them. */
bool parse_rule_allows(const char *rule, const char *method, const char *path);

/* A reply of Nova, of which document is what cloud_reply_parse() made. */
void parse_reply(const HttpReply *http, JsonNode *document, CloudReply *ret);

/* What Nova says of a server. */
typedef struct Server {
        JsonObject *object;   /* borrowed from the reply, as the texts are */
        const char *vm_state; /* "active" "stopped" …: what it is, apart from what it is becoming */
        const char *task;     /* "powering-off" …; "" : nothing is under way */
} Server;

/* false: the reply is a failure, or has no server of this id. */
bool parse_server(const CloudReply *reply, const char *id, Server *ret);
/* In the contract's words: running, pending, stopping, stopped, terminated, unknown. */
const char *server_state(const Server *server);
