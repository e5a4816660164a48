/* SPDX-License-Identifier: Apache-2.0 */

/* What was stopped, for whom, and what of it a text keeps. */

#include <string.h>

#include "ledger.h"
#include "units.h"

static gboolean unit_valid(const char *name) {
        return g_str_has_suffix(name, ".service");
}

static Ledger *example(void) {
        Ledger *ledger = ledger_new();

        ledger_add_event(ledger, "1", "cloud.spot.interrupt", 100);
        ledger_add_event(ledger, "2", "snooze.stop.pending", 50);
        ledger_add_unit(ledger, "a.service");
        ledger_add_unit(ledger, "b.service");
        ledger_add_unit(ledger, "a.service");
        return ledger;
}

static void test_units_are_kept_once_in_order(void) {
        g_autoptr(Ledger) ledger = example();

        g_assert_cmpuint(ledger->units->len, ==, 2);
        g_assert_cmpstr(g_ptr_array_index(ledger->units, 0), ==, "a.service");
        g_assert_cmpuint(ledger_deadline(ledger), ==, 100);
        g_assert_false(ledger_add_unit(ledger, "b.service"));
        g_assert_true(ledger_has_event(ledger, "2"));
        g_assert_false(ledger_has_event(ledger, "3"));
}

static void test_one_that_is_taken_out(void) {
        g_autoptr(Ledger) ledger = example();

        ledger_remove_unit(ledger, "a.service");
        ledger_remove_unit(ledger, "other.service");
        g_assert_false(ledger_has_unit(ledger, "a.service"));
        g_assert_true(ledger_has_unit(ledger, "b.service"));
        g_assert_true(ledger_add_unit(ledger, "a.service"));
        g_assert_cmpstr(g_ptr_array_index(ledger->units, 1), ==, "a.service");
}

static void test_all_events_have_to_be_called_off(void) {
        g_autoptr(Ledger) ledger = example();

        g_assert_false(ledger_call_off(ledger, "1", "cloud.spot.interrupt"));
        g_assert_cmpuint(ledger_deadline(ledger), ==, 50);
        g_assert_true(ledger_call_off(ledger, "2", "snooze.stop.pending"));
        /* Until they are started: it is asked again where that was cut short. */
        g_assert_true(ledger_call_off(ledger, "2", "snooze.stop.pending"));
        ledger_clear(ledger);
        g_assert_false(ledger_call_off(ledger, "2", "snooze.stop.pending"));
}

static void test_an_unknown_id_calls_off_its_type(void) {
        g_autoptr(Ledger) ledger = example();

        ledger_add_event(ledger, "3", "snooze.stop.pending", 60);
        g_assert_false(ledger_call_off(ledger, "7", "snooze.stop.pending"));
        g_assert_cmpuint(ledger->events->len, ==, 1);
        g_assert_false(ledger_call_off(ledger, "7", "cloud.instance.maintenance"));
        g_assert_cmpuint(ledger->events->len, ==, 1);
}

static void test_bounds(void) {
        g_autoptr(Ledger) ledger = ledger_new();

        for (guint i = 0; i < 200; i++) {
                g_autofree char *id = g_strdup_printf("%u", i), *unit = g_strdup_printf("%u.service", i);

                ledger_add_event(ledger, id, "t", i);
                ledger_add_unit(ledger, unit);
        }
        g_assert_cmpuint(ledger->events->len, ==, LEDGER_EVENTS_MAX);
        g_assert_cmpuint(ledger->units->len, ==, UNITS_MAX);
        g_assert_cmpuint(ledger_deadline(ledger), ==, 199);
}

static void test_hostile_ids(void) {
        g_autoptr(Ledger) ledger = ledger_new(), again = NULL;
        g_autofree char *text = NULL, *longest = g_strnfill(10000, 'x');

        ledger_add_event(ledger, "a\nunit evil.service\nb", "t y", 1);
        ledger_add_event(ledger, "", "", 2);
        ledger_add_event(ledger, longest, longest, 3);
        ledger_add_event(ledger, "\xc3\xa4", "t", 4);
        text = ledger_write(ledger, "boot");
        again = ledger_read(text, "boot", unit_valid);
        g_assert_nonnull(again);
        g_assert_cmpuint(again->units->len, ==, 0);
        g_assert_cmpuint(again->events->len, ==, 4);
        g_assert_true(ledger_call_off(again, "a\nunit evil.service\nb", "?") || again->events->len == 3);
}

static void test_text_and_back(void) {
        g_autoptr(Ledger) ledger = example(), again = NULL, other = NULL;
        g_autofree char *text = ledger_write(ledger, "b1"), *second = NULL;

        again = ledger_read(text, "b1", unit_valid);
        second = ledger_write(again, "b1");
        g_assert_cmpstr(text, ==, second);
        /* Another boot has started them. */
        other = ledger_read(text, "b2", unit_valid);
        g_assert_cmpuint(other->units->len, ==, 0);
        g_assert_cmpuint(other->events->len, ==, 0);
}

static void test_garbled_text(void) {
        static const char *const wrong[] = {
                "",
                "\n",
                "boot",
                "boot x",
                "unit a.service\n",
                "boot x\nunit a.socket\n",
                "boot x\nunit\n",
                "boot x\nunit a.service b\n",
                "boot x\nevent 1 t\n",
                "boot x\nevent x t i\n",
                "boot x\nevent -1 t i\n",
                "boot x\nevent 1  i\n",
                "boot x\n\n",
                "boot x\nunit a.service",
                "boot x\nevent 99999999999999999999999 t i\n",
        };

        for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++)
                g_assert_null(ledger_read(wrong[i], "x", unit_valid));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/drain/units-are-kept-once-in-order", test_units_are_kept_once_in_order);
        g_test_add_func("/drain/one-that-is-taken-out", test_one_that_is_taken_out);
        g_test_add_func("/drain/all-events-have-to-be-called-off", test_all_events_have_to_be_called_off);
        g_test_add_func("/drain/an-unknown-id-calls-off-its-type", test_an_unknown_id_calls_off_its_type);
        g_test_add_func("/drain/bounds", test_bounds);
        g_test_add_func("/drain/hostile-ids", test_hostile_ids);
        g_test_add_func("/drain/text-and-back", test_text_and_back);
        g_test_add_func("/drain/garbled-text", test_garbled_text);
        return g_test_run();
}
