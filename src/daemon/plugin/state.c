/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/plugin/state.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/names.h"
#include "daemon/plugin/plugin.h"
#include "daemon/answer/reply.h"
#include "daemon/store/store.h"

/* Records of the store: what it has of this plugin could not be read by one that runs, or has run, without it. */
#define UNREAD_PREFIX "state-unread/"

#define NOT_OVERWRITTEN "its state is not kept: what was kept before could not be read, and is not overwritten"

/* How often a store that has no room is asked again. */
#define RETRY_INTERVAL (50 * USEC_PER_MSEC)
#define DISK_SILENT "the disk does not answer"

struct StateTransfer {
        PluginProcess *process; /* NULL: gone, or not interested any more */
        gboolean in_store;      /* the store is to call back, whatever becomes of the process */
        sd_event_source *timer;
        uint64_t deadline;      /* monotonic: for finding room in the store, … */
        gboolean hurried;       /* … and for the disk as well: a process waits to be let to work */

        uint32_t version;
        GBytes *state;
        char *key;              /* under which it is put */
        char *exporter;         /* the plugin's version that exported it */
        StoreDone stored;
        gboolean again;         /* what is imported is what this version had exported before it was replaced */
        gboolean running;       /* it goes on: beside what was there before while its version is on trial */
        uint64_t number;        /* of those that were put as the plugin's state */
        gboolean beside;        /* what the process had kept itself knows nothing of what the store has */
        gboolean last;          /* nobody else will know it: what may not take the place of another is put beside it */

        StateDone done;
        StateExported exported;
        void *userdata;
};

struct StateSaving {
        unsigned waiting;
        sd_event_source *timer;
        void (*done)(void *userdata);
        void *userdata;
};

static void transfer_free(StateTransfer *transfer) {
        if (transfer->process)
                g_ptr_array_remove_fast(transfer->process->transfers, transfer);
        sd_event_source_disable_unref(transfer->timer);
        g_clear_pointer(&transfer->state, g_bytes_unref);
        g_free(transfer->key);
        g_free(transfer->exporter);
        g_free(transfer);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StateTransfer, transfer_free)

static StateTransfer *transfer_new(PluginProcess *process, StateDone done, void *userdata) {
        StateTransfer *transfer = g_new0(StateTransfer, 1);

        transfer->process = process;
        transfer->done = done;
        transfer->userdata = userdata;
        g_ptr_array_add(process->transfers, transfer);
        return transfer;
}

void state_forget_process(PluginProcess *process) {
        while (process->transfers->len > 0) {
                StateTransfer *transfer =
                        g_ptr_array_steal_index_fast(process->transfers, process->transfers->len - 1);

                transfer->process = NULL;
                transfer->timer = sd_event_source_disable_unref(transfer->timer);
                if (!transfer->in_store)
                        transfer_free(transfer);
        }
}

/* done may free the process. */
static void transfer_end(StateTransfer *transfer, const char *problem) {
        PluginProcess *process = transfer->process;
        StateDone done = transfer->done;
        void *userdata = transfer->userdata;

        transfer_free(transfer);
        if (done)
                done(process, problem, userdata);
        else if (problem)
                plugins_problem(process->plugin->plugins, process->plugin->id, problem);
}

static void transfer_end_problem(StateTransfer *transfer, const char *format, ...)
        __attribute__((format(printf, 2, 3)));

static void transfer_end_problem(StateTransfer *transfer, const char *format, ...) {
        g_autofree char *problem = NULL;
        va_list ap;

        va_start(ap, format);
        problem = g_strdup_vprintf(format, ap);
        va_end(ap);
        transfer_end(transfer, problem);
}

static void tell(const StateTransfer *transfer, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void tell(const StateTransfer *transfer, const char *format, ...) {
        g_autofree char *problem = NULL;
        va_list ap;

        va_start(ap, format);
        problem = g_strdup_vprintf(format, ap);
        va_end(ap);
        plugins_problem(transfer->process->plugin->plugins, transfer->process->plugin->id, problem);
}

/* The store */

static const char *version_of(const PluginProcess *process) {
        return process->version ?: process->manifest->version;
}

int state_forget(Plugins *plugins, const char *id, StoreDone done, void *userdata) {
        g_autofree char *key = g_strconcat(UNREAD_PREFIX, id, NULL);
        int r = store_put(plugins->parameters.store, key, NULL, NULL, NULL);

        return r < 0 ? r : store_forget_state(plugins->parameters.store, id, done, userdata);
}

static char *refused_key(const char *id, const char *version) {
        return g_strdup_printf("%s/refused/%s", id, version);
}

static char *beside_key(const char *id, const char *version) {
        return g_strdup_printf("%s/beside/%s", id, version);
}

static Store *store_of(const StateTransfer *transfer) {
        return transfer->process->plugin->plugins->parameters.store;
}

/* Whatever was kept must not be overwritten by one that begins with nothing because of this, nor by what it leaves
 * behind, whichever daemon finds that. The record is written as soon as writing works. */
static void protect(PluginProcess *process) {
        Plugin *plugin = process->plugin;
        g_autofree char *key = g_strconcat(UNREAD_PREFIX, plugin->id, NULL);
        g_autoptr(JsonObject) record = json_object_new();

        process->state_unread = plugin->state_unread = TRUE;
        json_object_set_int_member(record, "time", (gint64) clock_realtime());
        (void) store_put(plugin->plugins->parameters.store, key, record, NULL, NULL);
}

/* It was read, and is imported or put aside. */
static void protect_no_more(PluginProcess *process) {
        Plugin *plugin = process->plugin;
        g_autofree char *key = g_strconcat(UNREAD_PREFIX, plugin->id, NULL);

        if (!plugin->state_unread || process->state_unread)
                return;
        plugin->state_unread = FALSE;
        (void) store_put(plugin->plugins->parameters.store, key, NULL, NULL, NULL);
}

static StateTransfer *leave_in_store(StateTransfer *transfer);
static void try_to_put(StateTransfer *transfer);

static void put_failed(StateTransfer *transfer, const char *reason) {
        g_autoptr(GError) error = g_error_new_literal(G_FILE_ERROR, G_FILE_ERROR_FAILED, reason);

        transfer->stored(error, transfer);
}

static int on_put_silent(sd_event_source *source, uint64_t usec, void *userdata) {
        put_failed(leave_in_store(userdata), DISK_SILENT);
        return 0;
}

/* It was replaced: what it says late is older than what the one that replaced it knows, and has exported since. What
 * it handed over is its own until that is for good. */
static gboolean outlived(const StateTransfer *transfer) {
        const Plugin *plugin = transfer->process->plugin;

        return transfer->process == plugin->previous && (transfer->running || !swap_on_trial(plugin));
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        StateTransfer *transfer = userdata;

        transfer->timer = sd_event_source_disable_unref(transfer->timer);
        /* What was put since is newer, and not to be hidden by this. */
        if ((transfer->running && transfer->number < transfer->process->plugin->states_put) ||
            outlived(transfer))
                transfer_end(transfer, NULL);
        else
                try_to_put(transfer);
        return 0;
}

static void try_to_put(StateTransfer *transfer) {
        sd_event *event = transfer->process->plugin->plugins->parameters.event;
        int r;

        r = (transfer->running ? store_put_state_if_changed : store_put_state)(
                store_of(transfer), transfer->key, transfer->version, transfer->exporter, transfer->state,
                transfer->stored, transfer);
        if (r >= 0) {
                transfer->in_store = TRUE;
                if (transfer->hurried)
                        (void) sd_event_add_time(event, &transfer->timer, CLOCK_MONOTONIC, transfer->deadline, 0,
                                                 on_put_silent, transfer);
                return;
        }
        if (r == -ENOBUFS && clock_monotonic() < transfer->deadline &&
            sd_event_add_time_relative(event, &transfer->timer, CLOCK_MONOTONIC, RETRY_INTERVAL, 0, on_retry,
                                       transfer) >= 0)
                return;
        put_failed(transfer, g_strerror(-r));
}

static gboolean is_on_trial(const StateTransfer *transfer) {
        const PluginProcess *process = transfer->process;

        return transfer->running && process == process->plugin->process && swap_on_trial(process->plugin);
}

/* Should the version before it come back, it is to find what it had. */
static char *own_key(const StateTransfer *transfer) {
        return g_strconcat(transfer->process->plugin->id, is_on_trial(transfer) ? STORE_TRIAL : NULL, NULL);
}

static void put(StateTransfer *transfer, char *key, StoreDone stored) {
        Plugin *plugin = transfer->process->plugin;
        g_autofree char *trial = g_strconcat(plugin->id, STORE_TRIAL, NULL);

        if (g_str_equal(key, plugin->id) || g_str_equal(key, trial)) {
                transfer->number = ++plugin->states_put;
                plugin->state_tried = g_str_equal(key, trial);
        }
        g_free(transfer->key);
        transfer->key = key;
        transfer->stored = stored;
        transfer->deadline = usec_add(clock_monotonic(), STORE_PATIENCE);
        try_to_put(transfer);
}

/* Before a process may work: what is not written within STORE_PATIENCE is told as not written, and may be later. */
static void put_in_time(StateTransfer *transfer, char *key, StoreDone stored) {
        transfer->hurried = TRUE;
        put(transfer, key, stored);
}

/* TRUE: nobody waits for it any more, and it is gone. */
static gboolean back_from_store(StateTransfer *transfer) {
        transfer->in_store = FALSE;
        transfer->timer = sd_event_source_disable_unref(transfer->timer);
        if (transfer->process)
                return FALSE;
        transfer_free(transfer);
        return TRUE;
}

static void on_saved(const GError *error, void *userdata) {
        StateTransfer *transfer = userdata;

        if (back_from_store(transfer))
                return;
        if (error) {
                transfer_end_problem(transfer, "its state could not be kept: %s", error->message);
                return;
        }
        transfer_end(transfer, NULL);
}

/* Where the store has what nobody could read. */
static void keep_without_overwriting(StateTransfer *transfer) {
        char *key;

        if (!transfer->last) {
                transfer_end(transfer, NOT_OVERWRITTEN);
                return;
        }
        key = beside_key(transfer->process->plugin->id, transfer->exporter);
        tell(transfer, "what was kept of its state could not be read, and stays; what it knows is put aside as %s",
             key);
        put(transfer, key, on_saved);
}

static void on_unread_asked(GHashTable *records, const GError *error, void *userdata) {
        StateTransfer *transfer = userdata;
        PluginProcess *process;

        if (back_from_store(transfer))
                return;
        process = transfer->process;
        if (error) {
                transfer_end_problem(transfer, "its state could not be kept: %s", error->message);
                return;
        }
        process->state_unsure = FALSE;
        process->state_unread = g_hash_table_contains(records, transfer->key);
        process->plugin->state_unread |= process->state_unread;
        if (process->state_unread)
                keep_without_overwriting(transfer);
        else if (outlived(transfer))
                transfer_end(transfer, NULL);
        else
                put(transfer, own_key(transfer), on_saved);
}

static int ask_whether_unread(StateTransfer *transfer, StoreRecords done) {
        g_free(transfer->key);
        transfer->key = g_strconcat(UNREAD_PREFIX, transfer->process->plugin->id, NULL);
        return store_get(store_of(transfer), transfer->key, done, transfer);
}

/* What was exported. */
static void keep(StateTransfer *transfer) {
        int r;

        if (outlived(transfer)) {
                transfer_end(transfer, NULL);
                return;
        }
        if (transfer->process->state_unread) {
                keep_without_overwriting(transfer);
                return;
        }
        if (!transfer->process->state_unsure) {
                put(transfer, own_key(transfer), on_saved);
                return;
        }
        r = ask_whether_unread(transfer, on_unread_asked);
        if (r >= 0)
                transfer->in_store = TRUE;
        else
                transfer_end_problem(transfer, "its state could not be kept: %s", g_strerror(-r));
}

/* Export */

static void end_export(StateTransfer *transfer, const char *problem) {
        PluginProcess *process = transfer->process;
        StateExported exported = transfer->exported;
        g_autoptr(GBytes) state = transfer->state ? g_bytes_ref(transfer->state) : NULL;
        uint32_t version = transfer->version;
        void *userdata = transfer->userdata;

        transfer->done = NULL;
        /* Before the caller hears of it, who may free the process. Where the store has what nobody could read, that
         * stays there. */
        if (problem || process->state_unread)
                transfer_free(transfer);
        else
                keep(transfer);
        exported(process, version, state, problem, userdata);
}

static void on_exported(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        StateTransfer *transfer = userdata;
        g_autofree char *problem = NULL;

        if (error)
                problem = g_strdup_printf("did not export its state: %s", error->message);
        else
                (void) reply_read_state(reply, &transfer->version, &transfer->state, &problem);
        if (transfer->exported)
                end_export(transfer, problem);
        else if (problem)
                transfer_end(transfer, problem);
        else
                keep(transfer);
}

static void ask_for_state(StateTransfer *transfer, PluginCallDone done) {
        g_clear_pointer(&transfer->state, g_bytes_unref);
        g_free(transfer->exporter);
        transfer->exporter = g_strdup(version_of(transfer->process));
        /* Once: one that gives none, since it is leaving, is asked over the bus. */
        if (transfer->process->channel_state == CHANNEL_CLOSED)
                process_open_channel(transfer->process);
        process_call(transfer->process, STATE_INTERFACE, "ExportState",
                     process_timeout(transfer->process, TIMEOUT_EXPORT), NULL, done, transfer);
}

static void save(PluginProcess *process, gboolean running, StateDone done, void *userdata) {
        StateTransfer *transfer;

        if (!manifest_has_contract(process->manifest, "State"))
                done(process, NULL, userdata);
        else if (process->state_unread)
                done(process, NOT_OVERWRITTEN, userdata);
        else {
                transfer = transfer_new(process, done, userdata);
                transfer->running = running;
                ask_for_state(transfer, on_exported);
        }
}

void state_save(PluginProcess *process, StateDone done, void *userdata) {
        save(process, FALSE, done, userdata);
}

void state_save_running(PluginProcess *process, StateDone done, void *userdata) {
        save(process, TRUE, done, userdata);
}

void state_put_away(PluginProcess *process, StateDone done, void *userdata) {
        StateTransfer *transfer = transfer_new(process, done, userdata);

        transfer->last = TRUE;
        ask_for_state(transfer, on_exported);
}

void state_export(PluginProcess *process, StateExported done, void *userdata) {
        StateTransfer *transfer = transfer_new(process, NULL, userdata);

        transfer->exported = done;
        ask_for_state(transfer, on_exported);
}

static void ignore_export(PluginProcess *process, uint32_t version, GBytes *state, const char *problem,
                          void *userdata) {
}

void state_export_forget(PluginProcess *process, const void *userdata) {
        for (guint i = 0; i < process->transfers->len; i++) {
                StateTransfer *transfer = g_ptr_array_index(process->transfers, i);

                if (transfer->userdata != userdata)
                        continue;
                transfer->exported = transfer->exported ? ignore_export : NULL;
                transfer->done = NULL;
                transfer->userdata = NULL;
        }
}

/* Import */

static int append_state(sd_bus_message *message, void *userdata) {
        const StateTransfer *transfer = userdata;
        gsize size;
        const void *data = g_bytes_get_data(transfer->state, &size);
        int r;

        r = sd_bus_message_append(message, "u", transfer->version);
        return r < 0 ? r : sd_bus_message_append_array(message, 'y', data, size);
}

static void hand_over(StateTransfer *transfer, PluginCallDone done) {
        process_call(transfer->process, STATE_INTERFACE, "ImportState",
                     process_timeout(transfer->process, TIMEOUT_EXPORT), append_state, done, transfer);
}

static void on_imported(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        if (error)
                transfer_end_problem(userdata, "did not take the state: %s", error->message);
        else
                transfer_end(userdata, NULL);
}

void state_import(PluginProcess *process, uint32_t version, GBytes *state, StateDone done, void *userdata) {
        StateTransfer *transfer = transfer_new(process, done, userdata);

        transfer->version = version;
        transfer->state = g_bytes_ref(state);
        hand_over(transfer, on_imported);
}

/* Restore */

static void look_up(StateTransfer *transfer, char *key, StoreStateDone done);
static void on_restored(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata);
static void on_kept(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata);

/* The store does not say what it has. */
static void go_on_without(StateTransfer *transfer, const char *reason) {
        PluginProcess *process = transfer->process;

        if (process->state_held == STATE_HELD_KEPT && !transfer->again) {
                process->state_held = STATE_HELD_LIVE;
                process->state_unread = process->plugin->state_unread;
                process->state_unsure = !process->state_unread;
                tell(transfer, "the state that it had kept itself could not be taken over: %s", reason);
                ask_for_state(transfer, on_kept);
                return;
        }
        protect(process);
        tell(transfer, "its state could not be read (%s): it starts afresh, and what it knows from now on is not kept",
             reason);
        transfer_end(transfer, NULL);
}

static void take_found(StateTransfer *transfer, const StoreState *found) {
        g_clear_pointer(&transfer->state, g_bytes_unref);
        g_free(transfer->exporter);
        transfer->version = found->version;
        transfer->state = g_bytes_ref(found->state);
        transfer->exporter = g_strdup(found->plugin_version);
        hand_over(transfer, on_restored);
}

static void on_found_refused(const StoreState *found, const GError *error, void *userdata) {
        StateTransfer *transfer = userdata;

        if (back_from_store(transfer))
                return;
        if (found)
                take_found(transfer, found);
        else
                transfer_end(transfer, NULL);
}

/* Once it is safe it may be overwritten. */
static void on_put_aside(const GError *error, void *userdata) {
        StateTransfer *transfer = userdata;
        PluginProcess *process = transfer->process;

        if (back_from_store(transfer))
                return;
        if (error) {
                protect(process);
                tell(transfer,
                     "the state that version %s refused could not be put aside (%s): nothing is kept until it can",
                     process->manifest->version, error->message);
                transfer_end(transfer, NULL);
                return;
        }
        protect_no_more(process);
        transfer->again = TRUE;
        look_up(transfer, refused_key(process->plugin->id, process->manifest->version), on_found_refused);
}

static void on_restored(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        StateTransfer *transfer = userdata;
        PluginProcess *process = transfer->process;

        if (!error) {
                protect_no_more(process);
                transfer_end(transfer, NULL);
                return;
        }
        if (sd_bus_error_has_name(error, ERROR_TIMED_OUT)) {
                transfer_free(transfer);
                process_fail(process, "did not import its state in time");
                return;
        }
        tell(transfer,
             "version %s refused the state of version %s (format %u, %zu bytes) and starts afresh; it is kept aside: "
             "%s",
             process->manifest->version, transfer->exporter, transfer->version, g_bytes_get_size(transfer->state),
             error->message);
        if (transfer->again)
                transfer_end(transfer, NULL);
        else
                put_in_time(transfer, refused_key(plugin->id, transfer->exporter), on_put_aside);
}

static void on_found(const StoreState *found, const GError *error, void *userdata) {
        StateTransfer *transfer = userdata;

        if (back_from_store(transfer))
                return;
        if (found)
                take_found(transfer, found);
        else if (error)
                go_on_without(transfer, error->message);
        else {
                protect_no_more(transfer->process);
                transfer_end(transfer, NULL);
        }
}

/* Its process goes on, and what the store answers finds nobody. */
static StateTransfer *leave_in_store(StateTransfer *transfer) {
        PluginProcess *process = transfer->process;
        StateTransfer *next = transfer_new(process, transfer->done, transfer->userdata);

        next->again = transfer->again;
        next->stored = transfer->stored;
        next->key = g_strdup(transfer->key);
        next->version = transfer->version;
        next->state = transfer->state ? g_bytes_ref(transfer->state) : NULL;
        next->exporter = g_strdup(transfer->exporter);
        transfer->timer = sd_event_source_disable_unref(transfer->timer);
        g_ptr_array_remove_fast(process->transfers, transfer);
        transfer->process = NULL;
        return next;
}

static int on_store_silent(sd_event_source *source, uint64_t usec, void *userdata) {
        go_on_without(leave_in_store(userdata), DISK_SILENT);
        return 0;
}

/* r: of what was asked of it. */
static void wait_for_store(StateTransfer *transfer, int r) {
        sd_event *event = transfer->process->plugin->plugins->parameters.event;

        if (r < 0) {
                go_on_without(transfer, g_strerror(-r));
                return;
        }
        transfer->in_store = TRUE;
        (void) sd_event_add_time_relative(event, &transfer->timer, CLOCK_MONOTONIC, STORE_PATIENCE, 0, on_store_silent,
                                          transfer);
}

static void look_up(StateTransfer *transfer, char *key, StoreStateDone done) {
        const PluginProcess *process = transfer->process;
        const char *version = g_str_equal(key, process->plugin->id) ? version_of(process) : NULL;

        g_free(transfer->key);
        transfer->key = key;
        wait_for_store(transfer, store_get_state(store_of(transfer), key, version, done, transfer));
}

/* Where it could not be made durable it is handed back all the same: it is then in two places that may die instead of
 * in one. */
static void on_kept_saved(const GError *error, void *userdata) {
        StateTransfer *transfer = userdata;

        if (back_from_store(transfer))
                return;
        if (error)
                tell(transfer, "the state that it had kept itself could not be taken over: %s", error->message);
        hand_over(transfer, on_restored);
}

/* The process that left it behind was told of as one whose state is not kept; what it could not read comes back. */
static void on_beside_saved(const GError *error, void *userdata) {
        StateTransfer *transfer = userdata;

        if (back_from_store(transfer))
                return;
        if (error) {
                go_on_without(transfer, error->message);
                return;
        }
        tell(transfer,
             "what was kept of its state can be read again, and is what it goes on with; what it had kept itself "
             "meanwhile is put aside as %s",
             transfer->key);
        look_up(transfer, g_strdup(transfer->process->plugin->id), on_found);
}

static void on_kept(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        g_autofree char *problem = error ? g_strdup(error->message) : NULL;
        StateTransfer *transfer = userdata;
        PluginProcess *process = transfer->process;

        if (problem || reply_read_state(reply, &transfer->version, &transfer->state, &problem) < 0) {
                tell(transfer, "the state that it had kept itself is of no use: %s", problem);
                process->state_held = STATE_HELD_NONE;
                process->state_unread = process->state_unsure = FALSE;
                look_up(transfer, g_strdup(plugin->id), on_found);
        } else if (process->state_held == STATE_HELD_LIVE)
                hand_over(transfer, on_restored);
        else if (transfer->beside)
                put_in_time(transfer, beside_key(plugin->id, transfer->exporter), on_beside_saved);
        else
                put_in_time(transfer, g_strdup(plugin->id), on_kept_saved);
}

static void on_found_before(const StoreState *found, const GError *error, void *userdata) {
        StateTransfer *transfer = userdata;

        if (back_from_store(transfer))
                return;
        if (error) {
                go_on_without(transfer, error->message);
                return;
        }
        /* Where there is nothing after all, nothing is overwritten. */
        if (found)
                transfer->beside = TRUE;
        else
                protect_no_more(transfer->process);
        ask_for_state(transfer, on_kept);
}

static void on_unread_known(GHashTable *records, const GError *error, void *userdata) {
        StateTransfer *transfer = userdata;
        Plugin *plugin;

        if (back_from_store(transfer))
                return;
        plugin = transfer->process->plugin;
        if (error) {
                go_on_without(transfer, error->message);
                return;
        }
        if (g_hash_table_contains(records, transfer->key))
                plugin->state_unread = TRUE;
        if (transfer->process->state_held == STATE_HELD_NONE)
                look_up(transfer, g_strdup(plugin->id), on_found);
        else if (plugin->state_unread)
                look_up(transfer, g_strdup(plugin->id), on_found_before);
        else
                ask_for_state(transfer, on_kept);
}

void state_restore(PluginProcess *process, StateDone done, void *userdata) {
        StateTransfer *transfer;

        if (!manifest_has_contract(process->manifest, "State")) {
                done(process, NULL, userdata);
                return;
        }
        /* What it knows is newer than anything, but perhaps not all there is: that is asked before it is kept. */
        if (process->state_held == STATE_HELD_LIVE) {
                process->state_unread = process->plugin->state_unread;
                process->state_unsure = !process->state_unread;
                done(process, NULL, userdata);
                return;
        }
        transfer = transfer_new(process, done, userdata);
        wait_for_store(transfer, ask_whether_unread(transfer, on_unread_known));
}

/* All of them */

static void saving_end(StateSaving *saving) {
        void (*done)(void *userdata) = g_steal_pointer(&saving->done);

        saving->timer = sd_event_source_disable_unref(saving->timer);
        if (done)
                done(saving->userdata);
}

void state_saving_free(StateSaving *saving) {
        if (!saving)
                return;
        sd_event_source_disable_unref(saving->timer);
        g_free(saving);
}

static void on_one_saved(PluginProcess *process, const char *problem, void *userdata) {
        StateSaving *saving = userdata;

        if (problem)
                plugins_problem(process->plugin->plugins, process->plugin->id, problem);
        if (--saving->waiting == 0)
                saving_end(saving);
}

static int on_saving_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        saving_end(userdata);
        return 0;
}

void plugins_save_states(Plugins *plugins, uint64_t timeout, void (*done)(void *userdata), void *userdata) {
        StateSaving *saving;

        if (plugins->saving) {
                done(userdata);
                return;
        }
        plugins->saving = saving = g_new0(StateSaving, 1);
        saving->done = done;
        saving->userdata = userdata;
        saving->waiting = 1;
        if (sd_event_add_time_relative(plugins->parameters.event, &saving->timer, CLOCK_MONOTONIC, timeout, 0,
                                       on_saving_timeout, saving) < 0) {
                saving_end(saving);
                return;
        }
        for (guint i = 0; i < plugins->list->len; i++) {
                const Plugin *plugin = g_ptr_array_index(plugins->list, i);

                if (plugin->state != PLUGIN_RUNNING || !plugin->process ||
                    !manifest_has_contract(plugin->process->manifest, "State"))
                        continue;
                saving->waiting++;
                state_save(plugin->process, on_one_saved, saving);
        }
        if (--saving->waiting == 0)
                saving_end(saving);
}
