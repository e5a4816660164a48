/* SPDX-License-Identifier: Apache-2.0 */

/* The channel, against real processes at its other end that behave well and badly. What holds over the bus holds here:
 * everybody who asked gets one answer in time, what is no proper answer counts as unknown, and one bad plugin does not
 * touch another. */

#include "plugin-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include "base/errors.h"
#include "base/names.h"

#define CHECK "\"IdleCheck\""
#define QUICK ", \"timeouts\": {\"check\": 1.5, \"initialize\": 3, \"shutdown\": 0.5}"
/* Of those that answer no greeting, which is waited for. */
#define MUTE ", \"timeouts\": {\"initialize\": 0.8}"

static void begin_with(PluginFixture *f, const char *behaviour) {
        fixture_prepare(f);
        fixture_add(f, "one", behaviour, CHECK, QUICK);
        fixture_start(f, "{}");
}

static void assert_vote(PluginFixture *f, const char *source, Verdict verdict, const char *part) {
        const Vote *vote = fixture_vote(f, source);

        g_assert_nonnull(vote);
        if (vote->verdict != verdict || !strstr(vote->reason, part))
                g_error("%s says %s: %s", source, verdict_name(vote->verdict), vote->reason);
}

static PluginProcess *process_of(PluginFixture *f, const char *id) {
        PluginProcess *process = plugins_find(f->plugins, id)->process;

        g_assert_nonnull(process);
        return process;
}

static void test_calls_go_over_it(void) {
        PluginFixture f = {};

        begin_with(&f, "channel-good");
        fixture_round(&f, TRUE);
        fixture_round(&f, TRUE);
        assert_vote(&f, "one", VERDICT_IDLE, "nothing to do");
        g_assert_cmpuint(fixture_noted(&f, "one", "by channel"), ==, 2);
        g_assert_cmpuint(fixture_noted(&f, "one", "OpenChannel"), ==, 1);
        g_assert_true(process_of(&f, "one")->channel_state == CHANNEL_OPEN);
        fixture_down(&f);
}

static void test_one_without_is_called_over_the_bus(void) {
        PluginFixture f = {};

        begin_with(&f, "good");
        fixture_round(&f, TRUE);
        assert_vote(&f, "one", VERDICT_IDLE, "nothing to do");
        g_assert_cmpuint(fixture_noted(&f, "one", "by channel"), ==, 0);
        g_assert_true(process_of(&f, "one")->channel_state == CHANNEL_NONE);
        g_assert_cmpstr(plugin_last_error(plugins_find(f.plugins, "one")), ==, "");
        fixture_down(&f);
}

/* A sanitizer's allocator does not bear the kernel's no: there a plugin that announces too much is found out by its
 * silence. */
#ifdef __SANITIZE_ADDRESS__
#define ANNOUNCED "within"
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ANNOUNCED "within"
#endif
#endif
#ifndef ANNOUNCED
#define ANNOUNCED "too large"
#endif

/* What a plugin may do wrong, and what its vote then says. */
static const struct {
        const char *behaviour, *says;
} wrongs[] = {
        { "error", "org.example.Strange" },
        { "lie", "certainly" },
        { "rubbish", "“ai”" },
        { "huge", "rubbish" },
        { "deep", "rubbish" },
        { "announce-half", "within" },
        { "announce-huge", ANNOUNCED },
        { "hang", "within" },
        { "stall", "within" },
        { "die", "ended while it was asked CheckIdle" },
        { "close", "ended while it was asked CheckIdle" },
        { "flood", "floods" },
        { "flood-requests", "floods" },
        { "hang-open", "did not answer its greeting" },
        { "no-socket", "no connected stream socket" },
        { "foreign-socket", "another process" },
        { "leaving", "leaves while it is greeted" },
};

static void test_wrong_answers_are_unknown(const void *data) {
        size_t i = GPOINTER_TO_SIZE(data);
        g_autofree char *behaviour = g_strconcat("channel-", wrongs[i].behaviour, NULL);
        PluginFixture f = {};

        fixture_prepare(&f);
        fixture_add(&f, "one", behaviour, CHECK, g_str_equal(wrongs[i].behaviour, "hang-open") ? MUTE : QUICK);
        fixture_add(&f, "two", "channel-good", CHECK, "");
        fixture_start(&f, "{}");
        fixture_round(&f, TRUE);
        assert_vote(&f, "one", VERDICT_UNKNOWN, wrongs[i].says);
        assert_vote(&f, "two", VERDICT_IDLE, "nothing to do");
        fixture_down(&f);
}

static void test_one_that_hangs_is_killed(const void *behaviour) {
        PluginFixture f = {};

        begin_with(&f, behaviour);
        fixture_round(&f, TRUE);
        run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_FAILED);
        g_assert_nonnull(strstr(plugin_last_error(plugins_find(f.plugins, "one")), "hangs"));
        run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_RUNNING);
        g_assert_cmpuint(fixture_noted(&f, "one", "starts"), ==, 2);
        g_assert_cmpuint(fixture_noted(&f, "one", "OpenChannel"), ==, 2);
        fixture_down(&f);
}

static void test_late_answer_is_not_the_next(void) {
        PluginFixture f = {};

        begin_with(&f, "channel-late");
        fixture_round(&f, TRUE);
        assert_vote(&f, "one", VERDICT_UNKNOWN, "within");
        fixture_round(&f, TRUE);
        assert_vote(&f, "one", VERDICT_IDLE, "fresh");
        g_assert_cmpuint(f.votes->len, ==, 2);
        fixture_down(&f);
}

static void test_second_answer_is_dropped(void) {
        PluginFixture f = {};

        begin_with(&f, "channel-twice");
        for (unsigned i = 0; i < 3; i++) {
                fixture_round(&f, TRUE);
                assert_vote(&f, "one", VERDICT_BUSY, "first");
        }
        g_assert_cmpuint(f.votes->len, ==, 3);
        g_assert_cmpuint(fixture_noted(&f, "one", "starts"), ==, 1);
        fixture_down(&f);
}

/* The socket lives on in the plugin when both ends of the channel are closed: what watched it must not be heard of
 * again. */
static void test_end_that_is_kept(void) {
        PluginFixture f = {};

        begin_with(&f, "channel-shut");
        for (unsigned i = 0; i < 3; i++) {
                fixture_round(&f, TRUE);
                assert_vote(&f, "one", VERDICT_IDLE, "nothing to do");
                run_until(f.bus.event, fixture_state(&f, "one") != PLUGIN_RUNNING);
                for (unsigned turn = 0; turn < 10; turn++)
                        g_assert_cmpint(sd_event_run(f.bus.event, USEC_PER_MSEC), >=, 0);
                run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_RUNNING);
        }
        fixture_down(&f);
}

/* The daemon hears of both in one turn of its loop: it asks whether the plugin is alive, and finds that it cannot. */
static void test_time_out_of_one_that_is_dead(void) {
        PluginFixture f = {};
        struct pollfd end = { .events = POLLIN };

        begin_with(&f, "channel-hang");
        fixture_ask(&f, TRUE);
        run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_RUNNING &&
                                       sd_bus_is_ready(channel_bus(process_of(&f, "one")->channel)) > 0);
        end.fd = process_of(&f, "one")->pidfd;
        g_assert_cmpint(kill(process_of(&f, "one")->pid, SIGKILL), ==, 0);
        g_assert_cmpint(poll(&end, 1, -1), ==, 1);
        /* The loop does not run until its time is up. */
        g_assert_cmpint(poll(NULL, 0, 1600), ==, 0);
        run_until(f.bus.event, f.rounds > 0);
        g_assert_true(fixture_vote(&f, "one")->verdict == VERDICT_UNKNOWN);
        run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_RUNNING && fixture_noted(&f, "one", "starts") == 2);
        fixture_down(&f);
}

/* Who owns its name yet is not it: it is started when that one has gone, and nobody else is greeted. */
static void test_name_outlives_its_process(void) {
        PluginFixture f = {};
        g_autofree char *path = NULL, *child = NULL;
        Plugin *plugin;

        begin_with(&f, "channel-linger");
        fixture_round(&f, TRUE);
        plugin = plugins_find(f.plugins, "one");
        path = g_build_filename(f.directory, "one.lingers", NULL);
        g_assert_true(g_file_get_contents(path, &child, NULL, NULL));
        g_assert_cmpint(kill(process_of(&f, "one")->pid, SIGKILL), ==, 0);
        run_until(f.bus.event, plugin->state == PLUGIN_LOADING && plugin->process->started);
        g_assert_cmpint(kill((pid_t) g_ascii_strtoll(child, NULL, 10), SIGKILL), ==, 0);
        run_until(f.bus.event, plugin->state != PLUGIN_LOADING);
        g_assert_cmpint(plugin->state, ==, PLUGIN_INITIALIZING);
        run_until(f.bus.event, plugin->state == PLUGIN_RUNNING);
        g_assert_cmpuint(fixture_noted(&f, "one", "starts"), ==, 2);
        g_assert_cmpuint(plugin->restarts, ==, 1);
        fixture_down(&f);
}

static void test_check_is_repeated_once(void) {
        PluginFixture f = {};

        begin_with(&f, "channel-die-once");
        fixture_round(&f, TRUE);
        assert_vote(&f, "one", VERDICT_IDLE, "nothing to do");
        g_assert_cmpuint(f.votes->len, ==, 1);
        g_assert_cmpuint(fixture_noted(&f, "one", "CheckIdle"), ==, 2);
        fixture_down(&f);
}

typedef struct Answers {
        unsigned n, failed;
} Answers;

static void on_answer(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Answers *answers = userdata;

        answers->n++;
        answers->failed += error != NULL;
}

static int append_nothing(sd_bus_message *message, void *userdata) {
        return sd_bus_message_append(message, "a{sv}", 0);
}

/* Its end has been closed since it answered, and the daemon, whose loop does not run, knows nothing of that. */
static void wait_for_the_end(PluginFixture *f, const char *id) {
        struct pollfd end = { .fd = sd_bus_get_fd(channel_bus(process_of(f, id)->channel)) };

        g_assert_cmpint(poll(&end, 1, 30000), ==, 1);
        g_assert_true(end.revents & POLLHUP);
}

typedef struct Told {
        unsigned n;
        char *error, *words;
        PluginState state;
} Told;

static void on_told(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Told *told = userdata;

        told->n++;
        told->state = plugin->state;
        told->error = g_strdup(error ? error->name : "");
        told->words = g_strdup(error ? error->message : "");
}

static int append_request(sd_bus_message *message, void *userdata) {
        return sd_bus_message_append(message, "sa{sv}", "look", 0);
}

static void ask_handle(PluginFixture *f, gboolean without_effect, Told *told) {
        g_assert_cmpint(plugin_call(plugins_find(f->plugins, "one"), REQUEST_HANDLER_INTERFACE, "Handle", 0,
                                    without_effect, append_request, on_told, told),
                        ==, 0);
}

static void told_clear(Told *told) {
        g_free(told->error);
        g_free(told->words);
}

/* The write itself finds out. Whoever is asked for an effect is told by name, and is not asked again; who is asked for
 * none is asked once more, and what comes after that waits; the plugin is restarted like one that died. */
static void test_closed_under_a_send(const void *data) {
        gboolean without_effect = GPOINTER_TO_INT(data);
        Told first = {}, second = {};
        PluginFixture f = {};

        fixture_prepare(&f);
        fixture_add(&f, "one", "channel-shut", "\"RequestHandler\", " CHECK, "");
        fixture_start(&f, "{}");
        fixture_round(&f, TRUE);
        wait_for_the_end(&f, "one");
        ask_handle(&f, without_effect, &first);
        g_assert_true(process_of(&f, "one")->channel_state == CHANNEL_OPEN);
        g_assert_cmpint(sd_bus_is_open(channel_bus(process_of(&f, "one")->channel)), ==, 0);
        ask_handle(&f, FALSE, &second);
        run_until(f.bus.event, first.n == 1 && second.n == 1);
        if (without_effect)
                g_assert_cmpstr(first.words, ==, "");
        else {
                g_assert_cmpstr(first.error, ==, ERROR_PLUGIN_FAILED);
                g_assert_nonnull(strstr(first.words, "closed its channel"));
                g_assert_cmpint(first.state, !=, PLUGIN_RUNNING);
        }
        g_assert_cmpstr(second.words, ==, "");
        g_assert_cmpuint(fixture_noted(&f, "one", "Handle"), ==, without_effect ? 2 : 1);
        g_assert_cmpuint(fixture_noted(&f, "one", "starts"), ==, 2);
        g_assert_cmpuint(plugins_find(f.plugins, "one")->restarts, ==, 1);
        told_clear(&first);
        told_clear(&second);
        fixture_down(&f);
}

/* Repeated once: the next one closes it, too. */
static void test_closed_by_each_request(void) {
        Told told = {};
        PluginFixture f = {};

        fixture_prepare(&f);
        fixture_add(&f, "one", "channel-shut-request", "\"RequestHandler\", " CHECK, "");
        fixture_start(&f, "{}");
        fixture_round(&f, TRUE);
        ask_handle(&f, TRUE, &told);
        run_until(f.bus.event, told.n == 1);
        g_assert_cmpstr(told.error, ==, ERROR_PLUGIN_FAILED);
        g_assert_cmpuint(fixture_noted(&f, "one", "Handle"), ==, 2);
        told_clear(&told);
        fixture_down(&f);
}

static void test_many_at_once_and_no_more(void) {
        const unsigned more = 6;
        Answers answers = {};
        PluginFixture f = {};
        PluginProcess *process;

        fixture_prepare(&f);
        fixture_add(&f, "one", "channel-hang-event", "\"EventHandler\", " CHECK, "");
        fixture_start(&f, "{}");
        fixture_round(&f, TRUE);
        for (unsigned i = 0; i < CHANNEL_IN_FLIGHT_MAX + more; i++)
                g_assert_cmpint(plugin_call(plugins_find(f.plugins, "one"), EVENT_HANDLER_INTERFACE, "HandleEvent",
                                            USEC_PER_HOUR, FALSE, append_nothing, on_answer, &answers),
                                ==, 0);
        process = process_of(&f, "one");
        g_assert_cmpuint(g_queue_get_length(&process->in_flight), ==, CHANNEL_IN_FLIGHT_MAX);
        g_assert_cmpuint(g_queue_get_length(&process->plugin->calls), ==, more);
        g_assert_cmpuint(f.plugins->in_flight, ==, 0);

        g_assert_cmpint(kill(process->pid, SIGKILL), ==, 0);
        run_until(f.bus.event, answers.n == CHANNEL_IN_FLIGHT_MAX);
        g_assert_cmpuint(answers.failed, ==, answers.n);
        fixture_down(&f);
}

/* Without channels: the bus has a bound of its own to what a connection may wait for, and closes who exceeds it. */
static void test_many_over_the_bus_and_no_more(void) {
        const unsigned more = 3;
        Answers answers = {};
        PluginFixture f = {};
        char id[16];

        fixture_prepare(&f);
        for (unsigned i = 0; i < IN_FLIGHT_MAX + more; i++) {
                g_snprintf(id, sizeof(id), "p%u", i);
                fixture_add(&f, id, i < IN_FLIGHT_MAX ? "hang-event" : "good", "\"EventHandler\", " CHECK, "");
        }
        fixture_start(&f, "{}");
        fixture_round(&f, TRUE);
        g_assert_cmpuint(f.plugins->in_flight, ==, 0);
        for (unsigned i = 0; i < IN_FLIGHT_MAX + more; i++) {
                g_snprintf(id, sizeof(id), "p%u", i);
                g_assert_cmpint(plugin_call(plugins_find(f.plugins, id), EVENT_HANDLER_INTERFACE, "HandleEvent",
                                            USEC_PER_HOUR, FALSE, append_nothing, on_answer, &answers),
                                ==, 0);
                g_assert_cmpuint(f.plugins->in_flight, ==, MIN(i + 1, IN_FLIGHT_MAX));
                g_assert_cmpuint(g_queue_get_length(&process_of(&f, id)->in_flight), ==, i < IN_FLIGHT_MAX);
        }

        /* The place of one that ends goes from each to the next. */
        g_assert_cmpint(kill(process_of(&f, "p0")->pid, SIGKILL), ==, 0);
        run_until(f.bus.event, answers.n == 1 + more);
        g_assert_cmpuint(answers.failed, ==, 1);
        g_assert_cmpuint(f.plugins->in_flight, <=, IN_FLIGHT_MAX);
        for (unsigned i = 0; i < more; i++) {
                g_snprintf(id, sizeof(id), "p%u", IN_FLIGHT_MAX + i);
                g_assert_cmpuint(fixture_noted(&f, id, "HandleEvent"), ==, 1);
        }
        fixture_down(&f);
}

static void test_death_is_noticed_at_once(void) {
        PluginFixture f = {};

        begin_with(&f, "channel-good");
        fixture_round(&f, TRUE);
        g_assert_cmpint(kill(process_of(&f, "one")->pid, SIGKILL), ==, 0);
        run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_FAILED);
        run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_RUNNING);
        fixture_round(&f, TRUE);
        assert_vote(&f, "one", VERDICT_IDLE, "nothing to do");
        g_assert_cmpuint(fixture_noted(&f, "one", "OpenChannel"), ==, 2);
        fixture_down(&f);
}

static void test_polite_leave_loses_nothing(void) {
        PluginFixture f = {};

        begin_with(&f, "channel-leave-politely");
        for (unsigned i = 1; i <= 8; i++) {
                fixture_round(&f, TRUE);
                assert_vote(&f, "one", VERDICT_IDLE, "nothing to do");
                g_assert_cmpuint(fixture_noted(&f, "one", "starts"), ==, i);
        }
        run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_STOPPED);
        g_assert_cmpuint(fixture_noted(&f, "one", "end"), ==, 8);
        g_assert_cmpuint(f.problems->len, ==, 0);
        g_assert_cmpuint(plugins_find(f.plugins, "one")->restarts, ==, 0);
        fixture_down(&f);
}

static void test_unneeded_one_is_closed_and_opened_again(void) {
        PluginFixture f = { .channel_idle = 50 * USEC_PER_MSEC };

        fixture_prepare(&f);
        fixture_add(&f, "one", "channel-good", CHECK ", \"State\"", QUICK);
        fixture_start(&f, "{}");
        fixture_round(&f, TRUE);
        run_until(f.bus.event, process_of(&f, "one")->channel_state == CHANNEL_CLOSED);
        run_until(f.bus.event, fixture_noted(&f, "one", "end") == 1);
        g_assert_cmpint(fixture_state(&f, "one"), ==, PLUGIN_RUNNING);

        fixture_round(&f, TRUE);
        assert_vote(&f, "one", VERDICT_IDLE, "nothing to do");
        g_assert_cmpuint(fixture_noted(&f, "one", "OpenChannel"), ==, 2);
        g_assert_cmpuint(fixture_noted(&f, "one", "by channel"), ==, 2);

        /* What it knows goes over one, too. */
        run_until(f.bus.event, process_of(&f, "one")->channel_state == CHANNEL_CLOSED);
        plugin_unload(plugins_find(f.plugins, "one"), NULL, NULL);
        run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_STOPPED);
        g_assert_cmpuint(fixture_noted(&f, "one", "OpenChannel"), ==, 3);
        g_assert_cmpuint(fixture_noted(&f, "one", "ExportState"), ==, 1);
        g_assert_cmpuint(fixture_noted(&f, "one", "ExportState by channel"), ==, 1);
        g_assert_cmpuint(fixture_noted(&f, "one", "starts"), ==, 1);
        g_assert_cmpuint(f.problems->len, ==, 0);
        fixture_down(&f);
}

/* What it knows is not lost for want of another channel. */
static void test_state_of_one_that_opens_no_other(const void *behaviour) {
        PluginFixture f = { .channel_idle = 50 * USEC_PER_MSEC };

        fixture_prepare(&f);
        fixture_add(&f, "one", behaviour, CHECK ", \"State\"", MUTE);
        fixture_start(&f, "{}");
        fixture_round(&f, TRUE);
        run_until(f.bus.event, process_of(&f, "one")->channel_state == CHANNEL_CLOSED);
        plugin_unload(plugins_find(f.plugins, "one"), NULL, NULL);
        run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_STOPPED);
        g_assert_cmpuint(fixture_noted(&f, "one", "OpenChannel"), ==, 2);
        g_assert_cmpuint(fixture_noted(&f, "one", "ExportState"), ==, 1);
        g_assert_cmpuint(fixture_noted(&f, "one", "ExportState by channel"), ==, 0);
        g_assert_cmpuint(f.problems->len, ==, 0);
        fixture_down(&f);
}

static gboolean has_input(PluginFixture *f, const char *id) {
        struct pollfd poll_fd = { .fd = sd_bus_get_fd(channel_bus(process_of(f, id)->channel)), .events = POLLIN };

        return poll(&poll_fd, 1, 30000) == 1;
}

static void begin_patiently(PluginFixture *f, const char *behaviour) {
        fixture_prepare(f);
        fixture_add(f, "one", behaviour, CHECK, ", \"timeouts\": {\"check\": 60}");
        fixture_start(f, "{}");
}

/* Nobody waits for an ordinary round: its answer lies there, however often the loop turns, until it is asked for. */
static void test_leisurely_answer_waits_to_be_heard(void) {
        PluginFixture f = {};
        unsigned votes, rounds;

        begin_patiently(&f, "channel-good");
        fixture_round(&f, TRUE);
        plugins_set_leisure(f.plugins, USEC_PER_MINUTE);
        votes = f.votes->len;
        rounds = f.rounds;
        fixture_ask(&f, FALSE);
        g_assert_true(has_input(&f, "one"));
        for (unsigned i = 0; i < 10; i++)
                g_assert_cmpint(sd_event_run(f.bus.event, 0), >=, 0);
        g_assert_cmpuint(f.votes->len, ==, votes);

        plugins_hear(f.plugins);
        g_assert_cmpuint(f.votes->len, ==, votes + 1);
        g_assert_cmpuint(f.rounds, ==, rounds + 1);
        assert_vote(&f, "one", VERDICT_IDLE, "nothing to do");
        g_assert_cmpstr(plugin_last_error(plugins_find(f.plugins, "one")), ==, "");
        fixture_down(&f);
}

/* A last look does not wait for the question of before to be heard. */
static void test_fresh_round_hastens(void) {
        PluginFixture f = {};
        unsigned votes, rounds;

        begin_patiently(&f, "channel-good");
        fixture_round(&f, TRUE);
        plugins_set_leisure(f.plugins, USEC_PER_MINUTE);
        votes = f.votes->len;
        rounds = f.rounds;
        fixture_ask(&f, FALSE);
        fixture_ask(&f, TRUE);
        run_until(f.bus.event, f.rounds == rounds + 2);
        g_assert_cmpuint(f.votes->len, ==, votes + 2);
        fixture_down(&f);
}

/* A round sends one message to all who have the same time-out. Its number is nobody's whose answer is still on its
 * way, however many calls either of them had before; and where a time-out is another, it is kept. */
static void test_round_among_other_calls(void) {
        static const char *const ids[] = { "hangs", "one", "quick", "two" };
        PluginFixture f = {};
        Answers answers = {};

        fixture_prepare(&f);
        fixture_add(&f, "hangs", "channel-hang", CHECK, QUICK);
        fixture_add(&f, "one", "channel-good", CHECK, "");
        fixture_add(&f, "quick", "channel-good", CHECK, QUICK);
        fixture_add(&f, "two", "channel-good", CHECK, "");
        fixture_start(&f, "{}");
        for (unsigned round = 1; round <= 2; round++) {
                unsigned rounds = f.rounds;

                for (unsigned i = 0; i < 20; i++)
                        g_assert_cmpint(plugin_call(plugins_find(f.plugins, "two"), IDLE_CHECK_INTERFACE, "CheckIdle",
                                                    0, TRUE, append_nothing, on_answer, &answers),
                                        ==, 0);
                fixture_ask(&f, TRUE);
                run_until(f.bus.event, answers.n == 20 * round && f.rounds == rounds + 1);
                g_assert_cmpuint(answers.failed, ==, 0);
                for (size_t i = 1; i < G_N_ELEMENTS(ids); i++)
                        assert_vote(&f, ids[i], VERDICT_IDLE, "nothing to do");
                assert_vote(&f, "hangs", VERDICT_UNKNOWN, "");
        }
        fixture_down(&f);
}

/* Its deadline is later by the leisure; it has one all the same, whether or not anybody hears. */
static void test_leisurely_hang_is_noticed(void) {
        PluginFixture f = {};

        begin_with(&f, "channel-hang-later");
        plugins_set_leisure(f.plugins, USEC_PER_SEC);
        fixture_round(&f, FALSE);
        assert_vote(&f, "one", VERDICT_IDLE, "nothing to do");
        fixture_round(&f, FALSE);
        assert_vote(&f, "one", VERDICT_UNKNOWN, "within 1.5 s");
        fixture_down(&f);
}

/* Who wants it to end does not wait for the next sample. */
static void test_leisurely_answer_keeps_nobody(void) {
        PluginFixture f = {};

        begin_patiently(&f, "channel-good");
        fixture_round(&f, TRUE);
        plugins_set_leisure(f.plugins, USEC_PER_MINUTE);
        fixture_ask(&f, FALSE);
        plugin_unload(plugins_find(f.plugins, "one"), NULL, NULL);
        run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_STOPPED);
        assert_vote(&f, "one", VERDICT_IDLE, "nothing to do");
        fixture_down(&f);
}

static void test_silent_one_is_asked_whether_it_lives(const void *behaviour) {
        PluginFixture f = { .silence = 50 * USEC_PER_MSEC };

        begin_with(&f, behaviour);
        fixture_round(&f, TRUE);
        run_until(f.bus.event, fixture_noted(&f, "one", "Ping") >= 2);
        g_assert_cmpint(fixture_state(&f, "one"), ==, PLUGIN_RUNNING);

        /* Stopped, it is asked nothing, and found all the same. */
        g_assert_cmpint(kill(process_of(&f, "one")->pid, SIGSTOP), ==, 0);
        run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_FAILED);
        g_assert_nonnull(strstr(plugin_last_error(plugins_find(f.plugins, "one")), "hangs"));
        run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_RUNNING);
        g_assert_cmpuint(fixture_noted(&f, "one", "starts"), ==, 2);
        fixture_down(&f);
}

typedef struct Blocks {
        unsigned n, wrong, failed;
} Blocks;

static void on_block(Plugin *plugin, GBytes *output, const sd_bus_error *error, void *userdata) {
        Blocks *blocks = userdata;

        blocks->n++;
        blocks->failed += error != NULL;
        blocks->wrong +=
                output && (g_bytes_get_size(output) != 3 || memcmp(g_bytes_get_data(output, NULL), "abc", 3) != 0);
}

static void test_blocks(const void *behaviour) {
        g_autoptr(GBytes) block = g_bytes_new_static("abc", 3),
                          large = g_bytes_new_take(g_malloc0(PLUGIN_DATA_MAX - 3), PLUGIN_DATA_MAX - 3);
        g_autoptr(GBytes) huge = g_bytes_new_take(g_malloc0(PLUGIN_DATA_MAX + 1), PLUGIN_DATA_MAX + 1);
        PluginFixture f = {};
        Blocks blocks = {};
        Plugin *plugin;

        fixture_prepare(&f);
        fixture_add(&f, "one", behaviour, "\"DataProcessor\"", "");
        fixture_start(&f, "{}");
        plugin = plugins_find(f.plugins, "one");
        for (unsigned i = 0; i < 60; i++)
                g_assert_cmpint(plugin_process_data(plugin, block, 0, on_block, &blocks), ==, 0);
        run_until(f.bus.event, blocks.n == 60);
        g_assert_cmpuint(blocks.failed, ==, 0);
        g_assert_cmpuint(blocks.wrong, ==, 0);

        /* What all of them together may have is bounded. */
        g_assert_cmpint(plugin_process_data(plugin, huge, 0, on_block, &blocks), ==, -E2BIG);
        g_assert_cmpint(plugin_process_data(plugin, large, 0, on_block, &blocks), ==, 0);
        g_assert_cmpint(plugin_process_data(plugin, block, 0, on_block, &blocks), ==, 0);
        g_assert_cmpint(plugin_process_data(plugin, block, 0, on_block, &blocks), ==, -EBUSY);
        run_until(f.bus.event, blocks.n == 62);
        g_assert_cmpuint(blocks.failed, ==, 0);
        g_assert_cmpuint(f.plugins->data_bytes, ==, 0);
        fixture_down(&f);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/channel/calls-go-over-it", test_calls_go_over_it);
        g_test_add_func("/channel/one-without-is-called-over-the-bus", test_one_without_is_called_over_the_bus);
        for (size_t i = 0; i < G_N_ELEMENTS(wrongs); i++) {
                g_autofree char *name = g_strdup_printf("/channel/wrong/%s", wrongs[i].behaviour);

                g_test_add_data_func(name, GSIZE_TO_POINTER(i), test_wrong_answers_are_unknown);
        }
        g_test_add_func("/channel/end-that-is-kept", test_end_that_is_kept);
        g_test_add_data_func("/channel/hang-is-killed", "channel-hang", test_one_that_hangs_is_killed);
        g_test_add_data_func("/channel/stall-is-killed", "channel-stall", test_one_that_hangs_is_killed);
        g_test_add_data_func("/channel/half-message-is-killed", "channel-announce-half",
                             test_one_that_hangs_is_killed);
        g_test_add_func("/channel/late-answer-is-not-the-next", test_late_answer_is_not_the_next);
        g_test_add_func("/channel/second-answer-is-dropped", test_second_answer_is_dropped);
        g_test_add_func("/channel/time-out-of-one-that-is-dead", test_time_out_of_one_that_is_dead);
        g_test_add_func("/channel/name-outlives-its-process", test_name_outlives_its_process);
        g_test_add_func("/channel/check-is-repeated-once", test_check_is_repeated_once);
        g_test_add_data_func("/channel/closed-under-a-send", GINT_TO_POINTER(FALSE), test_closed_under_a_send);
        g_test_add_data_func("/channel/closed-under-a-send/without-effect", GINT_TO_POINTER(TRUE),
                             test_closed_under_a_send);
        g_test_add_func("/channel/closed-by-each-request", test_closed_by_each_request);
        g_test_add_func("/channel/many-at-once-and-no-more", test_many_at_once_and_no_more);
        g_test_add_func("/channel/many-over-the-bus-and-no-more", test_many_over_the_bus_and_no_more);
        g_test_add_func("/channel/death-is-noticed-at-once", test_death_is_noticed_at_once);
        g_test_add_func("/channel/polite-leave-loses-nothing", test_polite_leave_loses_nothing);
        g_test_add_func("/channel/unneeded-one-is-closed-and-opened-again",
                        test_unneeded_one_is_closed_and_opened_again);
        g_test_add_data_func("/channel/state-without-another/leaving", "channel-leaving-later",
                             test_state_of_one_that_opens_no_other);
        g_test_add_data_func("/channel/state-without-another/hangs", "channel-hang-open-later",
                             test_state_of_one_that_opens_no_other);
        g_test_add_func("/channel/round-among-other-calls", test_round_among_other_calls);
        g_test_add_func("/channel/leisurely-answer-waits", test_leisurely_answer_waits_to_be_heard);
        g_test_add_func("/channel/leisurely-answer-keeps-nobody", test_leisurely_answer_keeps_nobody);
        g_test_add_func("/channel/fresh-round-hastens", test_fresh_round_hastens);
        g_test_add_func("/channel/leisurely-hang", test_leisurely_hang_is_noticed);
        g_test_add_data_func("/channel/silent-one-is-asked", "channel-good",
                             test_silent_one_is_asked_whether_it_lives);
        g_test_add_data_func("/channel/silent-one-is-asked/bus", "good", test_silent_one_is_asked_whether_it_lives);
        g_test_add_data_func("/channel/blocks", "channel-good", test_blocks);
        g_test_add_data_func("/channel/blocks/bus", "good", test_blocks);
        return g_test_run();
}
