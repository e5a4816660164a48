/* SPDX-License-Identifier: Apache-2.0 */

/* A script is run by another program, which its unit has to let be run. That of a plugin's script is ours, and runs
 * the script by a third one, once for each call. What runs a script may be one itself.
 *
 * Nobody approves that program by itself. So the line that names it counts only where root alone could have written
 * it, or whoever may change the script would change what is granted; and it has to name a program that root alone can
 * replace: a directory in its place would be everything below it. */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "helper/helper.h"
#include "manifest/permission.h"

#define LINE_MAX_BYTES 256 /* of "#!…": what the kernel reads */
#define INTERPRETERS_MAX 8U  /* more than the kernel takes one after the other */
#define RUNNER "snooze-plugin-shell"
#define RUNNER_DEFAULT "/bin/sh" /* as in src/bridge/shell/main.c */

/* A device, say, is not even opened: somebody else may say what lies there, or what a link points to. Nor is it waited
 * for the owner of a file who has a lease on it: the kernel gives him 45 s. */
static int open_regular(const char *program) {
        _cleanup_close_ int there = open(program, O_PATH | O_CLOEXEC);
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", there);
        struct stat st;

        return there >= 0 && fstat(there, &st) == 0 && S_ISREG(st.st_mode)
                       ? open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
                       : -1;
}

static char *first_line(const char *program) {
        _cleanup_close_ int fd = open_regular(program);
        char buffer[LINE_MAX_BYTES];
        ssize_t n = fd >= 0 ? read(fd, buffer, sizeof(buffer) - 1) : -1;

        if (n < 2 || memcmp(buffer, "#!", 2) != 0)
                return NULL;
        buffer[n] = '\0';
        buffer[strcspn(buffer, "\n")] = '\0';
        return g_strdup(buffer + 2);
}

/* access(2) would ask whether the helper itself may run it, which may run nothing. */
static gboolean is_program(const char *path) {
        struct stat st;

        return stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH);
}

/* As env(1) looks for it in the PATH that systemd gives to services. */
static char *program_of_env(char *const *words) {
        static const char *const directories[] = { "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin" };

        while (*words && (!**words || (*words)[0] == '-' || strchr(*words, '=')))
                words++;
        if (!*words || strchr(*words, '/'))
                return g_strdup(*words);
        for (size_t i = 0; i < G_N_ELEMENTS(directories); i++) {
                g_autofree char *path = g_build_filename(directories[i], *words, NULL);

                if (is_program(path))
                        return g_steal_pointer(&path);
        }
        return NULL;
}

/* The kernel hands over as one what follows the interpreter, and the runner takes it where it is a path. */
static char *program_of_runner(const char *rest) {
        g_autofree char *argument = g_strstrip(g_strdup(rest));

        return g_strdup(*argument == '/' ? argument : RUNNER_DEFAULT);
}

/* Takes the name. */
static void add(const Places *places, GPtrArray *list, char *name) {
        if (name && is_program(name) && place_leads_to_roots(places, name) &&
            !g_ptr_array_find_with_equal_func(list, name, g_str_equal, NULL))
                g_ptr_array_add(list, name);
        else
                g_free(name);
}

static void add_interpreters(const Places *places, GPtrArray *list, const char *program) {
        g_autofree char *line = place_leads_to_roots(places, program) ? first_line(program) : NULL;
        g_auto(GStrv) words = NULL;
        char **word;

        if (!line)
                return;
        words = g_strsplit_set(line, " \t", -1);
        for (word = words; *word && !**word; word++)
                ;
        if (!*word)
                return;
        add(places, list, g_strdup(*word));
        if (g_str_has_suffix(*word, "/env"))
                add(places, list, program_of_env(word + 1));
        else if (g_str_has_suffix(*word, "/" RUNNER))
                add(places, list, program_of_runner(strstr(line, *word) + strlen(*word)));
}

char **interpreters(const Places *places, const char *program) {
        g_autoptr(GPtrArray) list = g_ptr_array_new();

        add_interpreters(places, list, program);
        for (guint i = 0; i < list->len && list->len < INTERPRETERS_MAX; i++)
                add_interpreters(places, list, g_ptr_array_index(list, i));
        g_ptr_array_add(list, NULL);
        return (char **) g_ptr_array_free(g_steal_pointer(&list), FALSE);
}

/* The root of tests is not part of what is asked for. */
static gboolean may_be_asked_for(const Places *places, const char *path) {
        gboolean below = g_str_has_prefix(path, places->root);
        g_autofree char *permission = g_strconcat("exec:", path + (below ? strlen(places->root) : 0), NULL);

        return !permission_problem(permission);
}

char **interpreters_granted(const Places *places, const char *program) {
        g_autofree char *real = place_path(places, program);
        g_auto(GStrv) all = interpreters(places, real);
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

        for (char **one = all; *one; one++)
                if (may_be_asked_for(places, *one))
                        g_strv_builder_add(builder, *one);
        return g_strv_builder_end(builder);
}
