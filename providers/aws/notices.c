/* SPDX-License-Identifier: Apache-2.0 */

/* What AWS announces to this instance, read from the metadata service one after the other on one connection: Spot
 * interruptions and rebalance recommendations (AWS recommends to look every five seconds), scheduled maintenance, and
 * where Auto Scaling is about to take it. An id has the instance in it, because an image that was made of this machine
 * has its memory of what was handled. */

#include <string.h>
#include <syslog.h>

#include "api.h"
#include "base/clock.h"
#include "cloud/announcement.h"
#include "cloud/text.h"
#include "cloud/watch.h"
#include "util/json.h"

#define STATE_VERSION 1U

typedef struct Path Path;

struct Notices {
        Aws *aws;
        CloudWatch *watch;
        unsigned path;          /* of a round */
        bool answered;          /* something was, in it */
        char *failure;          /* the first of it; NULL: none */
        GHashTable *told;       /* set of ids that are never withdrawn */
        sd_event_source *heartbeat;
};

struct Path {
        const char *path;
        bool spot;                                        /* of Spot instances alone */
        void (*read)(Notices *notices, const char *text); /* NULL: absent */
};

/* id and data are taken. */
static void announce(Notices *notices, char *id, const char *type, CloudSeverity severity, uint64_t deadline,
                     SnoozePluginDictionary *data) {
        g_autofree char *owned = id;

        if (!text_is_plain(id, CLOUD_EVENT_ID_MAX) || g_hash_table_contains(notices->told, id))
                snooze_plugin_dictionary_free(data);
        else if (cloud_announce(&notices->aws->cloud, id, type, severity, deadline, data))
                g_hash_table_add(notices->told, g_steal_pointer(&owned));
}

static char *id_of(const Notices *notices, const char *kind, const char *what) {
        return g_strdup_printf("%s/%s/%s", notices->aws->identity->instance_id, kind, what);
}

static SnoozePluginDictionary *data_new(const Notices *notices) {
        return cloud_announcement_data(&notices->aws->cloud);
}

static void warn(const char *problem) {
        snooze_plugin_log(LOG_WARNING, "The metadata service announces what cannot be read: %s", problem);
}

/* AWS takes none back; a service that forgets it for a moment must not call it off. A hibernation begins at once, and
 * its time is when it was announced. */
static void read_interruption(Notices *notices, const char *text) {
        g_auto(Interruption) interruption = {};
        g_autofree char *problem = NULL, *what = NULL;
        SnoozePluginDictionary *data;

        if (!text)
                return;
        if (!parse_interruption(text, &interruption, &problem)) {
                warn(problem);
                return;
        }
        data = data_new(notices);
        snooze_plugin_dictionary_set_string(data, "action", interruption.action);
        what = g_strdup_printf("%s-%s", interruption.action, interruption.time);
        announce(notices, id_of(notices, "spot", what), CLOUD_EVENT_INTERRUPT, CLOUD_SEVERITY_CRITICAL,
                 interruption.deadline, data);
}

/* The risk is higher, nothing has been decided. */
static void read_rebalance(Notices *notices, const char *text) {
        g_autofree char *problem = NULL, *time = text ? parse_rebalance(text, &problem) : NULL;

        if (problem)
                warn(problem);
        if (time)
                announce(notices, id_of(notices, "rebalance", time), CLOUD_EVENT_REBALANCE, CLOUD_SEVERITY_WARNING, 0,
                         data_new(notices));
}

static void take_maintenance(Notices *notices, const Maintenance *maintenance) {
        g_autofree char *key = id_of(notices, "maintenance", maintenance->id);
        Aws *aws = notices->aws;
        SnoozePluginDictionary *data;
        const char *id;
        bool new;

        id = cloud_told_see(aws->maintenance, key, maintenance->begin, &new);
        if (!new || !text_is_plain(id, CLOUD_EVENT_ID_MAX))
                return;
        data = data_new(notices);
        snooze_plugin_dictionary_set_string(data, "code", maintenance->code);
        if (maintenance->description)
                snooze_plugin_dictionary_set_string(data, "description", maintenance->description);
        if (maintenance->end > 0)
                snooze_plugin_dictionary_set_uint(data, "not_after", maintenance->end);
        if (cloud_announce(&aws->cloud, id, CLOUD_EVENT_MAINTENANCE, CLOUD_SEVERITY_URGENT, maintenance->begin, data))
                cloud_told_done(aws->maintenance, key);
}

/* A list without it, an empty one, or one where it is canceled or completed: it is over, or was called off. */
static void read_maintenance(Notices *notices, const char *text) {
        g_autofree char *problem = NULL, *own = id_of(notices, "maintenance", "");
        g_autoptr(GPtrArray) all = text ? parse_maintenance(text, &problem) : NULL;
        CloudTold *told = notices->aws->maintenance;

        if (problem) {
                warn(problem);
                return;
        }
        cloud_told_begin(told, own);
        for (guint i = 0; all && i < all->len; i++)
                take_maintenance(notices, g_ptr_array_index(all, i));
        if (all)
                cloud_told_end(told);
        else
                cloud_told_absent(told);
}

/* The metadata service says neither that there is a hook nor how long it waits: whoever made it does. */
static uint64_t hook_deadline(const Notices *notices) {
        int64_t seconds = snooze_plugin_instance_get_integer(notices->aws->cloud.instance, "lifecycle_hook_seconds");

        return seconds > 0 ? usec_add(clock_realtime(), (uint64_t) seconds * USEC_PER_SEC) : 0;
}

static void beat(Notices *notices);

/* An instance ends from the group or from its warm pool; Warmed:Stopped, Warmed:Hibernated and Warmed:Running are
 * states from which it comes back (docs.aws.amazon.com/autoscaling/ec2/userguide/warm-pool-instance-lifecycle.html).
 */
static const char *const last_states[] = { "Terminated", "Warmed:Terminated", NULL };

static bool is_terminated(const Aws *aws) {
        return aws->scaling.state && g_strv_contains(last_states, aws->scaling.state);
}

static bool is_termination(const char *event_id) {
        const char *state = strstr(event_id, "/autoscaling/");

        return state && g_strv_contains(last_states, state + strlen("/autoscaling/"));
}

void scaling_clear(Scaling *scaling) {
        g_free(scaling->state);
        g_free(scaling->id);
        *scaling = (Scaling) {};
}

/* Nobody waits for it any more, whether it comes to its end or to another. */
static void end_scaling(Notices *notices) {
        Aws *aws = notices->aws;

        notices->heartbeat = sd_event_source_disable_unref(notices->heartbeat);
        if (aws->scaling.id)
                cloud_withdraw(&aws->cloud, aws->scaling.id);
        scaling_clear(&aws->scaling);
}

/* An image of this machine has what was kept of it, too. */
static bool is_of_another(const Aws *aws) {
        g_autofree char *own = g_strconcat(aws->identity->instance_id, "/", NULL);

        return aws->scaling.id && !g_str_has_prefix(aws->scaling.id, own);
}

static void announce_scaling(Notices *notices) {
        Aws *aws = notices->aws;
        SnoozePluginDictionary *data = data_new(notices);
        bool terminated = is_terminated(aws);

        if (terminated && aws->scaling.deadline == 0)
                aws->scaling.deadline = hook_deadline(notices);
        snooze_plugin_dictionary_set_string(data, "target_lifecycle_state", aws->scaling.state);
        aws->scaling.told = cloud_announce(&aws->cloud, aws->scaling.id,
                                           terminated ? CLOUD_EVENT_TERMINATION : CLOUD_EVENT_SCALE,
                                           terminated ? CLOUD_SEVERITY_CRITICAL : CLOUD_SEVERITY_WARNING,
                                           terminated ? aws->scaling.deadline : 0, data);
}

/* Absent outside of a group. */
static void read_lifecycle(Notices *notices, const char *text) {
        Aws *aws = notices->aws;
        g_autofree char *what = NULL;

        if (!text || !parse_is_lifecycle_state(text))
                return;
        if (is_of_another(aws))
                scaling_clear(&aws->scaling);
        if (g_strcmp0(text, aws->scaling.state) != 0) {
                end_scaling(notices);
                aws->scaling.state = g_strdup(text);
                /* The same state may come again and again, but for the last one. */
                what = is_terminated(aws) ? g_strdup(text)
                                          : g_strdup_printf("%s-%" G_GUINT64_FORMAT, text,
                                                            clock_realtime() / USEC_PER_SEC);
                aws->scaling.id = g_str_equal(text, "InService") ? NULL : id_of(notices, "autoscaling", what);
        }
        /* One that a process before this one told is told by the same id: the daemon knows it, or did not hear it. */
        if (aws->scaling.id && !aws->scaling.told)
                announce_scaling(notices);
        if (is_terminated(aws) && !aws->scaling.acknowledged && !notices->heartbeat)
                beat(notices);
}

static const Path paths[] = {
        { "/latest/meta-data/spot/instance-action", true, read_interruption },
        { "/latest/meta-data/events/recommendations/rebalance", true, read_rebalance },
        { "/latest/meta-data/events/maintenance/scheduled", false, read_maintenance },
        { "/latest/meta-data/autoscaling/target-lifecycle-state", false, read_lifecycle },
};

static void ask_next(Notices *notices);

static void on_answer(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        Notices *notices = userdata;

        /* One that goes on failing must not hide those behind it. */
        if (outcome == METADATA_FAILED) {
                if (!notices->failure)
                        notices->failure = g_strdup_printf("%s: %s", paths[notices->path].path, text);
        } else {
                notices->answered = true;
                paths[notices->path].read(notices, outcome == METADATA_FOUND ? text : NULL);
        }
        notices->path++;
        ask_next(notices);
}

static void end_round(Notices *notices) {
        g_autofree char *failure = g_steal_pointer(&notices->failure);

        if (notices->answered)
                cloud_watch_answered_in_part(notices->watch, failure);
        else
                cloud_watch_answered(notices->watch, failure);
}

static void ask_next(Notices *notices) {
        bool spot = g_str_equal(notices->aws->identity->lifecycle, "spot");
        int r;

        while (notices->path < G_N_ELEMENTS(paths) && paths[notices->path].spot && !spot)
                notices->path++;
        if (notices->path == G_N_ELEMENTS(paths)) {
                end_round(notices);
                return;
        }
        /* The next round is the second attempt. */
        r = metadata_ask(notices->aws->cloud.metadata,
                         &(const MetadataQuestion){ .path = paths[notices->path].path, .attempts = 1 }, on_answer,
                         notices);
        if (r < 0)
                on_answer(METADATA_FAILED, g_strerror(-r), NULL, notices);
}

static void ask(void *userdata) {
        Notices *notices = userdata;

        notices->path = 0;
        notices->answered = false;
        ask_next(notices);
}

/* Auto Scaling waits for its hook: it is kept waiting while handlers work, and told when they are done. */

static void call_hook(CloudJob *job, const char *action, CloudCallDone done) {
        const char *result = g_str_equal(action, "CompleteLifecycleAction") ? "LifecycleActionResult" : NULL;

        api_call(job, "autoscaling", action,
                 (const char *const[]){ "AutoScalingGroupName", cloud_setting(job->cloud, "autoscaling_group"),
                                        "LifecycleHookName", cloud_setting(job->cloud, "lifecycle_hook"), "InstanceId",
                                        job->instance_id, result, "CONTINUE", NULL },
                 done);
}

static void on_beat(CloudJob *job, const CloudReply *reply) {
        if (!reply->root)
                snooze_plugin_log(LOG_WARNING, "Auto Scaling was not asked to wait: %s %s", reply->code,
                                  reply->message);
        cloud_job_end(job, 0);
}

static void send_beat(CloudJob *job) {
        call_hook(job, "RecordLifecycleActionHeartbeat", on_beat);
}

static int on_heartbeat(sd_event_source *source, uint64_t usec, void *userdata) {
        beat(userdata);
        return 0;
}

static void beat(Notices *notices) {
        Aws *aws = notices->aws;
        int64_t seconds = snooze_plugin_instance_get_integer(aws->cloud.instance, "heartbeat_seconds");

        if (!aws_has_hook(aws) || seconds == 0)
                return;
        /* The first needs no saying: the hook's own time has just begun. */
        if (notices->heartbeat)
                cloud_job_authenticate(cloud_job_new(&aws->cloud, NULL, NULL), send_beat);
        notices->heartbeat = sd_event_source_disable_unref(notices->heartbeat);
        (void) sd_event_add_time_relative(cloud_event(&aws->cloud), &notices->heartbeat, CLOCK_MONOTONIC,
                                          (uint64_t) seconds * USEC_PER_SEC, USEC_PER_SEC, on_heartbeat, notices);
}

static void on_completed(CloudJob *job, const CloudReply *reply) {
        Aws *aws = job->provider;

        if (!reply->root) {
                cloud_reply_fail(job, reply, "autoscaling:CompleteLifecycleAction");
                return;
        }
        snooze_plugin_log(LOG_NOTICE, "Auto Scaling need not wait any more: the handlers are done.");
        aws->scaling.completed = true;
        cloud_job_end(job, 0);
}

static void complete(CloudJob *job) {
        call_hook(job, "CompleteLifecycleAction", on_completed);
}

/* A termination that was called off, or that was completed, waits for nothing. */
int notices_acknowledged(SnoozePluginCall *call, const char *event_id, void *userdata) {
        Aws *aws = userdata;

        if (!is_termination(event_id))
                return 0;
        if (aws_has_hook(aws) && (!aws->notices || !aws->identity || !aws->scaling.state))
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_THROTTLED,
                                               "Whether Auto Scaling still waits is not known yet");
        if (!is_terminated(aws) || g_strcmp0(event_id, aws->scaling.id) != 0 || aws->scaling.completed)
                return 0;
        aws->scaling.acknowledged = true;
        if (aws->notices)
                aws->notices->heartbeat = sd_event_source_disable_unref(aws->notices->heartbeat);
        if (!aws_has_hook(aws))
                return 0;
        cloud_job_authenticate(cloud_job_new(&aws->cloud, call, NULL), complete);
        return SNOOZE_PLUGIN_LATER;
}

/* {"state": "Standby", "id": "i-…/autoscaling/Standby-1764428400", "completed": false, "deadline": 0,
 *  "told": [{"key": "i-…/maintenance/instance-event-…", "begin": 1895216443000000, "id": "…@…"}]}, for the next
 * process. */
int aws_export_state(SnoozePluginCall *call, void *userdata) {
        const Aws *aws = userdata;
        const Scaling *scaling = &aws->scaling;
        g_autoptr(JsonObject) state = json_object_new();
        g_autofree char *text = NULL;

        if (scaling->id) {
                json_object_set_string_member(state, "state", scaling->state);
                json_object_set_string_member(state, "id", scaling->id);
                json_object_set_boolean_member(state, "completed", scaling->completed);
                json_object_set_int_member(state, "deadline", (gint64) scaling->deadline);
        }
        cloud_told_export(aws->maintenance, state);
        text = json_object_text(state);
        return snooze_plugin_call_set_state(call, STATE_VERSION, text, strlen(text));
}

int aws_import_state(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, void *userdata) {
        Aws *aws = userdata;
        Scaling *scaling = &aws->scaling;
        g_autoptr(JsonNode) node =
                version == STATE_VERSION && size > 0 ? json_text_parse("state", data, (gssize) size, NULL) : NULL;
        JsonObject *kept = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
        const char *state = kept ? json_get_string(kept, "state", "") : "",
                   *id = kept ? json_get_string(kept, "id", "") : "";
        bool completed = kept && json_get_boolean(kept, "completed", FALSE);

        if (!kept)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "state: expected an object, version %u", STATE_VERSION);
        cloud_told_import(aws->maintenance, kept);
        if (scaling->state || !parse_is_lifecycle_state(state) || !*id || !text_is_plain(id, CLOUD_EVENT_ID_MAX))
                return 0;
        *scaling = (Scaling) {
                .state = g_strdup(state),
                .id = g_strdup(id),
                .deadline = (uint64_t) MAX(json_get_int(kept, "deadline", 0), 0),
                .acknowledged = completed,
                .completed = completed,
        };
        return 0;
}

int notices_watch(void *userdata) {
        Aws *aws = userdata;
        Notices *notices = g_new0(Notices, 1);
        int r;

        aws->notices = notices;
        notices->aws = aws;
        notices->told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        r = cloud_watch_new(&aws->cloud, (uint64_t) (aws->cloud.poll_seconds * USEC_PER_SEC), ask, notices,
                            &notices->watch);
        if (r < 0)
                notices_end(aws);
        return r;
}

void notices_end(void *userdata) {
        Aws *aws = userdata;
        Notices *notices = g_steal_pointer(&aws->notices);

        metadata_forget(aws->cloud.metadata, notices);
        cloud_watch_free(notices->watch);
        sd_event_source_disable_unref(notices->heartbeat);
        g_hash_table_unref(notices->told);
        g_free(notices->failure);
        g_free(notices);
}
