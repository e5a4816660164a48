/* SPDX-License-Identifier: Apache-2.0 */

#include "session-rules-private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* A rate over less is chance; a look may follow a check within a second. */
#define RATE_SPAN_MIN (10 * USEC_PER_SEC)
/* What a program does to storage or through its descriptors between two checks to have done I/O. */
#define STORAGE_MIN 4096U
#define CHARACTERS_MIN 65536U
/* Of others' processes the bytes cannot be seen. One that wakes so often, and uses so much of a CPU doing it, moves
 * data: a copy at 2 % of a CPU waits hundreds of times a second. A sleeper wakes seldom, one that polls hardly uses
 * the CPU. */
#define SWITCHES_PER_SECOND 25.0
#define SWITCHES_CPU_SHARE 0.01
/* A job that is seen for the first time and used less CPU in all its life has done nothing yet. */
#define NEVER_WORKED_CPU (1 * USEC_PER_SEC)
#define ANCESTORS_MAX 64U

Rules *rules_new(void) {
        return calloc(1, sizeof(Rules));
}

Rules *rules_free(Rules *rules) {
        free(rules);
        return NULL;
}

void rules_freep(Rules **location) {
        rules_free(*location);
}

void rules_configure(Rules *rules, const RulesConfig *config, const Programs *programs) {
        rules->config = *config;
        rules->programs = programs;
}

static ProgramKind kind_of(const Rules *rules, const Process *process) {
        ProgramKind kind = programs_kind(rules->programs, process->name);

        return kind == PROGRAM_SHELL && process->script ? PROGRAM_JOB : kind;
}

static bool in_foreground(const Process *process) {
        return process->terminal != 0 && process->foreground > 0 && process->group == process->foreground;
}

/* The session whose command the process is, if p, it or its ancestor, is what sshd runs the session in. One with a
 * terminal runs commands besides that terminal, too, where the client shares a connection: those have none. */
static bool is_command_of_session(const Snapshot *snapshot, const Process *process, const Process *p) {
        for (size_t i = 0; i < snapshot->n_sessions; i++) {
                const Session *s = &snapshot->sessions[i];

                if (s->leader == p->pid && !s->graphical)
                        return !s->has_terminal || process->terminal == 0;
        }
        return false;
}

static Job *job_for(Rules *rules, dev_t terminal, pid_t group) {
        for (size_t i = 0; i < rules->n_jobs; i++)
                if (rules->jobs[i].terminal == terminal && rules->jobs[i].group == group)
                        return &rules->jobs[i];
        if (rules->n_jobs == RULES_HISTORY_MAX) {
                rules->overflow = true;
                return NULL;
        }
        rules->jobs[rules->n_jobs] = (Job) { .terminal = terminal, .group = group, .oldest = UINT64_MAX };
        return &rules->jobs[rules->n_jobs++];
}

/* The job that a process works for: the nearest ancestor in a foreground group says which, unless a monitor above
 * makes it a redraw, or a person's shell in between makes it a background job. */
static Job *job_of(Rules *rules, const Snapshot *snapshot, const Process *process) {
        const Process *p = process;
        bool found = false;
        pid_t group = 0;
        dev_t terminal = 0;

        for (unsigned depth = 0; p && depth < ANCESTORS_MAX; depth++) {
                ProgramKind kind = kind_of(rules, p);

                if (kind == PROGRAM_MONITOR)
                        return NULL;
                if (kind == PROGRAM_SHELL && p->terminal != 0)
                        break;
                /* `su -c` may take the terminal from what it runs and stays in the foreground itself. */
                if (!found && (kind != PROGRAM_FRAME || process->terminal == 0) && in_foreground(p)) {
                        found = true;
                        terminal = p->terminal;
                        group = p->group;
                }
                if (!found && is_command_of_session(snapshot, process, p)) {
                        found = true;
                        group = p->pid;
                }
                if (p->parent <= 0 || p->parent == p->pid)
                        break;
                p = snapshot_process(snapshot, p->parent);
        }
        return found ? job_for(rules, terminal, group) : NULL;
}

static void job_add(Job *job, const Process *process) {
        job->use.cpu += process->cpu;
        job->use.storage += process->storage;
        job->use.characters += process->characters;
        job->use.switches += process->switches;
        job->use.faults += process->faults;
        job->blocked = job->blocked || process->state == 'D';
        if (process->started < job->oldest)
                job->oldest = process->started;
        /* Named after its leader, else after what works most. */
        if (!job->name[0] || process->pid == job->group || (process->cpu > job->top && job->top != UINT64_MAX)) {
                memcpy(job->name, process->name, sizeof(job->name));
                job->top = process->pid == job->group ? UINT64_MAX : process->cpu;
        }
}

static void collect_jobs(Rules *rules, const Snapshot *snapshot) {
        rules->n_jobs = 0;
        rules->overflow = false;
        for (size_t i = 0; i < snapshot->n_processes; i++) {
                const Process *p = &snapshot->processes[i];
                Job *job;

                if (p->state == 'Z' || kind_of(rules, p) != PROGRAM_JOB)
                        continue;
                job = job_of(rules, snapshot, p);
                if (job)
                        job_add(job, p);
        }

        for (size_t i = 0; i < snapshot->n_processes; i++) {
                const Process *p = &snapshot->processes[i];
                ProgramKind kind = kind_of(rules, p);

                if (!in_foreground(p) || (kind != PROGRAM_INTERACTIVE && kind != PROGRAM_MONITOR))
                        continue;
                for (size_t k = 0; k < rules->n_jobs; k++)
                        if (rules->jobs[k].terminal == p->terminal && rules->jobs[k].group == p->group)
                                rules->jobs[k].waits_for_person = true;
        }
}

static History *history_find(Rules *rules, const Job *job) {
        for (size_t i = 0; i < rules->n_history; i++)
                if (rules->history[i].terminal == job->terminal && rules->history[i].group == job->group)
                        return &rules->history[i];
        return NULL;
}

static History history_begin(const Job *job, uint64_t now) {
        bool worked = job->use.cpu >= NEVER_WORKED_CPU || job->blocked;
        uint64_t age = usec_sub(now, job->oldest);

        return (History) {
                .terminal = job->terminal,
                .group = job->group,
                .seen = now,
                .measured = now,
                /* When it worked last before it was first seen, nobody knows: perhaps right now. */
                .worked = worked,
                .last_work = worked ? now : job->oldest,
                .use = job->use,
                .share = age > 0 ? (double) job->use.cpu / (double) age : 0,
        };
}

static bool did_io(const Job *job, const Use *before) {
        return job->blocked || usec_sub(job->use.storage, before->storage) >= STORAGE_MIN ||
               usec_sub(job->use.characters, before->characters) >= CHARACTERS_MIN || job->use.faults > before->faults;
}

static bool moved_data(const Job *job, const History *h, uint64_t span) {
        double switches = (double) usec_sub(job->use.switches, h->use.switches);

        return h->share >= SWITCHES_CPU_SHARE &&
               switches * (double) USEC_PER_SEC >= SWITCHES_PER_SECOND * (double) span;
}

static void history_update(const Rules *rules, History *h, const Job *job, uint64_t now) {
        uint64_t span = usec_sub(now, h->measured), cpu = usec_sub(job->use.cpu, h->use.cpu);

        /* Everybody in it began after the last look: the kernel gave the number to another job. */
        if (job->oldest > h->seen) {
                *h = history_begin(job, now);
                return;
        }
        h->seen = now;
        if (did_io(job, &h->use)) {
                h->worked = true;
                h->last_work = now;
        }
        if (span < RATE_SPAN_MIN && (double) cpu < rules->config.cpu_share * (double) RATE_SPAN_MIN)
                return;
        h->share = span > 0 ? (double) cpu / (double) span : 0;
        if (h->share >= rules->config.cpu_share || moved_data(job, h, span)) {
                h->worked = true;
                h->last_work = now;
        }
        h->measured = now;
        h->use = job->use;
}

/* Jobs that are gone are forgotten, so that the history is never longer than the list of jobs. */
static void remember_jobs(Rules *rules, uint64_t now) {
        History next[RULES_HISTORY_MAX];

        for (size_t i = 0; i < rules->n_jobs; i++) {
                const History *known = history_find(rules, &rules->jobs[i]);

                if (known) {
                        next[i] = *known;
                        history_update(rules, &next[i], &rules->jobs[i], now);
                } else
                        next[i] = history_begin(&rules->jobs[i], now);
        }
        memcpy(rules->history, next, rules->n_jobs * sizeof(History));
        rules->n_history = rules->n_jobs;
}

static void span_text(uint64_t span, char *text, size_t size) {
        uint64_t minutes = span / USEC_PER_MINUTE;

        if (minutes < 1)
                snprintf(text, size, "%u s", (unsigned) (span / USEC_PER_SEC));
        else if (minutes < 120)
                snprintf(text, size, "%u min", (unsigned) minutes);
        else
                snprintf(text, size, "%u h", (unsigned) (minutes / 60));
}

static void say(RulesVote *vote, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(RulesVote *vote, const char *format, ...) {
        size_t length = strlen(vote->reason);
        va_list ap;

        if (length > 0 && length + 2 < sizeof(vote->reason)) {
                memcpy(vote->reason + length, "; ", 3);
                length += 2;
        }
        va_start(ap, format);
        vsnprintf(vote->reason + length, sizeof(vote->reason) - length, format, ap);
        va_end(ap);
}

static void judge_job(const Rules *rules, const Snapshot *snapshot, const Job *job, const History *h,
                      RulesVote *vote) {
        uint64_t quiet = usec_sub(snapshot->monotonic, h->last_work);
        bool recent = quiet < rules->config.work_within;
        char span[32];

        span_text(quiet, span, sizeof(span));
        if (recent && !h->worked)
                say(vote, "%s began %s ago", job->name, span);
        else if (recent && quiet == 0 && h->share >= rules->config.cpu_share)
                say(vote, "%s works (%.0f %% of a CPU)", job->name, 100 * h->share);
        else if (recent && quiet == 0)
                say(vote, "%s works", job->name);
        else if (recent)
                say(vote, "%s worked %s ago", job->name, span);
        else if (job->waits_for_person)
                say(vote, "%s waits for a person", job->name);
        else
                say(vote, "%s runs, without work for %s", job->name, span);

        if (recent || (!job->waits_for_person && quiet < rules->config.foreground_max)) {
                vote->verdict = RULES_BUSY;
                vote->last_activity = snapshot->realtime;
        }
}

static void judge_input(const Rules *rules, const Snapshot *snapshot, const Terminal *terminal, RulesVote *vote) {
        uint64_t last = terminal->last_input, ago;
        char span[32];

        if (last == 0) {
                say(vote, "its input cannot be seen");
                return;
        }
        /* A clock that was set back makes the last input lie ahead: it is at most just now. */
        if (last > snapshot->realtime)
                last = snapshot->realtime;
        ago = snapshot->realtime - last;
        span_text(ago, span, sizeof(span));
        say(vote, ago < rules->config.input_idle ? "typed %s ago" : "nobody typed for %s", span);
        if (ago < rules->config.input_idle)
                vote->verdict = RULES_BUSY;
        if (last > vote->last_activity)
                vote->last_activity = last;
}

static void add_vote(RulesResult *result, const RulesVote *vote) {
        if (result->n_votes < RULES_VOTES_MAX) {
                result->votes[result->n_votes++] = *vote;
                return;
        }
        /* What is busy is worth showing more than what is not. */
        for (size_t i = 0; vote->verdict == RULES_BUSY && i < result->n_votes; i++)
                if (result->votes[i].verdict != RULES_BUSY) {
                        result->votes[i] = *vote;
                        return;
                }
}

static void count(Rules *rules, RulesResult *result, const RulesVote *vote) {
        if (vote->verdict > result->verdict) {
                result->verdict = vote->verdict;
                snprintf(result->reason, sizeof(result->reason), "%s%s%s: %s", vote->name, vote->user[0] ? " " : "",
                         vote->user, vote->reason);
        }
        if (vote->last_activity > rules->last_activity)
                rules->last_activity = vote->last_activity;
        add_vote(result, vote);
}

/* Somebody is there only where more than a prompt for a name is: a getty has no session. */
static bool has_session(const Snapshot *snapshot, const Terminal *terminal) {
        static const char *const prompts[] = { "agetty", "getty", "login" };

        for (size_t i = 0; i < snapshot->n_processes; i++) {
                const Process *p = &snapshot->processes[i];
                bool prompt = false;

                if (p->terminal != terminal->device)
                        continue;
                for (size_t k = 0; k < sizeof(prompts) / sizeof(prompts[0]); k++)
                        prompt = prompt || strcmp(p->name, prompts[k]) == 0;
                if (!prompt)
                        return true;
        }
        return false;
}

static void judge_terminal(Rules *rules, const Snapshot *snapshot, const Terminal *terminal, RulesResult *result) {
        RulesVote vote = { .verdict = RULES_IDLE };

        snprintf(vote.name, sizeof(vote.name), "%s", terminal->name);
        snprintf(vote.user, sizeof(vote.user), "%s", terminal->user);
        for (size_t i = 0; i < rules->n_jobs; i++)
                if (rules->jobs[i].terminal == terminal->device)
                        judge_job(rules, snapshot, &rules->jobs[i], &rules->history[i], &vote);
        judge_input(rules, snapshot, terminal, &vote);
        count(rules, result, &vote);
}

static void judge_desktop(const Snapshot *snapshot, const Session *session, RulesVote *vote) {
        char span[32];

        if (!session->idle_known) {
                vote->verdict = RULES_UNKNOWN;
                say(vote, "logind does not tell whether this desktop is idle");
                return;
        }
        if (!session->idle) {
                vote->verdict = RULES_BUSY;
                vote->last_activity = snapshot->realtime;
                say(vote, "its desktop is in use");
                return;
        }
        span_text(usec_sub(snapshot->realtime, session->idle_since), span, sizeof(span));
        say(vote, "its desktop is idle%s%s", session->idle_since > 0 ? " for " : "",
            session->idle_since > 0 ? span : "");
        if (session->idle_since <= snapshot->realtime)
                vote->last_activity = session->idle_since;
}

static bool judge_commands(const Rules *rules, const Snapshot *snapshot, const Session *session, RulesVote *vote) {
        bool found = false;

        for (size_t i = 0; session->leader > 0 && i < rules->n_jobs; i++)
                if (rules->jobs[i].terminal == 0 && rules->jobs[i].group == session->leader) {
                        judge_job(rules, snapshot, &rules->jobs[i], &rules->history[i], vote);
                        found = true;
                }
        return found;
}

static void judge_session(Rules *rules, const Snapshot *snapshot, const Session *session, RulesResult *result) {
        RulesVote vote = { .verdict = RULES_IDLE };

        snprintf(vote.name, sizeof(vote.name), "session %s", session->id);
        snprintf(vote.user, sizeof(vote.user), "%s", session->user);
        if (session->graphical)
                judge_desktop(snapshot, session, &vote);
        else if (!judge_commands(rules, snapshot, session, &vote)) {
                if (session->has_terminal)
                        return; /* its terminal has a vote */
                say(&vote, "it runs nothing");
        }
        count(rules, result, &vote);
}

void rules_evaluate(Rules *rules, const Snapshot *snapshot, RulesResult *ret) {
        size_t n = 0;

        *ret = (RulesResult) { .verdict = RULES_IDLE };
        collect_jobs(rules, snapshot);
        remember_jobs(rules, snapshot->monotonic);

        for (size_t i = 0; i < snapshot->n_terminals; i++)
                if (has_session(snapshot, &snapshot->terminals[i])) {
                        judge_terminal(rules, snapshot, &snapshot->terminals[i], ret);
                        n++;
                }
        for (size_t i = 0; i < snapshot->n_sessions; i++) {
                judge_session(rules, snapshot, &snapshot->sessions[i], ret);
                n += !snapshot->sessions[i].has_terminal;
        }

        if (snapshot->hidden && ret->verdict == RULES_IDLE) {
                ret->verdict = RULES_UNKNOWN;
                snprintf(ret->reason, sizeof(ret->reason),
                         "processes of others are hidden: permission `processes` is missing");
        } else if ((snapshot->incomplete || rules->overflow) && ret->verdict == RULES_IDLE) {
                ret->verdict = RULES_UNKNOWN;
                snprintf(ret->reason, sizeof(ret->reason),
                         "there are more processes, terminals or sessions than can be watched");
        } else if (ret->verdict == RULES_IDLE && n == 0)
                snprintf(ret->reason, sizeof(ret->reason), "nobody is logged in");
        else if (ret->verdict == RULES_IDLE)
                snprintf(ret->reason, sizeof(ret->reason), "%zu session%s, nobody types, nothing works", n,
                         n == 1 ? "" : "s");
        if (rules->last_activity > snapshot->realtime)
                rules->last_activity = snapshot->realtime;
        ret->last_activity = rules->last_activity;
}
