/* SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include <glib/gstdio.h>

#include "base/names.h"
#include "daemon/config/config-load.h"
#include "daemon/config/config-names.h"
#include "daemon/config/config.h"
#include "util/json.h"

static Config *parse(const char *text, GError **error) {
        return config_parse(&(ConfigText) { "snooze.json", text }, 1, error);
}

static Config *parse_good(const char *text) {
        g_autoptr(GError) error = NULL;
        Config *config = parse(text, &error);

        g_assert_no_error(error);
        g_assert_nonnull(config);
        return config;
}

static void assert_refused(const char *text, ConfigError code, const char *message) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Config) config = parse(text, &error);

        g_assert_null(config);
        g_assert_error(error, CONFIG_ERROR, (int) code);
        g_assert_cmpstr(error->message, ==, message);
}

static void test_defaults(void) {
        g_autoptr(Config) config = config_new_default();

        g_assert_cmpfloat(config->check_interval_seconds, ==, 60);
        g_assert_cmpfloat(config->naptime_minutes, ==, 30);
        g_assert_cmpfloat(config->cpu_threshold_percent, ==, 5);
        g_assert_cmpfloat(config->cpu_threshold_cores, ==, 0.5);
        g_assert_cmpfloat(config->network_threshold_kbps, ==, 50);
        g_assert_cmpfloat(config->disk_io_threshold_kbps, ==, 100);
        g_assert_cmpfloat(config->input_idle_threshold_secs, ==, 900);
        g_assert_cmpfloat(config->sample_interval_seconds, ==, 5);
        g_assert_cmpfloat(config->window_seconds, ==, 60);
        g_assert_cmpfloat(config->burst_seconds, ==, 15);
        g_assert_cmpfloat(config->long_window_seconds, ==, 600);
        g_assert_cmpfloat(config->unknown_grace_seconds, ==, 180);
        g_assert_cmpfloat(config->warning_minutes, ==, 5);
        g_assert_cmpfloat(config->min_uptime_minutes, ==, 10);
        g_assert_true(config->dry_run);
        g_assert_true(config->plugins_enabled);
        g_assert_cmpstr(config->provider, ==, "auto");
        g_assert_cmpstr(config->stop_action, ==, "stop");
        g_assert_cmpstr(config->plugin_directories[0], ==, NULL);
        g_assert_cmpstr(config->allow_stop_effects[0], ==, NULL);
        g_assert_cmpstr(config->warnings[0], ==, NULL);
        g_assert_cmpstr(config_origin(config, "/naptime_minutes"), ==, "default");
}

static void test_later_texts_win(void) {
        const ConfigText texts[] = {
                { "a.json",
                  "{\"naptime_minutes\": 10, \"dry_run\": false, \"sources\": {\"cpu\": {\"policy\": \"off\"}}}" },
                { "b.json", "{\"naptime_minutes\": 20, \"sources\": {\"cpu\": {\"on_error\": \"ignore\"}}}" },
                { "c.json", "{\"dry_run\": null}" },
        };
        g_autoptr(Config) config = config_parse(texts, G_N_ELEMENTS(texts), NULL);

        g_assert_nonnull(config);
        g_assert_cmpfloat(config->naptime_minutes, ==, 20);
        g_assert_cmpstr(config_origin(config, "/naptime_minutes"), ==, "b.json");
        /* null takes a value back to the default. */
        g_assert_true(config->dry_run);
        g_assert_cmpstr(config_origin(config, "/dry_run"), ==, "default");
        g_assert_cmpint(config_source(config, "cpu").policy, ==, POLICY_OFF);
        g_assert_cmpint(config_source(config, "cpu").on_error, ==, ON_ERROR_IGNORE);
        g_assert_cmpstr(config_origin(config, "/sources/cpu/policy"), ==, "a.json");
        g_assert_cmpstr(config_origin(config, "/sources/cpu/on_error"), ==, "b.json");
}

static void test_origin_vanishes_with_its_object(void) {
        const ConfigText texts[] = {
                { "a.json", "{\"sources\": {\"cpu\": {\"policy\": \"off\"}}}" },
                { "b.json", "{\"sources\": null}" },
        };
        g_autoptr(Config) config = config_parse(texts, G_N_ELEMENTS(texts), NULL);

        g_assert_cmpint(config_source(config, "cpu").policy, ==, POLICY_REQUIRED);
        g_assert_cmpstr(config_origin(config, "/sources/cpu/policy"), ==, "default");
}

static void test_sources(void) {
        g_autoptr(Config) config =
                parse_good("{\"sources\": {\"sessions\": {\"policy\": \"sufficient\", \"timeout_seconds\": 9},"
                           " \"sessions/alice\": {\"on_error\": \"ignore\"}}}");
        SourceConfig alice = config_source(config, "sessions/alice");

        g_assert_cmpint(config_source(config, "memory").policy, ==, POLICY_ADVISORY);
        g_assert_cmpint(config_source(config, "usage-pattern").policy, ==, POLICY_ADVISORY);
        g_assert_cmpint(config_source(config, "network").policy, ==, POLICY_REQUIRED);
        g_assert_cmpfloat(config_source(config, "network").timeout_seconds, ==, 5);
        /* A subject has what its plugin has, except for what it says itself. */
        g_assert_cmpint(alice.policy, ==, POLICY_SUFFICIENT);
        g_assert_cmpint(alice.on_error, ==, ON_ERROR_IGNORE);
        g_assert_cmpfloat(alice.timeout_seconds, ==, 9);
        g_assert_cmpint(config_source(config, "sessions").on_error, ==, ON_ERROR_BUSY);
}

static void test_timeouts(void) {
        g_autoptr(Config) config = parse_good(
                "{\"plugins\": {\"timeouts\": {\"redis\": {\"check\": 2.5, \"start\": 60, \"event\": null},"
                " \"sessions\": {\"check\": 7}, \"local\": null}},"
                " \"sources\": {\"sessions\": {\"timeout_seconds\": 9}, \"redis\": {\"policy\": \"off\"}}}");
        g_autofree char *names = NULL;
        GString *all = g_string_new(NULL);

        g_assert_cmpuint(config_timeout(config, "redis", TIMEOUT_CHECK), ==, 2500000);
        g_assert_cmpuint(config_timeout(config, "redis", TIMEOUT_START), ==, 60000000);
        g_assert_cmpuint(config_timeout(config, "redis", TIMEOUT_EVENT), ==, 0);
        g_assert_cmpuint(config_timeout(config, "redis", TIMEOUT_STREAM), ==, 0);
        g_assert_cmpuint(config_timeout(config, "local", TIMEOUT_PROVIDER), ==, 0);
        /* What is said of it as a source counts first. */
        g_assert_cmpuint(config_timeout(config, "sessions", TIMEOUT_CHECK), ==, 9000000);
        g_assert_cmpuint(config_timeout(config, "sessions", TIMEOUT_START), ==, 0);

        for (PluginTimeout timeout = 0; timeout < TIMEOUT_COUNT; timeout++) {
                g_string_append_printf(all, "%s%s", timeout > 0 ? ", " : "", plugin_timeouts[timeout].name);
                g_assert_cmpint(plugin_timeout_find(plugin_timeouts[timeout].name), ==, timeout);
        }
        names = g_string_free(all, FALSE);
        g_assert_cmpstr(names, ==, PLUGIN_TIMEOUT_NAMES);
}

static void test_gpu_turned_off(void) {
        g_autoptr(Config) config = parse_good("{\"gpu_monitoring_enabled\": false, \"sources\": {\"gpu\": {}}}");

        g_assert_cmpint(config_source(config, "gpu").policy, ==, POLICY_OFF);
}

static void test_refusals_name_place_and_expectation(void) {
        assert_refused("{\"naptime_minute\": 3}", CONFIG_ERROR_UNKNOWN_KEY,
                       "snooze.json: /naptime_minute: unknown key, did you mean \"naptime_minutes\"?");
        assert_refused("{\"xyzzy\": 3}", CONFIG_ERROR_UNKNOWN_KEY,
                       "snooze.json: /xyzzy: unknown key, expected one of those in snooze.json(5)");
        assert_refused("{\"plugins\": {\"enable\": true}}", CONFIG_ERROR_UNKNOWN_KEY,
                       "snooze.json: /plugins/enable: unknown key, did you mean \"enabled\"?");
        assert_refused("{\"plugins\": {\"limits\": {\"redis\": {\"memory\": 2}}}}", CONFIG_ERROR_UNKNOWN_KEY,
                       "snooze.json: /plugins/limits/redis/memory: unknown key, expected one of memory_mb, "
                       "cpu_percent, tasks");
        assert_refused("{\"plugins\": {\"limits\": {\"redis\": {\"tasks\": 0}}}}", CONFIG_ERROR_RANGE,
                       "snooze.json: /plugins/limits/redis/tasks: got 0, expected a number from 1 to 4194304");
        assert_refused("{\"plugins\": {\"timeouts\": {\"redis\": {\"ping\": 2}}}}", CONFIG_ERROR_UNKNOWN_KEY,
                       "snooze.json: /plugins/timeouts/redis/ping: unknown key, expected one of start, initialize, "
                       "check, event, "
                       "provider, export, shutdown, stream");
        assert_refused("{\"plugins\": {\"timeouts\": {\"redis\": {\"check\": 0.05}}}}", CONFIG_ERROR_RANGE,
                       "snooze.json: /plugins/timeouts/redis/check: got 0.05, expected a number from 0.1 to 3600 s");
        assert_refused("{\"plugins\": {\"timeouts\": {\"redis\": {\"stream\": 3601}}}}", CONFIG_ERROR_RANGE,
                       "snooze.json: /plugins/timeouts/redis/stream: got 3601, expected a number from 0.1 to 3600 s");
        assert_refused("{\"plugins\": {\"timeouts\": {\"redis\": {\"check\": \"5 s\"}}}}", CONFIG_ERROR_TYPE,
                       "snooze.json: /plugins/timeouts/redis/check: got \"5 s\", expected a number");
        assert_refused("{\"plugins\": {\"timeouts\": {\"redis\": 5}}}", CONFIG_ERROR_TYPE,
                       "snooze.json: /plugins/timeouts/redis: got 5, expected an object");
        assert_refused("{\"plugins\": {\"timeouts\": {\"Redis\": {}}}}", CONFIG_ERROR_UNKNOWN_KEY,
                       "snooze.json: /plugins/timeouts/Redis: got \"Redis\" as a name, expected a plugin's id "
                       "(" PLUGIN_ID_EXPECTED ")");
        assert_refused("{\"plugins\": {\"max_restarts\": 2.5}}", CONFIG_ERROR_RANGE,
                       "snooze.json: /plugins/max_restarts: got 2.5, expected a whole number");
        assert_refused("{\"plugins.enabled\": true}", CONFIG_ERROR_UNKNOWN_KEY,
                       "snooze.json: /plugins.enabled: unknown key, expected one of those in snooze.json(5)");
        assert_refused("{\"naptime_minutes\": \"30\"}", CONFIG_ERROR_TYPE,
                       "snooze.json: /naptime_minutes: got \"30\", expected a number");
        assert_refused("{\"naptime_minutes\": 0}", CONFIG_ERROR_RANGE,
                       "snooze.json: /naptime_minutes: got 0, expected a number above 0 and at most 5270400 min");
        assert_refused("{\"cpu_threshold_percent\": 101}", CONFIG_ERROR_RANGE,
                       "snooze.json: /cpu_threshold_percent: got 101, expected a number from 0 to 100 %");
        assert_refused("{\"dry_run\": 1}", CONFIG_ERROR_TYPE, "snooze.json: /dry_run: got 1, expected true or false");
        assert_refused(
                "{\"stop_action\": \"halt\"}", CONFIG_ERROR_RANGE,
                "snooze.json: /stop_action: got \"halt\", expected one of \"stop\", \"hibernate\", \"suspend\"");
        assert_refused("{\"allow_stop_effects\": [\"terminates\", 7]}", CONFIG_ERROR_TYPE,
                       "snooze.json: /allow_stop_effects/1: got 7, expected a string");
        assert_refused("{\"provider\": \"AWS\"}", CONFIG_ERROR_RANGE,
                       "snooze.json: /provider: got \"AWS\", expected a provider's id or \"auto\"");
        assert_refused(
                "{\"sources\": {\"cpu\": {\"policy\": \"sometimes\"}}}", CONFIG_ERROR_RANGE,
                "snooze.json: /sources/cpu/policy: got \"sometimes\", expected one of \"required\", \"advisory\", "
                "\"sufficient\", \"off\"");
        assert_refused(
                "{\"sources\": {\"cpu\": {\"polciy\": \"off\"}}}", CONFIG_ERROR_UNKNOWN_KEY,
                "snooze.json: /sources/cpu/polciy: unknown key, expected one of policy, on_error, timeout_seconds");
        assert_refused("{\"providers\": {\"../etc\": {}}}", CONFIG_ERROR_UNKNOWN_KEY,
                       "snooze.json: /providers/..~1etc: got \"../etc\" as a name, expected a provider's id "
                       "(" PLUGIN_ID_EXPECTED ")");
        /* No manifest may have this name, so that nothing of it can ever be there. */
        assert_refused("{\"plugins\": {\"limits\": {\"admin\": {\"tasks\": 5}}}}", CONFIG_ERROR_UNKNOWN_KEY,
                       "snooze.json: /plugins/limits/admin: got \"admin\" as a name, expected a plugin's id "
                       "(" PLUGIN_ID_EXPECTED ")");
        assert_refused("{\"plugins\": {\"limits\": {\"memory\": {\"tasks\": 5}}}}", CONFIG_ERROR_UNKNOWN_KEY,
                       "snooze.json: /plugins/limits/memory: got \"memory\" as a name, expected a plugin's id "
                       "(" PLUGIN_ID_EXPECTED ")");
        assert_refused(
                "{\"plugins\": {\"directories\": [\"relative\"]}}", CONFIG_ERROR_RANGE,
                "snooze.json: /plugins/directories/0: got \"relative\", expected an absolute path without \"..\"");
        assert_refused("[]", CONFIG_ERROR_TYPE, "snooze.json: /: got an array, expected an object");
}

static void test_syntax_errors(void) {
        const char *const broken[] = {
                "",     "{",       "{} {}", "{\"dry_run\": true, \"dry_run\": false}", "{\"naptime_minutes\": 1e999}",
                "\xff", "nonsense"
        };

        for (gsize i = 0; i < G_N_ELEMENTS(broken); i++) {
                g_autoptr(GError) error = NULL;

                g_assert_null(parse(broken[i], &error));
                g_assert_error(error, CONFIG_ERROR, CONFIG_ERROR_SYNTAX);
                g_assert_nonnull(strstr(error->message, "snooze.json"));
        }
}

static void test_conflicts_across_files(void) {
        const ConfigText texts[] = { { "etc.json", "{\"window_seconds\": 10, \"burst_seconds\": 5}" },
                                     { "state.json", "{\"burst_seconds\": 15}" } };
        g_autoptr(GError) error = NULL;

        g_assert_null(config_parse(texts, G_N_ELEMENTS(texts), &error));
        g_assert_error(error, CONFIG_ERROR, CONFIG_ERROR_CONFLICT);
        g_assert_cmpstr(error->message, ==,
                        "state.json: /burst_seconds: got 15, expected at most window_seconds, which is 10 (etc.json)");
}

static void test_legacy_keys_warn_once(void) {
        g_autoptr(Config) config = parse_good("{\"logging\": {\"level\": \"debug\"}, \"monitoring_mode\": \"basic\","
                                              " \"tag_polling_enabled\": true, \"tag_polling_interval_secs\": 60,"
                                              " \"plugins\": {\"external_repositories\":"
                                              " [{\"url\": \"https://me:secret@example.org/\"}]}}");
        g_autoptr(JsonNode) shown = config_to_json(config);
        g_autofree char *text = json_to_string(shown, FALSE);

        g_assert_cmpuint(g_strv_length(config->warnings), ==, 5);
        g_assert_true(g_str_has_prefix(config->warnings[4],
                                       "snooze.json: /plugins/external_repositories has no meaning here and is "));
        g_assert_null(strstr(text, "secret@"));
        g_assert_true(
                g_str_has_prefix(config->warnings[0], "snooze.json: /logging has no meaning here and is ignored: "));
        g_assert_true(g_str_has_prefix(config->warnings[3], "snooze.json: /tag_polling_interval_secs has no meaning"));
}

static void test_provider_type_is_an_older_provider(void) {
        g_autoptr(Config) old = parse_good("{\"provider_type\": \"aws\"}");
        g_autoptr(Config) both = parse_good("{\"provider_type\": \"aws\", \"provider\": \"local\"}");

        g_assert_cmpstr(old->provider, ==, "aws");
        g_assert_cmpstr(both->provider, ==, "local");
}

static void test_secrets_are_hidden(void) {
        g_autoptr(Config) config = parse_good(
                "{\"plugins\": {\"plugin_configs\": {\"keycloak\": {\"port\": 1, \"db_password\": \"s3cret\","
                " \"nested\": [{\"API_Token\": \"s3cret\"}], \"url\": \"redis://me:s3cret@host/\","
                " \"list\": [\"plain\", \"check http://mirror/ --at amqp://me:s3cret@host\", "
                "[\"ftp://s3cret@host\"]]}}},"
                " \"providers\": {\"aws\": {\"secret_access_key\": \"s3cret\", \"metadata_url\": \"http://h/@x\"}}}");
        g_autoptr(JsonNode) json = config_to_json(config);
        g_autofree char *shown = json_text_compact(json), *kept = json_object_text(config->merged);
        g_autoptr(JsonObject) keycloak = config_plugin(config, "keycloak");

        g_assert_null(strstr(shown, "s3cret"));
        g_assert_nonnull(strstr(shown, "\"port\":1"));
        g_assert_nonnull(strstr(shown, "http://h/@x"));
        g_assert_nonnull(strstr(shown, "\"plain\""));
        g_assert_nonnull(strstr(kept, "s3cret"));
        g_assert_cmpstr(json_get_string(keycloak, "db_password", NULL), ==, "s3cret");
}

static void test_shown_with_defaults(void) {
        g_autoptr(Config) config = parse_good("{\"naptime_minutes\": 7, \"plugins\": {\"enabled\": false}}");
        g_autoptr(JsonNode) json = config_to_json(config);
        JsonObject *root = json_node_get_object(json);

        g_assert_cmpfloat(json_get_double(root, "naptime_minutes", 0), ==, 7);
        g_assert_cmpfloat(json_get_double(root, "window_seconds", 0), ==, 60);
        g_assert_false(json_get_boolean(json_get_object(root, "plugins"), "enabled", TRUE));
        g_assert_nonnull(json_get_array(json_get_object(root, "plugins"), "directories"));
}

/* A person who asks for the policy of memory gets it, also where nobody ever set it. */
static void test_sources_are_shown_as_they_count(void) {
        g_autoptr(Config) config = parse_good("{\"sources\": {\"redis\": {\"on_error\": \"ignore\"},"
                                              " \"queue\": {\"timeout_seconds\": 9}, \"queue/mail\": {}},"
                                              " \"plugins\": {\"timeouts\": {\"redis\": {\"check\": 7}}}}");
        g_autoptr(JsonNode) json = config_to_json(config);
        JsonObject *sources = json_get_object(json_node_get_object(json), "sources");

        g_assert_cmpstr(json_get_string(json_get_object(sources, "memory"), "policy", ""), ==, "advisory");
        g_assert_cmpstr(json_get_string(json_get_object(sources, "cpu"), "policy", ""), ==, "required");
        g_assert_cmpstr(json_get_string(json_get_object(sources, "cpu"), "on_error", ""), ==, "busy");
        g_assert_false(json_object_has_member(json_get_object(sources, "cpu"), "timeout_seconds"));
        g_assert_cmpstr(json_get_string(json_get_object(sources, "redis"), "policy", ""), ==, "required");
        g_assert_cmpstr(json_get_string(json_get_object(sources, "redis"), "on_error", ""), ==, "ignore");
        /* Seven seconds, or what the manifest says: not what nobody set here. */
        g_assert_false(json_object_has_member(json_get_object(sources, "redis"), "timeout_seconds"));
        g_assert_false(json_object_has_member(json_get_object(sources, "queue/mail"), "timeout_seconds"));
        g_assert_cmpfloat(json_get_double(json_get_object(sources, "queue"), "timeout_seconds", 0), ==, 9);
}

/* What is shown can be read again: a secretless configuration survives the round trip. */
static void test_shown_is_valid(void) {
        g_autoptr(Config) config = parse_good("{\"sources\": {\"cpu\": {\"policy\": \"off\"}}}");
        g_autoptr(JsonNode) json = config_to_json(config);
        g_autofree char *text = json_text_compact(json);
        g_autoptr(Config) again = parse_good(text);

        g_assert_cmpint(config_source(again, "cpu").policy, ==, POLICY_OFF);
}

static void test_plugin_values_merge(void) {
        g_autoptr(Config) config = parse_good("{\"plugins\": {\"plugin_configs\": {\"aws\": {\"a\": 1, \"b\": 1}}},"
                                              " \"providers\": {\"aws\": {\"b\": 2}}}");
        g_autoptr(JsonObject) values = config_plugin(config, "aws");

        g_assert_cmpint(json_get_int(values, "a", 0), ==, 1);
        g_assert_cmpint(json_get_int(values, "b", 0), ==, 2);
        g_assert_null(config_plugin(config, "gcp"));
        g_assert_cmpuint(json_object_get_size(config_provider(config, "aws")), ==, 1);
        g_assert_null(config_provider(config, "gcp"));
}

static void test_the_region_reaches_its_provider(void) {
        g_autoptr(Config) config = parse_good("{\"aws_region\": \"eu-west-1\"}");
        g_autoptr(Config) both =
                parse_good("{\"aws_region\": \"eu-west-1\", \"providers\": {\"aws\": {\"region\": \"us-east-2\"}}}");
        g_autoptr(JsonObject) aws = config_plugin(config, "aws"), own = config_plugin(both, "aws");

        g_assert_cmpstr(json_get_string(aws, "region", NULL), ==, "eu-west-1");
        g_assert_cmpstr(json_get_string(own, "region", NULL), ==, "us-east-2");
        g_assert_null(config_plugin(config, "gcp"));
}

static void test_maps_have_a_ceiling(void) {
        g_autoptr(GString) text = g_string_new("{\"sources\": {\"cpu\": {}");
        g_autoptr(GError) error = NULL;

        for (unsigned i = 0; i < 256; i++)
                g_string_append_printf(text, ", \"s%u\": {}", i);
        g_string_append(text, "}}");
        g_assert_null(parse(text->str, &error));
        g_assert_error(error, CONFIG_ERROR, CONFIG_ERROR_RANGE);
}

/* Every key has a sentence, and its default passes its own check: the table cannot contradict itself. */
static void test_table(void) {
        g_autoptr(JsonNode) table = config_describe();
        JsonArray *array = json_node_get_array(table);

        g_assert_cmpuint(json_array_get_length(array), >, 30);
        for (guint i = 0; i < json_array_get_length(array); i++) {
                JsonObject *key = json_array_get_object_element(array, i);
                const char *name = json_get_string(key, "key", NULL);
                JsonNode *value = json_object_get_member(key, "default");
                g_autofree char *text = NULL, *document = NULL;

                g_assert_true(g_str_has_suffix(json_get_string(key, "description", ""), ".") ||
                              g_str_equal(json_get_string(key, "type", ""), "ignored"));
                if (!value)
                        continue;
                text = json_text_compact(value);
                if (g_str_has_prefix(name, "plugins."))
                        document = g_strdup_printf("{\"plugins\": {\"%s\": %s}}", name + strlen("plugins."), text);
                else
                        document = g_strdup_printf("{\"%s\": %s}", name, text);
                config_unref(parse_good(document));
        }
}

typedef struct Files {
        char *directory, *etc, *dropins, *state;
        ConfigPaths paths;
} Files;

static void files_set_up(Files *files, gconstpointer data) {
        files->directory = g_dir_make_tmp("config-XXXXXX", NULL);
        files->etc = g_build_filename(files->directory, "snooze.json", NULL);
        files->dropins = g_build_filename(files->directory, "snooze.d", NULL);
        files->state = g_build_filename(files->directory, "state.json", NULL);
        files->paths = (ConfigPaths) { files->etc, files->dropins, files->state };
}

static void files_tear_down(Files *files, gconstpointer data) {
        g_autoptr(GDir) dir = g_dir_open(files->dropins, 0, NULL);
        const char *name;

        while (dir && (name = g_dir_read_name(dir))) {
                g_autofree char *path = g_build_filename(files->dropins, name, NULL);

                g_unlink(path);
        }
        g_rmdir(files->dropins);
        g_unlink(files->etc);
        g_unlink(files->state);
        g_rmdir(files->directory);
        g_free(files->directory);
        g_free(files->etc);
        g_free(files->dropins);
        g_free(files->state);
}

static void write_file(const char *path, const char *text) {
        g_assert_true(g_file_set_contents(path, text, -1, NULL));
        g_assert_cmpint(g_chmod(path, 0644), ==, 0);
}

static void write_dropin(Files *files, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(files->dropins, name, NULL);

        g_mkdir(files->dropins, 0755);
        write_file(path, text);
}

static void test_nothing_there(Files *files, gconstpointer data) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Config) config = config_load(&files->paths, &error);

        g_assert_no_error(error);
        g_assert_cmpfloat(config->naptime_minutes, ==, 30);
}

static void test_order_of_files(Files *files, gconstpointer data) {
        g_autoptr(Config) config = NULL;

        write_file(files->etc,
                   "{\"naptime_minutes\": 1, \"warning_minutes\": 1, \"window_seconds\": 61, \"burst_seconds\": 1}");
        write_dropin(files, "90-late.json", "{\"warning_minutes\": 3, \"window_seconds\": 63}");
        write_dropin(files, "10-early.json", "{\"warning_minutes\": 2, \"burst_seconds\": 2}");
        write_dropin(files, "50-not-ours.txt", "rubbish");
        write_dropin(files, ".50-hidden.json", "rubbish");
        write_file(files->state, "{\"window_seconds\": 64}");
        config = config_load(&files->paths, NULL);
        g_assert_cmpfloat(config->naptime_minutes, ==, 1);
        g_assert_cmpfloat(config->burst_seconds, ==, 2);
        g_assert_cmpfloat(config->warning_minutes, ==, 3);
        g_assert_cmpfloat(config->window_seconds, ==, 64);
        g_assert_cmpstr(config_origin(config, "/window_seconds"), ==, files->state);
}

static void test_refused_files(Files *files, gconstpointer data) {
        g_autoptr(GError) writable = NULL, folder = NULL, broken = NULL;

        write_file(files->etc, "{}");
        g_assert_cmpint(g_chmod(files->etc, 0666), ==, 0);
        g_assert_null(config_load(&files->paths, &writable));
        g_assert_error(writable, CONFIG_ERROR, CONFIG_ERROR_FILE);
        g_assert_nonnull(strstr(writable->message, files->etc));

        g_unlink(files->etc);
        g_assert_cmpint(g_mkdir(files->etc, 0755), ==, 0);
        g_assert_null(config_load(&files->paths, &folder));
        g_assert_error(folder, CONFIG_ERROR, CONFIG_ERROR_FILE);
        g_rmdir(files->etc);

        write_dropin(files, "a.json", "{\"naptime_minutes\": -1}");
        g_assert_null(config_load(&files->paths, &broken));
        g_assert_error(broken, CONFIG_ERROR, CONFIG_ERROR_RANGE);
        g_assert_nonnull(strstr(broken->message, "/snooze.d/a.json: /naptime_minutes: got -1"));
}

static void test_patch(Files *files, gconstpointer data) {
        g_autoptr(GError) bad = NULL, conflict = NULL;
        g_autoptr(Config) config = NULL, back = NULL;
        g_autofree char *text = NULL, *without = NULL;

        write_file(files->etc, "{\"naptime_minutes\": 10}");
        write_file(files->state, "{\"warning_minutes\": 1}");
        config = config_try_patch(&files->paths, "{\"naptime_minutes\": 20}", &text, NULL);
        g_assert_cmpfloat(config->naptime_minutes, ==, 20);
        g_assert_cmpfloat(config->warning_minutes, ==, 1);
        write_file(files->state, text);

        /* null takes our own change back, not the administrator's file. */
        back = config_try_patch(&files->paths, "{\"naptime_minutes\": null}", &without, NULL);
        g_assert_cmpfloat(back->naptime_minutes, ==, 10);
        g_assert_null(strstr(without, "naptime"));

        g_assert_null(config_try_patch(&files->paths, "{\"naptime_minutes\": 0}", NULL, &bad));
        g_assert_true(g_str_has_prefix(bad->message, "patch: /naptime_minutes: got 0, expected"));
        g_assert_null(config_try_patch(&files->paths, "{\"window_seconds\": 10}", NULL, &conflict));
        g_assert_error(conflict, CONFIG_ERROR, CONFIG_ERROR_CONFLICT);
}

/* A conflict that the patch has with the defaults alone, and not with the files, is none. */
static void test_patch_counts_with_the_files(Files *files, gconstpointer data) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Config) config = NULL;

        write_file(files->etc, "{\"burst_seconds\": 5}");
        config = config_try_patch(&files->paths, "{\"window_seconds\": 10}", NULL, &error);
        g_assert_no_error(error);
        g_assert_cmpfloat(config->window_seconds, ==, 10);
}

static void test_last_good(Files *files, gconstpointer data) {
        g_autoptr(Config) config =
                parse_good("{\"naptime_minutes\": 12, \"providers\": {\"aws\": {\"token\": \"t\"}}}");
        g_autoptr(Config) again = NULL;
        g_autoptr(GError) error = NULL, missing = NULL;
        g_autofree char *good = NULL;

        g_assert_null(config_load_good(files->state, &missing));
        g_assert_error(missing, CONFIG_ERROR, CONFIG_ERROR_FILE);
        good = config_good_text(config);
        g_assert_true(config_save_good(good, files->state, &error));
        again = config_load_good(files->state, &error);
        g_assert_no_error(error);
        g_assert_cmpfloat(again->naptime_minutes, ==, 12);
        g_assert_true(json_object_equal(again->merged, config->merged));
}

static void assert_warnings(const char *text, const char *const *expected) {
        static const char *const plugins[] = { "sessions", "local", "redis-monitor", NULL }, *const providers[] = {
                "local", NULL
        };
        g_autoptr(Config) config = parse_good(text);
        g_auto(GStrv) warnings = config_unknown_names(config, plugins, providers);
        g_autofree char *all = g_strjoinv("\n", warnings);

        if (!g_strv_equal((const char *const *) warnings, expected))
                g_error("unexpected: %s", all);
}

static void test_names_of_nothing_are_warned_of(void) {
        assert_warnings("{}", (const char *[]) { NULL });
        assert_warnings("{\"provider\": \"auto\", \"sources\": {\"cpu\": {\"policy\": \"off\"}, \"sessions/pts/3\": "
                        "{\"policy\": "
                        "\"off\"}, \"command/backup\": {\"policy\": \"advisory\"}}, \"providers\": {\"local\": {}},"
                        "\"plugins\": {\"plugin_configs\": {\"redis-monitor\": {\"a\": 1}}}}",
                        (const char *[]){ NULL });
        assert_warnings(
                "{\"provider\": \"locl\"}",
                (const char *[]){ "snooze.json: /provider: no provider \"locl\" is installed, did you mean \"local\"?",
                                  NULL });
        /* A plugin, but none that could stop a machine. */
        assert_warnings("{\"provider\": \"sessions\"}",
                        (const char *[]) { "snooze.json: /provider: no provider \"sessions\" is installed", NULL });
        assert_warnings("{\"provider_type\": \"aws\"}",
                        (const char *[]) { "snooze.json: /provider_type: no provider \"aws\" is installed", NULL });
        assert_warnings("{\"sources\": {\"sesions\": {\"policy\": \"off\"}, \"nvidia/0\": {\"policy\": \"off\"}}}",
                        (const char *[]){ "snooze.json: /sources/sesions: no plugin \"sesions\" is installed, did you "
                                          "mean \"sessions\"?",
                                          "snooze.json: /sources/nvidia~10: no plugin \"nvidia\" is installed",
                                          NULL });
        assert_warnings(
                "{\"plugins\": {\"plugin_configs\": {\"redis\": {\"a\": 1}}}, \"providers\": {\"gcp\": {\"a\": 1}}}",
                (const char *[]) { "snooze.json: /plugins/plugin_configs/redis: no plugin \"redis\" is installed",
                                  "snooze.json: /providers/gcp: no provider \"gcp\" is installed", NULL });
}

/* Whoever has the id next may be somebody else; who has a longer one is. */
static void test_what_is_forgotten_of_a_plugin(void) {
        g_autoptr(Config) config = parse_good("{\"provider\": \"queue\", \"provider_type\": \"queue\", \"plugins\": {"
                                              "\"plugin_configs\": {\"queue\": {\"token\": \"a\"}, \"queue-2\": {}},"
                                              "\"limits\": {\"queue\": {\"tasks\": 3}},"
                                              "\"timeouts\": {\"queue\": {\"check\": 60}, \"queue-2\": {}}},"
                                              "\"providers\": {\"queue\": {\"region\": \"x\"}, \"que\": {}},"
                                              "\"sources\": {\"queue/x\": {\"policy\": \"sufficient\"},"
                                              "\"queue/y/z\": {}, \"queue\": {}, \"queue-2/x\": {}, \"que\": {}}}");
        g_autoptr(Config) other = parse_good("{\"provider\": \"queue-2\", \"sources\": {\"queue-2/queue\": {}}}");
        g_autofree char *patch = config_forget_plugin(config, "queue");

        g_assert_cmpstr(patch, ==,
                        "{\"plugins\":{\"plugin_configs\":{\"queue\":null},\"timeouts\":{\"queue\":null}},"
                        "\"providers\":{\"queue\":null},"
                        "\"sources\":{\"queue/x\":null,\"queue/y/z\":null,\"queue\":null},"
                        "\"provider\":null,\"provider_type\":null}");
        g_assert_null(config_forget_plugin(other, "queue"));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/config/defaults", test_defaults);
        g_test_add_func("/config/names-of-nothing-are-warned-of", test_names_of_nothing_are_warned_of);
        g_test_add_func("/config/later-texts-win", test_later_texts_win);
        g_test_add_func("/config/origin-vanishes-with-its-object", test_origin_vanishes_with_its_object);
        g_test_add_func("/config/sources", test_sources);
        g_test_add_func("/config/timeouts", test_timeouts);
        g_test_add_func("/config/gpu-turned-off", test_gpu_turned_off);
        g_test_add_func("/config/refusals", test_refusals_name_place_and_expectation);
        g_test_add_func("/config/syntax-errors", test_syntax_errors);
        g_test_add_func("/config/conflicts", test_conflicts_across_files);
        g_test_add_func("/config/legacy-keys", test_legacy_keys_warn_once);
        g_test_add_func("/config/provider-type", test_provider_type_is_an_older_provider);
        g_test_add_func("/config/secrets", test_secrets_are_hidden);
        g_test_add_func("/config/shown-with-defaults", test_shown_with_defaults);
        g_test_add_func("/config/sources-as-they-count", test_sources_are_shown_as_they_count);
        g_test_add_func("/config/shown-is-valid", test_shown_is_valid);
        g_test_add_func("/config/plugin-values", test_plugin_values_merge);
        g_test_add_func("/config/forgotten", test_what_is_forgotten_of_a_plugin);
        g_test_add_func("/config/region", test_the_region_reaches_its_provider);
        g_test_add_func("/config/ceiling", test_maps_have_a_ceiling);
        g_test_add_func("/config/table", test_table);
        g_test_add("/config/files/none", Files, NULL, files_set_up, test_nothing_there, files_tear_down);
        g_test_add("/config/files/order", Files, NULL, files_set_up, test_order_of_files, files_tear_down);
        g_test_add("/config/files/refused", Files, NULL, files_set_up, test_refused_files, files_tear_down);
        g_test_add("/config/files/patch", Files, NULL, files_set_up, test_patch, files_tear_down);
        g_test_add("/config/files/patch-with-files", Files, NULL, files_set_up, test_patch_counts_with_the_files,
                   files_tear_down);
        g_test_add("/config/files/last-good", Files, NULL, files_set_up, test_last_good, files_tear_down);
        return g_test_run();
}
