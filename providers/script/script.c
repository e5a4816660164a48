/* SPDX-License-Identifier: Apache-2.0 */

/* The provider for every cloud that none knows: commands of the administrator's stop this machine, start another, and
 * say what is known of one. */

#include <string.h>

#include <glib.h>
#include <snooze/plugin.h>

#include "base/clock.h"
#include "cloud/info.h"
#include "cloud/options.h"
#include "commands.h"
#include "config.h"
#include "knowledge.h"
#include "run/program.h"

#define ID_MAX 128U
/* How long an accepted stop is reported as under way where no command says more. On boot time, so that it is over
 * after a sleep. */
#define ACCEPTED_FOR (2 * USEC_PER_MINUTE)

typedef struct Script {
        SnoozePluginInstance *instance;
        Commands *commands;
        char *stop_effect;
        uint64_t accepted; /* boot time; 0: never */
} Script;

static const char *const command_settings[] = { "stop_command", "start_command", "state_command" };

static const char *setting(const Script *script, const char *name) {
        return snooze_plugin_instance_get_string(script->instance, name);
}

static int configure(SnoozePluginCall *call, const SnoozePluginDictionary *config, void *userdata) {
        Script *script = userdata;

        /* Now, rather than when the machine is to be stopped. */
        for (size_t i = 0; i < G_N_ELEMENTS(command_settings); i++) {
                const char *path = snooze_plugin_dictionary_get_string(config, command_settings[i], NULL);
                g_autoptr(GError) error = NULL;
                g_autofree char *program = path ? program_trusted(path, program_owner_also(), &error) : NULL;

                if (path && !program)
                        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "%s: %s",
                                                       command_settings[i], error->message);
        }
        g_free(script->stop_effect);
        script->stop_effect = g_strdup(snooze_plugin_dictionary_get_string(config, "stop_effect", "unknown"));
        snooze_plugin_instance_stop_effect_changed(script->instance);
        return 0;
}

static const char *stop_effect(void *userdata) {
        const Script *script = userdata;

        return script->stop_effect ?: "unknown";
}

/* Only by a person's choice. */
static int detect(SnoozePluginCall *call, void *userdata) {
        return snooze_plugin_call_set_answer(call, false);
}

/* An id is a word: what a command does with it, it can do without quoting. */
static int check_id(SnoozePluginCall *call, const char *instance_id) {
        static const char characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-";
        size_t length = strlen(instance_id);

        if (length == 0 ||
            (length <= ID_MAX && g_ascii_isalnum(*instance_id) && strspn(instance_id, characters) == length))
                return 0;
        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                       "instance_id: expected letters, digits and ._:-, at most %u, not \"%s\"",
                                       ID_MAX, instance_id);
}

static const char *id_of(const Script *script, const char *instance_id) {
        return *instance_id ? instance_id : setting(script, "instance_id") ?: "";
}

static bool is_own(const Script *script, const char *instance_id) {
        return !*instance_id || g_strcmp0(setting(script, "instance_id"), instance_id) == 0;
}

static int run(Script *script, const char *name, const char *action, const char *instance_id, const char *reason,
               SnoozePluginCall *call, CommandDone done) {
        const char *program = setting(script, name);

        if (!program)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_NOT_SUPPORTED, "There is no %s", name);
        return command_run(
                script->commands,
                &(const Command){
                        .setting = name,
                        .program = program,
                        .action = action,
                        .instance_id = id_of(script, instance_id),
                        .reason = reason,
                        .timeout = (uint64_t) snooze_plugin_instance_get_integer(script->instance, "timeout_seconds") *
                                   USEC_PER_SEC,
                },
                call, done, script);
}

static bool is_stopping(const Script *script) {
        return script->accepted > 0 && clock_boottime() < script->accepted + ACCEPTED_FOR;
}

static void on_state(SnoozePluginCall *call, const char *line, void *userdata) {
        g_autofree char *problem = NULL;
        int r = 0;

        if (!knowledge_read(line, snooze_plugin_call_get_result(call), &problem))
                r = snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_REFUSED, "state_command: %s", problem);
        snooze_plugin_call_finish(call, r);
}

static int get_instance_info(SnoozePluginCall *call, const char *instance_id, void *userdata) {
        Script *script = userdata;
        int r = check_id(call, instance_id);

        if (r < 0)
                return r;
        if (is_own(script, instance_id))
                cloud_info_tell_own(call, id_of(script, instance_id), "", is_stopping(script));
        else
                snooze_plugin_dictionary_set_string(snooze_plugin_call_get_result(call), "id", instance_id);
        if (!setting(script, "state_command") && is_own(script, instance_id))
                return 0;
        return run(script, "state_command", "state", instance_id, "", call, on_state);
}

static void on_stopped(SnoozePluginCall *call, const char *line, void *userdata) {
        Script *script = userdata;

        script->accepted = clock_boottime();
        snooze_plugin_call_finish(call, 0);
}

static void on_done(SnoozePluginCall *call, const char *line, void *userdata) {
        snooze_plugin_call_finish(call, 0);
}

static unsigned actions_of(const Script *script) {
        const char *const *wanted = snooze_plugin_instance_get_list(script->instance, "actions");
        unsigned mask = 0;

        for (int action = 0; action < STOP_ACTION_COUNT; action++)
                if (wanted && g_strv_contains(wanted, stop_action_names[action]))
                        mask |= CLOUD_ACTION_MASK(action);
        return mask;
}

/* A command that knew of no dry run would stop the machine in one: it is looked at, and not run. */
static int check_program(const Script *script, SnoozePluginCall *call, const char *name) {
        const char *path = setting(script, name);
        g_autoptr(GError) error = NULL;
        g_autofree char *program = path ? program_trusted(path, program_owner_also(), &error) : NULL;

        if (program)
                return 0;
        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_REFUSED, "%s: %s", name,
                                       error ? error->message : "there is none");
}

static int stop_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                         void *userdata) {
        Script *script = userdata;
        CloudOptions wanted;
        int r;

        r = check_id(call, instance_id);
        if (r >= 0)
                r = cloud_options_read_stop(call, instance_id, options, actions_of(script), &wanted);
        if (r < 0)
                return r;
        if (wanted.dry_run)
                return check_program(script, call, "stop_command");
        return run(script, "stop_command", stop_action_names[wanted.action], instance_id, wanted.reason, call,
                   is_own(script, instance_id) ? on_stopped : on_done);
}

static int start_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                          void *userdata) {
        Script *script = userdata;
        CloudOptions wanted;
        int r;

        r = check_id(call, instance_id);
        if (r >= 0)
                r = cloud_options_read_start(call, is_own(script, instance_id), options, &wanted);
        if (r < 0)
                return r;
        if (wanted.dry_run)
                return check_program(script, call, "start_command");
        return run(script, "start_command", "start", instance_id, wanted.reason, call, on_done);
}

/* Whether the cloud would let it, only the command knows. */
static int check_permissions(SnoozePluginCall *call, void *userdata) {
        const Script *script = userdata;

        for (size_t i = 0; i < G_N_ELEMENTS(command_settings); i++) {
                const char *path = setting(script, command_settings[i]);
                g_autoptr(GError) error = NULL;
                g_autofree char *program = path ? program_trusted(path, program_owner_also(), &error) : NULL;
                g_autofree char *text =
                        program ? g_strdup_printf("%s may be run; what it may do, its cloud decides", program) : NULL;

                if (path)
                        snooze_plugin_call_add_permission(call, command_settings[i], program != NULL,
                                                          text ?: error->message);
        }
        cloud_actions_tell(call, actions_of(script));
        return 0;
}

static int start(SnoozePluginInstance *instance, void *userdata) {
        Script *script = userdata;

        script->instance = instance;
        return commands_new(snooze_plugin_instance_get_event(instance), &script->commands);
}

int main(int argc, char *argv[]) {
        static const SnoozePluginSetting settings[] = {
                { .name = "stop_command", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^\\/.+$/", .required = true },
                { .name = "stop_effect",
                  .type = SNOOZE_PLUGIN_STRING,
                  .required = true,
                  .constraints = "stops-billing|saves-power|keeps-billing|terminates|unknown" },
                { .name = "actions",
                  .type = SNOOZE_PLUGIN_LIST,
                  .constraints = "stop|hibernate|suspend",
                  .default_value = "stop" },
                { .name = "start_command", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^\\/.+$/" },
                { .name = "state_command", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^\\/.+$/" },
                { .name = "instance_id",
                  .type = SNOOZE_PLUGIN_STRING,
                  .constraints = "/^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/" },
                { .name = "timeout_seconds",
                  .type = SNOOZE_PLUGIN_INTEGER,
                  .minimum = 1,
                  .maximum = 55,
                  .default_value = "30" },
                { NULL },
        };
        Script script = { 0 };
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = "script",
                .version = PACKAGE_VERSION,
                .description = "Stops this machine by commands of the administrator's.",
                .userdata = &script,
                .settings = settings,
                .start = start,
                .initialize = configure,
                .configure = configure,
                .provider_name = "Own commands",
                .stop_effect = stop_effect,
                .detect = detect,
                .get_instance_info = get_instance_info,
                .stop_instance = stop_instance,
                .start_instance = start_instance,
                .check_permissions = check_permissions,
        };
        int r = snooze_plugin_main(&plugin, argc, argv);

        commands_free(script.commands);
        g_free(script.stop_effect);
        return r;
}
