/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A cloud's metadata service: what it says about this machine, asked on a connection that stays open, never through a
 * proxy. Clouds differ in the headers that they want, in what proves that a reply is theirs, and in whether a session
 * token is needed; those are the rules that a provider fills in. Everything that comes back is bounded, valid UTF-8
 * text. */

#include "http/http.h"

typedef struct Metadata Metadata;

/* Outlive the Metadata. */
typedef struct MetadataRules {
        const char *const *headers; /* "Name: value" of every question, ends with NULL; may be NULL */

        /* A reply without this header of this value comes from somebody else's service. NULL: nothing proves it. */
        const char *proof_header, *proof_value;

        /* A PUT to this path, with the wanted lifetime in seconds in one header, gives a token that every question
         * carries in another. NULL: no tokens. */
        const char *token_path, *token_lifetime_header, *token_header;
        unsigned token_seconds;
} MetadataRules;

/* base_url: "http://169.254.169.254"; paths are put behind it. without_token: a service that knows no tokens is asked
 * without. */
int metadata_new(HttpClient *http, const MetadataRules *rules, const char *base_url, bool without_token,
                 Metadata **ret);
/* Questions under way end without being told. NULL is fine. */
Metadata *metadata_free(Metadata *metadata);

typedef enum MetadataOutcome {
        METADATA_FOUND,  /* text is the document */
        METADATA_ABSENT, /* 404: the service knows no such thing, which is an answer */
        METADATA_FAILED, /* text says why, for people */
} MetadataOutcome;

/* reply: NULL where the question was not even sent. Both are gone when it returns. Never called from within
 * metadata_ask(); must not free the metadata. */
typedef void (*MetadataDone)(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata);

typedef struct MetadataQuestion {
        const char *path;       /* "/latest/meta-data/instance-id"; a query may follow */
        const char *method;     /* NULL: GET, or POST where there is a body */
        const char *body;       /* NUL-terminated; may be NULL */
        const char *const *headers; /* besides those of the rules; may be NULL */
        uint64_t timeout;       /* of an attempt, µs; 0: METADATA_TIMEOUT */
        unsigned attempts;      /* 0: METADATA_ATTEMPTS */
        HttpAgain again;        /* what is worth another attempt; its userdata is not the question's. NULL: as
                                   HttpRequest.again */
} MetadataQuestion;

/* Short, because the service is on this host: aws-node-termination-handler waits 2 s and tries three times. */
#define METADATA_TIMEOUT UINT64_C(2000000)
#define METADATA_ATTEMPTS 3U
#define METADATA_QUESTIONS_MAX 32U

/* 0 or a negative errno: EINVAL, ENOBUFS for METADATA_QUESTIONS_MAX under way. */
int metadata_ask(Metadata *metadata, const MetadataQuestion *question, MetadataDone done, void *userdata);

/* Questions with this userdata end without being told. */
void metadata_forget(Metadata *metadata, const void *userdata);
