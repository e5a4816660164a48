/* SPDX-License-Identifier: Apache-2.0 */

/* By which right this machine asks: a token of its managed identity, which only the metadata service gives, renewed
 * before it ends and never written anywhere.
 * learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token. */

#include "azure.h"
#include "base/clock.h"
#include "cloud/text.h"
#include "config.h"

#define RENEW_BEFORE (5 * USEC_PER_MINUTE)
/* The first one may take some seconds; Microsoft's own clients (msrestazure) try again for long. */
#define TIMEOUT (10 * USEC_PER_SEC)
#define ATTEMPTS 5U

void token_drop(void *userdata) {
        Azure *azure = userdata;

        if (azure->token)
                text_erase(azure->token->text);
        g_clear_pointer(&azure->token, g_free);
}

CloudCredentials token_state(const void *userdata) {
        const Azure *azure = userdata;

        if (!azure->token)
                return CLOUD_CREDENTIALS_NONE;
        return azure->token->until > usec_add(clock_boottime(), RENEW_BEFORE) ? CLOUD_CREDENTIALS_FRESH
                                                                              : CLOUD_CREDENTIALS_OLD;
}

/* 410: the service is being renewed, for 70 seconds at most. 404: the same on some hosts, and before an identity has
 * arrived. */
static bool is_passing(const HttpReply *reply) {
        return reply->status == 404 || reply->status == 410 || reply->status >= 500 || http_reply_is_passing(reply);
}

static bool again(const HttpReply *reply, void *userdata) {
        return reply->problem == HTTP_UNREACHABLE || reply->problem == HTTP_TIMED_OUT || is_passing(reply);
}

static void refuse(Azure *azure, const HttpReply *reply) {
        g_autofree char *said = parse_token_refusal(reply->body);
        g_autofree char *text = g_strdup_printf(
                "The metadata service gives no token (%ld %.200s): this machine needs a managed "
                "identity (az vm identity assign; with "
                "several, client_id) and the role that " SNOOZE_COMMAND " provider policy azure prints",
                reply->status, said);

        cloud_jobs_answered(&azure->cloud, SNOOZE_PLUGIN_ERROR_REFUSED, text);
}

static void give_up_for_now(Azure *azure, const char *problem) {
        g_autofree char *text =
                g_strdup_printf("The metadata service gives no token%s%s", *problem ? ": " : "", problem);

        cloud_jobs_answered(&azure->cloud, SNOOZE_PLUGIN_ERROR_THROTTLED, text);
}

static void on_token(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        Azure *azure = userdata;
        const char *problem;
        AccessToken token;

        if (outcome == METADATA_FAILED && reply && reply->status >= 400 && !is_passing(reply)) {
                refuse(azure, reply);
                return;
        }
        problem = outcome == METADATA_FOUND ? parse_token(text, &token) : text;
        if (problem) {
                give_up_for_now(azure, problem);
                return;
        }
        token_drop(azure);
        azure->token = g_new0(Token, 1);
        azure->token->text = token.text;
        azure->token->until = usec_add(clock_boottime(), token.lifetime);
        cloud_jobs_answered(&azure->cloud, NULL, NULL);
}

void token_ask(void *userdata) {
        Azure *azure = userdata;
        const char *client_id = cloud_setting(&azure->cloud, "client_id");
        g_autofree char *endpoint = azure_endpoint(azure);
        /* The audience is the cloud's, whoever passes the questions on. */
        g_autofree char *audience = g_strconcat(azure->identity->endpoint ?: endpoint, "/", NULL);
        g_autofree char *escaped = g_uri_escape_string(audience, NULL, FALSE);
        g_autofree char *path =
                g_strdup_printf("/metadata/identity/oauth2/token?api-version=2018-02-01&resource=%s%s%s", escaped,
                                client_id ? "&client_id=" : "", client_id ?: "");
        int r;

        token_drop(azure);
        if (!endpoint) {
                cloud_jobs_answered(
                        &azure->cloud, SNOOZE_PLUGIN_ERROR_REFUSED,
                        "This machine is in a cloud whose Resource Manager is not known: name it by endpoint_url");
                return;
        }
        r = metadata_ask(
                azure->cloud.metadata,
                &(const MetadataQuestion){ .path = path, .timeout = TIMEOUT, .attempts = ATTEMPTS, .again = again },
                on_token, azure);
        if (r < 0)
                cloud_jobs_answered(&azure->cloud, SNOOZE_PLUGIN_ERROR_THROTTLED, g_strerror(-r));
}
