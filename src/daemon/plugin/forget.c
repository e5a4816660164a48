/* SPDX-License-Identifier: Apache-2.0 */

/* What is kept of a plugin that was uninstalled: whether it may run, and what it knew. The next one of its id may be
 * somebody else's. */

#include <errno.h>

#include "daemon/plugin/plugin.h"
#include "daemon/plugin/state.h"

typedef struct Forgetting {
        StoreDone done; /* NULL: the caller was refused meanwhile */
        void *userdata;
        GError *problem; /* with the state, which is removed first */
} Forgetting;

static void forgetting_free(Forgetting *forgetting) {
        g_clear_error(&forgetting->problem);
        g_free(forgetting);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Forgetting, forgetting_free)

static void on_state_forgotten(const GError *error, void *userdata) {
        Forgetting *forgetting = userdata;

        if (!forgetting->done)
                forgetting_free(forgetting);
        else if (error)
                forgetting->problem = g_error_copy(error);
}

/* The store's thread takes one after the other: this is the last. */
static void on_marks_removed(const GError *error, void *userdata) {
        g_autoptr(Forgetting) forgetting = userdata;

        forgetting->done(forgetting->problem ?: error, forgetting->userdata);
}

/* What ran before the daemon did may be found yet, and tells what it knows when it is sent away. Of a broken one it is
 * asked nothing. */
static gboolean may_be_found(const Plugin *plugin) {
        return plugin->dismissed || (!plugin->looked && plugin->manifest && origin_known(plugin));
}

static gboolean rests(const Plugin *plugin) {
        return !plugin->enabled && !plugin->process && !plugin->next && !plugin->previous &&
                (plugin->state == PLUGIN_DISCOVERED || plugin->state == PLUGIN_STOPPED ||
                 plugin->state == PLUGIN_FAILED || plugin->state == PLUGIN_QUARANTINED) &&
                !may_be_found(plugin);
}

int plugins_forget(Plugins *plugins, const char *id, StoreDone done, void *userdata) {
        Plugin *plugin = plugins_find(plugins, id);
        Forgetting *forgetting;
        int r;

        if (plugin && !rests(plugin))
                return -EBUSY;
        /* Somebody's "yes" may be on its way to the disk. */
        if (plugins->enabled_changes > 0)
                return -EAGAIN;
        forgetting = g_new0(Forgetting, 1);
        *forgetting = (Forgetting) { .done = done, .userdata = userdata };
        r = state_forget(plugins, id, on_state_forgotten, forgetting);
        if (r < 0) {
                forgetting_free(forgetting);
                return r;
        }
        r = enabled_forget(plugins, id, on_marks_removed, forgetting);
        if (r < 0) {
                forgetting->done = NULL;
                return r;
        }
        if (plugin)
                plugin->state_unread = FALSE;
        return 0;
}
