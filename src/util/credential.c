/* SPDX-License-Identifier: Apache-2.0 */

#include "util/credential.h"

#include <string.h>

#include "util/file.h"

char *credential_read(const char *name, GError **error) {
        const char *directory = g_getenv("CREDENTIALS_DIRECTORY");
        g_autofree char *path = directory ? g_build_filename(directory, name, NULL) : NULL;
        g_autoptr(GError) problem = NULL;
        char *text;
        gsize size;

        if (!path)
                return NULL;
        if (!file_read(path, CREDENTIAL_MAX, &text, &size, &problem)) {
                if (!g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOENT))
                        g_propagate_error(error, g_steal_pointer(&problem));
                return NULL;
        }
        if (strlen(text) != size) {
                explicit_bzero(text, size);
                g_free(text);
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s: expected text", path);
                return NULL;
        }
        if (g_str_has_suffix(text, "\n"))
                text[size - 1] = '\0';
        return text;
}
