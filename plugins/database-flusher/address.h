/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where a database is and who one is there, out of a text: a URI (mysql://user:password@host:3306/name, redis://host,
 * unix:///run/redis.sock), or as Go programs write it for MySQL (user:password@tcp(host:3306)/name,
 * user@unix(/run/mysqld/mysqld.sock)/). Pure. No message has a part of the text, which is a secret. */

#include <glib.h>

typedef struct Address {
        char *user, *password; /* NULL: none */
        char *host;            /* NULL: a socket */
        char *socket;          /* absolute path; NULL: a host */
        guint port;
        char *database;        /* NULL: none */
        gboolean tls;
} Address;

void address_clear(Address *address);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Address, address_clear)

/* schemes: NULL-terminated; those that end with "unix" name a socket by the path. */
gboolean address_parse_uri(const char *text, const char *const *schemes, guint port, Address *ret, GError **error);
gboolean address_parse_dsn(const char *text, guint port, Address *ret, GError **error);
