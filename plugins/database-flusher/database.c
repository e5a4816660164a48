/* SPDX-License-Identifier: Apache-2.0 */

#include "database.h"

#include <limits.h>
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "databases.h"
#include "util/line.h"

#define ERROR_LENGTH_MAX 300
#define LOOK_MILLISECONDS 100

static const struct {
        const char *name;
        const Database *database;
} names[] = {
#if HAVE_MYSQL
        { "mysql", &database_mysql },
        { "mariadb", &database_mysql },
#else
        { "mysql", NULL },
        { "mariadb", NULL },
#endif
#if HAVE_POSTGRESQL
        { "postgresql", &database_postgresql },
        { "postgres", &database_postgresql },
#else
        { "postgresql", NULL },
        { "postgres", NULL },
#endif
#if HAVE_REDIS
        { "redis", &database_redis },
        { "valkey", &database_redis },
#else
        { "redis", NULL },
        { "valkey", NULL },
#endif
};

const Database *database_find(const char *name, gboolean *ret_known) {
        *ret_known = FALSE;
        for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
                if (g_str_equal(names[i].name, name)) {
                        *ret_known = TRUE;
                        return names[i].database;
                }
        return NULL;
}

/* Each once: some have two names, one after the other. */
static const Database *database_at(gsize i) {
        return i > 0 && names[i].database == names[i - 1].database ? NULL : names[i].database;
}

const Database *database_changed(void) {
        for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
                const Database *database = database_at(i);

                if (database && database->is_changed && database->is_changed())
                        return database;
        }
        return NULL;
}

void database_export(GString *text) {
        for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
                const Database *database = database_at(i);

                if (database && database->export)
                        database->export(text);
        }
}

gboolean database_import(const char *name, const char *value) {
        gboolean any = FALSE;

        for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
                const Database *database = database_at(i);

                if (!database || !database->import)
                        continue;
                if (database->import(name, value))
                        return TRUE;
                any = TRUE;
        }
        return !any;
}

gboolean flush_called_off(const Flush *flush) {
        return flush->called_off && g_atomic_int_get(flush->called_off);
}

int flush_left(const Flush *flush) {
        uint64_t left = usec_sub(flush->deadline, clock_monotonic()) / USEC_PER_MSEC;

        return flush_called_off(flush) ? 0 : (int) MIN(left, (uint64_t) INT_MAX);
}

short flush_poll(const Flush *flush, int fd, short events) {
        struct pollfd entry = { .fd = fd, .events = events };
        int left;

        while ((left = flush_left(flush)) > 0)
                if (poll(&entry, 1, MIN(left, LOOK_MILLISECONDS)) > 0)
                        return entry.revents;
        return 0;
}

gboolean flush_fail(GError **error, const char *const *secrets, const char *what, const char *detail) {
        g_autoptr(GString) text = g_string_new(detail);
        g_autofree char *valid = NULL;

        for (; secrets && *secrets; secrets++)
                if (**secrets)
                        g_string_replace(text, *secrets, "***", 0);
        valid = g_utf8_make_valid(text->str, (gssize) MIN(text->len, ERROR_LENGTH_MAX));
        line_clean(valid);
        g_strchomp(valid);
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s%s%s", what, *valid ? ": " : "", valid);
        return FALSE;
}
