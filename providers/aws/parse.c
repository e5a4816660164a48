/* SPDX-License-Identifier: Apache-2.0 */

#include "parse.h"

#include <string.h>

#include "base/clock.h"
#include "cloud/text.h"
#include "util/json.h"

#define ID_PART_MAX 64U
#define DESCRIPTION_MAX 512
#define MAINTENANCE_MAX 32U

void identity_free(void *data) {
        Identity *identity = data;

        g_free(identity->instance_id);
        g_free(identity->region);
        g_free(identity->domain);
        g_free(identity->zone);
        g_free(identity->type);
        g_free(identity->lifecycle);
        g_free(identity->account);
        g_free(identity);
}

bool parse_is_instance_id(const char *text) {
        return strncmp(text, "i-", 2) == 0 && text_consists_of(text + 2, TEXT_DIGITS "abcdef", 32);
}

bool parse_is_host_part(const char *text) {
        return text_consists_of(text, TEXT_LOWER TEXT_DIGITS "-.", 64);
}

/* Of all partitions: botocore's endpoints.json and partitions.json, dnsSuffix. */
static const char *const domains[] = { "amazonaws.com", "amazonaws.com.cn", "amazonaws.eu",   "c2s.ic.gov",
                                       "sc2s.sgov.gov", "cloud.adc-e.uk",   "csp.hci.ic.gov", NULL };

bool parse_is_domain(const char *text) {
        return g_strv_contains(domains, text);
}

char *parse_identity_document(const char *text, const char *region, Identity *identity) {
        char *problem = NULL;
        g_autoptr(JsonNode) node = text_parse_object("The identity document", text, &problem);
        JsonObject *object;

        if (!node)
                return problem;
        object = json_node_get_object(node);
        identity->instance_id = g_strdup(json_get_string(object, "instanceId", ""));
        identity->region = g_strdup(region ?: json_get_string(object, "region", ""));
        identity->zone = g_strdup(json_get_string(object, "availabilityZone", ""));
        identity->type = g_strdup(json_get_string(object, "instanceType", ""));
        identity->account = g_strdup(json_get_string(object, "accountId", ""));
        if (!parse_is_instance_id(identity->instance_id))
                return g_strdup("The identity document names no instance (instanceId)");
        if (!parse_is_host_part(identity->region))
                return g_strdup("The identity document names no region");
        return NULL;
}

void credentials_free(Credentials *credentials) {
        text_erase(credentials->key);
        text_erase(credentials->secret);
        text_erase(credentials->token);
        g_free(credentials);
}

Credentials *parse_credentials(const char *text, char **ret_problem) {
        g_autoptr(JsonNode) node = text_parse_object("credentials", text, NULL);
        JsonObject *object = node ? json_node_get_object(node) : NULL;
        const char *key, *secret, *token, *expiration, *code;
        uint64_t until = USEC_INFINITY;
        Credentials *credentials;

        if (!object) {
                *ret_problem = g_strdup("no JSON object");
                return NULL;
        }
        code = json_get_string(object, "Code", "Success");
        key = json_get_string(object, "AccessKeyId", "");
        secret = json_get_string(object, "SecretAccessKey", "");
        token = json_get_string(object, "Token", NULL);
        expiration = json_get_string(object, "Expiration", NULL);
        if (expiration)
                until = text_time(expiration);
        if (!g_str_equal(code, "Success"))
                *ret_problem = g_strdup_printf("the code %.40s", code);
        else if (!text_is_plain(key, SIZE_MAX) || !text_is_plain(secret, SIZE_MAX) || strchr(key, ':') ||
                 (token && !text_is_plain(token, SIZE_MAX)))
                *ret_problem = g_strdup("no AccessKeyId and SecretAccessKey");
        else if (until == 0)
                *ret_problem = g_strdup("an Expiration that is no time");
        if (*ret_problem)
                return NULL;
        credentials = g_new0(Credentials, 1);
        credentials->key = g_strdup(key);
        credentials->secret = g_strdup(secret);
        credentials->token = g_strdup(token);
        credentials->until = until;
        return credentials;
}

bool parse_is_role(const char *text) {
        return text_consists_of(text, TEXT_LOWER TEXT_UPPER TEXT_DIGITS "+=,.@_-", 128);
}

void interruption_clear(Interruption *interruption) {
        g_free(interruption->action);
        g_free(interruption->time);
}

bool parse_interruption(const char *text, Interruption *ret, char **ret_problem) {
        g_autoptr(JsonNode) node = text_parse_object("spot/instance-action", text, ret_problem);
        const char *action, *time;

        if (!node)
                return false;
        action = json_get_string(json_node_get_object(node), "action", "");
        time = json_get_string(json_node_get_object(node), "time", "");
        if (!text_is_plain(action, 32) || !text_is_plain(time, ID_PART_MAX)) {
                *ret_problem = g_strdup("spot/instance-action: no action and time");
                return false;
        }
        *ret = (Interruption) { .action = g_strdup(action), .time = g_strdup(time), .deadline = text_time(time) };
        return true;
}

char *parse_rebalance(const char *text, char **ret_problem) {
        g_autoptr(JsonNode) node = text_parse_object("events/recommendations/rebalance", text, ret_problem);
        const char *time = node ? json_get_string(json_node_get_object(node), "noticeTime", "") : "";

        if (node && !text_is_plain(time, ID_PART_MAX))
                *ret_problem = g_strdup("events/recommendations/rebalance: no noticeTime");
        return text_is_plain(time, ID_PART_MAX) ? g_strdup(time) : NULL;
}

static void maintenance_free(void *data) {
        Maintenance *maintenance = data;

        g_free(maintenance->id);
        g_free(maintenance->code);
        g_free(maintenance->description);
        g_free(maintenance);
}

/* NULL: it is over, called off, or none. */
static Maintenance *maintenance_of(JsonObject *event) {
        const char *id = json_get_string(event, "EventId", ""), *code = json_get_string(event, "Code", ""),
                   *description = json_get_string(event, "Description", "");
        Maintenance *maintenance;

        if (!text_is_plain(id, ID_PART_MAX) || !text_is_plain(code, ID_PART_MAX) ||
            !g_str_equal(json_get_string(event, "State", "active"), "active"))
                return NULL;
        maintenance = g_new0(Maintenance, 1);
        maintenance->id = g_strdup(id);
        maintenance->code = g_strdup(code);
        maintenance->description = g_utf8_strlen(description, -1) <= DESCRIPTION_MAX ? g_strdup(description) : NULL;
        maintenance->begin = text_time(json_get_string(event, "NotBefore", ""));
        maintenance->end = text_time(json_get_string(event, "NotAfter", ""));
        return maintenance;
}

GPtrArray *parse_maintenance(const char *text, char **ret_problem) {
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonNode) node = json_text_parse("events/maintenance/scheduled", text, -1, &error);
        g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(maintenance_free);
        JsonArray *array = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;

        if (!array) {
                *ret_problem = error ? g_strdup(error->message) : g_strdup("events/maintenance/scheduled is no list");
                return NULL;
        }
        for (guint i = 0; i < json_array_get_length(array) && i < MAINTENANCE_MAX; i++) {
                JsonNode *event = json_array_get_element(array, i);
                Maintenance *maintenance =
                        JSON_NODE_HOLDS_OBJECT(event) ? maintenance_of(json_node_get_object(event)) : NULL;

                if (maintenance)
                        g_ptr_array_add(all, maintenance);
        }
        return g_steal_pointer(&all);
}

bool parse_is_lifecycle_state(const char *text) {
        return text_is_plain(text, ID_PART_MAX);
}

char *parse_region(const char *zone, const char *own) {
        size_t length;

        if (!zone || g_str_has_prefix(zone, own))
                return g_strdup(own);
        length = strlen(zone);
        return g_strndup(zone, length > 0 && g_ascii_islower(zone[length - 1]) ? length - 1 : length);
}
