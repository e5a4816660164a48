/* SPDX-License-Identifier: Apache-2.0 */

#include "logind.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/properties.h"

#define LOGIND_NAME "org.freedesktop.login1"
#define LOGIND_PATH "/org/freedesktop/login1"
#define LOGIND_MANAGER LOGIND_NAME ".Manager"
#define LOGIND_TIMEOUT (25 * USEC_PER_SEC)

static const struct {
        const char *name;
        const char *words;
        const char *method;
        const char *can;
        const char *permission;
        const char *lock;
} actions[POWER_ACTION_COUNT] = {
        [POWER_OFF] = { "stop", "power off this machine", "PowerOff", "CanPowerOff", LOGIND_NAME ".power-off",
                        "shutdown" },
        [POWER_SUSPEND] = { "suspend", "suspend this machine", "Suspend", "CanSuspend", LOGIND_NAME ".suspend",
                            "sleep" },
        [POWER_HIBERNATE] = { "hibernate", "hibernate this machine", "Hibernate", "CanHibernate",
                              LOGIND_NAME ".hibernate", "sleep" },
};

int power_action_from_name(const char *name) {
        for (int action = 0; action < POWER_ACTION_COUNT; action++)
                if (strcmp(actions[action].name, name) == 0)
                        return action;
        return -EINVAL;
}

const char *power_action_name(PowerAction action) {
        return actions[action].name;
}

const char *power_action_words(PowerAction action) {
        return actions[action].words;
}

const char *power_action_permission(PowerAction action) {
        return actions[action].permission;
}

static int new_call(sd_bus *bus, const char *interface, const char *member, sd_bus_message **ret) {
        _cleanup_bus_message_ sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &m, LOGIND_NAME, LOGIND_PATH, interface, member);
        if (r < 0)
                return r;
        r = sd_bus_message_set_auto_start(m, false);
        if (r < 0)
                return r;
        *ret = steal(m);
        return 0;
}

int logind_call(sd_bus *bus, const char *member, sd_bus_message_handler_t handler, void *userdata) {
        _cleanup_bus_message_ sd_bus_message *m = NULL;
        int r;

        r = new_call(bus, LOGIND_MANAGER, member, &m);
        if (r < 0)
                return r;
        return sd_bus_call_async(bus, NULL, m, handler, userdata, clock_bound(LOGIND_TIMEOUT));
}

int logind_can(sd_bus *bus, PowerAction action, sd_bus_message_handler_t handler, void *userdata) {
        return logind_call(bus, actions[action].can, handler, userdata);
}

int logind_perform(sd_bus *bus, PowerAction action, sd_bus_message_handler_t handler, void *userdata) {
        _cleanup_bus_message_ sd_bus_message *m = NULL;
        int r;

        r = new_call(bus, LOGIND_MANAGER, actions[action].method, &m);
        if (r < 0)
                return r;
        /* Not interactive: there is nobody at a service to type a password. */
        r = sd_bus_message_append(m, "b", false);
        if (r < 0)
                return r;
        return sd_bus_call_async(bus, NULL, m, handler, userdata, clock_bound(LOGIND_TIMEOUT));
}

int logind_properties(sd_bus *bus, sd_bus_message_handler_t handler, void *userdata) {
        _cleanup_bus_message_ sd_bus_message *m = NULL;
        int r;

        r = new_call(bus, "org.freedesktop.DBus.Properties", "GetAll", &m);
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "s", LOGIND_MANAGER);
        if (r < 0)
                return r;
        return sd_bus_call_async(bus, NULL, m, handler, userdata, clock_bound(LOGIND_TIMEOUT));
}

/* what is a list like "shutdown:sleep:idle". */
static bool covers(const char *what, const char *lock) {
        size_t length = strlen(lock);

        for (const char *p = what; *p; p += strcspn(p, ":"), p += *p == ':')
                if (strcspn(p, ":") == length && strncmp(p, lock, length) == 0)
                        return true;
        return false;
}

int logind_read_blocker(sd_bus_message *reply, PowerAction action, char *text, size_t size) {
        const char *what, *who, *why, *mode;
        uint32_t uid, pid;
        int r;

        text[0] = 0;
        r = sd_bus_message_enter_container(reply, 'a', "(ssssuu)");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(reply, "(ssssuu)", &what, &who, &why, &mode, &uid, &pid)) > 0) {
                /* "block-weak" (systemd 257) gives way to a service as it does to a user. */
                if (text[0] || strcmp(mode, "block") != 0 || !covers(what, actions[action].lock))
                        continue;
                snprintf(text, size, "%s (user %u, process %u): %s", who, uid, pid, why);
        }
        if (r < 0)
                return r;
        return sd_bus_message_exit_container(reply);
}

int logind_read_can(sd_bus_message *reply, const char **ret) {
        int r = sd_bus_message_read_basic(reply, 's', ret);

        return r < 0 ? r : 0;
}

static int read_preparing(sd_bus_message *reply, const char *name, void *userdata) {
        bool *preparing = userdata;
        int value, r;

        if (strcmp(name, "PreparingForShutdown") != 0 && strcmp(name, "PreparingForSleep") != 0)
                return sd_bus_message_skip(reply, "v");
        r = sd_bus_message_read(reply, "v", "b", &value);
        if (r >= 0 && value)
                *preparing = true;
        return r;
}

int logind_read_preparing(sd_bus_message *reply, bool *ret) {
        *ret = false;
        return properties_read(reply, read_preparing, ret);
}
