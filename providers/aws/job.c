/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <syslog.h>

#include "api.h"

Job *job_new(Aws *aws, SnoozePluginCall *call, const char *instance_id) {
        Job *job = g_new0(Job, 1);

        job->aws = aws;
        job->call = call;
        job->instance_id = instance_id && *instance_id ? g_strdup(instance_id) : NULL;
        return job;
}

void job_end(Job *job, int result) {
        (void) g_ptr_array_remove(job->aws->waiting, job);
        api_cancel(job->api);
        if (job->call)
                snooze_plugin_call_finish(job->call, result);
        /* The id's place may still be open, so that the list ends behind it. */
        for (char **tag = job->tags; tag && (*tag || tag == job->tags + 1); tag++)
                g_free(*tag);
        g_free(job->tags);
        g_free(job->instance_id);
        g_free(job);
}

static void pursue(Job *job) {
        Aws *aws = job->aws;

        if (!aws->identity) {
                g_ptr_array_add(aws->waiting, job);
                identity_ask(aws);
                return;
        }
        if (!job->instance_id)
                job->instance_id = g_strdup(aws->identity->instance_id);
        /* A clock that is wrong makes every credential look old: one question is enough. */
        if (job->needs_credentials && !credentials_are_fresh(aws->credentials) && !(job->waited && aws->credentials)) {
                job->waited = true;
                g_ptr_array_add(aws->waiting, job);
                credentials_ask(aws);
                return;
        }
        job->next(job);
}

void job_identify(Job *job, JobStep next) {
        job->next = next;
        job->needs_credentials = false;
        pursue(job);
}

void job_authenticate(Job *job, JobStep next) {
        job->next = next;
        job->needs_credentials = true;
        job->waited = false;
        pursue(job);
}

static void job_fail(Job *job, const char *error_name, const char *text) {
        int r = -EIO;

        if (job->call)
                r = snooze_plugin_call_fail(job->call, error_name, "%s", text);
        else
                snooze_plugin_log(LOG_WARNING, "%s", text);
        job_end(job, r);
}

void aws_release_jobs(Aws *aws, const char *error_name, const char *text) {
        g_autoptr(GPtrArray) waiting = aws->waiting;

        aws->waiting = g_ptr_array_new();
        for (guint i = 0; i < waiting->len; i++)
                if (error_name)
                        job_fail(g_ptr_array_index(waiting, i), error_name, text);
                else
                        pursue(g_ptr_array_index(waiting, i));
}
