/* SPDX-License-Identifier: Apache-2.0 */

/* By which right this machine asks: an access token of its service account, from the metadata service, renewed before
 * it ends and never written anywhere. What the account may do is cut down by the access scopes of the machine, which
 * are asked for, too, because a refusal for them has another cure than one for a missing role. */

#include <string.h>

#include "base/clock.h"
#include "gcp.h"
#include "util/json.h"

/* The service hands the same token out until five minutes before its end; asked earlier there is no new one. As
 * google-auth does. */
#define RENEW_BEFORE (225 * USEC_PER_SEC)
#define TOKEN_MAX 8192U
#define ACCOUNT GCP_METADATA "instance/service-accounts/default/"

void credentials_free(Credentials *credentials) {
        if (credentials->token)
                explicit_bzero(credentials->token, strlen(credentials->token));
        g_free(credentials->token);
        g_free(credentials);
}

bool credentials_are_fresh(const Credentials *credentials) {
        return credentials && credentials->token && credentials->until > usec_add(clock_realtime(), RENEW_BEFORE);
}

static void fail(Gcp *gcp, const char *error_name, const char *text) {
        g_clear_pointer(&gcp->credentials, credentials_free);
        cloud_jobs_answered(gcp->jobs, error_name, text);
}

static bool is_plain(const char *text) {
        for (const char *c = text; *c; c++)
                if (!g_ascii_isgraph(*c))
                        return false;
        return *text != '\0' && strlen(text) <= TOKEN_MAX;
}

/* {"access_token": "…", "expires_in": 3599, "token_type": "Bearer"}. What was wrong with it is not told with a piece
 * of it. */
static void on_token(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        Gcp *gcp = userdata;
        g_autoptr(JsonNode) node = outcome == METADATA_FOUND ? json_text_parse("token", text, -1, NULL) : NULL;
        JsonObject *object = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
        const char *token = object ? json_get_string(object, "access_token", "") : "";
        gint64 seconds = object ? json_get_int(object, "expires_in", 0) : 0;

        if (outcome == METADATA_FAILED)
                fail(gcp, SNOOZE_PLUGIN_ERROR_THROTTLED, text);
        else if (!is_plain(token) || seconds <= 0 || seconds > 86400 ||
                 g_ascii_strcasecmp(json_get_string(object, "token_type", ""), "Bearer") != 0)
                fail(gcp, SNOOZE_PLUGIN_ERROR_THROTTLED, "The metadata service answered without an access token");
        else {
                gcp->credentials->token = g_strdup(token);
                gcp->credentials->until = usec_add(clock_realtime(), (uint64_t) seconds * USEC_PER_SEC);
                cloud_jobs_answered(gcp->jobs, NULL, NULL);
        }
}

static void ask(Gcp *gcp, const char *path, MetadataDone done) {
        int r = metadata_ask(gcp->metadata, &(const MetadataQuestion){ .path = path }, done, gcp);

        if (r < 0)
                fail(gcp, SNOOZE_PLUGIN_ERROR_THROTTLED, g_strerror(-r));
}

static void on_scopes(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        static const char none[] =
                "This instance has no service account that could allow anything: attach one with the role that "
                "snooze provider policy gcp prints";
        g_auto(GStrv) scopes = g_strsplit_set(text, " \r\n", 64);
        const char *const *list = (const char *const *) scopes;
        Gcp *gcp = userdata;

        if (outcome != METADATA_FOUND) {
                fail(gcp, outcome == METADATA_FAILED ? SNOOZE_PLUGIN_ERROR_THROTTLED : SNOOZE_PLUGIN_ERROR_REFUSED,
                     outcome == METADATA_FAILED ? text : none);
                return;
        }
        gcp->credentials = g_new0(Credentials, 1);
        gcp->credentials->writes =
                g_strv_contains(list, GCP_SCOPE_PLATFORM) || g_strv_contains(list, GCP_SCOPE_COMPUTE);
        gcp->credentials->reads = gcp->credentials->writes || g_strv_contains(list, GCP_SCOPE_READONLY);
        ask(gcp, ACCOUNT "token", on_token);
}

void credentials_ask(void *userdata) {
        Gcp *gcp = userdata;

        g_clear_pointer(&gcp->credentials, credentials_free);
        ask(gcp, ACCOUNT "scopes", on_scopes);
}
