/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/config/config-load.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "util/file.h"
#include "util/json.h"

#define DROPINS_MAX 256U
#define PATCH_NAME "patch"

/* Texts with the strings they point to. */
typedef struct Chain {
        GArray *texts;
        GPtrArray *strings;
} Chain;

static void chain_init(Chain *chain) {
        chain->texts = g_array_new(FALSE, FALSE, sizeof(ConfigText));
        chain->strings = g_ptr_array_new_with_free_func(g_free);
}

static void chain_clear(Chain *chain) {
        g_clear_pointer(&chain->texts, g_array_unref);
        g_clear_pointer(&chain->strings, g_ptr_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Chain, chain_clear)

static void chain_add(Chain *chain, const char *name, char *text) {
        ConfigText entry = { g_strdup(name), text };

        g_ptr_array_add(chain->strings, (char *) entry.name);
        g_ptr_array_add(chain->strings, text);
        g_array_append_val(chain->texts, entry);
}

static Config *chain_parse(const Chain *chain, GError **error) {
        return config_parse((const ConfigText *) (void *) chain->texts->data, chain->texts->len, error);
}

static gboolean fail(GError **error, const char *path, const char *what) {
        g_set_error(error, CONFIG_ERROR, CONFIG_ERROR_FILE, "%s: %s", path, what);
        return FALSE;
}

/* FALSE and no error: there is no such file. */
static gboolean read_file(const char *path, char **ret_text, GError **error) {
        g_autoptr(GError) failure = NULL;
        struct stat st;
        gsize length;

        if (stat(path, &st) < 0)
                return errno == ENOENT || errno == ENOTDIR ? FALSE : fail(error, path, g_strerror(errno));
        if (!S_ISREG(st.st_mode))
                return fail(error, path, "not a regular file");
        if (st.st_mode & S_IWOTH)
                return fail(error, path, "writable by everybody, expected at most by its owner and group (chmod o-w)");
        if (!file_read(path, JSON_SIZE_MAX, ret_text, &length, &failure))
                return fail(error, path, failure->message);
        if (strlen(*ret_text) == length)
                return TRUE;
        g_clear_pointer(ret_text, g_free);
        return fail(error, path, "contains a zero byte, expected JSON");
}

static gboolean chain_read(Chain *chain, const char *path, GError **error) {
        g_autoptr(GError) failure = NULL;
        char *text = NULL;

        if (read_file(path, &text, &failure))
                chain_add(chain, path, text);
        else if (failure) {
                g_propagate_error(error, steal(failure));
                return FALSE;
        }
        return TRUE;
}

static gint compare_names(gconstpointer a, gconstpointer b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static gboolean chain_read_directory(Chain *chain, const char *directory, GError **error) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GError) failure = NULL;
        g_autoptr(GDir) dir = g_dir_open(directory, 0, &failure);
        const char *name;

        if (!dir) {
                if (g_error_matches(failure, G_FILE_ERROR, G_FILE_ERROR_NOENT))
                        return TRUE;
                return fail(error, directory, failure->message);
        }
        while ((name = g_dir_read_name(dir))) {
                if (name[0] == '.' || !g_str_has_suffix(name, ".json"))
                        continue;
                if (names->len >= DROPINS_MAX)
                        return fail(error, directory, "more than 256 files, expected fewer");
                g_ptr_array_add(names, g_strdup(name));
        }
        g_ptr_array_sort(names, compare_names);

        for (guint i = 0; i < names->len; i++) {
                g_autofree char *path = g_build_filename(directory, names->pdata[i], NULL);

                if (!chain_read(chain, path, error))
                        return FALSE;
        }
        return TRUE;
}

static gboolean chain_read_etc(Chain *chain, const ConfigPaths *paths, GError **error) {
        if (paths->file && !chain_read(chain, paths->file, error))
                return FALSE;
        return !paths->directory || chain_read_directory(chain, paths->directory, error);
}

Config *config_load(const ConfigPaths *paths, GError **error) {
        g_auto(Chain) chain = {};

        chain_init(&chain);
        if (!chain_read_etc(&chain, paths, error))
                return NULL;
        if (paths->state_file && !chain_read(&chain, paths->state_file, error))
                return NULL;
        return chain_parse(&chain, error);
}

static JsonNode *state_with_patch(const ConfigPaths *paths, const char *patch, GError **error) {
        g_autofree char *text = NULL;
        g_autoptr(GError) failure = NULL;
        g_autoptr(JsonNode) state = NULL, change = NULL;

        change = json_text_parse(PATCH_NAME, patch, -1, &failure);
        if (!change) {
                g_set_error_literal(error, CONFIG_ERROR, CONFIG_ERROR_SYNTAX, failure->message);
                return NULL;
        }
        if (!read_file(paths->state_file, &text, &failure)) {
                if (failure) {
                        g_propagate_error(error, steal(failure));
                        return NULL;
                }
                text = g_strdup("{}");
        }
        state = json_text_parse(paths->state_file, text, -1, &failure);
        if (!state) {
                g_set_error_literal(error, CONFIG_ERROR, CONFIG_ERROR_SYNTAX, failure->message);
                return NULL;
        }
        return json_merge_patch(state, change);
}

Config *config_try_patch(const ConfigPaths *paths, const char *patch, char **ret_state_text, GError **error) {
        g_autoptr(GError) failure = NULL;
        g_autoptr(JsonNode) state = NULL;
        g_autoptr(Config) alone = NULL;
        g_autoptr(Config) config = NULL;
        g_autofree char *text = NULL;
        g_auto(Chain) chain = {};

        g_return_val_if_fail(paths->state_file, NULL);

        /* Names, types and ranges of the patch by itself first: what is wrong with it is to be said of it, not of the
         * file that it would end up in. Conflicts between keys show only in the whole. */
        alone = config_parse(&(ConfigText) { PATCH_NAME, patch }, 1, &failure);
        if (!alone && !g_error_matches(failure, CONFIG_ERROR, CONFIG_ERROR_CONFLICT)) {
                g_propagate_error(error, steal(failure));
                return NULL;
        }

        state = state_with_patch(paths, patch, error);
        if (!state)
                return NULL;
        text = json_text_pretty(state);
        chain_init(&chain);
        if (!chain_read_etc(&chain, paths, error))
                return NULL;
        chain_add(&chain, paths->state_file, g_strdup(text));
        config = chain_parse(&chain, error);
        if (config && ret_state_text)
                *ret_state_text = steal(text);
        return steal(config);
}

char *config_good_text(const Config *config) {
        return json_object_text(config->merged);
}

gboolean config_save_good(const char *text, const char *path, GError **error) {
        /* Secrets of plugins are in it. */
        return file_write(path, text, strlen(text), 0600, error);
}

Config *config_load_good(const char *path, GError **error) {
        g_autoptr(GError) failure = NULL;
        g_autofree char *text = NULL;

        if (!read_file(path, &text, &failure)) {
                if (failure)
                        g_propagate_error(error, steal(failure));
                else
                        fail(error, path, "not there");
                return NULL;
        }
        return config_parse(&(ConfigText) { path, text }, 1, error);
}
