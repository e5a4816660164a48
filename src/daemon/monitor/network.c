/* SPDX-License-Identifier: Apache-2.0 */

/* system.network.down: there was a way out (a default route by an interface with a carrier), and for
 * network_down_seconds there is none. Netlink says that something has changed; what is the case is read from /proc and
 * /sys, which say it in text. */

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/journal.h"
#include "daemon/metrics/procfile.h"
#include "daemon/monitor/private.h"
#include "util/file.h"

/* Whatever is in it, sysfs says that an attribute has the size of a page. */
#define ATTRIBUTE_MAX 65536U
#define LOOKS_PER_SECOND 4U

struct NetworkMonitor {
        Monitors *monitors;
        ProcFile routes, routes6;
        ProcBuffer buffer;
        sd_event_source *changes;
        sd_event_source *patience; /* runs since the way out was lost */
        char *interface;           /* by which it went, as last seen; NULL: there has been none yet */
        Condition down;
};

/* Of the interface: does it carry? One without the file (a tunnel) does. */
static gboolean has_carrier(const NetworkMonitor *network, const char *interface) {
        g_autofree char *path =
                g_strdup_printf("%s/sys/class/net/%s/carrier", network->monitors->with.root, interface);
        g_autofree char *text = NULL;
        g_autoptr(GError) error = NULL;

        /* Down altogether: EINVAL. */
        if (!file_read(path, ATTRIBUTE_MAX, &text, NULL, &error))
                return g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
        return text[0] == '1';
}

static gboolean is_name(const char *interface) {
        return *interface && !strchr(interface, '/') && !g_str_equal(interface, "..") && !g_str_equal(interface, "lo");
}

/* Iface Destination Gateway Flags …; a default route has the destination and the mask 0, and is up (RTF_UP, 0x1) and
 * no refusal (RTF_REJECT, 0x200). Caller frees. */
static char *find_route(NetworkMonitor *network) {
        g_auto(GStrv) lines = NULL;
        size_t length;

        if (proc_file_read(&network->routes, &network->buffer, &length) < 0)
                return NULL;
        lines = g_strsplit(network->buffer.text, "\n", -1);
        for (char **line = lines; *line && line[0][0]; line++) {
                g_auto(GStrv) fields = g_strsplit_set(g_strstrip(*line), "\t ", 0);
                guint64 flags;

                if (g_strv_length(fields) < 8 || !g_str_equal(fields[1], "00000000") ||
                    !g_str_equal(fields[7], "00000000"))
                        continue;
                flags = g_ascii_strtoull(fields[3], NULL, 16);
                if ((flags & 0x1) && !(flags & 0x200) && is_name(fields[0]) && has_carrier(network, fields[0]))
                        return g_strdup(fields[0]);
        }
        return NULL;
}

/* destination prefix source prefix next-hop metric references use flags interface, without a title; the last is
 * padded. */
static char *find_route6(NetworkMonitor *network) {
        g_auto(GStrv) lines = NULL;
        size_t length;

        if (proc_file_read(&network->routes6, &network->buffer, &length) < 0)
                return NULL;
        lines = g_strsplit(network->buffer.text, "\n", -1);
        for (char **line = lines; *line && line[0][0]; line++) {
                g_auto(GStrv) fields = g_strsplit(*line, " ", 10);
                guint64 flags;

                if (g_strv_length(fields) < 10 || strspn(fields[0], "0") != strlen(fields[0]) ||
                    !g_str_equal(fields[1], "00"))
                        continue;
                flags = g_ascii_strtoull(fields[8], NULL, 16);
                g_strstrip(fields[9]);
                if ((flags & 0x1) && !(flags & 0x200) && is_name(fields[9]) && has_carrier(network, fields[9]))
                        return g_strdup(fields[9]);
        }
        return NULL;
}

static char *find_way_out(NetworkMonitor *network) {
        char *interface = find_route(network);

        return interface ? interface : find_route6(network);
}

/* A way out may be there again, of which the kernel's word is not read yet. */
static int on_patience(sd_event_source *source, uint64_t usec, void *userdata) {
        NetworkMonitor *network = userdata;
        g_autofree char *interface = find_way_out(network);
        JsonObject *data;

        network->patience = sd_event_source_disable_unref(network->patience);
        if (interface)
                return 0;
        data = json_object_new();
        json_object_set_string_member(data, "interface", network->interface);
        condition_set(network->monitors, &network->down, TRUE, "network", "system.network.down", data);
        return 0;
}

static void begin_patience(NetworkMonitor *network) {
        uint64_t when = usec_add(clock_monotonic(),
                                 (uint64_t) (network->monitors->config->network_down_seconds * USEC_PER_SEC));

        if (!network->patience && sd_event_add_time(network->monitors->with.event, &network->patience, CLOCK_MONOTONIC,
                                                    when, USEC_PER_SEC / 10, on_patience, network) < 0)
                log_warning("The time without a network cannot be measured.");
}

void network_monitor_look(NetworkMonitor *network) {
        g_autofree char *interface = NULL;

        if (network->monitors->config->network_down_seconds > 0)
                interface = find_way_out(network);
        if (interface || network->monitors->config->network_down_seconds <= 0) {
                network->patience = sd_event_source_disable_unref(network->patience);
                condition_set(network->monitors, &network->down, FALSE, "network", "system.network.down", NULL);
                g_free(network->interface);
                network->interface = g_steal_pointer(&interface);
        } else if (network->interface && !network->down.holds)
                begin_patience(network);
}

gboolean network_monitor_adopt(NetworkMonitor *network, const char *id) {
        return condition_adopt(&network->down, id);
}

/* At rest this costs nothing: the kernel tells when there is something to be seen, but not of another machine's files.
 */
void network_monitor_check(NetworkMonitor *network) {
        if (!network->changes || network->monitors->with.root[0])
                network_monitor_look(network);
}

/* What they say is not looked at, so that there is nothing to be misread; a flood of them is one look. */
static int on_change(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        char nothing[8192];

        while (recv(fd, nothing, sizeof(nothing), MSG_DONTWAIT | MSG_TRUNC) > 0 || errno == ENOBUFS)
                ;
        network_monitor_look(userdata);
        return 0;
}

static int listen_to_kernel(NetworkMonitor *network) {
        struct sockaddr_nl address = { .nl_family = AF_NETLINK,
                                       .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE };
        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
        int r;

        if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        r = sd_event_add_io(network->monitors->with.event, &network->changes, fd, EPOLLIN, on_change, network);
        if (r < 0)
                return r;
        r = sd_event_source_set_io_fd_own(network->changes, TRUE);
        if (r < 0)
                return r;
        (void) steal_fd(&fd);
        /* Where routes come and go by the thousand, each look would read them all. */
        (void) sd_event_source_set_ratelimit(network->changes, USEC_PER_SEC, LOOKS_PER_SECOND);
        return 0;
}

NetworkMonitor *network_monitor_new(Monitors *monitors) {
        NetworkMonitor *network = g_new0(NetworkMonitor, 1);
        int r;

        network->monitors = monitors;
        proc_file_init(&network->routes, monitors->with.root, "/proc/net/route");
        proc_file_init(&network->routes6, monitors->with.root, "/proc/net/ipv6_route");
        r = listen_to_kernel(network);
        if (r < 0)
                log_notice("The kernel does not tell of changes of the network (%s); they are looked for with each "
                           "check.",
                           strerror(-r));
        /* What is lost from now on was there. */
        network_monitor_look(network);
        return network;
}

NetworkMonitor *network_monitor_free(NetworkMonitor *network) {
        sd_event_source_disable_unref(network->changes);
        sd_event_source_disable_unref(network->patience);
        condition_clear(&network->down);
        proc_file_done(&network->routes);
        proc_file_done(&network->routes6);
        proc_buffer_done(&network->buffer);
        g_free(network->interface);
        g_free(network);
        return NULL;
}

const char *network_monitor_blind(const NetworkMonitor *network) {
        return network->changes ? NULL : "Changes of the network are seen with each check only";
}
