/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <string.h>

#include "entries.h"

static char *listed(const Entries *entries, const char *prefix, const char *after, guint maximum) {
        g_autoptr(GPtrArray) names = NULL;
        gboolean more;

        names = entries_list(entries, prefix, after, maximum, &more);
        g_ptr_array_add(names, more ? (void *) "…" : NULL);
        if (more)
                g_ptr_array_add(names, NULL);
        return g_strjoinv(" ", (char **) names->pdata);
}

static void test_what_is_set_is_there(void) {
        Entries *entries = entries_new();

        g_assert_null(entries_get(entries, "a"));
        g_assert_cmpint(entries_set(entries, "a", "first", 100), ==, 0);
        g_assert_cmpint(entries_set(entries, "a", "second", 100), ==, 0);
        g_assert_cmpstr(entries_get(entries, "a"), ==, "second");
        g_assert_cmpuint(entries_count(entries), ==, 1);
        g_assert_cmpuint(entries_bytes(entries), ==, 7);
        g_assert_true(entries_remove(entries, "a"));
        g_assert_false(entries_remove(entries, "a"));
        g_assert_cmpuint(entries_bytes(entries), ==, 0);
        entries_free(entries);
}

static void test_there_is_a_ceiling(void) {
        Entries *entries = entries_new();
        g_autofree char *name = g_strnfill(ENTRY_NAME_MAX + 1, 'n'), *text = g_strnfill(ENTRY_TEXT_MAX + 1, 't');

        g_assert_cmpint(entries_set(entries, "a", "12345678", 10), ==, 0);
        g_assert_cmpint(entries_set(entries, "b", "1", 10), ==, -ENOSPC);
        g_assert_cmpint(entries_set(entries, "a", "123456789", 10), ==, 0); /* in the place of what was there */
        g_assert_cmpint(entries_set(entries, name, "", 1000), ==, -EINVAL);
        g_assert_cmpint(entries_set(entries, "", "", 1000), ==, -EINVAL);
        g_assert_cmpint(entries_set(entries, "a\nb", "", 1000), ==, -EINVAL);
        g_assert_cmpint(entries_set(entries, "c", text, 1000000), ==, -E2BIG);
        g_assert_cmpuint(entries_count(entries), ==, 1);
        for (unsigned i = 1; i < ENTRIES_MAX; i++) {
                g_autofree char *other = g_strdup_printf("n%u", i);

                g_assert_cmpint(entries_set(entries, other, "", ENTRIES_BYTES_MAX), ==, 0);
        }
        g_assert_cmpint(entries_set(entries, "more", "", ENTRIES_BYTES_MAX), ==, -ENOSPC);
        entries_free(entries);
}

static void test_lists_come_in_pieces(void) {
        static const char *const names[] = { "job/2", "job/1", "other", "job/3", "a" };
        Entries *entries = entries_new();
        g_autofree char *all = NULL, *some = NULL, *rest = NULL, *none = NULL, *before = NULL;

        for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
                g_assert_cmpint(entries_set(entries, names[i], "", 100), ==, 0);
        all = listed(entries, "", NULL, 10);
        g_assert_cmpstr(all, ==, "a job/1 job/2 job/3 other");
        some = listed(entries, "job/", NULL, 2);
        g_assert_cmpstr(some, ==, "job/1 job/2 …");
        rest = listed(entries, "job/", "job/2", 2);
        g_assert_cmpstr(rest, ==, "job/3");
        before = listed(entries, "job/", "a", 9);
        g_assert_cmpstr(before, ==, "job/1 job/2 job/3");
        none = listed(entries, "job/", "other", 2);
        g_assert_cmpstr(none, ==, "");
        entries_free(entries);
}

static void test_out_and_in_again(void) {
        Entries *entries = entries_new(), *other = entries_new();
        g_autoptr(GByteArray) data = NULL, again = NULL;

        entries_set(entries, "a", "", 100);
        entries_set(entries, "straße", "grün", 100);
        data = entries_export(entries);
        entries_set(other, "gone", "x", 100);
        g_assert_cmpint(entries_import(other, data->data, data->len), ==, 0);
        again = entries_export(other);
        g_assert_cmpmem(again->data, again->len, data->data, data->len);
        g_assert_cmpuint(entries_bytes(other), ==, entries_bytes(entries));
        g_assert_cmpint(entries_import(other, NULL, 0), ==, 0);
        g_assert_cmpuint(entries_count(other), ==, 0);
        entries_free(entries);
        entries_free(other);
}

#define IMPORT(text) entries_import(entries, text, sizeof(text) - 1)

static void test_what_is_no_export_changes_nothing(void) {
        Entries *entries = entries_new();

        entries_set(entries, "kept", "x", 100);
        g_assert_cmpint(IMPORT("a"), ==, -EBADMSG);
        g_assert_cmpint(IMPORT("a\0"), ==, -EBADMSG);
        g_assert_cmpint(IMPORT("a\0b"), ==, -EBADMSG);
        g_assert_cmpint(IMPORT("\0b\0"), ==, -EBADMSG);
        g_assert_cmpint(IMPORT("a\0b\0a\0c\0"), ==, -EBADMSG);
        g_assert_cmpint(IMPORT("a\0\xff\0"), ==, -EBADMSG);
        g_assert_cmpint(IMPORT("\xff\0b\0"), ==, -EBADMSG);
        g_assert_cmpstr(entries_get(entries, "kept"), ==, "x");
        g_assert_cmpuint(entries_count(entries), ==, 1);
        entries_free(entries);
}

static void test_garbled_exports(void) {
        static const char good[] = "a\0one\0b\0two\0c\0three";
        g_autoptr(GRand) random = g_rand_new_with_seed(3);
        Entries *entries = entries_new();

        for (unsigned i = 0; i < 20000; i++) {
                char data[sizeof(good)];

                memcpy(data, good, sizeof(data));
                for (unsigned k = 0; k < 3; k++)
                        data[g_rand_int_range(random, 0, sizeof(data))] = (char) g_rand_int_range(random, 0, 256);
                if (entries_import(entries, data, sizeof(data)) == 0)
                        g_assert_cmpuint(entries_count(entries), >, 0);
        }
        entries_free(entries);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/storage/entries/what-is-set-is-there", test_what_is_set_is_there);
        g_test_add_func("/storage/entries/there-is-a-ceiling", test_there_is_a_ceiling);
        g_test_add_func("/storage/entries/lists-come-in-pieces", test_lists_come_in_pieces);
        g_test_add_func("/storage/entries/out-and-in-again", test_out_and_in_again);
        g_test_add_func("/storage/entries/what-is-no-export-changes-nothing", test_what_is_no_export_changes_nothing);
        g_test_add_func("/storage/entries/garbled-exports", test_garbled_exports);
        return g_test_run();
}
