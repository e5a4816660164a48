/* SPDX-License-Identifier: Apache-2.0 */

/* snooze-plugin-shell: interpreter of plugins that are scripts. A script whose first line names it becomes a plugin of
 * the manifest beside it; for each call it is run once, as checks.d's are:
 *
 *         SCRIPT check-idle            exit status 0 idle, 1 busy, other unknown; metrics on stdin
 *         SCRIPT handle-event TYPE     exit status 0 handled, 1 not; the event on stdin
 *         SCRIPT export-state          prints its state; exit status 0
 *         SCRIPT import-state VERSION  state on stdin; exit status 0
 *
 * What stands on stdin is JSON (a state: bytes), the last line printed is the reason, as text or as a JSON object
 * whose other members become details. Settings are in the environment, SNOOZE_<NAME>, and metrics too,
 * SNOOZE_METRIC_<NAME>. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <snooze/plugin.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "bridge/dictionary-json.h"
#include "bridge/shell/child.h"
#include "manifest/manifest.h"

#define STATE_VERSION 1U
#define INTERPRETER "/bin/sh"

typedef struct Script {
        char *interpreter;
        char *path;
        Manifest *manifest;
        SnoozePluginInstance *instance;
} Script;

typedef struct Run {
        Child child;
        int (*answer)(SnoozePluginCall *call, int status, GString *output);
} Run;

static char *variable_name(const char *prefix, const char *name) {
        char *variable = g_ascii_strup(name, -1), *result;

        g_strcanon(variable, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", '_');
        result = g_strconcat(prefix, variable, NULL);
        g_free(variable);
        return result;
}

static char *setting_text(const Script *script, const Setting *setting) {
        SnoozePluginInstance *instance = script->instance;
        const char *const *list;

        switch (setting->type) {
        case SETTING_STRING:
                return g_strdup(snooze_plugin_instance_get_string(instance, setting->name));
        case SETTING_INTEGER:
                return g_strdup_printf("%" G_GINT64_FORMAT,
                                       snooze_plugin_instance_get_integer(instance, setting->name));
        case SETTING_NUMBER:
                return g_strdup_printf("%.17g", snooze_plugin_instance_get_number(instance, setting->name));
        case SETTING_BOOLEAN:
                return g_strdup(snooze_plugin_instance_get_boolean(instance, setting->name) ? "true" : "false");
        default:
                list = snooze_plugin_instance_get_list(instance, setting->name);
                return list ? g_strjoinv("\n", (char **) list) : NULL;
        }
}

static char **environment_of(const Script *script, const SnoozePluginDictionary *metrics) {
        GPtrArray *settings = schema_settings(script->manifest->schema);
        char **environment = g_get_environ();
        const char *key;

        for (guint i = 0; i < settings->len; i++) {
                const Setting *setting = g_ptr_array_index(settings, i);
                g_autofree char *name = variable_name("SNOOZE_", setting->name), *text = setting_text(script, setting);

                if (text)
                        environment = g_environ_setenv(environment, name, text, TRUE);
        }
        for (unsigned i = 0; (key = snooze_plugin_dictionary_get_key(metrics, i)); i++) {
                g_autofree char *name = variable_name("SNOOZE_METRIC_", key);
                g_autofree char *text = g_strdup_printf("%.17g", snooze_plugin_dictionary_get_double(metrics, key, 0));

                /* The subject that is asked about is no metric. */
                if (!snooze_plugin_dictionary_get_string(metrics, key, NULL))
                        environment = g_environ_setenv(environment, name, text, TRUE);
        }
        return environment;
}

static char *last_line(const GString *output) {
        g_autofree char *text = g_strchomp(g_strdup(output->str));
        const char *line = strrchr(text, '\n');

        return g_strdup(line ? line + 1 : text);
}

/* The members of a JSON object go into the call's result, its reason is returned; any other text is the reason. */
static char *reason_of(SnoozePluginCall *call, const GString *output) {
        g_autofree char *line = last_line(output);
        g_autoptr(JsonNode) node = NULL;
        g_autoptr(GError) error = NULL;
        JsonObject *object;
        char *reason;

        node = *line == '{' ? json_text_parse("the last line", line, -1, NULL) : NULL;
        if (!node || !JSON_NODE_HOLDS_OBJECT(node))
                return g_steal_pointer(&line);
        object = json_node_get_object(node);
        reason = g_strdup(json_get_string(object, "reason", ""));
        json_object_remove_member(object, "reason");
        if (dictionary_add_json(snooze_plugin_call_get_result(call), object, &error))
                return reason;
        g_free(reason);
        (void) snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_FAILED, "%s", error->message);
        return NULL;
}

static int answer_check(SnoozePluginCall *call, int status, GString *output) {
        g_autofree char *reason = reason_of(call, output);
        SnoozePluginVerdict verdict = status == 0   ? SNOOZE_PLUGIN_IDLE
                                      : status == 1 ? SNOOZE_PLUGIN_BUSY
                                                    : SNOOZE_PLUGIN_UNKNOWN;

        if (!reason)
                return -EINVAL;
        if (!*reason)
                return snooze_plugin_call_set_verdict(call, verdict, "exit status %d", status);
        return snooze_plugin_call_set_verdict(call, verdict, "%s", reason);
}

static int answer_event(SnoozePluginCall *call, int status, GString *output) {
        g_autofree char *reason = reason_of(call, output);

        if (!reason)
                return -EINVAL;
        if (status > 1)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_FAILED, "exit status %d: %s", status, reason);
        if (*reason)
                (void) snooze_plugin_dictionary_set_string(snooze_plugin_call_get_result(call), "reason", reason);
        return snooze_plugin_call_set_answer(call, status == 0);
}

static int answer_state(SnoozePluginCall *call, int status, GString *output) {
        g_autofree char *line = last_line(output);

        if (status != 0)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_FAILED, "exit status %d: %s", status, line);
        return snooze_plugin_call_set_state(call, STATE_VERSION, output->str, output->len);
}

static int answer_import(SnoozePluginCall *call, int status, GString *output) {
        g_autofree char *line = last_line(output);

        return status == 0 ? 0 : snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "%s", line);
}

static void run_free(Run *run) {
        child_clear(&run->child);
        g_free(run);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Run, run_free)

/* In a thread. */
static int work(SnoozePluginCall *call, void *userdata) {
        g_autoptr(Run) run = userdata;
        g_autoptr(GError) error = NULL;
        GString *output;
        int status, r;

        status = child_run(&run->child, &output, &error);
        if (status < 0)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_FAILED, "%s: %s", run->child.argv[1],
                                               error->message);
        r = run->answer(call, status, output);
        g_string_free(output, TRUE);
        return r;
}

/* Of what somebody waits for the answer, a little is kept for giving it. */
static uint64_t time_of(SnoozePluginCall *call) {
        uint64_t left = snooze_plugin_call_get_time_left(call);

        return left - MIN(left / 10, USEC_PER_SEC);
}

static int run_script(SnoozePluginCall *call, Script *script, const char *verb, const char *argument, GBytes *input,
                      const SnoozePluginDictionary *metrics, PluginTimeout timeout,
                      int (*answer)(SnoozePluginCall *, int, GString *)) {
        const char *argv[] = { script->interpreter, script->path, verb, argument, NULL };
        Run *run = g_new0(Run, 1);
        int r;

        run->child = (Child) {
                .argv = g_strdupv((char **) argv),
                .environment = environment_of(script, metrics),
                .input = input,
                .timeout = MIN(script->manifest->timeouts[timeout], time_of(call)),
        };
        run->answer = answer;
        r = snooze_plugin_call_run_in_thread(call, work, run);
        if (r < 0)
                run_free(run);
        return r;
}

static GBytes *json_bytes(const SnoozePluginDictionary *dictionary) {
        g_autoptr(JsonObject) object = json_of_dictionary(dictionary);
        char *text = json_object_text(object);

        return g_bytes_new_take(text, strlen(text));
}

static int check_idle(SnoozePluginCall *call, const SnoozePluginDictionary *metrics, void *userdata) {
        return run_script(call, userdata, "check-idle", NULL, json_bytes(metrics), metrics, TIMEOUT_CHECK,
                          answer_check);
}

static int handle_event(SnoozePluginCall *call, const SnoozePluginDictionary *event, void *userdata) {
        return run_script(call, userdata, "handle-event", snooze_plugin_dictionary_get_string(event, "type", "custom"),
                          json_bytes(event), NULL, TIMEOUT_EVENT, answer_event);
}

static int export_state(SnoozePluginCall *call, void *userdata) {
        return run_script(call, userdata, "export-state", NULL, NULL, NULL, TIMEOUT_EXPORT, answer_state);
}

static int import_state(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, void *userdata) {
        if (version != STATE_VERSION)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "its state has version %u, not %u", STATE_VERSION, version);
        return run_script(call, userdata, "import-state", "1", g_bytes_new(data, size), NULL, TIMEOUT_EXPORT,
                          answer_import);
}

/* What the settings of the SDK cannot say, the schema does: its patterns are Perl's. */
static int initialize(SnoozePluginCall *call, const SnoozePluginDictionary *config, void *userdata) {
        const Script *script = userdata;
        g_autoptr(JsonObject) values = json_of_dictionary(config);
        g_autoptr(GError) error = NULL;

        if (schema_check(script->manifest->schema, "configuration", values, &error))
                return 0;
        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "%s", error->message);
}

static int start(SnoozePluginInstance *instance, void *userdata) {
        Script *script = userdata;

        script->instance = instance;
        return 0;
}

static SnoozePluginSetting *settings_of(const Schema *schema) {
        static const SnoozePluginSettingType types[SETTING_TYPE_COUNT] = {
                [SETTING_STRING] = SNOOZE_PLUGIN_STRING, [SETTING_INTEGER] = SNOOZE_PLUGIN_INTEGER,
                [SETTING_NUMBER] = SNOOZE_PLUGIN_NUMBER, [SETTING_BOOLEAN] = SNOOZE_PLUGIN_BOOLEAN,
                [SETTING_LIST] = SNOOZE_PLUGIN_LIST,
        };
        GPtrArray *declared = schema_settings(schema);
        SnoozePluginSetting *settings = g_new0(SnoozePluginSetting, declared->len + 1);

        for (guint i = 0; i < declared->len; i++) {
                const Setting *setting = g_ptr_array_index(declared, i);

                settings[i] = (SnoozePluginSetting) { .name = setting->name, .type = types[setting->type] };
        }
        return settings;
}

static const char **events_of(const Manifest *manifest) {
        const char **events = g_new0(const char *, manifest->events->len + 1);

        for (guint i = 0; i < manifest->events->len; i++)
                events[i] = ((const ManifestEvent *) g_ptr_array_index(manifest->events, i))->type;
        return events;
}

static gboolean contracts_served(const Manifest *manifest, GError **error) {
        static const char *const served[] = { "IdleCheck", "EventHandler", "State", NULL };

        for (size_t i = 0; manifest->contracts[i]; i++)
                if (!g_strv_contains(served, manifest->contracts[i])) {
                        g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_INVALID,
                                    "%s: /contracts/%zu: a script serves IdleCheck, EventHandler and State, not %s",
                                    manifest->path, i, manifest->contracts[i]);
                        return FALSE;
                }
        return TRUE;
}

/* The manifest lies beside the script; whether both may be trusted the daemon found out before. */
static Manifest *manifest_beside(const char *path, GError **error) {
        g_autofree char *directory = g_path_get_dirname(path),
                        *file = g_build_filename(directory, "plugin.json", NULL);
        g_autoptr(JsonNode) node = json_file_parse(file, error);
        g_autoptr(Manifest) manifest = NULL;

        if (!node)
                return NULL;
        manifest = manifest_parse(file, NULL, node, error);
        return manifest && contracts_served(manifest, error) ? g_steal_pointer(&manifest) : NULL;
}

static int serve(Script *script, int argc, char *argv[]) {
        g_autofree SnoozePluginSetting *settings = settings_of(script->manifest->schema);
        g_autofree const char **events = events_of(script->manifest);
        const Manifest *manifest = script->manifest;
        SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = manifest->id,
                .version = manifest->version,
                .description = *manifest->description ? manifest->description : NULL,
                .userdata = script,
                .settings = settings,
                .start = start,
                .initialize = initialize,
        };

        if (manifest_has_contract(manifest, "IdleCheck"))
                plugin.check_idle = check_idle;
        if (manifest_has_contract(manifest, "EventHandler")) {
                plugin.supported_events = events;
                plugin.handle_event = handle_event;
        }
        if (manifest_has_contract(manifest, "State")) {
                plugin.export_state = export_state;
                plugin.import_state = import_state;
        }
        return snooze_plugin_main(&plugin, argc, argv);
}

int main(int argc, char *argv[]) {
        g_autoptr(GError) error = NULL;
        Script script = { .interpreter = NULL };
        /* The first line may name another interpreter behind us: #!…/snooze-plugin-shell /bin/bash */
        int first = argc > 2 && argv[1][0] == '/' && argv[2][0] != '-' ? 2 : 1, r;

        if (argc < 2) {
                fprintf(stderr, "Usage: %s [INTERPRETER] SCRIPT [OPTION…]\n", argv[0]);
                return EXIT_FAILURE;
        }
        script.interpreter = g_strdup(first == 2 ? argv[1] : INTERPRETER);
        script.path = realpath(argv[first], NULL);
        script.manifest = script.path ? manifest_beside(script.path, &error) : NULL;
        if (script.manifest)
                r = serve(&script, argc - first, argv + first);
        else {
                fprintf(stderr, "%s: %s\n", argv[first], error ? error->message : g_strerror(errno));
                r = EXIT_FAILURE;
        }
        manifest_free(script.manifest);
        free(script.path);
        g_free(script.interpreter);
        return r;
}
