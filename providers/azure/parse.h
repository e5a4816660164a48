/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What Azure says, in the metadata service's documents and the Resource Manager's answers, read without trust. */

#include "cloud/call.h"

/* Each text of a form that cannot lead elsewhere. */
typedef struct Identity {
        char *resource_id; /* of the Resource Manager; what instance_id means here */
        char *vm_id;       /* a UUID, another one in each copy of the machine */
        char *name;        /* as scheduled events name it */
        char *location, *size, *zone, *priority, *scale_set;
        const char *endpoint; /* of its cloud: "https://management.azure.com"; NULL: a cloud that is not known */
        bool ephemeral;       /* the system's disk does not outlive a deallocation, so that Azure takes none */
        JsonObject *tags;
} Identity;

void identity_free(void *identity);
/* instance/compute of the metadata service. Returns NULL, or what is wrong, which the caller frees. */
char *parse_compute(const char *text, Identity *identity);

/* The token of a managed identity. */
typedef struct AccessToken {
        char *text;
        uint64_t lifetime; /* µs */
} AccessToken;

/* NULL, or what is missing in it. */
const char *parse_token(const char *text, AccessToken *ret);
/* {"error": "invalid_request", "error_description": "Identity not found"}. Caller frees; "" where nothing is said. */
char *parse_token_refusal(const char *text);

/* One scheduled event. */
typedef enum EventKind {
        EVENT_PREEMPT,
        EVENT_TERMINATE,
        EVENT_FREEZE,
        EVENT_REBOOT,
        EVENT_REDEPLOY,
        EVENT_KIND_COUNT
} EventKind;

typedef struct ScheduledEvent {
        char *id;
        EventKind kind;
        bool scheduled;     /* has not begun */
        bool alone;         /* it names one machine, and no other */
        uint64_t deadline;  /* wall clock µs; 0: it has begun, or names no time */
        char *source;       /* NULL: not named */
        char *description;  /* NULL: none, or one that is too long to be told */
        int64_t duration;   /* seconds; -1: not known */
} ScheduledEvent;

const char *event_kind_name(EventKind kind);

typedef struct ScheduledEvents {
        int64_t incarnation; /* the same number is the same document; -1: none is named */
        GPtrArray *events;   /* ScheduledEvent: those that name the machine; the others are nobody's business here */
} ScheduledEvents;

/* NULL: it is no such document. */
ScheduledEvents *parse_events(const char *text, const char *machine);
void scheduled_events_free(ScheduledEvents *events);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ScheduledEvents, scheduled_events_free)

/* A reply of the Resource Manager, of which document is what cloud_reply_parse() made. */
void parse_reply(const HttpReply *http, JsonNode *document, CloudReply *ret);

/* A page of permissions; ret_next: the address of the next one, borrowed; "": it is the last. */
bool parse_is_permissions(JsonObject *page, const char **ret_next);
/* One of its entries grants the action. Each is a role: what it takes away again, another one may grant. */
bool parse_grants(JsonObject *page, const char *action);

/* "running" "stopped" "deallocating": of PowerState/… of a machine; NULL where none is told. Caller frees. */
char *parse_power(JsonObject *vm);

/* What is asked at the address of an operation: a status of a document, "" where it is the answer itself that tells.
 */
typedef struct OperationStatus {
        bool succeeded, failed;
        const char *code, *message; /* of a failure; borrowed from the reply */
} OperationStatus;

void parse_operation(const CloudReply *reply, OperationStatus *ret);
