/* SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/names.h"
#include "daemon/provider/provider.h"
#include "util/json.h"

#define PROBE_AGAIN (60 * USEC_PER_SEC) /* one that could not be asked */

static void provider_free(void *data) {
        Provider *provider = data;

        g_free(provider->path);
        g_free(provider->name);
        g_free(provider->version);
        g_free(provider->stop_effect);
        g_free(provider->instance_id);
        provider_forget_permissions(provider);
        g_free(provider);
}

const char *provider_id(const Provider *provider) {
        return plugin_id(provider->plugin);
}

const char *provider_object_path(const Provider *provider) {
        return provider->path;
}

const char *provider_stop_effect(const Provider *provider) {
        return provider->stop_effect;
}

gboolean provider_reaches_logind(const Provider *provider) {
        const Manifest *manifest = plugin_manifest(provider->plugin);

        return manifest && manifest->permissions &&
                g_strv_contains((const char *const *) manifest->permissions, "bus:org.freedesktop.login1");
}

const char *provider_instance_id(const Provider *provider) {
        return provider->instance_id;
}

Provider *providers_find(Providers *providers, const char *id) {
        return g_hash_table_lookup(providers->by_id, id);
}

GPtrArray *providers_list(Providers *providers) {
        return providers->list;
}

Provider *providers_active(Providers *providers) {
        return providers->active;
}

const char *providers_problem(Providers *providers, const char *action) {
        if (providers->problem || !providers->active)
                return providers->problem;
        return provider_obstacle(providers->active, action ? action : providers->config->stop_action);
}

void providers_choose(Providers *providers) {
        Provider *before = providers->active;
        char *problem = NULL;

        providers->active = choose_provider(providers, &problem);
        g_free(providers->problem);
        providers->problem = problem;
        if (providers->parameters.changed)
                providers->parameters.changed(providers->parameters.userdata);
        /* `auto` chooses when all have answered, which may be after this one was asked what it may do. */
        if (providers->active && providers->active != before)
                provider_tell_permitted(providers->active);
}

static int compare_ids(const void *a, const void *b) {
        const Provider *const *left = a, *const *right = b;

        return strcmp(provider_id(*left), provider_id(*right));
}

static Provider *add_provider(Providers *providers, Plugin *plugin) {
        Provider *provider = g_new0(Provider, 1);
        _cleanup_free_ char *path = NULL;

        provider->providers = providers;
        provider->plugin = plugin;
        if (sd_bus_path_encode(SNOOZE_PROVIDER_PATH, plugin_id(plugin), &path) >= 0)
                provider->path = g_strdup(path);
        provider->name = g_strdup(plugin_display_name(plugin));
        provider->version = g_strdup(plugin_manifest(plugin)->version);
        provider->stop_effect = g_strdup("unknown");
        provider->instance_id = g_strdup("");
        g_ptr_array_add(providers->list, provider);
        g_hash_table_insert(providers->by_id, (char *) plugin_id(plugin), provider);
        g_ptr_array_sort(providers->list, compare_ids);
        provider_bus_added(provider);
        return provider;
}

/* Its answers are void: the plugin is gone for good, or another one will come. */
static void forget_answers(Provider *provider) {
        provider->probed = FALSE;
        provider->detected = FALSE;
        provider_forget_permissions(provider);
        provider_bus_changed(provider);
}

static gboolean everyone_answered(Providers *providers) {
        for (guint i = 0; i < providers->list->len; i++) {
                const Provider *provider = g_ptr_array_index(providers->list, i);

                if (plugin_enabled(provider->plugin) && !provider->probed)
                        return FALSE;
        }
        return TRUE;
}

/* Those without an answer soon, and all of them daily: roles and instance types change under a running machine. */
static void arm(Providers *providers) {
        uint64_t next = usec_add(clock_monotonic(), PROBE_AGAIN);

        if (everyone_answered(providers))
                next = usec_add(providers->all_probed, USEC_PER_DAY);
        (void) sd_event_source_set_time(providers->again, next);
        (void) sd_event_source_set_enabled(providers->again, SD_EVENT_ONESHOT);
}

void providers_plugin_changed(Providers *providers, Plugin *plugin) {
        Provider *provider = providers_find(providers, plugin_id(plugin));
        PluginState state = plugin_state(plugin);

        if (!provider && !plugin_has_contract(plugin, "CloudProvider"))
                return;
        if (!provider)
                provider = add_provider(providers, plugin);
        if (!plugin_enabled(plugin) || !plugin_has_contract(plugin, "CloudProvider") || state == PLUGIN_QUARANTINED ||
            state == PLUGIN_FAILED) {
                if (provider->probed || provider->detected) {
                        forget_answers(provider);
                        arm(providers);
                }
        } else if (!provider->probed && !provider->probing)
                provider_probe(provider);
        else if (provider->probing)
                return; /* its end chooses */
        providers_choose(providers);
}

static gboolean same_settings(const Config *a, const Config *b, const char *id) {
        g_autoptr(JsonObject) left = config_plugin(a, id), right = config_plugin(b, id);

        return json_objects_equal(left, right);
}

/* Which machine this is, what its stop does and what is permitted may be another with other settings of a provider,
 * which its plugin has been sent by now. What was known counts until it has answered, as it does once a day. */
void providers_set_config(Providers *providers, Config *config) {
        g_autoptr(Config) previous = providers->config;
        gboolean same_action = g_strcmp0(previous->stop_action, config->stop_action) == 0;

        providers->config = config_ref(config);
        for (guint i = 0; i < providers->list->len; i++) {
                Provider *provider = g_ptr_array_index(providers->list, i);

                if (same_settings(previous, config, provider_id(provider)))
                        continue;
                if (provider->probing)
                        provider->outdated = TRUE;
                else
                        provider_probe(provider);
        }
        providers_choose(providers);
        /* What was refused so far is not asked for any more. */
        if (!same_action && providers->active)
                provider_tell_permitted(providers->active);
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata) {
        Providers *providers = userdata;
        gboolean daily = everyone_answered(providers) && usec_sub(usec, providers->all_probed) >= USEC_PER_DAY;

        if (daily)
                providers->all_probed = usec;
        for (guint i = 0; i < providers->list->len; i++) {
                Provider *provider = g_ptr_array_index(providers->list, i);

                if (daily || !provider->probed)
                        provider_probe(provider);
        }
        arm(providers);
        return 0;
}

int providers_new(const ProvidersParameters *parameters, Providers **ret) {
        Providers *providers = g_new0(Providers, 1);
        GPtrArray *plugins = plugins_list(parameters->plugins);
        int r;

        providers->parameters = *parameters;
        providers->parameters.bus = sd_bus_ref(parameters->bus);
        providers->parameters.event = sd_event_ref(parameters->event);
        providers->config = config_ref(parameters->config);
        providers->list = g_ptr_array_new_with_free_func(provider_free);
        providers->by_id = g_hash_table_new(g_str_hash, g_str_equal);
        providers->operations = g_ptr_array_new_with_free_func(operation_free);
        r = sd_event_add_time_relative(parameters->event, &providers->again, CLOCK_MONOTONIC, PROBE_AGAIN,
                                       USEC_PER_SEC, on_again, providers);
        if (r < 0) {
                providers_free(providers);
                return r;
        }
        for (guint i = 0; i < plugins->len; i++) {
                Plugin *plugin = g_ptr_array_index(plugins, i);

                if (plugin_has_contract(plugin, "CloudProvider"))
                        provider_probe(add_provider(providers, plugin));
        }
        providers->all_probed = clock_monotonic();
        providers->active = choose_provider(providers, &providers->problem);
        *ret = providers;
        return 0;
}

Providers *providers_free(Providers *providers) {
        if (!providers)
                return NULL;
        sd_bus_slot_unref(providers->vtable_slot);
        sd_bus_slot_unref(providers->enumerator_slot);
        sd_event_source_disable_unref(providers->again);
        g_ptr_array_unref(providers->operations);
        g_hash_table_unref(providers->by_id);
        g_ptr_array_unref(providers->list);
        config_unref(providers->config);
        g_free(providers->problem);
        sd_event_unref(providers->parameters.event);
        sd_bus_unref(providers->parameters.bus);
        g_free(providers);
        return NULL;
}
