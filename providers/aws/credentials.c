/* SPDX-License-Identifier: Apache-2.0 */

/* By which right this machine asks: a user's keys where the unit was given some (systemd credential "aws": AccessKeyId, SecretAccessKey,
 * and Token where they end), else those of the instance's role, renewed before they end. They are never written anywhere. */

#include <stdlib.h>
#include <string.h>

#include "aws.h"
#include "base/clock.h"
#include "util/json.h"

/* AWS makes new ones available at least five minutes before the old ones end (docs.aws.amazon.com, "Retrieve security credentials from
 * instance metadata"). */
#define RENEW_BEFORE (5 * USEC_PER_MINUTE)
#define PATH_OF_ROLES "/latest/meta-data/iam/security-credentials/"

static void erase(char *text) {
        if (text)
                explicit_bzero(text, strlen(text));
        g_free(text);
}

void credentials_free(Credentials *credentials) {
        erase(credentials->key);
        erase(credentials->secret);
        erase(credentials->token);
        g_free(credentials);
}

static bool is_plain(const char *text) {
        for (const char *c = text; *c; c++)
                if (!g_ascii_isgraph(*c))
                        return false;
        return *text != '\0';
}

static Credentials *read_credentials(const char *text, char **ret_problem) {
        g_autoptr(JsonNode) node = json_text_parse("credentials", text, -1, NULL);
        JsonObject *object = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
        const char *key, *secret, *token, *expiration, *code;
        g_autoptr(GDateTime) end = NULL;
        Credentials *credentials;

        /* What was wrong with a text that holds a secret is not told with a piece of it. */
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
                end = g_date_time_new_from_iso8601(expiration, NULL);
        if (!g_str_equal(code, "Success"))
                *ret_problem = g_strdup_printf("the code %.40s", code);
        else if (!is_plain(key) || !is_plain(secret) || strchr(key, ':') || (token && !is_plain(token)))
                *ret_problem = g_strdup("no AccessKeyId and SecretAccessKey");
        else if (expiration && !end)
                *ret_problem = g_strdup("an Expiration that is no time");
        if (*ret_problem)
                return NULL;
        credentials = g_new0(Credentials, 1);
        credentials->key = g_strdup(key);
        credentials->secret = g_strdup(secret);
        credentials->token = g_strdup(token);
        credentials->until = end ? (uint64_t) g_date_time_to_unix(end) * USEC_PER_SEC : USEC_INFINITY;
        return credentials;
}

static void conclude(Aws *aws, const char *error_name, const char *text) {
        cloud_jobs_answered(aws->jobs, error_name, text);
}

static void on_credentials(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        Aws *aws = userdata;
        g_autofree char *problem = NULL, *message = NULL;
        Credentials *credentials;

        if (outcome == METADATA_FAILED) {
                conclude(aws, SNOOZE_PLUGIN_ERROR_THROTTLED, text);
                return;
        }
        credentials = read_credentials(text, &problem);
        if (!credentials) {
                message = g_strdup_printf("The metadata service gives no credentials of this instance's role: %s", problem);
                conclude(aws, SNOOZE_PLUGIN_ERROR_THROTTLED, message);
                return;
        }
        g_clear_pointer(&aws->credentials, credentials_free);
        aws->credentials = credentials;
        conclude(aws, NULL, NULL);
}

static bool is_role(const char *text) {
        return *text && strlen(text) <= 128 &&
                strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+=,.@_-") == strlen(text);
}

static void on_roles(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        static const char none[] = "This instance has no role that could allow anything: attach an instance profile with the policy that "
                                   "snooze provider policy aws prints";
        Aws *aws = userdata;
        g_autofree char *role = g_strdup(text), *path = NULL;
        int r;

        role[strcspn(role, "\r\n")] = '\0';
        if (outcome == METADATA_FAILED)
                conclude(aws, SNOOZE_PLUGIN_ERROR_THROTTLED, text);
        else if (outcome == METADATA_ABSENT || !*role)
                conclude(aws, SNOOZE_PLUGIN_ERROR_REFUSED, none);
        else if (!is_role(role))
                conclude(aws, SNOOZE_PLUGIN_ERROR_THROTTLED, "The metadata service names a role that is none");
        else {
                path = g_strconcat(PATH_OF_ROLES, role, NULL);
                r = metadata_ask(aws->metadata, &(const MetadataQuestion) { .path = path }, on_credentials, aws);
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
        credentials = read_credentials(text, ret_problem);
        explicit_bzero(text, strlen(text));
        return credentials;
}

void credentials_ask(void *userdata) {
        g_autofree char *problem = NULL, *message = NULL;
        Aws *aws = userdata;
        int r;

        g_clear_pointer(&aws->credentials, credentials_free);
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
        r = metadata_ask(aws->metadata, &(const MetadataQuestion) { .path = PATH_OF_ROLES }, on_roles, aws);
        if (r < 0)
                conclude(aws, SNOOZE_PLUGIN_ERROR_THROTTLED, g_strerror(-r));
}

bool credentials_are_fresh(const Credentials *credentials) {
        return credentials && credentials->until > usec_add(clock_realtime(), RENEW_BEFORE);
}
