/* SPDX-License-Identifier: Apache-2.0 */

/* What Azure announces to this machine: Scheduled Events
 * (learn.microsoft.com/azure/virtual-machines/linux/scheduled-events), one document for a whole scale set or
 * availability set, so that only what names this machine counts. It is looked at once a second, as recommended; what
 * is no longer in it is over, or was called off. An id has the machine in it, because a machine that was made of this
 * one's image has its memory of what was handled. */

#include <string.h>
#include <syslog.h>

#include "azure.h"
#include "base/clock.h"
#include "cloud/announcement.h"
#include "cloud/watch.h"
#include "util/json.h"

#define PATH_OF_EVENTS "/metadata/scheduledevents?api-version=2020-07-01"
/* The first question switches the service on, which may take two minutes. */
#define FIRST_TIMEOUT (150 * USEC_PER_SEC)
#define TIMEOUT (5 * USEC_PER_SEC)
#define STATE_VERSION 1U

/* How many machines an event may take along if it is to begin early. */
typedef enum Approval { APPROVE_NEVER, APPROVE_ALONE, APPROVE_ALWAYS } Approval;

/* One of the document that was told. */
typedef struct Notice {
        char *event_id; /* Azure's own */
        bool scheduled; /* has not begun */
        bool alone;     /* no other machine is named */
} Notice;

struct Notices {
        Azure *azure;
        CloudWatch *watch;
        GHashTable *listed;   /* id → Notice */
        GPtrArray *approving; /* jobs whose word to Azure is under way; borrows */
        bool answered;        /* the service is on: its list was read since it is watched */
        int64_t incarnation;
};

static const struct {
        const char *type;
        CloudSeverity severity;
        bool end; /* of the machine */
} types[EVENT_KIND_COUNT] = {
        [EVENT_PREEMPT] = { CLOUD_EVENT_INTERRUPT, CLOUD_SEVERITY_CRITICAL, true },
        [EVENT_TERMINATE] = { CLOUD_EVENT_TERMINATION, CLOUD_SEVERITY_CRITICAL, true },
        [EVENT_FREEZE] = { CLOUD_EVENT_MAINTENANCE, CLOUD_SEVERITY_URGENT, false },
        [EVENT_REBOOT] = { CLOUD_EVENT_MAINTENANCE, CLOUD_SEVERITY_URGENT, false },
        [EVENT_REDEPLOY] = { CLOUD_EVENT_MAINTENANCE, CLOUD_SEVERITY_URGENT, false },
};

static void notice_free(void *data) {
        Notice *notice = data;

        g_free(notice->event_id);
        g_free(notice);
}

static bool announce(Notices *notices, const char *id, const ScheduledEvent *event) {
        CloudProvider *cloud = &notices->azure->cloud;
        SnoozePluginDictionary *data = cloud_announcement_data(cloud);

        snooze_plugin_dictionary_set_string(data, "event_type", event_kind_name(event->kind));
        if (event->source)
                snooze_plugin_dictionary_set_string(data, "event_source", event->source);
        if (event->description)
                snooze_plugin_dictionary_set_string(data, "description", event->description);
        if (event->duration >= 0)
                snooze_plugin_dictionary_set_int(data, "duration_seconds", event->duration);
        return cloud_announce(cloud, id, types[event->kind].type, types[event->kind].severity, event->deadline, data);
}

/* false: it could not be told, and the document is to be read again. */
static bool take_event(Notices *notices, const ScheduledEvent *event, const char *own) {
        g_autofree char *key = g_strconcat(own, event->id, NULL);
        CloudTold *told = notices->azure->told;
        Notice *notice;
        const char *id;
        bool new;

        id = types[event->kind].end ? cloud_told_see_end(told, key, event->deadline, &new)
                                    : cloud_told_see(told, key, event->deadline, &new);
        /* Also of what cannot be told: a process before this one may have told it. */
        notice = g_new(Notice, 1);
        *notice = (Notice) { .event_id = g_strdup(event->id), .scheduled = event->scheduled, .alone = event->alone };
        g_hash_table_replace(notices->listed, g_strdup(id), notice);
        if (new) {
                if (!announce(notices, id, event))
                        return false;
                cloud_told_done(told, key);
        }
        return true;
}

static void take_events(Notices *notices, const ScheduledEvents *events) {
        g_autofree char *own = g_strconcat(notices->azure->identity->vm_id, "/", NULL);
        bool all = true;

        if (events->incarnation >= 0 && events->incarnation == notices->incarnation)
                return;
        g_hash_table_remove_all(notices->listed);
        cloud_told_begin(notices->azure->told, own);
        for (guint i = 0; i < events->events->len; i++)
                all &= take_event(notices, g_ptr_array_index(events->events, i), own);
        cloud_told_end(notices->azure->told);
        notices->incarnation = all ? events->incarnation : -1;
}

static void on_answer(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        Notices *notices = userdata;
        g_autoptr(ScheduledEvents) events =
                outcome == METADATA_FOUND ? parse_events(text, notices->azure->identity->name) : NULL;

        if (events) {
                take_events(notices, events);
                notices->answered = true;
                cloud_watch_answered(notices->watch, NULL);
        } else
                cloud_watch_answered(notices->watch,
                                     outcome == METADATA_FAILED ? text : "scheduledevents is no list of events");
}

static void ask(void *userdata) {
        Notices *notices = userdata;
        /* The next round is the second attempt. */
        int r = metadata_ask(notices->azure->cloud.metadata,
                             &(const MetadataQuestion){ .path = PATH_OF_EVENTS,
                                                        .attempts = 1,
                                                        .timeout = notices->answered ? TIMEOUT : FIRST_TIMEOUT },
                             on_answer, notices);

        if (r < 0)
                on_answer(METADATA_FAILED, g_strerror(-r), NULL, notices);
}

static Approval approval(const Azure *azure) {
        const char *text = cloud_setting(&azure->cloud, "approve_events");

        if (g_strcmp0(text, "always") == 0)
                return APPROVE_ALWAYS;
        return g_strcmp0(text, "alone") == 0 ? APPROVE_ALONE : APPROVE_NEVER;
}

static void on_approved(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        CloudJob *job = userdata;

        if (outcome == METADATA_FAILED && reply && reply->problem == HTTP_ANSWERED && reply->status >= 400 &&
            reply->status < 500)
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_REFUSED, "Azure takes no word that the event may begin: %s",
                               text);
        else if (outcome != METADATA_FOUND)
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_THROTTLED, "Azure was not told that the event may begin: %s",
                               text);
        else {
                snooze_plugin_log(LOG_NOTICE, "Azure was told that it need not wait any more: the handlers are done.");
                cloud_job_end(job, 0);
        }
}

/* A configuration that changed since has taken the notice along. */
static void fail_as_changed(CloudJob *job) {
        cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_THROTTLED, "The configuration changed under way");
}

/* Whatever came of it: its time may be over before Azure has answered. */
static void on_approval_ended(void *userdata) {
        CloudJob *job = userdata;
        Extra *extra = job->extra;

        (void) g_ptr_array_remove_fast(extra->approving->approving, job);
        metadata_forget(job->cloud->metadata, job);
}

static void approve(CloudJob *job) {
        const Azure *azure = job->provider;
        int r;

        if (!azure->notices) {
                fail_as_changed(job);
                return;
        }
        r = metadata_ask(azure->cloud.metadata,
                         &(const MetadataQuestion){ .path = PATH_OF_EVENTS, .body = ((Extra *) job->extra)->body },
                         on_approved, job);
        if (r < 0)
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_THROTTLED, "%s", g_strerror(-r));
        else {
                g_ptr_array_add(azure->notices->approving, job);
                ((Extra *) job->extra)->approving = azure->notices;
                job->ended = on_approval_ended;
                job->ended_userdata = job;
        }
}

/* It then begins at once, for every machine that it names. */
int notices_acknowledged(SnoozePluginCall *call, const char *event_id, void *userdata) {
        Azure *azure = userdata;
        Approval approved = approval(azure);
        const Notice *notice;
        CloudJob *job;

        if (approved == APPROVE_NEVER)
                return 0;
        /* What an earlier process told is known here when the list was read: the daemon asks again. */
        if (!azure->notices || !azure->notices->answered)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_THROTTLED,
                                               "Azure's list of events was not read yet, so it is not known what may "
                                               "begin: ask again");
        notice = g_hash_table_lookup(azure->notices->listed, event_id);
        if (!notice || !notice->scheduled || (approved == APPROVE_ALONE && !notice->alone))
                return 0;
        job = cloud_job_new(&azure->cloud, call, NULL);
        ((Extra *) job->extra)->body =
                g_strdup_printf("{\"StartRequests\": [{\"EventId\": \"%s\"}]}", notice->event_id);
        cloud_job_identify(job, approve);
        return SNOOZE_PLUGIN_LATER;
}

/* {"told": [{"key": "VM_ID/EVENT_ID", "begin": 1895216443000000, "id": "VM_ID/EVENT_ID", "end": true}]}, for the next
 * process. */
int azure_export_state(SnoozePluginCall *call, void *userdata) {
        const Azure *azure = userdata;
        g_autoptr(JsonObject) state = json_object_new();
        g_autofree char *text = NULL;

        cloud_told_export(azure->told, state);
        text = json_object_text(state);
        return snooze_plugin_call_set_state(call, STATE_VERSION, text, strlen(text));
}

int azure_import_state(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, void *userdata) {
        const Azure *azure = userdata;
        g_autoptr(JsonNode) node =
                version == STATE_VERSION && size > 0 ? json_text_parse("state", data, (gssize) size, NULL) : NULL;

        if (!node || !JSON_NODE_HOLDS_OBJECT(node))
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "state: expected an object, version %u", STATE_VERSION);
        cloud_told_import(azure->told, json_node_get_object(node));
        return 0;
}

int notices_watch(void *userdata) {
        Azure *azure = userdata;
        Notices *notices = g_new0(Notices, 1);
        int r;

        azure->notices = notices;
        notices->azure = azure;
        notices->incarnation = -1;
        notices->listed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, notice_free);
        notices->approving = g_ptr_array_new();
        r = cloud_watch_new(&azure->cloud, (uint64_t) (azure->cloud.poll_seconds * USEC_PER_SEC), ask, notices,
                            &notices->watch);
        if (r < 0)
                notices_end(azure);
        return r;
}

void notices_end(void *userdata) {
        Azure *azure = userdata;
        Notices *notices = g_steal_pointer(&azure->notices);

        metadata_forget(azure->cloud.metadata, notices);
        while (notices->approving->len > 0)
                fail_as_changed(g_ptr_array_index(notices->approving, 0));
        g_ptr_array_unref(notices->approving);
        cloud_watch_free(notices->watch);
        g_hash_table_unref(notices->listed);
        g_free(notices);
}
