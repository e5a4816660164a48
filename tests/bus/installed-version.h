/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Programs of tests that are installed under one version after the other: each is what the plugin.json beside it said
 * when it was started. */

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* version: as it is where there is no such file. */
static inline void read_installed_version(char *version, size_t size) {
        static const char key[] = "\"version\": \"";
        char path[PATH_MAX] = "", text[65536] = "", *found, *slash;
        ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof("/plugin.json"));
        FILE *file;

        slash = n > 0 ? strrchr(path, '/') : NULL;
        if (!slash)
                return;
        strcpy(slash, "/plugin.json");
        file = fopen(path, "re");
        if (!file)
                return;
        (void) !fread(text, 1, sizeof(text) - 1, file);
        fclose(file);
        found = strstr(text, key);
        if (found)
                snprintf(version, size, "%.*s", (int) strcspn(found + strlen(key), "\""), found + strlen(key));
}
