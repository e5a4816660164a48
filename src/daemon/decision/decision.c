/* SPDX-License-Identifier: Apache-2.0 */

/* The facade: what comes in is put where it belongs, and decision_step() asks the nouns in turn. */

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/decision/decision-private.h"
#include "util/duration.h"

Decision *decision_new(Config *config, uint64_t now) {
        Decision *decision = g_new0(Decision, 1);

        decision->config = config_ref(config);
        decision->plugins = g_ptr_array_new_with_free_func((GDestroyNotify) source_free);
        decision->idle_since = now;
        decision->state = decision->reported = STATE_ACTIVE;
        for (int i = 0; i < METRIC_COUNT; i++)
                source_init(&decision->metrics[i], metric_source_name((Metric) i), i, config, now);
        return decision;
}

void decision_free(Decision *decision) {
        if (!decision)
                return;
        for (int i = 0; i < METRIC_COUNT; i++)
                source_clear(&decision->metrics[i]);
        g_ptr_array_unref(decision->plugins);
        stage_end_request(decision);
        g_free(decision->stage_reason);
        g_free(decision->refusal);
        config_unref(decision->config);
        g_free(decision);
}

void outcome_clear(Outcome *outcome) {
        g_clear_pointer(&outcome->reason, g_free);
}

void decision_set_config(Decision *decision, Config *config) {
        Config *old = decision->config;
        gboolean longer = config->warning_minutes > old->warning_minutes;

        decision->config = config_ref(config);
        config_unref(old);
        decision->calm_until = 0;
        /* Whoever wants more time to answer in may be about to answer this one. */
        if (longer && decision->state == STATE_WARNING)
                (void) decision_call_off(decision, "the settings were changed: the warning is longer now");
        for (int i = 0; i < METRIC_COUNT; i++)
                source_configure(&decision->metrics[i], config, decision->cpus);
        for (guint i = 0; i < decision->plugins->len; i++)
                source_configure(decision->plugins->pdata[i], config, decision->cpus);
}

Source *decision_find(const Decision *decision, const char *name, guint *ret_index) {
        guint low = 0, high = decision->plugins->len;

        while (low < high) {
                guint middle = low + (high - low) / 2;
                Source *source = decision->plugins->pdata[middle];
                int order = strcmp(source->name, name);

                if (order == 0) {
                        if (ret_index)
                                *ret_index = middle;
                        return source;
                }
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        if (ret_index)
                *ret_index = low;
        return NULL;
}

/* The plugin whose subject this is, or NULL. */
static Source *parent_of(const Decision *decision, const char *name) {
        const char *slash = strchr(name, '/');
        g_autofree char *id = slash ? g_strndup(name, (gsize) (slash - name)) : NULL;

        return id ? decision_find(decision, id, NULL) : NULL;
}

gboolean decision_outdated(const Decision *decision, const Source *source) {
        const Source *parent = source->metric < 0 ? parent_of(decision, source->name) : NULL;

        return parent && parent->vote && source->vote && parent->vote->verdict != VERDICT_UNKNOWN &&
               source->vote->begun < parent->vote->begun;
}

static void idle_clock_restart(Decision *decision, uint64_t now, const char *reason) {
        gboolean staged = decision->state == STATE_WARNING || decision->state == STATE_STOPPING;

        decision->calm_until = 0;
        idle_clock_move(decision, now);
        if (staged && !decision->asked && !decision->request.standing)
                stage_enter(decision, STATE_ACTIVE, reason);
}

static gboolean tells_news(const Decision *decision, const Source *source, Verdict before) {
        Verdict verdict = source_metric_verdict(source);

        if (!source_has_say(source) || (verdict == VERDICT_ABSENT && before == VERDICT_ABSENT))
                return FALSE;
        return verdict != before || verdict != VERDICT_IDLE ||
               source_activity(source, verdict, source->sampled) > decision->idle_since;
}

static void take_reading(Decision *decision, Source *source, const Sample *sample) {
        Verdict before = source_metric_verdict(source);

        idle_clock_settle_unknown(decision, source, sample->monotonic);
        source_take_sample(source, sample, decision->config);
        if (tells_news(decision, source, before))
                decision->calm_until = 0;
}

void decision_add_sample(Decision *decision, const Sample *sample) {
        if (decision->last_sample > 0 && sample->monotonic < decision->last_sample)
                return;
        for (int i = 0; i < METRIC_COUNT; i++)
                take_reading(decision, &decision->metrics[i], sample);
        if (decision->last_sample > 0 && sample->monotonic - decision->last_sample > sample_gap(decision->config)) {
                g_autofree char *span = duration_format(sample->monotonic - decision->last_sample);
                g_autofree char *reason =
                        g_strdup_printf("nothing was measured for %s: the machine stood still", span);

                idle_clock_restart(decision, sample->monotonic, reason);
        }
        decision->last_sample = sample->monotonic;
        decision->cpus = sample->cpus;
}

/* Subjects that the plugin had dropped already when it cast the vote that is now replaced. */
static void prune_subjects(Decision *decision, const char *id) {
        gsize n = strlen(id);

        for (guint i = decision->plugins->len; i-- > 0;) {
                Source *source = decision->plugins->pdata[i];

                if (strncmp(source->name, id, n) == 0 && source->name[n] == '/' && decision_outdated(decision, source))
                        g_ptr_array_remove_index(decision->plugins, i);
        }
}

static Source *find_or_add(Decision *decision, const char *name, uint64_t now) {
        guint index;
        Source *source = decision_find(decision, name, &index), *plugin;

        if (source || (strchr(name, '/') && decision->plugins->len >= SUBJECTS_MAX))
                return source;
        source = source_new(name, decision->config, now);
        plugin = parent_of(decision, name);
        /* Nobody asks a subject by itself. */
        if (plugin)
                source_set_timeout(source, plugin->timeout, decision->config);
        g_ptr_array_insert(decision->plugins, (int) index, source);
        return source;
}

/* There is no room to remember a subject, and one that is not remembered might be busy: then its plugin is not to be
 * trusted with "idle" either, whichever of the two votes comes first. */
static void distrust(Source *plugin, Vote *vote) {
        plugin->crowded = vote->begun;
        g_free(vote->source);
        vote->source = g_strdup(plugin->name);
        vote->verdict = VERDICT_UNKNOWN;
        g_free(vote->reason);
        vote->reason = g_strdup_printf("tells of more than %u subjects", SUBJECTS_MAX);
}

void decision_add_vote(Decision *decision, Vote *vote) {
        g_autoptr(Vote) owned = vote;
        Source *source = find_or_add(decision, vote->source, vote->received);
        Source *plugin = source ? source : parent_of(decision, vote->source);

        decision->calm_until = 0;
        if (!plugin || (plugin->vote && vote->begun < plugin->vote->begun))
                return;
        if (!source || (vote->verdict == VERDICT_IDLE && plugin->crowded > 0 && plugin->crowded == vote->begun))
                distrust(plugin, vote);
        if (!strchr(plugin->name, '/'))
                prune_subjects(decision, plugin->name);
        idle_clock_settle_unknown(decision, plugin, vote->received);
        source_take_vote(plugin, steal(owned), decision->config);
}

/* The plugin itself, or one of its subjects. */
static gboolean is_of(const Source *source, const char *plugin) {
        gsize n = strlen(plugin);

        return strncmp(source->name, plugin, n) == 0 && (source->name[n] == '\0' || source->name[n] == '/');
}

void decision_expect_source(Decision *decision, const char *source, uint64_t timeout, uint64_t now) {
        guint index;

        decision->calm_until = 0;
        (void) find_or_add(decision, source, now);
        (void) decision_find(decision, source, &index);
        /* Whose names begin alike stand together. */
        for (Source *each; index < decision->plugins->len; index++) {
                each = decision->plugins->pdata[index];
                if (!g_str_has_prefix(each->name, source))
                        break;
                if (is_of(each, source))
                        source_set_timeout(each, timeout, decision->config);
        }
}

void decision_forget_source(Decision *decision, const char *source) {
        decision->calm_until = 0;
        for (guint i = decision->plugins->len; i-- > 0;)
                if (is_of(decision->plugins->pdata[i], source))
                        g_ptr_array_remove_index(decision->plugins, i);
}

void decision_end_pause(Decision *decision, uint64_t now) {
        idle_clock_restart(decision, now, "the pause ended");
}

void decision_restart_clock(Decision *decision, uint64_t now, const char *reason) {
        idle_clock_restart(decision, now, reason);
        /* Whatever was asked of the provider is over: the machine runs. */
        if (decision->state == STATE_STOPPED || decision->asked)
                stage_enter(decision, STATE_ACTIVE, reason);
}

int decision_cancel(Decision *decision, uint64_t now, const char *reason) {
        if (decision->asked)
                return -EALREADY;
        decision->calm_until = 0;
        idle_clock_move(decision, now);
        if (decision->state == STATE_WARNING || decision->state == STATE_STOPPING)
                stage_enter(decision, STATE_ACTIVE, reason);
        return 0;
}

gboolean decision_call_off(Decision *decision, const char *reason) {
        gboolean staged = decision->state == STATE_WARNING || decision->state == STATE_STOPPING;

        if (!staged || decision->asked || decision->request.standing)
                return FALSE;
        stage_enter(decision, STATE_ACTIVE, reason);
        return TRUE;
}

gboolean decision_postpone(Decision *decision, const char *reason) {
        if (decision->asked || !decision->request.standing || !decision->request.force)
                return FALSE;
        stage_enter(decision, STATE_ACTIVE, reason);
        return TRUE;
}

int decision_request_stop(Decision *decision, uint64_t now, const StopRequest *request) {
        if (decision->asked || decision->request.standing || decision->state == STATE_STOPPING ||
            decision->state == STATE_STOPPED)
                return -EALREADY;

        stage_enter(decision, request->delay > 0 ? STATE_WARNING : STATE_STOPPING, request->reason);
        decision->deadline = request->delay > 0 ? usec_add(now, request->delay) : 0;
        decision->called = FALSE;
        decision->renewed = decision->state == decision->reported;
        decision->request = (Request) {
                .standing = TRUE,
                .force = request->force,
                .dry_run = request->dry_run,
                .delay = request->delay,
                .reason = g_strdup(request->reason ? request->reason : "requested"),
        };
        return 0;
}

gboolean decision_stop_requested(const Decision *decision, gboolean *ret_dry_run) {
        if (ret_dry_run)
                *ret_dry_run = decision->request.dry_run;
        return decision->request.standing;
}

const char *decision_stop_reason(const Decision *decision) {
        return decision->request.standing ? decision->request.reason : NULL;
}

const char *decision_stop_forced(const Decision *decision) {
        const Request *request = &decision->request;

        return request->standing && request->force && !request->dry_run ? request->reason : NULL;
}

void decision_provider_asked(Decision *decision, uint64_t now) {
        if (decision->called)
                decision->asked = decision->attempted = TRUE;
}

void decision_provider_accepted(Decision *decision, uint64_t now, const char *reason) {
        if (!decision->called)
                return;
        stage_enter(decision, STATE_STOPPED, reason ? reason : decision->stage_reason);
        /* Also where a question of before turns out to have been heard: from here it is too late. */
        decision->asked = TRUE;
}

void decision_provider_retry(Decision *decision, uint64_t now, uint64_t not_before, const char *reason) {
        if (!decision->called)
                return;
        decision->called = decision->asked = FALSE;
        stage_enter(decision, STATE_STOPPING, reason ? reason : decision->stage_reason);
        decision->not_before = not_before;
}

void decision_provider_refused(Decision *decision, uint64_t now, const char *reason) {
        if (!decision->called)
                return;
        stage_enter(decision, STATE_IDLE, NULL);
        g_free(decision->refusal);
        decision->refusal = g_strdup(reason ? reason : "the provider refused");
        decision->refused = TRUE;
}

void decision_rehearsed(Decision *decision, uint64_t now, const char *reason) {
        if (!decision->called)
                return;
        stage_enter(decision, STATE_STOPPED, reason ? reason : "dry run: would have stopped now");
        decision->rehearsed_at = MAX(now, 1);
        decision->rehearsing = TRUE;
}

void decision_latch(Decision *decision, const char *reason) {
        if (decision->refused)
                return;
        decision->calm_until = 0;
        g_free(decision->refusal);
        decision->refusal = g_strdup(reason);
}

gboolean decision_provider_has_refused(const Decision *decision) {
        return decision->refused;
}

void decision_rearm(Decision *decision, uint64_t now) {
        decision->calm_until = 0;
        g_clear_pointer(&decision->refusal, g_free);
        decision->refused = FALSE;
}

const char *decision_refusal(const Decision *decision) {
        return decision->refusal;
}

static void note_blindness(Decision *decision, uint64_t now, const Assessment *assessment) {
        if (!assessment->blind)
                decision->blind_since = 0;
        else if (decision->blind_since == 0)
                decision->blind_since = now;
}

void decision_step(Decision *decision, uint64_t now, const Circumstances *circumstances, Outcome *outcome) {
        Assessment assessment;

        *outcome = (Outcome) {};
        algebra_assess(decision, now, &assessment);
        note_blindness(decision, now, &assessment);
        if (decision->state == decision->reported && !decision->renewed)
                stage_advance(decision, now, circumstances, &assessment, outcome);

        outcome->state = decision->state;
        outcome->previous = decision->reported;
        outcome->changed = decision->state != decision->reported;
        outcome->renewed = decision->renewed && !outcome->changed;
        decision->renewed = FALSE;
        decision->reported = decision->state;
        if (outcome->changed || !circumstances->quiet)
                outcome->reason = explain_state(decision, now, circumstances, &assessment);
        outcome->idle = assessment.kind == ASSESSMENT_IDLE;
        outcome->idle_since = decision->state == STATE_ACTIVE || (decision->state == STATE_PAUSED && !outcome->idle)
                                      ? 0
                                      : decision->idle_since;
        outcome->next_stop = stage_next_stop(decision, now, circumstances, &assessment);
        outcome->next_step = stage_next_step(decision, now, circumstances, &assessment,
                                             outcome->changed || outcome->renewed);
        outcome->blind_since = decision->blind_since;
        decision->calm_until = outcome->changed ? 0 : stage_calm_until(decision, now, circumstances, &assessment);
}

gboolean decision_has_news(const Decision *decision, uint64_t now) {
        return now >= decision->calm_until;
}

char *decision_reason(Decision *decision, uint64_t now, const Circumstances *circumstances) {
        Assessment assessment;

        algebra_assess(decision, now, &assessment);
        return explain_state(decision, now, circumstances, &assessment);
}

char *decision_assessment(Decision *decision, uint64_t now, gboolean *ret_idle) {
        Assessment assessment;

        algebra_assess(decision, now, &assessment);
        *ret_idle = assessment.kind == ASSESSMENT_IDLE;
        if (*ret_idle)
                return g_strdup("every source that decides says idle");
        return explain_telling(decision, now, &assessment);
}
