/* SPDX-License-Identifier: Apache-2.0 */

#include "checks.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "run/program.h"

#define SECONDS_MAX 20

void check_free(void *data) {
        Check *check = data;

        g_free(check->name);
        g_strfreev(check->arguments);
        g_free(check->problem);
        g_free(check);
}

static gboolean name_valid(const char *name) {
        size_t length = strlen(name);

        return length > 0 && length <= CHECK_NAME_MAX && g_ascii_isalnum(name[0]) &&
                strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == length;
}

static gboolean fail(GError **error, const char *format, ...) __attribute__((format(printf, 2, 3)));

static gboolean fail(GError **error, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        g_propagate_error(error, g_error_new_valist(G_FILE_ERROR, G_FILE_ERROR_FAILED, format, ap));
        va_end(ap);
        return FALSE;
}

static void take_problem(Check *check, GError *error) {
        g_free(check->problem);
        check->problem = g_strdup(error->message);
        g_error_free(error);
}

/* A second look, at each round: files change. */
static void examine(Check *check, uid_t also) {
        GError *error = NULL;
        char *resolved = program_trusted(check->arguments[0], also, &error);

        if (!resolved) {
                take_problem(check, error);
                return;
        }
        g_free(check->arguments[0]);
        check->arguments[0] = resolved;
}

/* What editors and package managers leave beside the file that is meant. */
static gboolean is_leftover(const char *name) {
        static const char *const endings[] = { "~",          ".bak",      ".swp",     ".dpkg-old", ".dpkg-new",
                                               ".dpkg-dist", ".dpkg-tmp", ".rpmsave", ".rpmorig",  ".rpmnew",
                                               ".ucf-old",   ".ucf-new",  ".ucf-dist" };

        for (size_t i = 0; i < G_N_ELEMENTS(endings); i++)
                if (g_str_has_suffix(name, endings[i]))
                        return TRUE;
        return FALSE;
}

static gboolean is_check(const char *path) {
        struct stat st;

        /* A link to nothing was meant as one. */
        if (stat(path, &st) < 0)
                return lstat(path, &st) >= 0 && S_ISLNK(st.st_mode);
        return S_ISREG(st.st_mode) && st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH);
}

static gboolean add_file(GPtrArray *checks, const char *directory, const char *name, GError **error) {
        g_autofree char *path = g_build_filename(directory, name, NULL), *shown = NULL;
        Check *check;

        if (name[0] == '.' || is_leftover(name) || !is_check(path))
                return TRUE;
        shown = g_utf8_make_valid(name, -1);
        if (!name_valid(name))
                return fail(error, "%s/%s: the name of a check has letters, digits and ._-, at most %u", directory,
                            shown, CHECK_NAME_MAX);
        if (checks->len >= CHECKS_MAX)
                return fail(error, "%s has more than %u checks", directory, CHECKS_MAX);
        check = g_new0(Check, 1);
        check->name = g_strdup(name);
        check->arguments = g_new0(char *, 2);
        check->arguments[0] = g_steal_pointer(&path);
        g_ptr_array_add(checks, check);
        return TRUE;
}

static gboolean add_directory(GPtrArray *checks, const char *directory, uid_t also, GError **error) {
        _cleanup_(closedirp) DIR *handle = opendir(directory);
        g_autofree char *resolved = NULL;
        struct dirent *entry;

        if (!handle)
                return errno == ENOENT ? TRUE : fail(error, "%s: %s", directory, g_strerror(errno));
        resolved = path_trusted(directory, also, error);
        if (!resolved)
                return FALSE;
        for (errno = 0; (entry = readdir(handle)); errno = 0)
                if (!add_file(checks, directory, entry->d_name, error))
                        return FALSE;
        return errno == 0 ? TRUE : fail(error, "%s: %s", directory, g_strerror(errno));
}

static int compare_names(const void *a, const void *b) {
        const Check *const *left = a, *const *right = b;

        return strcmp((*left)->name, (*right)->name);
}

static Check *find(const GPtrArray *checks, const char *name) {
        for (guint i = 0; i < checks->len; i++) {
                Check *check = g_ptr_array_index(checks, i);

                if (g_str_equal(check->name, name))
                        return check;
        }
        return NULL;
}

static gboolean add_configured(GPtrArray *checks, const GPtrArray *configured, GError **error) {
        for (guint i = 0; configured && i < configured->len; i++) {
                const Check *wanted = g_ptr_array_index(configured, i);
                Check *check = find(checks, wanted->name);

                if (check) {
                        check->problem =
                                g_strdup("two checks have this name: a file, and one of the setting commands");
                        continue;
                }
                if (checks->len >= CHECKS_MAX)
                        return fail(error, "there are more than %u checks", CHECKS_MAX);
                check = g_new0(Check, 1);
                *check = (Check) { g_strdup(wanted->name), g_strdupv(wanted->arguments), wanted->timeout, NULL };
                g_ptr_array_add(checks, check);
        }
        return TRUE;
}

GPtrArray *checks_list(const char *directory, const GPtrArray *configured, uid_t also, GError **error) {
        g_autoptr(GPtrArray) checks = g_ptr_array_new_with_free_func(check_free);

        if (!add_directory(checks, directory, also, error) || !add_configured(checks, configured, error))
                return NULL;
        for (guint i = 0; i < checks->len; i++) {
                Check *check = g_ptr_array_index(checks, i);

                if (!check->problem)
                        examine(check, also);
        }
        g_ptr_array_sort(checks, compare_names);
        return g_steal_pointer(&checks);
}

/* NAME[:SECONDS] */
static gboolean parse_head(Check *check, const char *text, char *head, GError **error) {
        char *colon = strchr(head, ':');
        guint64 seconds;

        if (colon) {
                *colon = '\0';
                if (!g_ascii_string_to_unsigned(colon + 1, 10, 1, SECONDS_MAX, &seconds, NULL))
                        return fail(error, "“%s”: expected 1 to %d seconds behind the name", text, SECONDS_MAX);
                check->timeout = seconds * USEC_PER_SEC;
        }
        if (!name_valid(head))
                return fail(error,
                            "“%s”: expected NAME[:SECONDS]=PROGRAM, the name of letters, digits and ._-, at most %u",
                            text, CHECK_NAME_MAX);
        check->name = g_strdup(head);
        return TRUE;
}

Check *check_parse(const char *text, GError **error) {
        const char *equals = strchr(text, '=');
        g_autofree char *head = equals ? g_strndup(text, (gsize) (equals - text)) : g_strdup("");
        Check *check = g_new0(Check, 1);
        GError *quoting = NULL;
        gboolean good;

        good = parse_head(check, text, head, error);
        if (good && !g_shell_parse_argv(equals + 1, NULL, &check->arguments, &quoting)) {
                good = fail(error, "“%s”: %s", text, quoting->message);
                g_error_free(quoting);
        }
        if (good && check->arguments[0][0] != '/')
                good = fail(error, "“%s”: expected the program's absolute path behind =", text);
        /* Whoever may configure this plugin is not root: with arguments of his choice every interpreter of root's runs
         * what he likes. */
        if (good && check->arguments[1])
                good = fail(
                        error,
                        "“%s”: expected a program without arguments: what it needs belongs into a script of root's",
                        text);
        if (!good) {
                check_free(check);
                return NULL;
        }
        return check;
}
