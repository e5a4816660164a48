/* SPDX-License-Identifier: Apache-2.0 */

/* The provider for EC2: stops, starts and describes instances through the Query API with the role of this one, and
 * brings what AWS announces to it. */

#include "aws.h"

#include <libxml/parser.h>

#include "api.h"
#include "power.h"

static const MetadataRules rules = {
        .token_path = "/latest/api/token",
        .token_lifetime_header = "X-aws-ec2-metadata-token-ttl-seconds",
        .token_header = "X-aws-ec2-metadata-token",
        .token_seconds = 3600,
};

static const SnoozePluginSetting settings[] = {
        CLOUD_SETTINGS,
        { .name = "metadata_v1", .type = SNOOZE_PLUGIN_BOOLEAN, .default_value = "false" },
        { .name = "region", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^[a-z0-9-]{1,32}$/" },
        { .name = "autoscaling_endpoint_url", .type = SNOOZE_PLUGIN_STRING, .constraints = CLOUD_URL },
        { .name = "stop_method", .type = SNOOZE_PLUGIN_STRING, .constraints = "api|poweroff", .default_value = "api" },
        { .name = "shutdown_behavior", .type = SNOOZE_PLUGIN_STRING, .constraints = "stop|terminate" },
        { .name = "poll_interval_seconds",
          .type = SNOOZE_PLUGIN_NUMBER,
          .minimum = 0.1,
          .maximum = 300,
          .default_value = "5" },
        { .name = "autoscaling_group", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^.{1,255}$/" },
        { .name = "lifecycle_hook", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^[A-Za-z0-9_\\/-]{1,255}$/" },
        { .name = "lifecycle_hook_seconds", .type = SNOOZE_PLUGIN_INTEGER, .minimum = 30, .maximum = 172800 },
        { .name = "heartbeat_seconds",
          .type = SNOOZE_PLUGIN_INTEGER,
          .minimum = 0,
          .maximum = 7200,
          .default_value = "0" },
        { NULL },
};

bool aws_powers_off(const Aws *aws) {
        return g_strcmp0(cloud_setting(&aws->cloud, "stop_method"), "poweroff") == 0;
}

bool aws_has_hook(const Aws *aws) {
        return cloud_setting(&aws->cloud, "lifecycle_hook") && cloud_setting(&aws->cloud, "autoscaling_group");
}

static void clear_extra(void *data) {
        Extra *extra = data;

        g_clear_pointer(&extra->tags, g_ptr_array_unref);
        sd_bus_slot_unref(extra->logind);
}

static void configure(const SnoozePluginDictionary *config, void *userdata) {
        const char *method = snooze_plugin_dictionary_get_string(config, "stop_method", "api");
        Aws *aws = userdata;

        aws->cloud.without_token = snooze_plugin_dictionary_get_bool(config, "metadata_v1", false);
        aws->stop_effect = g_str_equal(method, "poweroff")
                ? power_stop_effect(snooze_plugin_dictionary_get_string(config, "shutdown_behavior", NULL))
                : "stops-billing";
        snooze_plugin_instance_stop_effect_changed(aws->cloud.instance);
}

static void forget(void *userdata) {
        Aws *aws = userdata;

        g_clear_pointer(&aws->identity, identity_free);
        g_clear_pointer(&aws->credentials, credentials_free);
}

static const CloudKind kind = {
        .cloud = "aws",
        .owner = "AWS",
        .actions = CLOUD_ACTION_MASK(STOP_ACTION_STOP) | CLOUD_ACTION_MASK(STOP_ACTION_HIBERNATE),
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
        .check_instance_id = identity_check_id,
        .configure = configure,
        .forget = forget,
        .watch = notices_watch,
        .unwatch = notices_end,
};

/* An instance that is stopped by the API costs no more than its volumes, whatever its shutdown behavior. */
static const char *stop_effect(void *userdata) {
        const Aws *aws = userdata;

        return aws->stop_effect ?: "unknown";
}

int main(int argc, char *argv[]) {
        Aws aws = { 0 };
        const SnoozePlugin plugin = {
                .description = "Stops, starts and describes EC2 instances, and brings what AWS announces to this one.",
                .settings = settings,
                .provider_name = "Amazon EC2",
                .stop_effect = stop_effect,
                .get_instance_info = aws_get_instance_info,
                .stop_instance = aws_stop_instance,
                .start_instance = aws_start_instance,
                .check_permissions = aws_check_permissions,
                .set_tags = aws_set_tags,
                .export_state = aws_export_state,
                .import_state = aws_import_state,
                .acknowledge = notices_acknowledged,
        };
        int r;

        aws.maintenance = cloud_told_new(&aws.cloud);
        r = cloud_main(&aws.cloud, &kind, &plugin, argc, argv);
        cloud_told_free(aws.maintenance);
        scaling_clear(&aws.scaling);
        xmlCleanupParser();
        return r;
}
