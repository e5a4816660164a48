/* SPDX-License-Identifier: Apache-2.0 */

#include "util/host.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

gboolean host_is_loopback(const char *host) {
        size_t length = strlen(host);
        g_autofree char *bare = length > 2 && host[0] == '[' && host[length - 1] == ']'
                                        ? g_strndup(host + 1, length - 2)
                                        : g_strdup(host);
        struct in6_addr six;
        struct in_addr four;

        if (g_ascii_strcasecmp(bare, "localhost") == 0)
                return TRUE;
        if (inet_pton(AF_INET, bare, &four) == 1)
                return ntohl(four.s_addr) >> 24 == IN_LOOPBACKNET;
        return inet_pton(AF_INET6, bare, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}
