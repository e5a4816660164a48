/* SPDX-License-Identifier: Apache-2.0 */

#include "patterns.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>

#include "util/number.h"

#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

static regex_t *regex_done(regex_t *regex) {
        if (regex) {
                regfree(regex);
                g_free(regex);
        }
        return NULL;
}

void pattern_free(Pattern *pattern) {
        if (!pattern)
                return;
        g_free(pattern->name);
        pattern->process = regex_done(pattern->process);
        pattern->cmdline = regex_done(pattern->cmdline);
        g_free(pattern->owner);
        g_free(pattern);
}

static void pattern_done(void *pattern) {
        pattern_free(pattern);
}

static gboolean fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

static gboolean fail(GError **error, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        g_propagate_error(error, g_error_new_valist(G_FILE_ERROR, G_FILE_ERROR_INVAL, format, arguments));
        va_end(arguments);
        return FALSE;
}

static gboolean parse_regex(const char *text, const char *word, const char *value, regex_t **location,
                            GError **error) {
        g_autofree regex_t *regex = g_new0(regex_t, 1);
        char problem[128];
        int r;

        if (*location || *value == '\0' || strlen(value) > PATTERN_REGEX_MAX)
                return fail(error, "“%s”: %s= once, with 1 to %u bytes", text, word, PATTERN_REGEX_MAX);
        r = regcomp(regex, value, REG_EXTENDED | REG_NOSUB);
        if (r != 0) {
                regerror(r, regex, problem, sizeof(problem));
                return fail(error, "“%s”: %s= is no regular expression: %s", text, word, problem);
        }
        *location = g_steal_pointer(&regex);
        return TRUE;
}

static gboolean parse_cpu(const char *text, const char *value, double *ret, GError **error) {
        g_autofree char *number = g_strdup(value);

        if (g_str_has_suffix(number, "%"))
                number[strlen(number) - 1] = '\0';
        if (!number_parse(number, ret) || !(*ret > 0 && *ret <= 100000))
                return fail(error, "“%s”: cpu= takes percent of one CPU, above 0", text);
        return TRUE;
}

static gboolean parse_word(const char *text, const char *word, Pattern *pattern, PatternWord other, void *userdata,
                           GError **error) {
        if (g_str_has_prefix(word, "name="))
                return parse_regex(text, "name", word + strlen("name="), &pattern->process, error);
        if (g_str_has_prefix(word, "cmdline="))
                return parse_regex(text, "cmdline", word + strlen("cmdline="), &pattern->cmdline, error);
        if (g_str_has_prefix(word, "cpu="))
                return parse_cpu(text, word + strlen("cpu="), &pattern->cpu, error);
        if (!g_str_has_prefix(word, "owner=") && other)
                return other(text, word, userdata, error);
        if (!g_str_has_prefix(word, "owner="))
                return fail(error, "“%s”: expected name=, cmdline=, owner= or cpu=, not “%s”", text, word);
        word += strlen("owner=");
        if (pattern->owner || *word == '\0')
                return fail(error, "“%s”: owner= once, with a user", text);
        pattern->owner = g_strdup(word);
        return TRUE;
}

static gboolean parse(const char *text, Pattern *pattern, PatternWord other, void *userdata, GError **error) {
        const char *colon = strchr(text, ':');
        g_auto(GStrv) words = NULL;
        g_autoptr(GError) e = NULL;

        pattern->name = g_strndup(text, colon ? (gsize) (colon - text) : 0);
        if (!g_ascii_isalnum(pattern->name[0]) || strlen(pattern->name) > PATTERN_NAME_MAX ||
            pattern->name[strspn(pattern->name, NAME_CHARACTERS)])
                return fail(error,
                            "“%s”: expected NAME: before what it is about, of letters, digits and ._-, at most %u",
                            text, PATTERN_NAME_MAX);
        if (!g_shell_parse_argv(colon + 1, NULL, &words, &e))
                return fail(error, "“%s”: %s", text, e->message);
        for (guint i = 0; words[i]; i++)
                if (!parse_word(text, words[i], pattern, other, userdata, error))
                        return FALSE;
        /* A pattern of everybody's processes would keep every machine on. */
        if (!pattern->process && !pattern->cmdline && !pattern->owner)
                return fail(error, "“%s”: expected at least one of name=, cmdline= and owner=", text);
        return TRUE;
}

Pattern *pattern_parse(const char *text, PatternWord other, void *userdata, GError **error) {
        Pattern *pattern = g_new0(Pattern, 1);

        if (parse(text, pattern, other, userdata, error))
                return pattern;
        pattern_free(pattern);
        return NULL;
}

static gboolean is_new(const GPtrArray *patterns, const char *name) {
        for (guint i = 0; i < patterns->len; i++)
                if (g_str_equal(((const Pattern *) g_ptr_array_index(patterns, i))->name, name))
                        return FALSE;
        return TRUE;
}

GPtrArray *patterns_parse(const char *const *texts, GError **error) {
        g_autoptr(GPtrArray) patterns = g_ptr_array_new_with_free_func(pattern_done);

        for (guint i = 0; texts && texts[i]; i++) {
                Pattern *pattern = pattern_parse(texts[i], NULL, NULL, error);
                gboolean new = pattern && is_new(patterns, pattern->name);

                if (!pattern)
                        return NULL;
                g_ptr_array_add(patterns, pattern);
                if (!new)
                        fail(error, "“%s”: two patterns are called %s", texts[i], pattern->name);
                else if (patterns->len > PATTERNS_MAX)
                        fail(error, "at most %u patterns", PATTERNS_MAX);
                else
                        continue;
                return NULL;
        }
        return g_steal_pointer(&patterns);
}

gboolean patterns_need_cmdline(const GPtrArray *patterns) {
        for (guint i = 0; i < patterns->len; i++)
                if (((const Pattern *) g_ptr_array_index(patterns, i))->cmdline)
                        return TRUE;
        return FALSE;
}

gboolean pattern_owner(const Pattern *pattern, uid_t *ret_uid) {
        const struct passwd *entry;
        guint64 number;

        *ret_uid = (uid_t) -1;
        if (!pattern->owner)
                return TRUE;
        if (g_ascii_string_to_unsigned(pattern->owner, 10, 0, G_MAXUINT32 - 1, &number, NULL)) {
                *ret_uid = (uid_t) number;
                return TRUE;
        }
        entry = getpwnam(pattern->owner);
        if (!entry)
                return FALSE;
        *ret_uid = entry->pw_uid;
        return TRUE;
}

gboolean pattern_matches(const Pattern *pattern, uid_t owner, const ScannedProcess *process) {
        return (owner == (uid_t) -1 || owner == process->owner) &&
                (!pattern->process || regexec(pattern->process, process->name, 0, NULL, 0) == 0) &&
                (!pattern->cmdline ||
                 (process->cmdline && regexec(pattern->cmdline, process->cmdline, 0, NULL, 0) == 0));
}
