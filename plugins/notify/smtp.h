/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A mail handed to a server, by libcurl. It waits, so it is called in a thread. The URL may have a password: no
 * message has a part of it. */

#include <stdint.h>

#include <glib.h>

/* smtp://HOST[:PORT] of this machine, or any other with TLS: smtp:// then demands STARTTLS, smtps:// speaks it from
 * the start. */
gboolean smtp_url_valid(const char *url, GError **error);
gboolean smtp_url_is_local(const char *url);

/* Somebody listens there, at this moment. Only for a server of this machine, which is not waited for. */
gboolean smtp_is_served(const char *url);

/* deadline: monotonic µs. What does not last (no connection, a status of 4xx) is tried again. */
gboolean smtp_send(const char *url, const char *from, const char *const *recipients, const char *message,
                   uint64_t deadline, GError **error);
