/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/event/delay.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/journal.h"
#include "base/names.h"
#include "bus/tracked-name.h"

#define LOGIND_NAME "org.freedesktop.login1"
#define LOGIND_PATH "/org/freedesktop/login1"
#define LOGIND_INTERFACE LOGIND_NAME ".Manager"

/* logind.conf(5), where it does not say. */
#define LONGEST_DEFAULT (5 * USEC_PER_SEC)
/* Of what logind waits: for the answer of the last handler to be on the disk, and the lock to be given back. */
#define MARGIN (300 * USEC_PER_MSEC)

struct Delay {
        DelayParameters with;
        TrackedName *logind;
        sd_bus_slot *shutdown_match, *sleep_match, *question, *property;
        int lock;         /* the descriptor that is the inhibitor; -EBADF: we have none */
        uint64_t longest; /* InhibitDelayMaxUSec */
        char *event;      /* id of the one that logind waits for, or NULL */
};

static void give_back(Delay *delay) {
        delay->lock = safe_close(delay->lock);
}

static int on_lock(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Delay *delay = userdata;
        const sd_bus_error *problem = sd_bus_message_get_error(reply);
        int fd;

        delay->question = sd_bus_slot_unref(delay->question);
        if (problem)
                log_warning("logind gives no delay inhibitor, so that handlers have no time when somebody stops this machine: %s",
                            problem->message ?: problem->name);
        else if (sd_bus_message_read(reply, "h", &fd) >= 0) {
                give_back(delay);
                delay->lock = fcntl(fd, F_DUPFD_CLOEXEC, 3);
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

static void take(Delay *delay) {
        const char *owner = tracked_name_owner(delay->logind);
        int r;

        if (!owner || delay->lock >= 0)
                return;
        delay->question = sd_bus_slot_unref(delay->question);
        delay->property = sd_bus_slot_unref(delay->property);
        r = sd_bus_call_method_async(delay->with.bus, &delay->question, owner, LOGIND_PATH, LOGIND_INTERFACE, "Inhibit", on_lock,
                                     delay, "ssss", "shutdown:sleep", "CloudSnooze",
                                     "Plugins save what they have to save", "delay");
        if (r >= 0)
                r = sd_bus_call_method_async(delay->with.bus, &delay->property, owner, LOGIND_PATH, "org.freedesktop.DBus.Properties",
                                             "Get", on_longest, delay, "ss", LOGIND_INTERFACE, "InhibitDelayMaxUSec");
        if (r < 0)
                log_warning("logind cannot be asked for a delay inhibitor: %s", strerror(-r));
}

/* One that was restarted forgets nothing of its inhibitors, but one that is new has none. */
static void on_logind(const char *owner, void *userdata) {
        Delay *delay = userdata;

        give_back(delay);
        take(delay);
}

static void on_handlers_ended(gboolean handled, JsonArray *results, void *userdata) {
        Delay *delay = userdata;

        g_clear_pointer(&delay->event, g_free);
        give_back(delay);
}

static JsonObject *describe(gboolean sleep) {
        JsonObject *data = json_object_new();
        const char *words = sleep ? "Somebody puts this machine to sleep" : "Somebody shuts this machine down";

        json_object_set_string_member(data, "phase", "scheduled");
        json_object_set_boolean_member(data, "cancelled", FALSE);
        json_object_set_boolean_member(data, "dry_run", FALSE);
        json_object_set_string_member(data, "action", sleep ? "suspend" : "stop");
        json_object_set_string_member(data, "reason", words);
        json_object_set_string_member(data, "notice", words);
        return data;
}

static void begin(Delay *delay, gboolean sleep) {
        g_autoptr(JsonObject) data = NULL;
        const char *id;

        if (delay->event)
                return;
        if (delay->with.is_own(delay->with.userdata) || delay->lock < 0) {
                give_back(delay);
                return;
        }
        data = describe(sleep);
        log_notice("%s: its handlers have %.3g s.", sleep ? "This machine goes to sleep" : "This machine shuts down",
                   (double) usec_sub(delay->longest, MARGIN) / USEC_PER_SEC);
        if (events_emit(delay->with.events, EVENT_STOP_PENDING, EVENT_SOURCE_LOGIND, SEVERITY_URGENT,
                        clock_realtime() + usec_sub(delay->longest, MARGIN), data, on_handlers_ended, delay, &id) < 0)
                give_back(delay);
        else
                delay->event = g_strdup(id);
}

/* A machine that slept is back: what was to be saved was saved. One whose shutdown was called off never left. */
static void over(Delay *delay, gboolean sleep) {
        if (delay->event) {
                events_forget(delay->with.events, delay);
                if (!sleep)
                        events_cancel(delay->with.events, EVENT_SOURCE_LOGIND, delay->event);
                g_clear_pointer(&delay->event, g_free);
        }
        take(delay);
}

static int prepare(Delay *delay, sd_bus_message *signal, gboolean sleep) {
        int beginning;

        if (!tracked_name_sent(delay->logind, signal) || sd_bus_message_read(signal, "b", &beginning) < 0)
                return 0;
        if (beginning)
                begin(delay, sleep);
        else
                over(delay, sleep);
        return 0;
}

static int on_shutdown(sd_bus_message *signal, void *userdata, sd_bus_error *error) {
        return prepare(userdata, signal, FALSE);
}

static int on_sleep(sd_bus_message *signal, void *userdata, sd_bus_error *error) {
        return prepare(userdata, signal, TRUE);
}

int delay_new(const DelayParameters *parameters, Delay **ret) {
        Delay *delay = g_new0(Delay, 1);
        int r;

        delay->with = *parameters;
        sd_bus_ref(delay->with.bus);
        delay->lock = -EBADF;
        delay->longest = LONGEST_DEFAULT;
        /* The signals first: none may be missed once there is a lock. */
        r = sd_bus_match_signal_async(delay->with.bus, &delay->shutdown_match, LOGIND_NAME, LOGIND_PATH, LOGIND_INTERFACE,
                                      "PrepareForShutdown", on_shutdown, NULL, delay);
        if (r >= 0)
                r = sd_bus_match_signal_async(delay->with.bus, &delay->sleep_match, LOGIND_NAME, LOGIND_PATH, LOGIND_INTERFACE,
                                              "PrepareForSleep", on_sleep, NULL, delay);
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
        sd_bus_slot_unref(delay->shutdown_match);
        sd_bus_slot_unref(delay->sleep_match);
        sd_bus_slot_unref(delay->question);
        sd_bus_slot_unref(delay->property);
        tracked_name_free(delay->logind);
        give_back(delay);
        sd_bus_unref(delay->with.bus);
        g_free(delay->event);
        g_free(delay);
        return NULL;
}
