/* SPDX-License-Identifier: Apache-2.0 */

#include "manifest/permission.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/names.h"

#define PATH_LENGTH_MAX 1024U
#define HOST_LENGTH_MAX 253U
#define BUS_NAME_LENGTH_MAX 255U

typedef struct Kind {
        const char *name;
        const char *expected;
        gboolean (*valid)(const char *argument);
        char *(*words)(const char *argument);
        void (*directives)(const char *argument, GroupExists exists, void *userdata, GPtrArray *lines);
} Kind;

static void add_line(GPtrArray *lines, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add_line(GPtrArray *lines, const char *format, ...) {
        g_autofree char *line = NULL;
        va_list ap;

        va_start(ap, format);
        line = g_strdup_vprintf(format, ap);
        va_end(ap);
        if (!g_ptr_array_find_with_equal_func(lines, line, g_str_equal, NULL))
                g_ptr_array_add(lines, g_steal_pointer(&line));
}

/* Paths */

gboolean permission_path_plain(const char *path) {
        size_t length = strnlen(path, PATH_LENGTH_MAX + 1);
        g_auto(GStrv) parts = NULL;

        /* Neither blanks, quotes and backslashes nor %, $ and ":", which unit files would take for something else. */
        if (length < 2 || length > PATH_LENGTH_MAX || path[0] != '/' ||
            strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._+=@,-") != length)
                return FALSE;
        parts = g_strsplit(path + 1, "/", -1);
        for (char **part = parts; *part; part++)
                if (!**part || g_str_equal(*part, ".") || g_str_equal(*part, ".."))
                        return FALSE;
        return TRUE;
}

static gboolean is_at_or_below(const char *path, const char *directory) {
        size_t length = strlen(directory);

        return strncmp(path, directory, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

static gboolean at_or_below_one(const char *path, const char *const *directories) {
        for (; *directories; directories++)
                if (is_at_or_below(path, *directories))
                        return TRUE;
        return FALSE;
}

static gboolean above_one(const char *path, const char *const *directories) {
        for (; *directories; directories++)
                if (is_at_or_below(*directories, path))
                        return TRUE;
        return FALSE;
}

/* CloudSnooze's own, which would let a plugin enable, approve and configure; the kernel's; and the passwords, which
 * ordinary permissions keep from a plugin's user in any case. */
static const char *const never_shown[] = { PKGSYSCONFDIR,  PKGSTATEDIR,     PKGRUNDIR,     "/proc",
                                           "/sys",         "/dev",          "/etc/shadow", "/etc/shadow-",
                                           "/etc/gshadow", "/etc/gshadow-", NULL };
/* What the system is started from, and where those keep state who act as root on what they find. */
static const char *const never_written[] = {
        "/etc", "/usr", "/boot", "/efi", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/root", "/run",
        "/var/run", "/var/lib/dbus", "/var/lib/dpkg", "/var/lib/polkit-1", "/var/lib/rpm", "/var/lib/systemd",
        "/var/spool/cron", NULL
};
/* Where a unit with ProtectHome= and PrivateTmp= sees something of its own. */
static const char *const homes[] = { "/home", "/root", "/run/user", NULL };
/* Where anybody may put what is to be run, and that a plugin has of its own. */
static const char *const temporary[] = { "/tmp", "/var/tmp", NULL };

static gboolean read_valid(const char *path) {
        return permission_path_plain(path) && !at_or_below_one(path, never_shown);
}

/* Whoever may write a directory may replace what lies in it. */
static gboolean write_valid(const char *path) {
        return read_valid(path) && !above_one(path, never_shown) && !at_or_below_one(path, never_written) &&
                !above_one(path, never_written);
}

static void show_home(const char *path, GPtrArray *lines) {
        if (at_or_below_one(path, homes))
                add_line(lines, "ProtectHome=tmpfs");
}

static char *read_words(const char *path) {
        return g_strdup_printf("may read %s as far as ordinary file permissions let its user", path);
}

static void read_directives(const char *path, GroupExists exists, void *userdata, GPtrArray *lines) {
        show_home(path, lines);
        add_line(lines, "BindReadOnlyPaths=-%s", path);
}

static char *write_words(const char *path) {
        return g_strdup_printf("may change %s as far as ordinary file permissions let its user", path);
}

static void write_directives(const char *path, GroupExists exists, void *userdata, GPtrArray *lines) {
        show_home(path, lines);
        add_line(lines, "BindPaths=-%s", path);
}

static gboolean exec_valid(const char *path) {
        return g_str_equal(path, "any") || (read_valid(path) && !at_or_below_one(path, temporary));
}

static char *exec_words(const char *path) {
        if (g_str_equal(path, "any"))
                return g_strdup("may run every program outside of homes as its own user");
        return g_strdup_printf(at_or_below_one(path, homes) ? "may read %s and run it as its own user"
                                                            : "may run %s as its own user",
                               path);
}

static void exec_directives(const char *path, GroupExists exists, void *userdata, GPtrArray *lines) {
        if (g_str_equal(path, "any")) {
                add_line(lines, "NoExecPaths=");
                return;
        }
        if (at_or_below_one(path, homes))
                read_directives(path, exists, userdata, lines);
        add_line(lines, "ExecPaths=-%s", path);
}

/* Network */

typedef struct Host {
        char *address; /* for IPAddressAllow=, or NULL: a name, which systemd cannot tell */
        char *name;
        guint port;    /* 0: every */
} Host;

static void host_clear(Host *host) {
        g_free(host->address);
        g_free(host->name);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Host, host_clear)

/* As everybody reads it: GLib takes a vertical tab before it for a blank, and systemd 010 for 8. */
static gboolean plain_number_parse(const char *text, guint max, guint *ret) {
        guint64 number;

        if (text[0] < '1' || text[0] > '9' || !g_ascii_string_to_unsigned(text, 10, 1, max, &number, NULL))
                return FALSE;
        *ret = (guint) number;
        return TRUE;
}

static gboolean port_parse(const char *text, guint *ret) {
        return plain_number_parse(text, 65535, ret);
}

/* The last address that shares its first `bits` bits; FALSE: some of the others are set. */
static gboolean prefix_end(unsigned char *address, size_t size, guint bits) {
        for (size_t i = 0; i < size; i++) {
                unsigned char rest = i * 8 >= bits       ? 0xff
                                     : bits - i * 8 >= 8 ? 0
                                                         : (unsigned char) (0xff >> (bits - i * 8));

                if (address[i] & rest)
                        return FALSE;
                address[i] |= rest;
        }
        return TRUE;
}

/* "10.1.2.3", "10.0.0.0/8", "2001:db8::/32"; the address behind /8 is the first of them, for 8.8.8.8/0 would pass for
 * one that it is not, and the length is at least 1, for all of them is "any". *ret_last: the last one, as text; NULL
 * where it is one. */
static gboolean address_parse(const char *text, char **ret_last) {
        g_auto(GStrv) parts = g_strsplit(text, "/", 2);
        unsigned char address[sizeof(struct in6_addr)];
        char last[INET6_ADDRSTRLEN];
        guint bits;
        int family;

        *ret_last = NULL;
        if (!parts[0])
                return FALSE;
        if (inet_pton(AF_INET, parts[0], address) == 1)
                family = AF_INET;
        else if (inet_pton(AF_INET6, parts[0], address) == 1)
                family = AF_INET6;
        else
                return FALSE;
        if (!parts[1])
                return TRUE;
        if (!plain_number_parse(parts[1], family == AF_INET ? 32 : 128, &bits) ||
            !prefix_end(address, family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr), bits))
                return FALSE;
        *ret_last = g_strdup(inet_ntop(family, address, last, sizeof(last)));
        return TRUE;
}

static gboolean address_valid(const char *text) {
        g_autofree char *last = NULL;

        return address_parse(text, &last);
}

static gboolean host_name_valid(const char *name) {
        g_auto(GStrv) labels = g_strsplit(name, ".", -1);
        gboolean letter = FALSE;

        if (strlen(name) > HOST_LENGTH_MAX)
                return FALSE;
        for (char **label = labels; *label; label++) {
                size_t length = strlen(*label);

                if (length == 0 || length > 63 || (*label)[0] == '-' || (*label)[length - 1] == '-' ||
                    strspn(*label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != length)
                        return FALSE;
                letter = strcspn(*label, "0123456789") > 0;
        }
        /* The last label of a name is no number; what looks like an address and is none is a mistake. */
        return letter;
}

/* "[2001:db8::1]:443", "10.1.2.3:80", "db.example.org:6379", each also without the port; an IPv6 address alone
 * needs no brackets. */
static gboolean host_parse(const char *argument, Host *ret) {
        g_autofree char *bare = NULL;
        const char *colon;

        *ret = (Host) {};
        if (address_valid(argument)) {
                ret->address = g_strdup(argument);
                return TRUE;
        }
        if (argument[0] == '[') {
                const char *end = strchr(argument, ']');

                if (!end || (end[1] && (end[1] != ':' || !port_parse(end + 2, &ret->port))))
                        return FALSE;
                bare = g_strndup(argument + 1, (gsize) (end - argument - 1));
                if (!strchr(bare, ':') || !address_valid(bare))
                        return FALSE;
                ret->address = g_steal_pointer(&bare);
                return TRUE;
        }
        colon = strchr(argument, ':');
        if (colon && !port_parse(colon + 1, &ret->port))
                return FALSE;
        bare = colon ? g_strndup(argument, (gsize) (colon - argument)) : g_strdup(argument);
        if (g_str_equal(bare, "localhost") || address_valid(bare))
                ret->address = g_steal_pointer(&bare);
        else if (host_name_valid(bare))
                ret->name = g_steal_pointer(&bare);
        else
                return FALSE;
        return TRUE;
}

static gboolean network_valid(const char *argument) {
        g_auto(Host) host = {};

        return g_str_equal(argument, "any") || host_parse(argument, &host);
}

/* Those with a name and no file belong to the network's name space, and a plugin that shares that reaches them. */
#define ABSTRACT_SOCKETS "; also the sockets of programs here that have no file (abstract Unix sockets)"

static char *network_words(const char *argument) {
        g_auto(Host) host = {};
        g_autofree char *port = NULL, *last = NULL, *to = NULL;

        if (g_str_equal(argument, "any") || !host_parse(argument, &host))
                return g_strdup("may reach every address of the network" ABSTRACT_SOCKETS);
        port = host.port > 0 ? g_strdup_printf(" port %u", host.port) : g_strdup("");
        if (host.name)
                return g_strdup_printf("may reach every address of the network" ABSTRACT_SOCKETS
                                       "; it asks for %s%s, but addresses are all that can "
                                       "be told apart",
                                       host.name, port);
        to = address_parse(host.address, &last) && last ? g_strdup_printf(" (every address up to %s)", last)
                                                        : g_strdup("");
        return g_strdup_printf("may reach %s%s%s, and nothing else of the network%s" ABSTRACT_SOCKETS, host.address,
                               to, port, host.port > 0 ? " (its other ports cannot be told apart)" : "");
}

static gboolean reaches_everywhere(const char *argument) {
        g_auto(Host) host = {};

        return g_str_equal(argument, "any") || !host_parse(argument, &host) || !host.address;
}

static void network_directives(const char *argument, GroupExists exists, void *userdata, GPtrArray *lines) {
        g_auto(Host) host = {};

        add_line(lines, "PrivateNetwork=no");
        /* Netlink is where the C library asks which families there are addresses of. */
        add_line(lines, "RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK");
        if (reaches_everywhere(argument)) {
                add_line(lines, "IPAddressDeny=");
                return;
        }
        (void) host_parse(argument, &host);
        add_line(lines, "IPAddressAllow=%s", host.address);
}

/* Devices, processes, groups */

static void add_group(const char *name, GroupExists exists, void *userdata, GPtrArray *lines) {
        if (exists(name, userdata))
                add_line(lines, "SupplementaryGroups=%s", name);
        /* In a user namespace of its own the group would be nobody's. */
        add_line(lines, "PrivateUsers=no");
}

static gboolean device_valid(const char *name) {
        return g_str_equal(name, "gpu");
}

static char *device_words(const char *name) {
        return g_strdup("may use graphics processors (/dev/dri, /dev/kfd, /dev/nvidia*)");
}

static void device_directives(const char *name, GroupExists exists, void *userdata, GPtrArray *lines) {
        static const char *const classes[] = {
                "char-drm",        "char-kfd",         "char-nvidia",         "char-nvidiactl",
                "char-nvidia-uvm", "char-nvidia-caps", "char-nvidia-frontend"
        };

        add_line(lines, "PrivateDevices=no");
        for (size_t i = 0; i < G_N_ELEMENTS(classes); i++)
                add_line(lines, "DeviceAllow=%s rw", classes[i]);
        add_group("render", exists, userdata, lines);
        add_group("video", exists, userdata, lines);
}

static char *processes_words(const char *none) {
        return g_strdup("may see the processes of others and what the kernel tells of them");
}

static void processes_directives(const char *none, GroupExists exists, void *userdata, GPtrArray *lines) {
        add_line(lines, "ProtectProc=default");
        add_line(lines, "ProcSubset=all");
        /* Their owners would otherwise all be nobody. */
        add_line(lines, "PrivateUsers=no");
}

static char *signals_words(const char *none) {
        return g_strdup(
                "may send signals to every process, those of root included: whatever ends by a signal it can end");
}

static void signals_directives(const char *none, GroupExists exists, void *userdata, GPtrArray *lines) {
        add_line(lines, "CapabilityBoundingSet=CAP_KILL");
        add_line(lines, "AmbientCapabilities=CAP_KILL");
        /* In a user namespace of its own the capability would reach nobody outside. */
        add_line(lines, "PrivateUsers=no");
}

static const struct {
        const char *name, *words;
} group_names[] = {
        { "adm", "may read system logs (group adm)" },
        { "render", "may compute on graphics processors (group render)" },
        { "systemd-journal", "may read the journal of everybody (group systemd-journal)" },
        { "tty", "may write to everybody's terminals (group tty)" },
        { "utmp", "may read and write the records of logins (group utmp)" },
        { "video", "may use graphics and cameras (group video)" },
};

static gboolean group_valid(const char *name) {
        for (size_t i = 0; i < G_N_ELEMENTS(group_names); i++)
                if (g_str_equal(group_names[i].name, name))
                        return TRUE;
        return FALSE;
}

static char *group_words(const char *name) {
        for (size_t i = 0; i < G_N_ELEMENTS(group_names); i++)
                if (g_str_equal(group_names[i].name, name))
                        return g_strdup(group_names[i].words);
        return g_strdup("");
}

static void group_directives(const char *name, GroupExists exists, void *userdata, GPtrArray *lines) {
        static const char *const terminals[] = { "char-pts",    "char-tty", "char-ttyS",
                                                 "char-ttyAMA", "char-hvc", "/dev/console" };

        add_group(name, exists, userdata, lines);
        if (g_str_equal(name, "tty")) {
                add_line(lines, "PrivateDevices=no");
                for (size_t i = 0; i < G_N_ELEMENTS(terminals); i++)
                        add_line(lines, "DeviceAllow=%s w", terminals[i]);
        } else if (g_str_equal(name, "render") || g_str_equal(name, "video")) {
                add_line(lines, "PrivateDevices=no");
                add_line(lines, "DeviceAllow=char-drm rw");
        }
}

/* The bus */

static gboolean bus_name_valid(const char *name) {
        g_auto(GStrv) elements = g_strsplit(name, ".", -1);

        if (strlen(name) > BUS_NAME_LENGTH_MAX || g_strv_length(elements) < 2)
                return FALSE;
        for (char **element = elements; *element; element++)
                if (!**element || g_ascii_isdigit(**element) ||
                    strspn(*element, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") !=
                            strlen(*element))
                        return FALSE;
        return TRUE;
}

/* Not the driver, whose part every plugin has; not other plugins, which answer the daemon alone; not the helper. */
static gboolean bus_valid(const char *name) {
        return bus_name_valid(name) && !g_str_equal(name, "org.freedesktop.DBus") && !g_str_equal(name, HELPER_NAME) &&
                !g_str_equal(name, PLUGIN_NAME) && !g_str_has_prefix(name, PLUGIN_NAME_PREFIX);
}

static char *bus_words(const char *name) {
        return g_strdup_printf("may call %s on the system bus", name);
}

/* Units */

#define UNIT_NAME_LENGTH_MAX 255U

/* What CloudSnooze itself, the bus and the boot stand on, and what gives a shell to whoever sits there.
 * polkit-1/rules.d has the same list, for whoever got past this one. */
static gboolean unit_is_vital(const char *name) {
        static const char *const prefixes[] = { "-",         "snooze", "systemd-",    "dbus",
                                                "polkit",    "user@",  "debug-shell", "console-shell",
                                                "emergency", "rescue", "initrd-",     NULL };

        for (const char *const *prefix = prefixes; *prefix; prefix++)
                if (g_str_has_prefix(name, *prefix))
                        return TRUE;
        return FALSE;
}

/* Not targets, of which one is the machine's power-off, nor what systemd makes by itself. */
static gboolean unit_name_valid(const char *name) {
        static const char *const kinds_of_units[] = { ".service", ".socket",    ".timer", ".path",
                                                      ".mount",   ".automount", NULL };
        size_t length = strnlen(name, UNIT_NAME_LENGTH_MAX + 1);

        if (length > UNIT_NAME_LENGTH_MAX || name[0] == '.' || name[0] == '@' ||
            strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.@-") != length)
                return FALSE;
        for (const char *const *kind = kinds_of_units; *kind; kind++)
                if (length > strlen(*kind) && g_str_has_suffix(name, *kind))
                        return TRUE;
        return FALSE;
}

static gboolean unit_valid(const char *name) {
        return g_str_equal(name, "any") || (unit_name_valid(name) && !unit_is_vital(name));
}

static char *unit_words(const char *name) {
        return g_str_equal(name, "any") ? g_strdup("may stop and start every service of this machine other than "
                                                   "CloudSnooze's, systemd's and the bus's")
                                        : g_strdup_printf("may stop and start %s", name);
}

static void no_directives(const char *name, GroupExists exists, void *userdata, GPtrArray *lines) {
}

static const Kind kinds[] = {
        { "network", "expected network:any or network:HOST[:PORT], HOST being an address, a prefix or a name",
          network_valid, network_words, network_directives },
        { "read",
          "expected read:PATH, an absolute path of letters, digits and ._+=@,- outside of /proc, /sys, /dev, "
          "passwords and CloudSnooze's own directories",
          read_valid, read_words, read_directives },
        { "write",
          "expected write:PATH, an absolute path of letters, digits and ._+=@,- that neither is nor holds a part of "
          "the system",
          write_valid, write_words, write_directives },
        { "device", "expected device:gpu", device_valid, device_words, device_directives },
        { "processes", "expected processes alone", NULL, processes_words, processes_directives },
        { "signals", "expected signals alone", NULL, signals_words, signals_directives },
        { "bus",
          "expected bus:NAME, a well-known name on the system bus other than its driver, plugins and the helper",
          bus_valid, bus_words, no_directives },
        { "exec",
          "expected exec:any or exec:PATH, an absolute path of letters, digits and ._+=@,- outside of temporary "
          "directories, /proc, /sys, /dev and CloudSnooze's own directories",
          exec_valid, exec_words, exec_directives },
        { "group", "expected group:adm, render, systemd-journal, tty, utmp or video", group_valid, group_words,
          group_directives },
        { "unit",
          "expected unit:any or unit:NAME, a service, socket, timer, path, mount or automount of letters, digits and "
          ":_.@- "
          "that is not CloudSnooze's, systemd's or the bus's own",
          unit_valid, unit_words, no_directives },
};

/* *ret_argument: what stands behind the colon; NULL without one. */
static const Kind *kind_find(const char *text, const char **ret_argument) {
        size_t length = strcspn(text, ":");

        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
                if (strlen(kinds[i].name) == length && strncmp(kinds[i].name, text, length) == 0) {
                        *ret_argument = text[length] ? text + length + 1 : NULL;
                        return &kinds[i];
                }
        return NULL;
}

const char *permission_problem(const char *text) {
        const char *argument;
        const Kind *kind = kind_find(text, &argument);

        if (!kind)
                return "expected one of network:…, read:…, write:…, device:…, processes, signals, bus:…, exec:…, "
                       "group:…, unit:…";
        if (kind->valid ? !argument || !kind->valid(argument) : argument != NULL)
                return kind->expected;
        return NULL;
}

const char *permissions_excess(const char *const *permissions) {
        unsigned n = 0;
        size_t length = 0;

        for (; permissions[n]; n++)
                length += strlen(permissions[n]);
        if (n > PERMISSIONS_MAX)
                return "expected at most " G_STRINGIFY(PERMISSIONS_MAX);
        if (length > PERMISSIONS_LENGTH_MAX)
                return "expected at most " G_STRINGIFY(PERMISSIONS_LENGTH_MAX) " bytes in all";
        return NULL;
}

char *permission_words(const char *text) {
        const char *argument;
        const Kind *kind = kind_find(text, &argument);

        g_return_val_if_fail(kind && !permission_problem(text), g_strdup(""));
        return kind->words(argument);
}

void permission_directives(const char *const *permissions, GroupExists exists, void *userdata, GPtrArray *lines) {
        for (; *permissions; permissions++) {
                const char *argument;
                const Kind *kind = kind_find(*permissions, &argument);

                g_return_if_fail(kind && !permission_problem(*permissions));
                kind->directives(argument, exists, userdata, lines);
        }
}

/* What it takes to stop a unit, to wait for it and to look whether it runs. That it is one of its own polkit says. */
static void add_unit_rules(GPtrArray *lines) {
        static const char *const members[] = { "GetUnit", "StartUnit", "StopUnit", "Subscribe", "Unsubscribe" };

        for (size_t i = 0; i < G_N_ELEMENTS(members); i++)
                add_line(lines,
                         "        <allow send_destination=\"org.freedesktop.systemd1\" "
                         "send_interface=\"org.freedesktop.systemd1.Manager\" "
                         "send_member=\"%s\"/>",
                         members[i]);
        add_line(lines, "        <allow send_destination=\"org.freedesktop.systemd1\" "
                        "send_interface=\"org.freedesktop.DBus.Properties\" "
                        "send_member=\"Get\"/>");
}

void permission_bus_rules(const char *const *permissions, GPtrArray *lines) {
        for (; *permissions; permissions++) {
                if (permission_problem(*permissions))
                        continue;
                if (g_str_has_prefix(*permissions, "bus:"))
                        add_line(lines, "        <allow send_destination=\"%s\" send_type=\"method_call\"/>",
                                 *permissions + strlen("bus:"));
                else if (g_str_has_prefix(*permissions, "unit:"))
                        add_unit_rules(lines);
        }
}

const char *permission_program(const char *text) {
        const char *argument;
        const Kind *kind = kind_find(text, &argument);

        return kind && g_str_equal(kind->name, "exec") && argument && *argument == '/' ? argument : NULL;
}

char *permission_units(const char *const *permissions) {
        g_autoptr(GString) text = g_string_new(NULL);

        for (; *permissions; permissions++) {
                const char *name = *permissions + strlen("unit:");

                if (g_str_has_prefix(*permissions, "unit:") && !permission_problem(*permissions))
                        g_string_append_printf(text, "%s\n", g_str_equal(name, "any") ? "*" : name);
        }
        return g_string_free(g_steal_pointer(&text), FALSE);
}

gboolean permission_reaches_everywhere(const char *const *permissions) {
        for (; *permissions; permissions++)
                if (g_str_has_prefix(*permissions, "network:") &&
                    reaches_everywhere(*permissions + strlen("network:")))
                        return TRUE;
        return FALSE;
}

gboolean permission_names_addresses(const char *text) {
        return g_str_has_prefix(text, "network:") && !reaches_everywhere(text + strlen("network:"));
}
