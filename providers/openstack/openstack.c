/* SPDX-License-Identifier: Apache-2.0 */

/* The provider for OpenStack: stops, starts and describes servers through Nova, by an application credential that the unit was given. */

#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "base/names.h"
#include "move.h"

#define METADATA_URL "http://169.254.169.254"

static const MetadataRules rules = {};

static const SnoozePluginSetting settings[] = {
        { .name = "metadata_url", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^https?:\\/\\/[^ ]+$/", .default_value = METADATA_URL },
        { .name = "endpoint_url", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^https?:\\/\\/[^ ]+$/" },
        { .name = "region", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^.{1,255}$/" },
        { .name = "interface", .type = SNOOZE_PLUGIN_STRING, .constraints = "public|internal|admin", .default_value = "public" },
        { .name = "allow_http", .type = SNOOZE_PLUGIN_BOOLEAN, .default_value = "false" },
        { .name = "proxy_url", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^https?:\\/\\/[^ ]+$/" },
        { .name = "ca_file", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^\\/.+$/" },
        { .name = "stop_method", .type = SNOOZE_PLUGIN_STRING, .constraints = "stop|suspend|shelve", .default_value = "stop" },
        { .name = "stop_effect", .type = SNOOZE_PLUGIN_STRING, .constraints = "stops-billing|keeps-billing|unknown" },
        { NULL },
};

const char *openstack_setting(const Openstack *openstack, const char *name) {
        return snooze_plugin_instance_get_string(openstack->instance, name);
}

static const char *identity(void *userdata) {
        const Openstack *openstack = userdata;

        return openstack->identity ? openstack->identity->server_id : NULL;
}

static bool is_token_fresh(void *userdata) {
        const Openstack *openstack = userdata;

        return token_is_fresh(openstack->token);
}

static bool have_token(void *userdata) {
        const Openstack *openstack = userdata;

        return openstack->token != NULL;
}

static void free_extra(void *data) {
        Extra *extra = data;

        api_cancel(extra->api);
        sd_event_source_disable_unref(extra->timer);
        g_free(extra->body);
        g_free(extra->refusal);
        g_free(extra);
}

static const CloudMeans means = {
        .identity = identity,
        .ask_identity = identity_ask,
        .are_credentials_fresh = is_token_fresh,
        .have_credentials = have_token,
        .ask_credentials = token_ask,
        .free_extra = free_extra,
};

CloudJob *openstack_job_new(Openstack *openstack, SnoozePluginCall *call, const char *server_id) {
        CloudJob *job = cloud_job_new(openstack->jobs, call, server_id);

        job->extra = g_new0(Extra, 1);
        return job;
}

Extra *openstack_extra(const CloudJob *job) {
        return job->extra;
}

static int start(SnoozePluginInstance *instance, void *userdata) {
        Openstack *openstack = userdata;

        openstack->instance = instance;
        openstack->jobs = cloud_jobs_new(&means, openstack);
        machine_detect(getenv("SNOOZE_OPENSTACK_ROOT") ?: "", &openstack->machine); /* another machine's files, for tests */
        return http_client_new(snooze_plugin_instance_get_event(instance), &openstack->http);
}

static void forget_machine(Openstack *openstack) {
        openstack->metadata = metadata_free(openstack->metadata);
        openstack->inquiry = inquiry_free(openstack->inquiry);
        g_clear_pointer(&openstack->identity, identity_free);
        g_clear_pointer(&openstack->token, token_free);
}

/* A configuration is taken as a whole, and whatever was asked by the one before is asked anew: that is rare, and nothing old is left. */
static int take_configuration(SnoozePluginCall *call, const SnoozePluginDictionary *config, void *userdata) {
        const char *url = snooze_plugin_dictionary_get_string(config, "metadata_url", METADATA_URL);
        const char *method = snooze_plugin_dictionary_get_string(config, "stop_method", "stop");
        Openstack *openstack = userdata;

        forget_machine(openstack);
        cloud_jobs_reset(openstack->jobs);
        openstack->own_service = strcmp(url, METADATA_URL) != 0;
        g_free(openstack->stop_effect);
        openstack->stop_effect = g_strdup(snooze_plugin_dictionary_get_string(config, "stop_effect", move_stop_effect(method)));
        snooze_plugin_instance_stop_effect_changed(openstack->instance);
        return metadata_new(openstack->http, &rules, url, true, &openstack->metadata);
}

static const char *stop_effect(void *userdata) {
        const Openstack *openstack = userdata;

        return openstack->stop_effect ?: "unknown";
}

/* Firmware first: on a machine of another cloud the same address is another service. Who names a service of his own has said where he is. */
static int detect(SnoozePluginCall *call, void *userdata) {
        Openstack *openstack = userdata;

        if (!openstack->own_service && g_strcmp0(openstack->machine.cloud, "openstack") != 0)
                return snooze_plugin_call_set_answer(call, false);
        cloud_job_identify(openstack_job_new(openstack, call, NULL), cloud_job_detected);
        return SNOOZE_PLUGIN_LATER;
}

int main(int argc, char *argv[]) {
        Openstack openstack = { 0 };
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = "openstack",
                .version = PACKAGE_VERSION,
                .description = "Stops, starts and describes servers of an OpenStack cloud.",
                .userdata = &openstack,
                .settings = settings,
                .start = start,
                .initialize = take_configuration,
                .provider_name = "OpenStack",
                .stop_effect = stop_effect,
                .detect = detect,
                .get_instance_info = openstack_get_instance_info,
                .stop_instance = openstack_stop_instance,
                .start_instance = openstack_start_instance,
                .check_permissions = openstack_check_permissions,
                .set_tags = openstack_set_tags,
        };
        int r = snooze_plugin_main(&plugin, argc, argv);

        forget_machine(&openstack);
        http_client_free(openstack.http);
        cloud_jobs_free(openstack.jobs);
        g_free(openstack.stop_effect);
        return r;
}
