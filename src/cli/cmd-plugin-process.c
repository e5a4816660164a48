/* SPDX-License-Identifier: Apache-2.0 */

/* Standard input through a plugin's DataProcessor to standard output. The plugin gets pipes of ours, and bytes are
 * carried between those and what the shell gave us. Standard output is what came out and nothing else, so what is to
 * be said about it goes to standard error. */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <gio/gunixfdlist.h>
#include <gio/gunixinputstream.h>
#include <glib-unix.h>

#include "cli/agent.h"
#include "cli/cmd-plugin.h"
#include "cli/output.h"
#include "cli/pump.h"
#include "cli/variant.h"
#include "cli/wait.h"
#include "config.h"
#include "util/json.h"

#define PIPE_ROOM (1024U * 1024U)
#define BLOCK_MAX (16U * 1024U * 1024U)

typedef struct Process {
        Cli *cli;
        GMainLoop *loop;
        Pump *feed, *drain;
        gboolean drained;
        GVariant *result;
        GError *error;
        gboolean shown; /* progress, and it is there yet */
        unsigned seconds;
} Process;

static void process_clear(Process *process) {
        pump_free(process->feed);
        pump_free(process->drain);
        g_clear_pointer(&process->result, g_variant_unref);
        g_clear_error(&process->error);
        g_clear_pointer(&process->loop, g_main_loop_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Process, process_clear)

static void fail(Process *process, const GError *error) {
        if (!process->error)
                process->error = g_error_copy(error);
        g_main_loop_quit(process->loop);
}

static void on_fed(Pump *pump, const GError *error, gpointer userdata) {
        if (error)
                fail(userdata, error);
}

static void on_drained(Pump *pump, const GError *error, gpointer userdata) {
        Process *process = userdata;

        process->drained = TRUE;
        if (error)
                fail(process, error);
        else if (process->result)
                g_main_loop_quit(process->loop);
}

/* What came before a failure may be there already; nobody waits for the rest of it. */
static void on_answer(GObject *source, GAsyncResult *result, gpointer userdata) {
        g_autoptr(GError) error = NULL;
        Process *process = userdata;

        if (!snooze_client_plugin_call_process_stream_finish(SNOOZE_CLIENT_PLUGIN(source), &process->result, NULL,
                                                             result, &error))
                fail(process, error);
        else if (process->drained)
                g_main_loop_quit(process->loop);
}

/* The agent owns the terminal while it asks for a password, and what fits into a pipe has gone there before. */
static gboolean may_be_asking(const Process *process) {
        return agent_is_running() && pump_bytes(process->feed) <= PIPE_ROOM && pump_bytes(process->drain) == 0;
}

static gboolean on_second(gpointer userdata) {
        Process *process = userdata;
        g_autofree char *in = g_format_size(pump_bytes(process->feed)),
                        *out = g_format_size(pump_bytes(process->drain));

        process->seconds++;
        if (!may_be_asking(process)) {
                g_printerr("\r%s in, %s out … %u s\033[K", in, out, process->seconds);
                process->shown = TRUE;
        }
        return G_SOURCE_CONTINUE;
}

/* Where somebody looks at a terminal on which nothing else is shown. */
static void wait_for_end_of(Process *process) {
        gboolean visible = !process->cli->json && !process->cli->terminal && isatty(STDERR_FILENO);
        unsigned timer = visible ? g_timeout_add_seconds(1, on_second, process) : 0;

        g_main_loop_run(process->loop);
        if (timer)
                g_source_remove(timer);
        if (process->shown)
                g_printerr("\r\033[K");
}

static GVariant *options_parse(char *const *pairs) {
        g_autoptr(JsonObject) options = json_object_new();

        for (char *const *pair = pairs; pair && *pair; pair++) {
                const char *value = strchr(*pair, '=');
                g_autofree char *name = value ? g_strndup(*pair, (gsize) (value - *pair)) : NULL;

                if (!name || !*name) {
                        (void) cli_usage(g_get_prgname(), "--option: expected KEY=VALUE, not “%s”", *pair);
                        return NULL;
                }
                json_object_set_member(options, name, json_of_text(value + 1));
        }
        return g_variant_ref_sink(variant_of_object(options));
}

/* Takes both descriptors, so that none is left here once the message is sent. Its time is the daemon's to watch. */
static void call(Process *process, SnoozeClientPlugin *plugin, int input, int output, GVariant *options) {
        const int ends[] = { input, output };
        g_autoptr(GUnixFDList) fds = g_unix_fd_list_new_from_array(ends, G_N_ELEMENTS(ends));

        cli_need_authorization(process->cli);
        snooze_client_plugin_call_process_stream(plugin, g_variant_new_handle(0), g_variant_new_handle(1), options,
                                                 cli_call_flags(process->cli), G_MAXINT, fds, NULL, on_answer,
                                                 process);
}

static gboolean begin(Process *process, SnoozeClientPlugin *plugin, GVariant *options, GError **error) {
        int to[2], from[2];

        if (!g_unix_open_pipe(to, FD_CLOEXEC, error))
                return FALSE;
        if (!g_unix_open_pipe(from, FD_CLOEXEC, error)) {
                (void) close(to[0]);
                (void) close(to[1]);
                return FALSE;
        }
        process->feed = pump_new(STDIN_FILENO, "Standard input", to[1], "The plugin's input",
                                 PUMP_OWNS_TO | PUMP_QUIET, on_fed, process);
        process->drain = pump_new(from[0], "The plugin's output", STDOUT_FILENO, "Standard output", PUMP_OWNS_FROM,
                                  on_drained, process);
        call(process, plugin, to[0], from[1], options);
        return TRUE;
}

static void print_json(const Process *process) {
        JsonObject *object = json_object_new();
        g_autoptr(JsonNode) node = NULL;
        g_autofree char *text = NULL;

        json_object_set_member(object, "result", json_of_variant(process->result));
        json_object_set_int_member(object, "bytes_in", (gint64) pump_bytes(process->feed));
        json_object_set_int_member(object, "bytes_out", (gint64) pump_bytes(process->drain));
        node = json_of_object(object);
        text = json_text_compact(node);
        g_printerr("%s\n", text);
}

/* All of standard input, in one piece. */
static GBytes *block_read(GError **error) {
        g_autoptr(GInputStream) input = g_unix_input_stream_new(STDIN_FILENO, FALSE);
        g_autofree char *data = g_malloc(BLOCK_MAX + 1);
        gsize size;

        if (!g_input_stream_read_all(input, data, BLOCK_MAX + 1, &size, NULL, error)) {
                g_prefix_error(error, "Standard input cannot be read: ");
                return NULL;
        }
        if (size > BLOCK_MAX) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC,
                            "Standard input has more than %u MiB: that is more than a block may have",
                            BLOCK_MAX / (1024U * 1024U));
                return NULL;
        }
        return g_bytes_new_take(g_steal_pointer(&data), size);
}

static gboolean block_write(GVariant *block, GError **error) {
        gsize size = 0;
        const char *data = g_variant_get_fixed_array(block, &size, 1);

        if (pump_write(STDOUT_FILENO, data, size))
                return TRUE;
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "Standard output cannot be written: %s",
                    g_strerror(errno));
        return FALSE;
}

static int process_block(Cli *cli, SnoozeClientPlugin *plugin) {
        g_autoptr(GVariant) output = NULL;
        g_autoptr(GBytes) input = NULL;
        g_autoptr(Wait) wait = NULL;
        GError *error = NULL;

        input = block_read(&error);
        if (!input)
                return cli_fail(cli, error);
        cli_need_authorization(cli);
        wait = wait_new(cli, "Waiting for its answer");
        snooze_client_plugin_call_process_data(plugin,
                                               g_variant_new_from_bytes(G_VARIANT_TYPE_BYTESTRING, input, TRUE),
                                               cli_call_flags(cli), G_MAXINT, NULL, wait_done, wait);
        if (!snooze_client_plugin_call_process_data_finish(plugin, &output, wait_for(wait), &error) ||
            !block_write(output, &error))
                return cli_fail(cli, error);
        return EXIT_CODE_OK;
}

static int process_stream(Cli *cli, SnoozeClientPlugin *plugin, GVariant *options) {
        g_auto(Process) process = { .cli = cli, .loop = g_main_loop_new(NULL, FALSE) };
        GError *error = NULL;

        if (!begin(&process, plugin, options, &error))
                return cli_fail(cli, error);
        wait_for_end_of(&process);
        if (process.error)
                return cli_fail(cli, g_steal_pointer(&process.error));
        if (cli->json)
                print_json(&process);
        else {
                g_autofree char *text = text_of_entries(process.result);

                g_printerr("%s", text);
        }
        return EXIT_CODE_OK;
}

static int run_plugin_process(Cli *cli, int argc, char **argv) {
        g_auto(GStrv) pairs = NULL;
        gboolean block = FALSE;
        const GOptionEntry entries[] = {
                { "option", 'o', 0, G_OPTION_ARG_STRING_ARRAY, &pairs, "For the plugin; may be given again",
                  "KEY=VALUE" },
                { "block", 'b', 0, G_OPTION_ARG_NONE, &block, "All at once, for one that takes no stream", NULL },
                { NULL },
        };
        g_autoptr(SnoozeClientPlugin) plugin = NULL;
        g_autoptr(GVariant) options = NULL;
        GError *error = NULL;
        int code;

        if (!cli_parse(cli, &verb_plugin_process,
                       "VALUE: JSON, or a bare string. What the plugin says of it goes to standard error.", entries, 0,
                       1, 1, &argc, &argv))
                return EXIT_CODE_USAGE;
        if (block && pairs)
                return cli_usage(g_get_prgname(), "--option is for a stream: not with --block");
        options = options_parse(pairs);
        if (!options)
                return EXIT_CODE_USAGE;
        /* A terminal that data is typed on is not one for a password; beside a pipe there may be one. */
        cli->interactive = !isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;
        plugin = cli_open_plugin(cli, argv[1], &error);
        if (!plugin)
                return cli_fail(cli, error);
        return block ? process_block(cli, plugin) : process_stream(cli, plugin, options);
}

const Verb verb_plugin_process = { .name = "process",
                                   .arguments = "[--option KEY=VALUE | --block] ID <INPUT >OUTPUT",
                                   .summary = "Pass data through one that processes it",
                                   .run = run_plugin_process,
                                   .here = "no pipe reaches as far" };
