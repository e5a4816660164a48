/* SPDX-License-Identifier: Apache-2.0 */

/* `snooze plugin new`: a plugin to begin with, copied from one of the templates below /usr/share. In names and texts
 * @id@ and what else stands in `variables` is filled in. */

#include "cli/cmd-plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "base/names.h"
#include "util/file.h"

#define FILE_SIZE_MAX (256U * 1024U)

/* What stands in the templates, name and value after the other, NULL. */
typedef struct Variables {
        char *pairs[9];
} Variables;

/* In the build tree they lie beside us. */
static char *templates_directory(void) {
        g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
        g_autofree char *directory = self ? g_path_get_dirname(self) : NULL;
        g_autofree char *built = directory ? g_build_filename(directory, "templates", NULL) : NULL;

        if (built && g_str_has_suffix(directory, "/src/cli") && g_file_test(built, G_FILE_TEST_IS_DIR))
                return g_steal_pointer(&built);
        return g_strdup(PKGDATADIR "/templates");
}

static char *fill(const char *text, const Variables *variables) {
        GString *filled = g_string_new(text);

        for (char *const *pair = variables->pairs; *pair; pair += 2)
                g_string_replace(filled, pair[0], pair[1], 0);
        return g_string_free(filled, FALSE);
}

/* One file or directory of a template. */
typedef struct Copy {
        char *from, *to;
        gboolean directory;
} Copy;

static void copy_free(Copy *copy) {
        g_free(copy->from);
        g_free(copy->to);
        g_free(copy);
}

static gboolean fail(const char *path, GError **error) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "%s: %s", path, g_strerror(errno));
        return FALSE;
}

/* A directory before what is in it. */
static gboolean find_copies(const char *source, const char *target, const Variables *variables, GPtrArray *copies,
                            GError **error) {
        g_autoptr(GDir) directory = g_dir_open(source, 0, error);
        const char *name;

        if (!directory)
                return FALSE;
        while ((name = g_dir_read_name(directory))) {
                g_autofree char *filled = fill(name, variables);
                Copy *copy = g_new0(Copy, 1);

                copy->from = g_build_filename(source, name, NULL);
                copy->to = g_build_filename(target, filled, NULL);
                copy->directory = g_file_test(copy->from, G_FILE_TEST_IS_DIR);
                g_ptr_array_add(copies, copy);
                if (copy->directory && !find_copies(copy->from, copy->to, variables, copies, error))
                        return FALSE;
        }
        return TRUE;
}

/* With some ids two of them would have one name. */
static gboolean has_collision(GPtrArray *copies) {
        g_autoptr(GHashTable) paths = g_hash_table_new(g_str_hash, g_str_equal);

        for (guint i = 0; i < copies->len; i++) {
                const Copy *copy = g_ptr_array_index(copies, i);

                if (!g_hash_table_add(paths, copy->to))
                        return TRUE;
        }
        return FALSE;
}

/* Never onto what came there meanwhile. */
static gboolean create_file(const char *path, const char *text, mode_t mode, GError **error) {
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        size_t length = strlen(text);
        gboolean written = TRUE;

        if (fd < 0)
                return fail(path, error);
        while (length > 0 && written) {
                ssize_t n = TEMP_FAILURE_RETRY(write(fd, text, length));

                written = n >= 0;
                length -= n > 0 ? (size_t) n : 0;
                text += n > 0 ? n : 0;
        }
        if (!written)
                (void) fail(path, error);
        if (close(fd) < 0 && written)
                written = fail(path, error);
        return written;
}

static gboolean copy_one(const Copy *copy, const Variables *variables, GError **error) {
        g_autofree char *text = NULL, *filled = NULL;
        struct stat st;

        if (copy->directory)
                return mkdir(copy->to, 0755) == 0 || fail(copy->to, error);
        if (stat(copy->from, &st) < 0)
                return fail(copy->from, error);
        if (!file_read(copy->from, FILE_SIZE_MAX, &text, NULL, error))
                return FALSE;
        filled = fill(text, variables);
        return create_file(copy->to, filled, st.st_mode & 0111 ? 0755 : 0644, error);
}

static gboolean copy_all(GPtrArray *copies, const char *target, const Variables *variables, GError **error) {
        if (g_mkdir_with_parents(target, 0755) < 0)
                return fail(target, error);
        for (guint i = 0; i < copies->len; i++)
                if (!copy_one(g_ptr_array_index(copies, i), variables, error))
                        return FALSE;
        return TRUE;
}

static gboolean is_empty(const char *path) {
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);

        return !directory || !g_dir_read_name(directory);
}

/* "backup-lock" → "Backup lock" */
static char *title_of(const char *id) {
        char *title = g_strdup(id);

        g_strdelimit(title, "-", ' ');
        *title = g_ascii_toupper(*title);
        return title;
}

static void variables_clear(Variables *variables) {
        for (char **p = variables->pairs; *p; p++)
                g_free(*p);
}

static void variables_init(Variables *variables, const char *id) {
        g_autofree char *runner = cli_program_path("snooze-plugin-shell"),
                        *word = g_strdelimit(g_strdup(id), "-", '_');

        *variables = (Variables){ .pairs = { g_strdup("@id@"), g_strdup(id), g_strdup("@word@"),
                                             g_steal_pointer(&word), g_strdup("@title@"), title_of(id),
                                             g_strdup("@runner@"), g_steal_pointer(&runner), NULL } };
}

/* Names that meson keeps for targets of its own, so that no program of the C template can be called so. */
static const char *const meson_targets[] = { "all",         "benchmark",    "clean",         "clean-ctlist",
                                             "clean-gcda",  "clean-gcno",   "coverage",      "coverage-html",
                                             "coverage-text", "coverage-xml", "dist",        "distcheck",
                                             "install",     "phony",        "reconfigure",   "scan-build",
                                             "test",        "uninstall",    NULL };

static int create(Cli *cli, const char *template, const char *id, const char *target) {
        g_autofree char *templates = templates_directory(), *source = g_build_filename(templates, template, NULL),
                        *sentence = NULL;
        g_autoptr(GPtrArray) copies = g_ptr_array_new_with_free_func((GDestroyNotify) copy_free);
        GError *error = NULL;
        Variables variables;
        gboolean copied, twice;

        variables_init(&variables, id);
        copied = find_copies(source, target, &variables, copies, &error);
        twice = copied && has_collision(copies);
        if (copied && !twice)
                copied = copy_all(copies, target, &variables, &error);
        variables_clear(&variables);
        if (!copied)
                return cli_fail(cli, error);
        if (twice)
                return cli_usage(SNOOZE_COMMAND " plugin new",
                                 "%s cannot be its name: the template %s has a file or a directory %s beside the "
                                 "program; name it by --id",
                                 id, template, id);
        sentence = g_strdup_printf("%s is in %s; its README.md says how to go on.", id, target);
        return cli_done(cli, sentence);
}

static int run_plugin_new(Cli *cli, int argc, char **argv) {
        static const char *const known[] = { "c", "python", "shell", NULL };
        g_autofree char *template = NULL, *id = NULL;
        const GOptionEntry entries[] = {
                { "template", 't', 0, G_OPTION_ARG_STRING, &template, "c (the default), python or shell", "LANGUAGE" },
                { "id", 0, 0, G_OPTION_ARG_STRING, &id, "Its name, if not the directory's", "ID" },
                { NULL },
        };

        if (!cli_parse(cli, &verb_plugin_new, "Writes a plugin to begin with: source, manifest, README and tests.",
                       entries, 0, 1, 1, &argc, &argv))
                return EXIT_CODE_USAGE;
        if (!template)
                template = g_strdup("c");
        if (!id)
                id = g_path_get_basename(argv[1]);
        if (!g_strv_contains(known, template))
                return cli_usage(SNOOZE_COMMAND " plugin new", "there is no template %s: c, python or shell",
                                 template);
        if (!plugin_id_valid(id))
                return cli_usage(SNOOZE_COMMAND " plugin new", "%s cannot be its name: expected " PLUGIN_ID_EXPECTED,
                                 id);
        if (g_str_equal(template, "c") && (g_strv_contains(meson_targets, id) || g_str_has_prefix(id, "meson-")))
                return cli_usage(SNOOZE_COMMAND " plugin new",
                                 "%s cannot be its name: meson, which builds the template c, has a target of that "
                                 "name; name it by --id",
                                 id);
        if (!is_empty(argv[1]))
                return cli_usage(SNOOZE_COMMAND " plugin new", "%s is not empty", argv[1]);
        return create(cli, template, id, argv[1]);
}

const Verb verb_plugin_new = { "new", "[--template c|python|shell] [--id ID] DIRECTORY", "Begin to write one",
                               run_plugin_new, "it writes files" };
