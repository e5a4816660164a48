/* SPDX-License-Identifier: Apache-2.0 */

/* Row "event": from an event that is let in until its handler was entered, on the disk in between, and a bare call
 * that stands in for EmitEvent's own way over the bus; beside two bare calls over a socketpair and one commit of as
 * much to the same database; ms. In turn, on one CPU; medians. */

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "callers.h"
#include "daemon/event/event.h"
#include "peer.h"

#define ROUNDS 200U
#define GOAL 1.0

static bool over;
static volatile double *entered; /* the plugin writes there when it is entered */

static void on_over(gboolean handled, JsonArray *results, void *userdata) {
        if (!handled)
                g_error("nobody handled the event");
        over = true;
}

static void on_committed(const GError *error, void *userdata) {
        if (error)
                g_error("the store: %s", error->message);
        *(bool *) userdata = true;
}

static void run_until(Callers *callers, const bool *done) {
        while (!*done)
                bench_check(sd_event_run(callers->event, UINT64_MAX), "event loop");
}

static void call_peer(Callers *callers, Peer *peer) {
        unsigned answers = 0;

        peer_check(peer, &answers);
        while (answers == 0)
                bench_check(sd_event_run(callers->event, UINT64_MAX), "event loop");
}

static double measure_event(Callers *callers, Peer *peer, Events *events, JsonObject *data) {
        double begun = bench_now_usec(), value;

        call_peer(callers, peer);
        over = false;
        bench_check(events_emit(events, "custom", "bench", 0, 0, data, on_over, NULL, NULL), "the event");
        run_until(callers, &over);
        value = *entered - begun;
        /* What is still to be written of its end is nobody's part. */
        for (bool idle = false; !idle; idle = sd_event_run(callers->event, 3000) == 0)
                ;
        return value / 1e3;
}

static double measure_bare(Callers *callers, Peer *peer, JsonObject *data) {
        double begun = bench_now_usec();
        bool committed = false;

        call_peer(callers, peer);
        bench_check(store_append(callers->store, clock_realtime(), HISTORY_EVENT, data, on_committed, &committed),
                    "the store");
        run_until(callers, &committed);
        call_peer(callers, peer);
        return (bench_now_usec() - begun) / 1e3;
}

static void share_memory(Callers *callers) {
        g_autofree char *path = g_strdup_printf("/dev/shm/bench-event-%d", getpid());
        _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        if (fd < 0 || ftruncate(fd, 4096) < 0)
                g_error("%s: %m", path);
        entered = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (entered == MAP_FAILED)
                g_error("%s: %m", path);
        g_setenv("BENCH_ENTERED", path, TRUE);
}

int main(int argc, char **argv) {
        unsigned rounds = bench_is_smoke(argc, argv) ? 3 : ROUNDS;
        Callers callers = { .contract = "EventHandler" };
        g_autoptr(Config) config = config_new_default();
        g_autoptr(JsonObject) data = json_object_new();
        double event[ROUNDS], bare[ROUNDS];
        Events *events;
        Peer peer = {};

        json_object_set_string_member(data, "reason", "a benchmark");
        bench_pin();
        share_memory(&callers);
        callers_begin(&callers, argv[0]);
        bench_check(events_new(&(EventsParameters){ .bus = callers.connection,
                                                    .event = callers.event,
                                                    .config = config,
                                                    .store = callers.store,
                                                    .plugins = callers.plugins },
                               &events),
                    "events");
        peer_begin(&peer, callers.event);
        callers_start_plugin(&callers);
        (void) unlink(g_getenv("BENCH_ENTERED"));
        (void) measure_bare(&callers, &peer, data);
        (void) measure_event(&callers, &peer, events, data);
        for (unsigned i = 0; i < rounds; i++) {
                bare[i] = measure_bare(&callers, &peer, data);
                event[i] = measure_event(&callers, &peer, events, data);
        }
        events_end(events);
        store_close(callers.store);
        events_free(events);
        peer_end(&peer);
        callers_end(&callers);

        bench_print(&(BenchRow){ .name = "event", .unit = "ms", .value = bench_median(event, rounds),
                                 .beside = bench_median(bare, rounds), .goal = GOAL },
                    1);
        return 0;
}
