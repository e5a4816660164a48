/* SPDX-License-Identifier: Apache-2.0 */

#include "cloud/watch.h"

#include <syslog.h>

#include "cloud/job.h"
#include "cloud/poll.h"

struct CloudWatch {
        CloudProvider *cloud;
        CloudPoll *poll;
        CloudJob *job;  /* waits until this machine is known */
        bool asking;    /* a round is under way */
        bool troubled;  /* it was told that nothing can be read */
        CloudWatchAsk ask;
        void *userdata;
};

static void identified(CloudJob *job) {
        CloudWatch *watch = job->ended_userdata;

        watch->asking = true;
        cloud_job_end(job, 0);
        watch->ask(watch->userdata);
}

/* A job that failed has logged why. */
static void on_ended(void *userdata) {
        CloudWatch *watch = userdata;

        watch->job = NULL;
        if (!watch->asking)
                cloud_poll_answered(watch->poll, false);
}

static void on_time(void *userdata) {
        CloudWatch *watch = userdata;
        CloudJob *job = cloud_job_new(watch->cloud, NULL, NULL);

        watch->job = job;
        job->ended = on_ended;
        job->ended_userdata = watch;
        cloud_job_identify(job, identified);
}

int cloud_watch_new(CloudProvider *cloud, uint64_t interval, CloudWatchAsk ask, void *userdata, CloudWatch **ret) {
        CloudWatch *watch = g_new0(CloudWatch, 1);
        int r;

        watch->cloud = cloud;
        watch->ask = ask;
        watch->userdata = userdata;
        r = cloud_poll_new(cloud_event(cloud), interval, cloud->kind->poll_pause_max, on_time, watch,
                           &watch->poll);
        if (r < 0) {
                g_free(watch);
                return r;
        }
        *ret = watch;
        return 0;
}

CloudWatch *cloud_watch_free(CloudWatch *watch) {
        if (!watch)
                return NULL;
        if (watch->job) {
                watch->job->ended = NULL;
                cloud_job_end(watch->job, 0);
        }
        cloud_poll_free(watch->poll);
        g_free(watch);
        return NULL;
}

static void answered(CloudWatch *watch, const char *failure, bool ok) {
        if (failure && !watch->troubled)
                snooze_plugin_log(LOG_WARNING, "Announcements cannot be read for now: %s", failure);
        else if (!failure && watch->troubled)
                snooze_plugin_log(LOG_NOTICE, "Announcements can be read again.");
        watch->troubled = failure != NULL;
        watch->asking = false;
        cloud_poll_answered(watch->poll, ok);
}

void cloud_watch_answered(CloudWatch *watch, const char *failure) {
        answered(watch, failure, !failure);
}

void cloud_watch_answered_in_part(CloudWatch *watch, const char *failure) {
        answered(watch, failure, true);
}

void cloud_watch_put_off(CloudWatch *watch) {
        watch->asking = false;
        cloud_poll_answered(watch->poll, true);
}
