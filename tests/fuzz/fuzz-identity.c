/* SPDX-License-Identifier: Apache-2.0 */

/* Any bytes as what the bus and systemd answer when it is asked who owns a plugin's name: GetNameOwner,
 * GetConnectionCredentials, MainPID. The first byte says whether there is a systemd, and whether the plugin has its
 * name yet; each answer is an error, or values of some types. However that goes there is one verdict; and where there
 * is a systemd it is never yes, for no plugin has a user here. */

#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include <glib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/plugin/identity.h"
#include "message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SYSTEMD 1U
#define NAMED 2U
#define TURNS_MAX 1000U
#define OWNER ":1.7"
#define NAME "io.cloudsnooze.Plugin1.fuzz-nobody"

typedef struct Trial {
        Input input;
        bool rubbish;     /* of GetConnectionCredentials: an error, or not a{sv} */
        unsigned verdicts;
        bool accepted;
} Trial;

static void on_verdict(const char *message, pid_t pid, void *userdata) {
        Trial *trial = userdata;

        trial->verdicts++;
        trial->accepted = !message;
        if (message) {
                g_assert_cmpint(*message, !=, '\0');
                g_assert_true(g_utf8_validate(message, -1, NULL));
        }
}

/* The other end of the connection. */
static int on_call(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        static const char *const signatures[] = { "s", "a{sv}", "v", "u", "", "aa{sv}", "a{ss}", "ss", "o" };
        Trial *trial = userdata;
        bool credentials = sd_bus_message_is_method_call(call, NULL, "GetConnectionCredentials");
        bool property = sd_bus_message_is_method_call(call, NULL, "Get");
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        const char *signature;
        uint8_t choice;

        if (!sd_bus_message_is_method_call(call, NULL, NULL))
                return 0;
        choice = input_take(&trial->input);
        /* The right one most of the time. */
        signature = choice < 128  ? (credentials ? "a{sv}" : property ? "v" : "s")
                    : choice < 248 ? signatures[choice % G_N_ELEMENTS(signatures)]
                                   : NULL;
        if (credentials)
                trial->rubbish = !signature || strcmp(signature, "a{sv}") != 0;
        if (!signature)
                return sd_bus_reply_method_errorf(call, "org.freedesktop.DBus.Error.NameHasNoOwner", "It is so");
        g_assert_cmpint(sd_bus_message_new_method_return(call, &reply), >=, 0);
        if (message_append(reply, signature, &trial->input) < 0) {
                trial->rubbish = trial->rubbish || credentials;
                return sd_bus_reply_method_errorf(call, "org.freedesktop.DBus.Error.Failed", "No such value");
        }
        g_assert_cmpint(sd_bus_send(NULL, reply, NULL), >=, 0);
        return 1;
}

static sd_bus *connect_one(int fd, bool server) {
        sd_bus *bus;
        sd_id128_t id = SD_ID128_MAKE(01, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10);

        g_assert_cmpint(sd_bus_new(&bus), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(bus, fd, fd), >=, 0);
        if (server) {
                g_assert_cmpint(sd_bus_set_server(bus, 1, id), >=, 0);
                g_assert_cmpint(sd_bus_set_anonymous(bus, 1), >=, 0);
        }
        g_assert_cmpint(sd_bus_start(bus), >=, 0);
        return bus;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char *const words[] = {
                OWNER, NAME, "UnixUserID", "ProcessID", "UnixGroupIDs", "LinuxSecurityLabel", ":1.8", NULL
        };
        static sd_bus *ours, *theirs;
        static Trial trial;
        uint8_t how;
        Identity *identity;

        trial = (Trial) { .input = { data, size, words } };
        how = input_take(&trial.input);
        if (!ours) {
                int fds[2];

                g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
                theirs = connect_one(fds[1], true);
                ours = connect_one(fds[0], false);
                g_assert_cmpint(sd_bus_add_filter(theirs, NULL, on_call, &trial), >=, 0);
        }
        identity = identity_begin(ours, how & SYSTEMD ? ":1.1" : NULL, "fuzz-nobody", how & NAMED ? NAME : NULL,
                                  "snooze-plugin@fuzz-nobody.service", OWNER, on_verdict, &trial);
        g_assert_nonnull(identity);
        for (unsigned turns = 0; trial.verdicts == 0; turns++) {
                int a = sd_bus_process(theirs, NULL), b = sd_bus_process(ours, NULL);

                g_assert_cmpuint(turns, <, TURNS_MAX);
                g_assert_cmpint(a, >=, 0);
                g_assert_cmpint(b, >=, 0);
                if (a == 0 && b == 0)
                        g_assert_cmpint(sd_bus_wait(ours, USEC_PER_SEC), >=, 0);
        }
        /* What was asked and is not waited for any more is answered to nobody. */
        while (sd_bus_process(theirs, NULL) > 0 || sd_bus_process(ours, NULL) > 0)
                ;
        g_assert_cmpuint(trial.verdicts, ==, 1);
        g_assert_true(!trial.accepted || !(how & SYSTEMD));
        g_assert_true(!trial.accepted || !trial.rubbish);
        return 0;
}
