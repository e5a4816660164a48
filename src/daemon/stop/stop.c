/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/stop/stop.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/journal.h"
#include "base/names.h"
#include "base/stop-actions.h"
#include "daemon/stop/notice.h"
#include "daemon/stop/record.h"
#include "daemon/stop/tags.h"
#include "util/duration.h"
#include "util/json.h"

#define REMINDER_BEFORE (60 * USEC_PER_SEC)
#define RETRY_FIRST (5 * USEC_PER_SEC)
#define RETRY_MAX (5 * USEC_PER_MINUTE)
/* A stop that was accepted and has not happened by then did not happen. */
#define STOPPED_PATIENCE (5 * USEC_PER_MINUTE)
/* Handlers and delay holds may use up all of max_delay_seconds; the tags are written even so. */
#define TAGS_PATIENCE (5 * USEC_PER_SEC)
#define STILL_RUNS "a daemon before this one had asked, and nothing has come of it"

struct Stop {
        StopParameters with;
        Config *config;
        char *action;
        uint64_t wake; /* wall clock µs; 0: not wished */
        GPtrArray *questions; /* Question, under way; owns */

        uint64_t stop_time, idle_since; /* of the warning, monotonic; 0: not known */
        char *reason;
        gboolean announced;             /* handlers were given the event */
        gboolean requested;             /* … of one that a person wants */
        gboolean rehearsal;             /* … of one that only shows what would happen */
        StopAction told;                /* … of this one, whatever the configuration says by now */
        GPtrArray *events;              /* ids of those of this warning */
        unsigned handling;              /* events under way whose end the stop waits for */
        uint64_t ready_deadline;        /* monotonic; 0: not in `stopping` */
        enum { TAGS_OPEN, TAGS_ASKED, TAGS_DONE } tags;
        gboolean tagged;                /* the instance may carry those of this stop */
        gboolean untag_wanted, untagging; /* … of one that it did not end by, or came back from */
        unsigned attempts;
        gboolean calling;               /* a question to the provider is under way */
        gboolean resuming; /* asked by a daemon that died, and there is no provider yet to ask for its state */
        gboolean asked;                 /* to stop this machine, and it has not said no */
        unsigned round;                 /* answers of an earlier round are not ours any more */
        const struct Question *recording; /* the one whose record the disk is waited for with, or NULL */

        sd_event_source *reminder, *patience, *out_of_time, *disk_watch;
};

/* What an answer belongs to: the stop may have been called off and begun again meanwhile. */
typedef struct Question {
        Stop *stop;
        unsigned round;
        gboolean restarted; /* asked on behalf of a daemon that died after asking the provider */
} Question;

static Question *question_new(Stop *stop) {
        Question *question = g_new0(Question, 1);

        question->stop = stop;
        g_ptr_array_add(stop->questions, question);
        question->round = stop->round;
        return question;
}

/* One that nobody answers, because the daemon ends, goes with the stop. */
static void question_end(Question *question) {
        (void) g_ptr_array_remove_fast(question->stop->questions, question);
}
DEFINE_CLEANUP(Question, question_end)

int stop_new(const StopParameters *parameters, Stop **ret) {
        Stop *stop = g_new0(Stop, 1);

        stop->with = *parameters;
        if (stop->with.patience == 0)
                stop->with.patience = STOPPED_PATIENCE;
        stop->config = config_ref(parameters->config);
        stop->questions = g_ptr_array_new_with_free_func(g_free);
        stop->events = g_ptr_array_new_with_free_func(g_free);
        *ret = stop;
        return 0;
}

static void disarm(Stop *stop) {
        stop->reminder = sd_event_source_disable_unref(stop->reminder);
        stop->patience = sd_event_source_disable_unref(stop->patience);
        stop->out_of_time = sd_event_source_disable_unref(stop->out_of_time);
        stop->disk_watch = sd_event_source_disable_unref(stop->disk_watch);
        stop->recording = NULL;
}

Stop *stop_free(Stop *stop) {
        if (!stop)
                return NULL;
        disarm(stop);
        events_forget(stop->with.events, stop);
        config_unref(stop->config);
        g_ptr_array_unref(stop->questions);
        g_ptr_array_unref(stop->events);
        g_free(stop->action);
        g_free(stop->reason);
        g_free(stop);
        return NULL;
}

void stop_set_config(Stop *stop, Config *config) {
        config_ref(config);
        config_unref(stop->config);
        stop->config = config;
}

gboolean stop_dry_run(const Stop *stop) {
        gboolean wished;

        if (decision_stop_requested(stop->with.decision, &wished))
                return wished;
        return stop->config->dry_run;
}

void stop_set_wishes(Stop *stop, const char *action, uint64_t wake) {
        g_free(stop->action);
        stop->action = g_strdup(action);
        stop->wake = wake;
}

void stop_export_wishes(const Stop *stop, JsonObject *object) {
        if (stop->action)
                json_object_set_string_member(object, "action", stop->action);
        if (stop->wake > 0)
                json_object_set_int_member(object, "wake", (gint64) stop->wake);
}

void stop_import_wishes(Stop *stop, JsonObject *object) {
        const char *action = json_get_string(object, "action", NULL);
        gint64 wake = json_get_int(object, "wake", 0);

        stop_set_wishes(stop, action && stop_action_known(action) ? action : NULL, (uint64_t) MAX(wake, 0));
}

const char *stop_action(const Stop *stop) {
        return stop->action ? stop->action : stop->config->stop_action;
}

static int arm(Stop *stop, sd_event_source **source, uint64_t when, sd_event_time_handler_t handler) {
        *source = sd_event_source_disable_unref(*source);
        return sd_event_add_time(stop->with.event, source, CLOCK_MONOTONIC, when, 100 * USEC_PER_MSEC, handler, stop);
}

static void handlers_ended(gboolean handled, JsonArray *results, void *userdata) {
        Stop *stop = userdata;

        if (stop->handling > 0)
                stop->handling--;
        stop->with.step(stop->with.userdata);
}

/* For people, on the clock as it is now: it may have been set since the warning began. */
static uint64_t on_wall_clock(const Stop *stop, uint64_t moment) {
        return moment > 0 ? stop->with.realtime(moment, stop->with.userdata) : 0;
}

/* People and plugins hear of it through the same event; what a handler does with the phase is its own business, the
 * stop waits for the handlers of the first alone. */
static void announce(Stop *stop, NoticePhase phase, const char *reason) {
        Notice notice = {
                .phase = phase,
                .dry_run = stop->rehearsal,
                .now = clock_realtime(),
                .stop_time = on_wall_clock(stop, stop->stop_time),
                .idle_since = on_wall_clock(stop, stop->idle_since),
                .action = stop_action_names[stop->told],
                .reason = reason,
        };
        g_autofree char *text = notice_text(&notice);
        g_autoptr(JsonObject) data = json_object_new();
        gboolean waited_for = phase == NOTICE_SCHEDULED;
        const char *id;
        int r;

        json_object_set_string_member(data, "phase", notice_phase_name(phase));
        json_object_set_boolean_member(data, "cancelled", phase == NOTICE_CANCELLED);
        json_object_set_boolean_member(data, "dry_run", notice.dry_run);
        json_object_set_string_member(data, "action", notice.action);
        json_object_set_string_member(data, "reason", reason);
        json_object_set_string_member(data, "notice", text);
        if (notice.idle_since > 0)
                json_object_set_int_member(data, "idle_since", (gint64) notice.idle_since);
        if (notice.stop_time > 0)
                json_object_set_int_member(data, "stop_time", (gint64) notice.stop_time);

        if (waited_for)
                stop->handling++;
        r = events_emit(stop->with.events, EVENT_STOP_PENDING, EVENT_SOURCE_OWN, SEVERITY_URGENT,
                        phase == NOTICE_CANCELLED
                                ? 0
                                : notice.stop_time + (uint64_t) (stop->config->max_delay_seconds * USEC_PER_SEC),
                        data, waited_for ? handlers_ended : NULL, stop, &id);
        if (r >= 0 && phase != NOTICE_CANCELLED)
                g_ptr_array_add(stop->events, g_strdup(id));
        if (r < 0) {
                if (waited_for)
                        stop->handling--;
                log_warning("Nobody could be told of the stop: %s", strerror(-r));
        }
}

static int on_reminder(sd_event_source *source, uint64_t usec, void *userdata) {
        Stop *stop = userdata;

        announce(stop, NOTICE_REMINDER, stop->reason);
        return 0;
}

static void remember(Stop *stop, uint64_t stop_time, uint64_t idle_since, const char *reason) {
        stop->stop_time = stop_time;
        stop->idle_since = idle_since;
        g_free(stop->reason);
        stop->reason = g_strdup(reason);
}

/* Who was asked hears that it is off, and nobody else is asked. */
static void withdraw_events(Stop *stop) {
        for (guint i = 0; i < stop->events->len; i++)
                events_cancel(stop->with.events, EVENT_SOURCE_OWN, g_ptr_array_index(stop->events, i));
        g_ptr_array_set_size(stop->events, 0);
}

/* Perhaps in the place of one that was announced before, with another time and reason. */
static void schedule(Stop *stop, uint64_t stop_time, uint64_t idle_since, const char *reason) {
        stop->round++;
        stop->attempts = 0;
        withdraw_events(stop);
        remember(stop, stop_time, idle_since, reason);
        stop->rehearsal = stop_dry_run(stop);
        stop->told = stop_action_find(stop_action(stop));
        announce(stop, NOTICE_SCHEDULED, reason);
        stop->announced = TRUE;
        stop->requested = decision_stop_requested(stop->with.decision, NULL);
}

void stop_warning_began(Stop *stop, uint64_t stop_time, uint64_t idle_since, const char *reason) {
        uint64_t left = usec_sub(stop_time, clock_monotonic());

        disarm(stop);
        stop->ready_deadline = 0;
        schedule(stop, stop_time, idle_since, reason);
        if (left > REMINDER_BEFORE + REMINDER_BEFORE / 2)
                (void) arm(stop, &stop->reminder, stop_time - REMINDER_BEFORE, on_reminder);
}

void stop_clock_was_set(Stop *stop) {
        if (stop->announced && stop->ready_deadline == 0 && stop->stop_time > clock_monotonic())
                announce(stop, NOTICE_REMINDER, stop->reason);
}

static int on_out_of_time(sd_event_source *source, uint64_t usec, void *userdata) {
        Stop *stop = userdata;

        if (stop->handling > 0 || holds_delays(stop->with.holds) > 0)
                log_notice("The stop waited %g s for handlers and delay holds; it goes on without them.",
                           stop->config->max_delay_seconds);
        stop->with.step(stop->with.userdata);
        return 0;
}

void stop_stopping_began(Stop *stop, uint64_t idle_since, const char *reason) {
        uint64_t delay = (uint64_t) (stop->config->max_delay_seconds * USEC_PER_SEC);

        stop->reminder = sd_event_source_disable_unref(stop->reminder);
        /* A person may want since the warning what the machine would have done by itself, later. */
        if (stop->announced && stop->requested == decision_stop_requested(stop->with.decision, NULL))
                remember(stop, stop->stop_time, idle_since, reason);
        else
                schedule(stop, clock_monotonic(), idle_since, reason);
        stop->ready_deadline = usec_add(clock_monotonic(), delay);
        (void) arm(stop, &stop->out_of_time, stop->ready_deadline, on_out_of_time);
}

/* Tags are a courtesy: a stop does not fail for them. */
static void on_tagged(gboolean ok, const char *message, void *userdata) {
        _cleanup_(question_endp) Question *question = userdata;
        Stop *stop = question->stop;

        if (!ok)
                log_warning("The stop leaves no tags at the instance: %s", message);
        if (question->round != stop->round)
                return;
        stop->tags = TAGS_DONE;
        stop->with.step(stop->with.userdata);
}

static void write_tags(Stop *stop) {
        Provider *provider = providers_active(stop->with.providers);
        g_autoptr(JsonObject) metrics = stop->with.metrics(stop->with.userdata);
        g_autoptr(JsonObject) tags =
                stop_tags(stop->config, clock_realtime(), stop->reason ? stop->reason : "", metrics);

        if (!tags || !provider || stop_dry_run(stop)) {
                stop->tags = TAGS_DONE;
                return;
        }
        stop->untag_wanted = FALSE;
        stop->tagged = TRUE;
        stop->tags = TAGS_ASKED;
        provider_set_tags(provider, tags, MAX(usec_sub(stop->ready_deadline, clock_monotonic()), TAGS_PATIENCE),
                          on_tagged, question_new(stop));
}

static void on_untagged(gboolean ok, const char *message, void *userdata) {
        _cleanup_(question_endp) Question *question = userdata;
        Stop *stop = question->stop;

        stop->untagging = FALSE;
        if (!ok)
                log_warning("The instance keeps the tag of a stop: %s", message);
        stop->with.step(stop->with.userdata);
}

static void untag(Stop *stop) {
        Provider *provider = providers_active(stop->with.providers);
        g_autoptr(JsonObject) tags = stop_tags_back(stop->config);

        if (!stop->untag_wanted || !provider || stop->untagging)
                return;
        stop->untag_wanted = FALSE;
        if (!tags)
                return;
        stop->untagging = TRUE;
        provider_set_tags(provider, tags, USEC_PER_MINUTE, on_untagged, question_new(stop));
}

void stop_take_tags_back(Stop *stop) {
        stop->untag_wanted = TRUE;
        untag(stop);
}

gboolean stop_ready(Stop *stop) {
        if (stop->ready_deadline == 0)
                return FALSE;
        if (clock_monotonic() < stop->ready_deadline &&
            (stop->handling > 0 || holds_delays(stop->with.holds) > 0))
                return FALSE;
        /* Else the older word could be the later one. */
        if (stop->tags == TAGS_OPEN && !stop->untagging)
                write_tags(stop);
        return stop->tags == TAGS_DONE;
}

/* What a person wished of it stays. */
static void let_go(Stop *stop) {
        disarm(stop);
        stop->round++;
        stop->announced = FALSE;
        stop->handling = 0;
        events_forget(stop->with.events, stop);
        g_ptr_array_set_size(stop->events, 0);
        stop->ready_deadline = 0;
        stop->calling = stop->asked = stop->resuming = FALSE;
        stop->attempts = 0;
        stop->tags = TAGS_OPEN;
        if (stop->tagged)
                stop_take_tags_back(stop);
        stop->tagged = FALSE;
}

static void settle(Stop *stop) {
        let_go(stop);
        stop_set_wishes(stop, NULL, 0);
}

gboolean stop_was_asked(const Stop *stop) {
        return stop->asked;
}

void stop_over(Stop *stop) {
        settle(stop);
}

/* Who had ended already hears of it by an event of its own. */
static void cancel_events(Stop *stop, const char *reason) {
        withdraw_events(stop);
        if (stop->announced)
                announce(stop, NOTICE_CANCELLED, reason);
}

void stop_called_off(Stop *stop, const char *reason) {
        cancel_events(stop, reason);
        (void) store_put(stop->with.store, STOP_RECORD_KEY, NULL, NULL, NULL);
        /* The wishes are by now those of a person's stop that takes its place, where there is one. */
        if (decision_stop_requested(stop->with.decision, NULL))
                let_go(stop);
        else
                settle(stop);
}

static void history(Stop *stop, const char *outcome, const char *message) {
        Provider *provider = providers_active(stop->with.providers);
        g_autoptr(JsonObject) row = json_object_new();

        json_object_set_string_member(row, "outcome", outcome);
        json_object_set_string_member(row, "provider", provider ? provider_id(provider) : "");
        json_object_set_string_member(row, "action", stop_action(stop));
        if (stop->wake > 0)
                json_object_set_int_member(row, "wake", (gint64) stop->wake);
        json_object_set_string_member(row, "reason", stop->reason ? stop->reason : "");
        json_object_set_string_member(row, "message", message);
        json_object_set_int_member(row, "idle_since", (gint64) on_wall_clock(stop, stop->idle_since));
        (void) store_append(stop->with.store, clock_realtime(), HISTORY_STOP, row, NULL, NULL);
}

static void rehearse(Stop *stop) {
        static const char message[] = "Dry run: would have stopped now; arm it with: sudo " SNOOZE_COMMAND " setup";

        history(stop, "rehearsed", message);
        log_notice("%s", message);
        settle(stop);
        decision_rehearsed(stop->with.decision, clock_monotonic(), message);
        stop->with.step(stop->with.userdata);
}

static int on_patience(sd_event_source *source, uint64_t usec, void *userdata) {
        Stop *stop = userdata;
        g_autofree char *span = duration_format(stop->with.patience);
        g_autofree char *message =
                g_strdup_printf("The provider was asked for the stop %s ago and this machine still runs", span);

        stop->with.problem("stop", message, stop->with.userdata);
        history(stop, "failed", message);
        (void) store_put(stop->with.store, STOP_RECORD_KEY, NULL, NULL, NULL);
        cancel_events(stop, message);
        settle(stop);
        decision_restart_clock(stop->with.decision, clock_monotonic(), message);
        stop->with.step(stop->with.userdata);
        return 0;
}

static void refused(Stop *stop, const char *message) {
        history(stop, "refused", message);
        (void) store_put(stop->with.store, STOP_RECORD_KEY, NULL, NULL, NULL);
        stop->with.problem("provider", message, stop->with.userdata);
        cancel_events(stop, message);
        settle(stop);
        decision_provider_refused(stop->with.decision, clock_monotonic(), message);
}

/* logind's inhibitors are holds, but one may be taken in the moment between the last look and the call. */
static void held(Stop *stop, const char *message) {
        uint64_t now = clock_monotonic();

        history(stop, "held", message);
        stop->asked = FALSE;
        decision_provider_retry(stop->with.decision, now, now, message);
        (void) decision_cancel(stop->with.decision, now, message);
}

static void retry(Stop *stop, const char *message) {
        uint64_t backoff = MIN(RETRY_FIRST << MIN(stop->attempts, 10), RETRY_MAX);

        /* Jitter: machines that were throttled together must not come back together. */
        backoff += (uint64_t) g_random_int_range(0, (gint32) (backoff / 4 / USEC_PER_MSEC) + 1) * USEC_PER_MSEC;
        stop->attempts++;
        stop->asked = FALSE;
        log_warning("The provider could not be asked to stop this machine (attempt %u): %s", stop->attempts, message);
        decision_provider_retry(stop->with.decision, clock_monotonic(), usec_add(clock_monotonic(), backoff), message);
}

static void on_answer(StopAnswer answer, const char *message, void *userdata) {
        _cleanup_(question_endp) Question *question = userdata;
        Stop *stop = question->stop;
        gboolean wished;

        if (question->round != stop->round)
                return;
        stop->calling = FALSE;
        switch (answer) {
        case STOP_ACCEPTED:
                history(stop, "accepted", message ? message : "");
                decision_provider_accepted(stop->with.decision, clock_monotonic(),
                                           message ? message : "the provider stops it");
                (void) arm(stop, &stop->patience, usec_add(clock_monotonic(), stop->with.patience), on_patience);
                break;
        case STOP_RETRY:
                retry(stop, message ? message : "no reason given");
                break;
        case STOP_HELD:
                held(stop, message ? message : "somebody holds this machine on");
                break;
        case STOP_REFUSED:
                wished = stop->wake > 0 || (stop->action && !g_str_equal(stop->action, stop->config->stop_action));
                refused(stop, message ? message : "the provider refused the stop");
                /* Perhaps it was a person's wish alone that was refused, and the next stop has none. */
                if (wished)
                        decision_rearm(stop->with.decision, clock_monotonic());
                break;
        }
        stop->with.save(stop->with.userdata);
        stop->with.step(stop->with.userdata);
}

static void ask(Stop *stop) {
        Provider *provider = providers_active(stop->with.providers);
        const char *problem = providers_problem(stop->with.providers, stop_action(stop));

        if (!provider || problem) {
                stop->calling = FALSE;
                refused(stop, problem ? problem
                                      : "No provider is there that could stop this machine; " SNOOZE_COMMAND
                                        " provider list");
                /* Nobody was asked, so nobody has refused: it may be another time. */
                decision_rearm(stop->with.decision, clock_monotonic());
                stop->with.step(stop->with.userdata);
                return;
        }
        decision_provider_asked(stop->with.decision, clock_monotonic());
        stop->asked = TRUE;
        stop->with.save(stop->with.userdata);
        provider_stop(provider, stop_action(stop), stop->reason ? stop->reason : "", stop->wake, on_answer,
                      question_new(stop));
}

/* Since the last look a disk or the cloud was waited for, and somebody may have said no meanwhile. */
static void ask_if_still_wanted(Stop *stop) {
        unsigned round = stop->round;
        gboolean wanted = stop->with.still_wanted(stop->with.userdata);

        if (round != stop->round)
                return;
        if (wanted) {
                ask(stop);
                return;
        }
        /* Not off, but not to be done on what is known now: another look decides. */
        stop->calling = FALSE;
        decision_provider_retry(stop->with.decision, clock_monotonic(), clock_monotonic(), NULL);
        stop->with.step(stop->with.userdata);
}

/* The record is on disk, or cannot be (the store told its own problem), or is not waited for any more: in each case
 * the stop goes on. */
static void go_on(Stop *stop) {
        stop->disk_watch = sd_event_source_disable_unref(stop->disk_watch);
        stop->recording = NULL;
        ask_if_still_wanted(stop);
}

static void on_recorded(const GError *error, void *userdata) {
        _cleanup_(question_endp) Question *question = userdata;

        if (question == question->stop->recording)
                go_on(question->stop);
}

/* A disk that hangs keeps no idle machine on. What is to be done with the record afterwards is written after it: one
 * that comes late is taken away as one that came in time is. */
static int on_disk_watch(sd_event_source *source, uint64_t usec, void *userdata) {
        log_warning("The disk does not answer: the stop goes on before it is recorded.");
        go_on(userdata);
        return 0;
}

static void on_calls_ended(void *userdata) {
        _cleanup_(question_endp) Question *question = userdata;

        if (question->round == question->stop->round)
                on_answer(STOP_RETRY, STILL_RUNS, question_new(question->stop));
}

/* Nothing is repeated blindly: an answer that was lost may have been a yes. */
static void on_state(const char *state, const char *message, void *userdata) {
        _cleanup_(question_endp) Question *question = userdata;
        Stop *stop = question->stop;
        Provider *provider = providers_active(stop->with.providers);

        if (question->round != stop->round)
                return;
        if (state && instance_state_leaves(state)) {
                on_answer(STOP_ACCEPTED, "the provider reports it stopping", question_new(stop));
                return;
        }
        if (question->restarted && provider) {
                /* What that daemon asked may still be under way, and could come after it was called off. */
                provider_end_calls(provider, on_calls_ended, question_new(stop));
                return;
        }
        if (!state || question->restarted) {
                on_answer(STOP_RETRY, state ? STILL_RUNS : message, question_new(stop));
                return;
        }
        ask_if_still_wanted(stop);
}

void stop_call_provider(Stop *stop) {
        Provider *provider = providers_active(stop->with.providers);

        if (stop->calling)
                return;
        if (stop_dry_run(stop)) {
                rehearse(stop);
                return;
        }
        stop->calling = TRUE;
        if (stop->attempts > 0 && provider) {
                provider_query_state(provider, on_state, question_new(stop));
                return;
        }

        g_autoptr(JsonObject) record = stop_record_new(
                stop->with.boot, clock_realtime(), on_wall_clock(stop, stop->idle_since),
                provider ? provider_id(provider) : "", stop_action(stop), stop->reason ? stop->reason : "");
        Question *question = question_new(stop);

        stop->recording = question;
        (void) arm(stop, &stop->disk_watch, usec_add(clock_monotonic(), STORE_PATIENCE), on_disk_watch);
        if (store_put(stop->with.store, STOP_RECORD_KEY, record, on_recorded, question) < 0)
                on_recorded(NULL, question);
}

void stop_resume_asked(Stop *stop) {
        Provider *provider = providers_active(stop->with.providers);
        Question *question;

        stop->asked = TRUE;
        stop->announced = TRUE;
        stop->ready_deadline = clock_monotonic();
        stop->tags = TAGS_DONE; /* or given up: they come before the question */
        stop->tagged = TRUE;
        stop->resuming = !provider;
        if (!provider) {
                (void) arm(stop, &stop->patience, usec_add(clock_monotonic(), stop->with.patience), on_patience);
                return;
        }
        stop->patience = sd_event_source_disable_unref(stop->patience);
        stop->calling = TRUE;
        question = question_new(stop);
        question->restarted = TRUE;
        provider_query_state(provider, on_state, question);
}

void stop_resume_announced(Stop *stop, gboolean rehearsal) {
        stop->announced = TRUE;
        stop->rehearsal = rehearsal;
        stop->told = stop_action_find(stop_action(stop));
}

void stop_provider_changed(Stop *stop) {
        untag(stop);
        if (stop->resuming && providers_active(stop->with.providers))
                stop_resume_asked(stop);
}
