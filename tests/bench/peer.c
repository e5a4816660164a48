/* SPDX-License-Identifier: Apache-2.0 */

#include "peer.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/names.h"

static int on_check(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(call, "ssa{sv}", "idle", "nothing to do", 0);
}

static int on_process(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        const void *data;
        size_t size;
        int r = sd_bus_message_read_array(call, 'y', &data, &size);

        if (r >= 0)
                r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', data, size);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static const sd_bus_vtable check_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("CheckIdle", "a{sv}", "ssa{sv}", on_check, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable process_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("ProcessData", "ay", "ay", on_process, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static int serve(int fd) {
        sd_event *event = NULL;
        sd_bus *bus = NULL;
        sd_id128_t id;
        int r = sd_event_new(&event);

        if (r >= 0)
                r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_fd(bus, fd, fd);
        if (r >= 0)
                r = sd_id128_randomize(&id);
        if (r >= 0)
                r = sd_bus_set_server(bus, 1, id);
        if (r >= 0)
                r = sd_bus_set_anonymous(bus, 1);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, PLUGIN_PATH, IDLE_CHECK_INTERFACE, check_vtable, NULL);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, PLUGIN_PATH, DATA_PROCESSOR_INTERFACE, process_vtable, NULL);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(bus, 1);
        if (r >= 0)
                r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
        return r < 0 ? r : sd_event_loop(event);
}

void peer_begin(Peer *peer, sd_event *event) {
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                g_error("socketpair: %m");
        peer->pid = fork();
        if (peer->pid < 0)
                g_error("fork: %m");
        if (peer->pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void) close(fds[0]);
                _exit(serve(fds[1]) < 0 ? 1 : 0);
        }
        (void) close(fds[1]);
        bench_check(sd_bus_new(&peer->bus), "connection");
        bench_check(sd_bus_set_fd(peer->bus, fds[0], fds[0]), "connection");
        bench_check(sd_bus_start(peer->bus), "connection");
        bench_check(sd_bus_attach_event(peer->bus, event, SD_EVENT_PRIORITY_NORMAL), "connection");
}

void peer_end(Peer *peer) {
        sd_bus_flush_close_unref(peer->bus);
        bench_end(peer->pid);
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        unsigned *answers = userdata;

        if (sd_bus_message_is_method_error(reply, NULL))
                g_error("the peer's answer: %s", sd_bus_message_get_error(reply)->message);
        (*answers)++;
        return 1;
}

void peer_check(Peer *peer, unsigned *answers) {
        _cleanup_bus_message_ sd_bus_message *message = NULL;

        bench_check(sd_bus_message_new_method_call(peer->bus, &message, NULL, PLUGIN_PATH, IDLE_CHECK_INTERFACE,
                                                   "CheckIdle"),
                    "CheckIdle");
        bench_check(bench_append_metrics(message, NULL), "CheckIdle");
        bench_check(sd_bus_call_async(peer->bus, NULL, message, on_answer, answers, 0), "CheckIdle");
}

void peer_process(Peer *peer, GBytes *block, unsigned *answers) {
        _cleanup_bus_message_ sd_bus_message *message = NULL;

        bench_check(sd_bus_message_new_method_call(peer->bus, &message, NULL, PLUGIN_PATH, DATA_PROCESSOR_INTERFACE,
                                                   "ProcessData"),
                    "ProcessData");
        bench_check(sd_bus_message_append_array(message, 'y', g_bytes_get_data(block, NULL), g_bytes_get_size(block)),
                    "ProcessData");
        bench_check(sd_bus_call_async(peer->bus, NULL, message, on_answer, answers, 0), "ProcessData");
}
