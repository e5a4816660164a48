/* SPDX-License-Identifier: Apache-2.0 */

/* Who stops this machine. A wrong choice could stop the wrong way (power off what keeps being billed), so `auto` takes
 * a provider only if it is the only one that recognizes the machine, and waits until every one has answered. */

#include "daemon/provider/provider.h"
#include "config.h"

gboolean stop_effect_allowed(const Config *config, const char *effect) {
        return !stop_effect_consent(effect) ||
                (config->allow_stop_effects &&
                 g_strv_contains((const char *const *) config->allow_stop_effects, effect));
}

/* `provider`, or where that is auto the older provider_type; NULL: auto. */
static const char *configured(const Config *config) {
        if (config->provider && *config->provider && !g_str_equal(config->provider, "auto"))
                return config->provider;
        return config->provider_type && *config->provider_type && !g_str_equal(config->provider_type, "auto")
                ? config->provider_type
                : NULL;
}

static Provider *choose_named(Providers *providers, const char *id, char **ret_problem) {
        Provider *provider = providers_find(providers, id);

        if (!provider) {
                *ret_problem = g_strdup_printf(
                        "The provider %s of the configuration is not installed; " SNOOZE_COMMAND " provider list", id);
                return NULL;
        }
        if (!plugin_enabled(provider->plugin)) {
                *ret_problem = g_strdup_printf(
                        "The provider %s is not enabled; sudo " SNOOZE_COMMAND " plugin enable %s", id, id);
                return NULL;
        }
        return provider;
}

static Provider *choose_detected(Providers *providers, char **ret_problem) {
        Provider *found = NULL, *open = NULL;
        unsigned enabled = 0;

        for (guint i = 0; i < providers->list->len; i++) {
                Provider *provider = g_ptr_array_index(providers->list, i);

                if (!plugin_enabled(provider->plugin))
                        continue;
                enabled++;
                /* One that could not answer is asked again and again; the others must not wait for it each time. */
                if (provider->probing && !provider->tried)
                        open = provider;
                if (!provider->detected)
                        continue;
                if (found) {
                        *ret_problem = g_strdup_printf(
                                "Two providers recognize this machine, %s and %s; say which: sudo " SNOOZE_COMMAND " "
                                "config set provider %s",
                                provider_id(found), provider_id(provider), provider_id(found));
                        return NULL;
                }
                found = provider;
        }
        if (open) {
                *ret_problem = g_strdup_printf(
                        "The provider %s is still being asked whether this machine is its own; " SNOOZE_COMMAND " "
                        "provider list",
                        provider_id(open));
                return NULL;
        }
        if (!found)
                *ret_problem = g_strdup(
                        enabled > 0
                                ? "No provider recognizes this machine; say which is to stop it: sudo " SNOOZE_COMMAND
                                  " "
                                  "setup --provider ID"
                                : "No provider is enabled that could stop this machine; " SNOOZE_COMMAND
                                  " provider list");
        return found;
}

/* The one that was chosen may not be able to. */
static char *find_obstacle(const Config *config, const Provider *provider) {
        const char *id = provider_id(provider);
        PluginState state = plugin_state(provider->plugin);

        if (state == PLUGIN_FAILED || state == PLUGIN_QUARANTINED)
                return g_strdup_printf("The provider %s is %s: %s; " SNOOZE_COMMAND " plugin info %s", id,
                                       plugin_state_name(state), plugin_last_error(provider->plugin), id);
        if (!provider->probed)
                return g_strdup_printf("The provider %s has not answered yet; " SNOOZE_COMMAND " provider info %s", id,
                                       id);
        if (!stop_effect_allowed(config, provider->stop_effect))
                return g_strdup_printf(
                        "A stop by %s %s (StopEffect %s); if that is wanted: sudo " SNOOZE_COMMAND " config set "
                        "allow_stop_effects '[\"%s\"]'",
                        id, stop_effect_consent(provider->stop_effect), provider->stop_effect, provider->stop_effect);
        return NULL;
}

Provider *choose_provider(Providers *providers, char **ret_problem) {
        const char *id = configured(providers->config);
        Provider *provider;

        *ret_problem = NULL;
        provider = id ? choose_named(providers, id, ret_problem) : choose_detected(providers, ret_problem);
        if (provider)
                *ret_problem = find_obstacle(providers->config, provider);
        return provider;
}
