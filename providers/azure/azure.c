/* SPDX-License-Identifier: Apache-2.0 */

/* The provider for Azure: deallocates, starts and describes virtual machines through the Resource Manager with the
 * managed identity of this one, and brings what Azure announces to it. */

#include "azure.h"

#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "api.h"
#include "base/names.h"
#include "operation.h"
#include "resource.h"

#define METADATA_URL "http://169.254.169.254"

/* Nothing in its answers proves that they are Azure's: its documents do, by what they name. */
static const MetadataRules rules = {
        .headers = (const char *const[]){ "Metadata: true", NULL },
};

static const SnoozePluginSetting settings[] = {
        { .name = "metadata_url",
          .type = SNOOZE_PLUGIN_STRING,
          .constraints = "/^https?:\\/\\/[^ ]+$/",
          .default_value = METADATA_URL },
        { .name = "endpoint_url", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^https?:\\/\\/[^ ]+$/" },
        { .name = "client_id", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^[0-9A-Fa-f-]{36}$/" },
        { .name = "proxy_url", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^https?:\\/\\/[^ ]+$/" },
        { .name = "ca_file", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^\\/.+$/" },
        { .name = "poll_interval_seconds",
          .type = SNOOZE_PLUGIN_NUMBER,
          .minimum = 0.1,
          .maximum = 300,
          .default_value = "1" },
        { .name = "approve_events",
          .type = SNOOZE_PLUGIN_STRING,
          .constraints = "never|alone|always",
          .default_value = "never" },
        { NULL },
};

const char *azure_setting(const Azure *azure, const char *name) {
        return snooze_plugin_instance_get_string(azure->instance, name);
}

char *azure_endpoint(const Azure *azure) {
        char *endpoint = g_strdup(azure_setting(azure, "endpoint_url") ?: azure->identity->endpoint);

        while (endpoint && g_str_has_suffix(endpoint, "/"))
                endpoint[strlen(endpoint) - 1] = '\0';
        return endpoint;
}

static const char *identity(void *userdata) {
        const Azure *azure = userdata;

        return azure->identity ? azure->identity->resource_id : NULL;
}

static bool are_credentials_fresh(void *userdata) {
        const Azure *azure = userdata;

        return token_is_fresh(azure->token);
}

static bool have_credentials(void *userdata) {
        const Azure *azure = userdata;

        return azure->token != NULL;
}

static void free_extra(void *data) {
        Extra *extra = data;

        api_cancel(extra->api);
        operation_cancel(extra->operation);
        g_free(extra->body);
        g_free(extra);
}

static const CloudMeans means = {
        .identity = identity,
        .ask_identity = identity_ask,
        .are_credentials_fresh = are_credentials_fresh,
        .have_credentials = have_credentials,
        .ask_credentials = token_ask,
        .free_extra = free_extra,
};

CloudJob *azure_job_new(Azure *azure, SnoozePluginCall *call, const char *instance_id) {
        CloudJob *job = cloud_job_new(azure->jobs, call, instance_id);

        job->extra = g_new0(Extra, 1);
        return job;
}

static int start(SnoozePluginInstance *instance, void *userdata) {
        Azure *azure = userdata;

        azure->instance = instance;
        azure->jobs = cloud_jobs_new(&means, azure);
        machine_detect(getenv("SNOOZE_AZURE_ROOT") ?: "", &azure->machine); /* another machine's files, for tests */
        return http_client_new(snooze_plugin_instance_get_event(instance), &azure->http);
}

static void forget_machine(Azure *azure) {
        azure->notices = notices_free(azure->notices);
        azure->metadata = metadata_free(azure->metadata);
        g_clear_pointer(&azure->identity, identity_free);
        g_clear_pointer(&azure->token, token_free);
}

/* A configuration is taken as a whole, and whatever was asked by the one before is asked anew: that is rare, and
 * nothing old is left. */
static int take_configuration(SnoozePluginCall *call, const SnoozePluginDictionary *config, void *userdata) {
        const char *url = snooze_plugin_dictionary_get_string(config, "metadata_url", METADATA_URL);
        Azure *azure = userdata;
        bool watched = azure->notices != NULL;
        int r;

        forget_machine(azure);
        cloud_jobs_reset(azure->jobs);
        azure->own_service = strcmp(url, METADATA_URL) != 0;
        r = metadata_new(azure->http, &rules, url, false, &azure->metadata);
        return r >= 0 && watched ? notices_watch(azure) : r;
}

static void shut_down(void *userdata) {
        Azure *azure = userdata;

        azure->notices = notices_free(azure->notices);
}

/* A stop is a deallocation, after which only disks and addresses cost. */
static const char *stop_effect(void *userdata) {
        return "stops-billing";
}

/* Firmware first: only on a machine of Azure's the metadata service is asked at all, because in another cloud the same
 * address is another service. Who names a service of his own has said where he is. */
static bool is_azure(const Azure *azure) {
        return azure->own_service || g_strcmp0(azure->machine.cloud, "azure") == 0;
}

static int detect(SnoozePluginCall *call, void *userdata) {
        Azure *azure = userdata;

        if (!is_azure(azure))
                return snooze_plugin_call_set_answer(call, false);
        cloud_job_identify(azure_job_new(azure, call, NULL), cloud_job_detected);
        return SNOOZE_PLUGIN_LATER;
}

static int watch(SnoozePluginCall *call, void *userdata) {
        Azure *azure = userdata;

        return is_azure(azure) ? notices_watch(azure) : 0;
}

static int acknowledge(SnoozePluginCall *call, const char *event_id, void *userdata) {
        return notices_acknowledged(userdata, call, event_id);
}

int main(int argc, char *argv[]) {
        Azure azure = { 0 };
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = "azure",
                .version = PACKAGE_VERSION,
                .description = "Deallocates, starts and describes Azure virtual machines, and brings what Azure "
                               "announces to this one.",
                .userdata = &azure,
                .settings = settings,
                .start = start,
                .initialize = take_configuration,
                .shutdown = shut_down,
                .provider_name = "Microsoft Azure",
                .stop_effect = stop_effect,
                .detect = detect,
                .get_instance_info = azure_get_instance_info,
                .stop_instance = azure_stop_instance,
                .start_instance = azure_start_instance,
                .check_permissions = azure_check_permissions,
                .set_tags = azure_set_tags,
                .watch = watch,
                .acknowledge = acknowledge,
        };
        int r = snooze_plugin_main(&plugin, argc, argv);

        forget_machine(&azure);
        http_client_free(azure.http);
        cloud_jobs_free(azure.jobs);
        return r;
}
