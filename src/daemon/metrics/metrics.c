/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/metrics/metrics.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/metrics/cpu.h"
#include "daemon/metrics/devices.h"
#include "daemon/metrics/evidence.h"
#include "daemon/metrics/memory.h"
#include "daemon/metrics/procfile.h"

#define BYTES_PER_KILOBYTE 1000.0

/* A metric that is a rate over the counters of a file. */
typedef struct Rate {
        ProcFile file;
        DeviceTable table; /* not for the CPU */
        uint64_t taken;    /* when its counters were read last; 0: never, or not since it failed */
        double value;
} Rate;

struct Metrics {
        char *root;
        ProcBuffer buffer;

        Rate cpu, network, disk;
        ProcFile memory;
        CpuTimes cpu_times, cpu_passed;
        double memory_value;

        Terminals *terminals;
        uint64_t input_interval, next_look;
        bool terminals_known;
        uint64_t slept;
        int64_t terminals_input; /* as the latest look found it; boot time */
        gboolean logind_seen;
        uint64_t logind_input;   /* wall clock as logind said; UINT64_MAX: going on */
        gboolean logind_changed; /* since the latest sample */
        gboolean logind_known;   /* logind_moment says something */
        int64_t logind_moment;   /* the same, boot time */

        gboolean begun;
        uint64_t sampled; /* when the latest sample was taken */
        Sample latest;
        unsigned measured; /* a bit for each */
        char *reason[METRIC_COUNT]; /* why the latest one is not READING_OK */
};

Metrics *metrics_new(const char *root) {
        Metrics *m = g_new0(Metrics, 1);

        m->root = g_strdup(root);
        proc_file_init(&m->cpu.file, root, "/proc/stat");
        proc_file_init(&m->memory, root, "/proc/meminfo");
        proc_file_init(&m->network.file, root, "/proc/net/dev");
        proc_file_init(&m->disk.file, root, "/proc/diskstats");
        device_table_init(&m->network.table, &network_format);
        device_table_init(&m->disk.table, &disk_format);
        m->terminals = terminals_new(root);
        return m;
}

static void rate_done(Rate *rate) {
        proc_file_done(&rate->file);
        device_table_done(&rate->table);
}

void metrics_free(Metrics *m) {
        if (!m)
                return;
        rate_done(&m->cpu);
        rate_done(&m->network);
        rate_done(&m->disk);
        proc_file_done(&m->memory);
        proc_buffer_done(&m->buffer);
        terminals_free(m->terminals);
        for (Metric metric = 0; metric < METRIC_COUNT; metric++)
                g_free(m->reason[metric]);
        g_free(m->root);
        g_free(m);
}

void metrics_set_logind_input(Metrics *m, gboolean available, uint64_t last_input_realtime) {
        if (!available)
                return;
        m->logind_seen = TRUE;
        m->logind_changed = m->logind_changed || m->logind_input != last_input_realtime;
        /* Input that went on until just now ended between two samples: the latest it can have been is the sample to
         * come. */
        m->logind_input = last_input_realtime;
}

void metrics_set_slept(Metrics *m, uint64_t slept) {
        m->slept = slept;
}

void metrics_set_logind_terminals(Metrics *m, const char *const *names) {
        metrics_look_at_input(m);
        terminals_set_sessions(m->terminals, names);
}

void metrics_tell_closed_terminals(const Metrics *m, TerminalsClosed closed, void *userdata) {
        terminals_tell_closed(m->terminals, closed, userdata);
}

void metrics_set_input_interval(Metrics *m, uint64_t interval) {
        m->input_interval = interval;
        m->next_look = MIN(m->next_look, usec_add(m->sampled, interval));
}

void metrics_look_at_input(Metrics *m) {
        m->next_look = 0;
}

static void set_ok(Metrics *m, Metric metric, Sample *sample, double value) {
        g_clear_pointer(&m->reason[metric], g_free);
        m->measured |= 1U << metric;
        sample->reading[metric] = READING_OK;
        sample->value[metric] = value;
}

G_GNUC_PRINTF(5, 6)
static void set_missing(Metrics *m, Metric metric, Sample *sample, Reading reading, const char *format, ...) {
        va_list ap;

        g_free(m->reason[metric]);
        va_start(ap, format);
        m->reason[metric] = g_strdup_vprintf(format, ap);
        va_end(ap);
        sample->reading[metric] = reading;
        sample->value[metric] = 0;
}

/* What a machine does not have, it does not have in sample after sample: nothing is written where nothing changes. */
static void set_absent(Metrics *m, Metric metric, Sample *sample, const char *why) {
        if (g_strcmp0(m->reason[metric], why) != 0)
                set_missing(m, metric, sample, READING_ABSENT, "%s", why);
        sample->reading[metric] = READING_ABSENT;
}

/* What is not there or not for us to see, and never was, is absent: this machine has no such thing. Everything else
 * went wrong, and counts as unknown. */
static void set_unreadable(Metrics *m, Metric metric, Sample *sample, const char *path, int r) {
        gboolean nothing = r == -ENOENT || r == -ENOTDIR || r == -EACCES || r == -EPERM;

        set_missing(m, metric, sample, nothing && !(m->measured & 1U << metric) ? READING_ABSENT : READING_FAILED,
                    "%s cannot be read: %s", path, r == -EFBIG ? "it does not end" : g_strerror(-r));
}

/* The first reading of counters tells nothing yet. In the very first sample of all that is expected (span 0); later it
 * is a metric that came back, or that failed until now, and a zero would be evidence that nobody has. */
static void set_rate(Metrics *m, Metric metric, Sample *sample, Rate *rate, gboolean has_value) {
        if (has_value || sample->span == 0)
                set_ok(m, metric, sample, rate->value);
        else
                set_missing(m, metric, sample, READING_FAILED, "%s: read for the first time, no rate yet",
                            rate->file.path);
}

static void sample_cpu(Metrics *m, Sample *sample) {
        Rate *rate = &m->cpu;
        uint64_t given, before = rate->taken;
        CpuTimes now;
        size_t length;
        int r;

        rate->taken = 0;
        rate->value = 0;
        r = proc_file_read(&rate->file, &m->buffer, &length);
        if (r < 0) {
                set_unreadable(m, METRIC_CPU, sample, rate->file.path, r);
                return;
        }
        r = cpu_parse(m->buffer.text, length, &now, &sample->cpus);
        if (r < 0) {
                set_missing(m, METRIC_CPU, sample, READING_FAILED,
                            "%s, line 1: expected \"cpu\" and the times of all CPUs", rate->file.path);
                return;
        }
        rate->taken = sample->monotonic;
        m->cpu_passed = before > 0 ? cpu_times_between(&m->cpu_times, &now) : (CpuTimes) { 0 };
        m->cpu_times = now;
        given = cpu_times_given(&m->cpu_passed);
        if (given > 0)
                rate->value = MIN(100.0 * (double) cpu_times_busy(&m->cpu_passed) / (double) given, 100.0);
        else if (before > 0 && m->cpu_passed.steal > 0) {
                set_missing(m, METRIC_CPU, sample, READING_FAILED,
                            "the hypervisor gave this machine no CPU time at all");
                return;
        }
        set_rate(m, METRIC_CPU, sample, rate, before > 0);
}

static void sample_memory(Metrics *m, Sample *sample) {
        size_t length;
        int r;

        r = proc_file_read(&m->memory, &m->buffer, &length);
        if (r < 0) {
                set_unreadable(m, METRIC_MEMORY, sample, m->memory.path, r);
                return;
        }
        r = memory_parse(m->buffer.text, length, &m->memory_value);
        if (r < 0)
                set_missing(m, METRIC_MEMORY, sample, READING_FAILED,
                            "%s: expected MemTotal and a MemAvailable below it", m->memory.path);
        else
                set_ok(m, METRIC_MEMORY, sample, m->memory_value);
}

static void sample_devices(Metrics *m, Metric metric, Rate *rate, const char *none, Sample *sample) {
        uint64_t bytes, before = rate->taken;
        unsigned line;
        size_t length;
        int r;

        rate->taken = 0;
        rate->value = 0;
        r = proc_file_read(&rate->file, &m->buffer, &length);
        if (r < 0) {
                set_unreadable(m, metric, sample, rate->file.path, r);
                return;
        }
        r = device_table_update(&rate->table, m->root, m->buffer.text, length, &bytes, &line);
        if (r < 0) {
                if (line > 0)
                        set_missing(m, metric, sample, READING_FAILED, "%s, line %u: expected a name and its counters",
                                    rate->file.path, line);
                else
                        set_missing(m, metric, sample, READING_FAILED, "%s is cut off", rate->file.path);
                return;
        }
        if (rate->table.counted == 0) {
                set_absent(m, metric, sample, none);
                return;
        }
        rate->taken = sample->monotonic;
        /* After a failure the counters have grown for longer than this sample's span. */
        if (before > 0)
                rate->value = (double) bytes / BYTES_PER_KILOBYTE /
                              ((double) (sample->monotonic - before) / (double) USEC_PER_SEC);
        set_rate(m, metric, sample, rate, before > 0);
}

/* logind's wall-clock moment, moved to the clock of boot time once, when it is told: a clock that is set later neither
 * makes input nor hides it. */
static void convert_logind_input(Metrics *m, uint64_t boottime, uint64_t realtime) {
        int64_t moment;

        if (m->logind_input == UINT64_MAX) {
                m->logind_moment = (int64_t) boottime;
                m->logind_known = TRUE;
                return;
        }
        if (!m->logind_changed || m->logind_input == 0 || m->logind_input > INT64_MAX)
                return;
        m->logind_changed = FALSE;
        moment = MIN((int64_t) boottime - ((int64_t) realtime - (int64_t) m->logind_input), (int64_t) boottime);
        m->logind_moment = m->logind_known ? MAX(m->logind_moment, moment) : moment;
        m->logind_known = TRUE;
}

static void sample_input(Metrics *m, uint64_t realtime, Sample *sample) {
        uint64_t boottime = usec_add(sample->monotonic, m->slept);
        int64_t input, now = (int64_t) boottime;
        bool known;

        if (sample->monotonic >= m->next_look) {
                m->terminals_known = terminals_look(m->terminals, boottime, realtime, &m->terminals_input);
                m->next_look = usec_add(sample->monotonic, m->input_interval);
        }
        known = m->terminals_known;
        input = m->terminals_input;
        convert_logind_input(m, boottime, realtime);
        if (m->logind_known) {
                input = known ? MAX(input, m->logind_moment) : m->logind_moment;
                known = true;
        }
        if (known)
                set_ok(m, METRIC_INPUT, sample, (double) (now - input) / (double) USEC_PER_SEC);
        else if (m->logind_seen)
                /* Sessions there are, and none ever had input: they have been idle for as long as they could be. */
                set_ok(m, METRIC_INPUT, sample, (double) now / (double) USEC_PER_SEC);
        else
                set_absent(m, METRIC_INPUT, sample, "no terminal and no session so far");
}

void metrics_sample(Metrics *m, uint64_t monotonic, uint64_t realtime, Sample *ret) {
        Sample *sample = &m->latest;

        /* Twice in one instant there is no rate to take. */
        if (m->begun && monotonic <= m->sampled) {
                *ret = *sample;
                return;
        }
        *sample = (Sample) {
                .monotonic = monotonic,
                .span = m->begun ? monotonic - m->sampled : 0,
        };
        m->begun = TRUE;
        m->sampled = monotonic;

        sample_cpu(m, sample);
        sample_memory(m, sample);
        sample_devices(m, METRIC_NETWORK, &m->network, "no network interface", sample);
        sample_devices(m, METRIC_DISK, &m->disk, "no disk", sample);
        sample_input(m, realtime, sample);
        *ret = *sample;
}

unsigned metrics_measured(const Metrics *m) {
        return m->measured;
}

void metrics_set_measured(Metrics *m, unsigned measured) {
        m->measured |= measured;
}

JsonObject *metrics_details(Metrics *m) {
        JsonObject *details = json_object_new();
        JsonObject *failures = json_object_new();

        for (Metric metric = 0; metric < METRIC_COUNT; metric++)
                if (m->reason[metric] && m->latest.reading[metric] == READING_FAILED)
                        json_object_set_string_member(failures, metric_source_name(metric), m->reason[metric]);
        json_object_set_object_member(details, "cpu", evidence_cpu(&m->cpu_passed, m->latest.cpus));
        json_object_set_object_member(
                details, "interfaces",
                evidence_devices(&m->network.table, m->latest.span, "received_kbps", "sent_kbps"));
        json_object_set_object_member(details, "disks",
                                      evidence_devices(&m->disk.table, m->latest.span, "read_kbps", "written_kbps"));
        evidence_add_load(details, m->root, &m->buffer);
        evidence_add_pressure(details, m->root, &m->buffer);
        json_object_set_object_member(details, "failures", failures);
        return details;
}
