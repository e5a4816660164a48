/* SPDX-License-Identifier: Apache-2.0 */

/* By which right this machine asks: a user's keys where the unit was given some (systemd credential "aws":
 * AccessKeyId, SecretAccessKey, and Token where they end), else those of the instance's role, renewed before they end.
 * They are never written anywhere. */

#include <stdlib.h>
#include <string.h>

#include "aws.h"
#include "base/clock.h"
#include "config.h"

/* AWS makes new ones available at least five minutes before the old ones end (docs.aws.amazon.com, "Retrieve security
 * credentials from instance metadata"). */
#define RENEW_BEFORE (5 * USEC_PER_MINUTE)
#define PATH_OF_ROLES "/latest/meta-data/iam/security-credentials/"

static void conclude(Aws *aws, const char *error_name, const char *text) {
        cloud_jobs_answered(&aws->cloud, error_name, text);
}

static void on_credentials(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        Aws *aws = userdata;
        g_autofree char *problem = NULL, *message = NULL;
        Credentials *credentials;

        if (outcome == METADATA_FAILED) {
                conclude(aws, SNOOZE_PLUGIN_ERROR_THROTTLED, text);
                return;
        }
        credentials = parse_credentials(text, &problem);
        if (!credentials) {
                message = g_strdup_printf("The metadata service gives no credentials of this instance's role: %s",
                                          problem);
                conclude(aws, SNOOZE_PLUGIN_ERROR_THROTTLED, message);
                return;
        }
        g_clear_pointer(&aws->credentials, credentials_free);
        aws->credentials = credentials;
        conclude(aws, NULL, NULL);
}

static void on_roles(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        static const char none[] = "This instance has no role that could allow anything: attach an instance profile "
                                   "with the policy that " SNOOZE_COMMAND " provider policy aws prints";
        Aws *aws = userdata;
        g_autofree char *role = g_strdup(text), *path = NULL;
        int r;

        role[strcspn(role, "\r\n")] = '\0';
        if (outcome == METADATA_FAILED)
                conclude(aws, SNOOZE_PLUGIN_ERROR_THROTTLED, text);
        else if (outcome == METADATA_ABSENT || !*role)
                conclude(aws, SNOOZE_PLUGIN_ERROR_REFUSED, none);
        else if (!parse_is_role(role))
                conclude(aws, SNOOZE_PLUGIN_ERROR_THROTTLED, "The metadata service names a role that is none");
        else {
                path = g_strconcat(PATH_OF_ROLES, role, NULL);
                r = metadata_ask(aws->cloud.metadata, &(const MetadataQuestion) { .path = path }, on_credentials, aws);
                if (r < 0)
                        conclude(aws, SNOOZE_PLUGIN_ERROR_THROTTLED, g_strerror(-r));
        }
}

/* From the unit: LoadCredential=aws:/etc/credstore/aws */
static Credentials *given_credentials(char **ret_problem) {
        const char *directory = getenv("CREDENTIALS_DIRECTORY");
        g_autofree char *path = directory ? g_build_filename(directory, "aws", NULL) : NULL, *text = NULL;
        Credentials *credentials;

        if (!path || !g_file_test(path, G_FILE_TEST_EXISTS))
                return NULL;
        if (!g_file_get_contents(path, &text, NULL, NULL)) {
                *ret_problem = g_strdup("cannot be read");
                return NULL;
        }
        credentials = parse_credentials(text, ret_problem);
        explicit_bzero(text, strlen(text));
        return credentials;
}

void credentials_ask(void *userdata) {
        g_autofree char *problem = NULL, *message = NULL;
        Aws *aws = userdata;
        int r;

        credentials_drop(aws);
        aws->credentials = given_credentials(&problem);
        if (problem) {
                message = g_strdup_printf("The credential aws of the unit: %s", problem);
                conclude(aws, SNOOZE_PLUGIN_ERROR_REFUSED, message);
                return;
        }
        if (aws->credentials) {
                conclude(aws, NULL, NULL);
                return;
        }
        r = metadata_ask(aws->cloud.metadata, &(const MetadataQuestion) { .path = PATH_OF_ROLES }, on_roles, aws);
        if (r < 0)
                conclude(aws, SNOOZE_PLUGIN_ERROR_THROTTLED, g_strerror(-r));
}

void credentials_drop(void *userdata) {
        Aws *aws = userdata;

        g_clear_pointer(&aws->credentials, credentials_free);
}

CloudCredentials credentials_state(const void *userdata) {
        const Aws *aws = userdata;

        if (!aws->credentials)
                return CLOUD_CREDENTIALS_NONE;
        return aws->credentials->until > usec_add(clock_realtime(), RENEW_BEFORE) ? CLOUD_CREDENTIALS_FRESH
                                                                                  : CLOUD_CREDENTIALS_OLD;
}
