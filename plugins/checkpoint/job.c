/* SPDX-License-Identifier: Apache-2.0 */

#include "job.h"

#include <signal.h>
#include <string.h>

#define FILE_LENGTH_MAX 1024U

/* Those that programs take for themselves, and those that end them. */
static const struct {
        const char *name;
        int number;
} signals[] = {
        { "SIGHUP", SIGHUP },   { "SIGINT", SIGINT },     { "SIGQUIT", SIGQUIT }, { "SIGTERM", SIGTERM },
        { "SIGUSR1", SIGUSR1 }, { "SIGUSR2", SIGUSR2 },   { "SIGXCPU", SIGXCPU }, { "SIGTSTP", SIGTSTP },
        { "SIGCONT", SIGCONT }, { "SIGWINCH", SIGWINCH },
};

const char *job_signal_name(int number) {
        for (gsize i = 0; i < G_N_ELEMENTS(signals); i++)
                if (signals[i].number == number)
                        return signals[i].name;
        return "no signal";
}

void job_free(Job *job) {
        if (!job)
                return;
        pattern_free(job->pattern);
        g_strfreev(job->command);
        g_free(job->file);
        g_free(job);
}

static void job_done(void *job) {
        job_free(job);
}

static gboolean wrong(GError **error, const char *text, const char *what) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "“%s”: %s", text, what);
        return FALSE;
}

/* %p and %%, nothing else. */
static gboolean expandable(const char *text) {
        for (const char *p = strchr(text, '%'); p; p = strchr(p + 2, '%'))
                if (p[1] != 'p' && p[1] != '%')
                        return FALSE;
        return TRUE;
}

static gboolean parse_signal(const char *text, const char *value, Job *job, GError **error) {
        for (gsize i = 0; i < G_N_ELEMENTS(signals); i++)
                if (g_str_equal(value, signals[i].name) || g_str_equal(value, signals[i].name + strlen("SIG"))) {
                        job->signal = signals[i].number;
                        return TRUE;
                }
        return wrong(error, text, "signal= is one of HUP, INT, QUIT, TERM, USR1, USR2, XCPU, TSTP, CONT and WINCH");
}

static gboolean parse_command(const char *text, const char *value, Job *job, GError **error) {
        g_autoptr(GError) e = NULL;

        if (!g_shell_parse_argv(value, NULL, &job->command, &e))
                return wrong(error, text, e->message);
        if (!g_path_is_absolute(job->command[0]))
                return wrong(error, text, "command= begins with the program's absolute path");
        if (strchr(job->command[0], '%'))
                return wrong(error, text, "command= names a program without a %");
        /* Whoever may configure this plugin is not root. Programs that root wrote are one thing; with arguments of
         * one's choice every interpreter becomes a program of one's own. */
        for (char **word = job->command + 1; *word; word++)
                if (!g_str_equal(*word, "%p"))
                        return wrong(error, text,
                                     "the one argument of command= is %p: what it needs besides belongs into a script "
                                     "of root's");
        return TRUE;
}

static gboolean parse_until(const char *text, const char *value, Job *job, GError **error) {
        if (g_str_equal(value, "exit"))
                job->until = JOB_UNTIL_EXIT;
        else if (g_str_equal(value, "told"))
                job->until = JOB_UNTIL_TOLD;
        else if (g_path_is_absolute(value) && strlen(value) <= FILE_LENGTH_MAX && expandable(value)) {
                job->until = JOB_UNTIL_FILE;
                job->file = g_strdup(value);
        } else
                return wrong(
                        error, text,
                        "until= is exit, told, or the absolute path of a file, in which %p is the process's number");
        return TRUE;
}

typedef struct Reading {
        Job *job;
        gboolean has_until;
} Reading;

static gboolean parse_word(const char *text, const char *word, void *userdata, GError **error) {
        Reading *reading = userdata;
        Job *job = reading->job;

        if (g_str_has_prefix(word, "until=")) {
                if (reading->has_until)
                        return wrong(error, text, "until= once");
                reading->has_until = TRUE;
                return parse_until(text, word + strlen("until="), job, error);
        }
        if (!g_str_has_prefix(word, "signal=") && !g_str_has_prefix(word, "command="))
                return wrong(error, text, "expected name=, cmdline=, owner=, signal=, command= or until=");
        if (job->signal || job->command)
                return wrong(error, text, "signal= or command=, once");
        return word[0] == 's' ? parse_signal(text, word + strlen("signal="), job, error)
                              : parse_command(text, word + strlen("command="), job, error);
}

static Job *job_parse(const char *text, GError **error) {
        Job *job = g_new0(Job, 1);
        Reading reading = { .job = job };
        gboolean good;

        job->pattern = pattern_parse(text, parse_word, &reading, error);
        good = job->pattern != NULL;
        if (good && job->pattern->cpu > 0)
                good = wrong(error, text, "cpu= is of no use here: who has something to save is told, at work or not");
        if (good && !job->signal && !job->command)
                good = wrong(error, text, "expected signal= or command=");
        if (!good) {
                job_free(job);
                return NULL;
        }
        if (!reading.has_until)
                job->until = job->command ? JOB_UNTIL_COMMAND : JOB_UNTIL_EXIT;
        return job;
}

GPtrArray *jobs_parse(const char *const *texts, GError **error) {
        g_autoptr(GPtrArray) jobs = g_ptr_array_new_with_free_func(job_done);

        for (guint i = 0; texts && texts[i]; i++) {
                Job *job = job_parse(texts[i], error);

                if (!job)
                        return NULL;
                for (guint k = 0; k < jobs->len; k++)
                        if (g_str_equal(((const Job *) g_ptr_array_index(jobs, k))->pattern->name,
                                        job->pattern->name)) {
                                wrong(error, texts[i], "another one has this name");
                                job_free(job);
                                return NULL;
                        }
                g_ptr_array_add(jobs, job);
                if (jobs->len > JOBS_MAX) {
                        wrong(error, texts[i], "there are too many: at most 32");
                        return NULL;
                }
        }
        return g_steal_pointer(&jobs);
}

char *job_expand(const char *text, pid_t pid) {
        GString *expanded = g_string_new(NULL);

        for (; *text; text++)
                if (*text != '%')
                        g_string_append_c(expanded, *text);
                else if (*++text == 'p')
                        g_string_append_printf(expanded, "%d", (int) pid);
                else
                        g_string_append_c(expanded, '%');
        return g_string_free(expanded, FALSE);
}
