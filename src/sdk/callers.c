/* SPDX-License-Identifier: Apache-2.0 */

/* Who may call. The bus policy lets only the daemon's user and root through; this is the second wall, for machines
 * where a policy file is missing or was loosened. The bus is asked once per sender, without waiting: the sender's
 * calls are parked meanwhile and put back into the queue in their order when the answer is there. */

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "base/journal.h"
#include "sdk/instance.h"

#define DAEMON_USER "snooze"
#define BUS_DRIVER "org.freedesktop.DBus"
#define ASK_TIMEOUT (10 * UINT64_C(1000000))

typedef struct Question {
        SnoozePluginInstance *instance;
        sd_bus_message *message; /* that waits for the answer */
} Question;

static void question_free(void *userdata) {
        Question *q = userdata;

        q->instance->callers_pending--;
        life_settled(q->instance);
        sd_bus_message_unref(q->message);
        free(q);
}

static const Caller *caller_find(const SnoozePluginInstance *instance, const char *name) {
        for (unsigned i = 0; i < CALLERS_KNOWN_MAX; i++)
                if (instance->callers[i].name && strcmp(instance->callers[i].name, name) == 0)
                        return &instance->callers[i];
        return NULL;
}

static void caller_remember(SnoozePluginInstance *instance, const char *name, bool allowed) {
        Caller *caller = &instance->callers[instance->next_caller];
        char *copy = strdup(name);

        if (!copy)
                return;
        free(caller->name);
        *caller = (Caller) { .name = copy, .allowed = allowed };
        instance->next_caller = (instance->next_caller + 1) % CALLERS_KNOWN_MAX;
}

void callers_clear(SnoozePluginInstance *instance) {
        for (unsigned i = 0; i < CALLERS_KNOWN_MAX; i++)
                free(instance->callers[i].name);
}

static bool user_allowed(uid_t uid) {
        struct passwd *user;

        if (uid == 0 || uid == geteuid())
                return true;
        user = getpwnam(DAEMON_USER);
        return user && user->pw_uid == uid;
}

static int refuse(sd_bus_message *m) {
        log_notice("Refused %s of %s: not the daemon's user", sd_bus_message_get_member(m),
                   sd_bus_message_get_sender(m));
        return sd_bus_reply_method_errorf(m, ERROR_ACCESS_DENIED,
                                          "Only CloudSnooze's daemon and root may call a plugin");
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Question *q = userdata;
        SnoozePluginInstance *instance = q->instance;
        sd_bus_message *parked = q->message;
        bool allowed = false;
        uint32_t uid;
        int r = -EIO;

        if (!sd_bus_message_is_method_error(m, NULL))
                r = sd_bus_message_read_basic(m, 'u', &uid);
        if (r >= 0) {
                allowed = user_allowed(uid);
                caller_remember(instance, sd_bus_message_get_sender(parked), allowed);
        }
        if (!allowed)
                (void) refuse(parked);
        else {
                r = sd_bus_message_rewind(parked, true);
                if (r >= 0)
                        r = sd_bus_enqueue_for_read(instance->bus, parked);
                if (r < 0)
                        log_warning("Cannot take up a parked call again: %s", strerror(-r));
        }
        return 0;
}

static int ask(SnoozePluginInstance *instance, sd_bus_message *m) {
        _cleanup_bus_message_ sd_bus_message *question = NULL;
        sd_bus_slot *slot;
        Question *q;
        int r;

        if (instance->callers_pending >= CALLERS_PENDING_MAX)
                return sd_bus_reply_method_errorf(m, ERROR_LIMITS_EXCEEDED, "Too many callers at once");

        r = sd_bus_message_new_method_call(instance->bus, &question, BUS_DRIVER, "/org/freedesktop/DBus", BUS_DRIVER,
                                           "GetConnectionUnixUser");
        if (r < 0)
                return r;
        r = sd_bus_message_append_basic(question, 's', sd_bus_message_get_sender(m));
        if (r < 0)
                return r;
        q = malloc(sizeof(Question));
        if (!q)
                return -ENOMEM;
        r = sd_bus_call_async(instance->bus, &slot, question, on_answer, q, ASK_TIMEOUT);
        if (r < 0) {
                free(q);
                return r;
        }
        *q = (Question) { .instance = instance, .message = sd_bus_message_ref(m) };
        instance->callers_pending++;
        (void) sd_bus_slot_set_destroy_callback(slot, question_free);
        /* Floating: it lives as long as its answer is awaited. */
        (void) sd_bus_slot_set_floating(slot, true);
        sd_bus_slot_unref(slot);
        return 1;
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SnoozePluginInstance *instance = userdata;
        const Caller *caller;
        const char *sender;
        uint8_t type;

        if (sd_bus_message_get_type(m, &type) < 0 || type != SD_BUS_MESSAGE_METHOD_CALL)
                return 0;
        sender = sd_bus_message_get_sender(m);
        if (!sender)
                return refuse(m);
        caller = caller_find(instance, sender);
        if (!caller)
                return ask(instance, m);
        return caller->allowed ? 0 : refuse(m);
}

int callers_watch(SnoozePluginInstance *instance) {
        return sd_bus_add_filter(instance->bus, &instance->callers_slot, on_message, instance);
}
