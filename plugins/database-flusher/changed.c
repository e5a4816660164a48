/* SPDX-License-Identifier: Apache-2.0 */

#include "changed.h"

#include <pthread.h>
#include <string.h>

#define DIGEST_LENGTH 64U

typedef struct Server {
        char *name;
        char *connection; /* NULL: not known */
        char *before[CHANGED_COUNT];
} Server;

/* Two for the rest of the machine's life, the last one until the pages are written. */
const char *const changed_names[CHANGED_COUNT] = {
        [CHANGED_COMMIT] = "innodb_flush_log_at_trx_commit",
        [CHANGED_SYNC] = "sync_binlog",
        [CHANGED_DIRTY] = "innodb_max_dirty_pages_pct",
};

static Server servers[CHANGED_SERVERS_MAX]; /* name NULL: free */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for a moment only: the loop takes it, too */

char *changed_server(const char *says) {
        return g_compute_checksum_for_string(G_CHECKSUM_SHA256, says, -1);
}

/* Locked. NULL: there is none. */
static Server *find(const char *name) {
        for (gsize i = 0; i < G_N_ELEMENTS(servers); i++)
                if (g_strcmp0(servers[i].name, name) == 0)
                        return &servers[i];
        return NULL;
}

static void wipe(char *secret) {
        if (secret)
                explicit_bzero(secret, strlen(secret));
        g_free(secret);
}

static void forget_if_unchanged(Server *server) {
        for (gsize i = 0; i < CHANGED_COUNT; i++)
                if (server->before[i])
                        return;
        wipe(server->connection);
        g_free(server->name);
        *server = (Server) {};
}

char *changed_get(const char *name, gsize i) {
        const Server *server;
        char *value;

        (void) pthread_mutex_lock(&lock);
        server = find(name);
        value = server ? g_strdup(server->before[i]) : NULL;
        (void) pthread_mutex_unlock(&lock);
        return value;
}

gboolean changed_put(const char *name, const char *connection, gsize i, const char *value) {
        Server *server;

        (void) pthread_mutex_lock(&lock);
        server = find(name) ?: find(NULL);
        if (server) {
                if (!server->name)
                        server->name = g_strdup(name);
                if (connection) {
                        wipe(server->connection);
                        server->connection = g_strdup(connection);
                }
                g_free(server->before[i]);
                server->before[i] = g_strdup(value);
        }
        (void) pthread_mutex_unlock(&lock);
        return server != NULL;
}

void changed_drop(const char *name, gsize i) {
        Server *server;

        (void) pthread_mutex_lock(&lock);
        server = find(name);
        if (server) {
                g_clear_pointer(&server->before[i], g_free);
                forget_if_unchanged(server);
        }
        (void) pthread_mutex_unlock(&lock);
}

char **changed_servers(void) {
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

        (void) pthread_mutex_lock(&lock);
        for (gsize i = 0; i < G_N_ELEMENTS(servers); i++)
                if (servers[i].name)
                        g_strv_builder_add(builder, servers[i].name);
        (void) pthread_mutex_unlock(&lock);
        return g_strv_builder_end(builder);
}

char *changed_connection(const char *name) {
        const Server *server;
        char *connection;

        (void) pthread_mutex_lock(&lock);
        server = find(name);
        connection = server ? g_strdup(server->connection) : NULL;
        (void) pthread_mutex_unlock(&lock);
        return connection;
}

void changed_export(GString *text) {
        (void) pthread_mutex_lock(&lock);
        for (gsize s = 0; s < G_N_ELEMENTS(servers); s++)
                for (gsize i = 0; i < CHANGED_COUNT; i++)
                        if (servers[s].before[i])
                                g_string_append_printf(text, "%s %s %s\n", changed_names[i], servers[s].before[i],
                                                       servers[s].name);
        (void) pthread_mutex_unlock(&lock);
}

gboolean changed_is_number(const char *text) {
        return *text && strspn(text, "0123456789.") == strlen(text);
}

static gboolean is_digest(const char *text) {
        return strlen(text) == DIGEST_LENGTH && strspn(text, "0123456789abcdef") == DIGEST_LENGTH;
}

gboolean changed_import(const char *name, const char *text) {
        g_auto(GStrv) words = g_strsplit(text, " ", 2);

        if (g_strv_length(words) < 2 || !changed_is_number(words[0]) || !is_digest(words[1]))
                return FALSE;
        for (gsize i = 0; i < CHANGED_COUNT; i++)
                if (g_str_equal(changed_names[i], name))
                        return changed_put(words[1], NULL, i, words[0]);
        return FALSE;
}
