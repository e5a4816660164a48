/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/plugin/identity.h"

#include <errno.h>
#include <string.h>

#include <glib.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "base/properties.h"
#include "manifest/manifest.h"

#define DRIVER_NAME "org.freedesktop.DBus"
#define DRIVER_PATH "/org/freedesktop/DBus"

typedef enum Question {
        QUESTION_OWNER_BEFORE,
        QUESTION_CREDENTIALS,
        QUESTION_MAIN_PID,
        QUESTION_OWNER_AFTER,
        QUESTION_COUNT,
} Question;

struct Identity {
        sd_bus *bus;
        char *id, *name, *unit, *owner, *systemd;
        IdentityDone done;
        void *userdata;
        sd_bus_slot *slot[QUESTION_COUNT];
        unsigned open; /* questions */
        uint32_t pid, main_pid, uid;
        gboolean uid_known;
};

Identity *identity_cancel(Identity *identity) {
        if (!identity)
                return NULL;
        for (size_t i = 0; i < QUESTION_COUNT; i++)
                sd_bus_slot_unref(identity->slot[i]);
        sd_bus_unref(identity->bus);
        g_free(identity->id);
        g_free(identity->name);
        g_free(identity->unit);
        g_free(identity->owner);
        g_free(identity->systemd);
        g_free(identity);
        return NULL;
}

static void identity_end(Identity *identity, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void identity_end(Identity *identity, const char *format, ...) {
        g_autofree char *message = NULL;
        IdentityDone done = identity->done;
        void *userdata = identity->userdata;
        pid_t pid = (pid_t) identity->pid;
        va_list ap;

        if (format) {
                va_start(ap, format);
                message = g_strdup_vprintf(format, ap);
                va_end(ap);
        }
        identity_cancel(identity);
        done(message, pid, userdata);
}

static gboolean is_own_user(const Identity *identity) {
        g_autofree char *user = g_strconcat(PLUGIN_USER_PREFIX, identity->id, NULL);
        uid_t uid;

        return identity->uid_known && local_user(user, &uid) >= 0 && uid == identity->uid;
}

static int ask_driver(Identity *identity, Question question, const char *member, const char *argument,
                      sd_bus_message_handler_t handler) {
        int r = sd_bus_call_method_async(identity->bus, &identity->slot[question], DRIVER_NAME, DRIVER_PATH,
                                         DRIVER_NAME, member, handler, identity, "s", argument);

        if (r >= 0)
                identity->open++;
        return r;
}

static gboolean is_owner(Identity *identity, sd_bus_message *reply) {
        const char *owner;

        return !sd_bus_message_is_method_error(reply, NULL) && sd_bus_message_read(reply, "s", &owner) >= 0 &&
                strcmp(owner, identity->owner) == 0;
}

static int on_owner_after(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Identity *identity = userdata;

        if (!is_owner(identity, reply))
                identity_end(identity, "the name %s changed its owner while that was looked at", identity->name);
        else
                identity_end(identity, NULL);
        return 0;
}

/* Everything between the two GetNameOwner calls has been answered. */
static void compare(Identity *identity) {
        int r;

        if (!identity->systemd) {
                identity_end(identity, NULL);
                return;
        }
        if (!is_own_user(identity)) {
                identity_end(identity, "%s is of user %u, expected " PLUGIN_USER_PREFIX "%s", identity->owner,
                             identity->uid, identity->id);
                return;
        }
        if (identity->pid == 0 || identity->pid != identity->main_pid) {
                identity_end(identity, "%s is process %u, expected %u, the main process of %s", identity->owner,
                             identity->pid, identity->main_pid, identity->unit);
                return;
        }
        if (!identity->name) {
                identity_end(identity, NULL);
                return;
        }
        r = ask_driver(identity, QUESTION_OWNER_AFTER, "GetNameOwner", identity->name, on_owner_after);
        if (r < 0)
                identity_end(identity, "the bus could not be asked: %s", g_strerror(-r));
}

static void answered(Identity *identity) {
        if (--identity->open == 0)
                compare(identity);
}

static int on_owner_before(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Identity *identity = userdata;

        if (!is_owner(identity, reply))
                identity_end(identity, "the name %s changed its owner", identity->name);
        else
                answered(identity);
        return 0;
}

static int read_credential(sd_bus_message *reply, const char *name, void *userdata) {
        Identity *identity = userdata;
        int r;

        if (strcmp(name, "UnixUserID") == 0) {
                r = sd_bus_message_read(reply, "v", "u", &identity->uid);
                identity->uid_known = r > 0;
                return r;
        }
        if (strcmp(name, "ProcessID") == 0)
                return sd_bus_message_read(reply, "v", "u", &identity->pid);
        return sd_bus_message_skip(reply, "v");
}

static int on_credentials(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Identity *identity = userdata;

        if (sd_bus_message_is_method_error(reply, NULL) || properties_read(reply, read_credential, identity) < 0)
                identity_end(identity, "the bus does not say who %s is", identity->owner);
        else
                answered(identity);
        return 0;
}

static int on_main_pid(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Identity *identity = userdata;

        if (sd_bus_message_is_method_error(reply, NULL) ||
            sd_bus_message_read(reply, "v", "u", &identity->main_pid) < 0)
                identity_end(identity, "systemd does not say which process %s has", identity->unit);
        else
                answered(identity);
        return 0;
}

static int ask_main_pid(Identity *identity) {
        _cleanup_free_ char *path = NULL;
        int r;

        r = sd_bus_path_encode(SYSTEMD_UNIT_PATH, identity->unit, &path);
        if (r < 0)
                return r;
        r = sd_bus_call_method_async(identity->bus, &identity->slot[QUESTION_MAIN_PID], identity->systemd, path,
                                     PROPERTIES_INTERFACE, "Get", on_main_pid, identity, "ss",
                                     SYSTEMD_SERVICE_INTERFACE, "MainPID");
        if (r >= 0)
                identity->open++;
        return r;
}

Identity *identity_begin(sd_bus *bus, const char *systemd, const char *id, const char *name, const char *unit,
                         const char *owner, IdentityDone done, void *userdata) {
        Identity *identity = g_new0(Identity, 1);
        int r = 0;

        *identity = (Identity) { .bus = sd_bus_ref(bus),
                                 .id = g_strdup(id),
                                 .name = g_strdup(name),
                                 .unit = g_strdup(unit),
                                 .owner = g_strdup(owner),
                                 .systemd = g_strdup(systemd),
                                 .done = done,
                                 .userdata = userdata };
        if (systemd && name)
                r = ask_driver(identity, QUESTION_OWNER_BEFORE, "GetNameOwner", name, on_owner_before);
        if (r >= 0)
                r = ask_driver(identity, QUESTION_CREDENTIALS, "GetConnectionCredentials", owner, on_credentials);
        if (r >= 0 && systemd)
                r = ask_main_pid(identity);
        if (r < 0)
                return identity_cancel(identity);
        return identity;
}
