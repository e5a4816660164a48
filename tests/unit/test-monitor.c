/* SPDX-License-Identifier: Apache-2.0 */

/* System monitors over made-up /proc and /sys, and real file systems: what begins, what is over, and what is no news.
 * Triggers of the kernel and its netlink are tried on the bus (test-monitors.py). */

#include <stdio.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "base/clock.h"
#include "daemon/config/config.h"
#include "daemon/monitor/monitor.h"

typedef struct Fixture {
        char *root;
        sd_event *event;
        Monitors *monitors;
        GPtrArray *news; /* "begun disk system.disk.low 1", "over disk 1" */
        GPtrArray *data;
        unsigned ids;
} Fixture;

/* In place: what was opened once is read again. */
static void place(Fixture *f, const char *path, const char *text) {
        g_autofree char *full = g_strconcat(f->root, path, NULL), *folder = g_path_get_dirname(full);
        FILE *file;

        g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
        file = fopen(full, "w");
        g_assert_nonnull(file);
        g_assert_cmpint(fputs(text, file), >=, 0);
        g_assert_cmpint(fclose(file), ==, 0);
}

static char *on_begun(const char *source, const char *type, JsonObject *data, void *userdata) {
        Fixture *f = userdata;

        g_ptr_array_add(f->news, g_strdup_printf("begun %s %s %u", source, type, ++f->ids));
        g_ptr_array_add(f->data, data);
        return g_strdup_printf("%u", f->ids);
}

static void on_over(const char *source, const char *id, void *userdata) {
        Fixture *f = userdata;

        g_ptr_array_add(f->news, g_strdup_printf("over %s %s", source, id));
}

static void expect(Fixture *f, const char *const *news) {
        guint n = g_strv_length((char **) news);

        for (guint i = 0; i < MIN(n, f->news->len); i++)
                g_assert_cmpstr(g_ptr_array_index(f->news, i), ==, news[i]);
        g_assert_cmpuint(f->news->len, ==, n);
}
#define EXPECT(f, ...) expect(f, (const char *const[]) { __VA_ARGS__ __VA_OPT__(,) NULL })

static Config *configuration(const char *text) {
        g_autoptr(GError) error = NULL;
        Config *config = config_parse(&(const ConfigText) { "test", text }, 1, &error);

        g_assert_no_error(error);
        return config;
}

static void set_up(Fixture *f, const void *unused) {
        f->root = g_dir_make_tmp("snooze-monitor-XXXXXX", NULL);
        f->news = g_ptr_array_new_with_free_func(g_free);
        f->data = g_ptr_array_new_with_free_func((GDestroyNotify) json_object_unref);
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
}

static void make_monitors(Fixture *f, const char *text) {
        g_autoptr(Config) config = configuration(text);

        f->monitors = monitors_new(&(MonitorsParameters) { .event = f->event,
                                                           .config = config,
                                                           .root = f->root,
                                                           .begun = on_begun,
                                                           .over = on_over,
                                                           .userdata = f });
}

static void begin(Fixture *f, const char *text) {
        make_monitors(f, text);
        monitors_settle(f->monitors);
}

/* After a daemon that announced this. */
static void begin_with(Fixture *f, const char *text, const char *source, const char *id, const char *device) {
        g_autoptr(JsonObject) data = json_object_new();

        make_monitors(f, text);
        if (device)
                json_object_set_string_member(data, "device", device);
        g_assert_true(monitors_adopt(f->monitors, source, id, data));
        /* Nobody hears of what is seen before all is known. */
        monitors_check(f->monitors);
        EXPECT(f);
        monitors_settle(f->monitors);
}

static void reconfigure(Fixture *f, const char *text) {
        g_autoptr(Config) config = configuration(text);

        monitors_set_config(f->monitors, config);
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

static void tear_down(Fixture *f, const void *unused) {
        monitors_free(f->monitors);
        sd_event_unref(f->event);
        g_ptr_array_unref(f->news);
        g_ptr_array_unref(f->data);
        remove_tree(f->root);
        g_free(f->root);
}

#define ONLY_DISK ", \"memory_pressure_percent\": 0, \"cpu_pressure_percent\": 0, \"network_down_seconds\": 0}"
#define ANY_USE "{\"disk_low_percent\": 0.000001" ONLY_DISK
#define NO_USE "{\"disk_low_percent\": 100" ONLY_DISK

static void reconfigure_disk(Fixture *f, double percent) {
        g_autofree char *text = g_strdup_printf("{\"disk_low_percent\": %.6f" ONLY_DISK, percent);

        reconfigure(f, text);
}

static void mount(Fixture *f, const char *lines) {
        g_autofree char *data = g_build_filename(f->root, "data", NULL),
                        *spaced = g_build_filename(f->root, "with blank", NULL);

        g_assert_cmpint(g_mkdir_with_parents(data, 0755), ==, 0);
        g_assert_cmpint(g_mkdir_with_parents(spaced, 0755), ==, 0);
        place(f, "/proc/self/mountinfo", lines);
}

static void test_a_full_disk_is_told_once(Fixture *f, const void *unused) {
        mount(f, "36 35 8:1 / /data rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=continue\n");
        begin(f, ANY_USE);
        monitors_check(f->monitors);
        EXPECT(f, "begun disk system.disk.low 1");
        JsonObject *data = g_ptr_array_index(f->data, 0);
        g_assert_cmpstr(json_object_get_string_member(data, "path"), ==, "/data");
        g_assert_cmpfloat(json_object_get_double_member(data, "used_percent"), >, 0);
        g_assert_cmpint(json_object_get_int_member(data, "available_bytes"), >, 0);
}

static void test_and_called_off_when_there_is_room_again(Fixture *f, const void *unused) {
        mount(f, "36 35 8:1 / /data rw - ext4 /dev/sda1 rw\n");
        begin(f, ANY_USE);
        reconfigure(f, NO_USE);
        EXPECT(f, "begun disk system.disk.low 1", "over disk 1");
        reconfigure(f, ANY_USE);
        EXPECT(f, "begun disk system.disk.low 1", "over disk 1", "begun disk system.disk.low 2");
}

static void adopt(Fixture *f, const char *source, const char *id, const char *device, gboolean expected) {
        g_autoptr(JsonObject) data = json_object_new();

        if (device)
                json_object_set_string_member(data, "device", device);
        g_assert_cmpint(monitors_adopt(f->monitors, source, id, data), ==, expected);
}

/* As the first daemon announced it, the next one goes on. */
static void test_what_was_announced_is_no_news(Fixture *f, const void *unused) {
        mount(f, "36 35 8:1 / /data rw - ext4 /dev/sda1 rw\n");
        f->ids = 7;
        begin_with(f, ANY_USE, "disk", "old", "8:1");
        monitors_check(f->monitors);
        EXPECT(f);
        adopt(f, "disk", "other", "8:1", FALSE);
        adopt(f, "disk", "nameless", NULL, FALSE);
        adopt(f, "weather", "rain", NULL, FALSE);
        reconfigure(f, NO_USE);
        EXPECT(f, "over disk old");
        reconfigure(f, ANY_USE);
        EXPECT(f, "over disk old", "begun disk system.disk.low 8");
}

static void test_one_that_is_not_mounted_any_more_is_over(Fixture *f, const void *unused) {
        mount(f, "36 35 8:1 / /data rw - ext4 /dev/sda1 rw\n");
        begin_with(f, NO_USE, "disk", "old", "8:17");
        EXPECT(f, "over disk old");
}

static void test_switched_off_it_is_over(Fixture *f, const void *unused) {
        mount(f, "36 35 8:1 / /data rw - ext4 /dev/sda1 rw\n");
        begin(f, ANY_USE);
        reconfigure(f, "{\"disk_low_percent\": 0" ONLY_DISK);
        EXPECT(f, "begun disk system.disk.low 1", "over disk 1");
}

/* Of what df(1) says of this file system: below the threshold, but not by enough to be no longer low. */
static void test_it_has_to_fall_by_some_before_it_is_over(Fixture *f, const void *unused) {
        double used;

        mount(f, "36 35 8:1 / /data rw - ext4 /dev/sda1 rw\n");
        begin(f, ANY_USE);
        used = MAX(json_object_get_double_member(g_ptr_array_index(f->data, 0), "used_percent"),
                   json_object_get_double_member(g_ptr_array_index(f->data, 0), "used_names_percent"));
        if (used > 98) {
                g_test_skip("impossible here: the file system of temporary files is full");
                return;
        }
        reconfigure_disk(f, used + 1.5);
        EXPECT(f, "begun disk system.disk.low 1");
        /* One that was not low is not low there either. */
        reconfigure_disk(f, used + 6);
        EXPECT(f, "begun disk system.disk.low 1", "over disk 1");
        reconfigure_disk(f, used + 1.5);
        EXPECT(f, "begun disk system.disk.low 1", "over disk 1");
}

static void test_each_file_system_once(Fixture *f, const void *unused) {
        mount(f, "36 35 8:1 / /data rw - ext4 /dev/sda1 rw\n"
                 "37 35 8:1 /sub /with\\040blank rw - ext4 /dev/sda1 rw\n");
        begin(f, ANY_USE);
        EXPECT(f, "begun disk system.disk.low 1");
}

static void test_what_is_no_disk_of_ours_is_not_asked(Fixture *f, const void *unused) {
        mount(f, "22 27 0:21 / /proc rw - proc proc rw\n"
                 "23 27 0:22 / /data rw - nfs4 server:/export rw\n"
                 "24 27 0:23 / /data rw - fuse.sshfs host: rw\n"
                 "25 27 0:24 / /data rw - tmpfs tmpfs rw\n"
                 "26 27 0:25 / /data ro - squashfs /dev/loop0 ro\n"
                 "27 27 0:26 / /data ro - ext4 /dev/sdb1 ro\n"
                 "rubbish\n\n36 35 8:1 / /data\n");
        begin(f, ANY_USE);
        EXPECT(f);
}

/* What is asked by its path is whatever stands there, and each one on the way. */
static void test_what_is_covered_is_not_asked(Fixture *f, const void *lines) {
        g_autofree char *all = g_strconcat("27 1 8:2 / / rw - ext4 /dev/sda2 ro\n", lines, NULL);

        mount(f, all);
        begin(f, ANY_USE);
        EXPECT(f);
}

static void test_what_is_not_is(Fixture *f, const void *lines) {
        g_autofree char *all = g_strconcat("27 1 8:2 / / rw - ext4 /dev/sda2 ro\n", lines, NULL);

        mount(f, all);
        begin(f, ANY_USE);
        EXPECT(f, "begun disk system.disk.low 1");
}

/* To the daemon, whose user is nobody in particular. */
static void test_one_that_is_closed_is_told(Fixture *f, const void *unused) {
        g_autofree char *data = g_build_filename(f->root, "data", NULL), *all = NULL, *closed = NULL, *open = NULL;

        mount(f, "36 35 8:1 / /data/in rw - ext4 /dev/sda1 rw\n"
                 "37 35 8:2 / /with\\040blank rw - ext4 /dev/sda2 rw\n");
        g_assert_cmpint(g_chmod(f->root, 0755), ==, 0);
        all = g_build_filename(data, "in", NULL);
        g_assert_cmpint(g_mkdir(all, 0755), ==, 0);
        g_assert_cmpint(g_chmod(data, 0), ==, 0);
        begin(f, NO_USE);
        if (geteuid() == 0)
                g_assert_cmpint(seteuid(65534), ==, 0);
        monitors_check(f->monitors);
        if (getuid() == 0)
                g_assert_cmpint(seteuid(0), ==, 0);
        closed = monitors_closed_disks(f->monitors);
        g_assert_cmpstr(closed, ==, "/data/in");
        g_assert_cmpint(g_chmod(data, 0755), ==, 0);
        monitors_check(f->monitors);
        open = monitors_closed_disks(f->monitors);
        g_assert_null(open);
        EXPECT(f);
}

/* Each of a container's is a directory of a disk that is asked anyhow. */
static void test_of_overlays_the_root_alone(Fixture *f, const void *unused) {
        mount(f, "27 1 0:30 / / rw - overlay overlay rw,lowerdir=/a\n"
                 "36 27 0:31 / /data rw - overlay overlay rw,lowerdir=/b\n"
                 "37 27 0:32 / /with\\040blank rw - overlay overlay rw,lowerdir=/c\n");
        begin(f, ANY_USE);
        EXPECT(f, "begun disk system.disk.low 1");
        g_assert_cmpstr(json_object_get_string_member(g_ptr_array_index(f->data, 0), "path"), ==, "/");
}

/* The daemon's sandbox mounts everything read-only; the super block tells what the machine may. */
static void test_a_read_only_name_space_hides_nothing(Fixture *f, const void *unused) {
        mount(f, "36 35 8:1 / /with\\040blank ro,nosuid - xfs /dev/sda1 rw\n");
        begin(f, ANY_USE);
        EXPECT(f, "begun disk system.disk.low 1");
        g_assert_cmpstr(json_object_get_string_member(g_ptr_array_index(f->data, 0), "path"), ==, "/with blank");
}

#define ONLY_PRESSURE                                                                                                 \
        "{\"disk_low_percent\": 0, \"memory_pressure_percent\": 20, \"cpu_pressure_percent\": 50, "                   \
        "\"network_down_seconds\": 0}"

static void pressure(Fixture *f, const char *memory, const char *cpu) {
        g_autofree char *one = g_strdup_printf("some avg10=%s avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 "
                                               "avg60=0.00 avg300=0.00 total=0\n",
                                               memory),
                        *other = g_strdup_printf("some avg10=%s avg60=0.00 avg300=0.00 total=0\n", cpu);

        place(f, "/proc/pressure/memory", one);
        place(f, "/proc/pressure/cpu", other);
}

static void test_pressure_begins_and_is_over_at_half(Fixture *f, const void *unused) {
        pressure(f, "19.99", "0.00");
        begin(f, ONLY_PRESSURE);
        EXPECT(f);
        pressure(f, "20.00", "0.00");
        monitors_check(f->monitors);
        pressure(f, "10.00", "0.00");
        monitors_check(f->monitors);
        EXPECT(f, "begun memory system.memory.pressure 1");
        pressure(f, "9.99", "80.00");
        monitors_check(f->monitors);
        EXPECT(f, "begun memory system.memory.pressure 1", "over memory 1", "begun cpu system.cpu.high 2");
}

static void test_pressure_that_was_announced(Fixture *f, const void *unused) {
        pressure(f, "15.00", "0.00");
        begin_with(f, ONLY_PRESSURE, "memory", "old", NULL);
        EXPECT(f);
        pressure(f, "5.00", "60.00");
        monitors_check(f->monitors);
        EXPECT(f, "over memory old", "begun cpu system.cpu.high 1");
}

static void test_a_kernel_that_tells_none(Fixture *f, const void *unused) {
        begin(f, ONLY_PRESSURE);
        place(f, "/proc/pressure/memory", "what is this\n");
        monitors_check(f->monitors);
        EXPECT(f);
}

#define ONLY_NETWORK                                                                                                  \
        "{\"disk_low_percent\": 0, \"memory_pressure_percent\": 0, \"cpu_pressure_percent\": 0, "                     \
        "\"network_down_seconds\": 0.05}"
#define TITLE "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
#define OUT "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
#define NEAR "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
#define NONE6                                                                                                         \
        "00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 "   \
        "ffffffff 00000001 00000000 00200200       lo\n"
#define OUT6                                                                                                          \
        "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 "   \
        "00000400 00000001 00000000 00000003     eth1\n"

static void routes(Fixture *f, const char *four, const char *six) {
        place(f, "/proc/net/route", four);
        place(f, "/proc/net/ipv6_route", six);
}

/* Until there is news, or long enough for it to have come. */
static void wait_for_news(Fixture *f, guint n) {
        uint64_t until = clock_monotonic() + 10 * USEC_PER_SEC;

        while (f->news->len < n && clock_monotonic() < until)
                g_assert_cmpint(sd_event_run(f->event, USEC_PER_SEC / 100), >=, 0);
        g_assert_cmpuint(f->news->len, >=, n);
}

static void test_the_last_way_out_is_lost_and_found(Fixture *f, const void *unused) {
        place(f, "/sys/class/net/eth0/carrier", "1\n");
        routes(f, TITLE OUT NEAR, NONE6);
        begin(f, ONLY_NETWORK);
        routes(f, TITLE NEAR, NONE6);
        monitors_check(f->monitors);
        EXPECT(f);
        wait_for_news(f, 1);
        EXPECT(f, "begun network system.network.down 1");
        g_assert_cmpstr(json_object_get_string_member(g_ptr_array_index(f->data, 0), "interface"), ==, "eth0");
        routes(f, TITLE OUT NEAR, NONE6);
        monitors_check(f->monitors);
        EXPECT(f, "begun network system.network.down 1", "over network 1");
}

static void test_a_lost_network_that_was_announced(Fixture *f, const void *unused) {
        place(f, "/sys/class/net/eth0/carrier", "1\n");
        routes(f, TITLE NEAR, NONE6);
        begin_with(f, ONLY_NETWORK, "network", "old", NULL);
        EXPECT(f);
        routes(f, TITLE OUT NEAR, NONE6);
        monitors_check(f->monitors);
        EXPECT(f, "over network old");
}

/* While no daemon ran: nobody else will tell. */
static void test_a_network_that_came_back_meanwhile(Fixture *f, const void *unused) {
        place(f, "/sys/class/net/eth0/carrier", "1\n");
        routes(f, TITLE OUT NEAR, NONE6);
        make_monitors(f, ONLY_NETWORK);
        adopt(f, "network", "old", NULL, TRUE);
        monitors_settle(f->monitors);
        EXPECT(f, "over network old");
}

static void test_a_cable_that_is_pulled(Fixture *f, const void *unused) {
        place(f, "/sys/class/net/eth0/carrier", "1\n");
        routes(f, TITLE OUT, NONE6);
        begin(f, ONLY_NETWORK);
        place(f, "/sys/class/net/eth0/carrier", "0\n");
        monitors_check(f->monitors);
        wait_for_news(f, 1);
        EXPECT(f, "begun network system.network.down 1");
}

static void test_version_six_is_a_way_out_too(Fixture *f, const void *unused) {
        place(f, "/sys/class/net/eth0/carrier", "1\n");
        routes(f, TITLE OUT, OUT6);
        begin(f, ONLY_NETWORK);
        routes(f, TITLE, OUT6);
        monitors_check(f->monitors);
        routes(f, TITLE, NONE6);
        monitors_check(f->monitors);
        wait_for_news(f, 1);
        g_assert_cmpstr(json_object_get_string_member(g_ptr_array_index(f->data, 0), "interface"), ==, "eth1");
}

static void test_a_flap_is_no_news(Fixture *f, const void *unused) {
        place(f, "/sys/class/net/eth0/carrier", "1\n");
        routes(f, TITLE OUT, NONE6);
        begin(f, ONLY_NETWORK);
        routes(f, TITLE, NONE6);
        monitors_check(f->monitors);
        routes(f, TITLE OUT, NONE6);
        monitors_check(f->monitors);
        while (sd_event_run(f->event, USEC_PER_SEC / 5) > 0)
                ;
        EXPECT(f);
}

static void test_who_never_had_a_network_misses_none(Fixture *f, const void *unused) {
        routes(f, TITLE NEAR, NONE6);
        begin(f, ONLY_NETWORK);
        while (sd_event_run(f->event, USEC_PER_SEC / 5) > 0)
                ;
        EXPECT(f);
}

static void test_rubbish_is_no_way_out(Fixture *f, const void *unused) {
        place(f, "/sys/class/net/eth0/carrier", "1\n");
        routes(f, TITLE OUT, NONE6);
        begin(f, ONLY_NETWORK);
        routes(f, TITLE "../../x\t00000000\t0\t0003\t0\t0\t0\t00000000\t0\t0\t0\neth0\t00000000\n\x01\x02\n",
               "\n0 0\n");
        monitors_check(f->monitors);
        wait_for_news(f, 1);
}

#define CASE_OF(name, function, data) g_test_add("/monitor/" name, Fixture, data, set_up, function, tear_down)
#define CASE(name, function) CASE_OF(name, function, NULL)
#define COVERED(name, lines) CASE_OF("disk/covered/" name, test_what_is_covered_is_not_asked, lines)
#define OPEN(name, lines) CASE_OF("disk/open/" name, test_what_is_not_is, lines)
#define DISK "rw - ext4 /dev/sda1 rw\n"
#define NFS "rw - nfs4 server:/export rw\n"

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        CASE("disk/told-once", test_a_full_disk_is_told_once);
        CASE("disk/called-off", test_and_called_off_when_there_is_room_again);
        CASE("disk/each-once", test_each_file_system_once);
        CASE("disk/not-ours", test_what_is_no_disk_of_ours_is_not_asked);
        COVERED("itself", "36 27 8:1 / /data " DISK "37 36 0:40 / /data " NFS);
        COVERED("by-a-program", "36 27 8:1 / /data " DISK "37 36 0:40 / /data rw - fuse.sshfs host: rw\n");
        COVERED("in-whatever-order", "37 36 0:40 / /data " NFS "36 27 8:1 / /data " DISK);
        COVERED("twice-by-the-same", "36 27 8:1 / /data " DISK "37 27 0:40 / /data " NFS);
        COVERED("what-it-lies-in", "36 27 8:1 / /data/in/it " DISK "37 27 0:40 / /data " NFS);
        COVERED("what-it-lies-in-itself",
                "35 27 8:3 / /data rw - xfs /dev/sdb ro\n36 35 8:1 / /data/in " DISK "37 35 0:40 / /data " NFS);
        COVERED("on-a-network", "35 27 0:40 / /data " NFS "36 35 8:1 / /data/in " DISK);
        COVERED("on-what-mounts-by-itself",
                "35 27 0:40 / /data rw - autofs systemd-1 rw\n36 35 8:1 / /data " DISK);
        COVERED("in-a-circle", "36 37 8:1 / /data " DISK "37 36 8:3 / / rw - ext4 /dev/sdb ro\n");
        OPEN("beside", "36 27 8:1 / /data " DISK "37 27 0:40 / /dat " NFS "38 27 0:41 / /data2 " NFS);
        OPEN("below", "36 27 8:1 / /data " DISK "37 36 0:40 / /data/in " NFS);
        OPEN("in-memory", "35 27 0:40 / /data rw - tmpfs tmpfs rw\n36 35 8:1 / /data " DISK);
        OPEN("elsewhere-too", "36 27 8:1 / /covered " DISK "37 36 0:40 / /covered " NFS "38 27 8:1 / /data " DISK);
        OPEN("over-the-root", "36 27 8:1 / /data " DISK "37 27 0:40 / / " NFS);
        CASE("disk/closed", test_one_that_is_closed_is_told);
        CASE("disk/overlays", test_of_overlays_the_root_alone);
        CASE("disk/read-only-name-space", test_a_read_only_name_space_hides_nothing);
        CASE("pressure/begins-and-ends", test_pressure_begins_and_is_over_at_half);
        CASE("disk/announced-before", test_what_was_announced_is_no_news);
        CASE("disk/gone-meanwhile", test_one_that_is_not_mounted_any_more_is_over);
        CASE("disk/off", test_switched_off_it_is_over);
        CASE("disk/hysteresis", test_it_has_to_fall_by_some_before_it_is_over);
        CASE("pressure/announced-before", test_pressure_that_was_announced);
        CASE("network/announced-before", test_a_lost_network_that_was_announced);
        CASE("network/back-meanwhile", test_a_network_that_came_back_meanwhile);
        CASE("pressure/none", test_a_kernel_that_tells_none);
        CASE("network/lost-and-found", test_the_last_way_out_is_lost_and_found);
        CASE("network/cable", test_a_cable_that_is_pulled);
        CASE("network/version-six", test_version_six_is_a_way_out_too);
        CASE("network/flap", test_a_flap_is_no_news);
        CASE("network/never-had", test_who_never_had_a_network_misses_none);
        CASE("network/rubbish", test_rubbish_is_no_way_out);
        return g_test_run();
}
