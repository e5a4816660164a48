/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A call of the contract on its way through several answers. Before a provider can do anything it must know which machine this is (its
 * identity) and have a right to ask (its credentials). Both are asked for once, however many calls wait, and asked anew when they are
 * gone: a job waits for them, and goes on or ends with what went wrong. */

#include <glib.h>
#include <snooze/plugin.h>

#include "cloud/options.h"

typedef struct CloudJobs CloudJobs;
typedef struct CloudJob CloudJob;

/* What a provider has; its userdata is the provider. ask… begin to ask, and cloud_jobs_answered() says that they are done, at once or
 * later; nothing else is asked for meanwhile. */
typedef struct CloudMeans {
        /* The machine's id in its cloud, or NULL: not known yet. */
        const char *(*identity)(void *provider);
        void (*ask_identity)(void *provider);
        bool (*are_credentials_fresh)(void *provider);
        /* There are some, fresh or not: what has just been got has to do, for a clock that is wrong makes every one look old. */
        bool (*have_credentials)(void *provider);
        void (*ask_credentials)(void *provider);
        /* Frees what the provider hung on to job->extra; may be NULL. */
        void (*free_extra)(void *extra);
} CloudMeans;

CloudJobs *cloud_jobs_new(const CloudMeans *means, void *provider);
/* None may wait any more. NULL is fine. Returns NULL. */
CloudJobs *cloud_jobs_free(CloudJobs *jobs);

/* Identity or credentials were answered: those that wait go on, or, with an error name and text, fail. */
void cloud_jobs_answered(CloudJobs *jobs, const char *error_name, const char *text);
/* The configuration changed: whatever was asked for will not be answered, and those that wait fail. */
void cloud_jobs_reset(CloudJobs *jobs);

typedef void (*CloudJobStep)(CloudJob *job);

struct CloudJob {
        CloudJobs *jobs;
        void *provider;
        SnoozePluginCall *call; /* NULL: of nobody's */
        char *instance_id;      /* NULL until the identity is known: this one */
        CloudOptions options;   /* as the provider fills them in */
        unsigned step;          /* of those that ask several things */
        bool renewed;           /* its credentials were refused once, and got anew */
        void *extra;            /* the provider's own */

        /* Where credentials were refused for good: goes on without them. NULL: the job fails. */
        CloudJobStep without_credentials;

        CloudJobStep next;
        bool needs_credentials, waited;
};

/* instance_id "" or NULL: this machine. */
CloudJob *cloud_job_new(CloudJobs *jobs, SnoozePluginCall *call, const char *instance_id);
/* Answers the call, if there is one, and frees the job. result: as snooze_plugin_call_finish(). */
void cloud_job_end(CloudJob *job, int result);
/* Fails the call, if there is one (else it is logged), and frees the job. */
void cloud_job_fail(CloudJob *job, const char *error_name, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Calls next when this machine's identity is known, for the second its credentials, too. It may happen at once. */
void cloud_job_identify(CloudJob *job, CloudJobStep next);
void cloud_job_authenticate(CloudJob *job, CloudJobStep next);

/* It is this machine that the call is about. Not before it was identified. */
bool cloud_job_is_own(const CloudJob *job);

/* Answers of Detect: true, after the identity was found. */
void cloud_job_detected(CloudJob *job);
