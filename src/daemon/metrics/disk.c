/* SPDX-License-Identifier: Apache-2.0 */

/* Which block devices are real disks. /sys/block has whole disks only, so a partition is what is not there. Of these,
 * what is composed of others (device mapper, md, bcache: a directory `slaves` with something in it) would be counted
 * twice; loop devices, RAM disks, zram, floppies and optical drives are no disks.
 *
 * An NVMe namespace with native multipath is there as nvme0n1 and, hidden, once per path as nvme0c1n1. Every kernel
 * keeps count on the paths, only recent ones on the namespace, too: so where paths are listed, they count and the
 * namespace does not. */

#include "daemon/metrics/devices.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "base/cleanup.h"
#include "daemon/metrics/scan.h"

#define SECTOR_BYTES 512U /* whatever the disk's own sectors are */

static bool split(const char *line, DeviceLine *ret) {
        const char *name = line, *end;

        if (!scan_skip_numbers(&name, 2))
                return false;
        name = scan_blanks(name);
        end = scan_word(name);
        *ret = (DeviceLine) { name, (size_t) (end - name), end };
        return true;
}

/* reads merged sectors milliseconds, writes merged sectors … */
static bool read_sectors(const char *numbers, uint64_t *ret_in, uint64_t *ret_out) {
        return scan_skip_numbers(&numbers, 2) && scan_number(&numbers, ret_in) && scan_skip_numbers(&numbers, 3) &&
               scan_number(&numbers, ret_out);
}

static bool is_followed_by_number(const char *name, const char *prefix) {
        size_t length = strlen(prefix);

        return strncmp(name, prefix, length) == 0 && g_ascii_isdigit(name[length]);
}

static bool is_no_disk(const char *name) {
        static const char *const prefixes[] = { "loop", "ram", "zram", "fd", "sr", "scd", "dm-", "md" };

        for (size_t i = 0; i < G_N_ELEMENTS(prefixes); i++)
                if (is_followed_by_number(name, prefixes[i]))
                        return true;
        /* md devices with names */
        return g_str_has_prefix(name, "md_");
}

/* In /sys a slash in the name (cciss/c0d0) is an exclamation mark. */
static char *block_path(const char *root, const char *name, const char *attribute) {
        g_autofree char *entry = g_strdelimit(g_strdup(name), "/", '!');

        return g_strconcat(root, "/sys/block/", entry, attribute, NULL);
}

static bool is_composed(const char *root, const char *name) {
        g_autofree char *path = block_path(root, name, "/slaves");
        _cleanup_(closedirp) DIR *directory = opendir(path);
        const struct dirent *entry;

        if (!directory)
                return false;
        while ((entry = readdir(directory)))
                if (entry->d_name[0] != '.')
                        return true;
        return false;
}

/* Without /sys the list itself has to tell: partitions come behind their disk and begin with its name. */
static bool extends(const char *name, const char *disk) {
        size_t length = strlen(disk);
        const char *rest = name + length;

        if (strncmp(name, disk, length) != 0)
                return false;
        if (g_ascii_isdigit(disk[length - 1])) {
                if (*rest != 'p')
                        return false;
                rest++;
        }
        return *rest != '\0' && rest[strspn(rest, "0123456789")] == '\0';
}

static bool is_partition(const Device *devices, size_t i) {
        for (size_t j = i; j > 0; j--)
                if (extends(devices[i].name, devices[j - 1].name))
                        return true;
        return false;
}

/* nvme<subsystem>c<controller>n<namespace>: a path. */
static bool parse_path(const char *name, unsigned *ret_subsystem, unsigned *ret_namespace) {
        unsigned controller;
        int length = 0;

        return sscanf(name, "nvme%9uc%9un%9u%n", ret_subsystem, &controller, ret_namespace, &length) == 3 &&
               name[length] == '\0';
}

static void drop_namespaces_with_paths(Device *devices, size_t n) {
        for (size_t i = 0; i < n; i++) {
                char head[sizeof("nvmen") + 2 * 10];
                unsigned subsystem, namespace;

                if (!devices[i].counted || !parse_path(devices[i].name, &subsystem, &namespace))
                        continue;
                (void) snprintf(head, sizeof(head), "nvme%un%u", subsystem, namespace);
                for (size_t j = 0; j < n; j++)
                        if (strcmp(devices[j].name, head) == 0)
                                devices[j].counted = false;
        }
}

static bool is_whole(const char *root, const Device *devices, size_t i) {
        g_autofree char *path = block_path(root, devices[i].name, "");

        return access(path, F_OK) == 0;
}

static void classify(const char *root, Device *devices, size_t n) {
        g_autofree char *block = g_strconcat(root, "/sys/block", NULL);
        bool sysfs = access(block, F_OK) == 0;

        for (size_t i = 0; i < n; i++) {
                const char *name = devices[i].name;

                devices[i].counted = name[0] != '.' && !is_no_disk(name) && !is_composed(root, name) &&
                                     (sysfs ? is_whole(root, devices, i) : !is_partition(devices, i));
        }
        drop_namespaces_with_paths(devices, n);
}

const DeviceFormat disk_format = {
        .header_lines = 0,
        .unit = SECTOR_BYTES,
        .split = split,
        .read = read_sectors,
        .classify = classify,
};
