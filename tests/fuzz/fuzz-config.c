/* SPDX-License-Identifier: Apache-2.0 */

/* Any text as a configuration: refused with a message that names it, or accepted and then good for everything. */

#include <stdint.h>
#include <string.h>

#include "daemon/config/config.h"
#include "util/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_accepted(Config *config) {
        g_autoptr(JsonNode) shown = config_to_json(config);
        G_GNUC_UNUSED g_autoptr(JsonObject) plugin = config_plugin(config, "aws");
        g_autofree char *text = json_object_text(config->merged);
        g_autoptr(GError) error = NULL;
        g_autoptr(Config) again = config_parse(&(ConfigText) { "again", text }, 1, &error);

        g_assert_no_error(error);
        g_assert_cmpfloat(config->naptime_minutes, ==, again->naptime_minutes);
        g_assert_cmpfloat(config->naptime_minutes, >, 0);
        g_assert_cmpfloat(config->burst_seconds, <=, config->window_seconds);
        g_assert_cmpfloat(config->window_seconds, <=, config->long_window_seconds);
        g_assert_nonnull(config->provider);
        g_assert_nonnull(config_origin(config, "/naptime_minutes"));
        g_assert_cmpint(config_source(config, "cpu").policy, <=, POLICY_OFF);
        g_assert_cmpfloat(config_source(config, "db/x").timeout_seconds, >, 0);
        g_assert_true(JSON_NODE_HOLDS_OBJECT(shown));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autofree char *text = size > 0 ? g_strndup((const char *) data, size) : g_strdup("");
        /* A second text that it has to get along with. */
        const ConfigText texts[] = { { "base",
                                       "{\"naptime_minutes\": 10, \"sources\": {\"cpu\": {\"policy\": \"off\"}}}" },
                                     { "fuzzed", text } };
        g_autoptr(GError) error = NULL;
        g_autoptr(Config) config = config_parse(texts, G_N_ELEMENTS(texts), &error);

        if (config)
                check_accepted(config);
        else {
                g_assert_nonnull(error);
                g_assert_nonnull(strstr(error->message, "fuzzed"));
                g_assert_true(g_utf8_validate(error->message, -1, NULL));
        }
        return 0;
}
