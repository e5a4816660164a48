/* SPDX-License-Identifier: Apache-2.0 */

#include "cloud/machine.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"

typedef struct Sign {
        const char *file; /* below /sys/class/dmi/id */
        const char *prefix;
        const char *cloud;
} Sign;

/* Google makes laptops, too, and Microsoft's hypervisor runs at home as well: hence the product and the asset tag, not
 * the vendor. */
static const Sign cloud_signs[] = {
        { "sys_vendor", "Amazon EC2", "aws" },
        { "bios_vendor", "Amazon EC2", "aws" },
        { "product_name", "Google Compute Engine", "gcp" },
        { "chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77", "azure" },
        { "chassis_asset_tag", "OracleCloud.com", "oracle" },
        { "sys_vendor", "OpenStack Foundation", "openstack" },
        { "product_name", "OpenStack", "openstack" },
        { "chassis_asset_tag", "OpenTelekomCloud", "openstack" },
        { "chassis_asset_tag", "HUAWEICLOUD", "openstack" },
        { "chassis_asset_tag", "SAP CCloud VM", "openstack" },
        { "sys_vendor", "DigitalOcean", "digitalocean" },
        { "sys_vendor", "Hetzner", "hetzner" },
        { "sys_vendor", "Vultr", "vultr" },
        { "sys_vendor", "Scaleway", "scaleway" },
        { "sys_vendor", "Akamai", "linode" },
        { "sys_vendor", "Linode", "linode" },
        { "sys_vendor", "UpCloud", "upcloud" },
        { "sys_vendor", "Exoscale", "exoscale" },
        { "product_name", "Exoscale", "exoscale" },
        { "sys_vendor", "Alibaba Cloud", "alibaba" },
        { "product_name", "Alibaba Cloud", "alibaba" },
        { "sys_vendor", "Tencent Cloud", "tencent" },
        { "sys_vendor", "CloudSigma", "cloudsigma" },
        { "product_name", "CloudSigma", "cloudsigma" },
        { "chassis_vendor", "IBM:Cloud Compute Server", "ibm" },
        { "sys_vendor", "STACKIT", "openstack" },
};

static const struct {
        const char *file;
        const char *prefix;
} hypervisor_signs[] = {
        { "sys_vendor", "QEMU" },
        { "product_name", "KVM" },
        { "product_name", "Virtual Machine" },
        { "sys_vendor", "VMware" },
        { "product_name", "VMware" },
        { "sys_vendor", "innotek GmbH" },
        { "product_name", "VirtualBox" },
        { "sys_vendor", "Xen" },
        { "sys_vendor", "Bochs" },
        { "bios_vendor", "BHYVE" },
        { "sys_vendor", "Parallels" },
        { "product_name", "Apple Virtualization" },
        { "product_name", "OpenStack" },
        { "sys_vendor", "Nutanix" },
        { "product_name", "RHEV Hypervisor" },
        { "bios_vendor", "SeaBIOS" },
        { "product_name", "Standard PC (" },
};

/* Attributes and flags are short; what is longer is cut. False if there is no such file. */
static bool read_text(const char *root, const char *path, char *text, size_t size) {
        char full[PATH_MAX];
        _cleanup_close_ int fd = -1;
        ssize_t n;

        if (snprintf(full, sizeof(full), "%s%s", root, path) >= (int) sizeof(full))
                return false;
        fd = open(full, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return false;
        n = read(fd, text, size - 1);
        if (n < 0)
                return false;
        text[n] = 0;
        return true;
}

static bool read_dmi(const char *root, const char *file, char *text, size_t size) {
        char path[64];
        size_t n;

        snprintf(path, sizeof(path), "/sys/class/dmi/id/%s", file);
        if (!read_text(root, path, text, size))
                return false;
        n = strlen(text);
        while (n > 0 && strchr(" \n", text[n - 1]))
                text[--n] = 0;
        return true;
}

static bool dmi_begins(const char *root, const char *file, const char *prefix) {
        char text[MACHINE_TEXT_MAX];

        return read_dmi(root, file, text, sizeof(text)) && strncasecmp(text, prefix, strlen(prefix)) == 0;
}

static const char *find_cloud(const char *root) {
        char text[MACHINE_TEXT_MAX];

        for (size_t i = 0; i < sizeof(cloud_signs) / sizeof(cloud_signs[0]); i++)
                if (dmi_begins(root, cloud_signs[i].file, cloud_signs[i].prefix))
                        return cloud_signs[i].cloud;
        /* EC2's older instances are Xen guests whose only sign is the version or the uuid. */
        if (read_dmi(root, "bios_version", text, sizeof(text)) && strcasestr(text, "amazon"))
                return "aws";
        if (read_text(root, "/sys/hypervisor/uuid", text, sizeof(text)) && strncasecmp(text, "ec2", 3) == 0)
                return "aws";
        return NULL;
}

static bool is_container(const char *root) {
        static const char *const marks[] = { "/run/systemd/container", "/run/host/container-manager", "/.dockerenv",
                                             "/run/.containerenv" };
        char text[2];

        for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
                if (read_text(root, marks[i], text, sizeof(text)))
                        return true;
        return false;
}

/* x86 says it in the flags of each processor; the first is enough. */
static bool has_hypervisor_flag(const char *root) {
        char text[16384], *flags, *end;

        if (!read_text(root, "/proc/cpuinfo", text, sizeof(text)))
                return false;
        flags = strstr(text, "\nflags\t");
        if (!flags)
                return false;
        end = strchr(flags + 1, '\n');
        if (end)
                *end = 0;
        return strstr(flags, " hypervisor") != NULL;
}

/* On Xen the first domain sees the hypervisor as well, though it is the hardware's. */
static bool is_xen_guest(const char *root) {
        char text[64];

        if (!read_text(root, "/sys/hypervisor/type", text, sizeof(text)) || strncmp(text, "xen", 3) != 0)
                return false;
        return !read_text(root, "/proc/xen/capabilities", text, sizeof(text)) || !strstr(text, "control_d");
}

static bool is_virtual(const char *root) {
        char text[MACHINE_TEXT_MAX];

        if (has_hypervisor_flag(root) || is_xen_guest(root))
                return true;
        if (read_text(root, "/proc/device-tree/hypervisor/compatible", text, sizeof(text)))
                return true;
        for (size_t i = 0; i < sizeof(hypervisor_signs) / sizeof(hypervisor_signs[0]); i++)
                if (dmi_begins(root, hypervisor_signs[i].file, hypervisor_signs[i].prefix))
                        return true;
        return false;
}

void machine_detect(const char *root, Machine *ret) {
        *ret = (Machine) { .kind = MACHINE_METAL, .cloud = find_cloud(root) };
        if (!read_dmi(root, "product_name", ret->product, sizeof(ret->product)))
                ret->product[0] = 0;
        if (is_container(root))
                ret->kind = MACHINE_CONTAINER;
        else if (is_virtual(root))
                ret->kind = MACHINE_VIRTUAL;
}
