/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/log-control.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "base/journal.h"
#include "base/names.h"
#include "util/line.h"

#define LOG_CONTROL_PATH "/org/freedesktop/LogControl1"
#define LOG_CONTROL_INTERFACE "org.freedesktop.LogControl1"

struct LogControl {
        Callers *callers;
        sd_bus_slot *filter, *object;
};

/* As syslog(3) counts them. */
static const char *const levels[] = { "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug" };

/* A name of an interface or of a property, or one of the values: none is longer. */
#define TEXT_MAX 255U

/* While its caller is looked up the call waits here, and others behind it: what is as large as a message may be must
 * not. */
static int check_size(sd_bus_message *call, sd_bus_error *error) {
        const char *interface, *property, *value;
        int r;

        r = sd_bus_message_read(call, "ssv", &interface, &property, "s", &value);
        if (r < 0)
                return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
                                        "Expected an interface, a property and a string.");
        if (strlen(interface) > TEXT_MAX || strlen(property) > TEXT_MAX || strlen(value) > TEXT_MAX)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "Expected texts of at most %u bytes.",
                                         TEXT_MAX);
        return sd_bus_message_rewind(call, TRUE);
}

/* Who may set is asked without waiting, which a setter of sd-bus cannot do: the call is held back before it gets
 * there. */
static int on_set(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        LogControl *control = userdata;
        uid_t uid;
        int r;

        if (!sd_bus_message_is_method_call(call, PROPERTIES_INTERFACE, "Set") ||
            g_strcmp0(sd_bus_message_get_path(call), LOG_CONTROL_PATH) != 0)
                return 0;
        r = check_size(call, error);
        if (r >= 0)
                r = caller_uid(control->callers, call, &uid, error);
        if (r == 0)
                return 1;
        if (r > 0 && (uid == 0 || uid == geteuid()))
                return 0;
        return r > 0 ? sd_bus_error_set(error, ERROR_ACCESS_DENIED, "Only root may change what is logged.") : r;
}

static int get_property(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const char *value = "snoozed";

        if (strcmp(property, "LogLevel") == 0)
                value = levels[journal_get_level() & LOG_PRIMASK];
        else if (strcmp(property, "LogTarget") == 0)
                value = "journal";
        return sd_bus_message_append(reply, "s", value);
}

static int set_level(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *value,
                     void *userdata, sd_bus_error *error) {
        const char *name;
        int r = sd_bus_message_read(value, "s", &name);

        if (r < 0)
                return r;
        for (size_t i = 0; i < G_N_ELEMENTS(levels); i++)
                if (strcmp(name, levels[i]) == 0) {
                        journal_set_level((int) i);
                        return 0;
                }
        return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "“%.*s” is no level, expected emerg to debug.",
                                 line_cut(name, 32), name);
}

static int set_target(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *value, void *userdata, sd_bus_error *error) {
        const char *name;
        int r = sd_bus_message_read(value, "s", &name);

        if (r < 0)
                return r;
        if (strcmp(name, "journal") == 0 || strcmp(name, "auto") == 0)
                return 0;
        return sd_bus_error_setf(error, SD_BUS_ERROR_NOT_SUPPORTED, "“%.*s”: snoozed logs to the journal alone.",
                                 line_cut(name, 32), name);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_WRITABLE_PROPERTY("LogLevel", "s", get_property, set_level, 0, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_WRITABLE_PROPERTY("LogTarget", "s", get_property, set_target, 0, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("SyslogIdentifier", "s", get_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_VTABLE_END,
};

int log_control_new(sd_bus *bus, Callers *callers, LogControl **ret) {
        LogControl *control = g_new0(LogControl, 1);
        int r;

        control->callers = callers;
        r = sd_bus_add_filter(bus, &control->filter, on_set, control);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, &control->object, LOG_CONTROL_PATH, LOG_CONTROL_INTERFACE, vtable,
                                             control);
        if (r < 0) {
                log_control_free(control);
                return r;
        }
        *ret = control;
        return 0;
}

LogControl *log_control_free(LogControl *control) {
        if (!control)
                return NULL;
        sd_bus_slot_unref(control->filter);
        sd_bus_slot_unref(control->object);
        g_free(control);
        return NULL;
}
