/* SPDX-License-Identifier: Apache-2.0 */

/* The built-in metrics on recorded machines (tests/data/proc): a copy of the recording is sampled, then overwritten by
 * what its files said five seconds later, and sampled again. */

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "daemon/metrics/devices.h"
#include "daemon/metrics/metrics.h"

#define BEGIN (1000 * USEC_PER_SEC)
#define NOON (UINT64_C(1700000000) * USEC_PER_SEC)

typedef struct Machine {
        char *root;
        Metrics *metrics;
        uint64_t now;
        Sample sample;
} Machine;

static void run(const char *const *argv) {
        g_autoptr(GError) error = NULL;
        int status;

        g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, &error);
        g_assert_no_error(error);
        g_assert_true(g_spawn_check_wait_status(status, NULL));
}

/* Into the same files, which the sampler holds open. */
static void overlay(Machine *machine, const char *recording) {
        g_autofree char *from = g_test_build_filename(G_TEST_DIST, "data", "proc", recording, ".", NULL);

        run((const char *const[]) { "cp", "-r", from, machine->root, NULL });
}

static void machine_begin(Machine *machine, const char *recording) {
        *machine = (Machine) { .root = g_dir_make_tmp("snooze-metrics-XXXXXX", NULL), .now = BEGIN };
        g_assert_nonnull(machine->root);
        if (recording)
                overlay(machine, recording);
        machine->metrics = metrics_new(machine->root);
}

static void machine_end(Machine *machine) {
        metrics_free(machine->metrics);
        run((const char *const[]) { "rm", "-rf", machine->root, NULL });
        g_free(machine->root);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Machine, machine_end)

static void sample(Machine *machine) {
        metrics_sample(machine->metrics, machine->now, NOON + machine->now, &machine->sample);
        machine->now += 5 * USEC_PER_SEC;
        for (Metric metric = 0; metric < METRIC_COUNT; metric++) {
                g_assert_true(isfinite(machine->sample.value[metric]));
                g_assert_cmpfloat(machine->sample.value[metric], >=, 0);
        }
}

static void put(Machine *machine, const char *path, const char *text, size_t length) {
        g_autofree char *full = g_strconcat(machine->root, path, NULL), *directory = g_path_get_dirname(full);
        FILE *file;

        g_assert_cmpint(g_mkdir_with_parents(directory, 0755), ==, 0);
        file = fopen(full, "we");
        g_assert_nonnull(file);
        g_assert_cmpuint(fwrite(text, 1, length, file), ==, length);
        g_assert_cmpint(fclose(file), ==, 0);
}

static void put_text(Machine *machine, const char *path, const char *text) {
        put(machine, path, text, strlen(text));
}

static char *get_text(const Machine *machine, const char *path, size_t *ret_length) {
        g_autofree char *full = g_strconcat(machine->root, path, NULL);
        char *text;

        g_assert_true(g_file_get_contents(full, &text, ret_length, NULL));
        return text;
}

static void assert_value(const Machine *machine, Metric metric, double value) {
        g_assert_cmpint(machine->sample.reading[metric], ==, READING_OK);
        g_assert_cmpfloat_with_epsilon(machine->sample.value[metric], value, value * 1e-6 + 1e-9);
}

static void assert_reading(const Machine *machine, Metric metric, Reading reading) {
        g_assert_cmpint(machine->sample.reading[metric], ==, reading);
}

/* The reason of a failure, as people get to see it. */
static void assert_failure(Machine *machine, Metric metric, const char *expected) {
        g_autoptr(JsonObject) details = metrics_details(machine->metrics);
        JsonObject *failures = json_object_get_object_member(details, "failures");

        assert_reading(machine, metric, READING_FAILED);
        g_assert_true(json_object_has_member(failures, metric_source_name(metric)));
        g_assert_nonnull(strstr(json_object_get_string_member(failures, metric_source_name(metric)), expected));
}

typedef struct Expectation {
        const char *recording;
        unsigned cpus;
        double cpu, memory, network, disk; /* NAN: absent */
} Expectation;

static const Expectation expectations[] = {
        /* 200 of the 950 ticks given; iowait is idle, steal is nobody's, guest is in user. vda alone, eth0 alone. */
        { "virtio-4.19", 2, 100.0 * 200 / 950, 25, 30, 512 },
        /* The two cards; nvme0n1 and both halves of the mirror. */
        { "nvme-bond-5.15", 16, 1.125, 10, 200, 4096 },
        /* The bridge carries nothing that eth0 or its own guests would not. */
        { "veth-6.1", 4, 75, 25, 5, NAN },
        { "cpus-256", 256, 0.390625, 100.0 * 16784384 / 1056784384, 1250, 92.16 },
        { "xen-4.14", 1, 10, 75, 1, 204.8 },
        /* The synthetic interface contains its virtual function; the paths of the namespace count, it does not. */
        { "azure-6.2", 8, 0, 3.125, 40, 204.8 },
};

static void assert_or_absent(const Machine *machine, Metric metric, double value) {
        if (isnan(value))
                assert_reading(machine, metric, READING_ABSENT);
        else
                assert_value(machine, metric, value);
}

static void test_recorded(gconstpointer data) {
        const Expectation *expected = data;
        g_autofree char *later = g_strconcat(expected->recording, "/later", NULL);
        g_auto(Machine) machine;

        machine_begin(&machine, expected->recording);
        sample(&machine);
        g_assert_cmpuint(machine.sample.span, ==, 0);
        g_assert_cmpuint(machine.sample.monotonic, ==, BEGIN);
        assert_value(&machine, METRIC_CPU, 0);
        assert_value(&machine, METRIC_MEMORY, expected->memory);

        overlay(&machine, later);
        sample(&machine);
        g_assert_cmpuint(machine.sample.span, ==, 5 * USEC_PER_SEC);
        g_assert_cmpuint(machine.sample.cpus, ==, expected->cpus);
        assert_value(&machine, METRIC_CPU, expected->cpu);
        assert_value(&machine, METRIC_MEMORY, expected->memory);
        assert_or_absent(&machine, METRIC_NETWORK, expected->network);
        assert_or_absent(&machine, METRIC_DISK, expected->disk);
        assert_reading(&machine, METRIC_GPU, READING_ABSENT);

        /* Nothing moved since: all rates fall to zero. */
        sample(&machine);
        assert_value(&machine, METRIC_CPU, 0);
        assert_or_absent(&machine, METRIC_NETWORK, isnan(expected->network) ? NAN : 0);
}

static void test_evidence(void) {
        g_autoptr(JsonObject) details = NULL;
        g_auto(Machine) machine;
        JsonObject *object;

        machine_begin(&machine, "nvme-bond-5.15");
        sample(&machine);
        overlay(&machine, "nvme-bond-5.15/later");
        sample(&machine);
        details = metrics_details(machine.metrics);

        object = json_object_get_object_member(details, "interfaces");
        g_assert_cmpuint(json_object_get_size(object), ==, 2);
        object = json_object_get_object_member(object, "eno1");
        g_assert_cmpfloat(json_object_get_double_member(object, "received_kbps"), ==, 80);
        g_assert_cmpfloat(json_object_get_double_member(object, "sent_kbps"), ==, 80);
        object = json_object_get_object_member(details, "disks");
        g_assert_cmpuint(json_object_get_size(object), ==, 3);
        object = json_object_get_object_member(object, "nvme0n1");
        g_assert_cmpfloat(json_object_get_double_member(object, "read_kbps"), ==, 1024);
        g_assert_cmpfloat(json_object_get_double_member(object, "written_kbps"), ==, 2048);
        object = json_object_get_object_member(details, "cpu");
        g_assert_cmpint(json_object_get_int_member(object, "online"), ==, 16);
        g_assert_cmpfloat(json_object_get_double_member(object, "iowait"), ==, 0.125);
        g_assert_cmpfloat(json_array_get_double_element(json_object_get_array_member(details, "load"), 1), ==, 0.58);
        object = json_object_get_object_member(json_object_get_object_member(details, "pressure"), "io");
        g_assert_cmpfloat(json_object_get_double_member(object, "some"), ==, 2.25);
        g_assert_cmpuint(json_object_get_size(json_object_get_object_member(details, "failures")), ==, 0);
}

static void test_no_pressure(void) {
        g_autoptr(JsonObject) details = NULL;
        g_auto(Machine) machine;

        machine_begin(&machine, "virtio-4.19");
        sample(&machine);
        details = metrics_details(machine.metrics);
        g_assert_false(json_object_has_member(details, "pressure"));
        g_assert_true(json_object_has_member(details, "load"));
}

static void test_nothing_there(void) {
        g_auto(Machine) machine;

        machine_begin(&machine, NULL);
        for (unsigned i = 0; i < 3; i++) {
                sample(&machine);
                for (Metric metric = 0; metric < METRIC_COUNT; metric++)
                        assert_reading(&machine, metric, READING_ABSENT);
                g_assert_cmpuint(machine.sample.cpus, ==, 0);
        }
}

/* What comes late is measured from then on, and its first look is no evidence of idleness. */
static void test_comes_late(void) {
        g_auto(Machine) machine;

        machine_begin(&machine, NULL);
        sample(&machine);
        overlay(&machine, "virtio-4.19");
        sample(&machine);
        assert_failure(&machine, METRIC_CPU, "first time");
        assert_failure(&machine, METRIC_DISK, "first time");
        assert_value(&machine, METRIC_MEMORY, 25);
        overlay(&machine, "virtio-4.19/later");
        sample(&machine);
        assert_value(&machine, METRIC_NETWORK, 30);
}

static void test_same_instant(void) {
        g_auto(Machine) machine;
        Sample again;

        machine_begin(&machine, "virtio-4.19");
        sample(&machine);
        overlay(&machine, "virtio-4.19/later");
        sample(&machine);
        metrics_sample(machine.metrics, machine.sample.monotonic, NOON, &again);
        g_assert_cmpmem(&again, sizeof(again), &machine.sample, sizeof(machine.sample));
}

/* A metric that was measured and fails is unknown; when it works again its rate covers all the time between. */
static void test_fails_and_returns(void) {
        g_autofree char *good = NULL;
        g_auto(Machine) machine;
        size_t length;

        machine_begin(&machine, "virtio-4.19");
        sample(&machine);
        good = get_text(&machine, "/proc/diskstats", &length);
        put_text(&machine, "/proc/diskstats", "   8       0 sda one two three\n");
        sample(&machine);
        /* sda is not in /sys/block of this machine, and its numbers do not matter: vda is gone. */
        assert_reading(&machine, METRIC_DISK, READING_ABSENT);
        put_text(&machine, "/proc/diskstats", " 254       0 vda one two three\n");
        sample(&machine);
        assert_failure(&machine, METRIC_DISK, "/proc/diskstats, line 1");
        put_text(&machine, "/proc/stat", "cpu none\n");
        sample(&machine);
        assert_failure(&machine, METRIC_CPU, "/proc/stat, line 1");
        put(&machine, "/proc/diskstats", good, length);
        sample(&machine);
        assert_failure(&machine, METRIC_DISK, "first time");
        sample(&machine);
        assert_value(&machine, METRIC_DISK, 0);
}

static void test_available_not_free(void) {
        g_auto(Machine) machine;

        machine_begin(&machine, NULL);
        put_text(&machine, "/proc/meminfo",
                 "MemTotal: 1000 kB\nMemFree: 10 kB\nMemAvailable: 900 kB\nCached: 890 kB\n");
        sample(&machine);
        assert_value(&machine, METRIC_MEMORY, 10);
        put_text(&machine, "/proc/meminfo", "MemTotal: 1000 kB\nMemFree: 10 kB\nCached: 890 kB\n");
        sample(&machine);
        assert_failure(&machine, METRIC_MEMORY, "MemAvailable");
        put_text(&machine, "/proc/meminfo", "MemTotal: 0 kB\nMemAvailable: 0 kB\n");
        sample(&machine);
        assert_failure(&machine, METRIC_MEMORY, "MemTotal");
        put_text(&machine, "/proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 1001 kB\n");
        sample(&machine);
        assert_failure(&machine, METRIC_MEMORY, "MemTotal");
}

static void test_cpu_traps(void) {
        g_auto(Machine) machine;

        machine_begin(&machine, NULL);
        put_text(&machine, "/proc/stat", "cpu  100 0 100 1000 500 0 0 100 90 0\ncpu0 1\nintr 1\n");
        sample(&machine);
        /* iowait runs backwards, which kernels allow it to. */
        put_text(&machine, "/proc/stat", "cpu  110 0 100 1090 400 0 0 100 95 0\ncpu0 1\nintr 1\n");
        sample(&machine);
        assert_value(&machine, METRIC_CPU, 10);
        /* A tenth is given, and all of it worked: that is a busy machine. */
        put_text(&machine, "/proc/stat", "cpu  120 0 100 1090 400 0 0 190 95 0\ncpu0 1\nintr 1\n");
        sample(&machine);
        assert_value(&machine, METRIC_CPU, 100);
        put_text(&machine, "/proc/stat", "cpu  120 0 100 1090 400 0 0 290 95 0\ncpu0 1\nintr 1\n");
        sample(&machine);
        assert_failure(&machine, METRIC_CPU, "hypervisor");
        /* CPUs may go. */
        put_text(&machine, "/proc/stat", "cpu  20 0 10 100 40 0 0 29 9 0\nintr 1\n");
        sample(&machine);
        assert_value(&machine, METRIC_CPU, 0);
        g_assert_cmpuint(machine.sample.cpus, ==, 0);
}

static void test_old_kernel_times(void) {
        g_auto(Machine) machine;

        machine_begin(&machine, NULL);
        put_text(&machine, "/proc/stat", "cpu  100 0 100 1000\ncpu0 100 0 100 1000\n");
        sample(&machine);
        put_text(&machine, "/proc/stat", "cpu  150 0 100 1050\ncpu0 150 0 100 1050\n");
        sample(&machine);
        assert_value(&machine, METRIC_CPU, 50);
}

static void test_counter(void) {
        Counter counter = { .last = 1000 };

        g_assert_cmpuint(counter_advance(&counter, 1500), ==, 500);
        /* A driver that says 0 once and then goes on: no spike of the whole count. */
        g_assert_cmpuint(counter_advance(&counter, 0), ==, 0);
        g_assert_cmpuint(counter_advance(&counter, 1600), ==, 100);
        g_assert_cmpuint(counter_advance(&counter, 1700), ==, 100);
        /* A device that was replaced counts from the beginning. */
        g_assert_cmpuint(counter_advance(&counter, 10), ==, 0);
        g_assert_cmpuint(counter_advance(&counter, 60), ==, 50);
        g_assert_cmpuint(counter_advance(&counter, 160), ==, 100);
        /* 32 bits are over. */
        counter = (Counter) { .last = UINT32_MAX - 10 };
        g_assert_cmpuint(counter_advance(&counter, 20), ==, 0);
        g_assert_cmpuint(counter_advance(&counter, 120), ==, 100);
}

static void put_interfaces(Machine *machine, const char *lines) {
        g_autofree char *text = g_strconcat("Inter-|   Receive  |  Transmit\n face |bytes    packets\n", lines, NULL);

        put_text(machine, "/proc/net/dev", text);
}

static void test_interfaces_come_and_go(void) {
        g_auto(Machine) machine;

        machine_begin(&machine, NULL);
        put_text(&machine, "/sys/class/net/eth0/device/uevent", "");
        put_interfaces(&machine, "eth0: 1000 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
        sample(&machine);
        /* A second one, with a past of its own that is not ours. */
        put_text(&machine, "/sys/class/net/eth1/device/uevent", "");
        put_interfaces(&machine,
                       "eth1: 9000000000 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\neth0: 6000 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
        sample(&machine);
        assert_value(&machine, METRIC_NETWORK, 1);
        put_interfaces(&machine,
                       "eth1: 9000005000 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\neth0: 11000 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
        sample(&machine);
        assert_value(&machine, METRIC_NETWORK, 2);
        /* eth0 is unplugged, and comes back with fresh counters. */
        put_interfaces(&machine, "eth1: 9000005000 0 0 0 0 0 0 0 5000 0 0 0 0 0 0 0\n");
        sample(&machine);
        assert_value(&machine, METRIC_NETWORK, 1);
        put_interfaces(
                &machine,
                "eth0: 777777 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\neth1: 9000005000 0 0 0 0 0 0 0 5000 0 0 0 0 0 0 0\n");
        sample(&machine);
        assert_value(&machine, METRIC_NETWORK, 0);
        /* The last one goes: absent, not broken. */
        put_interfaces(&machine, "");
        sample(&machine);
        assert_reading(&machine, METRIC_NETWORK, READING_ABSENT);
}

static void test_impossible_leap(void) {
        g_auto(Machine) machine;

        machine_begin(&machine, NULL);
        put_text(&machine, "/sys/class/net/eth0/device/uevent", "");
        put_interfaces(&machine, "eth0: 1000 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
        sample(&machine);
        put_interfaces(&machine, "eth0: 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
        sample(&machine);
        assert_value(&machine, METRIC_NETWORK, 0);
        put_interfaces(&machine, "eth0: 18446744073709551616 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
        sample(&machine);
        assert_failure(&machine, METRIC_NETWORK, "line 3");
}

/* A link below /sys may come a moment after its interface. */
static void test_master_comes_late(void) {
        g_autofree char *link = NULL;
        g_auto(Machine) machine;

        machine_begin(&machine, "azure-6.2");
        link = g_strconcat(machine.root, "/sys/class/net/enP30832s1/master", NULL);
        g_assert_cmpint(g_unlink(link), ==, 0);
        sample(&machine);
        g_assert_cmpint(symlink("../eth0", link), ==, 0);
        overlay(&machine, "azure-6.2/later");
        sample(&machine);
        assert_value(&machine, METRIC_NETWORK, 40);
}

static void test_disks_without_sysfs(void) {
        g_autofree char *block = NULL;
        g_auto(Machine) machine;

        machine_begin(&machine, "nvme-bond-5.15");
        block = g_strconcat(machine.root, "/sys/block", NULL);
        run((const char *const[]) { "rm", "-rf", block, NULL });
        sample(&machine);
        overlay(&machine, "nvme-bond-5.15/later");
        sample(&machine);
        assert_value(&machine, METRIC_DISK, 4096);
}

static const char *const files[] = { "/proc/stat", "/proc/meminfo", "/proc/net/dev", "/proc/diskstats" };
static const Metric metric_of_file[] = { METRIC_CPU, METRIC_MEMORY, METRIC_NETWORK, METRIC_DISK };

/* Cut off anywhere, each file gives a failure or an honest value: never a spike, and the next whole one is fine. */
static void test_cut_off(void) {
        g_auto(Machine) machine;

        machine_begin(&machine, "virtio-4.19");
        sample(&machine);
        for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
                size_t length;
                g_autofree char *text = get_text(&machine, files[i], &length);

                for (size_t n = 0; n < length; n++) {
                        put(&machine, files[i], text, n);
                        sample(&machine);
                        if (machine.sample.reading[metric_of_file[i]] == READING_OK)
                                g_assert_cmpfloat(machine.sample.value[metric_of_file[i]], <=, 100);
                }
                put(&machine, files[i], text, length);
                sample(&machine);
                sample(&machine);
                assert_reading(&machine, metric_of_file[i], READING_OK);
        }
}

static void test_noise(void) {
        g_auto(Machine) machine;
        GRand *noise = g_rand_new_with_seed(7);

        machine_begin(&machine, "virtio-4.19");
        sample(&machine);
        for (unsigned round = 0; round < 500; round++) {
                static const char alphabet[] = "0123456789     \n\n:cpueth./-\t\0\xff";
                char text[512];
                size_t file = (size_t) g_rand_int_range(noise, 0, G_N_ELEMENTS(files));

                for (size_t i = 0; i < sizeof(text); i++)
                        text[i] = alphabet[g_rand_int_range(noise, 0, sizeof(alphabet) - 1)];
                text[sizeof(text) - 1] = '\n';
                put(&machine, files[file], text, sizeof(text));
                sample(&machine);
        }
        g_rand_free(noise);
}

static void test_endless(void) {
        g_autofree char *line = g_malloc(5 * 1024 * 1024);
        g_auto(Machine) machine;

        machine_begin(&machine, "virtio-4.19");
        sample(&machine);
        memset(line, '1', 5 * 1024 * 1024);
        for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
                put(&machine, files[i], line, 5 * 1024 * 1024);
                sample(&machine);
                assert_failure(&machine, metric_of_file[i], "does not end");
        }
        /* One line of a megabyte is read, and is not what it should be. */
        line[1024 * 1024 - 1] = '\n';
        for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
                put(&machine, files[i], line, 1024 * 1024);
                sample(&machine);
                assert_reading(&machine, metric_of_file[i], READING_FAILED);
        }
}

/* The machine these tests run on, whatever it is. */
static void test_this_machine(void) {
        g_autoptr(Metrics) metrics = metrics_new("");
        g_autoptr(JsonObject) details = NULL;
        Sample first, second;

        metrics_sample(metrics, clock_monotonic(), clock_realtime(), &first);
        metrics_sample(metrics, clock_monotonic(), clock_realtime(), &second);
        g_assert_cmpint(second.reading[METRIC_CPU], ==, READING_OK);
        g_assert_cmpfloat(second.value[METRIC_CPU], <=, 100);
        g_assert_cmpint(second.reading[METRIC_MEMORY], ==, READING_OK);
        g_assert_cmpfloat(second.value[METRIC_MEMORY], >, 0);
        g_assert_cmpuint(second.cpus, ==, g_get_num_processors());
        g_assert_cmpint(second.reading[METRIC_NETWORK], !=, READING_FAILED);
        g_assert_cmpint(second.reading[METRIC_DISK], !=, READING_FAILED);
        details = metrics_details(metrics);
        g_assert_cmpuint(json_object_get_size(json_object_get_object_member(details, "failures")), ==, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(expectations); i++) {
                g_autofree char *path = g_strconcat("/metrics/recorded/", expectations[i].recording, NULL);

                g_test_add_data_func(path, &expectations[i], test_recorded);
        }
        g_test_add_func("/metrics/evidence", test_evidence);
        g_test_add_func("/metrics/no-pressure", test_no_pressure);
        g_test_add_func("/metrics/nothing-there", test_nothing_there);
        g_test_add_func("/metrics/comes-late", test_comes_late);
        g_test_add_func("/metrics/same-instant", test_same_instant);
        g_test_add_func("/metrics/fails-and-returns", test_fails_and_returns);
        g_test_add_func("/metrics/available-not-free", test_available_not_free);
        g_test_add_func("/metrics/cpu-traps", test_cpu_traps);
        g_test_add_func("/metrics/old-kernel-times", test_old_kernel_times);
        g_test_add_func("/metrics/counter", test_counter);
        g_test_add_func("/metrics/interfaces-come-and-go", test_interfaces_come_and_go);
        g_test_add_func("/metrics/impossible-leap", test_impossible_leap);
        g_test_add_func("/metrics/master-comes-late", test_master_comes_late);
        g_test_add_func("/metrics/disks-without-sysfs", test_disks_without_sysfs);
        g_test_add_func("/metrics/cut-off", test_cut_off);
        g_test_add_func("/metrics/noise", test_noise);
        g_test_add_func("/metrics/endless", test_endless);
        g_test_add_func("/metrics/this-machine", test_this_machine);
        return g_test_run();
}
