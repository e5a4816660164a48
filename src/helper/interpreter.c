/* SPDX-License-Identifier: Apache-2.0 */

/* A script is run by another program, which its unit has to let be run. That of a plugin's script is ours, and runs
 * the script by a third one, once for each call. */

#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "helper/helper.h"

#define LINE_MAX_BYTES 256 /* of "#!…": what the kernel reads */
#define RUNNER "snooze-plugin-shell"
#define RUNNER_DEFAULT "/bin/sh" /* as in src/bridge/shell/main.c */

static char *first_line(const char *program) {
        _cleanup_close_ int fd = open(program, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        char buffer[LINE_MAX_BYTES];
        ssize_t n = fd >= 0 ? read(fd, buffer, sizeof(buffer) - 1) : -1;

        if (n < 2 || memcmp(buffer, "#!", 2) != 0)
                return NULL;
        buffer[n] = '\0';
        buffer[strcspn(buffer, "\n")] = '\0';
        return g_strdup(buffer + 2);
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

                if (access(path, X_OK) == 0)
                        return g_steal_pointer(&path);
        }
        return NULL;
}

/* The kernel hands over as one what follows the interpreter, and the runner takes it where it is a path. */
static char *program_of_runner(const char *rest) {
        g_autofree char *argument = g_strstrip(g_strdup(rest));

        return g_strdup(*argument == '/' ? argument : RUNNER_DEFAULT);
}

char **interpreters(const char *program) {
        g_autofree char *line = first_line(program), *second = NULL;
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
        g_auto(GStrv) words = NULL;
        char **word;

        if (!line)
                return g_strv_builder_end(builder);
        words = g_strsplit_set(line, " \t", -1);
        for (word = words; *word && !**word; word++)
                ;
        if (!*word)
                return g_strv_builder_end(builder);
        g_strv_builder_add(builder, *word);
        if (g_str_has_suffix(*word, "/env"))
                second = program_of_env(word + 1);
        else if (g_str_has_suffix(*word, "/" RUNNER))
                second = program_of_runner(strstr(line, *word) + strlen(*word));
        if (second)
                g_strv_builder_add(builder, second);
        return g_strv_builder_end(builder);
}
