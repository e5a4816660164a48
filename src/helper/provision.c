/* SPDX-License-Identifier: Apache-2.0 */

/* The files of one plugin. All of them follow from its id, so that what was written is found again without a record
 * of it. */

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "helper/helper.h"
#include "util/file.h"

#define LIMITS_TEXT_MAX 4096U
#define APPROVALS PKGSYSCONFDIR "/" APPROVALS_DIRECTORY

static const char *const slots[] = { PLUGIN_UNIT_PREFIX, PLUGIN_B_UNIT_PREFIX };
static const char *const slot_names[] = { "a", "b" };

static char *user_path(const char *id) {
        return g_strdup_printf("/etc/sysusers.d/cloudsnooze-plugin-%s.conf", id);
}

static char *policy_path(const char *id) {
        return g_strdup_printf("/etc/dbus-1/system.d/" PLUGIN_NAME_PREFIX "%s.conf", id);
}

/* Of the directories that both bus daemons read the only one that no package owns. */
static char *activation_path(const char *id) {
        return g_strdup_printf("/usr/local/share/dbus-1/system-services/" PLUGIN_NAME_PREFIX "%s.service", id);
}

static char *slot_activation_path(const char *id, const char *slot) {
        return g_strdup_printf("/usr/local/share/dbus-1/system-services/" PLUGIN_NAME_PREFIX "%s.%s.service", id, slot);
}

/* An administrator's override.conf comes after both. */
static char *permissions_path(const char *slot, const char *id) {
        return g_strdup_printf("/etc/systemd/system/%s%s.service.d/10-permissions.conf", slot, id);
}

static char *limits_path(const char *slot, const char *id) {
        return g_strdup_printf("/etc/systemd/system/%s%s.service.d/20-limits.conf", slot, id);
}

static char *approvals_path(const char *id) {
        return g_strdup_printf(APPROVALS "/%s.json", id);
}

/* Beside it, for polkit's rule. */
static char *units_path(const char *id) {
        return g_strdup_printf(APPROVALS "/%s.units", id);
}

gboolean provision_present(const Places *places, const char *id) {
        g_autofree char *path = policy_path(id), *real = place_path(places, path);

        return access(real, F_OK) == 0;
}

static gboolean group_exists(const char *name, void *userdata) {
        const Places *places = userdata;
        g_autofree char *path = place_path(places, "/etc/group");
        _cleanup_(fclosep) FILE *file = fopen(path, "re");
        const struct group *entry;

        while (file && (entry = fgetgrent(file)))
                if (strcmp(entry->gr_name, name) == 0)
                        return TRUE;
        return FALSE;
}

/* Takes the path. */
static gboolean write_file(const Places *places, char *path, const char *text, unsigned what, unsigned *changed,
                           GError **error) {
        g_autofree char *owned = path;
        gboolean written = FALSE;

        if (!place_write(places, owned, text, &written, error))
                return FALSE;
        *changed |= written ? what : 0;
        return TRUE;
}

/* Nobody has to be told: it is read each time. The directory stays where the last list goes. */
static gboolean write_list(const Places *places, char *path, const char *text, GError **error) {
        g_autofree char *owned = path;
        gboolean changed = FALSE;

        return *text ? place_write(places, owned, text, &changed, error) : place_remove(places, owned, FALSE, &changed, error);
}

static gboolean remove_file(const Places *places, char *path, gboolean with_directory, unsigned what,
                            unsigned *changed, GError **error) {
        g_autofree char *owned = path;
        gboolean removed = FALSE;

        if (!place_remove(places, owned, with_directory, &removed, error))
                return FALSE;
        *changed |= removed ? what : 0;
        return TRUE;
}

Approvals *provision_approvals(const Places *places, const char *id, GError **error) {
        g_autofree char *directory = place_path(places, APPROVALS);

        if (!place_trusted(places, APPROVALS, error))
                return NULL;
        return approvals_load(directory, id, places->also, error);
}

static gboolean write_units(const Places *places, const char *id, const char *unit, unsigned *changed,
                            GError **error) {
        for (size_t i = 0; i < G_N_ELEMENTS(slots); i++)
                if (!write_file(places, permissions_path(slots[i], id), unit, RELOAD_UNITS, changed, error))
                        return FALSE;
        return TRUE;
}

/* Limits that were configured within those of an earlier manifest. */
static gboolean keep_within(const Places *places, const Manifest *manifest, unsigned *changed, GError **error) {
        g_autofree char *path = limits_path(slots[0], manifest->id), *real = place_path(places, path), *text = NULL;
        const Limits allowed = limits_allowed(manifest);
        Limits limits;

        if (!file_read(real, LIMITS_TEXT_MAX, &text, NULL, NULL))
                return TRUE;
        limits = text_read_limits(text);
        limits.memory_max = MIN(limits.memory_max, allowed.memory_max);
        limits.cpu_percent = MIN(limits.cpu_percent, allowed.cpu_percent);
        limits.tasks_max = MIN(limits.tasks_max, allowed.tasks_max);
        return provision_limit(places, manifest->id, &limits, changed, error);
}

static gboolean write_activation(const Places *places, const Grant *grant, unsigned *changed, GError **error) {
        const char *id = grant->manifest->id;
        g_autofree char *activation = text_bus_activation(grant);

        for (size_t i = 0; i < G_N_ELEMENTS(slot_names); i++) {
                g_autofree char *text = text_slot_activation(grant, slot_names[i]);

                if (!write_file(places, slot_activation_path(id, slot_names[i]), text, RELOAD_BUS, changed, error))
                        return FALSE;
        }
        return write_file(places, activation_path(id), activation, RELOAD_BUS, changed, error);
}

static gboolean remove_activation(const Places *places, const char *id, unsigned *changed, GError **error) {
        for (size_t i = 0; i < G_N_ELEMENTS(slot_names); i++)
                if (!remove_file(places, slot_activation_path(id, slot_names[i]), FALSE, RELOAD_BUS, changed, error))
                        return FALSE;
        return remove_file(places, activation_path(id), FALSE, RELOAD_BUS, changed, error);
}

/* What grants comes first and what makes it startable last: killed half-way, there is no plugin that runs with more
 * or less than this. */
gboolean provision_apply(const Places *places, const Manifest *manifest, const Approvals *approvals, unsigned *changed,
                         GError **error) {
        g_auto(GStrv) granted = approvals_granted(approvals, manifest), programs = interpreters(manifest->exec);
        const Grant grant = { manifest, (const char *const *) granted, (const char *const *) programs, group_exists,
                              (void *) places };
        g_autofree char *user = text_user(manifest->id), *unit = text_unit_permissions(&grant, error);
        g_autofree char *policy = text_bus_policy(&grant), *units = permission_units(grant.permissions);

        return unit && write_units(places, manifest->id, unit, changed, error) &&
               keep_within(places, manifest, changed, error) &&
               write_file(places, user_path(manifest->id), user, RELOAD_USERS, changed, error) &&
               write_list(places, units_path(manifest->id), units, error) &&
               write_file(places, policy_path(manifest->id), policy, RELOAD_BUS, changed, error) &&
               write_activation(places, &grant, changed, error);
}

gboolean provision_approve(const Places *places, const Manifest *manifest, const char *const *permissions,
                           GError **error) {
        g_autofree char *text = approvals_text(manifest->digest, permissions), *path = approvals_path(manifest->id);
        gboolean changed = FALSE;

        return place_write(places, path, text, &changed, error);
}

gboolean provision_limit(const Places *places, const char *id, const Limits *limits, unsigned *changed,
                         GError **error) {
        g_autofree char *text = text_unit_limits(limits);

        for (size_t i = 0; i < G_N_ELEMENTS(slots); i++)
                if (!write_file(places, limits_path(slots[i], id), text, RELOAD_UNITS, changed, error))
                        return FALSE;
        return TRUE;
}

gboolean provision_remove(const Places *places, const char *id, unsigned *changed, GError **error) {
        if (!remove_activation(places, id, changed, error) ||
            !remove_file(places, units_path(id), FALSE, 0, changed, error) ||
            !remove_file(places, approvals_path(id), FALSE, 0, changed, error))
                return FALSE;
        for (size_t i = 0; i < G_N_ELEMENTS(slots); i++)
                if (!remove_file(places, limits_path(slots[i], id), TRUE, RELOAD_UNITS, changed, error) ||
                    !remove_file(places, permissions_path(slots[i], id), TRUE, RELOAD_UNITS, changed, error))
                        return FALSE;
        return remove_file(places, policy_path(id), FALSE, RELOAD_BUS, changed, error) &&
               remove_file(places, user_path(id), FALSE, RELOAD_USERS, changed, error);
}
