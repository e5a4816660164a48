/* SPDX-License-Identifier: Apache-2.0 */

#include "bus/tracked-name.h"

#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "bus/owner.h"

struct TrackedName {
        char *name, *owner;
        sd_bus_slot *watch, *question;
        void (*changed)(const char *owner, void *userdata);
        void *userdata;
};

static void set_owner(TrackedName *tracked, const char *owner) {
        g_free(tracked->owner);
        tracked->owner = *owner ? g_strdup(owner) : NULL;
        if (tracked->changed)
                tracked->changed(owner, tracked->userdata);
}

static void on_changed(const char *name, const char *old_owner, const char *new_owner, void *userdata) {
        TrackedName *tracked = userdata;

        if (strcmp(name, tracked->name) != 0)
                return;
        tracked->question = sd_bus_slot_unref(tracked->question);
        set_owner(tracked, new_owner);
}

static int on_known(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const char *owner;

        if (!sd_bus_message_is_method_error(reply, NULL) && sd_bus_message_read(reply, "s", &owner) >= 0)
                set_owner(userdata, owner);
        return 0;
}

int tracked_name_new(sd_bus *bus, const char *name, void (*changed)(const char *owner, void *userdata), void *userdata,
                     TrackedName **ret) {
        TrackedName *tracked = g_new0(TrackedName, 1);
        int r;

        tracked->name = g_strdup(name);
        tracked->changed = changed;
        tracked->userdata = userdata;
        r = owner_watch(bus, name, on_changed, tracked, &tracked->watch);
        if (r >= 0)
                r = sd_bus_call_method_async(bus, &tracked->question, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                             "org.freedesktop.DBus", "GetNameOwner", on_known, tracked, "s", name);
        if (r < 0) {
                tracked_name_free(tracked);
                return r;
        }
        *ret = tracked;
        return 0;
}

TrackedName *tracked_name_free(TrackedName *tracked) {
        if (!tracked)
                return NULL;
        sd_bus_slot_unref(tracked->watch);
        sd_bus_slot_unref(tracked->question);
        g_free(tracked->name);
        g_free(tracked->owner);
        g_free(tracked);
        return NULL;
}

const char *tracked_name_owner(const TrackedName *tracked) {
        return tracked->owner;
}

bool tracked_name_sent(const TrackedName *tracked, sd_bus_message *message) {
        return tracked->owner && g_strcmp0(sd_bus_message_get_sender(message), tracked->owner) == 0;
}
