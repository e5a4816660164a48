/* SPDX-License-Identifier: Apache-2.0 */

/* Count, range, mean and deviation of numbers: of a text by a request, of a block, or of a stream that may be longer
 * than any memory. An example of RequestHandler and DataProcessor. */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <snooze/plugin.h>

#include "config.h"
#include "statistics.h"

#define BLOCK_SIZE (64U * 1024U)
#define LINE_SIZE 512U

/* All that passed by since the start or the last reset. Streams have threads of their own. */
typedef struct Analytics {
        pthread_mutex_t lock;
        Statistics total;
} Analytics;

static void remember(Analytics *analytics, const Statistics *statistics) {
        pthread_mutex_lock(&analytics->lock);
        statistics_merge(&analytics->total, statistics);
        pthread_mutex_unlock(&analytics->lock);
}

static void fill(SnoozePluginDictionary *result, const Statistics *statistics) {
        snooze_plugin_dictionary_set_uint(result, "bytes", statistics->bytes);
        snooze_plugin_dictionary_set_uint(result, "count", statistics->count);
        snooze_plugin_dictionary_set_uint(result, "rejected", statistics->rejected);
        if (statistics->count == 0)
                return;
        snooze_plugin_dictionary_set_double(result, "minimum", statistics->minimum);
        snooze_plugin_dictionary_set_double(result, "maximum", statistics->maximum);
        snooze_plugin_dictionary_set_double(result, "mean", statistics->mean);
        snooze_plugin_dictionary_set_double(result, "standard_deviation", statistics_deviation(statistics));
}

/* The same as one line of JSON; its length. */
static size_t print(const Statistics *statistics, char line[LINE_SIZE]) {
        int n;

        n = snprintf(line, LINE_SIZE, "{\"bytes\":%" PRIu64 ",\"count\":%" PRIu64 ",\"rejected\":%" PRIu64,
                     statistics->bytes, statistics->count, statistics->rejected);
        if (statistics->count > 0)
                n += snprintf(line + n, LINE_SIZE - (size_t) n,
                              ",\"minimum\":%.17g,\"maximum\":%.17g,\"mean\":%.17g,\"standard_deviation\":%.17g",
                              statistics->minimum, statistics->maximum, statistics->mean,
                              statistics_deviation(statistics));
        n += snprintf(line + n, LINE_SIZE - (size_t) n, "}\n");
        return (size_t) n;
}

/* Nothing but what is known, of that type. */
static int check_params(SnoozePluginCall *call, const SnoozePluginDictionary *params, const char *known, char type) {
        const char *key;

        for (unsigned i = 0; (key = snooze_plugin_dictionary_get_key(params, i)); i++)
                if (strcmp(key, known) != 0 || snooze_plugin_dictionary_get_type(params, key) != type)
                        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                                       "“%s”: expected %s%s", key, *known == '\0' ? "nothing" : known,
                                                       type == 'b'   ? ", a boolean"
                                                       : type == 's' ? ", a string"
                                                                     : "");
        return 0;
}

static int analyse(Analytics *analytics, SnoozePluginCall *call, const SnoozePluginDictionary *params) {
        const char *text = snooze_plugin_dictionary_get_string(params, "text", NULL);
        Statistics statistics = { .count = 0 };

        if (!text)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "text: expected a string of numbers");
        statistics_feed(&statistics, text, strlen(text));
        statistics_finish(&statistics);
        remember(analytics, &statistics);
        fill(snooze_plugin_dictionary_add_dictionary(snooze_plugin_call_get_result(call), "metrics"), &statistics);
        return snooze_plugin_call_set_answer(call, statistics.count > 0);
}

static int summarize(Analytics *analytics, SnoozePluginCall *call, bool reset) {
        Statistics total;

        pthread_mutex_lock(&analytics->lock);
        total = analytics->total;
        if (reset)
                analytics->total = (Statistics) { .count = 0 };
        pthread_mutex_unlock(&analytics->lock);
        fill(snooze_plugin_dictionary_add_dictionary(snooze_plugin_call_get_result(call), "metrics"), &total);
        return snooze_plugin_call_set_answer(call, true);
}

static const char *const methods[] = { "analyse", "summary", "reset", NULL };

static int handle_request(SnoozePluginCall *call, const char *method, const SnoozePluginDictionary *params,
                          void *userdata) {
        bool analyses = strcmp(method, "analyse") == 0;
        int r;

        r = check_params(call, params, analyses ? "text" : "", analyses ? 's' : 0);
        if (r < 0)
                return r;
        return analyses ? analyse(userdata, call, params) : summarize(userdata, call, strcmp(method, "reset") == 0);
}

static int process_data(SnoozePluginCall *call, const void *data, size_t size, void *userdata) {
        Statistics statistics = { .count = 0 };
        char line[LINE_SIZE];

        statistics_feed(&statistics, data, size);
        statistics_finish(&statistics);
        remember(userdata, &statistics);
        return snooze_plugin_call_set_data(call, line, print(&statistics, line));
}

static int write_all(int fd, const char *data, size_t size) {
        while (size > 0) {
                ssize_t n = write(fd, data, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                data += n;
                size -= (size_t) n;
        }
        return 0;
}

/* Until the end of the input; a block is all that is in memory. */
static int pass(int input, int output, bool copy, Statistics *statistics) {
        char block[BLOCK_SIZE];

        for (;;) {
                ssize_t n = read(input, block, sizeof(block));
                int r;

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : 0;
                statistics_feed(statistics, block, (size_t) n);
                r = copy ? write_all(output, block, (size_t) n) : 0;
                if (r < 0)
                        return r;
        }
}

/* One stream, in its thread. */
typedef struct Work {
        Analytics *analytics;
        bool copy;
} Work;

static int work(SnoozePluginCall *call, void *userdata) {
        Work job = *(Work *) userdata;
        int output = snooze_plugin_call_get_output(call), r;
        Statistics statistics = { .count = 0 };
        char line[LINE_SIZE];

        free(userdata);
        r = pass(snooze_plugin_call_get_input(call), output, job.copy, &statistics);
        if (r < 0)
                return r;
        statistics_finish(&statistics);
        remember(job.analytics, &statistics);
        fill(snooze_plugin_call_get_result(call), &statistics);
        return job.copy ? 0 : write_all(output, line, print(&statistics, line));
}

static int process_stream(SnoozePluginCall *call, int input, int output, const SnoozePluginDictionary *options,
                          void *userdata) {
        Work *job;
        int r;

        r = check_params(call, options, "copy", 'b');
        if (r < 0)
                return r;
        job = malloc(sizeof(Work));
        if (!job)
                return -ENOMEM;
        *job = (Work) { .analytics = userdata, .copy = snooze_plugin_dictionary_get_bool(options, "copy", false) };
        r = snooze_plugin_call_run_in_thread(call, work, job);
        if (r < 0)
                free(job);
        return r;
}

int main(int argc, char *argv[]) {
        static Analytics analytics = { .lock = PTHREAD_MUTEX_INITIALIZER };
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = "analytics",
                .version = PACKAGE_VERSION,
                .description = "Tells count, range, mean and deviation of numbers.",
                .userdata = &analytics,
                .methods = methods,
                .handle_request = handle_request,
                .process_data = process_data,
                .process_stream = process_stream,
        };

        return snooze_plugin_main(&plugin, argc, argv);
}
