/* SPDX-License-Identifier: Apache-2.0 */

/* Puts a plugin where it is found. It is read here, with the rights of whoever wants it, into a directory that anybody
 * may read; the helper takes it from there, asks polkit about the caller, and holds it against its own bounds once
 * more. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "cli/cmd-plugin.h"
#include "cli/helper.h"
#include "cli/output.h"
#include "cli/wait.h"
#include "config.h"
#include "util/json.h"
#include "util/tree.h"
#include "util/version.h"

#define STAGED "plugin"
#define MESSAGE_MAX 4096

typedef struct Staging {
        char *path;    /* of a directory of our own; NULL: none */
        char *content; /* below it: what is to be installed */
} Staging;

static void staging_clear(Staging *staging) {
        g_autofree char *parent = staging->path ? g_path_get_dirname(staging->path) : NULL;
        g_autofree char *name = staging->path ? g_path_get_basename(staging->path) : NULL;
        _cleanup_close_ int fd = parent ? open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

        if (fd >= 0)
                (void) tree_remove(fd, name, NULL);
        g_free(staging->path);
        g_free(staging->content);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Staging, staging_clear)

static gboolean fail(GError **error, const char *path, int number) {
        g_set_error(error, G_FILE_ERROR, (gint) g_file_error_from_errno(number), "%s: %s", path, g_strerror(number));
        return FALSE;
}

static gboolean staging_begin(Staging *staging, GError **error) {
        staging->path = g_dir_make_tmp("snooze-install-XXXXXX", error);
        if (!staging->path)
                return FALSE;
        staging->content = g_build_filename(staging->path, STAGED, NULL);
        /* Whatever the umask: the helper is root without the right to read what is not everybody's. */
        if (mkdir(staging->content, 0755) < 0 || chmod(staging->content, 0755) < 0)
                return fail(error, staging->content, errno);
        return TRUE;
}

static gboolean stage_directory(const Staging *staging, int source, GError **error) {
        _cleanup_close_ int fd = open(staging->content, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        TreeWriter writer = { .directory = fd };

        return fd >= 0 ? tree_copy(source, 0, &writer, error) : fail(error, staging->content, errno);
}

static char *read_message(int fd) {
        g_autofree char *text = g_malloc0(MESSAGE_MAX + 1);
        size_t length = 0;
        ssize_t n;

        while (length < MESSAGE_MAX &&
               ((n = read(fd, text + length, MESSAGE_MAX - length)) > 0 || (n < 0 && errno == EINTR)))
                length += n > 0 ? (size_t) n : 0;
        return g_strdup(g_strstrip(text));
}

static gboolean stage_archive(const Staging *staging, int source, GError **error) {
        g_autofree char *program = cli_program_path("snooze-unpack"), *said = NULL;
        const char *const argv[] = { program, staging->content, NULL };
        _cleanup_close_ int messages = -1;
        int status;
        GPid pid;

        if (!g_file_test(program, G_FILE_TEST_IS_EXECUTABLE)) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSYS,
                            "CloudSnooze was built without libarchive: unpack the archive, and give the directory");
                return FALSE;
        }
        if (!g_spawn_async_with_pipes_and_fds(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, source, -1, -1,
                                              NULL, NULL, 0, &pid, NULL, NULL, &messages, error))
                return FALSE;
        said = read_message(messages);
        if (waitpid(pid, &status, 0) < 0)
                return fail(error, program, errno);
        if (g_spawn_check_wait_status(status, NULL))
                return TRUE;
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s",
                    *said ? said : "the archive takes too much time or memory");
        return FALSE;
}

/* Archives often have all of it in one directory. */
static char *only_directory(const char *path) {
        g_autoptr(GDir) list = g_dir_open(path, 0, NULL);
        g_autofree char *manifest = g_build_filename(path, "plugin.json", NULL), *below = NULL, *inner = NULL;
        const char *name = list ? g_dir_read_name(list) : NULL;

        if (!name || g_file_test(manifest, G_FILE_TEST_EXISTS))
                return NULL;
        below = g_build_filename(path, name, NULL);
        inner = g_build_filename(below, "plugin.json", NULL);
        if (g_dir_read_name(list) || g_file_test(below, G_FILE_TEST_IS_SYMLINK) ||
            !g_file_test(inner, G_FILE_TEST_EXISTS))
                return NULL;
        return g_steal_pointer(&below);
}

static gboolean stage(Staging *staging, const char *source, GError **error) {
        _cleanup_close_ int fd = open(source, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        struct stat st;
        char *inner;

        if (fd < 0 || fstat(fd, &st) < 0)
                return fail(error, source, errno);
        if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s: expected a directory or an archive", source);
                return FALSE;
        }
        if (!staging_begin(staging, error))
                return FALSE;
        if (S_ISDIR(st.st_mode))
                return stage_directory(staging, fd, error);
        if (!stage_archive(staging, fd, error))
                return FALSE;
        inner = only_directory(staging->content);
        if (inner) {
                g_free(staging->content);
                staging->content = inner;
        }
        return TRUE;
}

/* What an earlier one left, if it did, and is this one's. */
typedef enum Kept {
        KEPT_NOTHING,
        KEPT_BY_DAEMON, /* all that the helper does not remove */
        KEPT_ALL,
} Kept;

typedef struct Outcome {
        char *id, *version, *current;
        gboolean changed;
        char *unapproved; /* "": all that it asks for is */
        Kept kept;
} Outcome;

static void outcome_clear(Outcome *outcome) {
        g_free(outcome->id);
        g_free(outcome->version);
        g_free(outcome->current);
        g_free(outcome->unapproved);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Outcome, outcome_clear)

static gboolean look_at_permissions(Cli *cli, Outcome *outcome, GError **error) {
        g_autoptr(GVariant) reply = NULL, permissions = NULL;
        g_autoptr(GString) list = g_string_new(NULL);
        const char *permission;
        gboolean approved;
        GVariantIter iter;

        reply = helper_call(cli, "ListVersionPermissions", g_variant_new("(ss)", outcome->id, outcome->version),
                            "(sa(sbs)as)", error);
        if (!reply)
                return FALSE;
        g_variant_get(reply, "(s@a(sbs)@as)", NULL, &permissions, NULL);
        g_variant_iter_init(&iter, permissions);
        while (g_variant_iter_next(&iter, "(&sb&s)", &permission, &approved, NULL))
                if (!approved)
                        g_string_append_printf(list, "%s%s", list->len > 0 ? ", " : "", permission);
        outcome->unapproved = g_string_free(g_steal_pointer(&list), FALSE);
        return TRUE;
}

/* What plugin.json says; "": what cannot be one. What is wrong with it the helper tells best itself. */
typedef struct Claim {
        char *id, *version;
} Claim;

static void claim_clear(Claim *claim) {
        g_free(claim->id);
        g_free(claim->version);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Claim, claim_clear)

static void claim_read(const Staging *staging, Claim *ret) {
        g_autofree char *path = g_build_filename(staging->content, "plugin.json", NULL);
        g_autoptr(JsonNode) root = json_file_parse(path, NULL);
        JsonObject *manifest = root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
        const char *id = manifest ? json_get_string(manifest, "name", "") : "",
                   *version = manifest ? json_get_string(manifest, "version", "") : "";

        *ret = (Claim) { g_strdup(plugin_id_valid(id) ? id : ""), g_strdup(version_valid(version) ? version : "") };
}

/* Whoever is to authenticate reads what comes; the helper refuses something else. */
static GVariant *claim_options(const Claim *claim) {
        GVariantBuilder options;

        g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
        if (*claim->id)
                g_variant_builder_add(&options, "{sv}", "id", g_variant_new_string(claim->id));
        if (*claim->version)
                g_variant_builder_add(&options, "{sv}", "version", g_variant_new_string(claim->version));
        return g_variant_builder_end(&options);
}

/* One that is there in any form, broken too, is no newcomer. FALSE with *error: nobody knows. */
static gboolean look_for(Cli *cli, const char *id, gboolean *ret_there, GError **error) {
        g_autoptr(GError) e = NULL;
        g_autoptr(GVariant) reply = helper_call(cli, "ListPermissions", g_variant_new("(s)", id), "(sba(sbs)as)", &e);

        *ret_there = reply || snooze_client_error_is(e, "InvalidConfiguration");
        if (*ret_there || snooze_client_error_is(e, "NoSuchPlugin"))
                return TRUE;
        g_propagate_error(error, g_steal_pointer(&e));
        return FALSE;
}

/* Who may install, and not manage. Who may neither hears it of what he asked for. */
static gboolean is_refusal(const GError *error) {
        g_autofree char *name = g_dbus_error_get_remote_error(error);

        return g_strcmp0(name, "org.freedesktop.DBus.Error.AccessDenied") == 0 ||
                g_strcmp0(name, "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired") == 0;
}

/* TRUE: who may not is told of it afterwards. */
static gboolean pass_refusal(GError *e, Kept *ret_kept, GError **error) {
        if (!is_refusal(e)) {
                g_propagate_error(error, e);
                return FALSE;
        }
        g_error_free(e);
        *ret_kept = KEPT_ALL;
        return TRUE;
}

/* Of one whose files somebody removed, and that was not uninstalled: that it is enabled, what it may do, what it knew
 * and what was configured for it are not the next one's, who may be somebody else. Where the daemon does not run, that
 * holds for what the helper keeps: what it may do, its user and its directories. */
static gboolean forget_earlier(Cli *cli, const char *id, Kept *ret_kept, int *ret_code, GError **error) {
        gboolean there = FALSE, running = snooze_client_is_running(cli->bus);
        g_autoptr(GVariant) reply = NULL;
        GError *e = NULL;

        if (!*id)
                return TRUE;
        if (!look_for(cli, id, &there, error))
                return FALSE;
        if (there)
                return TRUE;
        if (running) {
                *ret_code = cli_connect(cli);
                if (*ret_code != EXIT_CODE_OK)
                        return FALSE;
                if (!plugin_forget(cli, id, &e))
                        return pass_refusal(e, ret_kept, error);
        }
        reply = helper_call(cli, "Deprovision", g_variant_new("(s)", id), "()", &e);
        if (!reply)
                return pass_refusal(e, ret_kept, error);
        *ret_kept = running ? KEPT_NOTHING : KEPT_BY_DAEMON;
        plugin_tell_left(cli, id, "this one");
        return TRUE;
}

static gboolean install(Cli *cli, const Staging *staging, const Claim *claim, Outcome *outcome, GError **error) {
        _cleanup_close_ int fd = open(staging->content, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        g_autoptr(GVariant) reply = NULL;

        if (fd < 0)
                return fail(error, staging->content, errno);
        reply = helper_call_with_fd(cli, "Install", g_variant_new("(h@a{sv})", 0, claim_options(claim)), fd, "(sssb)",
                                    error);
        if (!reply)
                return FALSE;
        g_variant_get(reply, "(sssb)", &outcome->id, &outcome->version, &outcome->current, &outcome->changed);
        return look_at_permissions(cli, outcome, error);
}

static int tell(const Cli *cli, const Outcome *outcome) {
        gboolean first = g_str_equal(outcome->version, outcome->current);
        JsonObject *object;

        if (cli->json) {
                object = json_object_new();
                json_object_set_string_member(object, "id", outcome->id);
                json_object_set_string_member(object, "version", outcome->version);
                json_object_set_string_member(object, "current", outcome->current);
                json_object_set_boolean_member(object, "changed", outcome->changed);
                json_print(json_of_object(object));
                return EXIT_CODE_OK;
        }
        g_print(outcome->changed ? "Installed %s %s.\n" : "%s %s was installed already.\n", outcome->id,
                outcome->version);
        if (*outcome->unapproved)
                g_print("It asks for what nobody has approved: %s; sudo " SNOOZE_COMMAND
                        " plugin permissions %s%s%s\n",
                        outcome->unapproved, outcome->id, first ? "" : " --version ", first ? "" : outcome->version);
        if (!first)
                g_print("Version %s stays the one that runs until: sudo " SNOOZE_COMMAND " plugin update %s %s\n",
                        outcome->current, outcome->id, outcome->version);
        else if (outcome->changed && outcome->kept == KEPT_ALL)
                g_print("What an earlier plugin of this name left, if there was one, is this one's, for you may not "
                        "remove it: whether it runs, what it may do and knows. To see: %s plugin info %s\n",
                        cli_command(cli), outcome->id);
        else if (outcome->changed && outcome->kept == KEPT_BY_DAEMON)
                g_print("snoozed does not run. What an earlier plugin of this name left with it, if there was one, is "
                        "this one's: whether it runs, what it knows and what was configured for it. To have it "
                        "forgotten: start snoozed; sudo " SNOOZE_COMMAND " plugin uninstall %s; install it again.\n"
                        "If there was none it does not run until: sudo " SNOOZE_COMMAND " plugin enable %s\n",
                        outcome->id, outcome->id);
        else if (outcome->changed)
                g_print("It does not run until: sudo " SNOOZE_COMMAND " plugin enable %s\n", outcome->id);
        return EXIT_CODE_OK;
}

static int run_plugin_install(Cli *cli, int argc, char **argv) {
        g_auto(Staging) staging = {};
        g_auto(Outcome) outcome = {};
        g_auto(Claim) claim = {};
        int code = EXIT_CODE_OK;
        GError *error = NULL;

        if (!cli_parse(cli, &verb_plugin_install,
                       "SOURCE is a directory or a tar archive, with a plugin.json at its top. It becomes one more "
                       "version of the plugin.",
                       NULL, 0, 1, 1, &argc, &argv))
                return EXIT_CODE_USAGE;
        if (!stage(&staging, argv[1], &error) || !cli_open_bus(cli, &error))
                return cli_fail(cli, error);
        cli_need_authorization(cli);
        claim_read(&staging, &claim);
        if (!forget_earlier(cli, claim.id, &outcome.kept, &code, &error))
                return error ? cli_fail(cli, error) : code;
        if (!install(cli, &staging, &claim, &outcome, &error))
                return cli_fail(cli, error);
        /* Also where it was installed already: nobody may have looked since. */
        plugin_discover(cli);
        return tell(cli, &outcome);
}

const Verb verb_plugin_install = { "install", "SOURCE", "Install a version from a directory or an archive",
                                   run_plugin_install, "the helper takes over files of its own machine" };
