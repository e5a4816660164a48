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
#include "util/json.h"

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

static void on_operation(CloudJob *job, const ApiReply *reply);

static void look_again(CloudJob *job) {
        Following *following = following_of(job);

        if (following->is_secret) {
                static const ApiReply none = { 0 };

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
        return usec_add(clock_monotonic(), 2 * PAUSE) >= gcp_extra(job)->deadline;
}

static void wait_a_moment(CloudJob *job) {
        Following *following = following_of(job);
        const Gcp *gcp = job->provider;
        int r = sd_event_add_time_relative(snooze_plugin_instance_get_event(gcp->instance), &following->timer,
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

static void on_instance(CloudJob *job, const ApiReply *reply) {
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

static JsonObject *first_error(JsonObject *operation) {
        JsonObject *error = json_get_object(operation, "error");
        JsonArray *errors = error ? json_get_array(error, "errors") : NULL;
        JsonNode *first = errors && json_array_get_length(errors) > 0 ? json_array_get_element(errors, 0) : NULL;

        return first && JSON_NODE_HOLDS_OBJECT(first) ? json_node_get_object(first) : NULL;
}

static void fail_as_operation(CloudJob *job, JsonObject *operation) {
        JsonObject *error = first_error(operation);
        const char *code = error ? json_get_string(error, "code", "") : "";
        gint64 status = json_get_int(operation, "httpErrorStatusCode", 0);
        bool passing = api_reason_is_passing(code) || status == 429 || status >= 500;
        g_autofree char *text = g_strdup_printf("%.64s: %.300s", *code ? code : "failed",
                                                error ? json_get_string(error, "message", "")
                                                      : json_get_string(operation, "httpErrorMessage", ""));
        g_autofree char *valid = g_utf8_make_valid(text, -1);

        fail(job, passing ? SNOOZE_PLUGIN_ERROR_THROTTLED : SNOOZE_PLUGIN_ERROR_REFUSED, valid);
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

/* {"name": "operation-…", "status": "PENDING|RUNNING|DONE", "error": …} */
static void take_operation(CloudJob *job, JsonObject *operation) {
        const char *status = json_get_string(operation, "status", "");

        if (json_object_has_member(operation, "error")) {
                fail_as_operation(job, operation);
                return;
        }
        following_of(job)->done = g_str_equal(status, "DONE");
        conclude_or_look(job);
}

static void on_operation(CloudJob *job, const ApiReply *reply) {
        if (reply->object)
                take_operation(job, reply->object);
        else {
                if (reply->http && api_is_denied(reply))
                        following_of(job)->is_secret = true;
                conclude_or_look(job);
        }
}

void operation_follow(CloudJob *job, const ApiReply *reply, const Deed *deed) {
        const char *name = reply->object ? json_get_string(reply->object, "name", "") : "";
        Extra *extra = gcp_extra(job);
        const char *instances;
        Following *following;

        if (!reply->object) {
                api_fail(job, reply, deed->method);
                return;
        }
        following = g_new0(Following, 1);
        following_free(extra->following);
        extra->following = following;
        following->deed = deed;
        following->own = instance_is_own(job);
        instances = strstr(extra->target, "/instances/");
        if (!instances || !text_consists_of(name, "abcdefghijklmnopqrstuvwxyz0123456789-", 128)) {
                fail(job, SNOOZE_PLUGIN_ERROR_THROTTLED, "Google answered without an operation");
                return;
        }
        following->path =
                g_strdup_printf("%.*s/operations/%s", (int) (instances - extra->target), extra->target, name);
        take_operation(job, reply->object);
}
