/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/config/config-names.h"

#include <string.h>

#include "daemon/config/config-check.h"
#include "daemon/config/config-keys.h"
#include "util/json.h"

/* What votes besides plugins; "command" is the family of what checks.d/ holds. */
static const char *const built_in[] = { "cpu", "memory", "network", "disk", "input", "gpu", "command", NULL };

/* An object has no origin of its own, but what is in it has. */
static const char *origin_within(const Config *config, const char *pointer) {
        g_autofree char *prefix = g_strconcat(pointer, "/", NULL);
        const char *key, *origin;
        GHashTableIter iter;

        if (g_hash_table_contains(config->origins, pointer))
                return config_origin(config, pointer);
        g_hash_table_iter_init(&iter, config->origins);
        while (g_hash_table_iter_next(&iter, (void **) &key, (void **) &origin))
                if (g_str_has_prefix(key, prefix))
                        return origin;
        return "configuration";
}

static void warn(GStrvBuilder *warnings, const Config *config, const char *pointer, const char *what, const char *name,
                 const char *const *known) {
        const char *nearest = config_suggest(known, name);
        g_autofree char *guess = nearest ? g_strdup_printf(", did you mean \"%s\"?", nearest) : g_strdup("");
        g_autofree char *warning = g_strdup_printf("%s: %s: no %s \"%s\" is installed%s",
                                                   origin_within(config, pointer), pointer, what, name, guess);

        g_strv_builder_add(warnings, warning);
}

static void check_map(GStrvBuilder *warnings, const Config *config, JsonObject *map, const char *parent,
                      const char *what, const char *const *known) {
        JsonObjectIter iter;
        const char *member;
        JsonNode *node;

        if (!map)
                return;
        json_object_iter_init_ordered(&iter, map);
        while (json_object_iter_next_ordered(&iter, &member, &node)) {
                /* A subject "<id>/<name>" is there when its plugin says so. */
                g_autofree char *id = g_strndup(member, strcspn(member, "/"));
                g_autofree char *pointer = config_pointer(parent, member);

                if (!g_strv_contains(known, id))
                        warn(warnings, config, pointer, what, id, known);
        }
}

static void check_provider(GStrvBuilder *warnings, const Config *config, const char *key,
                           const char *const *providers) {
        g_autofree char *pointer = config_pointer("", key);
        const char *id = json_get_string(config->merged, key, "");

        if (*id && !g_str_equal(id, "auto") && !g_strv_contains(providers, id))
                warn(warnings, config, pointer, "provider", id, providers);
}

static char **join(const char *const *a, const char *const *b) {
        g_autoptr(GStrvBuilder) all = g_strv_builder_new();

        g_strv_builder_addv(all, (const char **) a);
        g_strv_builder_addv(all, (const char **) b);
        return g_strv_builder_end(all);
}

char **config_unknown_names(const Config *config, const char *const *plugins, const char *const *providers) {
        g_autoptr(GStrvBuilder) warnings = g_strv_builder_new();
        g_auto(GStrv) sources = join(built_in, plugins);
        JsonObject *section = json_get_object(config->merged, "plugins");

        check_provider(warnings, config, "provider", providers);
        check_provider(warnings, config, "provider_type", providers);
        check_map(warnings, config, section ? json_get_object(section, "plugin_configs") : NULL,
                  "/plugins/plugin_configs", "plugin", plugins);
        check_map(warnings, config, json_get_object(config->merged, "providers"), "/providers", "provider", providers);
        check_map(warnings, config, json_get_object(config->merged, "sources"), "/sources", "plugin",
                  (const char *const *) sources);
        return g_strv_builder_end(warnings);
}
