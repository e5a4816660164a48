/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/problem-details.h"

#include "base/clock.h"

/* Messages of the configuration read "<file>: <json pointer>: what" (config.h); the file alone where it is not to be
 * read at all. */
static void add_place(JsonObject *details, const char *message) {
        g_auto(GStrv) parts = g_strsplit(message, ": ", 3);

        if (!parts[0] || !parts[1] || !g_path_is_absolute(parts[0]))
                return;
        json_object_set_string_member(details, "file", parts[0]);
        if (parts[2] && parts[1][0] == '/')
                json_object_set_string_member(details, "path", parts[1]);
}

static void add_provider(Manager *manager, JsonObject *details) {
        Provider *provider = providers_active(manager->providers);

        if (!provider)
                return;
        json_object_set_string_member(details, "provider", provider_id(provider));
        json_object_set_string_member(details, "instance", provider_instance_id(provider));
        json_object_set_string_member(details, "action", stop_action(manager->stop));
}

static void add_plugin(const Plugin *plugin, JsonObject *details) {
        json_object_set_string_member(details, "plugin", plugin_id(plugin));
        json_object_set_string_member(details, "state", plugin_state_name(plugin_state(plugin)));
}

static void add_silent_sources(Manager *manager, JsonObject *details) {
        g_autoptr(GPtrArray) votes = decision_explain(manager->decision, clock_monotonic());
        JsonArray *silent = json_array_new();

        for (guint i = 0; i < votes->len; i++) {
                const Explained *vote = g_ptr_array_index(votes, i);

                if (vote->verdict == VERDICT_UNKNOWN &&
                    (vote->policy == POLICY_REQUIRED || vote->policy == POLICY_SUFFICIENT))
                        json_array_add_string_element(silent, vote->source);
        }
        json_object_set_array_member(details, "sources", silent);
}

JsonObject *problem_details(Manager *manager, const char *source, const char *message) {
        JsonObject *details = json_object_new();
        Plugin *plugin = manager->plugins ? plugins_find(manager->plugins, source) : NULL;

        if (g_str_equal(source, "configuration"))
                add_place(details, message);
        else if (g_str_equal(source, "stop") || g_str_equal(source, "provider"))
                add_provider(manager, details);
        else if (g_str_equal(source, "store"))
                json_object_set_string_member(details, "directory", manager->options.state_directory);
        else if (g_str_equal(source, "decision"))
                add_silent_sources(manager, details);
        else if (plugin)
                add_plugin(plugin, details);
        return details;
}
