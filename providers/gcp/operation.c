/* SPDX-License-Identifier: Apache-2.0 */

/*      reply ──▸ operation ──done──▸ instance ──expected──▸ success
 *                  ▴  │ not yet        │ not expected: no success, whatever the operation says
 *                  │  ▾                ▾
 *              1 s └─ instance, which is leaving: success, if it is this machine
 *
 * An account whose role is bound to the instance alone may not read operations (they are the project's): then the
 * instance alone tells. */

#include "operation.h"

#include <string.h>
#include <syslog.h>

#include "base/clock.h"
#include "instance.h"

#define PAUSE USEC_PER_SEC

typedef struct Following {
        const Deed *deed;
        char *path; /* of the operation */
        sd_event_source *timer;
        bool own;       /* kept, because the configuration may change under way */
        bool done;      /* without an error */
        bool is_secret; /* the account may not read operations */
} Following;

void following_free(struct Following *following) {
        if (!following)
                return;
        sd_event_source_disable_unref(following->timer);
        g_free(following->path);
        g_free(following);
}

static Following *following_of(const CloudJob *job) {
        return gcp_extra(job)->following;
}

static void fail(CloudJob *job, const char *error_name, const char *what) {
        cloud_job_fail(job, error_name, "compute.instances.%s on %s: %s", following_of(job)->deed->method,
                       last_part(gcp_extra(job)->target), what);
}

static void succeed(CloudJob *job, const char *status) {
        snooze_plugin_log(LOG_INFO, "compute.instances.%s on %s: %s%s%s", following_of(job)->deed->method,
                          last_part(gcp_extra(job)->target), following_of(job)->done ? "done" : "under way",
                          *status ? ", it is " : "", status);
        cloud_job_end(job, 0);
}

static void on_operation(CloudJob *job, const CloudReply *reply);

static void look_again(CloudJob *job) {
        Following *following = following_of(job);

        if (following->is_secret) {
                static const CloudReply none = { 0 };

                on_operation(job, &none);
        } else
                api_call(job, following->path, NULL, on_operation);
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata) {
        CloudJob *job = userdata;
        Following *following = following_of(job);

        following->timer = sd_event_source_disable_unref(following->timer);
        look_again(job);
        return 0;
}

static bool is_late(const CloudJob *job) {
        return cloud_job_is_late(job, 2 * PAUSE);
}

static void wait_a_moment(CloudJob *job) {
        Following *following = following_of(job);
        int r = sd_event_add_time_relative(cloud_event(job->cloud), &following->timer,
                                           CLOCK_MONOTONIC, clock_pause(PAUSE), clock_pause(PAUSE / 10), on_time, job);

        if (r < 0)
                cloud_job_end(job, r);
}

/* Neither the operation nor the instance may be read, or the time is over: Google took it, and that is all that can be
 * said. */
static void end_unseen(CloudJob *job) {
        snooze_plugin_log(LOG_NOTICE,
                          "compute.instances.%s on %s was accepted; the account may not see what became of it "
                          "(compute.instances.get)",
                          following_of(job)->deed->method, last_part(gcp_extra(job)->target));
        cloud_job_end(job, 0);
}

static void on_instance(CloudJob *job, const CloudReply *reply) {
        Following *following = following_of(job);
        const char *status = instance_status(reply->object);
        bool expected = g_strv_contains(following->deed->expected, status);
        g_autofree char *text = NULL;

        if (!reply->object && api_is_denied(reply)) {
                if (following->done || following->is_secret || is_late(job))
                        end_unseen(job);
                else
                        wait_a_moment(job);
        } else if (!reply->object && !is_late(job) && !following->done)
                wait_a_moment(job); /* The deed was taken; a fault of the network is no reason to tell of a failure. */
        else if (!reply->object)
                api_fail(job, reply, "get");
        else if (expected && (following->done || following->is_secret || (following->deed->leaves && following->own) ||
                              is_late(job)))
                succeed(job, status);
        else if (following->done && following->deed->leaves && following->own)
                /* It was suspended, and has been woken since. */
                succeed(job, status);
        else if (following->done || is_late(job)) {
                text = g_strdup_printf("Google took it, and says that the instance is %s",
                                       *status ? status : "in no state");
                fail(job, SNOOZE_PLUGIN_ERROR_THROTTLED, text);
        } else
                wait_a_moment(job);
}

static void fail_as_operation(CloudJob *job, const Operation *operation) {
        g_autofree char *text = g_strdup_printf("%.64s: %.300s", *operation->code ? operation->code : "failed",
                                                operation->message);
        g_autofree char *valid = g_utf8_make_valid(text, -1);

        fail(job, operation->passing ? SNOOZE_PLUGIN_ERROR_THROTTLED : SNOOZE_PLUGIN_ERROR_REFUSED, valid);
}

static void conclude_or_look(CloudJob *job) {
        Following *following = following_of(job);

        if (following->deed->expected)
                instance_get(job, on_instance);
        else if (following->done)
                succeed(job, "");
        else if (following->is_secret)
                end_unseen(job);
        else if (is_late(job))
                fail(job, SNOOZE_PLUGIN_ERROR_THROTTLED, "Google took it, and is not done yet");
        else
                wait_a_moment(job);
}

static void take_operation(CloudJob *job, const Operation *operation) {
        if (operation->failed) {
                fail_as_operation(job, operation);
                return;
        }
        following_of(job)->done = operation->done;
        conclude_or_look(job);
}

static void on_operation(CloudJob *job, const CloudReply *reply) {
        Operation operation;

        if (reply->object) {
                parse_operation(reply->object, &operation);
                take_operation(job, &operation);
        } else {
                if (reply->http && api_is_denied(reply))
                        following_of(job)->is_secret = true;
                conclude_or_look(job);
        }
}

void operation_follow(CloudJob *job, const CloudReply *reply, const Deed *deed) {
        Extra *extra = gcp_extra(job);
        const char *instances;
        Following *following;
        Operation operation;

        if (!reply->object) {
                api_fail(job, reply, deed->method);
                return;
        }
        parse_operation(reply->object, &operation);
        following = g_new0(Following, 1);
        following_free(extra->following);
        extra->following = following;
        following->deed = deed;
        following->own = instance_is_own(job);
        instances = strstr(extra->target, "/instances/");
        if (!instances || !operation.name) {
                fail(job, SNOOZE_PLUGIN_ERROR_THROTTLED, "Google answered without an operation");
                return;
        }
        following->path = g_strdup_printf("%.*s/operations/%s", (int) (instances - extra->target), extra->target,
                                          operation.name);
        take_operation(job, &operation);
}
