/* SPDX-License-Identifier: Apache-2.0 */

/* A change of the configuration waits for the disk, so the store's thread makes it: it reads the files, checks what
 * comes of them, and keeps a patch and the last good configuration. Only then is it in force, and its caller told:
 *
 *     loop     SetConfiguration, Reload, SIGHUP            in force, reply
 *                          \                              /
 *     thread                read → check → write and sync
 *
 * The thread makes one after the other, so that a change that was asked for meanwhile is made on top of this one.
 * Killed in between, the daemon finds at its next start either what was kept or what was there before. */

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/journal.h"
#include "daemon/manager.h"
#include "util/file.h"

/* All callers' together. Each holds its patch, and what it was merged with. */
#define CHANGES_MAX 16U

/* The thread's; it shares nothing with the loop. */
typedef struct Work {
        char *file, *dropins, *state, *good; /* paths */
        char *patch;                         /* NULL: read the files again */
        Config *config;                      /* what came of it */
        char *problem;                       /* with keeping it as the last good one */
} Work;

typedef struct Change {
        Manager *manager;
        Work *work;
        ConfigCaller caller;
        ConfigChanged done;
} Change;

static void work_free(void *data) {
        Work *work = data;

        g_free(work->file);
        g_free(work->dropins);
        g_free(work->state);
        g_free(work->good);
        g_free(work->patch);
        g_free(work->problem);
        config_unref(work->config);
        g_free(work);
}

static Config *read_config(const Work *work, GError **error) {
        const ConfigPaths paths = { work->file, work->dropins, work->state };
        g_autofree char *text = NULL;
        g_autoptr(Config) config = NULL;

        if (!work->patch)
                return config_load(&paths, error);
        config = config_try_patch(&paths, work->patch, &text, error);
        if (!config)
                return NULL;
        if (!file_write(work->state, text, strlen(text), 0640, error)) {
                g_prefix_error(error, "The change could not be kept in %s: ", work->state);
                return NULL;
        }
        return g_steal_pointer(&config);
}

static gboolean make_change(void *data, GError **error) {
        Work *work = data;
        g_autoptr(GError) problem = NULL;
        g_autofree char *text = NULL;

        work->config = read_config(work, error);
        if (!work->config)
                return FALSE;
        text = config_good_text(work->config);
        if (!config_save_good(text, work->good, &problem))
                work->problem = g_strdup(problem->message);
        return TRUE;
}

/* No config comes of it: nothing is to be in force. */
static gboolean try_patch(void *data, GError **error) {
        const Work *work = data;
        const ConfigPaths paths = { work->file, work->dropins, work->state };
        g_autoptr(Config) config = config_try_patch(&paths, work->patch, NULL, error);

        return config != NULL;
}

static void put_in_force(Manager *manager, Work *work) {
        if (work->problem)
                log_warning("The configuration could not be kept as the last good one: %s", work->problem);
        g_clear_pointer(&manager->config_problem, g_free);
        manager_set_config(manager, work->config);
}

static void change_made(const GError *error, void *userdata) {
        g_autofree Change *change = userdata;
        Manager *manager = change->manager;

        manager->config_changes--;
        /* A daemon that ends keeps what it was asked to keep; the next one puts it in force. */
        if (!error && !manager->freeing && change->work->config)
                put_in_force(manager, change->work);
        change->done(manager, &change->caller, error);
        sd_bus_message_unref(change->caller.call);
}

static int begin(Manager *manager, StoreRun run, const char *patch, const ConfigCaller *caller, ConfigChanged done) {
        Change *change;
        Work *work;
        int r;

        if (manager->config_changes >= CHANGES_MAX)
                return -EDQUOT;
        work = g_new(Work, 1);
        *work = (Work) {
                .file = g_strdup(manager->config_file),
                .dropins = g_strdup(manager->config_dropins),
                .state = g_strdup(manager->config_state),
                .good = g_strdup(manager->config_good),
                .patch = g_strdup(patch),
        };
        change = g_new(Change, 1);
        *change = (Change) { .manager = manager, .work = work, .caller = *caller, .done = done };
        sd_bus_message_ref(caller->call);
        r = store_run(manager->store, run, work, work_free, change_made, change);
        if (r < 0) {
                sd_bus_message_unref(change->caller.call);
                g_free(change);
                return r;
        }
        manager->config_changes++;
        return 0;
}

int manager_change_config(Manager *manager, const char *patch, const ConfigCaller *caller, ConfigChanged done) {
        int r;

        if (manager->config_newest > caller->arrived)
                return -ESTALE;
        r = begin(manager, make_change, patch, caller, done);
        if (r >= 0)
                manager->config_newest = caller->arrived;
        return r;
}

int manager_try_patch(Manager *manager, const char *patch, const ConfigCaller *caller, ConfigChanged done) {
        return begin(manager, try_patch, patch, caller, done);
}

static void reloaded(Manager *manager, const ConfigCaller *caller, const GError *error) {
        g_autofree char *message = NULL;

        (void) sd_notify(false, "READY=1");
        if (!error) {
                journal_write(LOG_INFO, MESSAGE_CONFIGURATION, NULL, "The configuration was read again.");
                return;
        }
        message = g_strdup_printf("%s; the running configuration stays", error->message);
        manager_problem(manager, "configuration", message);
}

void manager_reload(Manager *manager) {
        const ConfigCaller caller = { NULL, getuid(), clock_monotonic() };
        int r;

        (void) sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long) clock_monotonic());
        r = manager_change_config(manager, NULL, &caller, reloaded);
        if (r < 0) {
                g_autoptr(GError) error =
                        g_error_new(G_FILE_ERROR, (gint) g_file_error_from_errno(-r), "%s", g_strerror(-r));

                reloaded(manager, &caller, error);
        }
}

static gboolean keep_good(void *data, GError **error) {
        char **pair = data;

        return config_save_good(pair[0], pair[1], error);
}

static void good_kept(const GError *error, void *userdata) {
        if (error)
                log_warning("The configuration could not be kept as the last good one: %s", error->message);
}

void manager_keep_good_config(Manager *manager) {
        char **pair = g_new0(char *, 3);
        int r;

        pair[0] = config_good_text(manager->config);
        pair[1] = g_strdup(manager->config_good);
        r = store_run(manager->store, keep_good, pair, (GDestroyNotify) g_strfreev, good_kept, NULL);
        if (r < 0)
                log_warning("The configuration could not be kept as the last good one: %s", g_strerror(-r));
}
