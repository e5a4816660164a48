/* SPDX-License-Identifier: Apache-2.0 */

/* The provider for Compute Engine: stops, suspends, starts and describes instances through its API with the service
 * account of this one, and brings what Google announces to it. The metadata service is asked by number:
 * metadata.google.internal needs a name service, which this machine need not have. */

#include "gcp.h"

#include "api.h"
#include "base/clock.h"
#include "instance.h"
#include "operation.h"

static const char *const metadata_headers[] = { "Metadata-Flavor: Google", NULL };

/* docs.cloud.google.com/compute/docs/metadata/querying-metadata: each side proves by the header that it means the
 * other. */
static const MetadataRules rules = {
        .headers = metadata_headers,
        .proof_header = "Metadata-Flavor",
        .proof_value = "Google",
};

static const SnoozePluginSetting settings[] = {
        CLOUD_SETTINGS,
        { .name = "local_ssd",
          .type = SNOOZE_PLUGIN_STRING,
          .constraints = "refuse|discard|preserve",
          .default_value = "refuse" },
        { .name = "wait_seconds", .type = SNOOZE_PLUGIN_INTEGER, .minimum = 1, .maximum = 600, .default_value = "60" },
        { NULL },
};

static void clear_extra(void *data) {
        Extra *extra = data;

        following_free(extra->following);
        g_clear_pointer(&extra->labels, g_hash_table_unref);
        g_free(extra->target);
}

Extra *gcp_extra(const CloudJob *job) {
        return job->extra;
}

static void forget(void *userdata) {
        Gcp *gcp = userdata;

        g_clear_pointer(&gcp->identity, identity_free);
        credentials_drop(gcp);
}

static const CloudKind kind = {
        .cloud = "gcp",
        .owner = "Google",
        .actions = CLOUD_ACTION_MASK(STOP_ACTION_STOP) | CLOUD_ACTION_MASK(STOP_ACTION_SUSPEND),
        .rules = &rules,
        .api = &api,
        .questions = identity_questions,
        .identity_size = sizeof(Identity),
        .identity_free = identity_free,
        .know = identity_know,
        .identity = identity_id,
        .credentials = credentials_state,
        .ask_credentials = credentials_ask,
        .drop_credentials = credentials_drop,
        .extra_size = sizeof(Extra),
        .clear_extra = clear_extra,
        .check_instance_id = instance_check_id,
        .forget = forget,
        .watch = notices_watch,
        .unwatch = notices_end,
        /* A preemption is announced 30 seconds ahead. */
        .poll_pause_max = 5 * USEC_PER_SEC,
};

/* docs.cloud.google.com/compute/docs/instances/suspend-stop-reset-instances-overview: neither a stopped nor a
 * suspended instance costs more than what it stores, whoever stopped it and however, Spot instances among them. */
static const char *stop_effect(void *userdata) {
        return "stops-billing";
}

/* Google waits for nobody. */
static int acknowledge(SnoozePluginCall *call, const char *event_id, void *userdata) {
        return 0;
}

int main(int argc, char *argv[]) {
        Gcp gcp = { 0 };
        const SnoozePlugin plugin = {
                .description = "Stops, suspends, starts and describes Compute Engine instances, and brings what "
                               "Google announces to this one.",
                .settings = settings,
                .provider_name = "Google Compute Engine",
                .stop_effect = stop_effect,
                .get_instance_info = gcp_get_instance_info,
                .stop_instance = gcp_stop_instance,
                .start_instance = gcp_start_instance,
                .check_permissions = gcp_check_permissions,
                .set_tags = gcp_set_tags,
                .export_state = gcp_export_state,
                .import_state = gcp_import_state,
                .acknowledge = acknowledge,
        };
        int r = cloud_main(&gcp.cloud, &kind, &plugin, argc, argv);

        for (Watched i = 0; i < WATCH_COUNT; i++)
                announced_clear(&gcp.announced[i]);
        return r;
}
