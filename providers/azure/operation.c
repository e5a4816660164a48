/* SPDX-License-Identifier: Apache-2.0 */

#include "operation.h"

#include <syslog.h>

#include "base/clock.h"
#include "vm.h"

/* A job has its end. Deallocation takes a minute or two, but the machine is seen to leave
 * within seconds. */
#define PATIENCE (30 * USEC_PER_SEC)
#define PAUSE (2 * USEC_PER_SEC)
#define PAUSE_MIN (500 * USEC_PER_MSEC)
#define PAUSE_MAX (15 * USEC_PER_SEC)
#define LOOKS_MAX 3U /* at a machine whose state is not what it should be after the end */

typedef struct Operation {
        CloudJob *job;
        const char *const *states;
        char *what;
        char *url;         /* NULL: it cannot be asked, or has been answered */
        bool over;         /* Azure says that it is done */
        unsigned looks;    /* at the machine since then */
        bool unknown;      /* the machine may not be looked at */
        uint64_t deadline; /* monotonic */
        char *seen;        /* the machine's state */
        sd_event_source *timer;
} Operation;

static Operation *operation_of(const CloudJob *job) {
        return ((Extra *) job->extra)->operation;
}

void operation_cancel(struct Operation *operation) {
        if (!operation)
                return;
        sd_event_source_disable_unref(operation->timer);
        g_free(operation->what);
        g_free(operation->url);
        g_free(operation->seen);
        g_free(operation);
}

static uint64_t pause_of(const HttpReply *reply) {
        const char *header = http_reply_header(reply, "Retry-After");
        guint64 seconds;

        if (!header || !g_ascii_string_to_unsigned(header, 10, 0, G_MAXUINT32, &seconds, NULL))
                return PAUSE;
        return CLAMP(seconds * USEC_PER_SEC, PAUSE_MIN, PAUSE_MAX);
}

static const char *address_of(const HttpReply *reply) {
        return http_reply_header(reply, "Azure-AsyncOperation") ?: http_reply_header(reply, "Location");
}

static void succeed(Operation *operation) {
        snooze_plugin_log(LOG_INFO, "%s: %s%s", operation->what, operation->over ? "done" : "accepted",
                          operation->seen ?: "");
        cloud_job_end(operation->job, 0);
}

static void go_on(Operation *operation);

/* It is over, or will not be before the patience is. */
static void give_up(Operation *operation) {
        if (operation->unknown || !operation->states)
                succeed(operation);
        else
                cloud_job_fail(operation->job, SNOOZE_PLUGIN_ERROR_THROTTLED,
                               "%s: Azure took it%s, and says that the machine is %s", operation->what,
                               operation->over ? " and ended it" : "", operation->seen ?: "in no state");
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata) {
        Operation *operation = userdata;

        operation->timer = sd_event_source_disable_unref(operation->timer);
        go_on(operation);
        return 0;
}

static void wait_for(Operation *operation, uint64_t pause) {
        uint64_t when = usec_add(clock_monotonic(), clock_pause(pause));

        if (when >= operation->deadline || cloud_job_is_late(operation->job, clock_pause(pause)) ||
            sd_event_add_time(cloud_event(operation->job->cloud), &operation->timer, CLOCK_MONOTONIC,
                              when, USEC_PER_MSEC, on_time, operation) < 0)
                give_up(operation);
}

/* A refusal, for its address is of the subscription, where a right on this machine does not reach; or it is forgotten
 * already. */
static bool is_out_of_reach(const CloudReply *reply) {
        return reply->http->problem != HTTP_ANSWERED
                       ? reply->http->problem != HTTP_UNREACHABLE && reply->http->problem != HTTP_TIMED_OUT
                       : reply->http->status >= 400 && !http_reply_is_passing(reply->http);
}

static void on_polled(CloudJob *job, const CloudReply *reply) {
        Operation *operation = operation_of(job);
        OperationStatus status;

        parse_operation(reply, &status);
        if (status.failed) {
                g_autofree char *what = g_strdup(operation->what);

                api_fail_for(job, what, status.code, status.message);
                return;
        }
        operation->over = status.succeeded;
        if (operation->over || is_out_of_reach(reply))
                g_clear_pointer(&operation->url, g_free);
        if (!operation->url && (operation->unknown || !operation->states))
                succeed(operation);
        else if (operation->over)
                go_on(operation);
        else
                wait_for(operation, pause_of(reply->http));
}

static void on_looked(CloudJob *job, const CloudReply *reply) {
        Operation *operation = operation_of(job);

        g_free(operation->seen);
        operation->seen = parse_power(reply->object);
        operation->unknown = api_is_denied(reply);
        operation->looks += operation->over;
        if (operation->seen && g_strv_contains(operation->states, operation->seen))
                succeed(operation);
        else if (operation->url)
                cloud_call(job, "GET", operation->url, NULL, on_polled);
        else if (operation->unknown || operation->looks >= LOOKS_MAX)
                /* Where it may not be looked at, Azure's word is all that there is. */
                give_up(operation);
        else
                wait_for(operation, PAUSE);
}

static void go_on(Operation *operation) {
        if (operation->states && !operation->unknown)
                vm_describe(operation->job, on_looked);
        else
                cloud_call(operation->job, "GET", operation->url, NULL, on_polled);
}

void operation_follow(CloudJob *job, const CloudReply *accepted, const char *action, const char *const *states) {
        const char *address =
                accepted->http->status == 202 || accepted->http->status == 201 ? address_of(accepted->http) : NULL;
        g_autofree char *endpoint = azure_endpoint(job->provider);
        Operation *operation = g_new0(Operation, 1);

        operation->job = job;
        operation->states = states;
        operation->what = g_strdup_printf("%s on %s", action, vm_name(job));
        operation->deadline = usec_add(clock_monotonic(), PATIENCE);
        ((Extra *) job->extra)->operation = operation;
        if (address && api_is_own_url(endpoint, address))
                operation->url = g_strdup(address);
        else if (address)
                snooze_plugin_log(LOG_WARNING, "%s: Azure names an operation elsewhere, which is not asked",
                                  operation->what);
        else
                operation->over = accepted->http->status != 202;
        if (states)
                go_on(operation);
        else if (operation->url)
                wait_for(operation, pause_of(accepted->http));
        else
                succeed(operation);
}
