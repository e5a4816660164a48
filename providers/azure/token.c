/* SPDX-License-Identifier: Apache-2.0 */

/* By which right this machine asks: a token of its managed identity, which only the metadata service gives, renewed
 * before it ends and never written anywhere.
 * learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token. */

#include <string.h>

#include "azure.h"
#include "base/clock.h"
#include "document.h"
#include "util/json.h"

#define RENEW_BEFORE (5 * USEC_PER_MINUTE)
#define TOKEN_MAX (16U * 1024U)
#define LIFETIME_MAX (7 * 24 * 3600)
/* The first one may take some seconds; Microsoft's own clients (msrestazure) try again for long. */
#define TIMEOUT (10 * USEC_PER_SEC)
#define ATTEMPTS 5U

void token_free(Token *token) {
        explicit_bzero(token->text, strlen(token->text));
        g_free(token->text);
        g_free(token);
}

bool token_is_fresh(const Token *token) {
        return token && token->until > usec_add(clock_boottime(), RENEW_BEFORE);
}

static bool is_token(const char *text) {
        for (const char *c = text; *c; c++)
                if (!g_ascii_isgraph(*c))
                        return false;
        return *text && strlen(text) <= TOKEN_MAX;
}

/* A text for virtual machines, a number elsewhere; 0: none. */
static int64_t seconds_of(JsonObject *object, const char *member) {
        gint64 seconds = json_get_int(object, member, 0);

        if (seconds == 0 &&
            !g_ascii_string_to_signed(document_text(object, member), 10, 0, G_MAXINT32, &seconds, NULL))
                seconds = 0;
        return seconds;
}

/* What was wrong with a text that holds a secret is not told with a piece of it. */
static Token *read_token(const char *text, const char **ret_problem) {
        g_autoptr(JsonNode) node = json_text_parse("token", text, -1, NULL);
        JsonObject *object = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
        const char *value = document_text(object, "access_token");
        int64_t seconds = object ? seconds_of(object, "expires_in") : 0;
        Token *token;

        if (!object)
                *ret_problem = "no JSON object";
        else if (!is_token(value))
                *ret_problem = "no access_token";
        else if (g_ascii_strcasecmp(document_text(object, "token_type"), "Bearer") != 0)
                *ret_problem = "a token_type that is not Bearer";
        else if (seconds <= 0 || seconds > LIFETIME_MAX)
                *ret_problem = "no expires_in";
        if (*ret_problem)
                return NULL;
        token = g_new0(Token, 1);
        token->text = g_strdup(value);
        token->until = usec_add(clock_boottime(), (uint64_t) seconds * USEC_PER_SEC);
        return token;
}

/* 410: the service is being renewed, for 70 seconds at most. 404: the same on some hosts, and before an identity has
 * arrived. */
static bool is_passing(const HttpReply *reply) {
        return reply->status == 404 || reply->status == 410 || reply->status >= 500 || http_reply_is_passing(reply);
}

static bool again(const HttpReply *reply, void *userdata) {
        return reply->problem == HTTP_UNREACHABLE || reply->problem == HTTP_TIMED_OUT || is_passing(reply);
}

/* {"error": "invalid_request", "error_description": "Identity not found"} */
static void refuse(Azure *azure, const HttpReply *reply) {
        g_autoptr(JsonNode) node = json_text_parse("refusal", reply->body, -1, NULL);
        JsonObject *object = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
        g_autofree char *text =
                g_strdup_printf("The metadata service gives no token (%ld %.200s): this machine needs a managed "
                                "identity (az vm identity assign; with "
                                "several, client_id) and the role that snooze provider policy azure prints",
                                reply->status, document_text(object, "error_description"));

        cloud_jobs_answered(azure->jobs, SNOOZE_PLUGIN_ERROR_REFUSED, text);
}

static void on_token(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        Azure *azure = userdata;
        g_autofree char *message = NULL;
        const char *problem = NULL;
        Token *token;

        if (outcome == METADATA_FAILED && reply && reply->status >= 400 && !is_passing(reply)) {
                refuse(azure, reply);
                return;
        }
        if (outcome != METADATA_FOUND) {
                message = g_strdup_printf("The metadata service gives no token for now%s%s", *text ? ": " : "", text);
                cloud_jobs_answered(azure->jobs, SNOOZE_PLUGIN_ERROR_THROTTLED, message);
                return;
        }
        token = read_token(text, &problem);
        if (!token) {
                message = g_strdup_printf("The metadata service gives no token: %s", problem);
                cloud_jobs_answered(azure->jobs, SNOOZE_PLUGIN_ERROR_THROTTLED, message);
                return;
        }
        g_clear_pointer(&azure->token, token_free);
        azure->token = token;
        cloud_jobs_answered(azure->jobs, NULL, NULL);
}

void token_ask(void *userdata) {
        Azure *azure = userdata;
        const char *client_id = azure_setting(azure, "client_id");
        g_autofree char *endpoint = azure_endpoint(azure);
        /* The audience is the cloud's, whoever passes the questions on. */
        g_autofree char *audience = g_strconcat(azure->identity->endpoint ?: endpoint, "/", NULL);
        g_autofree char *escaped = g_uri_escape_string(audience, NULL, FALSE);
        g_autofree char *path =
                g_strdup_printf("/metadata/identity/oauth2/token?api-version=2018-02-01&resource=%s%s%s", escaped,
                                client_id ? "&client_id=" : "", client_id ?: "");
        int r;

        g_clear_pointer(&azure->token, token_free);
        if (!endpoint) {
                cloud_jobs_answered(
                        azure->jobs, SNOOZE_PLUGIN_ERROR_REFUSED,
                        "This machine is in a cloud whose Resource Manager is not known: name it by endpoint_url");
                return;
        }
        r = metadata_ask(
                azure->metadata,
                &(const MetadataQuestion){ .path = path, .timeout = TIMEOUT, .attempts = ATTEMPTS, .again = again },
                on_token, azure);
        if (r < 0)
                cloud_jobs_answered(azure->jobs, SNOOZE_PLUGIN_ERROR_THROTTLED, g_strerror(-r));
}
