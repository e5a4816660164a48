/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/manager.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/journal.h"
#include "base/names.h"
#include "daemon/circumstances.h"
#include "daemon/installed.h"
#include "daemon/manager-announce.h"
#include "daemon/manager-bus.h"
#include "daemon/manager-state.h"
#include "daemon/problem-details.h"
#include "daemon/stop/record.h"
#include "daemon/system-events.h"
#include "daemon/tick.h"
#include "daemon/wall-clock.h"
#include "util/json.h"

/* Boot time runs on during sleep and monotonic time does not: more than this between them is a sleep, not jitter. */
#define SLEEP_SEEN (2 * USEC_PER_SEC)
/* A step may ask for a look and be satisfied at once; more than a few rounds in one go would be a defect of decision/.
 */
#define STEPS_MAX 8
/* systemd gives the daemon 30 s to end. */
#define STATES_TIMEOUT (10 * USEC_PER_SEC)
#define HOLDS_PATIENCE USEC_PER_MINUTE

static void restart_after_sleep(Manager *manager) {
        manager->up_since = clock_monotonic();
        decision_restart_clock(manager->decision, manager->up_since, "resumed from sleep");
        log_info("This machine slept; the idle clock starts again.");
}

/* The two clocks tell it without logind, and nobody can forge them. */
void manager_notice_sleep(Manager *manager) {
        uint64_t slept = usec_sub(clock_boottime(), clock_monotonic());

        if (slept > usec_add(manager->slept, SLEEP_SEEN))
                restart_after_sleep(manager);
        manager->slept = slept;
}

gboolean manager_in_stage(const Manager *manager) {
        return manager->outcome.state == STATE_WARNING || manager->outcome.state == STATE_STOPPING;
}

/* Input of before, which would be idle by now: then it matters whether there was more since. */
static gboolean input_falls_idle(const Manager *manager, uint64_t now) {
        const Sample *sample = &manager->sample;
        double threshold = manager->config->input_idle_threshold_secs, idle = sample->value[METRIC_INPUT];

        return sample->reading[METRIC_INPUT] == READING_OK && idle < threshold &&
               idle + (double) usec_sub(now, sample->monotonic) / (double) USEC_PER_SEC >= threshold;
}

/* Whether somebody types is looked at with each sample where it ends a stage; else with each check, and before it
 * could be taken for idle. The clock misses nothing by that: it goes back to the last input itself. */
static void choose_look_at_input(Manager *manager, uint64_t now) {
        const Config *config = manager->config;
        double seconds = MIN(config->check_interval_seconds, config->input_idle_threshold_secs);

        if (manager_in_stage(manager))
                seconds = 0;
        metrics_set_input_interval(manager->metrics, usec_from_seconds(seconds));
        if (input_falls_idle(manager, now))
                metrics_look_at_input(manager->metrics);
}

void manager_take_quick_sample(Manager *manager) {
        uint64_t now = clock_monotonic();

        manager_notice_sleep(manager);
        wall_clock_look(manager);
        manager->sample_realtime = clock_realtime();
        if (manager->replay) {
                if (replay_sample(manager->replay, now, &manager->sample))
                        restart_after_sleep(manager);
        } else {
                choose_look_at_input(manager, now);
                metrics_set_slept(manager->metrics, manager->slept);
                metrics_sample(manager->metrics, now, manager->sample_realtime, &manager->sample);
        }
        if (manager->config->gpu_monitoring_enabled)
                plugin_metrics_sample(manager->plugin_metrics,
                                      usec_from_seconds(2 * manager->config->check_interval_seconds + 10),
                                      &manager->sample);
        decision_add_sample(manager->decision, &manager->sample);
}

void manager_take_sample(Manager *manager) {
        metrics_look_at_input(manager->metrics);
        manager_take_quick_sample(manager);
}

JsonObject *manager_metrics(Manager *manager) {
        JsonObject *object = json_object_new();

        plugin_metrics_tell(manager->plugin_metrics, object);
        for (Metric m = 0; m < METRIC_COUNT; m++) {
                gboolean rate = m == METRIC_CPU || m == METRIC_NETWORK || m == METRIC_DISK;

                if (manager->sample.reading[m] == READING_OK && (!rate || manager->sample.span > 0))
                        json_object_set_double_member(object, metric_key(m), manager->sample.value[m]);
                else
                        json_object_remove_member(object, metric_key(m));
        }
        json_object_set_int_member(object, "timestamp", (gint64) manager->sample_realtime);
        return object;
}

static void on_vote(Vote *vote, void *userdata) {
        Manager *manager = userdata;

        plugin_metrics_learn(manager->plugin_metrics, vote);
        decision_add_vote(manager->decision, vote);
        manager_step_soon(manager);
}

void manager_round_done(void *userdata) {
        manager_step_soon(userdata);
}

static void ask_everybody(void *userdata) {
        g_autoptr(JsonObject) metrics = NULL;
        Manager *manager = userdata;

        manager->asking_inhibitors = FALSE;
        manager_take_sample(manager);
        metrics = manager_metrics(manager);
        plugins_check(manager->plugins, metrics, TRUE, manager_round_done, manager);
        manager_step_soon(manager);
}

/* The last look. logind is asked first, and no step is made before its answer (or its time-out): its inhibitors are
 * holds, which the decision takes as they are. */
static void begin_look(Manager *manager) {
        if (manager->asking_inhibitors)
                return;
        manager->asking_inhibitors = TRUE;
        if (!manager->inhibitors || inhibitors_refresh(manager->inhibitors, ask_everybody, manager) < 0)
                ask_everybody(manager);
}

/* Without a provider that could, a warning would only frighten: that latches like a refusal, and ends when one is
 * there. A dry run needs no provider. */
static void follow_provider(Manager *manager) {
        const char *problem = stop_dry_run(manager->stop) ? NULL : providers_problem(manager->providers, NULL);

        if (manager->announced > STATE_IDLE || decision_provider_has_refused(manager->decision) ||
            g_strcmp0(problem, decision_refusal(manager->decision)) == 0)
                return;
        if (problem)
                decision_latch(manager->decision, problem);
        else
                decision_rearm(manager->decision, clock_monotonic());
        manager_emit_changed(manager, "Refusal");
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        manager_step_soon(userdata);
        return 0;
}

static void arm_deadline(Manager *manager, uint64_t when) {
        if (when == 0 || when == USEC_INFINITY) {
                (void) sd_event_source_set_enabled(manager->deadline, SD_EVENT_OFF);
                return;
        }
        (void) sd_event_source_set_time(manager->deadline, when);
        (void) sd_event_source_set_enabled(manager->deadline, SD_EVENT_ONESHOT);
}

/* Timed holds of before the boot come from the store; a disk that hangs must not keep the decision from working for
 * good. */
static gboolean holds_missing(const Manager *manager) {
        return !holds_restored(manager->holds) && clock_monotonic() < usec_add(manager->started, HOLDS_PATIENCE);
}

void manager_step(Manager *manager) {
        /* A last look waits for logind, whose inhibitors are holds (see begin_look()). */
        if (manager->asking_inhibitors || holds_missing(manager))
                return;
        (void) sd_event_source_set_enabled(manager->step_soon, SD_EVENT_OFF);
        for (unsigned i = 0; i < STEPS_MAX; i++) {
                g_auto(CircumstancesWords) words = {};
                Circumstances circumstances;

                follow_provider(manager);
                circumstances_describe(manager, &circumstances, &words);
                circumstances.ready = stop_ready(manager->stop);
                outcome_clear(&manager->outcome);
                decision_step(manager->decision, clock_monotonic(), &circumstances, &manager->outcome);
                manager_announce(manager);

                if (manager->outcome.look) {
                        begin_look(manager);
                        break;
                }
                if (manager->outcome.call_provider) {
                        stop_call_provider(manager->stop);
                        break;
                }
                if (!manager->outcome.changed && !manager->outcome.renewed)
                        break;
        }
        arm_deadline(manager, manager->outcome.next_step);
}

static int on_step_soon(sd_event_source *source, void *userdata) {
        manager_step(userdata);
        return 0;
}

void manager_step_soon(Manager *manager) {
        (void) sd_event_source_set_enabled(manager->step_soon, SD_EVENT_ONESHOT);
}

void manager_problem(Manager *manager, const char *source, const char *message) {
        g_autofree char *field = g_strdup_printf("SNOOZE_SOURCE=%s", source);
        g_autoptr(JsonObject) row = json_object_new(), details = problem_details(manager, source, message);

        journal_write(LOG_WARNING, MESSAGE_PROBLEM, (const char *[]) { field, NULL }, "%s: %s", source, message);
        json_object_set_string_member(row, "source", source);
        json_object_set_string_member(row, "message", message);
        json_object_set_object_member(row, "details", json_object_ref(details));
        if (manager->store)
                (void) store_append(manager->store, clock_realtime(), HISTORY_PROBLEM, row, NULL, NULL);
        manager_emit_problem(manager, source, message, details);
}

void manager_record_call(Manager *manager, uid_t uid, const char *member, const char *what) {
        g_autofree char *user = user_name(uid), *field = g_strdup_printf("SNOOZE_UID=%u", (unsigned) uid);
        g_autoptr(JsonObject) row = json_object_new();

        journal_write(LOG_INFO, NULL, (const char *[]){ field, NULL }, "%s by %s%s%s", member, user, *what ? ": " : "",
                      what);
        json_object_set_string_member(row, "user", user);
        json_object_set_string_member(row, "call", member);
        json_object_set_string_member(row, "what", what);
        (void) store_append(manager->store, clock_realtime(), HISTORY_CALL, row, NULL, NULL);
}

static void on_store_problem(const GError *error, void *userdata) {
        Manager *manager = userdata;

        g_free(manager->store_problem);
        manager->store_problem = error ? g_strdup(error->message) : NULL;
        if (error) {
                g_autofree char *message =
                        g_strdup_printf("History is not written: %s. Decisions go on without it.", error->message);

                manager_problem(manager, "store", message);
        } else
                log_info("History is written again.");
}

static void on_holds_changed(void *userdata) {
        Manager *manager = userdata;

        manager_emit_changed(manager, "Holds");
        manager_step_soon(manager);
}

static void expect_plugin(Manager *manager, const Plugin *plugin) {
        decision_expect_source(manager->decision, plugin_id(plugin), plugin_timeout(plugin, TIMEOUT_CHECK),
                               clock_monotonic());
}

static void expect_plugins(Manager *manager) {
        GPtrArray *plugins = plugins_list(manager->plugins);

        for (guint i = 0; i < plugins->len; i++) {
                Plugin *plugin = g_ptr_array_index(plugins, i);

                if (plugin_votes(plugin))
                        expect_plugin(manager, plugin);
        }
}

static void on_plugin_changed(Plugin *plugin, PluginState previous, const char *reason, void *userdata) {
        Manager *manager = userdata;
        g_autofree char *field = g_strdup_printf("SNOOZE_PLUGIN=%s", plugin_id(plugin));

        journal_write(plugin_state(plugin) == PLUGIN_FAILED || plugin_state(plugin) == PLUGIN_QUARANTINED ? LOG_WARNING
                                                                                                          : LOG_DEBUG,
                      MESSAGE_PLUGIN_STATE, (const char *[]){ field, NULL }, "Plugin %s: %s → %s%s%s",
                      plugin_id(plugin), plugin_state_name(previous), plugin_state_name(plugin_state(plugin)),
                      reason && *reason ? ": " : "", reason ? reason : "");

        if (plugin_votes(plugin))
                expect_plugin(manager, plugin);
        else {
                decision_forget_source(manager->decision, plugin_id(plugin));
                plugin_metrics_forget(manager->plugin_metrics, plugin_id(plugin));
        }
        if (manager->providers)
                providers_plugin_changed(manager->providers, plugin);
        if (manager->events)
                events_plugin_changed(manager->events, plugin);
        if (manager->step_soon)
                manager_step_soon(manager);
}

static gboolean on_announced(Plugin *plugin, sd_bus_message *signal, void *userdata) {
        Manager *manager = userdata;

        return manager->events && events_announced(manager->events, plugin, signal);
}

static void on_plugin_problem(const char *source, const char *message, void *userdata) {
        manager_problem(userdata, source, message);
}

static void forgive_refusal(Manager *manager) {
        if (!decision_provider_has_refused(manager->decision))
                return;
        decision_rearm(manager->decision, clock_monotonic());
        manager_emit_changed(manager, "Refusal");
        manager_step_soon(manager);
}

/* Another provider than the one that refused. */
static gboolean provider_replaced(Manager *manager) {
        Provider *active = providers_active(manager->providers), *before = manager->provider;

        if (active)
                manager->provider = active;
        return active && before && active != before;
}

static void on_provider_changed(void *userdata) {
        Manager *manager = userdata;

        manager_emit_changed(manager, "Provider");
        manager_emit_changed(manager, "ProviderProblem");
        if (provider_replaced(manager))
                forgive_refusal(manager);
        stop_provider_changed(manager->stop);
        if (manager->step_soon)
                manager_step_soon(manager);
}

static void on_permitted(void *userdata) {
        forgive_refusal(userdata);
}

static void on_forgotten(const char *source, void *userdata) {
        Manager *manager = userdata;

        decision_forget_source(manager->decision, source);
        manager_step_soon(manager);
}

static void on_stop_step(void *userdata) {
        manager_step_soon(userdata);
}

static JsonObject *on_metrics_wanted(void *userdata) {
        return manager_metrics(userdata);
}

static uint64_t on_wall_clock_wanted(uint64_t moment, void *userdata) {
        return manager_realtime(userdata, moment);
}

static gboolean on_still_wanted(void *userdata) {
        Manager *manager = userdata;

        manager_step(manager);
        return manager->outcome.state == STATE_STOPPING &&
                (manager->outcome.idle || decision_stop_requested(manager->decision, NULL));
}

static void on_stop_save(void *userdata) {
        manager_save(userdata);
}

/* In the journal, too: who edits a file and reloads reads that. */
static void log_warnings(Manager *manager) {
        g_auto(Installed) installed = { 0 };
        g_auto(GStrv) warnings = NULL;

        installed_known(manager->plugins, manager->config, &installed);
        warnings = installed_warnings(&installed, manager->config);
        for (char **warning = warnings; *warning; warning++)
                log_warning("Configuration: %s", *warning);
}

/* A check that cannot be started again keeps the machine on, from some later day on: whoever wrote that into a file is
 * told before. previous: what he was told of already; NULL: nothing. */
static void tell_excess(Manager *manager, const Config *previous) {
        g_auto(Installed) now = { 0 }, before = { 0 };

        installed_known(manager->plugins, manager->config, &now);
        installed_known(manager->plugins, previous ?: manager->config, &before);
        for (guint i = 0; i + 1 < now.excess->len; i++)
                if (!previous || !g_strv_contains((const char *const *) before.excess->pdata, now.excess->pdata[i]))
                        manager_problem(manager, "configuration", now.excess->pdata[i]);
}

/* Everybody was told of a rehearsal, of a stop or of a sleep, and it would be another. */
static void call_off_told(Manager *manager, const Config *config) {
        g_autofree char *reason = NULL;

        if (config->dry_run != manager->config->dry_run)
                reason = g_strdup(config->dry_run ? "this is a dry run now, and decided anew"
                                                  : "this is no dry run any more, and decided anew");
        else if (!g_str_equal(config->stop_action, manager->config->stop_action))
                reason = g_strdup_printf("stop_action is %s now, and it is decided anew", config->stop_action);
        if (!reason || !decision_call_off(manager->decision, reason))
                return;
        g_free(manager->called_off);
        manager->called_off = g_steal_pointer(&reason);
}

void manager_set_config(Manager *manager, Config *config) {
        g_autoptr(Config) previous = manager->config;
        uint64_t now = clock_monotonic();

        call_off_told(manager, config);
        manager->config = config_ref(config);
        decision_set_config(manager->decision, config);
        plugins_set_config(manager->plugins, config);
        expect_plugins(manager);
        providers_set_config(manager->providers, config);
        stop_set_config(manager->stop, config);
        events_set_config(manager->events, config);
        if (manager->monitors)
                monitors_set_config(manager->monitors, config);

        /* A longer interval than before must not be waited for to its end first. */
        manager->next_check =
                MIN(manager->next_check, usec_add(now, usec_from_seconds(config->check_interval_seconds)));
        (void) tick_set(manager, usec_from_seconds(config->sample_interval_seconds));
        manager_emit_dry_run(manager);
        log_warnings(manager);
        tell_excess(manager, previous);
        manager_step_soon(manager);
}

static int add_timers(Manager *manager) {
        int r;

        r = tick_begin(manager);
        if (r < 0)
                return r;
        /* Stages begin when they are due, not up to a quarter of a second later (sd-event's default accuracy). */
        r = sd_event_add_time(manager->event, &manager->deadline, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, on_deadline,
                              manager);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(manager->deadline, SD_EVENT_OFF);
        if (r < 0)
                return r;
        r = sd_event_add_defer(manager->event, &manager->step_soon, on_step_soon, manager);
        if (r < 0)
                return r;
        return sd_event_source_set_enabled(manager->step_soon, SD_EVENT_OFF);
}

/* Before the loop runs there is nobody to keep waiting; nothing can be decided without it. */
static void load_config(Manager *manager) {
        const ConfigPaths paths = { manager->config_file, manager->config_dropins, manager->config_state };
        g_autoptr(GError) error = NULL;

        manager->config = config_load(&paths, &error);
        if (manager->config)
                return;
        manager->config = config_load_good(manager->config_good, NULL);
        manager->config_problem = g_strdup_printf(
                "%s. %s is in force; fix it and type: " SNOOZE_COMMAND " config reload", error->message,
                manager->config ? "The last good configuration" : "The default configuration (dry run)");
        if (!manager->config)
                manager->config = config_new_default();
        log_error("%s", manager->config_problem);
}

/* Without it what is kept there is not kept; the rest works. */
static void make_directory(const char *path) {
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
                log_warning("The directory %s could not be made: %m", path);
}

static int create_plugins(Manager *manager) {
        int r;

        r = plugins_new(&(PluginsParameters) { .bus = manager->bus,
                                               .event = manager->event,
                                               .config = manager->config,
                                               .store = manager->store,
                                               .directories = manager->options.plugin_directories,
                                               .state_directory = manager->options.state_directory,
                                               .config_directory = manager->options.config_directory,
                                               .runtime_directory = manager->options.runtime_directory,
                                               .vote = on_vote,
                                               .forgotten = on_forgotten,
                                               .configure = keep_plugin_configs,
                                               .changed = on_plugin_changed,
                                               .problem = on_plugin_problem,
                                               .announced = on_announced,
                                               .admit = manager_admit,
                                               .take_check = manager_take_check,
                                               .userdata = manager },
                        &manager->plugins);
        if (r < 0)
                return r;
        return providers_new(&(ProvidersParameters) { .bus = manager->bus,
                                                      .event = manager->event,
                                                      .config = manager->config,
                                                      .plugins = manager->plugins,
                                                      .changed = on_provider_changed,
                                                      .permitted = on_permitted,
                                                      .stop_this_machine = stop_this_machine,
                                                      .admit = manager_admit,
                                                      .take_check = manager_take_check,
                                                      .userdata = manager },
                             &manager->providers);
}

static int create_stop(Manager *manager) {
        int r;

        r = events_new(&(EventsParameters) { .bus = manager->bus,
                                             .event = manager->event,
                                             .config = manager->config,
                                             .store = manager->store,
                                             .plugins = manager->plugins,
                                             .changed = on_stop_step,
                                             .restored = manager_announce_system,
                                             .userdata = manager },
                       &manager->events);
        if (r < 0)
                return r;
        return stop_new(&(StopParameters) { .event = manager->event,
                                              .config = manager->config,
                                              .decision = manager->decision,
                                              .store = manager->store,
                                              .holds = manager->holds,
                                              .plugins = manager->plugins,
                                              .providers = manager->providers,
                                              .events = manager->events,
                                              .boot = manager->boot,
                                              .step = on_stop_step,
                                              .still_wanted = on_still_wanted,
                                              .realtime = on_wall_clock_wanted,
                                              .metrics = on_metrics_wanted,
                                              .save = on_stop_save,
                                              .problem = on_plugin_problem,
                                              .userdata = manager },
                          &manager->stop);
}

static int create_parts(Manager *manager) {
        g_autofree char *holds_directory = g_build_filename(manager->options.runtime_directory, "holds", NULL);
        g_autoptr(GError) error = NULL;
        int r;

        r = store_new(manager->event, manager->options.state_directory, manager->options.runtime_directory,
                      on_store_problem, manager, &manager->store);
        if (r < 0)
                return r;
        if (!manager->config_problem)
                manager_keep_good_config(manager);
        manager->metrics = metrics_new(manager->options.proc_root);
        if (manager->options.replay) {
                manager->replay = replay_new(manager->options.replay, clock_monotonic(), &error);
                if (!manager->replay) {
                        log_error("%s", error->message);
                        return -EINVAL;
                }
        }
        manager->decision = decision_new(manager->config, clock_monotonic());

        r = holds_new(&(HoldsParameters) { .event = manager->event,
                                           .store = manager->store,
                                           .directory = holds_directory,
                                           .changed = on_holds_changed,
                                           .userdata = manager },
                      &manager->holds);
        if (r < 0) {
                log_error("Holds cannot be kept below %s: %s", holds_directory, strerror(-r));
                return r;
        }

        r = create_plugins(manager);
        if (r >= 0)
                r = create_stop(manager);
        return r < 0 ? r : add_timers(manager);
}

static gboolean on_is_own_stop(void *userdata) {
        Manager *manager = userdata;

        return stop_was_asked(manager->stop);
}

/* These need somebody at the other end; without logind the machine is watched all the same, and says so. */
static void watch_logind(Manager *manager) {
        int r;

        if (!manager->replay) {
                r = input_logind_new(manager->bus, manager->metrics, NULL, manager, &manager->input);
                if (r < 0)
                        log_warning("Input cannot be followed through logind: %s", strerror(-r));
        }
        r = inhibitors_new(manager->bus, manager->holds, &manager->inhibitors);
        if (r < 0)
                log_warning("logind's inhibitors cannot be followed: %s", strerror(-r));
        r = delay_new(&(DelayParameters){ .bus = manager->bus,
                                          .events = manager->events,
                                          .is_own = on_is_own_stop,
                                          .userdata = manager },
                      &manager->delay);
        if (r < 0)
                log_warning("logind cannot be kept waiting for handlers: %s", strerror(-r));
}

int manager_new(sd_event *event, sd_bus *bus, const ManagerOptions *options, Manager **ret) {
        Manager *manager = g_new0(Manager, 1);
        Boot boot;
        int r;

        manager->event = sd_event_ref(event);
        manager->bus = sd_bus_ref(bus);
        manager->options = *options;
        manager->started = clock_monotonic();
        manager->slept = usec_sub(clock_boottime(), clock_monotonic());
        manager->config_file = g_build_filename(options->config_directory, "snooze.json", NULL);
        manager->config_dropins = g_build_filename(options->config_directory, "snooze.d", NULL);
        manager->config_state = g_build_filename(options->state_directory, CONFIG_STATE_FILE, NULL);
        manager->config_good = g_build_filename(options->state_directory, "snooze.json.good", NULL);
        manager->plugin_metrics = plugin_metrics_new();
        manager->checks = g_ptr_array_new_with_free_func(manager_check_free);
        manager->outcome.reason = g_strdup("starting");
        manager->saved.fd = -EBADF;
        manager->limits = sender_limits_new(LIMIT_CALLS_PER_SECOND, LIMIT_CALLS_BURST);
        manager->check_limits = sender_limits_new(1, 1);
        manager->check_user_limits = sender_limits_new(LIMIT_CHECKS_PER_SECOND, LIMIT_CHECKS_BURST);
        manager->look_limits = sender_limits_new(LIMIT_LOOKS_PER_SECOND, LIMIT_LOOKS_BURST);
        manager->user_limits = sender_limits_new(LIMIT_CHANGES_PER_SECOND, LIMIT_CHANGES_BURST);

        make_directory(options->state_directory);
        make_directory(options->runtime_directory);
        boot_learn("", options->runtime_directory, &boot);
        manager->boot = boot.identity;
        manager->booted = manager->up_since = boot.started;

        load_config(manager);
        r = callers_new(bus, &manager->callers);
        if (r >= 0)
                r = authorizer_new(bus, manager->callers, &manager->authorizer);
        if (r >= 0)
                r = create_parts(manager);
        if (r >= 0)
                r = manager_bus_register(manager);
        if (r < 0) {
                manager_free(manager);
                return r;
        }
        expect_plugins(manager);
        log_warnings(manager);
        watch_logind(manager);
        manager_restore(manager);
        manager->announced_dry_run = stop_dry_run(manager->stop);
        manager_watch_system(manager);
        events_restore(manager->events);
        tell_excess(manager, NULL);
        if (manager->config_problem)
                manager_problem(manager, "configuration", manager->config_problem);
        *ret = manager;
        return 0;
}

gboolean manager_stop(Manager *manager, void (*done)(void *userdata), void *userdata) {
        if (manager->ending)
                return FALSE;
        manager->ending = TRUE;
        plugins_save_states(manager->plugins, STATES_TIMEOUT, done, userdata);
        return TRUE;
}

void manager_finish(Manager *manager) {
        manager->freeing = TRUE;
        if (manager->events)
                events_end(manager->events);
        if (manager->store)
                store_close(manager->store);
}

Manager *manager_free(Manager *manager) {
        if (!manager)
                return NULL;
        manager_finish(manager);
        /* Made last: what a start that failed knows is not what the next one should find. */
        if (manager->stop)
                manager_save(manager);
        manager_saved_clear(manager);
        tick_end(manager);
        manager->deadline = sd_event_source_disable_unref(manager->deadline);
        manager->step_soon = sd_event_source_disable_unref(manager->step_soon);
        manager->pause_end = sd_event_source_disable_unref(manager->pause_end);
        sd_bus_slot_unref(manager->manager_slot);
        sd_bus_slot_unref(manager->object_manager_slot);
        sd_bus_slot_unref(manager->objects_slot);
        sd_bus_slot_unref(manager->filter_slot);

        store_free(manager->store);
        input_logind_free(manager->input);
        inhibitors_free(manager->inhibitors);
        delay_free(manager->delay);
        stop_free(manager->stop);
        monitors_free(manager->monitors);
        events_free(manager->events);
        providers_free(manager->providers);
        plugins_free(manager->plugins);
        g_ptr_array_unref(manager->checks);
        holds_free(manager->holds);
        decision_free(manager->decision);
        replay_free(manager->replay);
        metrics_free(manager->metrics);
        authorizer_free(manager->authorizer);
        log_control_free(manager->log_control);
        callers_free(manager->callers);
        sender_limits_free(manager->limits);
        sender_limits_free(manager->check_limits);
        sender_limits_free(manager->check_user_limits);
        sender_limits_free(manager->look_limits);
        sender_limits_free(manager->user_limits);
        plugin_metrics_free(manager->plugin_metrics);
        config_unref(manager->config);
        outcome_clear(&manager->outcome);
        g_free(manager->called_off);
        g_free(manager->config_problem);
        g_free(manager->store_problem);
        g_free(manager->config_file);
        g_free(manager->config_dropins);
        g_free(manager->config_state);
        g_free(manager->config_good);
        g_free(manager->greeting);
        g_free(manager->verdicts);
        g_free(manager->boot);
        sd_bus_unref(manager->bus);
        sd_event_unref(manager->event);
        g_free(manager);
        return NULL;
}
