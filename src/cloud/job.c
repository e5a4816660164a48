/* SPDX-License-Identifier: Apache-2.0 */

#include "cloud/job.h"

#include <errno.h>
#include <syslog.h>

struct CloudJobs {
        const CloudMeans *means;
        void *provider;
        GPtrArray *waiting; /* CloudJob; borrows */
        bool asking_identity, asking_credentials;
};

CloudJobs *cloud_jobs_new(const CloudMeans *means, void *provider) {
        CloudJobs *jobs = g_new0(CloudJobs, 1);

        jobs->means = means;
        jobs->provider = provider;
        jobs->waiting = g_ptr_array_new();
        return jobs;
}

CloudJobs *cloud_jobs_free(CloudJobs *jobs) {
        if (!jobs)
                return NULL;
        g_ptr_array_unref(jobs->waiting);
        g_free(jobs);
        return NULL;
}

CloudJob *cloud_job_new(CloudJobs *jobs, SnoozePluginCall *call, const char *instance_id) {
        CloudJob *job = g_new0(CloudJob, 1);

        job->jobs = jobs;
        job->provider = jobs->provider;
        job->call = call;
        job->instance_id = instance_id && *instance_id ? g_strdup(instance_id) : NULL;
        return job;
}

void cloud_job_end(CloudJob *job, int result) {
        (void) g_ptr_array_remove(job->jobs->waiting, job);
        if (job->extra && job->jobs->means->free_extra)
                job->jobs->means->free_extra(job->extra);
        if (job->call)
                snooze_plugin_call_finish(job->call, result);
        g_free(job->instance_id);
        g_free(job);
}

void cloud_job_fail(CloudJob *job, const char *error_name, const char *format, ...) {
        g_autofree char *text = NULL;
        int r = -EIO;
        va_list ap;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        if (job->call)
                r = snooze_plugin_call_fail(job->call, error_name, "%s", text);
        else
                snooze_plugin_log(LOG_WARNING, "%s", text);
        cloud_job_end(job, r);
}

static void ask_identity(CloudJobs *jobs) {
        if (jobs->asking_identity)
                return;
        jobs->asking_identity = true;
        jobs->means->ask_identity(jobs->provider);
}

static void ask_credentials(CloudJobs *jobs) {
        if (jobs->asking_credentials)
                return;
        jobs->asking_credentials = true;
        jobs->means->ask_credentials(jobs->provider);
}

static bool lacks_credentials(const CloudJob *job) {
        const CloudMeans *means = job->jobs->means;

        if (!job->needs_credentials || means->are_credentials_fresh(job->provider))
                return false;
        return !(job->waited && means->have_credentials(job->provider));
}

static void pursue(CloudJob *job) {
        const char *identity = job->jobs->means->identity(job->provider);

        if (!identity) {
                g_ptr_array_add(job->jobs->waiting, job);
                ask_identity(job->jobs);
                return;
        }
        if (!job->instance_id)
                job->instance_id = g_strdup(identity);
        if (lacks_credentials(job)) {
                job->waited = true;
                g_ptr_array_add(job->jobs->waiting, job);
                ask_credentials(job->jobs);
                return;
        }
        job->next(job);
}

void cloud_job_identify(CloudJob *job, CloudJobStep next) {
        job->next = next;
        job->needs_credentials = false;
        pursue(job);
}

void cloud_job_authenticate(CloudJob *job, CloudJobStep next) {
        job->next = next;
        job->needs_credentials = true;
        job->waited = false;
        pursue(job);
}

static bool goes_on_without(const CloudJob *job, const char *error_name) {
        return job->without_credentials && job->needs_credentials && g_str_equal(error_name, SNOOZE_PLUGIN_ERROR_REFUSED) &&
                job->jobs->means->identity(job->provider);
}

static void release(CloudJobs *jobs, const char *error_name, const char *text) {
        g_autoptr(GPtrArray) waiting = g_steal_pointer(&jobs->waiting);

        jobs->waiting = g_ptr_array_new();
        for (guint i = 0; i < waiting->len; i++) {
                CloudJob *job = g_ptr_array_index(waiting, i);

                if (!error_name)
                        pursue(job);
                else if (goes_on_without(job, error_name))
                        job->without_credentials(job);
                else
                        cloud_job_fail(job, error_name, "%s", text);
        }
}

void cloud_jobs_answered(CloudJobs *jobs, const char *error_name, const char *text) {
        /* One at a time: credentials are asked for only where the identity is known. */
        if (jobs->asking_identity)
                jobs->asking_identity = false;
        else
                jobs->asking_credentials = false;
        release(jobs, error_name, text);
}

void cloud_jobs_reset(CloudJobs *jobs) {
        jobs->asking_identity = jobs->asking_credentials = false;
        release(jobs, SNOOZE_PLUGIN_ERROR_THROTTLED, "The configuration changed under way");
}

bool cloud_job_is_own(const CloudJob *job) {
        return g_strcmp0(job->instance_id, job->jobs->means->identity(job->provider)) == 0;
}

void cloud_job_detected(CloudJob *job) {
        (void) snooze_plugin_call_set_answer(job->call, true);
        cloud_job_end(job, 0);
}
