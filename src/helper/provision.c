/* SPDX-License-Identifier: Apache-2.0 */

/* The files of one plugin. All of them follow from its id, so that what was written is found again without a record
 * of it. */

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/journal.h"
#include "base/names.h"
#include "helper/helper.h"
#include "manifest/permission.h"
#include "util/file.h"

#define LIMITS_TEXT_MAX 4096U
#define UNIT_TEXT_MAX 65536U
#define APPROVALS PKGSYSCONFDIR "/" APPROVALS_DIRECTORY

static const char *const slots[] = { PLUGIN_UNIT_PREFIX, PLUGIN_B_UNIT_PREFIX };
static const char *const slot_names[] = { "a", "b" };

static char *user_path(const char *id) {
        return g_strdup_printf("/etc/sysusers.d/cloudsnooze-plugin-%s.conf", id);
}

static char *policy_path(const char *id) {
        return g_strdup_printf(POLICY_DIRECTORY "/" PLUGIN_NAME_PREFIX "%s.conf", id);
}

/* Of the directories that both bus daemons read the only one that no package owns. */
static char *activation_path(const char *id) {
        return g_strdup_printf("/usr/local/share/dbus-1/system-services/" PLUGIN_NAME_PREFIX "%s.service", id);
}

static char *slot_activation_path(const char *id, const char *slot) {
        return g_strdup_printf("/usr/local/share/dbus-1/system-services/" PLUGIN_NAME_PREFIX "%s.%s.service", id,
                               slot);
}

/* An administrator's override.conf comes after both. */
static char *permissions_path(const char *slot, const char *id) {
        return g_strdup_printf(UNIT_DIRECTORY "/%s%s.service.d/" PERMISSIONS_DROP_IN, slot, id);
}

static char *limits_path(const char *slot, const char *id) {
        return g_strdup_printf(UNIT_DIRECTORY "/%s%s.service.d/20-limits.conf", slot, id);
}

static char *approvals_path(const char *id) {
        return g_strdup_printf(APPROVALS "/%s.json", id);
}

/* Beside it, for polkit's rule. */
static char *units_path(const char *id) {
        return g_strdup_printf(APPROVALS "/%s.units", id);
}

static gboolean file_there(const Places *places, const char *path) {
        g_autofree char *real = place_path(places, path);

        return access(real, F_OK) == 0;
}

/* The user's file is the first of the two to be written, and the last of all to be removed. */
gboolean provision_present(const Places *places, const char *id) {
        g_autofree char *user = user_path(id), *policy = policy_path(id);

        return file_there(places, user) || file_there(places, policy);
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

        return *text ? place_write(places, owned, text, &changed, error)
                     : place_remove(places, owned, FALSE, &changed, error);
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

static gboolean in_slots(Slots which, size_t i) {
        return (which & (1U << i)) != 0;
}

static gboolean write_units(const Places *places, const char *id, Slots which, const char *unit, unsigned *changed,
                            GError **error) {
        for (size_t i = 0; i < G_N_ELEMENTS(slots); i++)
                if (in_slots(which, i) &&
                    !write_file(places, permissions_path(slots[i], id), unit, RELOAD_UNITS, changed, error))
                        return FALSE;
        return TRUE;
}

char *provision_pinned(const Places *places, const char *id, Slots slot) {
        g_autofree char *path = permissions_path(slots[slot == SLOT_A ? 0 : 1], id), *real = place_path(places, path),
                        *text = NULL;

        return file_read(real, UNIT_TEXT_MAX, &text, NULL, NULL) ? text_read_version(text) : NULL;
}

static Manifest *pinned_manifest(const Places *places, const char *id, Slots slot) {
        g_autofree char *version = provision_pinned(places, id, slot);

        return version ? plugin_find_version(places, id, version, NULL) : NULL;
}

static gboolean limit_slot(const Places *places, const Manifest *manifest, size_t i, Limits limits, unsigned *changed,
                           GError **error) {
        const Limits allowed = limits_allowed(manifest);
        g_autofree char *text = NULL;

        limits.memory_max = MIN(limits.memory_max, allowed.memory_max);
        limits.cpu_percent = MIN(limits.cpu_percent, allowed.cpu_percent);
        limits.tasks_max = MIN(limits.tasks_max, allowed.tasks_max);
        text = text_unit_limits(&limits);
        return write_file(places, limits_path(slots[i], manifest->id), text, RELOAD_UNITS, changed, error);
}

/* Limits that were configured within those of an earlier manifest. */
static gboolean keep_within(const Places *places, const Manifest *manifest, Slots which, unsigned *changed,
                            GError **error) {
        for (size_t i = 0; i < G_N_ELEMENTS(slots); i++) {
                g_autofree char *path = limits_path(slots[i], manifest->id), *real = place_path(places, path),
                                *text = NULL;

                if (in_slots(which, i) && file_read(real, LIMITS_TEXT_MAX, &text, NULL, NULL) &&
                    !limit_slot(places, manifest, i, text_read_limits(text), changed, error))
                        return FALSE;
        }
        return TRUE;
}

/* The plugin's own name starts the first slot, with systemd and without. */
static gboolean write_activation(const Places *places, const Grant *grant, Slots which, unsigned *changed,
                                 GError **error) {
        const char *id = grant->manifest->id;
        g_autofree char *activation = text_bus_activation(grant);

        for (size_t i = 0; i < G_N_ELEMENTS(slot_names); i++) {
                g_autofree char *text = text_slot_activation(grant, slot_names[i]);

                if (in_slots(which, i) &&
                    !write_file(places, slot_activation_path(id, slot_names[i]), text, RELOAD_BUS, changed, error))
                        return FALSE;
        }
        return !(which & SLOT_A) || write_file(places, activation_path(id), activation, RELOAD_BUS, changed, error);
}

static gboolean remove_activation(const Places *places, const char *id, unsigned *changed, GError **error) {
        for (size_t i = 0; i < G_N_ELEMENTS(slot_names); i++)
                if (!remove_file(places, slot_activation_path(id, slot_names[i]), FALSE, RELOAD_BUS, changed, error))
                        return FALSE;
        return remove_file(places, activation_path(id), FALSE, RELOAD_BUS, changed, error);
}

static void add_granted(GPtrArray *list, const Approvals *approvals, const Manifest *manifest) {
        g_auto(GStrv) granted = approvals_granted(approvals, manifest);

        for (char **permission = granted; *permission; permission++)
                if (!g_ptr_array_find_with_equal_func(list, *permission, g_str_equal, NULL))
                        g_ptr_array_add(list, g_strdup(*permission));
}

/* Both versions have one user, and with it one policy and one list of units, while one replaces the other. */
static gboolean write_policy(const Places *places, const Manifest *manifest, const Approvals *approvals, Slots which,
                             unsigned *changed, GError **error) {
        g_autoptr(GPtrArray) granted = g_ptr_array_new_with_free_func(g_free);
        Grant grant = { .manifest = manifest };
        g_autofree char *policy = NULL, *units = NULL;

        add_granted(granted, approvals, manifest);
        for (size_t i = 0; i < G_N_ELEMENTS(slots); i++) {
                g_autoptr(Manifest) other = in_slots(which, i) ? NULL : pinned_manifest(places, manifest->id, 1U << i);

                if (other)
                        add_granted(granted, approvals, other);
        }
        g_ptr_array_add(granted, NULL);
        grant.permissions = (const char *const *) granted->pdata;
        policy = text_bus_policy(&grant);
        units = permission_units(grant.permissions);
        return write_list(places, units_path(manifest->id), units, error) &&
               write_file(places, policy_path(manifest->id), policy, RELOAD_BUS, changed, error);
}

/* What runs its program, where that is a script, and of the programs that it may run those that are. */
static char **list_programs(const Places *places, const Manifest *manifest, char *const *granted) {
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
        g_auto(GStrv) own = interpreters(places, manifest->exec);

        g_strv_builder_addv(builder, (const char **) own);
        for (; *granted; granted++) {
                const char *program = permission_program(*granted);
                g_auto(GStrv) runners = program ? interpreters_granted(places, program) : NULL;

                if (runners)
                        g_strv_builder_addv(builder, (const char **) runners);
        }
        return g_strv_builder_end(builder);
}

/* What grants comes first and what makes it startable last: killed half-way, there is no plugin that runs with more
 * or less than this. */
gboolean provision_apply(const Places *places, const Manifest *manifest, const Approvals *approvals, Slots which,
                         unsigned *changed, GError **error) {
        g_auto(GStrv) granted = approvals_granted(approvals, manifest),
                      programs = list_programs(places, manifest, granted);
        const Grant grant = { manifest, (const char *const *) granted, (const char *const *) programs, group_exists,
                              (void *) places };
        g_autofree char *user = text_user(manifest->id), *unit = text_unit_permissions(&grant, error);

        return unit && write_units(places, manifest->id, which, unit, changed, error) &&
               keep_within(places, manifest, which, changed, error) &&
               write_file(places, user_path(manifest->id), user, RELOAD_USERS, changed, error) &&
               write_policy(places, manifest, approvals, which, changed, error) &&
               write_activation(places, &grant, which, changed, error);
}

gboolean provision_refresh(const Places *places, const Manifest *manifest, const Approvals *approvals,
                           unsigned *changed, GError **error) {
        for (size_t i = 0; i < G_N_ELEMENTS(slots); i++) {
                g_autoptr(Manifest) pinned = pinned_manifest(places, manifest->id, 1U << i);

                if (!provision_apply(places, pinned ?: manifest, approvals, 1U << i, changed, error))
                        return FALSE;
        }
        return TRUE;
}

typedef struct Asking {
        GPtrArray *manifests; /* of all versions that are there and can be read */
        char *unreadable;     /* the last version that cannot */
        const char *id;
} Asking;

static void asking_clear(Asking *asking) {
        g_clear_pointer(&asking->manifests, g_ptr_array_unref);
        g_clear_pointer(&asking->unreadable, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Asking, asking_clear)

static void manifest_free_one(void *manifest) {
        manifest_free(manifest);
}

/* directory: where its versions are; NULL: it has none. also: NULL, or one that is there. */
static void read_asking(Asking *ret, const Places *places, const char *directory, const char *id, Manifest *also) {
        g_autofree char *real = directory ? place_path(places, directory) : NULL;
        g_auto(GStrv) versions = real ? manifest_versions(real, id) : g_new0(char *, 1);

        *ret = (Asking){ .manifests = g_ptr_array_new_with_free_func(manifest_free_one), .id = id };
        if (also)
                g_ptr_array_add(ret->manifests, manifest_ref(also));
        for (char **version = versions; *version; version++) {
                Manifest *manifest = plugin_read_version(places, directory, id, *version);

                if (manifest)
                        g_ptr_array_add(ret->manifests, manifest);
                else {
                        g_free(ret->unreadable);
                        ret->unreadable = g_strdup(*version);
                }
        }
}

/* One whose plugin.json cannot be read may ask for anything: root alone can have broken that, and who mends it wants
 * what it had. */
static gboolean is_asked_for(const char *permission, void *userdata) {
        const Asking *asking = userdata;

        for (guint i = 0; i < asking->manifests->len; i++) {
                const Manifest *manifest = g_ptr_array_index(asking->manifests, i);

                if (g_strv_contains((const char *const *) manifest->permissions, permission))
                        return TRUE;
        }
        if (asking->unreadable)
                log_notice("Version %s of plugin %s cannot be read and may ask for anything: %s stays approved.",
                           asking->unreadable, asking->id, permission);
        return asking->unreadable != NULL;
}

static gboolean write_approvals(const Places *places, const char *id, const Approvals *approvals, GError **error) {
        g_autofree char *path = approvals_path(id), *text = approvals_text(approvals);
        gboolean changed = FALSE;

        return place_write(places, path, text, &changed, error);
}

static gboolean narrow(const Places *places, Asking *asking, Approvals *approvals, GError **error) {
        g_auto(GStrv) dropped = approvals_narrow(approvals, is_asked_for, asking);
        g_autofree char *list = g_strjoinv(" ", dropped);

        if (!dropped[0])
                return TRUE;
        if (!write_approvals(places, asking->id, approvals, error))
                return FALSE;
        log_notice("Plugin %s does not ask any more for: %s. What of it comes later and does is to be approved anew.",
                   asking->id, list);
        return TRUE;
}

gboolean provision_narrow(const Places *places, Manifest *manifest, Approvals *approvals, GError **error) {
        gboolean packaged;
        g_autofree char *directory = plugin_directory(places, manifest->id, &packaged, error);
        g_auto(Asking) asking = {};

        if (!directory)
                return FALSE;
        read_asking(&asking, places, manifest->versioned ? directory : NULL, manifest->id, manifest);
        return narrow(places, &asking, approvals, error);
}

gboolean provision_narrow_installed(const Places *places, const char *id, GError **error) {
        g_autoptr(Approvals) approvals = provision_approvals(places, id, error);
        g_auto(Asking) asking = {};

        if (!approvals)
                return FALSE;
        read_asking(&asking, places, INSTALLED_PLUGINS, id, NULL);
        return narrow(places, &asking, approvals, error);
}

gboolean provision_approve(const Places *places, Manifest *manifest, const char *const *permissions, GError **error) {
        g_autoptr(GError) e = NULL;
        g_autoptr(Approvals) approvals = provision_approvals(places, manifest->id, &e);
        g_autofree char *directory = NULL;
        g_auto(Asking) asking = {};
        gboolean packaged;

        directory = plugin_directory(places, manifest->id, &packaged, error);
        if (!directory)
                return FALSE;
        if (!approvals) {
                log_warning("What was approved of plugin %s before is not kept: %s", manifest->id, e->message);
                approvals = approvals_new();
        }
        read_asking(&asking, places, manifest->versioned ? directory : NULL, manifest->id, manifest);
        g_strfreev(approvals_narrow(approvals, is_asked_for, &asking));
        approvals_approve(approvals, manifest, permissions);
        return write_approvals(places, manifest->id, approvals, error);
}

/* Each slot has the limits of what it is to run as its bound. */
gboolean provision_limit(const Places *places, const char *id, const Limits *limits, unsigned *changed,
                         GError **error) {
        for (size_t i = 0; i < G_N_ELEMENTS(slots); i++) {
                g_autoptr(Manifest) pinned = pinned_manifest(places, id, 1U << i);
                g_autofree char *text = text_unit_limits(limits);

                if (pinned ? !limit_slot(places, pinned, i, *limits, changed, error)
                           : !write_file(places, limits_path(slots[i], id), text, RELOAD_UNITS, changed, error))
                        return FALSE;
        }
        return TRUE;
}

/* Takes the path. */
static gboolean is_written(const Places *places, char *path) {
        g_autofree char *owned = path, *real = place_path(places, owned), *text = NULL;

        return file_read(real, UNIT_TEXT_MAX, &text, NULL, NULL) && text_is_written(text);
}

static gboolean drop_in_left(const Places *places, const char *id) {
        for (size_t i = 0; i < G_N_ELEMENTS(slots); i++)
                if (is_written(places, permissions_path(slots[i], id)))
                        return TRUE;
        return FALSE;
}

gboolean provision_left(const Places *places, const char *id) {
        g_autofree char *approvals = approvals_path(id), *units = units_path(id);

        return drop_in_left(places, id) || is_written(places, policy_path(id)) || file_there(places, approvals) ||
               file_there(places, units);
}

/* The activation files do not say who wrote them, and are the helper's where they go with a drop-in, which says so and
 * therefore goes last. The user's file stays, for the package's plugin has the same user, and so do the limits, which
 * are configured for a packaged plugin as for any other. */
gboolean provision_clear(const Places *places, const char *id, unsigned *changed, GError **error) {
        if (!remove_file(places, units_path(id), FALSE, 0, changed, error) ||
            !remove_file(places, approvals_path(id), FALSE, 0, changed, error))
                return FALSE;
        if (is_written(places, policy_path(id)) &&
            !remove_file(places, policy_path(id), FALSE, RELOAD_BUS, changed, error))
                return FALSE;
        if (drop_in_left(places, id) && !remove_activation(places, id, changed, error))
                return FALSE;
        for (size_t i = 0; i < G_N_ELEMENTS(slots); i++)
                if (is_written(places, permissions_path(slots[i], id)) &&
                    !remove_file(places, permissions_path(slots[i], id), TRUE, RELOAD_UNITS, changed, error))
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
