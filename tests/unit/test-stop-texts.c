/* SPDX-License-Identifier: Apache-2.0 */

/* What people read of a stop: the notice before it, and the greeting after it. And which events there are. */

#include <stdlib.h>
#include <time.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "base/clock.h"
#include "daemon/event/event.h"
#include "daemon/stop/notice.h"
#include "daemon/stop/record.h"
#include "util/json.h"

/* 2026-11-20 22:36:00 UTC */
#define EVENING (UINT64_C(1795214160) * USEC_PER_SEC)

static void test_notice_says_when_why_and_what_to_type(void) {
        Notice notice = { .phase = NOTICE_SCHEDULED,
                          .now = EVENING,
                          .stop_time = EVENING + 5 * USEC_PER_MINUTE,
                          .idle_since = EVENING - 30 * USEC_PER_MINUTE,
                          .action = "stop",
                          .reason = "idle for 30 min" };
        g_autofree char *text = notice_text(&notice);

        g_assert_cmpstr(text, ==,
                        "This machine stops at 22:41 UTC (in 5 min): idle since 22:06. Keep it on: snooze postpone 2h "
                        "· why: snooze why");
}

static void test_notice_of_a_persons_stop_names_the_person(void) {
        Notice notice = { .phase = NOTICE_SCHEDULED,
                          .now = EVENING,
                          .stop_time = EVENING + 90 * USEC_PER_SEC,
                          .action = "suspend",
                          .reason = "alice: going home" };
        g_autofree char *text = notice_text(&notice);

        g_assert_nonnull(strstr(text, "is suspended at 22:37 UTC (in 1 min 30 s): alice: going home."));
}

static void test_dry_run_says_so_first(void) {
        Notice notice = { .phase = NOTICE_REMINDER,
                          .dry_run = TRUE,
                          .now = EVENING,
                          .stop_time = EVENING + USEC_PER_MINUTE,
                          .idle_since = EVENING,
                          .action = "hibernate",
                          .reason = "" };
        g_autofree char *text = notice_text(&notice);

        g_assert_true(g_str_has_prefix(text, "Dry run: This machine would hibernate at 22:37 UTC (in 1 min)"));
}

static void test_cancelled_says_why_it_stays_on(void) {
        Notice notice = { .phase = NOTICE_CANCELLED, .now = EVENING, .reason = "bob holds it: backup" };
        g_autofree char *text = notice_text(&notice);

        g_assert_cmpstr(text, ==, "This machine stays on: bob holds it: backup");
}

static void test_greeting_tells_how_long_it_was_off(void) {
        uint64_t stopped = EVENING + 5 * USEC_PER_MINUTE, booted = stopped + 10 * USEC_PER_HOUR + 16 * USEC_PER_MINUTE;
        g_autoptr(JsonObject) record =
                stop_record_new("boot.1", stopped, EVENING - 30 * USEC_PER_MINUTE, "aws", "stop", "idle");
        g_autofree char *text = stop_record_close(record, booted, booted + USEC_PER_MINUTE);

        g_assert_cmpstr(text, ==,
                        "Stopped itself 2026-11-20 22:41 (idle since 22:06), back since 08:57, 10 h 16 min off");
        g_assert_cmpint(json_get_int(record, "off", 0), ==, (gint64) (booted - stopped));
}

static void test_greeting_without_a_record(void) {
        uint64_t booted = EVENING + 10 * USEC_PER_HOUR;
        g_autofree char *seen = stop_record_missing(EVENING, booted, booted + USEC_PER_MINUTE),
                        *unseen = stop_record_missing(0, booted, booted + USEC_PER_MINUTE);

        g_assert_cmpstr(seen, ==,
                        "Back since 08:36, last seen 2026-11-20 22:36; CloudSnooze has no stop of its own on record");
        g_assert_cmpstr(unseen, ==,
                        "Back since 08:36; of the time before, CloudSnooze has no stop of its own on record");
}

static void test_seconds_where_minutes_say_nothing(void) {
        Notice notice = { .phase = NOTICE_REMINDER,
                          .now = EVENING,
                          .stop_time = EVENING + 20 * USEC_PER_SEC,
                          .action = "stop",
                          .reason = "" };
        g_autofree char *text = notice_text(&notice), *greeting = NULL;
        g_autoptr(JsonObject) record =
                stop_record_new("boot.1", EVENING, EVENING - USEC_PER_HOUR, "aws", "stop", "idle");

        g_assert_nonnull(strstr(text, "stops at 22:36:20 UTC (in 20 s)"));
        greeting = stop_record_close(record, EVENING + 42 * USEC_PER_SEC, EVENING + USEC_PER_HOUR);
        g_assert_cmpstr(greeting, ==, "Stopped itself 22:36:00 (idle since 21:36), back since 22:36:42, 42 s off");
}

static void test_greeting_after_a_persons_stop(void) {
        g_autoptr(JsonObject) record = stop_record_new("boot.1", EVENING, 0, "aws", "stop", "alice: going home");
        g_autofree char *text = stop_record_close(record, EVENING + USEC_PER_HOUR, EVENING + USEC_PER_HOUR);

        g_assert_cmpstr(text, ==, "Stopped 22:36 (alice: going home), back since 23:36, 1 h off");
}

static void test_a_clock_set_back_over_the_boot_is_no_negative_time(void) {
        g_autoptr(JsonObject) record = stop_record_new("boot.1", EVENING, EVENING, "aws", "stop", "idle");
        g_autofree char *text = stop_record_close(record, EVENING - USEC_PER_DAY, EVENING - USEC_PER_DAY);

        g_assert_true(g_str_has_suffix(text, " 0 s off"));
}

static void test_rubbish_is_no_record(void) {
        g_autoptr(JsonObject) record = json_object_new();

        g_assert_null(stop_record_close(record, EVENING, EVENING));
}

typedef struct Root {
        char *path, *runtime, *mark;
} Root;

static void root_write(const Root *root, const char *file, const char *text) {
        g_autofree char *path = g_build_filename(root->path, file, NULL), *directory = g_path_get_dirname(path);

        g_assert_cmpint(g_mkdir_with_parents(directory, 0755), ==, 0);
        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void root_make(Root *root, gconstpointer data) {
        root->path = g_dir_make_tmp("snooze-boot-XXXXXX", NULL);
        root->runtime = g_build_filename(root->path, "run/cloudsnooze", NULL);
        root->mark = g_build_filename(root->runtime, "boot", NULL);
        root_write(root, "run/cloudsnooze/other", "");
        root_write(root, "proc/sys/kernel/random/boot_id", "d9d6c9a8-6d3b-4f0c-9b1a-3f6a5c1e2b47\n");
}

static void root_remove(Root *root, gconstpointer data) {
        g_autofree char *command = g_strdup_printf("rm -r %s", root->path);

        g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
        g_free(root->path);
        g_free(root->runtime);
        g_free(root->mark);
}

static uint64_t learn(const Root *root, char **ret_identity) {
        Boot boot;

        boot_learn(root->path, root->runtime, &boot);
        if (ret_identity)
                *ret_identity = boot.identity;
        else
                g_free(boot.identity);
        return boot.started;
}

static void test_this_boot_has_one_name(Root *root, gconstpointer data) {
        g_autofree char *one = NULL, *two = NULL, *three = NULL;

        learn(root, &one);
        learn(root, &two);
        g_assert_cmpstr(one, ==, two);
        g_assert_true(g_str_has_prefix(one, "d9d6c9a8-6d3b-4f0c-9b1a-3f6a5c1e2b47."));

        /* The next boot finds an empty runtime directory. */
        g_assert_cmpint(g_unlink(root->mark), ==, 0);
        learn(root, &three);
        g_assert_cmpstr(one, !=, three);
}

static void test_process_1_tells_when_it_began(Root *root, gconstpointer data) {
        g_autofree char *stat = g_strdup_printf("1 (a ) b) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 %ld 1 2\n",
                                                90 * sysconf(_SC_CLK_TCK));

        root_write(root, "proc/1/stat", stat);
        root_write(root, "run/systemd/container", "lxc");
        g_assert_cmpuint(learn(root, NULL), ==, 90 * USEC_PER_SEC);
}

static void test_the_clock_of_a_machine_begins_with_its_boot(Root *root, gconstpointer data) {
        g_assert_cmpuint(learn(root, NULL), ==, 1);
}

/* Else a container of an hour ago would be as old as the host below it. */
static void test_a_container_that_hides_process_1_began_with_us(Root *root, gconstpointer data) {
        uint64_t before = clock_monotonic(), started;

        root_write(root, "run/systemd/container", "systemd-nspawn");
        started = learn(root, NULL);
        g_assert_cmpuint(started, >=, before);
        g_assert_cmpuint(started, <=, clock_monotonic());
        /* A restart of the daemon is none of the machine. */
        g_assert_cmpuint(learn(root, NULL), ==, started);

        root_write(root, "run/cloudsnooze/boot", "rubbish");
        g_assert_cmpuint(learn(root, NULL), >, started);
}

static void test_event_types(void) {
        static const char *const wrong[] = { "",        "custom.",    "custom..a",  "custom.A", "custom.a.",
                                             "customs", "cloud.spot", "custom.a b", NULL };

        for (const EventType *type = event_types; type->name; type++) {
                g_assert_true(event_type_find(type->name) == type);
                g_assert_cmpuint(type->deadline, >, 0);
                g_assert_cmpuint(type->severity, <=, SEVERITY_CRITICAL);
        }
        g_assert_cmpstr(event_type_find("custom.deploy-done")->name, ==, "custom");
        for (const char *const *type = wrong; *type; type++)
                g_assert_null(event_type_find(*type));
}

static void add_on_root(const char *name, void (*test)(Root *root, gconstpointer data)) {
        g_test_add(name, Root, NULL, root_make, test, root_remove);
}

int main(int argc, char **argv) {
        setenv("TZ", "UTC", 1);
        tzset();
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/stop/notice/when-why-what", test_notice_says_when_why_and_what_to_type);
        g_test_add_func("/stop/notice/person", test_notice_of_a_persons_stop_names_the_person);
        g_test_add_func("/stop/notice/dry-run", test_dry_run_says_so_first);
        g_test_add_func("/stop/notice/cancelled", test_cancelled_says_why_it_stays_on);
        g_test_add_func("/stop/record/greeting", test_greeting_tells_how_long_it_was_off);
        g_test_add_func("/stop/record/person", test_greeting_after_a_persons_stop);
        g_test_add_func("/stop/record/missing", test_greeting_without_a_record);
        g_test_add_func("/stop/record/seconds-where-minutes-say-nothing", test_seconds_where_minutes_say_nothing);
        g_test_add_func("/stop/record/clock-set-back", test_a_clock_set_back_over_the_boot_is_no_negative_time);
        g_test_add_func("/stop/record/rubbish", test_rubbish_is_no_record);
        add_on_root("/stop/record/this-boot-has-one-name", test_this_boot_has_one_name);
        add_on_root("/stop/record/process-1-tells-when-it-began", test_process_1_tells_when_it_began);
        add_on_root("/stop/record/the-clock-of-a-machine-begins-with-its-boot",
                    test_the_clock_of_a_machine_begins_with_its_boot);
        add_on_root("/stop/record/a-container-that-hides-process-1-began-with-us",
                    test_a_container_that_hides_process_1_began_with_us);
        g_test_add_func("/event/types", test_event_types);
        return g_test_run();
}
