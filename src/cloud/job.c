/* SPDX-License-Identifier: Apache-2.0 */

#include "cloud/job.h"

#include <errno.h>
#include <syslog.h>

#include "base/clock.h"
#include "cloud/call.h"
#include "cloud/inquiry.h"

/* Less than the 60 s after which the daemon gives a provider up; where it waits less, it ends it. */
#define JOB_MAX (50 * USEC_PER_SEC)
#define LAST_WORD USEC_PER_SEC

struct CloudJobs {
        GPtrArray *waiting; /* CloudJob; borrows */
        bool asking_identity, asking_credentials;
};

CloudJobs *cloud_jobs_new(CloudProvider *cloud) {
        CloudJobs *jobs = g_new0(CloudJobs, 1);

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

static int on_end(sd_event_source *source, uint64_t usec, void *userdata) {
        cloud_job_fail(userdata, SNOOZE_PLUGIN_ERROR_THROTTLED, "It takes too long; nothing more is asked");
        return 0;
}

CloudJob *cloud_job_new(CloudProvider *cloud, SnoozePluginCall *call, const char *instance_id) {
        CloudJob *job = g_new0(CloudJob, 1);

        job->cloud = cloud;
        job->provider = cloud;
        job->call = call;
        job->instance_id = instance_id && *instance_id ? g_strdup(instance_id) : NULL;
        job->deadline = usec_add(clock_monotonic(), clock_term(JOB_MAX));
        (void) sd_event_add_time(cloud_event(cloud), &job->end, CLOCK_MONOTONIC, usec_add(job->deadline, LAST_WORD), 0,
                                 on_end, job);
        job->extra = g_malloc0(cloud->kind->extra_size);
        return job;
}

static int check_instance_id(const CloudProvider *cloud, SnoozePluginCall *call, const char *instance_id) {
        return *instance_id ? cloud->kind->check_instance_id(call, instance_id) : 0;
}

int cloud_job_new_for(CloudProvider *cloud, SnoozePluginCall *call, const char *instance_id, CloudJob **ret) {
        int r = check_instance_id(cloud, call, instance_id);

        if (r >= 0)
                *ret = cloud_job_new(cloud, call, instance_id);
        return r;
}

int cloud_job_new_for_stop(CloudProvider *cloud, SnoozePluginCall *call, const char *instance_id,
                           const SnoozePluginDictionary *options, CloudJob **ret) {
        CloudOptions wanted;
        int r;

        r = check_instance_id(cloud, call, instance_id);
        if (r >= 0)
                r = cloud_options_read_stop(call, instance_id, options, cloud->kind->actions, &wanted);
        if (r < 0)
                return r;
        *ret = cloud_job_new(cloud, call, instance_id);
        (*ret)->options = wanted;
        return 0;
}

int cloud_job_new_for_start(CloudProvider *cloud, SnoozePluginCall *call, const char *instance_id,
                            const SnoozePluginDictionary *options, CloudJob **ret) {
        CloudOptions wanted;
        int r;

        r = check_instance_id(cloud, call, instance_id);
        if (r >= 0)
                r = cloud_options_read_start(call, !*instance_id, options, &wanted);
        if (r < 0)
                return r;
        *ret = cloud_job_new(cloud, call, instance_id);
        (*ret)->options = wanted;
        return 0;
}

/* Where the plugin has ended, its calls are gone. */
static SnoozePluginCall *call_of(const CloudJob *job) {
        return job->cloud->instance ? job->call : NULL;
}

void cloud_job_end(CloudJob *job, int result) {
        (void) g_ptr_array_remove(job->cloud->jobs->waiting, job);
        sd_event_source_disable_unref(job->end);
        cloud_call_cancel(job->api);
        if (job->cloud->kind->clear_extra)
                job->cloud->kind->clear_extra(job->extra);
        if (call_of(job))
                snooze_plugin_call_finish(job->call, result);
        if (job->ended)
                job->ended(job->ended_userdata);
        g_free(job->extra);
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
        if (call_of(job))
                r = snooze_plugin_call_fail(job->call, error_name, "%s", text);
        else
                snooze_plugin_log(LOG_WARNING, "%s", text);
        cloud_job_end(job, r);
}

static void ask_identity(CloudProvider *cloud) {
        if (cloud->jobs->asking_identity)
                return;
        cloud->jobs->asking_identity = true;
        cloud_inquiry_begin(cloud);
}

static void ask_credentials(CloudProvider *cloud) {
        if (cloud->jobs->asking_credentials)
                return;
        cloud->jobs->asking_credentials = true;
        cloud->kind->ask_credentials(cloud);
}

/* Old ones have to do where they are what was got when asked: a clock that is wrong makes every one look old. */
static bool lacks_credentials(const CloudJob *job) {
        CloudCredentials credentials = job->cloud->kind->credentials(job->cloud);

        return job->needs_credentials && credentials != CLOUD_CREDENTIALS_FRESH &&
               !(job->waited && credentials == CLOUD_CREDENTIALS_OLD);
}

static const char *identity_of(const CloudProvider *cloud) {
        return cloud->kind->identity(cloud);
}

static void pursue(CloudJob *job) {
        const char *identity = identity_of(job->cloud);

        if (!identity) {
                g_ptr_array_add(job->cloud->jobs->waiting, job);
                ask_identity(job->cloud);
                return;
        }
        if (!job->instance_id)
                job->instance_id = g_strdup(identity);
        if (lacks_credentials(job)) {
                job->waited = true;
                g_ptr_array_add(job->cloud->jobs->waiting, job);
                ask_credentials(job->cloud);
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
        pursue(job);
}

static bool goes_on_without(const CloudJob *job, const char *error_name) {
        return job->without_credentials && job->needs_credentials &&
               g_str_equal(error_name, SNOOZE_PLUGIN_ERROR_REFUSED) && identity_of(job->cloud);
}

static void release(CloudProvider *cloud, const char *error_name, const char *text) {
        g_autoptr(GPtrArray) waiting = g_steal_pointer(&cloud->jobs->waiting);

        cloud->jobs->waiting = g_ptr_array_new();
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

void cloud_jobs_answered(CloudProvider *cloud, const char *error_name, const char *text) {
        /* One at a time: credentials are asked for only where the identity is known. */
        if (cloud->jobs->asking_identity)
                cloud->jobs->asking_identity = false;
        else
                cloud->jobs->asking_credentials = false;
        release(cloud, error_name, text);
}

void cloud_jobs_reset(CloudProvider *cloud) {
        cloud->jobs->asking_identity = cloud->jobs->asking_credentials = false;
        release(cloud, SNOOZE_PLUGIN_ERROR_THROTTLED, "The configuration changed under way");
}

bool cloud_job_is_late(const CloudJob *job, uint64_t pause) {
        return usec_add(clock_monotonic(), pause) >= job->deadline;
}

bool cloud_job_is_own(const CloudJob *job) {
        return g_strcmp0(job->instance_id, identity_of(job->cloud)) == 0;
}
