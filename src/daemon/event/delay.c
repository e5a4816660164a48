/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/event/delay.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/journal.h"
#include "base/names.h"
#include "base/stop-actions.h"
#include "bus/tracked-name.h"

#define LOGIND_NAME "org.freedesktop.login1"
#define LOGIND_PATH "/org/freedesktop/login1"
#define LOGIND_INTERFACE LOGIND_NAME ".Manager"

/* logind.conf(5), where it does not say. */
#define LONGEST_DEFAULT (5 * USEC_PER_SEC)
/* Of what logind waits: for the answer of the last handler to be on the disk, and the lock to be given back. */
#define MARGIN (300 * USEC_PER_MSEC)

/* One lock for each: logind asks polkit about a lock for both as if it were one for the lid switch, which is not
 * everybody's. */
typedef enum Kind {
        KIND_SHUTDOWN,
        KIND_SLEEP,
        KIND_COUNT,
} Kind;

static const char *const kind_names[KIND_COUNT] = { "shutdown", "sleep" };

typedef struct Lock {
        Delay *delay;
        Kind kind;
        int fd;         /* the inhibitor; -EBADF: we have none */
        gboolean waits; /* logind waits for it to be given back */
        sd_bus_slot *match, *question;
} Lock;

struct Delay {
        DelayParameters with;
        TrackedName *logind;
        Lock locks[KIND_COUNT];
        sd_bus_slot *property;
        uint64_t longest; /* InhibitDelayMaxUSec */
        char *event;      /* id of the one whose handlers are at work, or NULL */
};

static void give_back(Lock *lock) {
        lock->fd = safe_close(lock->fd);
        lock->waits = FALSE;
}

static int on_lock(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const sd_bus_error *problem = sd_bus_message_get_error(reply);
        Lock *lock = userdata;
        int fd;

        lock->question = sd_bus_slot_unref(lock->question);
        if (problem)
                log_warning("logind gives no delay inhibitor for %s, so that handlers have no time when somebody does "
                            "that: %s",
                            kind_names[lock->kind], problem->message ?: problem->name);
        else if (sd_bus_message_read(reply, "h", &fd) >= 0) {
                give_back(lock);
                lock->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        }
        return 0;
}

static int on_longest(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Delay *delay = userdata;
        uint64_t longest;

        delay->property = sd_bus_slot_unref(delay->property);
        if (!sd_bus_message_is_method_error(reply, NULL) && sd_bus_message_enter_container(reply, 'v', "t") > 0 &&
            sd_bus_message_read(reply, "t", &longest) >= 0)
                delay->longest = longest;
        return 0;
}

static void take(Lock *lock) {
        Delay *delay = lock->delay;
        const char *owner = tracked_name_owner(delay->logind);
        int r;

        if (!owner || lock->fd >= 0)
                return;
        lock->question = sd_bus_slot_unref(lock->question);
        r = sd_bus_call_method_async(delay->with.bus, &lock->question, owner, LOGIND_PATH, LOGIND_INTERFACE, "Inhibit",
                                     on_lock, lock, "ssss", kind_names[lock->kind], "CloudSnooze",
                                     "Plugins save what they have to save", "delay");
        if (r < 0)
                log_warning("logind cannot be asked for a delay inhibitor: %s", strerror(-r));
}

static void ask_longest(Delay *delay) {
        delay->property = sd_bus_slot_unref(delay->property);
        (void) sd_bus_call_method_async(delay->with.bus, &delay->property, tracked_name_owner(delay->logind),
                                        LOGIND_PATH, PROPERTIES_INTERFACE, "Get", on_longest, delay, "ss",
                                        LOGIND_INTERFACE, "InhibitDelayMaxUSec");
}

/* Locks of a logind that is gone hold nothing. */
static void on_logind(const char *owner, void *userdata) {
        Delay *delay = userdata;

        for (size_t i = 0; i < KIND_COUNT; i++) {
                give_back(&delay->locks[i]);
                take(&delay->locks[i]);
        }
        if (*owner)
                ask_longest(delay);
}

static void on_handlers_ended(gboolean handled, JsonArray *results, void *userdata) {
        Delay *delay = userdata;

        g_clear_pointer(&delay->event, g_free);
        for (size_t i = 0; i < KIND_COUNT; i++)
                if (delay->locks[i].waits)
                        give_back(&delay->locks[i]);
}

static JsonObject *describe(gboolean sleep) {
        JsonObject *data = json_object_new();
        const char *words = sleep ? "Somebody puts this machine to sleep" : "Somebody shuts this machine down";

        json_object_set_string_member(data, "phase", "scheduled");
        json_object_set_boolean_member(data, "cancelled", FALSE);
        json_object_set_boolean_member(data, "dry_run", FALSE);
        json_object_set_string_member(data, "action",
                                      stop_action_names[sleep ? STOP_ACTION_SUSPEND : STOP_ACTION_STOP]);
        json_object_set_string_member(data, "reason", words);
        json_object_set_string_member(data, "notice", words);
        return data;
}

static void begin(Lock *lock) {
        gboolean sleep = lock->kind == KIND_SLEEP;
        g_autoptr(JsonObject) data = NULL;
        Delay *delay = lock->delay;
        const char *id;

        if (delay->with.is_own(delay->with.userdata) || lock->fd < 0) {
                give_back(lock);
                return;
        }
        lock->waits = TRUE;
        if (delay->event)
                return;
        data = describe(sleep);
        log_notice("%s: handlers have %.3g s.", json_object_get_string_member(data, "reason"),
                   (double) usec_sub(delay->longest, MARGIN) / USEC_PER_SEC);
        if (events_emit(delay->with.events, EVENT_STOP_PENDING, EVENT_SOURCE_LOGIND, SEVERITY_URGENT,
                        clock_realtime() + usec_sub(delay->longest, MARGIN), data, on_handlers_ended, delay, &id) < 0)
                give_back(lock);
        else
                delay->event = g_strdup(id);
}

/* A machine that slept is back: what was to be saved was saved. One whose shutdown was called off never left. */
static void over(Lock *lock) {
        Delay *delay = lock->delay;

        if (delay->event && lock->waits) {
                events_forget(delay->with.events, delay);
                if (lock->kind == KIND_SHUTDOWN)
                        events_cancel(delay->with.events, EVENT_SOURCE_LOGIND, delay->event);
                g_clear_pointer(&delay->event, g_free);
        }
        lock->waits = FALSE;
        take(lock);
}

static int on_prepare(sd_bus_message *signal, void *userdata, sd_bus_error *error) {
        Lock *lock = userdata;
        int beginning;

        if (!tracked_name_sent(lock->delay->logind, signal) || sd_bus_message_read(signal, "b", &beginning) < 0)
                return 0;
        if (beginning)
                begin(lock);
        else
                over(lock);
        return 0;
}

int delay_new(const DelayParameters *parameters, Delay **ret) {
        Delay *delay = g_new0(Delay, 1);
        int r;

        delay->with = *parameters;
        sd_bus_ref(delay->with.bus);
        delay->longest = LONGEST_DEFAULT;
        for (size_t i = 0; i < KIND_COUNT; i++)
                delay->locks[i] = (Lock) { .delay = delay, .kind = (Kind) i, .fd = -EBADF };
        /* The signals first: none may be missed once there is a lock. */
        r = sd_bus_match_signal_async(delay->with.bus, &delay->locks[KIND_SHUTDOWN].match, LOGIND_NAME, LOGIND_PATH,
                                      LOGIND_INTERFACE, "PrepareForShutdown", on_prepare, NULL,
                                      &delay->locks[KIND_SHUTDOWN]);
        if (r >= 0)
                r = sd_bus_match_signal_async(delay->with.bus, &delay->locks[KIND_SLEEP].match, LOGIND_NAME,
                                              LOGIND_PATH, LOGIND_INTERFACE, "PrepareForSleep", on_prepare, NULL,
                                              &delay->locks[KIND_SLEEP]);
        if (r >= 0)
                r = tracked_name_new(delay->with.bus, LOGIND_NAME, on_logind, delay, &delay->logind);
        if (r < 0) {
                delay_free(delay);
                return r;
        }
        *ret = delay;
        return 0;
}

Delay *delay_free(Delay *delay) {
        if (!delay)
                return NULL;
        events_forget(delay->with.events, delay);
        for (size_t i = 0; i < KIND_COUNT; i++) {
                sd_bus_slot_unref(delay->locks[i].match);
                sd_bus_slot_unref(delay->locks[i].question);
                give_back(&delay->locks[i]);
        }
        sd_bus_slot_unref(delay->property);
        tracked_name_free(delay->logind);
        sd_bus_unref(delay->with.bus);
        g_free(delay->event);
        g_free(delay);
        return NULL;
}
