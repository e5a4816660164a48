/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A call of the contract on its way through several answers. Before a provider can do anything it must know which
 * machine this is (its identity) and have a right to ask (its credentials). Both are asked for once, however many
 * calls wait, and asked anew when they are gone: a job waits for them, and goes on or ends with what went wrong.
 *
 * The daemon gives a call up after a minute, and a stop that was given up can be called off. So a job has an end, at
 * which nothing is asked any more and it fails as what may be tried again: a second ahead of it no call of an API is
 * begun and none goes on, so that what is told is what was last heard. */

#include <glib.h>
#include <snooze/plugin.h>

#include "cloud/options.h"
#include "cloud/provider.h"

typedef struct CloudJob CloudJob;
struct CloudCall;

CloudJobs *cloud_jobs_new(CloudProvider *cloud);
/* None may wait any more. NULL is fine. Returns NULL. */
CloudJobs *cloud_jobs_free(CloudJobs *jobs);

/* Identity or credentials were answered: those that wait go on, or, with an error name and text, fail. */
void cloud_jobs_answered(CloudProvider *cloud, const char *error_name, const char *text);
/* The configuration changed: whatever was asked for will not be answered, and those that wait fail. */
void cloud_jobs_reset(CloudProvider *cloud);

typedef void (*CloudJobStep)(CloudJob *job);

struct CloudJob {
        CloudProvider *cloud;
        void *provider;          /* the same, as the provider's own type */
        SnoozePluginCall *call;  /* NULL: of nobody's */
        char *instance_id;       /* NULL until the identity is known: this one */
        CloudOptions options;
        uint64_t deadline;       /* monotonic: of its calls of an API, see cloud_job_is_late() */
        sd_event_source *end;
        unsigned step;           /* of those that ask several things */
        uint64_t patience;       /* with each of its calls of an API, µs; 0: CLOUD_CALL_PATIENCE */
        bool renewed;            /* its credentials were refused once, and got anew */
        void *extra;             /* the provider's own, see CloudKind.extra_size */
        struct CloudCall *api;   /* under way, see cloud/call.h */

        /* Where credentials were refused for good: goes on without them. NULL: the job fails. */
        CloudJobStep without_credentials;
        /* Called when it ends, whatever came of it; may be NULL. */
        void (*ended)(void *userdata);
        void *ended_userdata;

        CloudJobStep next;
        bool needs_credentials, waited;
};

/* instance_id "" or NULL: this machine. */
CloudJob *cloud_job_new(CloudProvider *cloud, SnoozePluginCall *call, const char *instance_id);
/* Answers the call, if there is one, and frees the job. result: as snooze_plugin_call_finish(). */
void cloud_job_end(CloudJob *job, int result);
/* Fails the call, if there is one (else it is logged), and frees the job. */
void cloud_job_fail(CloudJob *job, const char *error_name, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* New jobs for calls of GetInstanceInfo, StopInstance and StartInstance, whose arguments are checked: what they name,
 * and what is wanted (see cloud/options.h). 0, or what the function of the table returns. */
int cloud_job_new_for(CloudProvider *cloud, SnoozePluginCall *call, const char *instance_id, CloudJob **ret);
int cloud_job_new_for_stop(CloudProvider *cloud, SnoozePluginCall *call, const char *instance_id,
                           const SnoozePluginDictionary *options, CloudJob **ret);
int cloud_job_new_for_start(CloudProvider *cloud, SnoozePluginCall *call, const char *instance_id,
                            const SnoozePluginDictionary *options, CloudJob **ret);

/* Calls next when this machine's identity is known, for the second its credentials, too. It may happen at once. */
void cloud_job_identify(CloudJob *job, CloudJobStep next);
void cloud_job_authenticate(CloudJob *job, CloudJobStep next);

/* There will be no time for another call of an API after such a pause. */
bool cloud_job_is_late(const CloudJob *job, uint64_t pause);

/* It is this machine that the call is about. Not before it was identified. */
bool cloud_job_is_own(const CloudJob *job);
