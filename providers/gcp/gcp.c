/* SPDX-License-Identifier: Apache-2.0 */

/* The provider for Compute Engine: stops, suspends, starts and describes instances through its API with the service
 * account of this one, and brings what Google announces to it. */

#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "base/clock.h"
#include "base/names.h"
#include "operation.h"

/* By number: metadata.google.internal needs a name service, which this machine need not have. */
#define METADATA_URL "http://169.254.169.254"
/* Less than the 60 s after which the daemon gives a provider up. */
#define JOB_MAX (50 * USEC_PER_SEC)

static const char *const metadata_headers[] = { "Metadata-Flavor: Google", NULL };

/* docs.cloud.google.com/compute/docs/metadata/querying-metadata: each side proves by the header that it means the
 * other. */
static const MetadataRules rules = {
        .headers = metadata_headers,
        .proof_header = "Metadata-Flavor",
        .proof_value = "Google",
};

static const SnoozePluginSetting settings[] = {
        { .name = "metadata_url",
          .type = SNOOZE_PLUGIN_STRING,
          .constraints = "/^https?:\\/\\/[^ ]+$/",
          .default_value = METADATA_URL },
        { .name = "endpoint_url", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^https?:\\/\\/[^ ]+$/" },
        { .name = "proxy_url", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^https?:\\/\\/[^ ]+$/" },
        { .name = "ca_file", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^\\/.+$/" },
        { .name = "local_ssd",
          .type = SNOOZE_PLUGIN_STRING,
          .constraints = "refuse|discard|preserve",
          .default_value = "refuse" },
        { .name = "wait_seconds", .type = SNOOZE_PLUGIN_INTEGER, .minimum = 1, .maximum = 600, .default_value = "60" },
        { NULL },
};

const char *gcp_setting(const Gcp *gcp, const char *name) {
        return snooze_plugin_instance_get_string(gcp->instance, name);
}

static const char *identity(void *userdata) {
        const Gcp *gcp = userdata;

        return gcp->identity ? gcp->identity->id : NULL;
}

static bool are_credentials_fresh(void *userdata) {
        const Gcp *gcp = userdata;

        return credentials_are_fresh(gcp->credentials);
}

static bool have_credentials(void *userdata) {
        const Gcp *gcp = userdata;

        return gcp->credentials != NULL;
}

static void free_extra(void *data) {
        Extra *extra = data;

        api_cancel(extra->api);
        following_free(extra->following);
        g_clear_pointer(&extra->labels, g_hash_table_unref);
        g_free(extra->target);
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

Extra *gcp_extra(const CloudJob *job) {
        return job->extra;
}

CloudJob *gcp_job_new(Gcp *gcp, SnoozePluginCall *call, const char *instance_id) {
        CloudJob *job = cloud_job_new(gcp->jobs, call, instance_id);
        Extra *extra = g_new0(Extra, 1);

        extra->deadline = usec_add(clock_monotonic(), JOB_MAX);
        job->extra = extra;
        return job;
}

static int start(SnoozePluginInstance *instance, void *userdata) {
        Gcp *gcp = userdata;

        gcp->instance = instance;
        gcp->jobs = cloud_jobs_new(&means, gcp);
        gcp->root = getenv("SNOOZE_GCP_ROOT") ?: ""; /* another machine's files, for tests */
        machine_detect(gcp->root, &gcp->machine);
        return http_client_new(snooze_plugin_instance_get_event(instance), &gcp->http);
}

static void forget_machine(Gcp *gcp) {
        gcp->notices = notices_free(gcp->notices);
        gcp->metadata = metadata_free(gcp->metadata);
        gcp->inquiry = inquiry_free(gcp->inquiry);
        g_clear_pointer(&gcp->identity, identity_free);
        g_clear_pointer(&gcp->credentials, credentials_free);
}

/* A configuration is taken as a whole, and whatever was asked by the one before is asked anew: that is rare, and
 * nothing old is left. */
static int take_configuration(SnoozePluginCall *call, const SnoozePluginDictionary *config, void *userdata) {
        const char *url = snooze_plugin_dictionary_get_string(config, "metadata_url", METADATA_URL);
        Gcp *gcp = userdata;
        bool watched = gcp->notices != NULL;
        int r;

        forget_machine(gcp);
        cloud_jobs_reset(gcp->jobs);
        gcp->own_service = strcmp(url, METADATA_URL) != 0;
        r = metadata_new(gcp->http, &rules, url, false, &gcp->metadata);
        return r >= 0 && watched ? notices_watch(gcp) : r;
}

static void shut_down(void *userdata) {
        Gcp *gcp = userdata;

        gcp->notices = notices_free(gcp->notices);
}

/* docs.cloud.google.com/compute/docs/instances/suspend-stop-reset-instances-overview: neither a stopped nor a
 * suspended instance costs more than what it stores, whoever stopped it and however, Spot instances among them. */
static const char *stop_effect(void *userdata) {
        return "stops-billing";
}

static bool is_here(const Gcp *gcp) {
        return gcp->own_service || g_strcmp0(gcp->machine.cloud, "gcp") == 0;
}

/* Firmware first: only on a machine of Google's the metadata service is asked at all, because in another cloud the
 * same address is another service. Who names a service of his own has said where he is. */
static int detect(SnoozePluginCall *call, void *userdata) {
        Gcp *gcp = userdata;

        if (!is_here(gcp))
                return snooze_plugin_call_set_answer(call, false);
        cloud_job_identify(gcp_job_new(gcp, call, NULL), cloud_job_detected);
        return SNOOZE_PLUGIN_LATER;
}

static int watch(SnoozePluginCall *call, void *userdata) {
        Gcp *gcp = userdata;

        return is_here(gcp) ? notices_watch(gcp) : 0;
}

/* Google waits for nobody. */
static int acknowledge(SnoozePluginCall *call, const char *event_id, void *userdata) {
        return 0;
}

int main(int argc, char *argv[]) {
        Gcp gcp = { 0 };
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = "gcp",
                .version = PACKAGE_VERSION,
                .description = "Stops, suspends, starts and describes Compute Engine instances, and brings what "
                               "Google announces to this one.",
                .userdata = &gcp,
                .settings = settings,
                .start = start,
                .initialize = take_configuration,
                .shutdown = shut_down,
                .provider_name = "Google Compute Engine",
                .stop_effect = stop_effect,
                .detect = detect,
                .get_instance_info = gcp_get_instance_info,
                .stop_instance = gcp_stop_instance,
                .start_instance = gcp_start_instance,
                .check_permissions = gcp_check_permissions,
                .set_tags = gcp_set_tags,
                .export_state = gcp_export_state,
                .import_state = gcp_import_state,
                .watch = watch,
                .acknowledge = acknowledge,
        };
        int r = snooze_plugin_main(&plugin, argc, argv);

        forget_machine(&gcp);
        for (Watched i = 0; i < WATCH_COUNT; i++)
                announced_clear(&gcp.announced[i]);
        http_client_free(gcp.http);
        cloud_jobs_free(gcp.jobs);
        return r;
}
