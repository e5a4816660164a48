/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The chain of files: snooze.json, snooze.d/ (the .json files in order of name), then the state directory's
 * snooze.json, where SetConfiguration keeps its changes. A missing file is no error, an unreadable one is. */

#include "daemon/config/config.h"

typedef struct ConfigPaths {
        const char *file;
        const char *directory;
        const char *state_file;
} ConfigPaths;

Config *config_load(const ConfigPaths *paths, GError **error);

/* The configuration as it would be with this merge patch (RFC 7396) on top of the state file: checked, not yet
 * written. */
Config *config_try_patch(const ConfigPaths *paths, const char *patch, char **ret_state_text, GError **error);

/* Last good configuration, for a start with a broken one: written after each successful load, read when config_load()
 * fails. */
gboolean config_save_good(const char *text, const char *path, GError **error);
char *config_good_text(const Config *config);
Config *config_load_good(const char *path, GError **error);
