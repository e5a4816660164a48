/* SPDX-License-Identifier: Apache-2.0 */

/* What Azure announces to this machine: Scheduled Events
 * (learn.microsoft.com/azure/virtual-machines/linux/scheduled-events), one document for a whole scale set or
 * availability set, so that only what names this machine counts. It is looked at once a second, as recommended; what
 * is no longer in it is over, or was called off. An id has the machine in it, because a machine that was made of this
 * one's image has its memory of what was handled. */

#include <string.h>
#include <syslog.h>

#include <curl/curl.h>

#include "azure.h"
#include "base/clock.h"
#include "cloud/poll.h"
#include "document.h"
#include "resource.h"
#include "util/json.h"

#define PATH_OF_EVENTS "/metadata/scheduledevents?api-version=2020-07-01"
/* The first question switches the service on, which may take two minutes. */
#define FIRST_TIMEOUT (150 * USEC_PER_SEC)
#define TIMEOUT (5 * USEC_PER_SEC)
#define EVENTS_MAX 64U
#define RESOURCES_MAX 1024U
#define EVENT_ID_MAX 64U
#define TEXT_MAX 512

typedef enum Severity { SEVERITY_URGENT = 2, SEVERITY_CRITICAL } Severity;

/* How many machines an event may take along if it is to begin early. */
typedef enum Approval { APPROVE_NEVER, APPROVE_ALONE, APPROVE_ALWAYS } Approval;

/* One that was told, and is still announced. */
typedef struct Notice {
        char *event_id; /* Azure's own */
        bool scheduled; /* has not begun */
        bool alone;     /* no other machine is named */
} Notice;

struct Notices {
        Azure *azure;
        CloudPoll *poll;
        GHashTable *told; /* id → Notice */
        bool asking;
        bool answered; /* the service is on */
        bool troubled; /* it was told that nothing can be read */
        gint64 incarnation;
};

static const struct {
        const char *kind, *type;
        Severity severity;
} kinds[] = {
        { "Preempt", "cloud.spot.interrupt", SEVERITY_CRITICAL },
        { "Terminate", "cloud.instance.termination", SEVERITY_CRITICAL },
        { "Freeze", "cloud.instance.maintenance", SEVERITY_URGENT },
        { "Reboot", "cloud.instance.maintenance", SEVERITY_URGENT },
        { "Redeploy", "cloud.instance.maintenance", SEVERITY_URGENT },
};

static void notice_free(void *data) {
        Notice *notice = data;

        g_free(notice->event_id);
        g_free(notice);
}

static bool is_plain(const char *text, size_t most) {
        size_t length = strlen(text);

        for (size_t i = 0; i < length; i++)
                if (!g_ascii_isalnum(text[i]) && text[i] != '-')
                        return false;
        return length > 0 && length <= most;
}

static char *id_of(const Notices *notices, const char *event_id) {
        return g_strdup_printf("%s/%s", notices->azure->identity->vm_id, event_id);
}

/* Does it name this machine? ret_alone: and no other. */
static bool is_named(const Notices *notices, JsonObject *event, bool *ret_alone) {
        JsonArray *resources = document_array(event, "Resources");
        guint n = resources ? json_array_get_length(resources) : 0;

        *ret_alone = n == 1;
        for (guint i = 0; i < n && i < RESOURCES_MAX; i++) {
                JsonNode *resource = json_array_get_element(resources, i);

                if (json_node_get_value_type(resource) == G_TYPE_STRING &&
                    resource_equal(json_node_get_string(resource), notices->azure->identity->name))
                        return true;
        }
        return false;
}

/* "Mon, 19 Sep 2016 18:29:47 GMT"; empty once it has begun. 0: none. */
static uint64_t time_of(const char *text) {
        time_t seconds = curl_getdate(text, NULL);

        return seconds > 0 ? (uint64_t) seconds * USEC_PER_SEC : 0;
}

static SnoozePluginDictionary *data_of(const Notices *notices, JsonObject *event) {
        SnoozePluginDictionary *data = snooze_plugin_dictionary_new();
        gint64 duration = json_get_int(event, "DurationInSeconds", -1);
        const char *description = document_text(event, "Description");

        snooze_plugin_dictionary_set_string(data, "cloud", "azure");
        snooze_plugin_dictionary_set_string(data, "instance_id", notices->azure->identity->resource_id);
        snooze_plugin_dictionary_set_string(data, "event_type", document_text(event, "EventType"));
        if (is_plain(document_text(event, "EventSource"), 32))
                snooze_plugin_dictionary_set_string(data, "event_source", document_text(event, "EventSource"));
        if (*description && g_utf8_strlen(description, -1) <= TEXT_MAX)
                snooze_plugin_dictionary_set_string(data, "description", description);
        if (duration >= 0)
                snooze_plugin_dictionary_set_int(data, "duration_seconds", duration);
        return data;
}

static bool announce(Notices *notices, const char *id, size_t kind, JsonObject *event) {
        int r = snooze_plugin_instance_emit_event(notices->azure->instance, id, kinds[kind].type, kinds[kind].severity,
                                                  time_of(document_text(event, "NotBefore")), data_of(notices, event));

        if (r < 0)
                snooze_plugin_log(LOG_WARNING, "%s cannot be announced: %s", id, g_strerror(-r));
        else
                snooze_plugin_log(LOG_NOTICE, "Azure announces %s (%s, %s)", kinds[kind].type, kinds[kind].kind, id);
        return r >= 0;
}

static bool find_kind(const char *text, size_t *ret) {
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
                if (g_str_equal(text, kinds[i].kind)) {
                        *ret = i;
                        return true;
                }
        return false;
}

/* Still: what this document has; false where it has one that could not be told, and is to be read again. */
static bool read_event(Notices *notices, JsonObject *event, GHashTable *still) {
        const char *event_id = document_text(event, "EventId");
        g_autofree char *id = NULL;
        Notice *notice;
        size_t kind;
        bool alone;

        if (!event || !is_plain(event_id, EVENT_ID_MAX) || !find_kind(document_text(event, "EventType"), &kind) ||
            !is_named(notices, event, &alone))
                return true;
        id = id_of(notices, event_id);
        g_hash_table_add(still, g_strdup(id));
        notice = g_hash_table_lookup(notices->told, id);
        if (!notice) {
                if (!announce(notices, id, kind, event))
                        return false;
                notice = g_new0(Notice, 1);
                notice->event_id = g_strdup(event_id);
                g_hash_table_insert(notices->told, g_steal_pointer(&id), notice);
        }
        notice->scheduled = g_str_equal(document_text(event, "EventStatus"), "Scheduled");
        notice->alone = alone;
        return true;
}

static void withdraw_all_but(Notices *notices, GHashTable *still) {
        GHashTableIter iter;
        void *id;

        g_hash_table_iter_init(&iter, notices->told);
        while (g_hash_table_iter_next(&iter, &id, NULL)) {
                if (g_hash_table_contains(still, id))
                        continue;
                snooze_plugin_log(LOG_NOTICE, "Azure does not announce %s any more", (char *) id);
                (void) snooze_plugin_instance_cancel_event(notices->azure->instance, id);
                g_hash_table_iter_remove(&iter);
        }
}

/* false: it is no such document. */
static bool read_events(Notices *notices, const char *text) {
        g_autoptr(GHashTable) still = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autoptr(JsonNode) node = json_text_parse("scheduledevents", text, -1, NULL);
        JsonObject *root = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
        JsonArray *events = document_array(root, "Events");
        gint64 incarnation;
        bool all = true;

        if (!events)
                return false;
        /* The same number is the same document. */
        incarnation = json_get_int(root, "DocumentIncarnation", -1);
        if (incarnation >= 0 && incarnation == notices->incarnation)
                return true;
        for (guint i = 0; i < json_array_get_length(events) && i < EVENTS_MAX; i++)
                all &= read_event(notices, document_element(events, i), still);
        withdraw_all_but(notices, still);
        notices->incarnation = all ? incarnation : -1;
        return true;
}

static void on_answer(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        Notices *notices = userdata;
        bool read = outcome == METADATA_FOUND && read_events(notices, text);

        notices->asking = false;
        if (!read && !notices->troubled)
                snooze_plugin_log(LOG_WARNING, "Announcements cannot be read for now: %s",
                                  outcome == METADATA_FAILED ? text : "scheduledevents is no list of events");
        else if (read && notices->troubled)
                snooze_plugin_log(LOG_NOTICE, "Announcements can be read again.");
        notices->troubled = !read;
        notices->answered = notices->answered || read;
        cloud_poll_answered(notices->poll, read);
}

static void identified(CloudJob *job) {
        Azure *azure = job->provider;
        Notices *notices = azure->notices;
        int r;

        cloud_job_end(job, 0);
        if (!notices)
                return;
        notices->asking = true;
        /* The next round is the second attempt. */
        r = metadata_ask(azure->metadata,
                         &(const MetadataQuestion){ .path = PATH_OF_EVENTS,
                                                    .attempts = 1,
                                                    .timeout = notices->answered ? TIMEOUT : FIRST_TIMEOUT },
                         on_answer, notices);
        if (r < 0)
                on_answer(METADATA_FAILED, g_strerror(-r), NULL, notices);
}

static void ask(void *userdata) {
        Notices *notices = userdata;

        /* The round that was set before this one's identity was known: the answer sets the next. */
        if (notices->asking)
                return;
        if (!notices->azure->identity)
                /* If that fails, nobody goes on: the next round is set before. */
                cloud_poll_answered(notices->poll, false);
        cloud_job_identify(azure_job_new(notices->azure, NULL, NULL), identified);
}

static Approval approval(const Azure *azure) {
        const char *text = azure_setting(azure, "approve_events");

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

static void approve(CloudJob *job) {
        Azure *azure = job->provider;
        int r = metadata_ask(azure->metadata,
                             &(const MetadataQuestion){ .path = PATH_OF_EVENTS, .body = ((Extra *) job->extra)->body },
                             on_approved, job);

        if (r < 0)
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_THROTTLED, "%s", g_strerror(-r));
}

/* It then begins at once, for every machine that it names. */
int notices_acknowledged(Azure *azure, SnoozePluginCall *call, const char *event_id) {
        const Notice *notice = azure->notices ? g_hash_table_lookup(azure->notices->told, event_id) : NULL;
        Approval approved = approval(azure);
        CloudJob *job;

        if (!notice || !notice->scheduled || approved == APPROVE_NEVER ||
            (approved == APPROVE_ALONE && !notice->alone))
                return 0;
        job = azure_job_new(azure, call, NULL);
        ((Extra *) job->extra)->body =
                g_strdup_printf("{\"StartRequests\": [{\"EventId\": \"%s\"}]}", notice->event_id);
        cloud_job_identify(job, approve);
        return SNOOZE_PLUGIN_LATER;
}

int notices_watch(Azure *azure) {
        double seconds = snooze_plugin_instance_get_number(azure->instance, "poll_interval_seconds");
        Notices *notices;
        int r;

        if (azure->notices)
                return 0;
        notices = g_new0(Notices, 1);
        notices->azure = azure;
        notices->incarnation = -1;
        notices->told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, notice_free);
        r = cloud_poll_new(snooze_plugin_instance_get_event(azure->instance), (uint64_t) (seconds * USEC_PER_SEC), ask,
                           notices, &notices->poll);
        if (r < 0) {
                notices_free(notices);
                return r;
        }
        azure->notices = notices;
        return 0;
}

Notices *notices_free(Notices *notices) {
        if (!notices)
                return NULL;
        metadata_forget(notices->azure->metadata, notices);
        cloud_poll_free(notices->poll);
        g_hash_table_unref(notices->told);
        g_free(notices);
        return NULL;
}
