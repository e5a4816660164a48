/* SPDX-License-Identifier: Apache-2.0 */

/* The provider for OpenStack: stops, starts and describes servers through Nova, by an application credential that the
 * unit was given. */

#include "openstack.h"

#include "api.h"
#include "move.h"

static const MetadataRules rules = {};

static const SnoozePluginSetting settings[] = {
        CLOUD_SETTINGS,
        { .name = "region", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^.{1,255}$/" },
        { .name = "interface",
          .type = SNOOZE_PLUGIN_STRING,
          .constraints = "public|internal|admin",
          .default_value = "public" },
        { .name = "allow_http", .type = SNOOZE_PLUGIN_BOOLEAN, .default_value = "false" },
        { .name = "stop_method",
          .type = SNOOZE_PLUGIN_STRING,
          .constraints = "stop|suspend|shelve",
          .default_value = "stop" },
        { .name = "stop_effect", .type = SNOOZE_PLUGIN_STRING, .constraints = "stops-billing|keeps-billing|unknown" },
        { NULL },
};

static void clear_extra(void *data) {
        Extra *extra = data;

        sd_event_source_disable_unref(extra->timer);
        g_free(extra->body);
        g_free(extra->refusal);
}

Extra *openstack_extra(const CloudJob *job) {
        return job->extra;
}

static void configure(const SnoozePluginDictionary *config, void *userdata) {
        const char *method = snooze_plugin_dictionary_get_string(config, "stop_method", "stop");
        Openstack *openstack = userdata;

        g_free(openstack->stop_effect);
        openstack->stop_effect =
                g_strdup(snooze_plugin_dictionary_get_string(config, "stop_effect", move_stop_effect(method)));
        snooze_plugin_instance_stop_effect_changed(openstack->cloud.instance);
}

static void forget(void *userdata) {
        Openstack *openstack = userdata;

        openstack->inquiry = inquiry_free(openstack->inquiry);
        g_clear_pointer(&openstack->identity, identity_free);
        token_drop(openstack);
}

/* It announces nothing to its servers. */
static const CloudKind kind = {
        .cloud = "openstack",
        .owner = "OpenStack",
        .actions = CLOUD_ACTION_MASK(STOP_ACTION_STOP) | CLOUD_ACTION_MASK(STOP_ACTION_SUSPEND),
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
        .check_instance_id = identity_check_id,
        .configure = configure,
        .forget = forget,
};

static const char *stop_effect(void *userdata) {
        const Openstack *openstack = userdata;

        return openstack->stop_effect ?: "unknown";
}

int main(int argc, char *argv[]) {
        Openstack openstack = { 0 };
        const SnoozePlugin plugin = {
                .description = "Stops, starts and describes servers of an OpenStack cloud.",
                .settings = settings,
                .provider_name = "OpenStack",
                .stop_effect = stop_effect,
                .get_instance_info = openstack_get_instance_info,
                .stop_instance = openstack_stop_instance,
                .start_instance = openstack_start_instance,
                .check_permissions = openstack_check_permissions,
                .set_tags = openstack_set_tags,
        };
        int r = cloud_main(&openstack.cloud, &kind, &plugin, argc, argv);

        g_free(openstack.stop_effect);
        return r;
}
