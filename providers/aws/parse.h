/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What AWS says, in the metadata service's documents and the API's answers, read without trust: each text is checked
 * for what it is going to be a part of, and nothing is read that is not there. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>
#include <libxml/tree.h>

#include "cloud/call.h"

/* Texts of a form that cannot lead elsewhere. */
typedef struct Identity {
        char *instance_id, *region, *domain, *zone, *type, *lifecycle, *account;
} Identity;

void identity_free(void *identity);

/* i-0123456789abcdef0 */
bool parse_is_instance_id(const char *text);
/* What becomes a part of a host's name: nothing in it may end it. */
bool parse_is_host_part(const char *text);

/* Below which names the APIs of a region are. Whoever answers for the metadata service must not choose who gets
 * requests that the machine's credentials sign. */
bool parse_is_domain(const char *text);

/* The identity document, region: instead of its own, or NULL. Returns NULL, or what is wrong, which the caller frees.
 */
char *parse_identity_document(const char *text, const char *region, Identity *identity);

typedef struct Credentials {
        char *key, *secret, *token; /* token: NULL for a user's own, which do not end */
        uint64_t until;             /* wall clock µs; USEC_INFINITY */
} Credentials;

void credentials_free(Credentials *credentials);
/* NULL: ret_problem says why, without a piece of what may be a secret. */
Credentials *parse_credentials(const char *text, char **ret_problem);
/* The name of a role, as it may stand in a path. */
bool parse_is_role(const char *text);

/* {"action": "stop|terminate|hibernate", "time": "2017-09-18T08:22:00Z"} */
typedef struct Interruption {
        char *action, *time;
        uint64_t deadline; /* 0: the time is none */
} Interruption;

void interruption_clear(Interruption *interruption);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Interruption, interruption_clear)
/* false: it is none, and ret_problem says why. */
bool parse_interruption(const char *text, Interruption *ret, char **ret_problem);

/* {"noticeTime": "2020-10-27T08:22:00Z"}. Returns the time, which the caller frees; NULL: none. */
char *parse_rebalance(const char *text, char **ret_problem);

/* One of events/maintenance/scheduled. */
typedef struct Maintenance {
        char *id, *code;
        char *description; /* NULL: none, or one that is too long to be told */
        uint64_t begin, end; /* 0: not named */
} Maintenance;

/* Those that lie ahead; NULL: it is no list, and ret_problem says why. */
GPtrArray *parse_maintenance(const char *text, char **ret_problem);

/* InService | Terminated | Detached | Standby | Warmed:… */
bool parse_is_lifecycle_state(const char *text);

/* An answer of the Query APIs; NULL: no XML, or one with a document type. Nothing is fetched. */
xmlDoc *parse_answer(const HttpReply *http);
/* The texts that reply has of it are in strings. */
typedef struct Failure {
        char *code, *message;
} Failure;

void failure_clear(Failure *failure);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Failure, failure_clear)
/* EC2 answers Response/Errors/Error, Auto Scaling ErrorResponse/Error. */
void parse_failure(xmlNode *root, Failure *ret);

/* The instance of a DescribeInstances by id; NULL: none. */
xmlNode *parse_instance(xmlNode *root);
/* "running" of instanceState, previousState or currentState; NULL: none is named. Caller frees. */
char *parse_instance_state(xmlNode *instance, const char *member);

/* The region of a zone: the own one where the zone is in it ("us-west-2-lax-1a" is a local zone of us-west-2), or none
 * is named (NULL); else the zone without its last letter. Caller frees. */
char *parse_region(const char *zone, const char *own);

/* The first element of that name among the children, of any name space: each version of the API has another.
 * NULL-safe. */
xmlNode *xml_child(xmlNode *node, const char *name);
/* The next one of the same name behind this. */
xmlNode *xml_next(xmlNode *node);
/* Text of a child, trimmed; NULL where there is none. Caller frees. */
char *xml_text(xmlNode *node, const char *child);
