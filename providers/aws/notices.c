/* SPDX-License-Identifier: Apache-2.0 */

/* What AWS announces to this instance, read from the metadata service one after the other on one connection: Spot interruptions and
 * rebalance recommendations (AWS recommends to look every five seconds), scheduled maintenance, and where Auto Scaling is about to
 * take it. An id has the instance in it, because an image that was made of this machine has its memory of what was handled. */

#include <string.h>
#include <syslog.h>

#include <curl/curl.h>

#include "api.h"
#include "base/clock.h"
#include "cloud/poll.h"
#include "util/json.h"

#define TYPE_INTERRUPT "cloud.spot.interrupt"
#define TYPE_REBALANCE "cloud.spot.rebalance"
#define TYPE_MAINTENANCE "cloud.instance.maintenance"
#define TYPE_TERMINATION "cloud.instance.termination"
#define TYPE_SCALE "cloud.autoscaling.scale"
#define ID_MAX 128U
#define MAINTENANCE_MAX 32U

typedef enum Severity { SEVERITY_WARNING = 1, SEVERITY_URGENT, SEVERITY_CRITICAL } Severity;

typedef struct Path Path;

struct Notices {
        Aws *aws;
        CloudPoll *poll;
        unsigned path;          /* of a round */
        GHashTable *told;       /* ids; their values say which path they came from */
        bool asking;            /* a round is under way */
        bool troubled;          /* it was told that nothing can be read */
        char *lifecycle;        /* of Auto Scaling, as last read */
        sd_event_source *heartbeat;
};

struct Path {
        const char *path;
        bool spot;                                      /* of Spot instances alone */
        void (*read)(Notices *notices, const char *text); /* NULL: absent */
};

static bool is_plain(const char *text, size_t most) {
        size_t length = strlen(text);

        for (size_t i = 0; i < length; i++)
                if (!g_ascii_isgraph(text[i]))
                        return false;
        return length > 0 && length <= most;
}

static JsonNode *parse(const char *what, const char *text, JsonNodeType type) {
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonNode) node = json_text_parse(what, text, -1, &error);

        if (node && json_node_get_node_type(node) == type)
                return g_steal_pointer(&node);
        snooze_plugin_log(LOG_WARNING, "The metadata service announces what cannot be read: %s", error ? error->message : what);
        return NULL;
}

/* "2017-09-18T08:22:00Z" or "21 Jan 2019 09:00:43 GMT"; 0: none. */
static uint64_t time_of(const char *text) {
        g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(text, NULL);
        time_t seconds = time ? (time_t) g_date_time_to_unix(time) : curl_getdate(text, NULL);

        return seconds > 0 ? (uint64_t) seconds * USEC_PER_SEC : 0;
}

static SnoozePluginDictionary *data_new(const Notices *notices) {
        SnoozePluginDictionary *data = snooze_plugin_dictionary_new();

        snooze_plugin_dictionary_set_string(data, "cloud", "aws");
        snooze_plugin_dictionary_set_string(data, "instance_id", notices->aws->identity->instance_id);
        return data;
}

/* id and data are taken. */
static void announce(Notices *notices, char *id, const char *type, Severity severity, uint64_t deadline, SnoozePluginDictionary *data) {
        g_autofree char *owned = id;
        int r;

        if (!is_plain(id, ID_MAX) || g_hash_table_contains(notices->told, id)) {
                snooze_plugin_dictionary_free(data);
                return;
        }
        r = snooze_plugin_instance_emit_event(notices->aws->instance, id, type, severity, deadline, data);
        if (r < 0) {
                snooze_plugin_log(LOG_WARNING, "%s cannot be announced: %s", id, g_strerror(-r));
                return;
        }
        snooze_plugin_log(LOG_NOTICE, "AWS announces %s (%s)", type, id);
        g_hash_table_insert(notices->told, g_steal_pointer(&owned), GUINT_TO_POINTER(notices->path));
}

/* What this path announced before and does not any more will not happen. */
static void withdraw_all_but(Notices *notices, GHashTable *still) {
        GHashTableIter iter;
        void *id, *path;

        g_hash_table_iter_init(&iter, notices->told);
        while (g_hash_table_iter_next(&iter, &id, &path)) {
                if (GPOINTER_TO_UINT(path) != notices->path || (still && g_hash_table_contains(still, id)))
                        continue;
                snooze_plugin_log(LOG_NOTICE, "AWS does not announce %s any more", (char *) id);
                (void) snooze_plugin_instance_cancel_event(notices->aws->instance, id);
                g_hash_table_iter_remove(&iter);
        }
}

static char *id_of(const Notices *notices, const char *kind, const char *what) {
        return g_strdup_printf("%s/%s/%s", notices->aws->identity->instance_id, kind, what);
}

/* {"action": "stop|terminate|hibernate", "time": "2017-09-18T08:22:00Z"}. AWS takes none back; a service that forgets it for a moment
 * must not call it off. A hibernation begins at once, and its time is when it was announced. */
static void read_interruption(Notices *notices, const char *text) {
        g_autoptr(JsonNode) node = text ? parse("spot/instance-action", text, JSON_NODE_OBJECT) : NULL;
        JsonObject *object = node ? json_node_get_object(node) : NULL;
        SnoozePluginDictionary *data;
        g_autofree char *what = NULL;
        const char *action, *time;

        if (!object)
                return;
        action = json_get_string(object, "action", "");
        time = json_get_string(object, "time", "");
        if (!is_plain(action, 32) || !is_plain(time, 64)) {
                snooze_plugin_log(LOG_WARNING, "spot/instance-action: no action and time");
                return;
        }
        data = data_new(notices);
        snooze_plugin_dictionary_set_string(data, "action", action);
        what = g_strdup_printf("%s-%s", action, time);
        announce(notices, id_of(notices, "spot", what), TYPE_INTERRUPT, SEVERITY_CRITICAL, time_of(time), data);
}

/* {"noticeTime": "2020-10-27T08:22:00Z"}: the risk is higher, nothing has been decided. */
static void read_rebalance(Notices *notices, const char *text) {
        g_autoptr(JsonNode) node = text ? parse("events/recommendations/rebalance", text, JSON_NODE_OBJECT) : NULL;
        const char *time = node ? json_get_string(json_node_get_object(node), "noticeTime", "") : "";

        if (is_plain(time, 64))
                announce(notices, id_of(notices, "rebalance", time), TYPE_REBALANCE, SEVERITY_WARNING, 0, data_new(notices));
}

static void read_maintenance_event(Notices *notices, JsonObject *event, GHashTable *still) {
        const char *id = json_get_string(event, "EventId", ""), *code = json_get_string(event, "Code", ""),
                   *state = json_get_string(event, "State", "active"), *begin = json_get_string(event, "NotBefore", ""),
                   *end = json_get_string(event, "NotAfter", ""), *description = json_get_string(event, "Description", "");
        SnoozePluginDictionary *data;
        char *full;

        if (!is_plain(id, 64) || !is_plain(code, 64) || !g_str_equal(state, "active"))
                return;
        full = id_of(notices, "maintenance", id);
        g_hash_table_add(still, g_strdup(full));
        data = data_new(notices);
        snooze_plugin_dictionary_set_string(data, "code", code);
        if (g_utf8_strlen(description, -1) <= 512)
                snooze_plugin_dictionary_set_string(data, "description", description);
        if (time_of(end) > 0)
                snooze_plugin_dictionary_set_uint(data, "not_after", time_of(end));
        announce(notices, full, TYPE_MAINTENANCE, SEVERITY_URGENT, time_of(begin), data);
}

static void read_maintenance(Notices *notices, const char *text) {
        g_autoptr(GHashTable) still = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autoptr(JsonNode) node = NULL;
        JsonArray *array;

        if (text && !(node = parse("events/maintenance/scheduled", text, JSON_NODE_ARRAY)))
                return;
        array = node ? json_node_get_array(node) : NULL;
        for (guint i = 0; array && i < json_array_get_length(array) && i < MAINTENANCE_MAX; i++)
                if (JSON_NODE_HOLDS_OBJECT(json_array_get_element(array, i)))
                        read_maintenance_event(notices, json_array_get_object_element(array, i), still);
        withdraw_all_but(notices, still);
}

static char *termination_id(const Notices *notices) {
        return id_of(notices, "autoscaling", "Terminated");
}

static void beat(Notices *notices);

/* InService | Terminated | Detached | Standby | Warmed:…; absent outside of a group. */
static void read_lifecycle(Notices *notices, const char *text) {
        g_autofree char *what = NULL;
        SnoozePluginDictionary *data;

        if (!text || !is_plain(text, 64) || g_strcmp0(text, notices->lifecycle) == 0)
                return;
        withdraw_all_but(notices, NULL);
        g_free(notices->lifecycle);
        notices->lifecycle = g_strdup(text);
        if (g_str_equal(text, "InService"))
                return;
        data = data_new(notices);
        snooze_plugin_dictionary_set_string(data, "target_lifecycle_state", text);
        if (g_str_equal(text, "Terminated")) {
                announce(notices, termination_id(notices), TYPE_TERMINATION, SEVERITY_CRITICAL, 0, data);
                beat(notices);
                return;
        }
        /* The same state may come again and again. */
        what = g_strdup_printf("%s-%" G_GUINT64_FORMAT, text, clock_realtime() / USEC_PER_SEC);
        announce(notices, id_of(notices, "autoscaling", what), TYPE_SCALE, SEVERITY_WARNING, 0, data);
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

        if (outcome == METADATA_FAILED) {
                if (!notices->troubled)
                        snooze_plugin_log(LOG_WARNING, "Announcements cannot be read for now: %s", text);
                notices->troubled = true;
                notices->asking = false;
                cloud_poll_answered(notices->poll, false);
                return;
        }
        paths[notices->path].read(notices, outcome == METADATA_FOUND ? text : NULL);
        notices->path++;
        ask_next(notices);
}

static void ask_next(Notices *notices) {
        bool spot = g_str_equal(notices->aws->identity->lifecycle, "spot");
        int r;

        while (notices->path < G_N_ELEMENTS(paths) && paths[notices->path].spot && !spot)
                notices->path++;
        if (notices->path == G_N_ELEMENTS(paths)) {
                if (notices->troubled)
                        snooze_plugin_log(LOG_NOTICE, "Announcements can be read again.");
                notices->troubled = notices->asking = false;
                cloud_poll_answered(notices->poll, true);
                return;
        }
        /* The next round is the second attempt. */
        r = metadata_ask(notices->aws->metadata, &(const MetadataQuestion) { .path = paths[notices->path].path, .attempts = 1 }, on_answer,
                         notices);
        if (r < 0)
                on_answer(METADATA_FAILED, g_strerror(-r), NULL, notices);
}

static void identified(CloudJob *job) {
        Aws *aws = job->provider;

        cloud_job_end(job, 0);
        if (!aws->notices)
                return;
        aws->notices->path = 0;
        aws->notices->asking = true;
        ask_next(aws->notices);
}

static void ask(void *userdata) {
        Notices *notices = userdata;

        /* The round that was set before this one's identity was known: its end sets the next. */
        if (notices->asking)
                return;
        if (!notices->aws->identity)
                /* If that fails, nobody goes on: the next round is set before. */
                cloud_poll_answered(notices->poll, false);
        cloud_job_identify(aws_job_new(notices->aws, NULL, NULL), identified);
}

/* Auto Scaling waits for its hook: it is kept waiting while handlers work, and told when they are done. */

static void call_hook(CloudJob *job, const char *action, ApiDone done) {
        const char *result = g_str_equal(action, "CompleteLifecycleAction") ? "LifecycleActionResult" : NULL;

        api_call(job, "autoscaling", action,
                 (const char *const[]) { "AutoScalingGroupName", aws_setting(job->provider, "autoscaling_group"), "LifecycleHookName",
                                         aws_setting(job->provider, "lifecycle_hook"), "InstanceId", job->instance_id, result, "CONTINUE", NULL },
                 done);
}

static void on_beat(CloudJob *job, const ApiReply *reply) {
        if (!reply->root)
                snooze_plugin_log(LOG_WARNING, "Auto Scaling was not asked to wait: %s %s", reply->code, reply->message);
        cloud_job_end(job, 0);
}

static void send_beat(CloudJob *job) {
        call_hook(job, "RecordLifecycleActionHeartbeat", on_beat);
}

static int on_heartbeat(sd_event_source *source, uint64_t usec, void *userdata) {
        beat(userdata);
        return 0;
}

static bool has_hook(const Aws *aws) {
        return aws_setting(aws, "lifecycle_hook") && aws_setting(aws, "autoscaling_group");
}

static void beat(Notices *notices) {
        Aws *aws = notices->aws;
        int64_t seconds = snooze_plugin_instance_get_integer(aws->instance, "heartbeat_seconds");

        if (!has_hook(aws) || seconds == 0)
                return;
        /* The first needs no saying: the hook's own time has just begun. */
        if (notices->heartbeat)
                cloud_job_authenticate(aws_job_new(aws, NULL, NULL), send_beat);
        notices->heartbeat = sd_event_source_disable_unref(notices->heartbeat);
        (void) sd_event_add_time_relative(snooze_plugin_instance_get_event(aws->instance), &notices->heartbeat, CLOCK_MONOTONIC,
                                          (uint64_t) seconds * USEC_PER_SEC, USEC_PER_SEC, on_heartbeat, notices);
}

static void on_completed(CloudJob *job, const ApiReply *reply) {
        if (!reply->root) {
                api_fail(job, reply, "autoscaling:CompleteLifecycleAction");
                return;
        }
        snooze_plugin_log(LOG_NOTICE, "Auto Scaling need not wait any more: the handlers are done.");
        cloud_job_end(job, 0);
}

static void complete(CloudJob *job) {
        call_hook(job, "CompleteLifecycleAction", on_completed);
}

int notices_acknowledged(Aws *aws, SnoozePluginCall *call, const char *event_id) {
        g_autofree char *termination = aws->notices && aws->identity ? termination_id(aws->notices) : NULL;

        if (g_strcmp0(event_id, termination) != 0)
                return 0;
        aws->notices->heartbeat = sd_event_source_disable_unref(aws->notices->heartbeat);
        if (!has_hook(aws))
                return 0;
        cloud_job_authenticate(aws_job_new(aws, call, NULL), complete);
        return SNOOZE_PLUGIN_LATER;
}

int notices_watch(Aws *aws) {
        double seconds = snooze_plugin_instance_get_number(aws->instance, "poll_interval_seconds");
        Notices *notices;
        int r;

        if (aws->notices)
                return 0;
        notices = g_new0(Notices, 1);
        notices->aws = aws;
        notices->told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        r = cloud_poll_new(snooze_plugin_instance_get_event(aws->instance), (uint64_t) (seconds * USEC_PER_SEC), ask, notices, &notices->poll);
        if (r < 0) {
                notices_free(notices);
                return r;
        }
        aws->notices = notices;
        return 0;
}

Notices *notices_free(Notices *notices) {
        if (!notices)
                return NULL;
        metadata_forget(notices->aws->metadata, notices);
        cloud_poll_free(notices->poll);
        sd_event_source_disable_unref(notices->heartbeat);
        g_hash_table_unref(notices->told);
        g_free(notices->lifecycle);
        g_free(notices);
        return NULL;
}
