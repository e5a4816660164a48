/* SPDX-License-Identifier: Apache-2.0 */

/* The provider for Azure: deallocates, starts and describes virtual machines through the Resource Manager with the
 * managed identity of this one, and brings what Azure announces to it. */

#include "azure.h"

#include <string.h>

#include "api.h"
#include "base/clock.h"
#include "operation.h"
#include "vm.h"

/* Nothing in its answers proves that they are Azure's: its documents do, by what they name. */
static const MetadataRules rules = {
        .headers = (const char *const[]){ "Metadata: true", NULL },
};

static const SnoozePluginSetting settings[] = {
        CLOUD_SETTINGS,
        { .name = "client_id", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^[0-9A-Fa-f-]{36}$/" },
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

char *azure_endpoint(const Azure *azure) {
        char *endpoint = g_strdup(cloud_setting(&azure->cloud, "endpoint_url") ?: azure->identity->endpoint);

        while (endpoint && g_str_has_suffix(endpoint, "/"))
                endpoint[strlen(endpoint) - 1] = '\0';
        return endpoint;
}

static void clear_extra(void *data) {
        Extra *extra = data;

        operation_cancel(extra->operation);
        g_free(extra->body);
}

static void forget(void *userdata) {
        Azure *azure = userdata;

        g_clear_pointer(&azure->identity, identity_free);
        token_drop(azure);
}

static const CloudKind kind = {
        .cloud = "azure",
        .owner = "Azure",
        .actions = CLOUD_ACTION_MASK(STOP_ACTION_STOP) | CLOUD_ACTION_MASK(STOP_ACTION_HIBERNATE),
        .rules = &rules,
        .api = &api,
        .questions = identity_questions,
        .identity_size = sizeof(Identity),
        .identity_free = identity_free,
        .know = identity_know,
        .identity = identity_id,
        .credentials = token_state,
        .ask_credentials = token_ask,
        .drop_credentials = token_drop,
        .extra_size = sizeof(Extra),
        .clear_extra = clear_extra,
        .check_instance_id = vm_check_id,
        .forget = forget,
        .watch = notices_watch,
        .unwatch = notices_end,
        /* A preemption is announced 30 seconds ahead. */
        .poll_pause_max = 5 * USEC_PER_SEC,
};

/* A stop is a deallocation, after which only disks and addresses cost. */
static const char *stop_effect(void *userdata) {
        return "stops-billing";
}

int main(int argc, char *argv[]) {
        Azure azure = { 0 };
        const SnoozePlugin plugin = {
                .description = "Deallocates, starts and describes Azure virtual machines, and brings what Azure "
                               "announces to this one.",
                .settings = settings,
                .provider_name = "Microsoft Azure",
                .stop_effect = stop_effect,
                .get_instance_info = azure_get_instance_info,
                .stop_instance = azure_stop_instance,
                .start_instance = azure_start_instance,
                .check_permissions = azure_check_permissions,
                .set_tags = azure_set_tags,
                .export_state = azure_export_state,
                .import_state = azure_import_state,
                .acknowledge = notices_acknowledged,
        };
        int r;

        azure.told = cloud_told_new(&azure.cloud);
        r = cloud_main(&azure.cloud, &kind, &plugin, argc, argv);
        cloud_told_free(azure.told);
        return r;
}
