/* SPDX-License-Identifier: Apache-2.0 */

/* A round: every plugin with IdleCheck is asked, all side by side, and the round is over when each has answered or run
 * out of time. Rounds may overlap. A plugin that is being asked is not asked a second time meanwhile; a fresh round (a
 * last look) queues one more question behind it, because only answers to questions that began after the look count. */

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/names.h"
#include "bus/dictionary.h"
#include "daemon/decision/sample.h"
#include "daemon/plugin/plugin.h"

struct Round {
        Plugins *plugins;
        unsigned waiting;
        void (*done)(void *userdata);
        void *userdata;
};

static void ask(Plugin *plugin);

void round_free(void *round) {
        g_free(round);
}

void plugin_check_init(Plugin *plugin) {
        plugin->check.rounds = g_ptr_array_new();
        plugin->check.next_rounds = g_ptr_array_new();
        plugin->check.votes = g_ptr_array_new_with_free_func((GDestroyNotify) vote_free);
        plugin->check.subjects = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

void plugin_check_clear(Plugin *plugin) {
        native_check_cancel(plugin);
        g_ptr_array_unref(plugin->check.rounds);
        g_ptr_array_unref(plugin->check.next_rounds);
        g_ptr_array_unref(plugin->check.votes);
        g_hash_table_unref(plugin->check.subjects);
        g_clear_pointer(&plugin->check.metrics, json_object_unref);
}

static void round_over(void *data) {
        Round *round = data;

        if (round->done)
                round->done(round->userdata);
        g_ptr_array_remove_fast(round->plugins->rounds, round);
}

static void round_answered(Round *round) {
        if (--round->waiting == 0)
                round_over(round);
}

static void tell(Plugin *plugin, Vote *vote) {
        const PluginsParameters *parameters = &plugin->plugins->parameters;

        if (parameters->vote)
                parameters->vote(vote, parameters->userdata);
        else
                vote_free(vote);
}

static gboolean takes_part(const Plugin *plugin) {
        return plugin_votes(plugin) && config_source(plugin->plugins->config, plugin->id).policy != POLICY_OFF;
}

static Vote *vote_copy(const Vote *vote, uint64_t received) {
        Vote *copy = vote_new(vote->source, vote->verdict, vote->reason, vote->begun, received);

        copy->last_activity = vote->last_activity;
        copy->vacuous = vote->vacuous;
        copy->details = vote->details ? json_object_ref(vote->details) : NULL;
        return copy;
}

/* Still valid as its plugin said: told again, so that it does not count as stale, but begun when it really began. */
static void tell_again(Plugin *plugin, uint64_t now) {
        for (guint i = 0; i < plugin->check.votes->len; i++)
                tell(plugin, vote_copy(g_ptr_array_index(plugin->check.votes, i), now));
}

static void forget_missing_subjects(Plugin *plugin, GHashTable *named) {
        const PluginsParameters *parameters = &plugin->plugins->parameters;
        GHashTableIter iter;
        void *source;

        g_hash_table_iter_init(&iter, plugin->check.subjects);
        while (g_hash_table_iter_next(&iter, &source, NULL))
                if (!g_hash_table_contains(named, source) && parameters->forgotten)
                        parameters->forgotten(source, parameters->userdata);
        g_hash_table_unref(plugin->check.subjects);
        plugin->check.subjects = g_hash_table_ref(named);
}

static void learn_subjects(Plugin *plugin) {
        g_autoptr(GHashTable) named = NULL;

        if (plugin->check.votes->len <= 1 && g_hash_table_size(plugin->check.subjects) == 0)
                return;
        named = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        for (guint i = 1; i < plugin->check.votes->len; i++) {
                const Vote *vote = g_ptr_array_index(plugin->check.votes, i);

                g_hash_table_add(named, g_strdup(vote->source));
        }
        forget_missing_subjects(plugin, named);
}

static void take_answer(Plugin *plugin, CheckAnswer *answer, uint64_t now) {
        g_ptr_array_unref(plugin->check.votes);
        plugin->check.votes = g_steal_pointer(&answer->votes);
        plugin->check.valid_until = answer->valid_for > 0 ? usec_add(now, answer->valid_for) : 0;
        learn_subjects(plugin);
        tell_again(plugin, now);
}

static void take_failure(Plugin *plugin, const char *reason) {
        g_autofree char *words = plugin_words(reason);

        g_ptr_array_set_size(plugin->check.votes, 0);
        plugin->check.valid_until = 0;
        tell(plugin, vote_new(plugin->id, VERDICT_UNKNOWN, words, plugin->check.begun, clock_monotonic()));
}

/* What it said before it fell, and for how long that was to count, is worth nothing now. One that is being asked is
 * given its second chance first. */
void plugin_check_failed(Plugin *plugin, const char *reason) {
        uint64_t now = clock_monotonic();

        g_ptr_array_set_size(plugin->check.votes, 0);
        plugin->check.valid_until = 0;
        if (!plugin->check.asking && takes_part(plugin))
                tell(plugin, vote_new(plugin->id, VERDICT_UNKNOWN, reason, now, now));
}

static void answered(Plugin *plugin) {
        g_autoptr(GPtrArray) rounds = g_steal_pointer(&plugin->check.rounds);

        plugin->check.asking = FALSE;
        plugin->check.rounds = g_steal_pointer(&plugin->check.next_rounds);
        plugin->check.next_rounds = g_ptr_array_new();
        if (plugin->check.rounds->len > 0)
                ask(plugin);
        for (guint i = 0; i < rounds->len; i++)
                round_answered(g_ptr_array_index(rounds, i));
}

static void on_answer(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        _cleanup_(check_answer_clear) CheckAnswer answer = {};
        uint64_t now = clock_monotonic();
        g_autofree char *problem = NULL;

        /* Disabled meanwhile, or replaced by a version without IdleCheck: it has no vote any more. */
        if (!plugin_votes(plugin))
                ;
        else if (error)
                take_failure(plugin, error->message);
        else if (check_answer_read(plugin->id, reply, plugin->check.begun, now, clock_realtime(), &answer, &problem) <
                 0) {
                plugin_note_problem(plugin, problem);
                take_failure(plugin, problem);
        } else {
                take_answer(plugin, &answer, now);
                plugin_keep_state(plugin, FALSE);
        }
        answered(plugin);
}

static int append_metrics(sd_bus_message *message, void *userdata) {
        Plugin *plugin = userdata;

        return dictionary_append(message, plugin->check.metrics, metric_hints);
}

static void on_native_answer(Plugin *plugin, CheckAnswer *answer, const char *problem) {
        if (!plugin_votes(plugin))
                ;
        else if (problem)
                take_failure(plugin, problem);
        else {
                take_answer(plugin, answer, clock_monotonic());
                plugin_keep_state(plugin, FALSE);
        }
        answered(plugin);
}

/* Its first answer is worth something at once, as is one after a failure; one that is about to be replaced is not kept
 * by it. What lies unread for longer than the plugin has to answer could have come too late. */
static gboolean has_time(const Plugin *plugin) {
        return plugin->check.leisurely && plugin->check.votes->len > 0 && plugin->state == PLUGIN_RUNNING &&
               !plugin->swap && plugin->process && plugin->process->channel &&
               plugin_timeout(plugin, TIMEOUT_CHECK) >= plugin->plugins->leisure;
}

static void ask(Plugin *plugin) {
        uint64_t leisure = has_time(plugin) ? plugin->plugins->leisure : 0;

        plugin->check.asking = TRUE;
        plugin->check.begun = clock_monotonic();
        if (native_check(plugin, on_native_answer))
                return;
        plugin_ask_idle(plugin, leisure, append_metrics, on_answer, plugin);
}

static void set_metrics(Plugin *plugin, JsonObject *metrics) {
        json_object_ref(metrics);
        g_clear_pointer(&plugin->check.metrics, json_object_unref);
        plugin->check.metrics = metrics;
}

static void join(Plugin *plugin, Round *round, JsonObject *metrics, gboolean fresh) {
        if (plugin->check.asking && !fresh)
                return;
        set_metrics(plugin, metrics);
        round->waiting++;
        plugin->check.leisurely = !fresh;
        if (plugin->check.asking) {
                plugin_hasten(plugin);
                g_ptr_array_add(plugin->check.next_rounds, round);
                return;
        }
        g_ptr_array_add(plugin->check.rounds, round);
        ask(plugin);
}

static int on_leisure_over(sd_event_source *source, uint64_t usec, void *userdata) {
        (void) plugins_hear(userdata);
        return 0;
}

/* One timer for all of them, for the case that nobody comes to hear: a plugin that hangs is noticed all the same. */
static void limit_leisure(Plugins *plugins, uint64_t now) {
        uint64_t end = usec_add(now, usec_add(plugins->leisure, LEISURE_SLACK));

        plugins->at_leisure = TRUE;
        if (!plugins->hearing) {
                (void) sd_event_add_time(plugins->parameters.event, &plugins->hearing, CLOCK_MONOTONIC, end, 0,
                                         on_leisure_over, plugins);
                return;
        }
        (void) sd_event_source_set_time(plugins->hearing, end);
        (void) sd_event_source_set_enabled(plugins->hearing, SD_EVENT_ONESHOT);
}

void plugins_check(Plugins *plugins, JsonObject *metrics, gboolean fresh, void (*done)(void *userdata),
                   void *userdata) {
        Round *round = g_new0(Round, 1);
        uint64_t now = clock_monotonic();

        round->plugins = plugins;
        round->done = done;
        round->userdata = userdata;
        g_ptr_array_add(plugins->rounds, round);

        plugins->question.open = TRUE;
        for (guint i = 0; i < plugins->list->len; i++) {
                Plugin *plugin = g_ptr_array_index(plugins->list, i);

                if (!takes_part(plugin))
                        continue;
                if (!fresh && plugin->check.valid_until > now)
                        tell_again(plugin, now);
                else
                        join(plugin, round, metrics, fresh);
        }
        plugins->question.open = FALSE;
        plugins->question.message = sd_bus_message_unref(plugins->question.message);
        if (round->waiting == 0)
                plugins_defer(plugins, round_over, NULL, round);
        else if (!fresh && plugins->leisure > 0)
                limit_leisure(plugins, now);
}

void plugins_set_leisure(Plugins *plugins, uint64_t within) {
        plugins->leisure = within;
}

/* One after the other may be gone, or be another one, by what an answer leads to. */
gboolean plugins_hear(Plugins *plugins) {
        if (!plugins->at_leisure)
                return FALSE;
        plugins->at_leisure = FALSE;
        if (plugins->hearing)
                (void) sd_event_source_set_enabled(plugins->hearing, SD_EVENT_OFF);
        plugins->listening = TRUE;
        for (guint i = 0; i < plugins->list->len; i++) {
                const Plugin *plugin = g_ptr_array_index(plugins->list, i);

                if (plugin->process && plugin->process->channel)
                        channel_hear(plugin->process->channel);
        }
        plugins->listening = FALSE;
        return TRUE;
}
