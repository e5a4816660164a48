/* SPDX-License-Identifier: Apache-2.0 */

#include "helper/texts.h"

#include <inttypes.h>
#include <string.h>

#include "base/names.h"
#include "helper/templates.h"

#define HEADER HELPER_MARK_UNIT "What changes it: sudo " SNOOZE_COMMAND " plugin permissions %s\n"

/* Of those that lie side by side. */
#define VERSION_LINE "# Version: "

static void append_limits(GString *text, const Limits *limits) {
        if (limits->memory_max > 0)
                g_string_append_printf(text, "MemoryMax=%" PRIu64 "\n", limits->memory_max);
        if (limits->cpu_percent > 0) {
                char number[G_ASCII_DTOSTR_BUF_SIZE];

                g_string_append_printf(text, "CPUQuota=%s%%\n",
                                       g_ascii_formatd(number, sizeof(number), "%.2f", limits->cpu_percent));
        }
        if (limits->tasks_max > 0)
                g_string_append_printf(text, "TasksMax=%" PRIu64 "\n", limits->tasks_max);
}

char *text_unit_limits(const Limits *limits) {
        g_autoptr(GString) text = g_string_new(NULL);

        append_limits(text, limits);
        if (text->len > 0)
                g_string_prepend(text, "# " HELPER_MARK ": the configured limits, which are within the "
                                       "manifest's.\n[Service]\n");
        return g_string_free(g_steal_pointer(&text), FALSE);
}

Limits text_read_limits(const char *text) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        Limits limits = {};

        for (char **line = lines; *line; line++)
                if (g_str_has_prefix(*line, "MemoryMax="))
                        limits.memory_max = g_ascii_strtoull(*line + strlen("MemoryMax="), NULL, 10);
                else if (g_str_has_prefix(*line, "CPUQuota="))
                        limits.cpu_percent = g_ascii_strtod(*line + strlen("CPUQuota="), NULL);
                else if (g_str_has_prefix(*line, "TasksMax="))
                        limits.tasks_max = g_ascii_strtoull(*line + strlen("TasksMax="), NULL, 10);
        return limits;
}

static gboolean below(const char *path, const char *directory) {
        size_t length = strlen(directory);

        return strncmp(path, directory, length) == 0 && path[length] == '/';
}

/* What the template hides: CloudSnooze's directories, and the sockets of name services. */
static const char *const hidden[] = { PKGSTATEDIR, PKGSYSCONFDIR, PKGRUNDIR };
static const char *const name_services[] = { "/run/systemd/resolve",   "/run/nscd",
                                             "/run/avahi-daemon",      "/run/snapd.socket",
                                             "/run/snapd-snap.socket", "/run/cups",
                                             "/run/rpcbind.sock" };

/* Anew where something of it is to be seen: what is below an inaccessible path cannot be mounted again. */
static void hide(GPtrArray *lines, const char *directory, gboolean names) {
        gboolean within = FALSE;

        for (size_t i = 0; i < G_N_ELEMENTS(hidden); i++)
                within |= below(directory, hidden[i]);
        if (!within && !names)
                return;
        g_ptr_array_add(lines, g_strdup("InaccessiblePaths="));
        for (size_t i = 0; i < G_N_ELEMENTS(hidden); i++)
                if (!below(directory, hidden[i]))
                        g_ptr_array_add(lines, g_strdup_printf("InaccessiblePaths=-%s", hidden[i]));
        for (size_t i = 0; i < G_N_ELEMENTS(name_services) && !names; i++)
                g_ptr_array_add(lines, g_strdup_printf("InaccessiblePaths=-%s", name_services[i]));
}

/* A plugin that lies in a hidden directory, or in a home, sees its own part of it: an empty file system in its place,
 * and that. */
static void show_directory(GPtrArray *lines, const char *directory) {
        static const char *const homes[] = { "/home", "/root", "/run/user" };

        for (size_t i = 0; i < G_N_ELEMENTS(hidden); i++)
                if (below(directory, hidden[i])) {
                        g_ptr_array_add(lines, g_strdup_printf("TemporaryFileSystem=%s:ro", hidden[i]));
                        g_ptr_array_add(lines, g_strdup_printf("BindReadOnlyPaths=%s", directory));
                }
        for (size_t i = 0; i < G_N_ELEMENTS(homes); i++)
                if (below(directory, homes[i])) {
                        g_ptr_array_add(lines, g_strdup("ProtectHome=tmpfs"));
                        g_ptr_array_add(lines, g_strdup_printf("BindReadOnlyPaths=%s", directory));
                }
}

static gboolean check_path(const char *path, GError **error) {
        if (permission_path_plain(path))
                return TRUE;
        g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_UNSAFE,
                    "%s: expected a path of letters, digits and ._+=@,- that can stand in a unit", path);
        return FALSE;
}

static gboolean add_program(const Grant *grant, GPtrArray *lines, GError **error) {
        g_autofree char *directory = g_path_get_dirname(grant->manifest->path);

        if (!check_path(directory, error) || !check_path(grant->manifest->exec, error))
                return FALSE;
        g_ptr_array_add(lines, g_strdup("ExecStart="));
        g_ptr_array_add(lines, g_strdup_printf("ExecStart=%s", grant->manifest->exec));
        hide(lines, directory, permission_reaches_everywhere(grant->permissions));
        show_directory(lines, directory);
        g_ptr_array_add(lines, g_strdup_printf("ExecPaths=%s", grant->manifest->exec));
        for (const char *const *program = grant->programs; program && *program; program++) {
                if (!check_path(*program, error))
                        return FALSE;
                g_ptr_array_add(lines, g_strdup_printf("ExecPaths=-%s", *program));
        }
        return TRUE;
}

char *text_unit_permissions(const Grant *grant, GError **error) {
        const Manifest *manifest = grant->manifest;
        const Limits limits = { manifest->memory_max, manifest->cpu_percent, manifest->tasks_max };
        g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GString) text = g_string_new(NULL);

        if (!add_program(grant, lines, error))
                return NULL;
        permission_directives(grant->permissions, grant->group_exists, grant->userdata, lines);

        g_string_append_printf(text, HEADER, manifest->id);
        if (manifest->versioned)
                g_string_append_printf(text, VERSION_LINE "%s\n", manifest->version);
        g_string_append(text, "[Service]\n");
        for (guint i = 0; i < lines->len; i++)
                g_string_append_printf(text, "%s\n", (char *) g_ptr_array_index(lines, i));
        append_limits(text, &limits);
        return g_string_free(g_steal_pointer(&text), FALSE);
}

gboolean text_is_written(const char *text) {
        return g_str_has_prefix(text, HELPER_MARK_UNIT) || strstr(text, HELPER_MARK_POLICY);
}

char *text_read_version(const char *text) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        for (char **line = lines; *line; line++)
                if (g_str_has_prefix(*line, VERSION_LINE))
                        return g_strdup(*line + strlen(VERSION_LINE));
        return NULL;
}

static char *fill(const char *template, const char *id, const char *permissions, const char *exec) {
        g_autoptr(GString) text = g_string_new(template);

        g_string_replace(text, "@id@", id, 0);
        g_string_replace(text, "@permissions@", permissions, 0);
        g_string_replace(text, "@exec@", exec, 0);
        return g_string_free(g_steal_pointer(&text), FALSE);
}

char *text_bus_policy(const Grant *grant) {
        g_autoptr(GPtrArray) rules = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GString) lines = g_string_new(NULL), text = NULL;
        g_autofree char *filled = NULL;

        permission_bus_rules(grant->permissions, rules);
        for (guint i = 0; i < rules->len; i++)
                g_string_append_printf(lines, "%s\n", (char *) g_ptr_array_index(rules, i));
        filled = fill(template_bus_policy, grant->manifest->id, lines->str, "");
        text = g_string_new(filled);
        /* Not before the declaration that XML begins with. */
        g_string_replace(text, "\n<busconfig>", HELPER_MARK_POLICY, 1);
        return g_string_free(g_steal_pointer(&text), FALSE);
}

char *text_bus_activation(const Grant *grant) {
        return fill(template_bus_activation, grant->manifest->id, "", grant->manifest->exec);
}

char *text_slot_activation(const Grant *grant, const char *slot) {
        g_autofree char *text = fill(template_slot_activation, grant->manifest->id, "", grant->manifest->exec);
        g_autoptr(GString) filled = g_string_new(text);

        g_string_replace(filled, "@slot@", slot, 0);
        return g_string_free(g_steal_pointer(&filled), FALSE);
}

char *text_user(const char *id) {
        return g_strdup_printf(
                "# " HELPER_MARK ".\nu " PLUGIN_USER_PREFIX "%s - \"CloudSnooze plugin %s\" - -\n", id, id);
}
