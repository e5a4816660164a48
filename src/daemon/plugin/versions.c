/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/plugin/versions.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/names.h"
#include "daemon/plugin/plugin.h"
#include "util/line.h"

/* It has a rename to make. */
#define SWITCH_TIMEOUT (10 * USEC_PER_SEC)
#define SETTLE_TIMEOUT (120 * USEC_PER_SEC)

struct VersionSwitch {
        Plugin *plugin;
        sd_bus_slot *slot;
        VersionSwitched done;
        GDestroyNotify destroy;
        void *userdata;
};

/* Finding */

Manifest *version_find(const Plugin *plugin, const char *version, GError **error) {
        g_autofree char *current = manifest_current(plugin->directory, plugin->id), *words = NULL, *installed = NULL;
        g_auto(GStrv) versions = manifest_versions(plugin->directory, plugin->id);
        const guint n = current ? g_strv_length(versions) : 0;
        g_autoptr(Manifest) manifest = NULL;
        g_autoptr(GError) e = NULL;
        gboolean there;

        if (!*version && n > 0)
                version = versions[n - 1];
        there = n == 0 || g_strv_contains((const char *const *) versions, version);
        if (n == 0)
                manifest = manifest_load(plugin->directory, plugin->id, plugin->plugins->trusted_uid, &e);
        else if (there)
                manifest = manifest_load_version(plugin->directory, plugin->id, version, plugin->plugins->trusted_uid,
                                                 &e);
        if (manifest && (!*version || g_str_equal(manifest->version, version)))
                return g_steal_pointer(&manifest);
        installed = n > 0 ? g_strjoinv(", ", versions) : g_strdup(manifest ? manifest->version : "none that works");
        words = plugin_words(version);
        if (e)
                g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_INVALID,
                            "What is installed of %s%s%s is broken: %s; installed: %s.", plugin->id,
                            *words ? " as version " : "", words, e->message, installed);
        else
                g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_INVALID,
                            "Version “%.*s” of %s is not installed; installed: %s.", line_cut(words, 64), words,
                            plugin->id, installed);
        return NULL;
}

gboolean version_is_current(const Plugin *plugin, const Manifest *manifest) {
        g_autofree char *current = manifest->versioned ? manifest_current(manifest->directory, plugin->id) : NULL;

        return !manifest->versioned || g_strcmp0(current, manifest->version) == 0;
}

/* Switching */

static void switch_end(VersionSwitch *change, const char *problem) {
        Plugin *plugin = change->plugin;
        VersionSwitched done = change->done;
        void *userdata = change->userdata;

        plugin->switching = NULL;
        sd_bus_slot_unref(change->slot);
        g_free(change);
        /* What was seen on the disk meanwhile was not looked at. */
        if (plugin->stale && !problem)
                watch_touch(plugin->plugins->watch, plugin->id);
        if (done)
                done(plugin, problem, userdata);
        else if (problem)
                plugins_problem(plugin->plugins, plugin->id, problem);
}

static int on_switched(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        g_autofree char *problem = NULL;

        if (error)
                problem = g_strdup_printf("the link to the version that counts could not be switched: %s",
                                          error->message ?: error->name);
        switch_end(userdata, problem);
        return 1;
}

static int ask_helper(Plugin *plugin, sd_bus_slot **slot, uint64_t timeout, sd_bus_message_handler_t handler,
                      void *userdata, const char *member, const char *version) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        sd_bus *bus = plugin->plugins->parameters.bus;
        int r;

        r = sd_bus_message_new_method_call(bus, &call, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE, member);
        if (r >= 0)
                r = sd_bus_message_append(call, "s", plugin->id);
        if (r >= 0 && version)
                r = sd_bus_message_append(call, "s", version);
        return r < 0 ? r : sd_bus_call_async(bus, slot, call, handler, userdata, timeout);
}

static void on_not_sent(void *data) {
        Plugin *plugin = data;

        if (plugin->switching && !plugin->switching->slot)
                switch_end(plugin->switching,
                           "the link to the version that counts could not be switched: the bus takes no message");
}

void version_switch(Plugin *plugin, const Manifest *manifest, VersionSwitched done, GDestroyNotify destroy,
                    void *userdata) {
        VersionSwitch *change;

        if (plugin->switching)
                switch_end(plugin->switching, plugin->switching->done ? "another version is wanted now" : NULL);
        plugin->switching = change = g_new(VersionSwitch, 1);
        *change = (VersionSwitch) { .plugin = plugin, .done = done, .destroy = destroy, .userdata = userdata };
        if (ask_helper(plugin, &change->slot, SWITCH_TIMEOUT, on_switched, change, "SwitchVersion",
                       manifest->version) < 0)
                plugins_defer(plugin->plugins, on_not_sent, NULL, plugin);
}

void version_switch_forget(Plugin *plugin) {
        VersionSwitch *change = g_steal_pointer(&plugin->switching);

        if (!change)
                return;
        sd_bus_slot_unref(change->slot);
        if (change->destroy)
                change->destroy(change->userdata);
        g_free(change);
}

void version_switch_abandon(Plugin *plugin) {
        if (plugin->switching)
                switch_end(plugin->switching, plugin->switching->done ? "is gone" : NULL);
}

/* Settling */

static int on_settled(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        Plugin *plugin = userdata;
        g_autofree char *problem = NULL;

        plugin->settle_question = sd_bus_slot_unref(plugin->settle_question);
        if (!error || sd_bus_error_has_name(error, SD_BUS_ERROR_SERVICE_UNKNOWN))
                return 1;
        problem = g_strdup_printf("could not be made known to the system in one version alone: %s",
                                  error->message ?: error->name);
        plugins_problem(plugin->plugins, plugin->id, problem);
        return 1;
}

void version_settle(Plugin *plugin) {
        const Manifest *manifest = plugin->manifest;

        if (!manifest || !manifest->versioned || plugin_packaged(plugin) || plugin->plugins->freeing)
                return;
        plugin->settle_question = sd_bus_slot_unref(plugin->settle_question);
        /* What each slot runs is asked for again with the next start. */
        for (size_t i = 0; i < PLUGIN_SLOT_COUNT; i++)
                g_clear_pointer(&plugin->provisioned[i], g_free);
        (void) ask_helper(plugin, &plugin->settle_question, SETTLE_TIMEOUT, on_settled, plugin, "Provision", NULL);
}

/* Replacing */

typedef struct Replacement {
        Manifest *manifest;
        PluginSettled done;
        void *userdata;
} Replacement;

static void replacement_free(void *data) {
        Replacement *replacement = data;

        manifest_free(replacement->manifest);
        g_free(replacement);
}

static void replace(Plugin *plugin, Manifest *manifest, PluginSettled done, void *userdata) {
        plugin_settle_later(plugin, TRUE, done, userdata);
        plugin_replace(plugin, manifest);
}

static void on_ready_to_replace(Plugin *plugin, const char *problem, void *userdata) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autofree Replacement *replacement = userdata;

        if (!problem) {
                replace(plugin, replacement->manifest, replacement->done, replacement->userdata);
                return;
        }
        manifest_free(replacement->manifest);
        if (replacement->done) {
                sd_bus_error_set(&error, ERROR_PLUGIN_FAILED, problem);
                replacement->done(plugin, &error, replacement->userdata);
        } else
                plugins_problem(plugin->plugins, plugin->id, problem);
        origin_caught_up(plugin);
}

void version_replace(Plugin *plugin, Manifest *manifest, PluginSettled done, void *userdata) {
        Replacement *replacement;

        if (version_is_current(plugin, manifest)) {
                replace(plugin, manifest, done, userdata);
                return;
        }
        replacement = g_new(Replacement, 1);
        *replacement = (Replacement) { manifest, done, userdata };
        version_switch(plugin, manifest, on_ready_to_replace, replacement_free, replacement);
}
