/* SPDX-License-Identifier: Apache-2.0 */

#include "base/clock.h"
#include "daemon/plugin-metrics.h"

#define START USEC_PER_DAY
#define PATIENCE (130 * USEC_PER_SEC)

static void learn(PluginMetrics *metrics, const char *plugin, const char *name, double value, uint64_t now) {
        g_autoptr(Vote) vote = vote_new(plugin, VERDICT_IDLE, "", now, now);
        JsonObject *told = json_object_new();

        vote->details = json_object_new();
        json_object_set_object_member(vote->details, "metrics", told);
        json_object_set_double_member(told, name, value);
        plugin_metrics_learn(metrics, vote);
}

static Sample sample_at(const PluginMetrics *metrics, uint64_t now) {
        Sample sample = { .monotonic = now };

        for (int i = 0; i < METRIC_COUNT; i++)
                sample.reading[i] = READING_ABSENT;
        plugin_metrics_sample(metrics, PATIENCE, &sample);
        return sample;
}

static void test_gpu_joins_the_sample(void) {
        PluginMetrics *metrics = plugin_metrics_new();
        Sample sample = sample_at(metrics, START);

        g_assert_cmpint(sample.reading[METRIC_GPU], ==, READING_ABSENT);
        learn(metrics, "gpu", "gpu_usage", 42, START);
        sample = sample_at(metrics, START + PATIENCE);
        g_assert_cmpint(sample.reading[METRIC_GPU], ==, READING_OK);
        g_assert_cmpfloat(sample.value[METRIC_GPU], ==, 42);
        /* A plugin that falls silent has not measured "idle". */
        sample = sample_at(metrics, START + PATIENCE + 1);
        g_assert_cmpint(sample.reading[METRIC_GPU], ==, READING_FAILED);
        plugin_metrics_forget(metrics, "gpu");
        sample = sample_at(metrics, START + PATIENCE + 1);
        g_assert_cmpint(sample.reading[METRIC_GPU], ==, READING_ABSENT);
        plugin_metrics_free(metrics);
}

static void assert_told_only(const char *kept, const char *refused) {
        PluginMetrics *metrics = plugin_metrics_new();
        g_autoptr(JsonObject) told = json_object_new();

        learn(metrics, "liar", refused, 1, START);
        learn(metrics, "queue", kept, 3, START);
        plugin_metrics_tell(metrics, told);
        g_assert_false(json_object_has_member(told, refused));
        g_assert_cmpfloat(json_object_get_double_member(told, kept), ==, 3);
        plugin_metrics_free(metrics);
}

static void test_nobody_tells_what_the_daemon_measures(void) {
        assert_told_only("jobs", "cpu_usage");
}

/* Every other plugin would take the round for a question about one of its subjects. */
static void test_nobody_tells_others_a_subject(void) {
        assert_told_only("subjects", "subject");
}

/* A plugin that was taken over must not hide what another measures. */
static void test_the_larger_of_two_words_counts(void) {
        PluginMetrics *metrics = plugin_metrics_new();

        learn(metrics, "gpu", "gpu_usage", 42, START);
        learn(metrics, "liar", "gpu_usage", 0, START + 1);
        g_assert_cmpfloat(sample_at(metrics, START + 1).value[METRIC_GPU], ==, 42);
        learn(metrics, "liar", "gpu_usage", 50, START + 2);
        g_assert_cmpfloat(sample_at(metrics, START + 2).value[METRIC_GPU], ==, 50);
        learn(metrics, "liar", "gpu_usage", 0, START + 3);
        g_assert_cmpfloat(sample_at(metrics, START + 3).value[METRIC_GPU], ==, 0);
        learn(metrics, "gpu", "gpu_usage", 42, START + 4);
        g_assert_cmpfloat(sample_at(metrics, START + 4).value[METRIC_GPU], ==, 42);
        plugin_metrics_free(metrics);
}

static unsigned count(const PluginMetrics *metrics) {
        g_autoptr(JsonObject) told = json_object_new();

        plugin_metrics_tell(metrics, told);
        return json_object_get_size(told);
}

/* 1,000 names of each of so many plugins. */
static void flood(PluginMetrics *metrics, unsigned plugins, uint64_t now) {
        for (unsigned plugin = 0; plugin < plugins; plugin++)
                for (unsigned i = 0; i < 1000; i++) {
                        g_autofree char *id = g_strdup_printf("chatty-%u", plugin);
                        g_autofree char *name = g_strdup_printf("metric-%u-%u", plugin, i);

                        learn(metrics, id, name, i, now + i);
                }
}

static void test_a_full_table_is_still_renewed(void) {
        PluginMetrics *metrics = plugin_metrics_new();
        g_autoptr(JsonObject) told = json_object_new();

        learn(metrics, "gpu", "gpu_usage", 1, START);
        flood(metrics, 10, START);
        g_assert_cmpuint(count(metrics), ==, 256);
        learn(metrics, "gpu", "gpu_usage", 99, START + 1);
        plugin_metrics_tell(metrics, told);
        g_assert_cmpuint(json_object_get_size(told), ==, 256);
        g_assert_cmpfloat(json_object_get_double_member(told, "gpu_usage"), ==, 99);
        plugin_metrics_free(metrics);
}

/* What decides is taken, however many names there are. */
static void test_a_full_table_takes_the_gpu(void) {
        PluginMetrics *metrics = plugin_metrics_new();

        flood(metrics, 10, START);
        learn(metrics, "gpu", "gpu_usage", 97, START + 1000);
        g_assert_cmpfloat(sample_at(metrics, START + 1000).value[METRIC_GPU], ==, 97);
        plugin_metrics_free(metrics);
}

/* A name for each process, for example: the plugin's own go, the latest stay, and others have room. */
static void test_one_plugin_leaves_room(void) {
        PluginMetrics *metrics = plugin_metrics_new();
        g_autoptr(JsonObject) told = json_object_new();

        learn(metrics, "chatty-0", "gpu_usage", 5, START);
        flood(metrics, 1, START);
        g_assert_cmpuint(count(metrics), ==, 65);
        learn(metrics, "queue", "jobs", 3, START + 1000);
        plugin_metrics_tell(metrics, told);
        g_assert_cmpuint(json_object_get_size(told), ==, 66);
        g_assert_cmpfloat(json_object_get_double_member(told, "jobs"), ==, 3);
        g_assert_cmpfloat(json_object_get_double_member(told, "gpu_usage"), ==, 5);
        g_assert_cmpfloat(json_object_get_double_member(told, "metric-0-999"), ==, 999);
        g_assert_cmpfloat(json_object_get_double_member(told, "metric-0-936"), ==, 936);
        g_assert_false(json_object_has_member(told, "metric-0-935"));
        plugin_metrics_free(metrics);
}

/* Not what is told at the slowest allowed pace, and not the GPU's, which would be absent instead of failed. */
static void test_what_nobody_renews_goes(void) {
        PluginMetrics *metrics = plugin_metrics_new();
        Sample sample;

        learn(metrics, "gpu", "gpu_usage", 42, START);
        learn(metrics, "queue", "jobs", 3, START);
        learn(metrics, "other", "tasks", 1, START + 6 * USEC_PER_MINUTE);
        g_assert_cmpuint(count(metrics), ==, 3);
        learn(metrics, "other", "tasks", 1, START + 11 * USEC_PER_MINUTE);
        g_assert_cmpuint(count(metrics), ==, 2);
        sample = sample_at(metrics, START + 11 * USEC_PER_MINUTE);
        g_assert_cmpint(sample.reading[METRIC_GPU], ==, READING_FAILED);
        plugin_metrics_free(metrics);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/plugin-metrics/gpu", test_gpu_joins_the_sample);
        g_test_add_func("/plugin-metrics/own", test_nobody_tells_what_the_daemon_measures);
        g_test_add_func("/plugin-metrics/subject", test_nobody_tells_others_a_subject);
        g_test_add_func("/plugin-metrics/full", test_a_full_table_is_still_renewed);
        g_test_add_func("/plugin-metrics/full-gpu", test_a_full_table_takes_the_gpu);
        g_test_add_func("/plugin-metrics/one-plugin-leaves-room", test_one_plugin_leaves_room);
        g_test_add_func("/plugin-metrics/what-nobody-renews-goes", test_what_nobody_renews_goes);
        g_test_add_func("/plugin-metrics/the-larger-of-two-words-counts", test_the_larger_of_two_words_counts);
        return g_test_run();
}
