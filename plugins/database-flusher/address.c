/* SPDX-License-Identifier: Apache-2.0 */

#include "address.h"

#include <string.h>

static void wipe(char **text) {
        if (*text)
                explicit_bzero(*text, strlen(*text));
        g_clear_pointer(text, g_free);
}

void address_clear(Address *address) {
        wipe(&address->user);
        wipe(&address->password);
        wipe(&address->host);
        wipe(&address->socket);
        wipe(&address->database);
        *address = (Address) {};
}

static gboolean wrong(GError **error, const char *what) {
        g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, what);
        return FALSE;
}

static gboolean host_valid(const char *host) {
        return *host &&
               host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%")] == '\0';
}

/* The path of a socket, of a length that fits into its address. */
static gboolean set_socket(Address *address, const char *path, GError **error) {
        if (!g_path_is_absolute(path) || g_str_has_suffix(path, "/") || strlen(path) >= 108)
                return wrong(error, "expected the absolute path of a socket");
        address->socket = g_strdup(path);
        return TRUE;
}

static gboolean fill(GUri *uri, guint port, Address *ret, GError **error) {
        const char *path = g_uri_get_path(uri), *host = g_uri_get_host(uri);

        if (g_uri_get_query(uri) || g_uri_get_fragment(uri))
                return wrong(error, "expected no ? and no # in it");
        ret->user = g_uri_get_user(uri) && *g_uri_get_user(uri) ? g_strdup(g_uri_get_user(uri)) : NULL;
        ret->password = g_strdup(g_uri_get_password(uri));
        if (g_str_has_suffix(g_uri_get_scheme(uri), "unix"))
                return host && *host ? wrong(error, "expected three slashes before the path of a socket")
                                     : set_socket(ret, path, error);
        if (!host || !host_valid(host))
                return wrong(error, "expected a host behind ://");
        ret->host = g_strdup(host);
        ret->port = g_uri_get_port(uri) > 0 ? (guint) g_uri_get_port(uri) : port;
        if (strlen(path) > 1)
                ret->database = g_strdup(path + 1);
        if (ret->database && strchr(ret->database, '/'))
                return wrong(error, "expected one name behind the host");
        return TRUE;
}

gboolean address_parse_uri(const char *text, const char *const *schemes, guint port, Address *ret, GError **error) {
        g_autoptr(GUri) uri = g_uri_parse(text, G_URI_FLAGS_HAS_PASSWORD, NULL);
        g_auto(Address) address = {};

        if (!uri || !g_strv_contains(schemes, g_uri_get_scheme(uri))) {
                g_autofree char *joined = g_strjoinv(":// or ", (char **) schemes);

                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "expected a URI that begins with %s://", joined);
                return FALSE;
        }
        if (!fill(uri, port, &address, error))
                return FALSE;
        *ret = address;
        address = (Address) {};
        return TRUE;
}

/* "host:3306", "[::1]:3306", "host" */
static gboolean parse_host(const char *text, guint port, Address *address, GError **error) {
        const char *colon = strrchr(text, ':'), *bracket = strrchr(text, ']');
        guint64 number;

        address->port = port;
        if (colon && (!bracket || colon > bracket)) {
                if (!g_ascii_string_to_unsigned(colon + 1, 10, 1, 65535, &number, NULL))
                        return wrong(error, "expected a port of 1 to 65535 behind the host");
                address->port = (guint) number;
                address->host = g_strndup(text, (gsize) (colon - text));
        } else
                address->host = g_strdup(text);
        if (address->host[0] == '[') {
                size_t length = strlen(address->host);

                if (address->host[length - 1] != ']')
                        return wrong(error, "expected ] behind the address");
                memmove(address->host, address->host + 1, length - 2);
                address->host[length - 2] = '\0';
        }
        return host_valid(address->host) ? TRUE : wrong(error, "expected a host between ( and )");
}

static gboolean parse_network(const char *text, guint port, Address *address, GError **error) {
        g_autofree char *inner = NULL;
        size_t length = strlen(text);

        if (length == 0 || g_str_equal(text, "tcp"))
                return parse_host("127.0.0.1", port, address, error);
        if (text[length - 1] != ')' || !(g_str_has_prefix(text, "tcp(") || g_str_has_prefix(text, "unix(")))
                return wrong(error, "expected tcp(HOST:PORT) or unix(PATH) behind the @");
        inner = g_strndup(strchr(text, '(') + 1, length - (size_t) (strchr(text, '(') - text) - 2);
        return text[0] == 't' ? parse_host(inner, port, address, error) : set_socket(address, inner, error);
}

/* What Go's programs say about how they read is of no importance; whether the way is private is. */
static gboolean parse_parameters(const char *text, Address *address, GError **error) {
        g_auto(GStrv) parameters = g_strsplit(text, "&", -1);

        for (char **parameter = parameters; *parameter; parameter++) {
                if (!g_str_has_prefix(*parameter, "tls=") || g_str_equal(*parameter, "tls=false"))
                        continue;
                if (!g_str_equal(*parameter, "tls=true"))
                        return wrong(error, "of tls only true (verified) and false are known");
                address->tls = TRUE;
        }
        return TRUE;
}

gboolean address_parse_dsn(const char *text, guint port, Address *ret, GError **error) {
        /* Of all these characters a password may have any; a name of a database has none. */
        const char *slash = strrchr(text, '/'), *question, *at;
        g_autofree char *head = NULL, *network = NULL;
        g_auto(Address) address = {};
        char *colon;

        if (!slash)
                return wrong(error, "expected USER:PASSWORD@tcp(HOST:PORT)/NAME or USER@unix(PATH)/NAME");
        question = strchr(slash, '?');
        head = g_strndup(text, (gsize) (slash - text));
        at = strrchr(head, '@');
        network = g_strdup(at ? at + 1 : head);
        if (at) {
                address.user = g_strndup(head, (gsize) (at - head));
                colon = strchr(address.user, ':');
                if (colon) {
                        address.password = g_strdup(colon + 1);
                        explicit_bzero(colon, strlen(colon));
                }
        }
        explicit_bzero(head, strlen(head));
        address.database = g_strndup(slash + 1, question ? (gsize) (question - slash - 1) : strlen(slash + 1));
        if (!*address.database)
                g_clear_pointer(&address.database, g_free);
        if (!parse_network(network, port, &address, error) ||
            (question && !parse_parameters(question + 1, &address, error)))
                return FALSE;
        *ret = address;
        address = (Address) {};
        return TRUE;
}
