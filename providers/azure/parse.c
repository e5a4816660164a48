/* SPDX-License-Identifier: Apache-2.0 */

#include "parse.h"

#include <string.h>

#include "base/clock.h"
#include "cloud/text.h"
#include "document.h"
#include "resource.h"
#include "util/json.h"

#define NAME_LENGTH_MAX 128U
#define TAGS_MAX 64U
#define TOKEN_MAX (16U * 1024U)
#define LIFETIME_MAX (7 * 24 * 3600)
#define EVENTS_MAX 64U
#define RESOURCES_MAX 1024U
#define EVENT_ID_MAX 64U
#define DESCRIPTION_MAX 512
#define POWER_STATE "PowerState/"
#define STATUSES_MAX 32U

/* azEnvironment, whose case differs from place to place, and the address of that cloud's Resource Manager
 * (learn.microsoft.com/azure/azure-government/compare-azure-government-global-azure, docs.azure.cn). */
static const struct {
        const char *environment, *endpoint;
} clouds[] = {
        { "AzurePublicCloud", "https://management.azure.com" },
        { "AzureUSGovernmentCloud", "https://management.usgovcloudapi.net" },
        { "AzureChinaCloud", "https://management.chinacloudapi.cn" },
};

static const char *endpoint_of(const char *environment) {
        for (size_t i = 0; i < G_N_ELEMENTS(clouds); i++)
                if (g_ascii_strcasecmp(environment, clouds[i].environment) == 0)
                        return clouds[i].endpoint;
        return NULL;
}

void identity_free(void *data) {
        Identity *identity = data;

        g_free(identity->resource_id);
        g_free(identity->vm_id);
        g_free(identity->name);
        g_free(identity->location);
        g_free(identity->size);
        g_free(identity->zone);
        g_free(identity->priority);
        g_free(identity->scale_set);
        g_clear_pointer(&identity->tags, json_object_unref);
        g_free(identity);
}

static JsonObject *read_tags(JsonArray *list) {
        JsonObject *tags = json_object_new(), *tag;

        for (guint i = 0; i < TAGS_MAX && (tag = document_element(list, i)); i++)
                if (*document_text(tag, "name"))
                        json_object_set_string_member(tags, document_text(tag, "name"), document_text(tag, "value"));
        return tags;
}

char *parse_compute(const char *text, Identity *identity) {
        char *problem = NULL;
        g_autoptr(JsonNode) node = text_parse_object("instance/compute", text, &problem);
        JsonObject *compute;

        if (!node)
                return problem;
        compute = json_node_get_object(node);
        identity->resource_id = g_strdup(document_text(compute, "resourceId"));
        identity->vm_id = g_strdup(document_text(compute, "vmId"));
        identity->name = g_strdup(document_text(compute, "name"));
        identity->location = g_strdup(document_text(compute, "location"));
        identity->size = g_strdup(document_text(compute, "vmSize"));
        identity->zone = g_strdup(document_text(compute, "zone"));
        identity->priority = g_strdup(document_text(compute, "priority"));
        identity->scale_set = g_strdup(document_text(compute, "vmScaleSetName"));
        identity->endpoint = endpoint_of(document_text(compute, "azEnvironment"));
        identity->ephemeral =
                g_str_equal(document_text(compute, "storageProfile/osDisk/diffDiskSettings/option"), "Local");
        identity->tags = read_tags(document_array(compute, "tagsList"));
        /* Another service of the same form: Azure Arc's, for machines that are none of Azure's. */
        if (!resource_is_machine(identity->resource_id))
                return g_strdup("instance/compute names no virtual machine (resourceId)");
        if (!g_uuid_string_is_valid(identity->vm_id))
                return g_strdup("instance/compute names no machine's id (vmId)");
        if (!text_is_plain(identity->name, NAME_LENGTH_MAX))
                return g_strdup("instance/compute gives the machine no name");
        return NULL;
}

/* A text for virtual machines, a number elsewhere; 0: none. */
static gint64 seconds_of(JsonObject *object, const char *member) {
        gint64 seconds = json_get_int(object, member, 0);

        if (seconds == 0 &&
            !g_ascii_string_to_signed(document_text(object, member), 10, 0, G_MAXINT32, &seconds, NULL))
                seconds = 0;
        return seconds;
}

/* What was wrong with a text that holds a secret is not told with a piece of it. */
const char *parse_token(const char *text, AccessToken *ret) {
        g_autoptr(JsonNode) node = text_parse_object("token", text, NULL);
        JsonObject *object = node ? json_node_get_object(node) : NULL;
        gint64 seconds;

        if (!object)
                return "no JSON object";
        seconds = seconds_of(object, "expires_in");
        if (!text_is_plain(document_text(object, "access_token"), TOKEN_MAX))
                return "no access_token";
        if (g_ascii_strcasecmp(document_text(object, "token_type"), "Bearer") != 0)
                return "a token_type that is not Bearer";
        if (seconds <= 0 || seconds > LIFETIME_MAX)
                return "no expires_in";
        *ret = (AccessToken){ g_strdup(document_text(object, "access_token")), (uint64_t) seconds * USEC_PER_SEC };
        return NULL;
}

char *parse_token_refusal(const char *text) {
        g_autoptr(JsonNode) node = text_parse_object("refusal", text, NULL);

        return g_strdup(document_text(node ? json_node_get_object(node) : NULL, "error_description"));
}

static const char *const kinds[EVENT_KIND_COUNT] = {
        [EVENT_PREEMPT] = "Preempt", [EVENT_TERMINATE] = "Terminate", [EVENT_FREEZE] = "Freeze",
        [EVENT_REBOOT] = "Reboot",   [EVENT_REDEPLOY] = "Redeploy",
};

const char *event_kind_name(EventKind kind) {
        return kinds[kind];
}

static bool find_kind(const char *text, EventKind *ret) {
        for (EventKind i = 0; i < EVENT_KIND_COUNT; i++)
                if (g_str_equal(text, kinds[i])) {
                        *ret = i;
                        return true;
                }
        return false;
}

/* Azure broadcasts to a whole scale set or availability set. ret_alone: it names no other machine. */
static bool is_named(JsonObject *event, const char *machine, bool *ret_alone) {
        JsonArray *resources = document_array(event, "Resources");
        guint n = resources ? json_array_get_length(resources) : 0;

        *ret_alone = n == 1;
        for (guint i = 0; i < n && i < RESOURCES_MAX; i++) {
                JsonNode *resource = json_array_get_element(resources, i);

                if (json_node_get_value_type(resource) == G_TYPE_STRING &&
                    resource_equal(json_node_get_string(resource), machine))
                        return true;
        }
        return false;
}

static bool is_word(const char *text, size_t most) {
        return text_consists_of(text, TEXT_LOWER TEXT_UPPER TEXT_DIGITS "-", most);
}

static void event_free(void *data) {
        ScheduledEvent *event = data;

        g_free(event->id);
        g_free(event->source);
        g_free(event->description);
        g_free(event);
}

/* NULL: of another machine, or none. */
static ScheduledEvent *event_of(JsonObject *object, const char *machine) {
        const char *id = document_text(object, "EventId"), *source = document_text(object, "EventSource"),
                   *description = document_text(object, "Description");
        ScheduledEvent *event;
        EventKind kind;
        bool alone;

        if (!object || !is_word(id, EVENT_ID_MAX) || !find_kind(document_text(object, "EventType"), &kind) ||
            !is_named(object, machine, &alone))
                return NULL;
        event = g_new0(ScheduledEvent, 1);
        event->id = g_strdup(id);
        event->kind = kind;
        event->scheduled = g_str_equal(document_text(object, "EventStatus"), "Scheduled");
        event->alone = alone;
        event->deadline = text_time(document_text(object, "NotBefore"));
        event->source = is_word(source, 32) ? g_strdup(source) : NULL;
        event->description =
                *description && g_utf8_strlen(description, -1) <= DESCRIPTION_MAX ? g_strdup(description) : NULL;
        event->duration = MAX(json_get_int(object, "DurationInSeconds", -1), -1);
        return event;
}

ScheduledEvents *parse_events(const char *text, const char *machine) {
        g_autoptr(JsonNode) node = text_parse_object("scheduledevents", text, NULL);
        JsonObject *root = node ? json_node_get_object(node) : NULL;
        JsonArray *list = document_array(root, "Events");
        ScheduledEvents *events;

        if (!list)
                return NULL;
        events = g_new0(ScheduledEvents, 1);
        events->incarnation = MAX(json_get_int(root, "DocumentIncarnation", -1), -1);
        events->events = g_ptr_array_new_with_free_func(event_free);
        for (guint i = 0; i < json_array_get_length(list) && i < EVENTS_MAX; i++) {
                ScheduledEvent *event = event_of(document_element(list, i), machine);

                if (event)
                        g_ptr_array_add(events->events, event);
        }
        return events;
}

void scheduled_events_free(ScheduledEvents *events) {
        g_ptr_array_unref(events->events);
        g_free(events);
}

void parse_reply(const HttpReply *http, JsonNode *document, CloudReply *ret) {
        JsonObject *root = document ? json_node_get_object(document) : NULL;

        cloud_reply_read(http, document, ret);
        if (ret->ok)
                return;
        ret->code = document_text(root, "error/code");
        ret->message = document_text(root, "error/message");
}

/* Entries of a page and patterns of an entry that are looked at. */
#define ENTRIES_MAX 1024U

bool parse_is_permissions(JsonObject *page, const char **ret_next) {
        *ret_next = document_text(page, "nextLink");
        return document_array(page, "value");
}

static bool is_listed(JsonArray *patterns, const char *action) {
        for (guint i = 0; patterns && i < json_array_get_length(patterns) && i < ENTRIES_MAX; i++) {
                JsonNode *pattern = json_array_get_element(patterns, i);

                if (json_node_get_value_type(pattern) == G_TYPE_STRING &&
                    action_matches(json_node_get_string(pattern), action))
                        return true;
        }
        return false;
}

bool parse_grants(JsonObject *page, const char *action) {
        JsonArray *entries = document_array(page, "value");

        for (guint i = 0; entries && i < json_array_get_length(entries) && i < ENTRIES_MAX; i++) {
                JsonObject *entry = document_element(entries, i);

                if (is_listed(document_array(entry, "actions"), action) &&
                    !is_listed(document_array(entry, "notActions"), action))
                        return true;
        }
        return false;
}

char *parse_power(JsonObject *vm) {
        JsonArray *statuses = document_array(vm, "properties/instanceView/statuses");
        JsonObject *status;

        for (guint i = 0; i < STATUSES_MAX && (status = document_element(statuses, i)); i++)
                if (g_str_has_prefix(document_text(status, "code"), POWER_STATE))
                        return g_strdup(document_text(status, "code") + strlen(POWER_STATE));
        return NULL;
}

/* At Azure-AsyncOperation the document has a status; at Location the answer itself says it: 202 until the end. */
void parse_operation(const CloudReply *reply, OperationStatus *ret) {
        const char *status = document_text(reply->object, "status");

        *ret = (OperationStatus){
                .succeeded = reply->ok && reply->http->status != 202 && (!*status || g_str_equal(status, "Succeeded")),
                .failed = g_str_equal(status, "Failed") || g_str_equal(status, "Canceled"),
                .code = document_text(reply->object, "error/code"),
                .message = document_text(reply->object, "error/message"),
        };
}
