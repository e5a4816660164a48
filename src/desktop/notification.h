/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The one notification that is on show, through whichever server of org.freedesktop.Notifications the session has:
 * none, one that shows neither buttons nor markup, or one that is restarted under way. What is to be seen is said
 * once; this makes it so, as soon as there is a server, and again on the next server if it has not been dismissed. */

#include <gio/gio.h>

typedef struct Notification Notification;

typedef enum NotificationUrgency {
        NOTIFICATION_LOW,
        NOTIFICATION_NORMAL,
        NOTIFICATION_CRITICAL,
} NotificationUrgency;

typedef struct NotificationContent {
        const char *title;
        const char *body; /* without markup */
        const char *icon;
        const char *category;
        NotificationUrgency urgency;
        gboolean stays;             /* until it is closed; else as long as the server likes */
        const char *const *actions; /* key, label, key, label …, NULL; they outlive the notification */
} NotificationContent;

/* One of the actions was chosen. */
typedef void (*NotificationChosen)(const char *key, void *userdata);

Notification *notification_new(GDBusConnection *session, NotificationChosen chosen, void *userdata);
void notification_free(Notification *notification);

/* In the place of what is on show. */
void notification_show(Notification *notification, const NotificationContent *content);

void notification_close(Notification *notification);

/* The server owes an answer: until it comes, what it shows cannot be closed. */
gboolean notification_is_busy(const Notification *notification);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Notification, notification_free)
