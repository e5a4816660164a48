/* SPDX-License-Identifier: Apache-2.0 */

/* By which right this machine asks: an access token of its service account, from the metadata service, renewed before
 * it ends and never written anywhere. What the account may do is cut down by the access scopes of the machine, which
 * are asked for, too, because a refusal for them has another cure than one for a missing role. */

#include "base/clock.h"
#include "cloud/text.h"
#include "config.h"
#include "gcp.h"

/* The service hands the same token out until five minutes before its end; asked earlier there is no new one. As
 * google-auth does. */
#define RENEW_BEFORE (225 * USEC_PER_SEC)
#define ACCOUNT GCP_METADATA "instance/service-accounts/default/"

void credentials_drop(void *userdata) {
        Gcp *gcp = userdata;

        if (gcp->credentials)
                text_erase(gcp->credentials->token);
        g_clear_pointer(&gcp->credentials, g_free);
}

CloudCredentials credentials_state(const void *userdata) {
        const Gcp *gcp = userdata;

        if (!gcp->credentials || !gcp->credentials->token)
                return CLOUD_CREDENTIALS_NONE;
        return gcp->credentials->until > usec_add(clock_realtime(), RENEW_BEFORE) ? CLOUD_CREDENTIALS_FRESH
                                                                                 : CLOUD_CREDENTIALS_OLD;
}

static void fail(Gcp *gcp, const char *error_name, const char *text) {
        credentials_drop(gcp);
        cloud_jobs_answered(&gcp->cloud, error_name, text);
}

/* What was wrong with it is not told with a piece of it. */
static void on_token(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        Gcp *gcp = userdata;
        AccessToken token;

        if (outcome == METADATA_FAILED)
                fail(gcp, SNOOZE_PLUGIN_ERROR_THROTTLED, text);
        else if (outcome == METADATA_ABSENT || !parse_token(text, &token))
                fail(gcp, SNOOZE_PLUGIN_ERROR_THROTTLED, "The metadata service answered without an access token");
        else {
                gcp->credentials->token = token.text;
                gcp->credentials->until = usec_add(clock_realtime(), token.lifetime);
                cloud_jobs_answered(&gcp->cloud, NULL, NULL);
        }
}

static void ask(Gcp *gcp, const char *path, MetadataDone done) {
        int r = metadata_ask(gcp->cloud.metadata, &(const MetadataQuestion){ .path = path }, done, gcp);

        if (r < 0)
                fail(gcp, SNOOZE_PLUGIN_ERROR_THROTTLED, g_strerror(-r));
}

static void on_scopes(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        static const char none[] =
                "This instance has no service account that could allow anything: attach one with the role that "
                SNOOZE_COMMAND " provider policy gcp prints";
        Gcp *gcp = userdata;

        if (outcome != METADATA_FOUND) {
                fail(gcp, outcome == METADATA_FAILED ? SNOOZE_PLUGIN_ERROR_THROTTLED : SNOOZE_PLUGIN_ERROR_REFUSED,
                     outcome == METADATA_FAILED ? text : none);
                return;
        }
        gcp->credentials = g_new0(Credentials, 1);
        parse_scopes(text, &gcp->credentials->reads, &gcp->credentials->writes);
        ask(gcp, ACCOUNT "token", on_token);
}

void credentials_ask(void *userdata) {
        Gcp *gcp = userdata;

        credentials_drop(gcp);
        ask(gcp, ACCOUNT "scopes", on_scopes);
}
