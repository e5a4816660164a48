/* SPDX-License-Identifier: Apache-2.0 */

/* Which network interfaces are real. One that has a device in /sys is: a card, a virtual function, a paravirtual one.
 * Everything else (bridges, bonds, VLANs, tunnels, the host's ends of containers) only passes on what such an
 * interface carries, or never leaves the machine. Slaves of a bond count and the bond does not; but a slave whose
 * master has a device itself (accelerated networking: netvsc, net_failover) does not, because that master's counters
 * contain it. A container has no device at all: there every interface counts that is neither the loopback nor sits on
 * another. */

#include "daemon/metrics/devices.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "base/cleanup.h"
#include "daemon/metrics/scan.h"

static bool split(const char *line, DeviceLine *ret) {
        const char *name = scan_blanks(line), *colon = name;

        while (*colon && *colon != ':' && *colon != '/' && *colon != ' ' && *colon != '\t' && *colon != '\n')
                colon++;
        if (*colon != ':')
                return false;
        *ret = (DeviceLine) { name, (size_t) (colon - name), colon + 1 };
        return name[0] != '.';
}

/* Received: bytes packets errs drop fifo frame compressed multicast; sent: bytes … */
static bool read_bytes(const char *numbers, uint64_t *ret_in, uint64_t *ret_out) {
        return scan_number(&numbers, ret_in) && scan_skip_numbers(&numbers, 7) && scan_number(&numbers, ret_out);
}

static char *attribute_path(const char *root, const char *name, const char *attribute) {
        return g_strconcat(root, "/sys/class/net/", name, "/", attribute, NULL);
}

static bool has_attribute(const char *root, const char *name, const char *attribute) {
        g_autofree char *path = attribute_path(root, name, attribute);

        return access(path, F_OK) == 0;
}

/* The last component of the link `master`. */
static bool read_master(const char *root, const char *name, char *ret, size_t size) {
        g_autofree char *path = attribute_path(root, name, "master"), *base = NULL;
        char target[4096];
        ssize_t n = readlink(path, target, sizeof(target) - 1);

        if (n <= 0)
                return false;
        target[n] = '\0';
        base = g_path_get_basename(target);
        return g_strlcpy(ret, base, size) < size;
}

static bool is_physical(const char *root, const char *name) {
        char master[DEVICE_NAME_MAX + 1];

        if (!has_attribute(root, name, "device"))
                return false;
        return !read_master(root, name, master, sizeof(master)) || !has_attribute(root, master, "device");
}

static bool sits_on_another(const char *root, const char *name) {
        g_autofree char *path = attribute_path(root, name, "");
        _cleanup_(closedirp) DIR *directory = opendir(path);
        const struct dirent *entry;

        if (!directory)
                return false;
        while ((entry = readdir(directory)))
                if (strncmp(entry->d_name, "lower_", strlen("lower_")) == 0 || strcmp(entry->d_name, "bridge") == 0 ||
                    strcmp(entry->d_name, "bonding") == 0)
                        return true;
        return false;
}

static void classify(const char *root, Device *devices, size_t n) {
        bool physical = false;

        for (size_t i = 0; i < n; i++) {
                devices[i].counted = is_physical(root, devices[i].name);
                physical = physical || devices[i].counted;
        }
        for (size_t i = 0; !physical && i < n; i++)
                devices[i].counted = strcmp(devices[i].name, "lo") != 0 && !sits_on_another(root, devices[i].name);
}

const DeviceFormat network_format = {
        .header_lines = 2,
        .unit = 1,
        .split = split,
        .read = read_bytes,
        .classify = classify,
};
