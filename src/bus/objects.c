/* SPDX-License-Identifier: Apache-2.0 */

#include "bus/objects.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/names.h"

/* What sd-bus serves for every object that has a table. */
static const char *const standard_interfaces[] = {
        "org.freedesktop.DBus.Peer",
        "org.freedesktop.DBus.Introspectable",
        PROPERTIES_INTERFACE,
};

static int append_text(sd_bus_message *reply, char type, const char *text) {
        return sd_bus_message_append_basic(reply, type, text);
}

/* Who asks for everything is not told what is hidden, nor what is for those who name it. */
static bool is_shown(const sd_bus_vtable *entry) {
        return (entry->type == _SD_BUS_VTABLE_PROPERTY || entry->type == _SD_BUS_VTABLE_WRITABLE_PROPERTY) &&
               !(entry->flags & (SD_BUS_VTABLE_HIDDEN | SD_BUS_VTABLE_PROPERTY_EXPLICIT));
}

static int append_property(sd_bus_message *reply, const char *path, const char *interface, const sd_bus_vtable *entry,
                           void *object, sd_bus_error *error) {
        int r;

        if (!entry->x.property.get)
                return -EOPNOTSUPP;
        r = sd_bus_message_open_container(reply, 'e', "sv");
        if (r >= 0)
                r = append_text(reply, 's', entry->x.property.member);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'v', entry->x.property.signature);
        if (r >= 0)
                r = entry->x.property.get(sd_bus_message_get_bus(reply), path, interface, entry->x.property.member,
                                          reply, object, error);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_properties(sd_bus_message *reply, const char *path, const char *interface,
                             const sd_bus_vtable *vtable, void *object, sd_bus_error *error) {
        int r = 0;

        if (vtable->flags & SD_BUS_VTABLE_HIDDEN)
                return 0;
        for (const sd_bus_vtable *entry = vtable + 1; r >= 0 && entry->type != _SD_BUS_VTABLE_END; entry++)
                if (is_shown(entry))
                        r = append_property(reply, path, interface, entry, object, error);
        return r;
}

static int open_interface(sd_bus_message *reply, const char *interface) {
        int r = sd_bus_message_open_container(reply, 'e', "sa{sv}");

        if (r >= 0)
                r = append_text(reply, 's', interface);
        return r < 0 ? r : sd_bus_message_open_container(reply, 'a', "{sv}");
}

static int close_twice(sd_bus_message *reply) {
        int r = sd_bus_message_close_container(reply);

        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_standard(sd_bus_message *reply) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < sizeof(standard_interfaces) / sizeof(standard_interfaces[0]); i++) {
                r = open_interface(reply, standard_interfaces[i]);
                if (r >= 0)
                        r = close_twice(reply);
        }
        return r;
}

int object_append(sd_bus_message *reply, const char *path, const char *interface, const sd_bus_vtable *vtable,
                  void *object, sd_bus_error *error) {
        int r;

        r = sd_bus_message_open_container(reply, 'e', "oa{sa{sv}}");
        if (r >= 0)
                r = append_text(reply, 'o', path);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sa{sv}}");
        if (r >= 0)
                r = append_standard(reply);
        if (r >= 0)
                r = open_interface(reply, interface);
        if (r >= 0)
                r = append_properties(reply, path, interface, vtable, object, error);
        if (r >= 0)
                r = close_twice(reply);
        return r < 0 ? r : close_twice(reply);
}

int objects_answer(sd_bus_message *call, ObjectsAppend append, void *userdata, sd_bus_error *error) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r;

        if (sd_bus_message_is_method_call(call, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects") <= 0 ||
            !sd_bus_message_has_signature(call, ""))
                return 0;
        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{oa{sa{sv}}}");
        if (r >= 0)
                r = append(reply, userdata, error);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        return r < 0 ? r : 1;
}
