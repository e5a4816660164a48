/* SPDX-License-Identifier: Apache-2.0 */

/* What a manifest may ask for, what that means in plain words, and what it comes to in a unit and a bus policy. */

#include <string.h>

#include <glib/gstdio.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "helper/texts.h"
#include "manifest/approvals.h"
#include "manifest/permission.h"
#include "util/json.h"

static void test_well_formed(void) {
        static const char *const fine[] = {
                "network:any",
                "network:10.1.2.3",
                "network:10.0.0.0/8",
                "network:169.254.169.254:80",
                "network:localhost",
                "network:localhost:6379",
                "network:::1",
                "network:[2001:db8::1]:443",
                "network:2001:db8::/32",
                "network:ec2.eu-west-1.amazonaws.com:443",
                "read:/home/alice/data",
                "read:/srv",
                "write:/srv/data",
                "write:/var/lib/redis",
                "device:gpu",
                "processes",
                "signals",
                "bus:org.freedesktop.login1",
                "exec:any",
                "exec:/usr/bin/git",
                "group:tty",
                "unit:any",
                "unit:postgresql@15-main.service",
                "unit:srv.mount",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(fine); i++) {
                g_autofree char *words = NULL;

                g_assert_cmpstr(permission_problem(fine[i]), ==, NULL);
                words = permission_words(fine[i]);
                g_assert_true(g_str_has_prefix(words, "may "));
        }
}

static void test_hostile(void) {
        static const char *const bad[] = {
                "",
                "root",
                "network",
                "network:",
                "network:10.0.0.0/33",
                "network:10.0.0.0/\v8",
                "network:10.0.0.0/+8",
                "network:10.16.0.0/016",
                "network:host:\v80",
                "network:8.8.8.8/0",
                "network:0.0.0.0/0",
                "network:::/0",
                "network:10.1.2.3/8",
                "network:2001:db8::1/32",
                "network:10.1.2.3.4",
                "network:256.1.1.1",
                "network:a b",
                "network:host:0",
                "network:host:65536",
                "network:host:80:80",
                "network:-a.example",
                "network:[10.1.2.3]:80",
                "network:[::1",
                "network:any\nUser=root",
                "processes:all",
                "signals:all",
                "device:sda",
                "device:gpu\n",
                "group:root",
                "unit",
                "unit:",
                "unit:*",
                "unit:.service",
                "unit:a b.service",
                "unit:httpd",
                "unit:httpd.service\n*",
                "unit:../x.service",
                "unit:poweroff.target",
                "unit:user.slice",
                "unit:-.mount",
                "unit:snoozed.service",
                "unit:snooze-plugin@local.service",
                "unit:systemd-journald.service",
                "unit:dbus.service",
                "unit:polkit.service",
                "unit:debug-shell.service",
                "unit:rescue.service",
                "group:shadow",
                "group:docker",
                "group:snooze-admin",
                "bus:login1",
                "bus:org..x",
                "bus:org.x\"/><allow own=\"*",
                "bus:org.freedesktop.DBus",
                "bus:" HELPER_NAME,
                "bus:" PLUGIN_NAME_PREFIX "other",
                "bus::1.5",
                "bus:org.*",
                "read:relative",
                "read:/",
                "read:/srv/../etc",
                "read:/srv//data",
                "read:/srv/",
                "read:/srv/./x",
                "read:/srv/%i",
                "read:/srv/a b",
                "read:/srv/a\nUser=root",
                "read:/srv:/etc",
                "read:/srv/\\x",
                "read:/srv/$HOME",
                "read:/srv/\"",
                "read:/etc/shadow",
                "read:" PKGSYSCONFDIR,
                "read:" PKGSTATEDIR "/state.db",
                "read:/proc/1",
                "read:/dev/sda",
                "write:/",
                "write:/etc",
                "write:/etc/cron.d",
                "write:/usr/bin",
                "write:/boot",
                "write:/var",
                "write:/var/lib",
                "write:" PKGSTATEDIR,
                "write:/var/spool",
                "write:/root",
                "write:/run",
                "exec:sh",
                "exec:/bin/../bin/sh",
                "exec:/proc/self/exe",
                "exec:/tmp/tool",
                "exec:/var/tmp",
                "read:\xff/srv",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                if (!permission_problem(bad[i]))
                        g_error("\"%s\" was taken for a permission", bad[i]);
}

static void test_problems_say_what_was_expected(void) {
        g_assert_nonnull(strstr(permission_problem("device:sda"), "device:gpu"));
        g_assert_nonnull(strstr(permission_problem("group:root"), "systemd-journal"));
        g_assert_nonnull(strstr(permission_problem("fly"), "network:"));
}

static void test_words_are_honest(void) {
        g_autofree char *name = permission_words("network:db.example.org:6379"),
                        *address = permission_words("network:10.1.2.3:80"), *any = permission_words("network:any");

        /* systemd cannot tell names and ports apart, and who approves has to know. */
        g_assert_nonnull(strstr(name, "every address"));
        g_assert_nonnull(strstr(name, "db.example.org port 6379"));
        g_assert_nonnull(strstr(address, "10.1.2.3"));
        g_assert_nonnull(strstr(address, "cannot be told apart"));
        /* Nor can a unit that has the host's network be kept from these. */
        g_assert_nonnull(strstr(name, "abstract Unix sockets"));
        g_assert_nonnull(strstr(address, "abstract Unix sockets"));
        g_assert_nonnull(strstr(any, "abstract Unix sockets"));
}

/* A prefix is shown as what it comes to. */
static void test_words_tell_how_far_a_prefix_goes(void) {
        g_autofree char *wide = permission_words("network:128.0.0.0/1"),
                        *odd = permission_words("network:10.4.0.0/14"),
                        *six = permission_words("network:2001:db8::/33"),
                        *one = permission_words("network:10.1.2.3/32");

        g_assert_nonnull(strstr(wide, "128.0.0.0/1 (every address up to 255.255.255.255)"));
        g_assert_nonnull(strstr(odd, "up to 10.7.255.255)"));
        g_assert_nonnull(strstr(six, "up to 2001:db8:7fff:ffff:ffff:ffff:ffff:ffff)"));
        g_assert_nonnull(strstr(one, "up to 10.1.2.3)"));
}

static gboolean has_render(const char *name, void *userdata) {
        return strcmp(name, "render") == 0 || strcmp(name, "tty") == 0;
}

static char *lines_of(const char *const *permissions) {
        g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);

        permission_directives(permissions, has_render, NULL, lines);
        g_ptr_array_add(lines, NULL);
        return g_strjoinv("\n", (char **) lines->pdata);
}

static void test_directives(void) {
        static const struct {
                const char *permission, *lines;
        } table[] = {
                { "network:any",
                  "PrivateNetwork=no\nRestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK\nIPAddressDeny=" },
                { "network:10.0.0.0/8", "PrivateNetwork=no\nRestrictAddressFamilies=AF_INET AF_INET6 "
                                        "AF_NETLINK\nIPAddressAllow=10.0.0.0/8" },
                { "network:localhost:80",
                  "PrivateNetwork=no\nRestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK\nIPAddressAllow=localhost" },
                { "network:[::1]:80",
                  "PrivateNetwork=no\nRestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK\nIPAddressAllow=::1" },
                { "network:db.example.org",
                  "PrivateNetwork=no\nRestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK\nIPAddressDeny=" },
                { "read:/srv/data", "BindReadOnlyPaths=-/srv/data" },
                { "read:/home/alice", "ProtectHome=tmpfs\nBindReadOnlyPaths=-/home/alice" },
                { "write:/srv/data", "BindPaths=-/srv/data" },
                { "processes", "ProtectProc=default\nProcSubset=all\nPrivateUsers=no" },
                { "exec:/usr/bin/git", "ExecPaths=-/usr/bin/git" },
                { "exec:/home/alice/tool",
                  "ProtectHome=tmpfs\nBindReadOnlyPaths=-/home/alice/tool\nExecPaths=-/home/alice/tool" },
                { "exec:any", "NoExecPaths=" },
                { "group:adm",
                  "PrivateUsers=no" }, /* not there on this machine: named, it would keep the unit from starting */
                { "bus:org.freedesktop.login1", "" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                const char *const one[] = { table[i].permission, NULL };
                g_autofree char *lines = lines_of(one);

                g_assert_cmpstr(lines, ==, table[i].lines);
        }
}

static void test_directives_of_devices(void) {
        const char *const gpu[] = { "device:gpu", NULL }, *const tty[] = { "group:tty", NULL };
        g_autofree char *graphics = lines_of(gpu), *terminals = lines_of(tty);

        g_assert_nonnull(strstr(graphics, "PrivateDevices=no\nDeviceAllow=char-drm rw\n"));
        g_assert_nonnull(strstr(graphics, "SupplementaryGroups=render"));
        g_assert_null(strstr(graphics, "SupplementaryGroups=video"));
        g_assert_nonnull(strstr(terminals, "SupplementaryGroups=tty\n"));
        g_assert_nonnull(strstr(terminals, "DeviceAllow=char-pts w"));
}

static void test_each_line_once(void) {
        const char *const both[] = { "processes", "group:render", "read:/home/a", "read:/home/b", NULL };
        g_autofree char *lines = lines_of(both);
        const char *first = strstr(lines, "PrivateUsers=no"), *home = strstr(lines, "ProtectHome=tmpfs");

        g_assert_nonnull(first);
        g_assert_null(strstr(first + 1, "PrivateUsers=no"));
        g_assert_null(strstr(home + 1, "ProtectHome=tmpfs"));
}

static Manifest *example(const char *path, const char *exec) {
        Manifest *manifest = g_new0(Manifest, 1);

        manifest->id = g_strdup("example");
        manifest->path = g_strdup(path);
        manifest->exec = g_strdup(exec);
        manifest->exec_written = g_path_get_basename(exec);
        manifest->contracts = g_strsplit("IdleCheck", ",", -1);
        manifest->permissions = g_strsplit("processes,bus:org.freedesktop.login1,network:any", ",", -1);
        manifest->events = g_ptr_array_new();
        manifest->dependencies = g_ptr_array_new();
        manifest->memory_max = 32 * UINT64_C(1048576);
        manifest->cpu_percent = 12.5;
        manifest->tasks_max = 3;
        return manifest;
}

static void test_unit(void) {
        g_autoptr(Manifest) manifest =
                example(PKGSYSCONFDIR "/plugins/example/plugin.json", PKGSYSCONFDIR "/plugins/example/example");
        const char *const approved[] = { "processes", NULL }, *const programs[] = { "/usr/bin/python3", NULL };
        const Grant grant = { manifest, approved, programs, has_render, NULL };
        g_autoptr(GError) error = NULL;
        g_autofree char *text = text_unit_permissions(&grant, &error);

        g_assert_no_error(error);
        g_assert_cmpstr(text, ==,
                        "# Written by snooze-helper. What changes it: sudo snooze plugin permissions example\n"
                        "[Service]\n"
                        "ExecStart=\n"
                        "ExecStart=" PKGSYSCONFDIR "/plugins/example/example\n"
                        "InaccessiblePaths=\n"
                        "InaccessiblePaths=-" PKGSTATEDIR "\n"
                        "InaccessiblePaths=-" PKGRUNDIR "\n"
                        "InaccessiblePaths=-/run/systemd/resolve\n"
                        "InaccessiblePaths=-/run/nscd\n"
                        "InaccessiblePaths=-/run/avahi-daemon\n"
                        "InaccessiblePaths=-/run/snapd.socket\n"
                        "InaccessiblePaths=-/run/snapd-snap.socket\n"
                        "InaccessiblePaths=-/run/cups\n"
                        "InaccessiblePaths=-/run/rpcbind.sock\n"
                        "TemporaryFileSystem=" PKGSYSCONFDIR ":ro\n"
                        "BindReadOnlyPaths=" PKGSYSCONFDIR "/plugins/example\n"
                        "ExecPaths=" PKGSYSCONFDIR "/plugins/example/example\n"
                        "ExecPaths=-/usr/bin/python3\n"
                        "ProtectProc=default\n"
                        "ProcSubset=all\n"
                        "PrivateUsers=no\n"
                        "MemoryMax=33554432\n"
                        "CPUQuota=12.50%\n"
                        "TasksMax=3\n");
}

/* Name services are for those who may reach the network all the same: what is hidden from the others is what the
 * template hides. */
static void test_name_services(void) {
        g_autofree char *path =
                g_build_filename(g_getenv("SNOOZE_SOURCE_ROOT"), "data/systemd/snooze-plugin@.service.in", NULL);
        g_autoptr(Manifest) manifest = example("/opt/example/plugin.json", "/opt/example/example"),
                            within = example(PKGSYSCONFDIR "/plugins/example/plugin.json",
                                             PKGSYSCONFDIR "/plugins/example/example");
        static const char *const closed[][2] = { { NULL },
                                                 { "network:10.1.2.3:80" },
                                                 { "network:localhost" },
                                                 { "network:[::1]" } },
                                 *const open[][2] = { { "network:any" }, { "network:db.example.org:5432" } };
        g_autofree char *template = NULL, *own = NULL;
        g_autoptr(GError) error = NULL;
        g_auto(GStrv) lines = NULL;

        g_assert_true(g_file_get_contents(path, &template, NULL, &error));
        g_assert_no_error(error);
        own = text_unit_permissions(&(Grant) { within, closed[0], NULL, has_render, NULL }, &error);
        lines = g_strsplit(own, "\n", -1);
        for (char **line = lines; *line; line++)
                if (g_str_has_prefix(*line, "InaccessiblePaths=-/run/") && !strstr(*line, PKGRUNDIR))
                        g_assert_nonnull(strstr(template, strchr(*line, '-')));
        for (size_t i = 0; i < G_N_ELEMENTS(closed); i++) {
                g_autofree char *text =
                        text_unit_permissions(&(Grant){ manifest, closed[i], NULL, has_render, NULL }, &error);

                g_assert_null(strstr(text, "InaccessiblePaths"));
        }
        for (size_t i = 0; i < G_N_ELEMENTS(open); i++) {
                g_autofree char *text =
                        text_unit_permissions(&(Grant){ manifest, open[i], NULL, has_render, NULL }, &error);
                g_autofree char *there =
                        text_unit_permissions(&(Grant){ within, open[i], NULL, has_render, NULL }, &error);

                g_assert_nonnull(strstr(text, "InaccessiblePaths=\nInaccessiblePaths=-" PKGSTATEDIR
                                              "\nInaccessiblePaths=-" PKGSYSCONFDIR "\nInaccessiblePaths=-" PKGRUNDIR
                                              "\nExecPaths="));
                g_assert_nonnull(strstr(there, "InaccessiblePaths=\nInaccessiblePaths=-" PKGSTATEDIR
                                               "\nInaccessiblePaths=-" PKGRUNDIR "\nTemporaryFileSystem=" PKGSYSCONFDIR
                                               ":ro\n"));
        }
}

static void test_unit_of_odd_paths(void) {
        g_autoptr(Manifest) manifest = example("/opt/a b/example/plugin.json", "/opt/a b/example/example");
        const char *const none[] = { NULL };
        const Grant grant = { manifest, none, NULL, has_render, NULL };
        g_autoptr(GError) error = NULL;

        g_assert_null(text_unit_permissions(&grant, &error));
        g_assert_error(error, MANIFEST_ERROR, MANIFEST_ERROR_UNSAFE);
        g_assert_nonnull(strstr(error->message, "/opt/a b/example"));
}

static void test_bus_files(void) {
        g_autoptr(Manifest) manifest = example("/opt/example/plugin.json", "/opt/example/example");
        const char *const approved[] = { "bus:org.freedesktop.login1", "processes", NULL }, *const none[] = { NULL };
        const Grant grant = { manifest, approved, NULL, has_render, NULL },
                    bare = { manifest, none, NULL, has_render, NULL };
        g_autofree char *policy = text_bus_policy(&grant), *closed = text_bus_policy(&bare),
                        *activation = text_bus_activation(&grant), *slot = text_slot_activation(&grant, "b");

        g_assert_nonnull(strstr(policy, "<policy user=\"snooze-example\">"));
        g_assert_nonnull(strstr(policy, "<allow own=\"io.cloudsnooze.Plugin1.example\"/>"));
        g_assert_nonnull(strstr(
                policy,
                "<allow send_destination=\"org.freedesktop.login1\" send_type=\"method_call\"/>\n    </policy>"));
        g_assert_null(strstr(closed, "login1"));
        g_assert_null(strchr(policy, '@'));
        g_assert_nonnull(strstr(activation, "\nExec=/opt/example/example\n"));
        g_assert_nonnull(strstr(activation, "\nSystemdService=snooze-plugin@example.service\n"));
        g_assert_nonnull(strstr(slot, "\nName=io.cloudsnooze.Plugin1.example.b\n"));
        g_assert_nonnull(strstr(slot, "\nExec=/usr/bin/env SNOOZE_SLOT=b /opt/example/example\n"));
        g_assert_null(strchr(slot, '@'));
}

static void test_limits(void) {
        const Limits some = { .memory_max = 1048576, .tasks_max = 2 }, none = {};
        g_autofree char *text = text_unit_limits(&some), *empty = text_unit_limits(&none);

        g_assert_nonnull(strstr(text, "[Service]\nMemoryMax=1048576\nTasksMax=2\n"));
        g_assert_cmpstr(empty, ==, "");
}

static void test_limits_are_read_back(void) {
        const Limits all = { .memory_max = 3 * 1048576, .cpu_percent = 2.5, .tasks_max = 7 }, none = {};
        g_autofree char *text = text_unit_limits(&all), *empty = text_unit_limits(&none);
        Limits read = text_read_limits(text);

        g_assert_cmpuint(read.memory_max, ==, all.memory_max);
        g_assert_cmpfloat(read.cpu_percent, ==, all.cpu_percent);
        g_assert_cmpuint(read.tasks_max, ==, all.tasks_max);
        read = text_read_limits(empty);
        g_assert_cmpuint(read.memory_max, ==, 0);
}

static void test_defaults_are_the_templates(void) {
        g_autofree char *path =
                g_build_filename(g_getenv("SNOOZE_SOURCE_ROOT"), "data/systemd/snooze-plugin@.service.in", NULL);
        g_autofree char *text = NULL, *expected = NULL;
        g_autoptr(GError) error = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, &error));
        g_assert_no_error(error);
        expected =
                g_strdup_printf("MemoryMax=%uM\nCPUQuota=%u%%\nTasksMax=%u\n", (unsigned) (LIMIT_DEFAULT_MEMORY >> 20),
                                (unsigned) LIMIT_DEFAULT_CPU_PERCENT, (unsigned) LIMIT_DEFAULT_TASKS);
        g_assert_nonnull(strstr(text, expected));
}

static gboolean every_group(const char *name, void *userdata) {
        return TRUE;
}

/* Where its source is; NULL: there is none of that name. Caller frees. */
static char *source_of(const char *id) {
        static const char *const folders[] = { "plugins", "providers" };

        for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
                g_autofree char *path =
                        g_build_filename(g_getenv("SNOOZE_SOURCE_ROOT"), folders[i], id, "plugin.json", NULL);

                if (g_file_test(path, G_FILE_TEST_EXISTS))
                        return g_steal_pointer(&path);
        }
        return NULL;
}

static char **permissions_of(const char *id) {
        g_autofree char *path = source_of(id);
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonNode) root = NULL;
        JsonArray *array;

        g_assert_nonnull(path);
        root = json_file_parse(path, &error);
        g_assert_no_error(error);
        array = json_get_array(json_node_get_object(root), "permissions");
        for (guint i = 0; array && i < json_array_get_length(array); i++)
                g_strv_builder_add(builder, json_array_get_string_element(array, i));
        return g_strv_builder_end(builder);
}

static void check_dropin(const char *path, const char *id) {
        static const char *const with_secrets[] = { "aws", "azure",  "database-flusher", "event-endpoint",
                                                    "gcp", "notify", "openstack",        "webhook",
                                                    NULL };
        g_auto(GStrv) permissions = permissions_of(id), lines = NULL;
        g_autoptr(GPtrArray) meant = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *text = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        lines = g_strsplit(text, "\n", -1);
        permission_directives((const char *const *) permissions, every_group, NULL, meant);
        for (guint i = 0; i < meant->len; i++)
                if (!g_strv_contains((const char *const *) lines, g_ptr_array_index(meant, i)))
                        g_error("%s lacks %s, which a permission of its manifest means", path,
                                (char *) g_ptr_array_index(meant, i));
        /* Whoever is given passwords, tokens or keys leaves none in a core dump. */
        if (g_strv_contains(with_secrets, id))
                g_assert_true(g_strv_contains((const char *const *) lines, "LimitCORE=0"));
        /* What shows something of what the template hides shows name services to those alone who may reach what they
         * tell of. */
        if (permission_reaches_everywhere((const char *const *) permissions))
                g_assert_true(g_strv_contains((const char *const *) lines, "InaccessiblePaths="));
        if (g_strv_contains((const char *const *) lines, "InaccessiblePaths="))
                g_assert_true(permission_reaches_everywhere((const char *const *) permissions) ==
                              !strstr(text, "-/run/systemd/resolve"));
}

static void test_addresses(void) {
        static const char *const narrow[] = { "network:10.0.0.1", "network:10.0.0.1:80", "network:10.0.0.0/8",
                                              "network:localhost", "network:[::1]:443" };
        static const char *const others[] = { "network:any", "network:db.example.org", "network:db.example.org:80",
                                              "processes",   "read:/srv/data",         "exec:any" };

        for (size_t i = 0; i < G_N_ELEMENTS(narrow); i++)
                g_assert_true(permission_names_addresses(narrow[i]));
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                g_assert_false(permission_names_addresses(others[i]));
}

/* What came approved with a package grants what its manifest asks for, as the helper would. */
static void test_shipped_dropins(void) {
        g_autofree char *folder = g_build_filename(g_getenv("SNOOZE_SOURCE_ROOT"), "data/systemd/dropins", NULL);
        g_autoptr(GDir) directory = g_dir_open(folder, 0, NULL);
        const char *name;
        unsigned n = 0;

        g_assert_nonnull(directory);
        for (; (name = g_dir_read_name(directory)); n++) {
                g_autofree char *path = g_build_filename(folder, name, NULL),
                                *id = g_strndup(name, strcspn(name, "."));

                check_dropin(path, id);
        }
        g_assert_cmpuint(n, >=, 4);
}

static guint count_rules(const char *policy) {
        guint n = 0;

        /* The last part of a policy is what the permissions add. */
        policy = strstr(policy, "StartServiceByName");
        g_assert_nonnull(policy);
        while ((policy = strstr(policy, "<allow send_destination="))) {
                policy++;
                n++;
        }
        return n;
}

static void check_policy(const char *path, const char *id) {
        g_autoptr(GPtrArray) rules = g_ptr_array_new_with_free_func(g_free);
        g_auto(GStrv) permissions = permissions_of(id);
        g_autofree char *text = NULL;
        g_autoptr(GError) error = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, &error));
        permission_bus_rules((const char *const *) permissions, rules);
        for (guint i = 0; i < rules->len; i++)
                if (!strstr(text, g_ptr_array_index(rules, i)))
                        g_error("%s lacks %s", path, (char *) g_ptr_array_index(rules, i));
        g_assert_cmpuint(count_rules(text), ==, rules->len);
}

/* The same of the bus: no more, and no less. */
static void test_shipped_policies(void) {
        static const char *const prefix = "io.cloudsnooze.Plugin1.";
        g_autofree char *folder = g_build_filename(g_getenv("SNOOZE_BUILD_ROOT"), "data", NULL);
        g_autoptr(GDir) directory = g_dir_open(folder, 0, NULL);
        const char *name;
        unsigned n = 0;

        g_assert_nonnull(directory);
        while ((name = g_dir_read_name(directory))) {
                g_autofree char *path = g_build_filename(folder, name, NULL), *id = NULL;

                if (!g_str_has_prefix(name, prefix) || !g_str_has_suffix(name, ".conf"))
                        continue;
                id = g_strndup(name + strlen(prefix), strlen(name) - strlen(prefix) - strlen(".conf"));
                check_policy(path, id);
                n++;
        }
        g_assert_cmpuint(n, >=, 8);
}

static void with_approvals(const char *content, void (*check)(Approvals *approvals, GError *error)) {
        g_autoptr(GError) error = NULL;
        g_autofree char *directory = g_dir_make_tmp("snooze-approvals-XXXXXX", &error);
        g_autofree char *path = g_build_filename(directory, "example.json", NULL);
        g_autoptr(Approvals) approvals = NULL;

        g_assert_no_error(error);
        if (content)
                g_assert_true(g_file_set_contents(path, content, -1, NULL));
        approvals = approvals_load(directory, "example", geteuid(), &error);
        check(approvals, error);
        (void) g_unlink(path);
        (void) g_rmdir(directory);
}

static void nothing_is_approved(Approvals *approvals, GError *error) {
        g_assert_no_error(error);
        g_assert_cmpuint(approvals->list->len, ==, 0);
}

static void cannot_be_trusted(Approvals *approvals, GError *error) {
        g_assert_null(approvals);
        g_assert_nonnull(error);
}

static void two_are_approved(Approvals *approvals, GError *error) {
        g_autoptr(Manifest) manifest = example("/x/plugin.json", "/x/example");
        g_auto(GStrv) granted = NULL, missing = NULL;

        g_assert_no_error(error);
        granted = approvals_granted(approvals, manifest);
        missing = approvals_missing(approvals, manifest);
        /* "group:tty" is approved and no longer asked for: not granted. */
        g_assert_cmpuint(g_strv_length(granted), ==, 1);
        g_assert_cmpstr(granted[0], ==, "processes");
        g_assert_cmpuint(g_strv_length(missing), ==, 2);
        g_assert_cmpstr(missing[0], ==, "bus:org.freedesktop.login1");
        g_assert_cmpstr(missing[1], ==, "network:any");
}

static void set_list(char ***list, const char *text) {
        g_strfreev(*list);
        *list = g_strsplit(text, ",", -1);
}

static void set_text(char **text, const char *value) {
        g_free(*text);
        *text = g_strdup(value);
}

static void assert_obstacle(const Approvals *approvals, const Manifest *manifest, const char *expected) {
        g_autofree char *obstacle = approvals_obstacle(approvals, manifest, "processes");

        g_assert_cmpstr(obstacle, ==, expected);
        g_assert_cmpint(approvals_include(approvals, manifest, "processes"), ==, !expected);
}

/* What a later version may say without asking again, and what it may not. */
static void terms_are_kept(Approvals *approvals, GError *error) {
        g_autoptr(Manifest) manifest = example("/x/2.0.0/plugin.json", "/x/2.0.0/example");
        ManifestEvent event = { .type = (char *) "custom.build" };
        g_autofree char *never = NULL;

        g_assert_no_error(error);
        set_text(&manifest->digest, "def");
        manifest->version = g_strdup("2.0.0");
        manifest->description = g_strdup("another one");
        assert_obstacle(approvals, manifest, NULL);
        set_list(&manifest->contracts, "");
        assert_obstacle(approvals, manifest, NULL);

        /* It is not handed that. */
        g_ptr_array_add(manifest->events, &event);
        assert_obstacle(approvals, manifest, NULL);
        event.enabled = TRUE;
        assert_obstacle(approvals, manifest, "it was approved of a plugin.json without event:custom.build");
        event.type = (char *) "cloud.spot.rebalance";
        assert_obstacle(approvals, manifest, NULL);
        event.type = (char *) "clouds.spot";
        assert_obstacle(approvals, manifest, "it was approved of a plugin.json without event:clouds.spot");

        set_text(&manifest->exec_written, "other");
        set_list(&manifest->contracts, "IdleCheck,CloudProvider");
        assert_obstacle(approvals, manifest,
                        "it was approved of a plugin.json without program:other, contract:CloudProvider, "
                        "event:clouds.spot");
        never = approvals_obstacle(approvals, manifest, "network:any");
        g_assert_null(never);
        g_ptr_array_set_size(manifest->events, 0);
}

static void assert_granted(const Approvals *approvals, const Manifest *manifest, const char *expected) {
        g_auto(GStrv) granted = approvals_granted(approvals, manifest);
        g_autofree char *list = g_strjoinv(" ", granted);

        g_assert_cmpstr(list, ==, expected);
}

static void approve(Approvals *approvals, const Manifest *manifest, const char *permissions) {
        g_auto(GStrv) list = g_strsplit(permissions, " ", -1);

        approvals_approve(approvals, manifest,
                          *permissions ? (const char *const *) list : (const char *const[]){ NULL });
}

/* What two approvals grant to two programs neither grants to the other. */
static void test_approvals_of_several(void) {
        g_autoptr(Manifest) first = example("/x/1.0.0/plugin.json", "/x/first"),
                            second = example("/x/2.0.0/plugin.json", "/x/second"),
                            third = example("/x/3.0.0/plugin.json", "/x/second");
        g_autoptr(Approvals) approvals = approvals_new();

        set_text(&first->digest, "1");
        set_text(&second->digest, "2");
        set_text(&third->digest, "3");
        set_list(&first->permissions, "processes");
        set_list(&second->permissions, "network:any");
        set_list(&third->permissions, "processes,network:any");
        approve(approvals, first, "processes");
        assert_granted(approvals, third, "");
        approve(approvals, second, "network:any");
        assert_granted(approvals, first, "processes");
        assert_granted(approvals, third, "network:any");
        /* Nor does a refusal make a program known. */
        approve(approvals, second, "");
        assert_granted(approvals, third, "");
        /* What is taken back is taken back of all. */
        approve(approvals, third, "network:any");
        assert_granted(approvals, first, "");
        assert_granted(approvals, second, "network:any");
}

/* However often, it grows by what it grants alone. */
static void test_approvals_are_few(void) {
        g_autoptr(Manifest) manifest = example("/x/plugin.json", "/x/example");
        g_autoptr(Approvals) approvals = approvals_new();

        for (unsigned i = 0; i < 200; i++) {
                g_autofree char *digest = g_strdup_printf("%u", i), *program = g_strdup_printf("example-%u", i);

                set_text(&manifest->digest, digest);
                approve(approvals, manifest, "processes");
                approve(approvals, manifest, "processes network:any");
                g_assert_cmpuint(approvals->list->len, ==, MIN(i + 1, 64));
                assert_granted(approvals, manifest, "processes network:any");
                set_text(&manifest->exec_written, program);
        }
}

/* Kept before there were terms: good for the very plugin.json that was looked at. */
static void one_of_before(Approvals *approvals, GError *error) {
        g_autoptr(Manifest) manifest = example("/x/plugin.json", "/x/example");

        g_assert_no_error(error);
        set_text(&manifest->digest, "abc");
        assert_granted(approvals, manifest, "processes");
        set_text(&manifest->digest, "def");
        assert_obstacle(approvals, manifest, "it was approved of another plugin.json");
}

static void test_approvals(void) {
        g_autoptr(Manifest) looked_at = example("/x/plugin.json", "/x/example");
        ManifestEvent event = { .type = (char *) "cloud.spot.*", .enabled = TRUE };
        g_autoptr(Approvals) approvals = approvals_new();
        g_autofree char *text = NULL, *cut = NULL;

        set_text(&looked_at->digest, "abc");
        set_list(&looked_at->permissions, "group:tty,processes");
        set_list(&looked_at->contracts, "IdleCheck,State");
        g_ptr_array_add(looked_at->events, &event);
        approve(approvals, looked_at, "group:tty processes");
        g_ptr_array_set_size(looked_at->events, 0);
        text = approvals_text(approvals);

        with_approvals(NULL, nothing_is_approved);
        with_approvals("{\"approved\": []}", nothing_is_approved);
        with_approvals(text, two_are_approved);
        with_approvals(text, terms_are_kept);
        with_approvals("{\"manifest_sha256\": \"abc\", \"permissions\": [\"processes\"]}", one_of_before);
        with_approvals(
                "{\"approved\": [{\"manifest_sha256\": \"abc\", \"permissions\": [\"processes\"], \"terms\": []}]}",
                one_of_before);
        with_approvals("{}", cannot_be_trusted);
        with_approvals("[]", cannot_be_trusted);
        with_approvals("{\"approved\": [], \"more\": 1}", cannot_be_trusted);
        with_approvals("{\"approved\": [1]}", cannot_be_trusted);
        with_approvals("{\"approved\": [{\"manifest_sha256\": \"a\", \"permissions\": []}]}", cannot_be_trusted);
        with_approvals("{\"approved\": [{\"manifest_sha256\": \"a\", \"permissions\": [], \"terms\": [\"fly\"]}]}",
                       cannot_be_trusted);
        with_approvals("{\"manifest_sha256\": \"a\", \"permissions\": [\"fly\"]}", cannot_be_trusted);
        with_approvals("{\"manifest_sha256\": \"a\", \"permissions\": [1]}", cannot_be_trusted);
        with_approvals("{\"manifest_sha256\": \"a\", \"permissions\": [], \"more\": 1}", cannot_be_trusted);
        cut = g_strndup(text, strlen(text) / 2);
        with_approvals(cut, cannot_be_trusted);
}

static void test_reserved_ids(void) {
        g_assert_true(plugin_id_valid("example"));
        /* Its user's group would be snooze-admin. */
        g_assert_false(plugin_id_valid("admin"));
        g_assert_false(plugin_id_valid("../x"));
        g_assert_false(plugin_id_valid("a/b"));
        g_assert_false(plugin_id_valid("A"));
        g_assert_false(plugin_id_valid(""));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/permission/well-formed", test_well_formed);
        g_test_add_func("/permission/hostile", test_hostile);
        g_test_add_func("/permission/problems-say-what-was-expected", test_problems_say_what_was_expected);
        g_test_add_func("/permission/words-are-honest", test_words_are_honest);
        g_test_add_func("/permission/words-of-a-prefix", test_words_tell_how_far_a_prefix_goes);
        g_test_add_func("/permission/addresses", test_addresses);
        g_test_add_func("/permission/directives", test_directives);
        g_test_add_func("/permission/directives-of-devices", test_directives_of_devices);
        g_test_add_func("/permission/each-line-once", test_each_line_once);
        g_test_add_func("/permission/unit", test_unit);
        g_test_add_func("/permission/name-services", test_name_services);
        g_test_add_func("/permission/unit-of-odd-paths", test_unit_of_odd_paths);
        g_test_add_func("/permission/bus-files", test_bus_files);
        g_test_add_func("/permission/limits", test_limits);
        g_test_add_func("/permission/limits-are-read-back", test_limits_are_read_back);
        g_test_add_func("/permission/defaults-are-the-templates", test_defaults_are_the_templates);
        g_test_add_func("/permission/shipped-dropins", test_shipped_dropins);
        g_test_add_func("/permission/shipped-policies", test_shipped_policies);
        g_test_add_func("/permission/approvals", test_approvals);
        g_test_add_func("/permission/approvals/of-several", test_approvals_of_several);
        g_test_add_func("/permission/approvals/are-few", test_approvals_are_few);
        g_test_add_func("/permission/reserved-ids", test_reserved_ids);
        return g_test_run();
}
