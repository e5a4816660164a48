/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "bus/actions.h"
#include "config.h"
#include "daemon/manager-bus.h"
#include "util/duration.h"

#define PROGRAM_MAX 64U

static int limits_error(int r, sd_bus_error *error) {
        if (r == -EDQUOT)
                return sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED,
                                         "At most %u holds of one user and %u in all; " SNOOZE_COMMAND
                                         " holds shows them.",
                                         HOLDS_PER_USER_MAX, HOLDS_MAX);
        return r;
}

/* Who is told that a hold stands believes that the machine stays on. */
static int refuse_in_vain(Manager *manager, HoldKind kind, sd_bus_error *error) {
        int r = manager_refuse_too_late(manager, error);
        const char *forced = decision_stop_forced(manager->decision);

        /* A forced stop waits for those that delay it, and a postponement ends it. */
        if (r < 0 || !forced || (kind != HOLD_BLOCK && kind != HOLD_TIMED))
                return r;
        return sd_bus_error_setf(error, ERROR_BUSY,
                                 "This machine is to stop whatever holds it on (%s), so this would be in vain; keep "
                                 "it on first: " SNOOZE_COMMAND " cancel",
                                 forced);
}

int method_hold(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        const char *program, *why, *kind_name;
        g_autofree char *user = NULL, *who = NULL;
        _cleanup_close_ int fd = -EBADF;
        HoldKind kind;
        uint32_t cookie;
        uid_t uid;
        int r;

        r = sd_bus_message_read(message, "sss", &program, &why, &kind_name);
        if (r < 0)
                return r;
        r = check_text("who", program, PROGRAM_MAX, FALSE, error);
        if (r >= 0)
                r = check_text("why", why, HOLD_WHY_MAX, TRUE, error);
        if (r < 0)
                return r;
        if (strcmp(kind_name, "block") == 0)
                kind = HOLD_BLOCK;
        else if (strcmp(kind_name, "delay") == 0)
                kind = HOLD_DELAY;
        else
                return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT, "kind: expected block or delay.");

        r = manager_authorize_caller(manager, message,
                                     (const char *[]) { "who", program, "why", why, "kind", kind_name, NULL }, &uid,
                                     error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = refuse_in_vain(manager, kind, error);
        if (r >= 0)
                r = manager_take_turn(manager, uid, error);
        if (r < 0)
                return r;
        user = user_name(uid);
        who = g_strdup_printf("%s: %s", user, program);
        r = holds_add(manager->holds, kind, uid, who, why, &fd, &cookie);
        if (r < 0)
                return limits_error(r, error);
        return sd_bus_reply_method_return(message, "h", fd);
}

/* Replies when the hold is on disk, or could not be kept there: it stands in either case. To take it back for that
 * would let the machine of somebody stop who needs it on, because a disk is full; and he who asks for it when the
 * warning runs may have no other way. */
typedef struct TimedHold {
        sd_bus_message *call;
        uint32_t cookie;
        gboolean with_cookie;
} TimedHold;

static void timed_hold_done(const GError *error, void *userdata) {
        TimedHold *timed = userdata;

        if (error)
                (void) sd_bus_reply_method_errorf(timed->call, ERROR_STORE,
                                                  "Hold %" PRIu32 " stands, but would not outlive a reboot by now: "
                                                  "%s; to end it: " SNOOZE_COMMAND " release %" PRIu32,
                                                  timed->cookie, error->message, timed->cookie);
        else if (timed->with_cookie)
                (void) sd_bus_reply_method_return(timed->call, "u", timed->cookie);
        else
                (void) sd_bus_reply_method_return(timed->call, NULL);
        sd_bus_message_unref(timed->call);
        g_free(timed);
}

static void end_forced_stop(Manager *manager, const char *user, const char *reason) {
        g_autofree char *full = *reason ? g_strdup_printf("%s postponed: %s", user, reason)
                                        : g_strdup_printf("%s postponed", user);

        if (!decision_postpone(manager->decision, full))
                return;
        g_free(manager->called_off);
        manager->called_off = g_steal_pointer(&full);
        manager_step_soon(manager);
}

static int add_timed(Manager *manager, sd_bus_message *message, HoldKind kind, sd_bus_error *error) {
        uint64_t duration, maximum = (uint64_t) (manager->config->max_hold_hours * (double) USEC_PER_HOUR);
        const char *why;
        g_autofree char *who = NULL, *span = NULL;
        TimedHold *timed;
        uid_t uid;
        int r;

        r = sd_bus_message_read(message, "ts", &duration, &why);
        if (r < 0)
                return r;
        r = check_text(kind == HOLD_POSTPONE ? "reason" : "why", why, HOLD_WHY_MAX, TRUE, error);
        if (r < 0)
                return r;
        if (duration == 0)
                return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT, "duration is 0, expected at least 1 µs.");
        if (duration > maximum) {
                g_autofree char *asked = duration_format(duration), *longest = duration_format(maximum);

                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT,
                                         "duration is %s, expected at most %s (max_hold_hours: %g).", asked, longest,
                                         manager->config->max_hold_hours);
        }

        span = duration_format(duration);
        r = manager_authorize_caller(manager, message, (const char *[]) { "duration", span, "why", why, NULL }, &uid,
                                     error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = refuse_in_vain(manager, kind, error);
        if (r >= 0)
                r = manager_take_turn(manager, uid, error);
        if (r < 0)
                return r;
        who = user_name(uid);
        timed = g_new0(TimedHold, 1);
        timed->call = sd_bus_message_ref(message);
        timed->with_cookie = kind == HOLD_TIMED;
        r = holds_add_timed(manager->holds, kind, uid, who, why, duration, timed_hold_done, timed, &timed->cookie);
        if (r < 0) {
                sd_bus_message_unref(timed->call);
                g_free(timed);
                return limits_error(r, error);
        }
        if (kind == HOLD_POSTPONE)
                end_forced_stop(manager, who, why);
        return 1;
}

int method_hold_for(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return add_timed(userdata, message, HOLD_TIMED, error);
}

int method_postpone(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return add_timed(userdata, message, HOLD_POSTPONE, error);
}

int method_release_hold(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        const Hold *hold;
        g_autofree char *who = NULL;
        gboolean own;
        uint32_t cookie;
        uid_t uid;
        int r;

        r = sd_bus_message_read(message, "u", &cookie);
        if (r < 0)
                return r;
        r = manager_caller(manager, message, &uid, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        hold = cookie > 0 ? holds_find(manager->holds, cookie) : NULL;
        if (!hold)
                return sd_bus_error_setf(error, ERROR_NO_SUCH_HOLD,
                                         "There is no hold %u; " SNOOZE_COMMAND " holds shows them.",
                                         (unsigned) cookie);

        own = hold->uid == uid;
        r = authorize(manager->authorizer, message, own ? ACTION_HOLD : ACTION_HOLD_OTHERS,
                      (const char *[]) { "who", hold->who, "why", hold->why, NULL }, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        who = g_strdup(hold->who);
        r = holds_release(manager->holds, cookie);
        if (r < 0)
                return r;
        if (!own)
                manager_record_call(manager, uid, "ReleaseHold", who);
        return sd_bus_reply_method_return(message, NULL);
}

int method_list_holds(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        GPtrArray *holds = holds_list(manager->holds);
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "(ussstt)");
        for (guint i = 0; r >= 0 && i < holds->len; i++) {
                const Hold *hold = g_ptr_array_index(holds, i);

                r = sd_bus_message_append(reply, "(ussstt)", hold->cookie, hold->who, hold->why,
                                          hold_kind_name(hold->kind), hold->since, hold->until);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}
