/* SPDX-License-Identifier: Apache-2.0 */

/* Where a database is, as people write it, and that no message shows what they wrote. */

#include <string.h>

#include "address.h"

static const char *const schemes[] = { "redis", "unix", NULL };

typedef struct Expected {
        const char *text;
        const char *user, *password, *host, *socket;
        guint port;
        const char *database;
        gboolean tls;
} Expected;

static void expect(const Expected *e, gboolean dsn) {
        g_autoptr(GError) error = NULL;
        g_auto(Address) address = {};

        if (!(dsn ? address_parse_dsn(e->text, 3306, &address, &error)
                  : address_parse_uri(e->text, schemes, 6379, &address, &error)))
                g_error("%s: %s", e->text, error->message);
        g_assert_cmpstr(address.user, ==, e->user);
        g_assert_cmpstr(address.password, ==, e->password);
        g_assert_cmpstr(address.host, ==, e->host);
        g_assert_cmpstr(address.socket, ==, e->socket);
        g_assert_cmpstr(address.database, ==, e->database);
        g_assert_cmpint(address.tls, ==, e->tls);
        if (e->host)
                g_assert_cmpuint(address.port, ==, e->port);
}

static void test_uri(void) {
        static const Expected cases[] = {
                { "redis://localhost", NULL, NULL, "localhost", NULL, 6379, NULL },
                { "redis://localhost:6380/2", NULL, NULL, "localhost", NULL, 6380, "2" },
                { "redis://:p%40ss@10.0.0.1/", NULL, "p@ss", "10.0.0.1", NULL, 6379, NULL },
                { "redis://user:pass@[::1]:7000", "user", "pass", "::1", NULL, 7000, NULL },
                { "unix:///run/redis/redis.sock", NULL, NULL, NULL, "/run/redis/redis.sock", 0, NULL },
                { "unix://:pass@/run/redis.sock", NULL, "pass", NULL, "/run/redis.sock", 0, NULL },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
                expect(&cases[i], FALSE);
}

static void test_dsn(void) {
        static const Expected cases[] = {
                { "user:pass@tcp(localhost:3306)/mydb", "user", "pass", "localhost", NULL, 3306, "mydb" },
                { "user:p@ss:w/o?rd@tcp(db:3307)/mydb?parseTime=true&tls=true", "user", "p@ss:w/o?rd", "db", NULL,
                  3307, "mydb", TRUE },
                { "root@unix(/run/mysqld/mysqld.sock)/", "root", NULL, NULL, "/run/mysqld/mysqld.sock", 0, NULL },
                { "user@/db", "user", NULL, "127.0.0.1", NULL, 3306, "db" },
                { "/", NULL, NULL, "127.0.0.1", NULL, 3306, NULL },
                { "user:@tcp([::1]:1)/", "user", "", "::1", NULL, 1, NULL },
                { "user@tcp(host)/", "user", NULL, "host", NULL, 3306, NULL },
                { "user@tcp/", "user", NULL, "127.0.0.1", NULL, 3306, NULL },
                { "user@/db?tls=false", "user", NULL, "127.0.0.1", NULL, 3306, "db" },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
                expect(&cases[i], TRUE);
}

/* Each has the word secret somewhere, and no message has it. */
static void test_wrong(void) {
        static const char *const uris[] = {
                "secret",
                "http://secret@host",
                "redis://",
                "redis://secret@host:port",
                "redis://host/a/secret",
                "redis://host?x=secret",
                "redis://host#secret",
                "unix://secret/run/x",
                "unix:///",
                "redis://secret%zz@host",
                "rediss://secret@host",
                "redis://ho st/secret",
                "",
        };
        static const char *const dsns[] = {
                "secret",
                "u:secret@tcp(host:0)/",
                "u:secret@tcp(host:65536)/",
                "u:secret@tcp(host:x)/",
                "u:secret@tcp()/",
                "u:secret@udp(host:1)/",
                "u:secret@tcp(host:1/",
                "u:secret@unix(run)/",
                "u:secret@tcp([::1:1)/",
                "u:secret@tcp(h:1)/d?tls=skip-verify",
                "u:secret@h/",
                "u:secret@tcp(a b)/",
                "",
        };
        const struct {
                const char *const *texts;
                gsize n;
        } lists[] = { { uris, G_N_ELEMENTS(uris) }, { dsns, G_N_ELEMENTS(dsns) } };

        for (gsize l = 0; l < G_N_ELEMENTS(lists); l++)
                for (gsize i = 0; i < lists[l].n; i++) {
                        g_autoptr(GError) error = NULL;
                        g_auto(Address) address = {};
                        const char *text = lists[l].texts[i];

                        if (l == 0 ? address_parse_uri(text, schemes, 1, &address, &error)
                                   : address_parse_dsn(text, 1, &address, &error))
                                g_error("“%s” was taken", text);
                        g_assert_null(strstr(error->message, "secret"));
                        g_assert_null(address.user);
                }
}

static void test_a_socket_that_is_too_long(void) {
        g_autofree char *x = g_strnfill(200, 'x'), *text = g_strdup_printf("u@unix(/%s)/", x);
        g_autoptr(GError) error = NULL;
        g_auto(Address) address = {};

        g_assert_false(address_parse_dsn(text, 1, &address, &error));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/database-flusher/uri", test_uri);
        g_test_add_func("/database-flusher/dsn", test_dsn);
        g_test_add_func("/database-flusher/wrong", test_wrong);
        g_test_add_func("/database-flusher/a-socket-that-is-too-long", test_a_socket_that_is_too_long);
        return g_test_run();
}
