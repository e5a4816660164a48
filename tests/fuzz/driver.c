/* SPDX-License-Identifier: Apache-2.0 */

/* Runs a fuzz target without libFuzzer: every file of the corpus as it is, then a number of random mutations of them,
 * the same ones for the same seed. An ordinary test, so that no target rots; `meson setup -Dfuzz=true` (clang) links
 * the same targets with libFuzzer instead. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#define INPUT_MAX (64U * 1024U)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static guint32 seed = 1;
static int runs = 2000;

static void add_file(GPtrArray *corpus, const char *path) {
        g_autoptr(GError) error = NULL;
        char *text;
        gsize length;

        if (!g_file_get_contents(path, &text, &length, &error))
                g_error("%s", error->message);
        g_ptr_array_add(corpus, g_bytes_new_take(text, length));
}

static void add_directory(GPtrArray *corpus, const char *path) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GDir) dir = g_dir_open(path, 0, &error);
        const char *name;

        if (!dir)
                g_error("%s", error->message);
        while ((name = g_dir_read_name(dir))) {
                g_autofree char *file = g_build_filename(path, name, NULL);

                if (g_file_test(file, G_FILE_TEST_IS_REGULAR))
                        add_file(corpus, file);
        }
}

static gint compare_bytes(gconstpointer a, gconstpointer b) {
        return g_bytes_compare(*(GBytes *const *) a, *(GBytes *const *) b);
}

/* One small damage: a byte, a bit, a piece left out, doubled, or taken from another input. */
static void mutate(GRand *random, GByteArray *input, GPtrArray *corpus) {
        static const char *const words[] = { "null", "-1", "1e999", "{", "}",       "[",    "]",
                                             "\"",   ":",  ",",     "0", "\\u0000", "\xff", "9999999999999999999" };
        guint at = input->len > 0 ? (guint) g_rand_int_range(random, 0, (int) input->len) : 0;
        guint length = (guint) g_rand_int_range(random, 1, 64); /* MIN() would roll the dice twice */
        const char *word = words[g_rand_int_range(random, 0, G_N_ELEMENTS(words))];
        GBytes *other;

        switch (g_rand_int_range(random, 0, 6)) {
        case 0:
                if (input->len > 0)
                        input->data[at] = (guint8) g_rand_int(random);
                break;
        case 1:
                if (input->len > 0)
                        input->data[at] ^= (guint8) (1 << g_rand_int_range(random, 0, 8));
                break;
        case 2:
                if (input->len > 0)
                        g_byte_array_remove_range(input, at, MIN(length, input->len - at));
                break;
        case 3:
                g_byte_array_set_size(input, at);
                break;
        case 4:
                if (input->len >= strlen(word))
                        memcpy(input->data + MIN(at, input->len - strlen(word)), word, strlen(word));
                break;
        case 5:
                other = corpus->pdata[g_rand_int_range(random, 0, (int) corpus->len)];
                g_byte_array_append(input, g_bytes_get_data(other, NULL),
                                    (guint) MIN(g_bytes_get_size(other), INPUT_MAX));
                break;
        }
        if (input->len > INPUT_MAX)
                g_byte_array_set_size(input, INPUT_MAX);
}

/* Exactly sized, so that a sanitizer sees the first byte beyond. */
static void run_one(const void *data, gsize size) {
        g_autofree guint8 *copy = g_malloc(MAX(size, 1));

        if (size > 0)
                memcpy(copy, data, size);
        (void) LLVMFuzzerTestOneInput(copy, size);
}

static void run_mutations(GPtrArray *corpus) {
        GRand *random = g_rand_new_with_seed(seed);

        for (int i = 0; i < runs; i++) {
                GBytes *origin = corpus->pdata[g_rand_int_range(random, 0, (int) corpus->len)];
                GByteArray *input = g_byte_array_new();

                g_byte_array_append(input, g_bytes_get_data(origin, NULL),
                                    (guint) MIN(g_bytes_get_size(origin), INPUT_MAX));
                for (int n = g_rand_int_range(random, 1, 8); n > 0; n--)
                        mutate(random, input, corpus);
                run_one(input->data, input->len);
                g_byte_array_unref(input);
        }
        g_rand_free(random);
}

int main(int argc, char **argv) {
        g_autoptr(GPtrArray) corpus = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        const GOptionEntry entries[] = {
                { "runs", 'n', 0, G_OPTION_ARG_INT, &runs, "Mutations to run (2000)", "N" },
                { "seed", 's', 0, G_OPTION_ARG_INT, &seed, "Seed of the mutations (1)", "N" },
                {},
        };
        g_autoptr(GOptionContext) context = g_option_context_new("FILE|FOLDER…");
        g_autoptr(GError) error = NULL;

        g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING);
        g_option_context_add_main_entries(context, entries, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error))
                g_error("%s", error->message);
        for (int i = 1; i < argc; i++) {
                if (g_file_test(argv[i], G_FILE_TEST_IS_DIR))
                        add_directory(corpus, argv[i]);
                else
                        add_file(corpus, argv[i]);
        }
        if (corpus->len == 0)
                g_error("no corpus, expected at least one file");
        g_ptr_array_sort(corpus, compare_bytes);

        printf("1..2\n");
        for (guint i = 0; i < corpus->len; i++)
                run_one(g_bytes_get_data(corpus->pdata[i], NULL), g_bytes_get_size(corpus->pdata[i]));
        printf("ok 1 - %u files of the corpus\n", corpus->len);
        (void) fflush(stdout);
        run_mutations(corpus);
        printf("ok 2 - %d mutations, seed %u\n", runs, seed);
        return EXIT_SUCCESS;
}
