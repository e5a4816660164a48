/* SPDX-License-Identifier: Apache-2.0 */

/*  requests ──100 ms──▸ remove users (one unit each) ─▸ make users ─▸ systemd: Reload ─▸ bus: ReloadConfig ─▸ answers
 *
 *  Requests that come meanwhile make the next batch. A step that fails is told to all of its batch, as what could not
 * be written is; the others are tried all the same, for what was written stands there and is to be in force as far as
 * that goes. */

#include "helper/reload.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/journal.h"

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

typedef struct Batch {
        unsigned what;
        GPtrArray *calls;   /* sd_bus_message, owned */
        GPtrArray *removed; /* ids, owned */
        const char *error;  /* the name of the first failure, and what it says */
        char *failure;
} Batch;

struct Reloader {
        sd_bus *bus;
        void (*idle)(gboolean failed, void *userdata);
        void *userdata;
        Batch next, running;
        gboolean busy, failed;
        sd_event_source *timer, *guard;
        sd_bus_slot *call, *removed_match;
        char *job, *unit, *systemd; /* whose end is waited for; who said so */
        unsigned cancelled;         /* how often that of this unit was */
};

static void next_step(Reloader *reloader);
static void start_unit(Reloader *reloader, const char *unit);

static void message_free(void *message) {
        sd_bus_message_unref(message);
}

static void batch_init(Batch *batch) {
        *batch = (Batch) { .calls = g_ptr_array_new_with_free_func(message_free),
                           .removed = g_ptr_array_new_with_free_func(g_free) };
}

static void batch_clear(Batch *batch) {
        g_clear_pointer(&batch->calls, g_ptr_array_unref);
        g_clear_pointer(&batch->removed, g_ptr_array_unref);
        g_clear_pointer(&batch->failure, g_free);
        batch->error = NULL;
        batch->what = 0;
}

static void fail(Reloader *reloader, const char *error, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void fail(Reloader *reloader, const char *error, const char *format, ...) {
        g_autofree char *message = NULL;
        va_list ap;

        va_start(ap, format);
        message = g_strdup_vprintf(format, ap);
        va_end(ap);
        log_error("%s", message);
        reloader->failed = TRUE;
        if (reloader->running.failure)
                return;
        reloader->running.error = error;
        reloader->running.failure = g_steal_pointer(&message);
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
                sd_bus_message *call = g_ptr_array_index(batch->calls, i);
                int r = batch->failure ? sd_bus_reply_method_errorf(call, batch->error, "%s", batch->failure)
                                       : sd_bus_reply_method_return(call, NULL);

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
                reloader->idle(reloader->failed, reloader->userdata);
                reloader->failed = FALSE;
        }
        answer(reloader);
}

static void next_step(Reloader *reloader) {
        Batch *batch = &reloader->running;

        reloader->cancelled = 0;
        if (batch->removed->len > 0) {
                g_autofree char *id = g_ptr_array_steal_index(batch->removed, 0);
                g_autofree char *unit = g_strdup_printf(REMOVE_UNIT, id);

                start_unit(reloader, unit);
        } else if (batch->what & RELOAD_USERS) {
                batch->what &= ~(unsigned) RELOAD_USERS;
                start_unit(reloader, USERS_UNIT);
        } else if (batch->what & RELOAD_UNITS) {
                batch->what &= ~(unsigned) RELOAD_UNITS;
                call_or_fail(reloader, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "Reload");
        } else if (batch->what & RELOAD_BUS) {
                batch->what &= ~(unsigned) RELOAD_BUS;
                call_or_fail(reloader, DRIVER, "/org/freedesktop/DBus", DRIVER, "ReloadConfig");
        } else {
                end_batch(reloader);
        }
}

int reloader_request(Reloader *reloader, sd_bus_message *call, unsigned what, const char *removed) {
        if (what == 0 && !removed && !reloader->busy)
                return sd_bus_reply_method_return(call, NULL);
        if (call && reloader->next.calls->len >= WAITING_MAX)
                return sd_bus_reply_method_errorf(
                        call, ERROR_LIMITS_EXCEEDED,
                        "More than %u calls wait for a reload already; what was written stays.", WAITING_MAX);
        reloader->next.what |= what;
        if (call)
                g_ptr_array_add(reloader->next.calls, sd_bus_message_ref(call));
        if (removed)
                g_ptr_array_add(reloader->next.removed, g_strdup(removed));
        if (!reloader->busy)
                gather(reloader);
        return 1;
}

gboolean reloader_busy(const Reloader *reloader) {
        return reloader->busy;
}

int reloader_new(sd_bus *bus, void (*idle)(gboolean failed, void *userdata), void *userdata, Reloader **ret) {
        Reloader *reloader = g_new0(Reloader, 1);
        int r;

        reloader->bus = sd_bus_ref(bus);
        reloader->idle = idle;
        reloader->userdata = userdata;
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
        sd_bus_unref(reloader->bus);
        g_free(reloader);
        return NULL;
}
