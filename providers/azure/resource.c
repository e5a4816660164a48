/* SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "resource.h"

#define ID_MAX 512U
#define SEGMENT_MAX 90U /* of a resource group's name, the longest */
#define VIRTUAL_MACHINE "Microsoft.Compute/virtualMachines"
#define SCALE_SET_MACHINE "Microsoft.Compute/virtualMachineScaleSets/virtualMachines"

/* NULL: a name of somebody's choice. */
static const char *const machine_form[] = {
        "subscriptions", NULL, "resourceGroups", NULL, "providers", "Microsoft.Compute", "virtualMachines", NULL
};
static const char *const scale_set_form[] = {
        "subscriptions",           NULL, "resourceGroups",  NULL, "providers", "Microsoft.Compute",
        "virtualMachineScaleSets", NULL, "virtualMachines", NULL
};

/* Names may have letters of any alphabet. */
static bool is_name(const char *segment) {
        if (!*segment || strlen(segment) > SEGMENT_MAX * 4 || g_utf8_strlen(segment, -1) > SEGMENT_MAX ||
            segment[strspn(segment, ".")] == '\0')
                return false;
        for (const char *c = segment; *c; c = g_utf8_next_char(c))
                if (!g_unichar_isalnum(g_utf8_get_char(c)) && !strchr("._()-", *c))
                        return false;
        return true;
}

static bool has_form(char **segments, const char *const *form, size_t n) {
        if (g_strv_length(segments) != n)
                return false;
        for (size_t i = 0; i < n; i++)
                if (form[i] ? g_ascii_strcasecmp(segments[i], form[i]) != 0 : !is_name(segments[i]))
                        return false;
        return true;
}

static bool id_has_form(const char *id, const char *const *form, size_t n) {
        g_auto(GStrv) segments = NULL;

        if (id[0] != '/' || strlen(id) > ID_MAX || !g_utf8_validate(id, -1, NULL))
                return false;
        segments = g_strsplit(id + 1, "/", (int) n + 1);
        return has_form(segments, form, n);
}

static bool is_of_scale_set(const char *id) {
        return id_has_form(id, scale_set_form, G_N_ELEMENTS(scale_set_form));
}

bool resource_is_machine(const char *id) {
        return id_has_form(id, machine_form, G_N_ELEMENTS(machine_form)) || is_of_scale_set(id);
}

const char *resource_type(const char *id) {
        return is_of_scale_set(id) ? SCALE_SET_MACHINE : VIRTUAL_MACHINE;
}

char *resource_path(const char *id) {
        return g_uri_escape_string(id, "/()", FALSE);
}

bool resource_equal(const char *a, const char *b) {
        return a && b && g_ascii_strcasecmp(a, b) == 0;
}

bool action_matches(const char *pattern, const char *action) {
        g_autofree char *small_pattern = g_ascii_strdown(pattern, -1), *small_action = g_ascii_strdown(action, -1);

        /* GLib's patterns know a question mark, too; roles do not. */
        return !strchr(pattern, '?') && g_pattern_match_simple(small_pattern, small_action);
}
