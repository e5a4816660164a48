/* SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "cloud/machine.h"

typedef struct File {
        const char *path;
        const char *text;
} File;

#define DMI "/sys/class/dmi/id/"
#define FLAGS_VIRTUAL "processor\t: 0\nflags\t\t: fpu vme sse2 hypervisor lahf_lm\nbugs\t\t: none\n\nprocessor\t: 1\n"
#define FLAGS_METAL "processor\t: 0\nflags\t\t: fpu vme sse2 lahf_lm\nbugs\t\t: hypervisor\n\nprocessor\t: 1\n"

static void write_tree(const char *root, const File *files) {
        for (; files->path; files++) {
                g_autofree char *path = g_build_filename(root, files->path, NULL);
                g_autofree char *folder = g_path_get_dirname(path);

                g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
                g_assert_true(g_file_set_contents(path, files->text, -1, NULL));
        }
}

static void remove_tree(const char *path) {
        g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
        const char *name;

        while (folder && (name = g_dir_read_name(folder))) {
                g_autofree char *child = g_build_filename(path, name, NULL);

                remove_tree(child);
        }
        g_remove(path);
}

static void check(const File *files, MachineKind kind, const char *cloud, const char *product) {
        g_autofree char *root = g_dir_make_tmp("snooze-machine-XXXXXX", NULL);
        Machine machine;

        write_tree(root, files);
        machine_detect(root, &machine);
        remove_tree(root);
        g_assert_cmpint(machine.kind, ==, kind);
        g_assert_cmpstr(machine.cloud, ==, cloud);
        g_assert_cmpstr(machine.product, ==, product);
}

static void test_virtual_machine_at_home(void) {
        check((const File[]) { { DMI "sys_vendor", "QEMU\n" },
                               { DMI "product_name", "Standard PC (Q35 + ICH9, 2009)\n" },
                               { "/proc/cpuinfo", FLAGS_VIRTUAL },
                               { NULL } },
              MACHINE_VIRTUAL, NULL, "Standard PC (Q35 + ICH9, 2009)");
}

/* Where the sandbox hides /proc/cpuinfo, and on processors without such a flag. */
static void test_dmi_alone_names_a_hypervisor(void) {
        check((const File[]) { { DMI "sys_vendor", "VMware, Inc.\n" },
                              { DMI "product_name", "VMware7,1\n" },
                              { NULL } },
              MACHINE_VIRTUAL, NULL, "VMware7,1");
}

static void test_bare_metal(void) {
        check((const File[]) { { DMI "sys_vendor", "LENOVO\n" },
                               { DMI "product_name", "21CBCTO1WW\n" },
                               { "/proc/cpuinfo", FLAGS_METAL },
                               { NULL } },
              MACHINE_METAL, NULL, "21CBCTO1WW");
}

static void test_clouds_are_known_by_dmi(void) {
        check((const File[]) { { DMI "sys_vendor", "Amazon EC2\n" },
                               { DMI "product_name", "m7g.large\n" },
                               { "/proc/cpuinfo", FLAGS_METAL },
                               { NULL } },
              MACHINE_METAL, "aws", "m7g.large");
        check((const File[]) { { DMI "sys_vendor", "Xen\n" },
                               { DMI "product_name", "HVM domU\n" },
                               { DMI "bios_version", "4.11.amazon\n" },
                               { NULL } },
              MACHINE_VIRTUAL, "aws", "HVM domU");
        check((const File[]) { { "/sys/hypervisor/uuid", "ec2e1916-9099-7caf-fd21-012345abcdef\n" },
                               { "/sys/hypervisor/type", "xen\n" },
                               { NULL } },
              MACHINE_VIRTUAL, "aws", "");
        check((const File[]) { { DMI "sys_vendor", "Google\n" },
                               { DMI "product_name", "Google Compute Engine\n" },
                               { "/proc/cpuinfo", FLAGS_VIRTUAL },
                               { NULL } },
              MACHINE_VIRTUAL, "gcp", "Google Compute Engine");
        check((const File[]) { { DMI "sys_vendor", "OpenStack Foundation\n" },
                              { DMI "product_name", "OpenStack Nova\n" },
                              { NULL } },
              MACHINE_VIRTUAL, "openstack", "OpenStack Nova");
}

static void test_hyper_v_is_azure_only_with_its_tag(void) {
        const File hyper_v[] = { { DMI "sys_vendor", "Microsoft Corporation\n" },
                                 { DMI "product_name", "Virtual Machine\n" },
                                 { DMI "chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77\n" },
                                 { NULL } };
        File at_home[G_N_ELEMENTS(hyper_v)];

        check(hyper_v, MACHINE_VIRTUAL, "azure", "Virtual Machine");
        memcpy(at_home, hyper_v, sizeof(hyper_v));
        at_home[2].text = "5045-5341-4535-8311-9412-9342-11\n";
        check(at_home, MACHINE_VIRTUAL, NULL, "Virtual Machine");
}

static void test_a_laptop_by_google_is_no_cloud(void) {
        check((const File[]) { { DMI "sys_vendor", "Google\n" }, { DMI "product_name", "Eve\n" }, { NULL } },
              MACHINE_METAL, NULL, "Eve");
}

static void test_a_container_is_one_wherever_it_runs(void) {
        check((const File[]) { { DMI "sys_vendor", "QEMU\n" },
                               { "/run/systemd/container", "systemd-nspawn\n" },
                               { "/proc/cpuinfo", FLAGS_VIRTUAL },
                               { NULL } },
              MACHINE_CONTAINER, NULL, "");
        check((const File[]) { { "/.dockerenv", "" }, { NULL } }, MACHINE_CONTAINER, NULL, "");
}

static void test_the_first_domain_of_xen_is_the_hardware(void) {
        check((const File[]) { { "/sys/hypervisor/type", "xen\n" },
                               { "/proc/xen/capabilities", "control_d\n" },
                               { DMI "sys_vendor", "Dell Inc.\n" },
                               { NULL } },
              MACHINE_METAL, NULL, "");
}

static void test_nothing_known_is_bare_metal(void) {
        check((const File[]) { { NULL } }, MACHINE_METAL, NULL, "");
}

static void test_long_and_odd_content(void) {
        g_autofree char *long_name = g_strnfill(5000, 'x');
        g_autofree char *cut = g_strnfill(MACHINE_TEXT_MAX - 1, 'x');

        check((const File[]) { { DMI "product_name", long_name },
                              { DMI "sys_vendor", "\n\n  \n" },
                              { "/proc/cpuinfo", "\nflags\t" },
                              { NULL } },
              MACHINE_METAL, NULL, cut);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/local/machine/virtual-machine-at-home", test_virtual_machine_at_home);
        g_test_add_func("/local/machine/dmi-alone-names-a-hypervisor", test_dmi_alone_names_a_hypervisor);
        g_test_add_func("/local/machine/bare-metal", test_bare_metal);
        g_test_add_func("/local/machine/clouds-are-known-by-dmi", test_clouds_are_known_by_dmi);
        g_test_add_func("/local/machine/hyper-v-is-azure-only-with-its-tag", test_hyper_v_is_azure_only_with_its_tag);
        g_test_add_func("/local/machine/a-laptop-by-google-is-no-cloud", test_a_laptop_by_google_is_no_cloud);
        g_test_add_func("/local/machine/a-container-is-one-wherever-it-runs",
                        test_a_container_is_one_wherever_it_runs);
        g_test_add_func("/local/machine/the-first-domain-of-xen-is-the-hardware",
                        test_the_first_domain_of_xen_is_the_hardware);
        g_test_add_func("/local/machine/nothing-known-is-bare-metal", test_nothing_known_is_bare_metal);
        g_test_add_func("/local/machine/long-and-odd-content", test_long_and_odd_content);
        return g_test_run();
}
