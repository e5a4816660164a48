/* SPDX-License-Identifier: Apache-2.0 */

#include "util/secret.h"

#include <string.h>

#define SCHEME_END "://"

static const char *const secret_words[] = { "password", "passwd", "secret", "token",        "key",
                                            "credential", "connection_string", "dsn", NULL };

gboolean name_sounds_secret(const char *name) {
        g_autofree char *lower = g_ascii_strdown(name, -1);

        for (gsize i = 0; secret_words[i]; i++)
                if (strstr(lower, secret_words[i]))
                        return TRUE;
        return FALSE;
}

gboolean text_carries_credentials(const char *text) {
        while ((text = strstr(text, SCHEME_END))) {
                text += strlen(SCHEME_END);
                /* Where the host ends: an @ behind that is the path's. */
                if (text[strcspn(text, "@/?# \t\"'")] == '@')
                        return TRUE;
        }
        return FALSE;
}
