/* SPDX-License-Identifier: Apache-2.0 */

/*  requests ─┬─ 100 ms ─▸ remove users (one unit each) ─▸ make users ─┐
 *            └─ 100 ms ─────────────────────────┬─────────────────────┘
 *                                               └─▸ systemd: Reload ─▸ bus: ReloadConfig ─▸ answers
 *
 *  Two lanes: users are systemd's jobs, which may hang, and what has nothing to do with them does not wait for them.
 *  The bus comes after the users, because it passes over rules for one that is not there. Requests that come while a
 *  lane is under way make its next batch.
 *
 *  Each step is for certain plugins, and its failure concerns those who asked for one of them, as what could not be
 *  written is a user that could not be removed for those who wanted that. The other steps are tried all the same, for
 *  what was written stands there and is to be in force as far as that goes.
 *
 *  What failed is owed to its plugins. It is tried again whoever asks for something, but only who asks for one of
 *  these waits for it: nobody hears that what is his is in force while it is not. A user is removed again for those
 *  only who ask for that, or by the next helper: it may never work. */

#include "helper/reload.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/journal.h"
#include "base/names.h"
#include "bus/kept-call.h"

#define GATHER (100 * USEC_PER_MSEC)
#define STEP_TIMEOUT (90 * USEC_PER_SEC)
#define WAITING_MAX 256U
#define CANCELLED_MAX 3U

#define DRIVER "org.freedesktop.DBus"

#define USERS_UNIT "snooze-users.service"
#define REMOVE_UNIT "snooze-user-remove@%s.service"

typedef struct Failure {
        const char *error; /* its name … */
        char *message;     /* … and what it says; NULL: there was none */
} Failure;

typedef struct Waiting {
        sd_bus_message *call;
        char *id;         /* of the plugin that it is about */
        gboolean removal; /* that its user goes is part of what was asked for */
        Failure failure;  /* the first of what concerns it */
} Waiting;

typedef enum Step {
        STEP_USERS,
        STEP_UNITS,
        STEP_BUS,
        STEP_COUNT,
} Step;
G_STATIC_ASSERT(RELOAD_USERS == 1 << STEP_USERS && RELOAD_UNITS == 1 << STEP_UNITS && RELOAD_BUS == 1 << STEP_BUS);

typedef struct Batch {
        GHashTable *ids[STEP_COUNT]; /* for whom each step is; none: it is left out */
        GPtrArray *calls;            /* Waiting */
        GPtrArray *removed;          /* ids, owned, each once */
} Batch;

typedef struct Lane {
        Batch next, running;
        gboolean busy;
        Step step; /* the next one; behind that which is under way */
        sd_event_source *timer;
        sd_bus_slot *call;
} Lane;

struct Reloader {
        sd_bus *bus;
        void (*settled)(void *userdata);
        void *userdata;
        Lane users, files;
        GHashTable *owed[STEP_COUNT]; /* ids, owned */
        GHashTable *owed_removals;    /* ids, owned */
        char *removing;               /* the id whose user is, or NULL */
        gboolean forgiven;            /* that one is to stay after all */
        sd_event_source *guard;
        sd_bus_slot *removed_match;
        char *job, *unit, *systemd; /* whose end is waited for; who said so */
        unsigned cancelled;         /* how often that of this unit was */
};

static void next_users_step(Reloader *reloader);
static void next_files_step(Reloader *reloader);
static void start_unit(Reloader *reloader, const char *unit);

static GHashTable *ids_new(void) {
        return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static void ids_add(GHashTable *ids, const char *id) {
        g_hash_table_add(ids, g_strdup(id));
}

static void ids_add_all(GHashTable *ids, GHashTable *more) {
        GHashTableIter iter;
        void *id;

        g_hash_table_iter_init(&iter, more);
        while (g_hash_table_iter_next(&iter, &id, NULL))
                ids_add(ids, id);
}

static gboolean concerns(GHashTable *ids, const char *id) {
        return g_hash_table_contains(ids, id) || g_hash_table_contains(ids, RELOAD_FOR_ANY);
}

static void waiting_free(void *data) {
        Waiting *waiting = data;

        sd_bus_message_unref(waiting->call);
        g_free(waiting->id);
        g_free(waiting->failure.message);
        g_free(waiting);
}

static void batch_init(Batch *batch) {
        *batch = (Batch) { .calls = g_ptr_array_new_with_free_func(waiting_free),
                           .removed = g_ptr_array_new_with_free_func(g_free) };
        for (size_t i = 0; i < STEP_COUNT; i++)
                batch->ids[i] = ids_new();
}

static void batch_clear(Batch *batch) {
        g_ptr_array_unref(batch->calls);
        g_ptr_array_unref(batch->removed);
        for (size_t i = 0; i < STEP_COUNT; i++)
                g_hash_table_unref(batch->ids[i]);
}

static gboolean batch_empty(const Batch *batch) {
        return batch->calls->len == 0 && batch->removed->len == 0 && g_hash_table_size(batch->ids[STEP_USERS]) == 0 &&
               g_hash_table_size(batch->ids[STEP_UNITS]) == 0 && g_hash_table_size(batch->ids[STEP_BUS]) == 0;
}

static gboolean batch_concerns(const Batch *batch, const char *id) {
        for (size_t i = 0; i < STEP_COUNT; i++)
                if (concerns(batch->ids[i], id))
                        return TRUE;
        return g_ptr_array_find_with_equal_func(batch->removed, id, g_str_equal, NULL);
}

/* The first one counts. */
static void waiting_fail(Waiting *waiting, const Failure *what) {
        if (!waiting->failure.message)
                waiting->failure = (Failure) { .error = what->error, .message = g_strdup(what->message) };
}

static void fail_removal(Reloader *reloader, const Failure *failure) {
        GPtrArray *calls = reloader->users.running.calls;

        if (!reloader->forgiven)
                reloader_owe_removal(reloader, reloader->removing);
        for (guint i = 0; i < calls->len; i++) {
                Waiting *waiting = g_ptr_array_index(calls, i);

                if (waiting->removal && g_str_equal(waiting->id, reloader->removing))
                        waiting_fail(waiting, failure);
        }
}

static void fail_step(Reloader *reloader, const Batch *batch, Step step, const Failure *failure) {
        GHashTable *ids = batch->ids[step];

        ids_add_all(reloader->owed[step], ids);
        for (guint i = 0; i < batch->calls->len; i++) {
                Waiting *waiting = g_ptr_array_index(batch->calls, i);

                if (concerns(ids, waiting->id))
                        waiting_fail(waiting, failure);
        }
}

static void fail(Reloader *reloader, const Lane *lane, const char *error, const char *format, ...)
        __attribute__((format(printf, 4, 5)));

static void fail(Reloader *reloader, const Lane *lane, const char *error, const char *format, ...) {
        g_autofree char *message = NULL;
        Failure failure;
        va_list ap;

        va_start(ap, format);
        message = g_strdup_vprintf(format, ap);
        va_end(ap);
        log_error("%s", message);
        failure = (Failure) { .error = error, .message = message };
        if (lane == &reloader->users && reloader->removing)
                fail_removal(reloader, &failure);
        else
                fail_step(reloader, &lane->running, lane->step - 1, &failure);
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
                fail(reloader, &reloader->files, error_for(error), "%s could not be told to read its files again: %s",
                     sd_bus_message_get_sender(reply) ?: "the bus", error->message ?: error->name);
        next_files_step(reloader);
        return 0;
}

static void call_or_fail(Reloader *reloader, const char *name, const char *path, const char *interface,
                         const char *member) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        int r;

        reloader->files.call = sd_bus_slot_unref(reloader->files.call);
        r = sd_bus_message_new_method_call(reloader->bus, &call, name, path, interface, member);
        if (r >= 0)
                r = sd_bus_call_async(reloader->bus, &reloader->files.call, call, on_answer, reloader, STEP_TIMEOUT);
        if (r < 0) {
                fail(reloader, &reloader->files, ERROR_STORE, "%s could not be called: %s", name, g_strerror(-r));
                next_files_step(reloader);
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

        fail(reloader, &reloader->users, ERROR_TIMED_OUT, "%s: not done after 90 seconds", reloader->unit);
        job_forget(reloader);
        next_users_step(reloader);
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
                fail(reloader, &reloader->users, ERROR_STORE, "%s: %s (journalctl -u %s)", reloader->unit, result,
                     reloader->unit);
        job_forget(reloader);
        next_users_step(reloader);
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
                fail(reloader, &reloader->users, error_for(error), "systemd could not start %s: %s", reloader->unit,
                     error ? error->message ?: error->name : "it answered with rubbish");
        job_forget(reloader);
        next_users_step(reloader);
        return 0;
}

static void start_unit(Reloader *reloader, const char *unit) {
        int r;

        job_forget(reloader);
        reloader->unit = g_strdup(unit);
        reloader->users.call = sd_bus_slot_unref(reloader->users.call);
        r = sd_bus_call_method_async(reloader->bus, &reloader->users.call, SYSTEMD_NAME, SYSTEMD_PATH,
                                     SYSTEMD_MANAGER_INTERFACE, "StartUnit", on_job, reloader, "ss", unit, "replace");
        if (r >= 0)
                r = sd_event_source_set_time_relative(reloader->guard, STEP_TIMEOUT);
        if (r >= 0)
                r = sd_event_source_set_enabled(reloader->guard, SD_EVENT_ONESHOT);
        if (r < 0) {
                fail(reloader, &reloader->users, ERROR_STORE, "systemd could not be called: %s", g_strerror(-r));
                next_users_step(reloader);
        }
}

static void answer(const Batch *batch) {
        for (guint i = 0; i < batch->calls->len; i++) {
                const Waiting *waiting = g_ptr_array_index(batch->calls, i);
                const Failure *failure = &waiting->failure;
                int r = failure->message ? sd_bus_reply_method_errorf(waiting->call, failure->error, "%s",
                                                                      failure->message)
                                         : sd_bus_reply_method_return(waiting->call, NULL);

                if (r < 0)
                        log_warning("A caller could not be answered: %s", g_strerror(-r));
        }
}

static void gather(Lane *lane) {
        int r;

        lane->busy = TRUE;
        r = sd_event_source_set_time_relative(lane->timer, GATHER);
        if (r >= 0)
                r = sd_event_source_set_enabled(lane->timer, SD_EVENT_ONESHOT);
        if (r < 0)
                log_error("The timer of reloads cannot be set: %s", g_strerror(-r));
}

/* What is owed is tried along with it. */
static void take_owed(Reloader *reloader, Lane *lane, Step step) {
        ids_add_all(lane->running.ids[step], reloader->owed[step]);
        g_hash_table_remove_all(reloader->owed[step]);
}

static void begin(Lane *lane, Step first) {
        Batch batch = lane->running;

        lane->busy = TRUE;
        lane->running = lane->next;
        lane->next = batch;
        lane->step = first;
}

static int on_users_gathered(sd_event_source *source, uint64_t usec, void *userdata) {
        Reloader *reloader = userdata;
        Batch *batch = &reloader->users.running;

        begin(&reloader->users, STEP_USERS);
        take_owed(reloader, &reloader->users, STEP_USERS);
        /* It had no rules for a user who was not there. */
        ids_add_all(batch->ids[STEP_BUS], batch->ids[STEP_USERS]);
        next_users_step(reloader);
        return 0;
}

static void begin_files(Reloader *reloader) {
        begin(&reloader->files, STEP_UNITS);
        take_owed(reloader, &reloader->files, STEP_UNITS);
        take_owed(reloader, &reloader->files, STEP_BUS);
        next_files_step(reloader);
}

static int on_files_gathered(sd_event_source *source, uint64_t usec, void *userdata) {
        begin_files(userdata);
        return 0;
}

/* Returns what has been done, and is the caller's. */
static Batch end_batch(Lane *lane) {
        Batch batch = lane->running;

        batch_init(&lane->running);
        lane->busy = FALSE;
        if (!batch_empty(&lane->next))
                gather(lane);
        return batch;
}

/* Its files are read after it. */
static void end_users(Reloader *reloader) {
        Batch batch = end_batch(&reloader->users), *next = &reloader->files.next;

        ids_add_all(next->ids[STEP_UNITS], batch.ids[STEP_UNITS]);
        ids_add_all(next->ids[STEP_BUS], batch.ids[STEP_BUS]);
        while (batch.calls->len > 0)
                g_ptr_array_add(next->calls, g_ptr_array_steal_index(batch.calls, 0));
        batch_clear(&batch);
        if (!reloader->files.busy)
                begin_files(reloader);
}

/* The answers come last: whoever has one finds everything as it is to stay. */
static void end_files(Reloader *reloader) {
        Batch batch = end_batch(&reloader->files);

        reloader->settled(reloader->userdata);
        answer(&batch);
        batch_clear(&batch);
}

/* TRUE: it is for somebody, and under way from now on. */
static gboolean take_step(Lane *lane, Step step) {
        if (lane->step > step)
                return FALSE;
        lane->step = step + 1;
        return g_hash_table_size(lane->running.ids[step]) > 0;
}

static void next_users_step(Reloader *reloader) {
        Lane *lane = &reloader->users;

        reloader->cancelled = 0;
        reloader->forgiven = FALSE;
        g_clear_pointer(&reloader->removing, g_free);
        if (lane->running.removed->len > 0) {
                g_autofree char *unit = NULL;

                reloader->removing = g_ptr_array_steal_index(lane->running.removed, 0);
                g_hash_table_remove(reloader->owed_removals, reloader->removing);
                unit = g_strdup_printf(REMOVE_UNIT, reloader->removing);
                start_unit(reloader, unit);
        } else if (take_step(lane, STEP_USERS)) {
                start_unit(reloader, USERS_UNIT);
        } else {
                end_users(reloader);
        }
}

static void next_files_step(Reloader *reloader) {
        Lane *lane = &reloader->files;

        if (take_step(lane, STEP_UNITS))
                call_or_fail(reloader, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER_INTERFACE, "Reload");
        else if (take_step(lane, STEP_BUS))
                call_or_fail(reloader, DRIVER, "/org/freedesktop/DBus", DRIVER, "ReloadConfig");
        else
                end_files(reloader);
}

static void add_removal(Batch *batch, const char *id) {
        if (!g_ptr_array_find_with_equal_func(batch->removed, id, g_str_equal, NULL))
                g_ptr_array_add(batch->removed, g_strdup(id));
}

static int add_call(Batch *batch, sd_bus_message *call, const char *id, gboolean removal) {
        _cleanup_bus_message_ sd_bus_message *kept = NULL;
        int r = call_keep(call, &kept);
        Waiting *waiting;

        if (r < 0)
                return r;
        waiting = g_new(Waiting, 1);
        *waiting = (Waiting) { .call = steal(kept), .id = g_strdup(id), .removal = removal };
        g_ptr_array_add(batch->calls, waiting);
        return 1;
}

static gboolean users_concern(const Reloader *reloader, const char *id) {
        return concerns(reloader->owed[STEP_USERS], id) || g_strcmp0(reloader->removing, id) == 0 ||
               batch_concerns(&reloader->users.next, id) || batch_concerns(&reloader->users.running, id);
}

static gboolean files_concern(const Reloader *reloader, const char *id) {
        return concerns(reloader->owed[STEP_UNITS], id) || concerns(reloader->owed[STEP_BUS], id) ||
               batch_concerns(&reloader->files.next, id) || batch_concerns(&reloader->files.running, id);
}

int reloader_request(Reloader *reloader, sd_bus_message *call, const char *id, unsigned what, gboolean removal) {
        gboolean users = removal || what & RELOAD_USERS || users_concern(reloader, id);
        Lane *lane = users ? &reloader->users : &reloader->files;

        if (!users && what == 0 && !files_concern(reloader, id))
                return call ? sd_bus_reply_method_return(call, NULL) : 0;
        /* What was written is to be in force, also where one more cannot be told when it is. */
        for (Step step = 0; step < STEP_COUNT; step++)
                if (what & (1U << step))
                        ids_add(lane->next.ids[step], id);
        if (removal)
                add_removal(&lane->next, id);
        if (!lane->busy)
                gather(lane);
        if (!reloader->users.busy && g_hash_table_size(reloader->owed[STEP_USERS]) > 0)
                gather(&reloader->users);
        if (call && reloader->users.next.calls->len + reloader->files.next.calls->len >= WAITING_MAX)
                return sd_bus_reply_method_errorf(
                        call, ERROR_LIMITS_EXCEEDED,
                        "More than %u calls wait for a reload already; what was written stays.", WAITING_MAX);
        return call ? add_call(&lane->next, call, id, removal) : 1;
}

void reloader_owe_removal(Reloader *reloader, const char *id) {
        ids_add(reloader->owed_removals, id);
}

static void take_removal(GPtrArray *list, const char *id) {
        guint i;

        if (g_ptr_array_find_with_equal_func(list, id, g_str_equal, &i))
                g_ptr_array_remove_index(list, i);
}

void reloader_forgive_removal(Reloader *reloader, const char *id) {
        g_hash_table_remove(reloader->owed_removals, id);
        take_removal(reloader->users.next.removed, id);
        take_removal(reloader->users.running.removed, id);
        if (g_strcmp0(reloader->removing, id) == 0)
                reloader->forgiven = TRUE;
}

static void add_unread(GHashTable *ids, const Batch *batch) {
        for (size_t i = 0; i < STEP_COUNT; i++)
                ids_add_all(ids, batch->ids[i]);
}

GHashTable *reloader_unread(const Reloader *reloader) {
        GHashTable *ids = ids_new();

        for (size_t i = 0; i < STEP_COUNT; i++)
                ids_add_all(ids, reloader->owed[i]);
        add_unread(ids, &reloader->users.next);
        add_unread(ids, &reloader->users.running);
        add_unread(ids, &reloader->files.next);
        add_unread(ids, &reloader->files.running);
        return ids;
}

GHashTable *reloader_unremoved(const Reloader *reloader) {
        const Batch *const batches[] = { &reloader->users.next, &reloader->users.running };
        GHashTable *ids = ids_new();

        ids_add_all(ids, reloader->owed_removals);
        if (reloader->removing && !reloader->forgiven)
                ids_add(ids, reloader->removing);
        for (size_t i = 0; i < G_N_ELEMENTS(batches); i++)
                for (guint k = 0; k < batches[i]->removed->len; k++)
                        ids_add(ids, g_ptr_array_index(batches[i]->removed, k));
        return ids;
}

gboolean reloader_busy(const Reloader *reloader) {
        return reloader->users.busy || reloader->files.busy;
}

static int lane_init(Lane *lane, sd_event *event, sd_event_time_handler_t gathered, Reloader *reloader) {
        int r;

        batch_init(&lane->next);
        batch_init(&lane->running);
        r = sd_event_add_time(event, &lane->timer, CLOCK_MONOTONIC, 0, 1, gathered, reloader);
        return r < 0 ? r : sd_event_source_set_enabled(lane->timer, SD_EVENT_OFF);
}

static void lane_clear(Lane *lane) {
        sd_bus_slot_unref(lane->call);
        sd_event_source_disable_unref(lane->timer);
        batch_clear(&lane->next);
        batch_clear(&lane->running);
}

int reloader_new(sd_bus *bus, void (*settled)(void *userdata), void *userdata, Reloader **ret) {
        Reloader *reloader = g_new0(Reloader, 1);
        int r, s;

        reloader->bus = sd_bus_ref(bus);
        reloader->settled = settled;
        reloader->userdata = userdata;
        reloader->owed_removals = ids_new();
        for (size_t i = 0; i < STEP_COUNT; i++)
                reloader->owed[i] = ids_new();
        r = lane_init(&reloader->users, sd_bus_get_event(bus), on_users_gathered, reloader);
        s = lane_init(&reloader->files, sd_bus_get_event(bus), on_files_gathered, reloader);
        if (r >= 0)
                r = s;
        if (r >= 0)
                r = sd_event_add_time(sd_bus_get_event(bus), &reloader->guard, CLOCK_MONOTONIC, 0, USEC_PER_SEC,
                                      on_job_late, reloader);
        if (r >= 0)
                r = sd_event_source_set_enabled(reloader->guard, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_bus_add_match_async(bus, &reloader->removed_match,
                                           "type='signal',path='" SYSTEMD_PATH
                                           "',interface='" SYSTEMD_MANAGER_INTERFACE "',member='JobRemoved'",
                                           on_job_removed, NULL, reloader);
        /* systemd sends signals to those only who asked. */
        if (r >= 0)
                r = sd_bus_call_method_async(bus, NULL, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER_INTERFACE,
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
        sd_bus_slot_unref(reloader->removed_match);
        job_forget(reloader);
        sd_event_source_disable_unref(reloader->guard);
        lane_clear(&reloader->users);
        lane_clear(&reloader->files);
        g_free(reloader->removing);
        for (size_t i = 0; i < STEP_COUNT; i++)
                g_hash_table_unref(reloader->owed[i]);
        g_hash_table_unref(reloader->owed_removals);
        sd_bus_unref(reloader->bus);
        g_free(reloader);
        return NULL;
}
