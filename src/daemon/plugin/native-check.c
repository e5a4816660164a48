/* SPDX-License-Identifier: Apache-2.0 */

/* CheckIdle of a native plugin, without a message: the same deadline, the same statistics and the same strictness as
 * of a call. It has at most one question at a time, as every plugin has. */

#include "base/clock.h"
#include "daemon/plugin/plugin.h"

struct NativeQuestion {
        Plugin *plugin;   /* NULL: nobody waits for the answer any more */
        NativeChecked checked;
        gboolean held;    /* the plugin has yet to answer */
        gboolean told;    /* the answer waits for its turn in the loop */
        sd_event_source *timer;
        CheckAnswer answer;
        char *problem;
};

static void question_free(NativeQuestion *question) {
        if (question->held || question->told)
                return;
        sd_event_source_disable_unref(question->timer);
        check_answer_clear(&question->answer);
        g_free(question->problem);
        g_free(question);
}

static void question_drop(void *data) {
        NativeQuestion *question = data;

        question->told = FALSE;
        question_free(question);
}

/* Not from within ask(): whoever began the round is still busy with it. */
static void tell(void *data) {
        NativeQuestion *question = data;
        Plugin *plugin = question->plugin;

        if (!plugin)
                return;
        plugin->check.native = NULL;
        question->plugin = NULL;
        question->checked(plugin, &question->answer, question->problem);
}

static void ended(NativeQuestion *question) {
        question->timer = sd_event_source_disable_unref(question->timer);
        question->told = TRUE;
        plugins_defer(question->plugin->plugins, tell, question_drop, question);
}

static void take(NativeQuestion *question, const NativeVote *vote) {
        Plugin *plugin = question->plugin;
        uint64_t now = clock_monotonic();

        if (plugin->process)
                plugin->process->last_heard = now;
        if (vote->error)
                question->problem = g_strdup(vote->error);
        else
                (void) check_answer_make(plugin->id, vote->verdict, vote->reason, vote->details, plugin->check.begun,
                                         now, clock_realtime(), &question->answer, &question->problem);
        if (!question->problem)
                statistics_add_duration(&plugin->statistics, usec_sub(now, plugin->check.begun));
        else
                plugin->statistics.errors++;
        plugin_set_healthy(plugin, !question->problem, question->problem);
}

static void on_vote(const NativeVote *vote, void *userdata) {
        NativeQuestion *question = userdata;

        question->held = FALSE;
        if (!question->plugin || question->told) {
                question_free(question);
                return;
        }
        take(question, vote);
        ended(question);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        NativeQuestion *question = userdata;
        Plugin *plugin = question->plugin;

        question->problem = g_strdup_printf("%s did not answer CheckIdle in time.", plugin->id);
        plugin->statistics.timeouts++;
        plugin_set_healthy(plugin, FALSE, question->problem);
        ended(question);
        return 0;
}

gboolean native_check(Plugin *plugin, NativeChecked checked) {
        Plugins *plugins = plugin->plugins;
        NativeQuestion *question;

        if (plugin->state != PLUGIN_RUNNING || !plugin->process || !plugin->process->native)
                return FALSE;
        question = g_new0(NativeQuestion, 1);
        question->plugin = plugin;
        question->checked = checked;
        question->held = TRUE;
        plugin->check.native = question;
        if (!native_check_idle(plugin->process->native, plugins->parameters.bus, plugin->check.metrics, on_vote,
                               question)) {
                plugin->check.native = NULL;
                question->held = FALSE;
                question_free(question);
                return FALSE;
        }
        plugin->statistics.calls++;
        if (question->held)
                (void) sd_event_add_time_relative(plugins->parameters.event, &question->timer, CLOCK_MONOTONIC,
                                                  plugin_timeout(plugin, TIMEOUT_CHECK), 0, on_deadline, question);
        return TRUE;
}

void native_check_cancel(Plugin *plugin) {
        NativeQuestion *question = g_steal_pointer(&plugin->check.native);

        if (!question)
                return;
        question->timer = sd_event_source_disable_unref(question->timer);
        question->plugin = NULL;
        question_free(question);
}
