/* SPDX-License-Identifier: Apache-2.0 */

#include "desktop/desktop.h"

#include "base/clock.h"
#include "desktop/daemon-watch.h"
#include "desktop/notification.h"
#include "desktop/words.h"

#define REMINDER_BEFORE USEC_PER_MINUTE
#define POSTPONE_FOR (2 * USEC_PER_HOUR)

#define ACTION_POSTPONE "postpone"
#define ACTION_CANCEL "cancel"

struct Desktop {
        DaemonWatch *daemon;
        Notification *notification;

        Stop stop; /* what is told now; its reason is owned */
        guint reminder;
        const char *when_scheduled[5], *when_stopping[3]; /* the buttons: key, label, … */
        GCancellable *asking; /* what a button asked of the daemon; NULL: nothing */
};

static void show(Desktop *desktop, const char *failure) {
        const Stop *stop = &desktop->stop;
        g_autofree char *title = words_title(stop, clock_realtime()), *body = words_body(stop, failure);
        gboolean matters = stop->phase != STOP_CANCELLED && !stop->dry_run;

        notification_show(desktop->notification,
                          &(NotificationContent) {
                                  .title = title,
                                  .body = body,
                                  .icon = "system-shutdown",
                                  .category = "x-cloudsnooze.stop",
                                  .urgency = matters ? NOTIFICATION_CRITICAL : NOTIFICATION_NORMAL,
                                  .stays = matters,
                                  .actions = stop->phase == STOP_SCHEDULED  ? desktop->when_scheduled
                                             : stop->phase == STOP_STOPPING ? desktop->when_stopping
                                                                            : NULL,
                          });
}

static gboolean on_reminder(gpointer userdata) {
        Desktop *desktop = userdata;

        desktop->reminder = 0;
        show(desktop, NULL);
        return G_SOURCE_REMOVE;
}

/* Not where the first word is hardly older. */
static void arm_reminder(Desktop *desktop) {
        uint64_t left = usec_sub(desktop->stop.deadline, clock_realtime());

        g_clear_handle_id(&desktop->reminder, g_source_remove);
        if (desktop->stop.phase == STOP_SCHEDULED && left > REMINDER_BEFORE + 10 * USEC_PER_SEC)
                desktop->reminder = g_timeout_add_seconds(
                        (guint) MIN((left - REMINDER_BEFORE) / USEC_PER_SEC, G_MAXINT / 1000), on_reminder, desktop);
}

static void on_news(const Stop *stop, void *userdata) {
        Desktop *desktop = userdata;

        g_free((char *) desktop->stop.reason);
        desktop->stop = *stop;
        desktop->stop.reason = g_strdup(stop->reason);
        arm_reminder(desktop);
        if (stop->phase == STOP_NONE)
                notification_close(desktop->notification);
        else
                show(desktop, NULL);
}

static void finish_asking(Desktop *desktop, gboolean done, const GError *error) {
        g_autofree char *message = NULL;

        g_clear_object(&desktop->asking);
        if (done) /* the daemon says so itself, to everybody */
                return;
        message = snooze_client_error_message(error);
        g_message("The daemon refused: %s", message);
        if (desktop->stop.phase == STOP_SCHEDULED || desktop->stop.phase == STOP_STOPPING)
                show(desktop, message);
}

static void on_postponed(GObject *source, GAsyncResult *result, gpointer userdata) {
        g_autoptr(GError) error = NULL;
        gboolean done = snooze_client_manager_call_postpone_finish(SNOOZE_CLIENT_MANAGER(source), result, &error);

        if (!g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
                finish_asking(userdata, done, error);
}

static void on_stop_cancelled(GObject *source, GAsyncResult *result, gpointer userdata) {
        g_autoptr(GError) error = NULL;
        gboolean done = snooze_client_manager_call_cancel_stop_finish(SNOOZE_CLIENT_MANAGER(source), result, &error);

        if (!g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
                finish_asking(userdata, done, error);
}

static void on_chosen(const char *key, void *userdata) {
        Desktop *desktop = userdata;
        SnoozeClientManager *manager = daemon_watch_manager(desktop->daemon);
        gboolean postpone = g_str_equal(key, ACTION_POSTPONE);

        /* A second click while the first is on its way asks for nothing else. */
        if (!manager || desktop->asking || (!postpone && !g_str_equal(key, ACTION_CANCEL)))
                return;
        desktop->asking = g_cancellable_new();
        if (postpone)
                snooze_client_manager_call_postpone(manager, POSTPONE_FOR, WORDS_ASKED,
                                                    G_DBUS_CALL_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION, -1,
                                                    desktop->asking, on_postponed, desktop);
        else
                snooze_client_manager_call_cancel_stop(manager, WORDS_ASKED,
                                                       G_DBUS_CALL_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION, -1,
                                                       desktop->asking, on_stop_cancelled, desktop);
}

Desktop *desktop_new(GDBusConnection *session) {
        Desktop *desktop = g_new(Desktop, 1);

        *desktop = (Desktop) {
                .when_scheduled = { ACTION_POSTPONE, words_postpone(), ACTION_CANCEL, words_cancel(), NULL },
                .when_stopping = { ACTION_CANCEL, words_cancel(), NULL },
        };
        desktop->notification = notification_new(session, on_chosen, desktop);
        desktop->daemon = daemon_watch_new(on_news, desktop);
        return desktop;
}

void desktop_free(Desktop *desktop) {
        if (!desktop)
                return;
        if (desktop->asking)
                g_cancellable_cancel(desktop->asking);
        g_clear_object(&desktop->asking);
        g_clear_handle_id(&desktop->reminder, g_source_remove);
        daemon_watch_free(desktop->daemon);
        notification_free(desktop->notification);
        g_free((char *) desktop->stop.reason);
        g_free(desktop);
}

void desktop_end(Desktop *desktop) {
        if (!desktop)
                return;
        g_clear_pointer(&desktop->daemon, daemon_watch_free);
        notification_close(desktop->notification);
        while (notification_is_busy(desktop->notification))
                (void) g_main_context_iteration(NULL, TRUE);
}
