/* SPDX-License-Identifier: Apache-2.0 */

/* The provider for EC2: stops, starts and describes instances through the Query API with the role of this one, and brings what AWS
 * announces to it. */

#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <libxml/parser.h>

#include "api.h"
#include "base/names.h"
#include "power.h"

#define METADATA_URL "http://169.254.169.254"

static const MetadataRules rules = {
        .token_path = "/latest/api/token",
        .token_lifetime_header = "X-aws-ec2-metadata-token-ttl-seconds",
        .token_header = "X-aws-ec2-metadata-token",
        .token_seconds = 3600,
};

static const SnoozePluginSetting settings[] = {
        { .name = "metadata_url", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^https?:\\/\\/[^ ]+$/", .default_value = METADATA_URL },
        { .name = "metadata_v1", .type = SNOOZE_PLUGIN_BOOLEAN, .default_value = "false" },
        { .name = "region", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^[a-z0-9-]{1,32}$/" },
        { .name = "endpoint_url", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^https?:\\/\\/[^ ]+$/" },
        { .name = "autoscaling_endpoint_url", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^https?:\\/\\/[^ ]+$/" },
        { .name = "proxy_url", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^https?:\\/\\/[^ ]+$/" },
        { .name = "ca_file", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^\\/.+$/" },
        { .name = "stop_method", .type = SNOOZE_PLUGIN_STRING, .constraints = "api|poweroff", .default_value = "api" },
        { .name = "shutdown_behavior", .type = SNOOZE_PLUGIN_STRING, .constraints = "stop|terminate" },
        { .name = "poll_interval_seconds", .type = SNOOZE_PLUGIN_NUMBER, .minimum = 0.1, .maximum = 300, .default_value = "5" },
        { .name = "autoscaling_group", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^.{1,255}$/" },
        { .name = "lifecycle_hook", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^[A-Za-z0-9_\\/-]{1,255}$/" },
        { .name = "heartbeat_seconds", .type = SNOOZE_PLUGIN_INTEGER, .minimum = 0, .maximum = 7200, .default_value = "0" },
        { NULL },
};

const char *aws_setting(const Aws *aws, const char *name) {
        return snooze_plugin_instance_get_string(aws->instance, name);
}

bool aws_powers_off(const Aws *aws) {
        return g_strcmp0(aws_setting(aws, "stop_method"), "poweroff") == 0;
}

static const char *identity(void *userdata) {
        const Aws *aws = userdata;

        return aws->identity ? aws->identity->instance_id : NULL;
}

static bool are_credentials_fresh(void *userdata) {
        const Aws *aws = userdata;

        return credentials_are_fresh(aws->credentials);
}

static bool have_credentials(void *userdata) {
        const Aws *aws = userdata;

        return aws->credentials != NULL;
}

static void free_extra(void *data) {
        Extra *extra = data;

        api_cancel(extra->api);
        if (extra->tags) {
                extra->tags[1] = NULL; /* the job's */
                g_free(extra->tags[0]);
                for (char **tag = extra->tags + 2; *tag; tag++)
                        g_free(*tag);
                g_free(extra->tags);
        }
        g_free(extra);
}

static const CloudMeans means = {
        .identity = identity,
        .ask_identity = identity_ask,
        .are_credentials_fresh = are_credentials_fresh,
        .have_credentials = have_credentials,
        .ask_credentials = credentials_ask,
        .free_extra = free_extra,
};

CloudJob *aws_job_new(Aws *aws, SnoozePluginCall *call, const char *instance_id) {
        CloudJob *job = cloud_job_new(aws->jobs, call, instance_id);

        job->extra = g_new0(Extra, 1);
        return job;
}

static int start(SnoozePluginInstance *instance, void *userdata) {
        Aws *aws = userdata;

        aws->instance = instance;
        aws->jobs = cloud_jobs_new(&means, aws);
        machine_detect(getenv("SNOOZE_AWS_ROOT") ?: "", &aws->machine); /* another machine's files, for tests */
        return http_client_new(snooze_plugin_instance_get_event(instance), &aws->http);
}

static void forget_machine(Aws *aws) {
        aws->notices = notices_free(aws->notices);
        aws->metadata = metadata_free(aws->metadata);
        aws->inquiry = inquiry_free(aws->inquiry);
        g_clear_pointer(&aws->identity, identity_free);
        g_clear_pointer(&aws->credentials, credentials_free);
}

/* A configuration is taken as a whole, and whatever was asked by the one before is asked anew: that is rare, and nothing old is left. */
static int take_configuration(SnoozePluginCall *call, const SnoozePluginDictionary *config, void *userdata) {
        bool v1 = snooze_plugin_dictionary_get_bool(config, "metadata_v1", false);
        const char *url = snooze_plugin_dictionary_get_string(config, "metadata_url", METADATA_URL);
        const char *method = snooze_plugin_dictionary_get_string(config, "stop_method", "api");
        Aws *aws = userdata;
        bool watched = aws->notices != NULL;
        int r;

        forget_machine(aws);
        cloud_jobs_reset(aws->jobs);
        aws->own_service = strcmp(url, METADATA_URL) != 0;
        aws->stop_effect = strcmp(method, "poweroff") != 0
                ? "stops-billing"
                : power_stop_effect(snooze_plugin_dictionary_get_string(config, "shutdown_behavior", NULL));
        snooze_plugin_instance_stop_effect_changed(aws->instance);
        r = metadata_new(aws->http, &rules, url, v1, &aws->metadata);
        return r >= 0 && watched ? notices_watch(aws) : r;
}

static void shut_down(void *userdata) {
        Aws *aws = userdata;

        aws->notices = notices_free(aws->notices);
}

/* An instance that is stopped by the API costs no more than its volumes, whatever its shutdown behavior. */
static const char *stop_effect(void *userdata) {
        const Aws *aws = userdata;

        return aws->stop_effect ?: "unknown";
}

/* Firmware first: only on a machine of Amazon's the metadata service is asked at all, because in another cloud the same address is
 * another service. Who names a service of his own has said where he is. */
static int detect(SnoozePluginCall *call, void *userdata) {
        Aws *aws = userdata;

        if (!aws->own_service && g_strcmp0(aws->machine.cloud, "aws") != 0)
                return snooze_plugin_call_set_answer(call, false);
        cloud_job_identify(aws_job_new(aws, call, NULL), cloud_job_detected);
        return SNOOZE_PLUGIN_LATER;
}

static int watch(SnoozePluginCall *call, void *userdata) {
        Aws *aws = userdata;

        if (!aws->own_service && g_strcmp0(aws->machine.cloud, "aws") != 0)
                return 0;
        return notices_watch(aws);
}

static int acknowledge(SnoozePluginCall *call, const char *event_id, void *userdata) {
        return notices_acknowledged(userdata, call, event_id);
}

int main(int argc, char *argv[]) {
        Aws aws = { 0 };
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = "aws",
                .version = PACKAGE_VERSION,
                .description = "Stops, starts and describes EC2 instances, and brings what AWS announces to this one.",
                .userdata = &aws,
                .settings = settings,
                .start = start,
                .initialize = take_configuration,
                .shutdown = shut_down,
                .provider_name = "Amazon EC2",
                .stop_effect = stop_effect,
                .detect = detect,
                .get_instance_info = aws_get_instance_info,
                .stop_instance = aws_stop_instance,
                .start_instance = aws_start_instance,
                .check_permissions = aws_check_permissions,
                .set_tags = aws_set_tags,
                .watch = watch,
                .acknowledge = acknowledge,
        };
        int r = snooze_plugin_main(&plugin, argc, argv);

        forget_machine(&aws);
        http_client_free(aws.http);
        cloud_jobs_free(aws.jobs);
        xmlCleanupParser();
        return r;
}
