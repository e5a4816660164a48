/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What Google says, in the metadata service's documents and the API's answers, read without trust. */

#include "cloud/call.h"

/* Texts of a form that cannot lead elsewhere. */
typedef struct Identity {
        char *id; /* a number that no other instance has or had; names are given again */
        char *name, *zone, *project, *type, *universe;
        bool spot;
        bool local_ssd;
} Identity;

void identity_free(void *identity);

/* "n1-standard-1" of "projects/1/machineTypes/n1-standard-1". */
const char *last_part(const char *path);
/* The last part of a document of one line, if it consists of such characters; NULL: it does not. Caller frees. */
char *parse_name(const char *text, const char *characters);
/* [{"deviceName": "local-ssd-0", "type": "LOCAL-SSD"}, …]: is there one? */
bool parse_has_local_ssd(const char *text);

/* The access token of the machine's service account. */
typedef struct AccessToken {
        char *text;
        uint64_t lifetime; /* µs */
} AccessToken;

/* {"access_token": "…", "expires_in": 3599, "token_type": "Bearer"}; false: it is none. */
bool parse_token(const char *text, AccessToken *ret);

/* "TRUE" or "MIGRATE_ON_HOST_MAINTENANCE": what a notice may say, without the white space around it; NULL: it is none.
 * Caller frees. */
char *parse_notice(const char *text);
/* Of a notice, as it may stand in a query. */
bool parse_is_etag(const char *text);

/* A reply of the Compute Engine API, of which document is what cloud_reply_parse() made. */
void parse_reply(const HttpReply *http, JsonNode *document, CloudReply *ret);
/* What passes although its status does not tell. */
bool parse_reason_is_passing(const char *reason);

/* A name (RFC 1035) or a number. */
bool parse_is_name(const char *text);
/* projects/PROJECT/zones/ZONE/instances/NAME */
bool parse_is_path(const char *text);

/* {"name": "operation-…", "status": "PENDING|RUNNING|DONE", "error": …} */
typedef struct Operation {
        const char
                *name; /* as it may stand in a path; NULL: it has none. Borrowed from the document, as all texts are */
        bool done;        /* and not failed */
        bool failed, passing;
        const char *code, *message; /* of a failure; "" */
} Operation;

void parse_operation(JsonObject *document, Operation *ret);

/* "RUNNING"; "" where it has none, or for NULL. Borrowed. */
const char *instance_status(JsonObject *instance);
/* What it is in the contract's words; caller frees. */
char *parse_state(const char *status);
/* "us-central1" of "us-central1-a". Caller frees. */
char *parse_region(const char *zone);
/* What the access scopes of the machine, one a line, leave of its account's rights. */
void parse_scopes(const char *text, bool *ret_reads, bool *ret_writes);

/* Of a label's key and value. */
#define LABEL_MAX 63U
/* What a tag's key or value is as a label's. Caller frees. */
char *label_text(const char *tag);
/* Puts those that are wanted beside those that are there. Returns how many there are then; whether any differs from
 * before. */
unsigned labels_merge(GHashTable *wanted, JsonObject *labels, bool *ret_changed);

/* An answer of testIamPermissions names it. */
bool parse_permits(JsonObject *object, const char *permission);
/* A stop of it has to say what is to become of them. */
bool instance_has_local_ssd(JsonObject *instance);
