/* SPDX-License-Identifier: Apache-2.0 */

/* Stopping and starting. Nova accepts (202) and works on: the server's states before and after tell what there is to
 * do, and that it was begun. Which action is allowed in which state is said in nova/compute/api.py
 * (check_instance_state), and by 409. */

#include "move.h"

#include <string.h>
#include <syslog.h>

#include "base/clock.h"
#include "server.h"

/* Nova notes the task before it answers; copies of its database may lag. Together just under eight seconds. */
#define LOOKS_MAX 6U
#define FIRST_PAUSE (250 * USEC_PER_MSEC)

#define LIST(...) ((const char *const[]) { __VA_ARGS__, NULL })

static const Move stop_move = {
        .action = "os-stop",
        .policy = "os_compute_api:servers:stop",
        .gives = "stops this server",
        .going = LIST("powering-off", "suspending", "shelving"),
        .done = LIST("stopped", "suspended", "shelved", "shelved_offloaded"),
};

static const Move suspend_move = {
        .action = "suspend",
        .policy = "os_compute_api:os-suspend-server:suspend",
        .gives = "suspends this server",
        .going = LIST("suspending", "powering-off", "shelving"),
        .done = LIST("suspended", "stopped", "shelved", "shelved_offloaded"),
};

/* One that is only off still has its host. */
static const Move shelve_move = {
        .action = "shelve",
        .policy = "os_compute_api:os-shelve:shelve",
        .gives = "shelves this server",
        .going = LIST("shelving"),
        .done = LIST("shelved", "shelved_offloaded"),
};

static const Move start_move = { .action = "os-start", .going = LIST("powering-on"), .done = LIST("active") };
static const Move resume_move = { .action = "resume", .going = LIST("resuming"), .done = LIST("active") };
static const Move unshelve_move = { .action = "unshelve",
                                    .going = LIST("unshelving", "spawning", "powering-on"),
                                    .done = LIST("active") };

const Move *move_of_method(const char *method) {
        if (g_strcmp0(method, "suspend") == 0)
                return &suspend_move;
        return g_strcmp0(method, "shelve") == 0 ? &shelve_move : &stop_move;
}

/* StopEffect is that of the method, and has to be true. */
char *move_obstacle(StopAction action, const char *method) {
        if (action != STOP_ACTION_SUSPEND || g_strcmp0(method, "suspend") == 0)
                return NULL;
        return g_strdup_printf("stop_method is %s, which is what a stop does and costs: set it to suspend", method);
}

const char *move_stop_effect(const char *method) {
        return g_strcmp0(method, "shelve") == 0 ? "stops-billing" : "keeps-billing";
}

static bool has_begun(const Move *move, const Server *server) {
        for (const char *const *going = move->going; *going; going++)
                if (g_str_has_prefix(server->task, *going))
                        return true;
        return g_strv_contains(move->done, server->vm_state) && !*server->task;
}

static char *describe(const CloudJob *job) {
        return g_strdup_printf("%s of %s", openstack_extra(job)->move->action, job->instance_id);
}

static void look(CloudJob *job);

static int on_time(sd_event_source *source, uint64_t usec, void *userdata) {
        CloudJob *job = userdata;

        openstack_extra(job)->timer = sd_event_source_disable_unref(openstack_extra(job)->timer);
        look(job);
        return 0;
}

static void look_again(CloudJob *job, const Server *server) {
        Extra *extra = openstack_extra(job);
        g_autofree char *what = describe(job);
        int r;

        if (extra->looks++ == LOOKS_MAX) {
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_THROTTLED, "%s: Nova accepted it, but the server is still %s",
                               what, server->vm_state);
                return;
        }
        r = sd_event_add_time_relative(cloud_event(job->cloud), &extra->timer, CLOCK_MONOTONIC,
                                       clock_pause(FIRST_PAUSE << (extra->looks - 1)), 0, on_time, job);
        if (r < 0)
                cloud_job_end(job, r);
}

static void on_look(CloudJob *job, const CloudReply *reply) {
        Extra *extra = openstack_extra(job);
        g_autofree char *what = describe(job);
        Server server;

        if (!parse_server(reply, job->instance_id, &server)) {
                /* It was accepted; more cannot be known. */
                if (api_is_denied(reply)) {
                        snooze_plugin_log(LOG_NOTICE, "%s was accepted; the credential may not see whether it happens",
                                          what);
                        cloud_job_end(job, 0);
                } else
                        cloud_reply_fail(job, reply, what);
        } else if (has_begun(extra->move, &server))
                cloud_job_end(job, 0);
        else if (g_str_equal(server.vm_state, "error"))
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_REFUSED, "%s: the server went into an error state", what);
        else
                look_again(job, &server);
}

static void look(CloudJob *job) {
        server_ask(job, on_look);
}

/* In another state than it was thought to be in: somebody was faster, perhaps this very call, whose answer was lost.
 */
static void on_conflict(CloudJob *job, const CloudReply *reply) {
        Extra *extra = openstack_extra(job);
        g_autofree char *what = describe(job);
        Server server;

        if (!parse_server(reply, job->instance_id, &server))
                cloud_reply_fail(job, reply, what);
        else if (has_begun(extra->move, &server))
                cloud_job_end(job, 0);
        else if (*server.task)
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_THROTTLED, "%s: the server is busy (%.60s)", what,
                               server.task);
        else
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_REFUSED, "%s: %s", what, extra->refusal);
}

static void on_asked(CloudJob *job, const CloudReply *reply) {
        Extra *extra = openstack_extra(job);
        g_autofree char *what = describe(job);

        if (reply->ok) {
                snooze_plugin_log(LOG_INFO, "%s was accepted", what);
                look(job);
        } else if (api_is_conflict(reply)) {
                g_free(extra->refusal);
                extra->refusal = g_strdup(*reply->message ? reply->message : "the server is in no state for it (409)");
                server_ask(job, on_conflict);
        } else
                cloud_reply_fail(job, reply, what);
}

static void ask(CloudJob *job) {
        g_autofree char *body = g_strdup_printf("{\"%s\":null}", openstack_extra(job)->move->action);

        cloud_call(job, NULL, "/action", body, on_asked);
}

static void on_before_stop(CloudJob *job, const CloudReply *reply) {
        Extra *extra = openstack_extra(job);
        g_autofree char *what = describe(job);
        Server server;

        if (!parse_server(reply, job->instance_id, &server)) {
                /* A stop works without knowing more; only a credential that may not look is no reason to give up. */
                if (!api_is_denied(reply))
                        cloud_reply_fail(job, reply, what);
                else if (job->options.dry_run)
                        cloud_job_end(job, 0);
                else
                        ask(job);
        } else if (has_begun(extra->move, &server) || job->options.dry_run)
                cloud_job_end(job, 0);
        else
                ask(job);
}

static void authenticated(CloudJob *job) {
        server_ask(job, on_before_stop);
}

int openstack_stop_instance(SnoozePluginCall *call, const char *server_id, const SnoozePluginDictionary *options,
                            void *userdata) {
        const char *method = cloud_setting(userdata, "stop_method") ?: "stop";
        g_autofree char *obstacle = NULL;
        CloudJob *job;
        int r = cloud_job_new_for_stop(userdata, call, server_id, options, &job);

        if (r < 0)
                return r;
        openstack_extra(job)->move = move_of_method(method);
        obstacle = move_obstacle(job->options.action, method);
        if (obstacle)
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_NOT_SUPPORTED, "%s", obstacle);
        else
                cloud_job_authenticate(job, authenticated);
        return SNOOZE_PLUGIN_LATER;
}

static const Move *move_from(const char *vm_state) {
        if (g_str_equal(vm_state, "suspended"))
                return &resume_move;
        return g_str_has_prefix(vm_state, "shelved") ? &unshelve_move : &start_move;
}

static void on_before_start(CloudJob *job, const CloudReply *reply) {
        g_autofree char *what = g_strdup_printf("start of %s", job->instance_id);
        Server server;

        if (!parse_server(reply, job->instance_id, &server)) {
                cloud_reply_fail(job, reply, what);
                return;
        }
        openstack_extra(job)->move = move_from(server.vm_state);
        if (has_begun(openstack_extra(job)->move, &server) || job->options.dry_run)
                cloud_job_end(job, 0);
        else
                ask(job);
}

static void authenticated_start(CloudJob *job) {
        server_ask(job, on_before_start);
}

int openstack_start_instance(SnoozePluginCall *call, const char *server_id, const SnoozePluginDictionary *options,
                             void *userdata) {
        CloudJob *job;
        int r = cloud_job_new_for_start(userdata, call, server_id, options, &job);

        if (r < 0)
                return r;
        cloud_job_authenticate(job, authenticated_start);
        return SNOOZE_PLUGIN_LATER;
}
