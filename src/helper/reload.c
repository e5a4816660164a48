/* SPDX-License-Identifier: Apache-2.0 */

/*  requests ──100 ms──▸ remove users (one unit each) ─▸ make users ─▸ systemd: Reload ─▸ bus: ReloadConfig ─▸ answers
 *
 *  Requests that come meanwhile make the next batch. A step that fails is told to all of its batch, as what could not
 * be written is, a user that could not be removed to those who wanted that; the other steps are tried all the same,
 * for what was written stands there and is to be in force as far as that goes.
 *
 *  What failed is owed. A step that is everybody's belongs to the next batch, too, whoever asks for one: nobody hears
 * that all is read while it is not. A user is removed again for those only who ask for that, or by the next helper: it
 * may never work, and is no business of the others. */

#include "helper/reload.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/journal.h"
#include "bus/kept-call.h"

#define GATHER (100 * USEC_PER_MSEC)
#define STEP_TIMEOUT (90 * USEC_PER_SEC)
#define WAITING_MAX 256U
#define CANCELLED_MAX 3U

#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER SYSTEMD_NAME ".Manager"
#define DRIVER "org.freedesktop.DBus"

#define USERS_UNIT "snooze-users.service"
#define REMOVE_UNIT "snooze-user-remove@%s.service"

typedef struct Failure {
        const char *error; /* its name … */
        char *message;     /* … and what it says; NULL: there was none */
} Failure;

typedef struct Waiting {
        sd_bus_message *call;
        char *removed;   /* that the user of this plugin goes is part of what was asked for; NULL: of nobody */
        Failure failure; /* of that */
} Waiting;

typedef struct Batch {
        unsigned what;
        GPtrArray *calls;   /* Waiting */
        GPtrArray *removed; /* ids, owned, each once */
        Failure failure;    /* the first that is everybody's */
} Batch;

struct Reloader {
        sd_bus *bus;
        void (*idle)(void *userdata);
        void *userdata;
        Batch next, running;
        gboolean busy;
        unsigned step;             /* ReloadWhat: what is under way, or 0 */
        char *removing;            /* the id whose user is, or NULL */
        gboolean forgiven;         /* that one is to stay after all */
        unsigned owed;             /* ReloadWhat */
        GHashTable *owed_removals; /* ids, owned */
        sd_event_source *timer, *guard;
        sd_bus_slot *call, *removed_match;
        char *job, *unit, *systemd; /* whose end is waited for; who said so */
        unsigned cancelled;         /* how often that of this unit was */
};

static void next_step(Reloader *reloader);
static void start_unit(Reloader *reloader, const char *unit);

static void waiting_free(void *data) {
        Waiting *waiting = data;

        sd_bus_message_unref(waiting->call);
        g_free(waiting->removed);
        g_free(waiting->failure.message);
        g_free(waiting);
}

static void batch_init(Batch *batch) {
        *batch = (Batch) { .calls = g_ptr_array_new_with_free_func(waiting_free),
                           .removed = g_ptr_array_new_with_free_func(g_free) };
}

static void batch_clear(Batch *batch) {
        g_clear_pointer(&batch->calls, g_ptr_array_unref);
        g_clear_pointer(&batch->removed, g_ptr_array_unref);
        g_clear_pointer(&batch->failure.message, g_free);
        batch->what = 0;
}

/* The first one counts. */
static void failure_set(Failure *failure, const Failure *what) {
        if (!failure->message)
                *failure = (Failure) { .error = what->error, .message = g_strdup(what->message) };
}

static void fail_removal(Reloader *reloader, const Failure *failure) {
        GPtrArray *calls = reloader->running.calls;

        if (!reloader->forgiven)
                reloader_owe_removal(reloader, reloader->removing);
        for (guint i = 0; i < calls->len; i++) {
                Waiting *waiting = g_ptr_array_index(calls, i);

                if (g_strcmp0(waiting->removed, reloader->removing) == 0)
                        failure_set(&waiting->failure, failure);
        }
}

static void fail(Reloader *reloader, const char *error, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void fail(Reloader *reloader, const char *error, const char *format, ...) {
        g_autofree char *message = NULL;
        Failure failure;
        va_list ap;

        va_start(ap, format);
        message = g_strdup_vprintf(format, ap);
        va_end(ap);
        log_error("%s", message);
        failure = (Failure) { .error = error, .message = message };
        reloader->owed |= reloader->step;
        if (reloader->removing)
                fail_removal(reloader, &failure);
        else
                failure_set(&reloader->running.failure, &failure);
}

/* sd-bus says so where it has waited for long enough, the bus where who was asked has gone without an answer. */
static const char *error_for(const sd_bus_error *error) {
        return sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY) ? ERROR_TIMED_OUT : ERROR_STORE;
}

static gboolean nobody_there(const sd_bus_error *error) {
        return sd_bus_error_has_name(error, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
               sd_bus_error_has_name(error, SD_BUS_ERROR_NAME_HAS_NO_OWNER) ||
               g_str_has_prefix(error->name, DRIVER ".Error.Spawn.");
}

/* Whatever the answer of the last call is, the batch goes on. */
static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        Reloader *reloader = userdata;

        if (error && !nobody_there(error))
                fail(reloader, error_for(error), "%s could not be told to read its files again: %s",
                     sd_bus_message_get_sender(reply) ?: "the bus", error->message ?: error->name);
        next_step(reloader);
        return 0;
}

static void call_or_fail(Reloader *reloader, const char *name, const char *path, const char *interface,
                         const char *member) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        int r;

        reloader->call = sd_bus_slot_unref(reloader->call);
        r = sd_bus_message_new_method_call(reloader->bus, &call, name, path, interface, member);
        if (r >= 0)
                r = sd_bus_call_async(reloader->bus, &reloader->call, call, on_answer, reloader, STEP_TIMEOUT);
        if (r < 0) {
                fail(reloader, ERROR_STORE, "%s could not be called: %s", name, g_strerror(-r));
                next_step(reloader);
        }
}

static void job_forget(Reloader *reloader) {
        (void) sd_event_source_set_enabled(reloader->guard, SD_EVENT_OFF);
        g_clear_pointer(&reloader->job, g_free);
        g_clear_pointer(&reloader->unit, g_free);
        g_clear_pointer(&reloader->systemd, g_free);
}

static int on_job_late(sd_event_source *source, uint64_t usec, void *userdata) {
        Reloader *reloader = userdata;

        fail(reloader, ERROR_TIMED_OUT, "%s: not done after 90 seconds", reloader->unit);
        job_forget(reloader);
        next_step(reloader);
        return 0;
}

/* Only systemd's own word counts; any local user could send such a signal. */
static int on_job_removed(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const char *sender = sd_bus_message_get_sender(message), *job, *unit, *result;
        Reloader *reloader = userdata;

        if (!reloader->job || !sender || strcmp(sender, reloader->systemd) != 0 ||
            sd_bus_message_read(message, "uoss", NULL, &job, &unit, &result) < 0 || strcmp(job, reloader->job) != 0)
                return 0;
        /* A start of the plugin, for which polkit was asked before it was forgotten, takes the place of the job that
         * conflicts with it. It finds nothing to run, so the next job stays. */
        if (strcmp(result, "canceled") == 0 && ++reloader->cancelled <= CANCELLED_MAX) {
                g_autofree char *again = g_steal_pointer(&reloader->unit);

                start_unit(reloader, again);
                return 0;
        }
        if (strcmp(result, "done") != 0)
                fail(reloader, ERROR_STORE, "%s: %s (journalctl -u %s)", reloader->unit, result, reloader->unit);
        job_forget(reloader);
        next_step(reloader);
        return 0;
}

static int on_job(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        const char *job, *sender = sd_bus_message_get_sender(reply);
        Reloader *reloader = userdata;

        if (!error && sender && sd_bus_message_read(reply, "o", &job) > 0) {
                reloader->job = g_strdup(job);
                reloader->systemd = g_strdup(sender);
                return 0;
        }
        if (!error || !nobody_there(error))
                fail(reloader, error_for(error), "systemd could not start %s: %s", reloader->unit,
                     error ? error->message ?: error->name : "it answered with rubbish");
        job_forget(reloader);
        next_step(reloader);
        return 0;
}

static void start_unit(Reloader *reloader, const char *unit) {
        int r;

        job_forget(reloader);
        reloader->unit = g_strdup(unit);
        reloader->call = sd_bus_slot_unref(reloader->call);
        r = sd_bus_call_method_async(reloader->bus, &reloader->call, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER,
                                     "StartUnit", on_job, reloader, "ss", unit, "replace");
        if (r >= 0)
                r = sd_event_source_set_time_relative(reloader->guard, STEP_TIMEOUT);
        if (r >= 0)
                r = sd_event_source_set_enabled(reloader->guard, SD_EVENT_ONESHOT);
        if (r < 0) {
                fail(reloader, ERROR_STORE, "systemd could not be called: %s", g_strerror(-r));
                next_step(reloader);
        }
}

static void answer(Reloader *reloader) {
        Batch *batch = &reloader->running;

        for (guint i = 0; i < batch->calls->len; i++) {
                const Waiting *waiting = g_ptr_array_index(batch->calls, i);
                const Failure *failure = waiting->failure.message ? &waiting->failure : &batch->failure;
                int r = failure->message ? sd_bus_reply_method_errorf(waiting->call, failure->error, "%s",
                                                                      failure->message)
                                         : sd_bus_reply_method_return(waiting->call, NULL);

                if (r < 0)
                        log_warning("A caller could not be answered: %s", g_strerror(-r));
        }
        batch_clear(batch);
        batch_init(batch);
}

static int on_gathered(sd_event_source *source, uint64_t usec, void *userdata) {
        Reloader *reloader = userdata;
        Batch batch = reloader->running;

        reloader->running = reloader->next;
        reloader->next = batch;
        reloader->running.what |= reloader->owed;
        reloader->owed = 0;
        next_step(reloader);
        return 0;
}

static void gather(Reloader *reloader) {
        int r;

        reloader->busy = TRUE;
        r = sd_event_source_set_time_relative(reloader->timer, GATHER);
        if (r >= 0)
                r = sd_event_source_set_enabled(reloader->timer, SD_EVENT_ONESHOT);
        if (r < 0)
                log_error("The timer of reloads cannot be set: %s", g_strerror(-r));
}

/* The answers come last: whoever has one finds everything as it is to stay. */
static void end_batch(Reloader *reloader) {
        if (reloader->next.what || reloader->next.calls->len > 0 || reloader->next.removed->len > 0)
                gather(reloader);
        else {
                reloader->busy = FALSE;
                reloader->idle(reloader->userdata);
        }
        answer(reloader);
}

static gboolean take_step(Reloader *reloader, ReloadWhat step) {
        if (!(reloader->running.what & step))
                return FALSE;
        reloader->running.what &= ~(unsigned) step;
        reloader->step = step;
        return TRUE;
}

static void next_step(Reloader *reloader) {
        Batch *batch = &reloader->running;

        reloader->cancelled = 0;
        reloader->step = 0;
        reloader->forgiven = FALSE;
        g_clear_pointer(&reloader->removing, g_free);
        if (batch->removed->len > 0) {
                g_autofree char *unit = NULL;

                reloader->removing = g_ptr_array_steal_index(batch->removed, 0);
                g_hash_table_remove(reloader->owed_removals, reloader->removing);
                unit = g_strdup_printf(REMOVE_UNIT, reloader->removing);
                start_unit(reloader, unit);
        } else if (take_step(reloader, RELOAD_USERS)) {
                start_unit(reloader, USERS_UNIT);
        } else if (take_step(reloader, RELOAD_UNITS)) {
                call_or_fail(reloader, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "Reload");
        } else if (take_step(reloader, RELOAD_BUS)) {
                call_or_fail(reloader, DRIVER, "/org/freedesktop/DBus", DRIVER, "ReloadConfig");
        } else {
                end_batch(reloader);
        }
}

static void add_removal(Reloader *reloader, const char *id) {
        GPtrArray *list = reloader->next.removed;

        if (!g_ptr_array_find_with_equal_func(list, id, g_str_equal, NULL))
                g_ptr_array_add(list, g_strdup(id));
}

static int add_call(Reloader *reloader, sd_bus_message *call, const char *removed) {
        _cleanup_bus_message_ sd_bus_message *kept = NULL;
        int r = call_keep(call, &kept);
        Waiting *waiting;

        if (r < 0)
                return r;
        waiting = g_new0(Waiting, 1);
        waiting->call = steal(kept);
        waiting->removed = g_strdup(removed);
        g_ptr_array_add(reloader->next.calls, waiting);
        return 1;
}

int reloader_request(Reloader *reloader, sd_bus_message *call, unsigned what, const char *removed) {
        if (what == 0 && !removed && !reloader->busy && reloader->owed == 0)
                return call ? sd_bus_reply_method_return(call, NULL) : 0;
        /* What was written is to be in force, also where one more cannot be told when it is. */
        reloader->next.what |= what;
        if (removed)
                add_removal(reloader, removed);
        if (!reloader->busy)
                gather(reloader);
        if (call && reloader->next.calls->len >= WAITING_MAX)
                return sd_bus_reply_method_errorf(
                        call, ERROR_LIMITS_EXCEEDED,
                        "More than %u calls wait for a reload already; what was written stays.", WAITING_MAX);
        return call ? add_call(reloader, call, removed) : 1;
}

void reloader_owe_removal(Reloader *reloader, const char *id) {
        g_hash_table_add(reloader->owed_removals, g_strdup(id));
}

static void take_removal(GPtrArray *list, const char *id) {
        guint i;

        if (g_ptr_array_find_with_equal_func(list, id, g_str_equal, &i))
                g_ptr_array_remove_index(list, i);
}

void reloader_forgive_removal(Reloader *reloader, const char *id) {
        g_hash_table_remove(reloader->owed_removals, id);
        take_removal(reloader->next.removed, id);
        take_removal(reloader->running.removed, id);
        if (g_strcmp0(reloader->removing, id) == 0)
                reloader->forgiven = TRUE;
}

gboolean reloader_owes(const Reloader *reloader) {
        return reloader->owed != 0 || g_hash_table_size(reloader->owed_removals) > 0;
}

gboolean reloader_busy(const Reloader *reloader) {
        return reloader->busy;
}

int reloader_new(sd_bus *bus, void (*idle)(void *userdata), void *userdata, Reloader **ret) {
        Reloader *reloader = g_new0(Reloader, 1);
        int r;

        reloader->bus = sd_bus_ref(bus);
        reloader->idle = idle;
        reloader->userdata = userdata;
        reloader->owed_removals = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        batch_init(&reloader->next);
        batch_init(&reloader->running);
        r = sd_event_add_time(sd_bus_get_event(bus), &reloader->timer, CLOCK_MONOTONIC, 0, 1, on_gathered, reloader);
        if (r >= 0)
                r = sd_event_source_set_enabled(reloader->timer, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time(sd_bus_get_event(bus), &reloader->guard, CLOCK_MONOTONIC, 0, USEC_PER_SEC,
                                      on_job_late, reloader);
        if (r >= 0)
                r = sd_event_source_set_enabled(reloader->guard, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_bus_add_match_async(bus, &reloader->removed_match,
                                           "type='signal',path='" SYSTEMD_PATH "',interface='" SYSTEMD_MANAGER
                                           "',member='JobRemoved'", on_job_removed, NULL, reloader);
        /* systemd sends signals to those only who asked. */
        if (r >= 0)
                r = sd_bus_call_method_async(bus, NULL, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER,
                                             "Subscribe", NULL, NULL, NULL);
        if (r < 0) {
                reloader_free(reloader);
                return r;
        }
        *ret = reloader;
        return 0;
}

Reloader *reloader_free(Reloader *reloader) {
        if (!reloader)
                return NULL;
        sd_bus_slot_unref(reloader->call);
        sd_bus_slot_unref(reloader->removed_match);
        job_forget(reloader);
        sd_event_source_disable_unref(reloader->timer);
        sd_event_source_disable_unref(reloader->guard);
        batch_clear(&reloader->next);
        batch_clear(&reloader->running);
        g_free(reloader->removing);
        g_hash_table_unref(reloader->owed_removals);
        sd_bus_unref(reloader->bus);
        g_free(reloader);
        return NULL;
}
