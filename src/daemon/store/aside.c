/* SPDX-License-Identifier: Apache-2.0 */

/* A broken database is evidence, and somebody may want to rescue it; but a disk that breaks one after the other must not be filled up
 * with them. */

#include "daemon/store/database.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "base/clock.h"

#define BROKEN_PREFIX DATABASE_NAME ".broken-"
#define BROKEN_KEPT 3U

static gint compare_names(gconstpointer a, gconstpointer b) {
        return strcmp(*(const char *const *) b, *(const char *const *) a);
}

/* The times have one length, so their order is that of the names. */
static void remove_old(const char *directory) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
        const char *name;

        while (dir && (name = g_dir_read_name(dir)))
                if (g_str_has_prefix(name, BROKEN_PREFIX))
                        g_ptr_array_add(names, g_strdup(name));
        g_ptr_array_sort(names, compare_names);
        for (unsigned i = BROKEN_KEPT; i < names->len; i++) {
                g_autofree char *path = g_build_filename(directory, names->pdata[i], NULL);

                (void) g_unlink(path);
        }
}

gboolean database_put_aside(const char *directory, uint64_t realtime, char **ret_name, GError **error) {
        g_autofree char *path = g_build_filename(directory, DATABASE_NAME, NULL);
        g_autofree char *name = g_strdup_printf(BROKEN_PREFIX "%012" G_GUINT64_FORMAT, realtime / USEC_PER_SEC);
        g_autofree char *aside = g_build_filename(directory, name, NULL);
        static const char *const journals[] = { "-wal", "-shm" };

        if (g_rename(path, aside) < 0) {
                g_set_error(error, DATABASE_ERROR, DATABASE_ERROR_FAILED, "%s is broken and cannot be put aside: %s", path,
                            g_strerror(errno));
                return FALSE;
        }
        /* The journal of the old file must not be taken for the new one's. */
        for (size_t i = 0; i < G_N_ELEMENTS(journals); i++) {
                g_autofree char *journal = g_strconcat(path, journals[i], NULL);

                (void) g_unlink(journal);
        }
        remove_old(directory);
        *ret_name = g_steal_pointer(&name);
        return TRUE;
}
