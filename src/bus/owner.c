/* SPDX-License-Identifier: Apache-2.0 */

#include "bus/owner.h"

#include <string.h>

#include <glib.h>

#include "base/cleanup.h"

#define DRIVER_NAME "org.freedesktop.DBus"
#define DRIVER_PATH "/org/freedesktop/DBus"

#define OWNER_CHANGED_MATCH                                                                                           \
        "type='signal',sender='" DRIVER_NAME "',path='" DRIVER_PATH "',interface='" DRIVER_NAME                       \
        "',member='NameOwnerChanged'"

bool message_from_driver(sd_bus_message *message) {
        const char *sender = sd_bus_message_get_sender(message);

        return sender && strcmp(sender, DRIVER_NAME) == 0;
}

typedef struct OwnerWatch {
        OwnerChangedHandler handler;
        void *userdata;
} OwnerWatch;

static int on_owner_changed(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        const OwnerWatch *watch = userdata;
        const char *name, *old_owner, *new_owner;

        if (!message_from_driver(message) || sd_bus_message_read(message, "sss", &name, &old_owner, &new_owner) < 0)
                return 0;
        watch->handler(name, old_owner, new_owner, watch->userdata);
        return 0;
}

int owner_watch(sd_bus *bus, const char *name_space, OwnerChangedHandler handler, void *userdata, sd_bus_slot **ret) {
        g_autofree char *match = name_space ? g_strdup_printf(OWNER_CHANGED_MATCH ",arg0namespace='%s'", name_space)
                                            : g_strdup(OWNER_CHANGED_MATCH);
        g_autofree OwnerWatch *watch = g_new(OwnerWatch, 1);
        _cleanup_bus_slot_ sd_bus_slot *slot = NULL;
        int r;

        *watch = (OwnerWatch) { .handler = handler, .userdata = userdata };
        r = sd_bus_add_match_async(bus, &slot, match, on_owner_changed, NULL, watch);
        if (r < 0)
                return r;
        r = sd_bus_slot_set_destroy_callback(slot, g_free);
        if (r < 0)
                return r;
        g_steal_pointer(&watch);
        *ret = steal(slot);
        return 0;
}

/* The match alone would miss a sender that left before the driver had installed it. The driver works in order, so a
 * question that follows AddMatch closes the gap: gone before gives "no", gone after gives the signal. */
typedef struct SenderWatch {
        char *sender;
        void (*gone)(const char *sender, void *userdata);
        void *userdata;
        sd_bus_slot *match; /* owns the watch; borrowed */
        sd_bus_slot *question;
} SenderWatch;

static void sender_watch_free(void *userdata) {
        SenderWatch *watch = userdata;

        sd_bus_slot_unref(watch->question);
        g_free(watch->sender);
        g_free(watch);
}

/* The handler may well free the slot, and the watch with it. */
static void sender_gone(SenderWatch *watch) {
        _unused_ _cleanup_bus_slot_ sd_bus_slot *pin = sd_bus_slot_ref(watch->match);
        void (*gone)(const char *sender, void *userdata) = watch->gone;

        if (gone) {
                watch->gone = NULL;
                gone(watch->sender, watch->userdata);
        }
}

static int on_sender_changed(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        SenderWatch *watch = userdata;
        const char *name, *old_owner, *new_owner;

        if (!message_from_driver(message) || sd_bus_message_read(message, "sss", &name, &old_owner, &new_owner) < 0)
                return 0;
        if (strcmp(name, watch->sender) == 0 && new_owner[0] == '\0')
                sender_gone(watch);
        return 0;
}

static int on_sender_known(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        int owned;

        if (!sd_bus_message_is_method_error(reply, NULL) && sd_bus_message_read(reply, "b", &owned) >= 0 && !owned)
                sender_gone(userdata);
        return 0;
}

int sender_watch(sd_bus *bus, const char *sender, void (*gone)(const char *sender, void *userdata), void *userdata,
                 sd_bus_slot **ret) {
        g_autofree char *rule = g_strdup_printf(OWNER_CHANGED_MATCH ",arg0='%s'", sender);
        _cleanup_bus_slot_ sd_bus_slot *slot = NULL;
        SenderWatch *watch = g_new0(SenderWatch, 1);
        int r;

        *watch = (SenderWatch) { .sender = g_strdup(sender), .gone = gone, .userdata = userdata };
        r = sd_bus_add_match_async(bus, &slot, rule, on_sender_changed, NULL, watch);
        if (r >= 0)
                r = sd_bus_slot_set_destroy_callback(slot, sender_watch_free);
        if (r < 0) {
                sender_watch_free(watch);
                return r;
        }
        watch->match = slot;
        r = sd_bus_call_method_async(bus, &watch->question, DRIVER_NAME, DRIVER_PATH, DRIVER_NAME, "NameHasOwner",
                                     on_sender_known, watch, "s", sender);
        if (r < 0)
                return r;
        *ret = steal(slot);
        return 0;
}
