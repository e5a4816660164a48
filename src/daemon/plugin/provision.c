/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/plugin/provision.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/names.h"
#include "daemon/plugin/plugin.h"
#include "manifest/approvals.h"
#include "manifest/permission.h"
#include "util/file.h"

#define WRITTEN_MAX 65536U

/* A reload of systemd takes a tenth of a second, or many on a machine that is busy starting. The plugin's own deadline
 * begins when it has answered. */
#define HELPER_TIMEOUT (120 * USEC_PER_SEC)

struct Provisioning {
        Plugin *plugin;
        unsigned which;  /* PluginSlot; PLUGIN_SLOT_COUNT: both */
        char *version;   /* of several that are installed; NULL: the one that is there */
        Manifest *manifest;
        gboolean packaged; /* nothing of it has to be approved */
        uint64_t written[PLUGIN_SLOT_COUNT]; /* the drop-ins, before */
        sd_bus_slot *slot; /* NULL: waits for its turn */
        ProvisionDone done;
        void *userdata;
};

static void send_next(void *data);

void provisioning_free(void *data) {
        Provisioning *provisioning = data;
        Plugins *plugins = provisioning->plugin->plugins;

        if (provisioning->slot) {
                plugins->provisioning--;
                if (!plugins->freeing && !g_queue_is_empty(&plugins->provisionings))
                        plugins_defer(plugins, send_next, NULL, plugins);
        } else
                g_queue_remove(&plugins->provisionings, provisioning);
        sd_bus_slot_unref(provisioning->slot);
        g_free(provisioning->version);
        manifest_free(provisioning->manifest);
        g_free(provisioning);
}

void provision_cancel(Provisioning *provisioning) {
        if (provisioning)
                g_ptr_array_remove_fast(provisioning->plugin->provisionings, provisioning);
}

/* Nobody but packages and root writes there. */
static gboolean of_packages(const char *directory) {
        return g_str_equal(directory, PKGPLUGINDIR);
}

gboolean plugin_packaged(const Plugin *plugin) {
        return of_packages(plugin->directory);
}

gboolean manifest_packaged(const Manifest *manifest) {
        return of_packages(manifest->directory);
}

gboolean plugin_official(const Manifest *manifest) {
        return manifest && manifest->official && manifest_packaged(manifest);
}

gboolean plugin_lacks_user(const Plugin *plugin) {
        g_autofree char *user = g_strconcat(PLUGIN_USER_PREFIX, plugin->id, NULL);
        uid_t uid;

        return plugin_packaged(plugin) && !plugin_is_native(plugin) && starter_systemd(plugin->plugins->starter) &&
               local_user(user, &uid) < 0;
}

static Approvals *load_approvals(const Plugin *plugin, GError **error) {
        g_autofree char *directory = g_build_filename(plugin->plugins->config_directory, APPROVALS_DIRECTORY, NULL);

        return approvals_load(directory, plugin->id, plugin->plugins->trusted_uid, error);
}

/* The names in the directory are read once for all that is asked in one turn of the loop: GetManagedObjects asks for
 * every plugin. A directory that cannot be read approves nothing. */
static gboolean has_approvals(const Plugin *plugin, const char *suffix) {
        Plugins *plugins = plugin->plugins;
        g_autofree char *directory = NULL, *file = NULL;
        g_autoptr(GDir) handle = NULL;
        uint64_t turn = 0;
        const char *name;

        file = g_strconcat(plugin->id, suffix, NULL);
        (void) sd_event_now(plugins->parameters.event, CLOCK_MONOTONIC, &turn);
        if (!plugins->approvals || turn != plugins->approvals_turn) {
                directory = g_build_filename(plugins->config_directory, APPROVALS_DIRECTORY, NULL);
                handle = g_dir_open(directory, 0, NULL);
                g_clear_pointer(&plugins->approvals, g_hash_table_unref);
                plugins->approvals = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
                plugins->approvals_turn = turn;
                while (handle && (name = g_dir_read_name(handle)))
                        (void) g_hash_table_add(plugins->approvals, g_strdup(name));
        }
        return g_hash_table_contains(plugins->approvals, file);
}

char **plugin_approved(const Plugin *plugin) {
        g_autoptr(Approvals) approvals = NULL;

        if (!plugin->manifest || !plugin->manifest->permissions[0])
                return g_new0(char *, 1);
        if (plugin_packaged(plugin))
                return g_strdupv(plugin->manifest->permissions);
        approvals = has_approvals(plugin, ".json") ? load_approvals(plugin, NULL) : NULL;
        return approvals ? approvals_granted(approvals, plugin->manifest) : g_new0(char *, 1);
}

char *plugin_approved_addresses(const Plugin *plugin) {
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
        g_auto(GStrv) approved = NULL, found = NULL;

        /* A native one has no unit. */
        if (!plugin->manifest || plugin_is_native(plugin))
                return NULL;
        approved = plugin_approved(plugin);
        if (permission_reaches_everywhere((const char *const *) approved))
                return NULL;
        for (char **permission = approved; *permission; permission++)
                if (permission_names_addresses(*permission))
                        g_strv_builder_add(builder, *permission);
        found = g_strv_builder_end(builder);
        return found[0] ? g_strjoinv(", ", found) : NULL;
}

/* NULL: everything is approved. Caller frees. */
static char *not_approved(const Plugin *plugin, const char *version, const Manifest *manifest) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Approvals) approvals = load_approvals(plugin, &error);
        g_autofree char *list = NULL, *obstacle = NULL;
        g_auto(GStrv) missing = NULL;

        if (!approvals)
                return g_strdup_printf("what it may do cannot be read: %s", error->message);
        missing = approvals_missing(approvals, manifest);
        if (!missing[0])
                return NULL;
        list = g_strjoinv(", ", missing);
        for (char **permission = missing; !obstacle && *permission; permission++)
                obstacle = approvals_obstacle(approvals, manifest, *permission);
        return g_strdup_printf("asks for what nobody has approved: %s%s%s%s; sudo " SNOOZE_COMMAND
                               " plugin permissions %s%s%s",
                               list, obstacle ? " (" : "", obstacle ?: "", obstacle ? ")" : "", plugin->id,
                               version ? " --version " : "", version ?: "");
}

static gboolean in_slots(unsigned slot, unsigned i) {
        return slot == i || slot == PLUGIN_SLOT_COUNT;
}

static gboolean written_by_helper(const char *path) {
        g_autofree char *text = NULL;

        return file_read(path, WRITTEN_MAX, &text, NULL, NULL) &&
                (g_str_has_prefix(text, HELPER_MARK_UNIT) || strstr(text, HELPER_MARK_POLICY));
}

/* What an earlier plugin of its name had that no package brought, as the helper looks for it: systemd and the bus
 * prefer it to what the package brought. Where there is neither, nobody reads it. */
static gboolean left_behind(const Plugin *plugin) {
        g_autofree char *policy = g_strdup_printf(POLICY_DIRECTORY "/%s.conf", plugin->name);

        if (!starter_systemd(plugin->plugins->starter))
                return FALSE;
        for (unsigned i = 0; i < PLUGIN_SLOT_COUNT; i++) {
                g_autofree char *drop_in =
                        g_strdup_printf(UNIT_DIRECTORY "/%s.d/" PERMISSIONS_DROP_IN, plugin->units[i]);

                if (written_by_helper(drop_in))
                        return TRUE;
        }
        return written_by_helper(policy) || has_approvals(plugin, ".json") || has_approvals(plugin, ".units");
}

static void forget_provisioned(Plugin *plugin) {
        for (unsigned i = 0; i < PLUGIN_SLOT_COUNT; i++)
                g_clear_pointer(&plugin->provisioned[i], g_free);
}

gboolean provision_needed(Plugin *plugin, const Manifest *manifest, unsigned slot) {
        g_autofree char *missing = NULL;

        if (manifest_packaged(manifest)) {
                /* One that no package brought is to be made known anew after this one. Its limits stay as the helper
                 * has set them, until that has something to clear. */
                forget_provisioned(plugin);
                return left_behind(plugin);
        }
        for (unsigned i = 0; i < PLUGIN_SLOT_COUNT; i++)
                if (in_slots(slot, i) && g_strcmp0(plugin->provisioned[i], manifest->digest) != 0)
                        return TRUE;
        missing = not_approved(plugin, NULL, manifest);
        return missing != NULL;
}

char *provision_refusal(const Plugin *plugin, const Manifest *manifest) {
        gboolean other = plugin->manifest && !g_str_equal(plugin->manifest->version, manifest->version);

        if (manifest_packaged(manifest) || plugin_is_native(plugin) ||
            (!starter_systemd(plugin->plugins->starter) && !plugin->provisioned[PLUGIN_SLOT_A] &&
             !plugin->provisioned[PLUGIN_SLOT_B] && !has_approvals(plugin, ".json")))
                return NULL;
        return not_approved(plugin, manifest->versioned && other ? manifest->version : NULL, manifest);
}

/* done may free the plugin's process, and with it what is told here: nothing is touched after it. */
static void end(Provisioning *provisioning, const char *error, const char *message) {
        ProvisionDone done = provisioning->done;
        void *userdata = provisioning->userdata;
        Plugin *plugin = provisioning->plugin;

        g_ptr_array_remove_fast(plugin->provisionings, provisioning);
        done(plugin, error, message, userdata);
}

void provision_abandon(Plugin *plugin) {
        while (plugin->provisionings->len > 0)
                end(g_ptr_array_index(plugin->provisionings, 0), ERROR_NO_SUCH_PLUGIN, "is gone");
}

void provision_give_up(Plugin *plugin, ProvisionDone done, const char *error, const char *message) {
        for (guint i = plugin->provisionings->len; i-- > 0;) {
                Provisioning *provisioning = g_ptr_array_index(plugin->provisionings, i);

                if (provisioning->done == done)
                        end(provisioning, error, message);
        }
}

void provision_forget(Plugin *plugin) {
        forget_provisioned(plugin);
        limits_forget(plugin);
}

static gboolean is_current(const Provisioning *provisioning) {
        const Plugin *plugin = provisioning->plugin;

        return !provisioning->version || !plugin->manifest ||
               g_str_equal(plugin->manifest->version, provisioning->version);
}

/* Whatever the answer: it may have come to nothing when they were written. */
static void follow_drop_ins(const Provisioning *provisioning) {
        for (unsigned i = 0; i < PLUGIN_SLOT_COUNT; i++)
                if (plugin_drop_in_written(provisioning->plugin, i) != provisioning->written[i])
                        plugin_drop_in_changed(provisioning->plugin, i);
}

static int on_provisioned(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        Provisioning *provisioning = userdata;
        Plugin *plugin = provisioning->plugin;
        g_autofree char *message = NULL;

        limits_forget(plugin);
        follow_drop_ins(provisioning);
        if (error && sd_bus_error_has_name(error, SD_BUS_ERROR_SERVICE_UNKNOWN) &&
            !starter_systemd(plugin->plugins->starter)) {
                end(provisioning, NULL, NULL);
                return 0;
        }
        if (error && !sd_bus_error_has_name(error, ERROR_NOT_APPROVED)) {
                message = g_strdup_printf("%s: %s",
                                          provisioning->packaged
                                                  ? "came with a package, and what another one of its name had could "
                                                    "not be removed"
                                                  : "could not be made known to the system",
                                          error->message ?: error->name);
                end(provisioning, ERROR_PLUGIN_FAILED, message);
                return 0;
        }
        if (provisioning->packaged) {
                end(provisioning, NULL, NULL);
                return 0;
        }
        for (unsigned i = 0; !error && i < PLUGIN_SLOT_COUNT; i++)
                if (in_slots(provisioning->version ? provisioning->which : PLUGIN_SLOT_COUNT, i)) {
                        g_free(plugin->provisioned[i]);
                        plugin->provisioned[i] = g_strdup(provisioning->manifest->digest);
                }
        message =
                not_approved(plugin, is_current(provisioning) ? NULL : provisioning->version, provisioning->manifest);
        /* Somebody approves just now. */
        if (error && !message)
                message = g_strdup(error->message);
        end(provisioning, message ? ERROR_NOT_APPROVED : NULL, message);
        return 0;
}

static int ask_helper(Provisioning *provisioning) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        sd_bus *bus = provisioning->plugin->plugins->parameters.bus;
        int r;

        for (unsigned i = 0; i < PLUGIN_SLOT_COUNT; i++)
                provisioning->written[i] = plugin_drop_in_written(provisioning->plugin, i);
        r = sd_bus_message_new_method_call(bus, &call, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE,
                                           provisioning->version ? "ProvisionVersion" : "Provision");
        if (r >= 0)
                r = sd_bus_message_append(call, "s", provisioning->plugin->id);
        if (r >= 0 && provisioning->version)
                r = sd_bus_message_append(call, "ss", provisioning->version,
                                          provisioning->which == PLUGIN_SLOT_A ? "a" : "b");
        if (r >= 0)
                r = sd_bus_call_async(bus, &provisioning->slot, call, on_provisioned, provisioning, HELPER_TIMEOUT);
        if (r >= 0)
                provisioning->plugin->plugins->provisioning++;
        return r;
}

static void send_next(void *data) {
        Plugins *plugins = data;

        while (plugins->provisioning < PROVISIONING_MAX && !g_queue_is_empty(&plugins->provisionings)) {
                Provisioning *provisioning = g_queue_pop_head(&plugins->provisionings);

                if (ask_helper(provisioning) < 0)
                        end(provisioning, ERROR_PLUGIN_FAILED,
                            "could not be made known to the system: the bus takes no message");
        }
}

Provisioning *provision_begin(Plugin *plugin, Manifest *manifest, unsigned slot, ProvisionDone done, void *userdata) {
        Provisioning *provisioning = g_new(Provisioning, 1);

        *provisioning = (Provisioning){ .plugin = plugin,
                                        .which = slot,
                                        .version = manifest->versioned && slot != PLUGIN_SLOT_COUNT
                                                           ? g_strdup(manifest->version)
                                                           : NULL,
                                        .manifest = manifest_ref(manifest),
                                        .packaged = manifest_packaged(manifest),
                                        .done = done,
                                        .userdata = userdata };
        g_ptr_array_add(plugin->provisionings, provisioning);
        if (plugin->plugins->provisioning >= PROVISIONING_MAX) {
                g_queue_push_tail(&plugin->plugins->provisionings, provisioning);
                return provisioning;
        }
        if (ask_helper(provisioning) >= 0)
                return provisioning;
        provision_cancel(provisioning);
        return NULL;
}
