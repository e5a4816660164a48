/* SPDX-License-Identifier: Apache-2.0 */

#include "cloud/provider.h"

#include <stdlib.h>
#include <string.h>

#include "cloud/inquiry.h"
#include "cloud/job.h"
#include "config.h"
#include "run/program.h"

const char *cloud_setting(const CloudProvider *cloud, const char *name) {
        return snooze_plugin_instance_get_string(cloud->instance, name);
}

sd_event *cloud_event(const CloudProvider *cloud) {
        return snooze_plugin_instance_get_event(cloud->instance);
}

static int start(SnoozePluginInstance *instance, void *userdata) {
        CloudProvider *cloud = userdata;
        g_autofree char *upper = g_ascii_strup(cloud->kind->cloud, -1),
                        *variable = g_strdup_printf("SNOOZE_%s_ROOT", upper);

        cloud->instance = instance;
        cloud->jobs = cloud_jobs_new(cloud);
        cloud->root = getenv(variable) ?: "";
        machine_detect(cloud->root, &cloud->machine);
        return http_client_new(cloud_event(cloud), &cloud->http);
}

static void unwatch(CloudProvider *cloud) {
        if (cloud->watching)
                cloud->kind->unwatch(cloud);
        cloud->watching = false;
}

static int watch(CloudProvider *cloud) {
        int r;

        if (cloud->watching || !cloud->kind->watch)
                return 0;
        r = cloud->kind->watch(cloud);
        cloud->watching = r >= 0;
        return r;
}

static void forget_machine(CloudProvider *cloud) {
        unwatch(cloud);
        cloud->metadata = metadata_free(cloud->metadata);
        cloud->inquiry = cloud_inquiry_free(cloud->inquiry);
        cloud->kind->forget(cloud);
}

/* Messages name URLs, so that none may hold a password but the proxy's, which they do not name. */
static int check_urls(SnoozePluginCall *call, const SnoozePluginDictionary *config) {
        const char *key;

        for (unsigned i = 0; (key = snooze_plugin_dictionary_get_key(config, i)); i++) {
                const char *url = snooze_plugin_dictionary_get_string(config, key, "");
                bool proxy = g_str_equal(key, "proxy_url");

                if (g_str_has_suffix(key, "_url") && *url && !http_url_fits(url, proxy))
                        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                                       "%s: expected http://%sHOST[:PORT] or https://%s", key,
                                                       proxy ? "[USER:PASSWORD@]" : "",
                                                       proxy ? "…" : "…, without a user name");
        }
        return 0;
}

/* Whoever may configure a provider need not be one who may read its credentials: the certificates that it trusts are
 * root's choice. */
static int check_ca_file(SnoozePluginCall *call, const SnoozePluginDictionary *config, char **ret) {
        const char *path = snooze_plugin_dictionary_get_string(config, "ca_file", "");
        g_autoptr(GError) error = NULL;

        *ret = *path ? path_trusted(path, program_owner_also(), &error) : NULL;
        return !*path || *ret ? 0
                              : snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "ca_file: %s",
                                                        error->message);
}

/* Firmware first: only on a machine of the cloud the metadata service is asked at all, because in another cloud the
 * same address is another service. Who names a service of his own has said where he is. */
static bool is_here(const CloudProvider *cloud) {
        return cloud->own_service || g_strcmp0(cloud->machine.cloud, cloud->kind->cloud) == 0;
}

/* A configuration is taken as a whole, and whatever was asked by the one before is asked anew: that is rare, and
 * nothing old is left. */
static int take_configuration(SnoozePluginCall *call, const SnoozePluginDictionary *config, void *userdata) {
        const char *url = snooze_plugin_dictionary_get_string(config, "metadata_url", CLOUD_METADATA_URL);
        g_autofree char *ca_file = NULL;
        CloudProvider *cloud = userdata;
        int r;

        r = check_urls(call, config);
        if (r >= 0)
                r = check_ca_file(call, config, &ca_file);
        if (r < 0)
                return r;
        forget_machine(cloud);
        g_free(cloud->ca_file);
        cloud->ca_file = g_steal_pointer(&ca_file);
        cloud->poll_seconds = snooze_plugin_dictionary_get_double(config, "poll_interval_seconds", 0);
        cloud_jobs_reset(cloud);
        cloud->own_service = strcmp(url, CLOUD_METADATA_URL) != 0;
        if (cloud->kind->configure)
                cloud->kind->configure(config, cloud);
        r = metadata_new(cloud->http, cloud->kind->rules, url, cloud->without_token, &cloud->metadata);
        return r >= 0 && cloud->to_watch && is_here(cloud) ? watch(cloud) : r;
}

static void shut_down(void *userdata) {
        unwatch(userdata);
}

static void detected(CloudJob *job) {
        (void) snooze_plugin_call_set_answer(job->call, true);
        cloud_job_end(job, 0);
}

static int detect(SnoozePluginCall *call, void *userdata) {
        CloudProvider *cloud = userdata;

        if (!is_here(cloud))
                return snooze_plugin_call_set_answer(call, false);
        cloud_job_identify(cloud_job_new(cloud, call, NULL), detected);
        return SNOOZE_PLUGIN_LATER;
}

static int watch_if_here(SnoozePluginCall *call, void *userdata) {
        CloudProvider *cloud = userdata;

        /* A configuration may yet say that it is here. */
        cloud->to_watch = true;
        return is_here(cloud) ? watch(cloud) : 0;
}

int cloud_main(CloudProvider *cloud, const CloudKind *kind, const SnoozePlugin *table, int argc, char *argv[]) {
        SnoozePlugin plugin = *table;
        int r;

        cloud->kind = kind;
        plugin.size = sizeof(SnoozePlugin);
        plugin.id = kind->cloud;
        plugin.version = PACKAGE_VERSION;
        plugin.userdata = cloud;
        plugin.start = start;
        plugin.initialize = take_configuration;
        plugin.shutdown = shut_down;
        plugin.detect = detect;
        plugin.watch = kind->watch ? watch_if_here : NULL;
        r = snooze_plugin_main(&plugin, argc, argv);

        /* The calls went with it: nobody is answered any more. */
        cloud->instance = NULL;
        forget_machine(cloud);
        http_client_free(cloud->http);
        cloud_jobs_free(cloud->jobs);
        g_free(cloud->ca_file);
        return r;
}
