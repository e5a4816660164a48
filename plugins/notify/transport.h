/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which way mail takes: to the server that smtp_url names, or through a sendmail. A plugin gains no privilege by
 * running a program, and one that puts mail into a queue by setuid or setgid needs some; the mail system whose it is
 * takes the same mail on port 25 of this machine. */

#include <glib.h>

typedef struct Transport {
        char *program;      /* a trusted sendmail; NULL where a server was named */
        const char *server; /* its URL: that of the settings, or of this machine; NULL: the program is run */
        char *domain;       /* of addresses that have none; NULL: they go as they are */
} Transport;

void transport_clear(Transport *transport);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Transport, transport_clear)

/* By the settings and by what the program is now. FALSE with an error that begins with the name of the setting. */
gboolean transport_choose(const char *smtp_url, const char *sendmail_path, Transport *ret, GError **error);

/* The program is not run, because it would work by privilege. */
gboolean transport_instead(const Transport *transport);

/* The addresses, each with a domain where there is one to give. Caller frees. */
char *transport_address(const Transport *transport, const char *address);
char **transport_addresses(const Transport *transport, const char *const *addresses);
