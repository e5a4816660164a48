/* SPDX-License-Identifier: Apache-2.0 */

/* Diagnose: every check, whether it can see what it should on this machine, and what to do where it cannot. */

#include <errno.h>
#include <inttypes.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/names.h"
#include "bus/caller.h"
#include "bus/kept-call.h"
#include "daemon/installed.h"
#include "daemon/manager-bus.h"
#include "daemon/plugin/provision.h"
#include "util/json.h"
#include "util/line.h"

#define POLKIT_PATIENCE (3 * USEC_PER_SEC)
#define SYSTEMD_PATIENCE (3 * USEC_PER_SEC)
#define OWN_UNIT_PATH SYSTEMD_UNIT_PATH "/snoozed_2eservice"
/* Under way: each has polkit asked, and the bus lets us ask only so much at once. */
#define DIAGNOSES_MAX 16U
/* A person who makes no pause in so long is rare; a desktop that never tells of one is not. */
#define SILENT_DESKTOP USEC_PER_HOUR
#define SILENT_DESKTOPS_MAX 16U
#define CLOSED_TERMINALS_NAMED 4U
#define TERMINAL_PLUGIN "terminal"

static void add(GPtrArray *findings, const char *check, const char *status, const char *message, const char *advice) {
        JsonObject *finding = json_object_new();

        json_object_set_string_member(finding, "check", check);
        json_object_set_string_member(finding, "status", status);
        json_object_set_string_member(finding, "message", message);
        json_object_set_string_member(finding, "advice", advice);
        g_ptr_array_add(findings, finding);
}

static const char *advice_for_metric(Metric metric) {
        switch (metric) {
        case METRIC_GPU:
                return "Nothing to do on a machine without a GPU; with one, enable a plugin that measures "
                       "it: " SNOOZE_COMMAND " plugin list";
        case METRIC_INPUT:
                return "Nothing to do on a machine nobody logs in to; else see that systemd-logind runs.";
        case METRIC_DISK:
        case METRIC_NETWORK:
                return "Containers may hide devices; if this machine has them, report it with the output "
                       "of " SNOOZE_COMMAND " doctor --json.";
        default:
                return "See that /proc is mounted and readable for the daemon (ProcSubset=all in snoozed.service).";
        }
}

static const char *unit_of(Metric metric) {
        switch (metric) {
        case METRIC_NETWORK:
        case METRIC_DISK:
                return "kB/s";
        case METRIC_INPUT:
                return "s without input";
        default:
                return "%";
        }
}

/* Of counters, which the very first sample has nothing to compare with. */
static gboolean has_no_rate_yet(const Manager *manager, Metric metric) {
        return manager->sample.span == 0 && !manager->replay &&
               (metric == METRIC_CPU || metric == METRIC_NETWORK || metric == METRIC_DISK);
}

static void diagnose_metrics(Manager *manager, GPtrArray *findings) {
        for (Metric m = 0; m < METRIC_COUNT; m++) {
                g_autofree char *message = NULL;
                const char *name = metric_source_name(m);

                if (config_source(manager->config, name).policy == POLICY_OFF) {
                        message = g_strdup_printf("%s is turned off by the configuration: it has no vote", name);
                        add(findings, name, "ok", message, "");
                        continue;
                }
                switch (manager->sample.reading[m]) {
                case READING_OK:
                        message =
                                has_no_rate_yet(manager, m)
                                        ? g_strdup_printf("%s is measured; the next sample tells the first rate", name)
                                        : g_strdup_printf("%s is measured: %.1f %s", name, manager->sample.value[m],
                                                          unit_of(m));
                        add(findings, name, "ok", message, "");
                        break;
                case READING_FAILED:
                        message = g_strdup_printf("%s was measured before and cannot be read now: it counts as busy",
                                                  name);
                        add(findings, name, "error", message, advice_for_metric(m));
                        break;
                case READING_ABSENT:
                        message = g_strdup_printf("%s is not to be had on this machine: it has no vote", name);
                        add(findings, name, m == METRIC_GPU || m == METRIC_INPUT ? "blind" : "error", message,
                            advice_for_metric(m));
                        break;
                }
        }
}

/* What is not enabled is to do nothing, and is not wrong. */
static gboolean is_down(const Plugin *plugin) {
        PluginState state = plugin_state(plugin);

        return plugin_enabled(plugin) &&
                (state == PLUGIN_FAILED || state == PLUGIN_QUARANTINED || plugin_refused(plugin));
}

/* Its source, or one of its subjects: what is wrong with it is told once. */
static gboolean is_of_one_that_is_down(Manager *manager, const char *source) {
        g_autofree char *id = g_strndup(source, strcspn(source, "/"));
        const Plugin *plugin = plugins_find(manager->plugins, id);

        return plugin && is_down(plugin);
}

static void diagnose_sources(Manager *manager, GPtrArray *findings) {
        g_autoptr(GPtrArray) votes = decision_explain(manager->decision, clock_monotonic());

        for (guint i = 0; i < votes->len; i++) {
                const Explained *vote = g_ptr_array_index(votes, i);
                g_autofree char *advice = NULL;

                if (metric_from_source_name(vote->source) >= 0 || is_of_one_that_is_down(manager, vote->source))
                        continue;
                if (vote->verdict == VERDICT_UNKNOWN && vote->policy != POLICY_OFF) {
                        /* A subject is one of a plugin, which may run in either of two units. */
                        int length = (int) strcspn(vote->source, "/");

                        advice = g_strdup_printf(
                                "See: " SNOOZE_COMMAND
                                " plugin info %.*s, and its journal: journalctl -u 'snooze-plugin*@%.*s.service'",
                                length, vote->source, length, vote->source);
                        add(findings, vote->source, "blind", vote->reason, advice);
                } else
                        add(findings, vote->source, "ok", vote->reason, "");
        }
}

static void diagnose_plugins(Manager *manager, GPtrArray *findings) {
        GPtrArray *plugins = plugins_list(manager->plugins);

        for (guint i = 0; i < plugins->len; i++) {
                const Plugin *plugin = g_ptr_array_index(plugins, i);
                g_autofree char *advice = NULL, *message = NULL;

                if (is_down(plugin)) {
                        advice = plugin_advice(plugin);
                        message = g_strdup_printf("%s: %s", plugin_state_name(plugin_state(plugin)),
                                                  plugin_last_error(plugin));
                        add(findings, plugin_id(plugin), "error", message, advice);
                } else if (plugin_broken(plugin)) {
                        message = g_strdup_printf(
                                "runs on as it was started, and could not be started again: what is there now is "
                                "broken: %s",
                                plugin_broken(plugin));
                        add(findings, plugin_id(plugin), "warning", message, "Mend the file.");
                }
        }
}

/* NULL: no permission that it has counts on addresses being told apart. Caller frees. */
static char *addresses_of(const Plugin *plugin) {
        return plugin_enabled(plugin) ? plugin_approved_addresses(plugin) : NULL;
}

static gboolean any_addresses(const Manager *manager) {
        GPtrArray *plugins = plugins_list(manager->plugins);

        for (guint i = 0; i < plugins->len; i++) {
                g_autofree char *addresses = addresses_of(plugins->pdata[i]);

                if (addresses)
                        return TRUE;
        }
        return FALSE;
}

/* Where systemd cannot tell them apart. */
static void diagnose_addresses(Manager *manager, GPtrArray *findings) {
        GPtrArray *plugins = plugins_list(manager->plugins);

        for (guint i = 0; i < plugins->len; i++) {
                const char *id = plugin_id(plugins->pdata[i]);
                g_autofree char *addresses = addresses_of(plugins->pdata[i]), *message = NULL, *advice = NULL;

                if (!addresses)
                        continue;
                message = g_strdup_printf(
                        "may reach every address of the network, and not only what is approved (%s): systemd cannot "
                        "tell addresses apart on this machine",
                        addresses);
                advice = g_strdup_printf(
                        "Boot with control groups of version 2 (systemd.unified_cgroup_hierarchy=1) and a kernel with "
                        "BPF for them; or have this machine's firewall hold user " PLUGIN_USER_PREFIX
                        "%s to it; or disable it: sudo " SNOOZE_COMMAND " plugin disable %s",
                        id, id);
                add(findings, id, "warning", message, advice);
        }
}

/* Input and the plugin sessions can only believe what a desktop says of itself. */
static void diagnose_desktops(Manager *manager, GPtrArray *findings) {
        g_autoptr(GPtrArray) silent = NULL;

        if (!manager->input)
                return;
        silent = input_logind_silent(manager->input, usec_sub(clock_realtime(), SILENT_DESKTOP));
        for (guint i = 0; i < MIN(silent->len, SILENT_DESKTOPS_MAX); i++) {
                const char *session = silent->pdata[i];
                g_autofree char *message = NULL;

                message = g_strdup_printf(
                        "%s has never told logind that it is idle: it counts as in use while it lasts", session);
                add(findings, "desktop", "blind", message,
                    "GNOME tells it by itself. Elsewhere start xss-lock (X) or swayidle with idlehint (Wayland) in "
                    "the session; "
                    "or log out.");
        }
}

typedef struct ClosedTerminals {
        GString *names;
        unsigned count;
} ClosedTerminals;

static void on_closed_terminal(const char *name, uid_t owner, void *userdata) {
        ClosedTerminals *terminals = userdata;
        g_autofree char *user = NULL;

        if (terminals->count++ >= CLOSED_TERMINALS_NAMED)
                return;
        user = user_name(owner);
        g_string_append_printf(terminals->names, "%s%s of %s", terminals->count > 1 ? ", " : "", name, user);
}

/* The plugin writes where group tty may, and has no right to more. */
static void diagnose_terminals(Manager *manager, GPtrArray *findings) {
        Plugin *plugin = plugins_find(manager->plugins, TERMINAL_PLUGIN);
        ClosedTerminals terminals = { .names = g_string_new(NULL) };
        g_autofree char *message = NULL;

        if (plugin && plugin_enabled(plugin))
                metrics_tell_closed_terminals(manager->metrics, on_closed_terminal, &terminals);
        if (terminals.count > CLOSED_TERMINALS_NAMED)
                g_string_append_printf(terminals.names, " and %u more", terminals.count - CLOSED_TERMINALS_NAMED);
        if (terminals.count > 0) {
                message = g_strdup_printf("closed to messages (mesg n), so that nobody is warned there of a stop: %s",
                                          terminals.names->str);
                add(findings, TERMINAL_PLUGIN, "warning", message,
                    "Type in that shell: mesg y. Debian's and Ubuntu's /root/.profile closes each terminal in which "
                    "root logs in (sudo -i, su -); a line 'mesg y' at its end opens them.");
        }
        g_string_free(terminals.names, TRUE);
}

static void diagnose_store(Manager *manager, GPtrArray *findings) {
        uint64_t since = store_busy_since(manager->store), waited = since > 0 ? usec_sub(clock_monotonic(), since) : 0;
        g_autofree char *message = NULL;

        if (waited > STORE_PATIENCE) {
                message = g_strdup_printf("the disk has not answered for %" PRIu64
                                          " s: changes wait until they are written down, and events go out unwritten",
                                          waited / USEC_PER_SEC);
                add(findings, "store", "error", message,
                    "See why the disk of /var/lib/cloudsnooze hangs: dmesg, and the volume's state at the cloud.");
        } else if (manager->store_problem)
                add(findings, "store", "error", manager->store_problem,
                    "See that the disk of /var/lib/cloudsnooze has room and is writable.");
        else
                add(findings, "store", "ok", "history is written", "");
}

/* The daemon is no more than others. */
static void diagnose_disks(Manager *manager, GPtrArray *findings) {
        g_autofree char *paths = manager->monitors ? monitors_closed_disks(manager->monitors) : NULL, *message = NULL;

        if (!paths)
                return;
        line_clean(paths);
        message = g_strdup_printf("below a directory that is closed to others, so that nobody is told when they fill "
                                  "up: %s",
                                  paths);
        add(findings, "disk-space", "blind", message,
            "Let others pass there, without reading it: chmod o+x on each directory above; or mount it elsewhere.");
}

static void diagnose_surroundings(Manager *manager, GPtrArray *findings) {
        const char *provider = providers_problem(manager->providers, NULL);
        const char *refusal = decision_refusal(manager->decision);
        const char *logind =
                manager->input ? input_logind_problem(manager->input) : "not asked: the metrics are replayed";
        g_autoptr(JsonObject) details = metrics_details(manager->metrics);
        g_auto(Installed) installed = { 0 };
        g_auto(GStrv) warnings = NULL;
        add(findings, "logind", logind ? "blind" : "ok", logind ? logind : "sessions and inhibitors are known",
            logind ? "Sessions, graphical input and inhibitors are not seen. Install and start systemd-logind." : "");
        if (!json_object_has_member(details, "pressure"))
                add(findings, "pressure", "blind", "this kernel tells no pressure (PSI)",
                    "Boot with psi=1 to see it; no decision needs it.");
        if (manager->monitors && monitors_blind(manager->monitors))
                add(findings, "network", "warning", monitors_blind(manager->monitors),
                    "See that AF_NETLINK is among RestrictAddressFamilies= of snoozed.service.");
        diagnose_disks(manager, findings);
        if (provider)
                add(findings, "provider", stop_dry_run(manager->stop) ? "warning" : "error", provider,
                    SNOOZE_COMMAND " provider list; sudo " SNOOZE_COMMAND " setup");
        else
                add(findings, "provider", "ok", "a provider is there that can stop this machine", "");
        if (refusal)
                add(findings, "stop", "error", refusal, SNOOZE_COMMAND " provider check");
        if (stop_dry_run(manager->stop))
                add(findings, "dry-run", "warning", "every stage is gone through, but the machine is not stopped",
                    "Arm it: sudo " SNOOZE_COMMAND " setup");
        diagnose_store(manager, findings);
        if (manager->config_problem)
                add(findings, "configuration", "error", manager->config_problem, SNOOZE_COMMAND " config check");
        else
                add(findings, "configuration", "ok", "the configuration in the files is in force", "");
        installed_known(manager->plugins, manager->config, &installed);
        warnings = installed_warnings(&installed, manager->config);
        for (char **warning = warnings; *warning; warning++)
                add(findings, "configuration", "warning", *warning, SNOOZE_COMMAND " config check");
}

/* What is too much for the bus at the moment, or in one message, is a ceiling; nothing else is. */
static const char *error_of(int r) {
        return r == -ENOBUFS || r == -EMSGSIZE || r == -ENOMEM ? ERROR_LIMITS_EXCEEDED : SD_BUS_ERROR_FAILED;
}

typedef struct Diagnosis {
        Manager *manager;
        sd_bus_message *call;
        sd_bus_message *polkit; /* its answer */
} Diagnosis;

static void diagnosis_free(Diagnosis *diagnosis) {
        sd_bus_message_unref(diagnosis->call);
        sd_bus_message_unref(diagnosis->polkit);
        g_free(diagnosis);
}

static int diagnosis_end(Diagnosis *diagnosis, gboolean addresses_told_apart) {
        Manager *manager = diagnosis->manager;
        g_autoptr(GPtrArray) findings = g_ptr_array_new_with_free_func((GDestroyNotify) json_object_unref);
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r;

        diagnose_metrics(manager, findings);
        diagnose_sources(manager, findings);
        diagnose_plugins(manager, findings);
        if (!addresses_told_apart)
                diagnose_addresses(manager, findings);
        diagnose_desktops(manager, findings);
        diagnose_terminals(manager, findings);
        diagnose_surroundings(manager, findings);
        if (sd_bus_message_is_method_error(diagnosis->polkit, NULL))
                add(findings, "polkit", "error", sd_bus_message_get_error(diagnosis->polkit)->message,
                    "Without polkit every request but reading is refused. Install and start polkitd.");
        else
                add(findings, "polkit", "ok", "requests are decided by polkit", "");

        r = sd_bus_message_new_method_return(diagnosis->call, &reply);
        if (r >= 0)
                r = append_rows(reply, findings, NULL);
        if (r >= 0)
                r = sd_bus_send(NULL, reply, NULL);
        else
                r = sd_bus_reply_method_errorf(diagnosis->call, error_of(r), "The diagnosis could not be told: %s",
                                               g_strerror(-r));
        manager->diagnoses--;
        diagnosis_free(diagnosis);
        return r < 0 ? r : 0;
}

/* It counts what a unit sends and receives (IPAccounting=, which the daemon's own unit has) by programs on the same
 * hook of the kernel by which it tells addresses apart, and has nothing to tell where it cannot have them. Where it
 * does not answer there is none, or nothing is known. */
static int systemd_known(sd_bus_message *answer, void *userdata, sd_bus_error *unused) {
        uint64_t bytes = 0;

        if (!sd_bus_message_is_method_error(answer, NULL))
                (void) sd_bus_message_read(answer, "v", "t", &bytes);
        return diagnosis_end(userdata, bytes != UINT64_MAX);
}

static int ask_systemd(Diagnosis *diagnosis) {
        _cleanup_bus_message_ sd_bus_message *question = NULL;
        int r;

        r = sd_bus_message_new_method_call(diagnosis->manager->bus, &question, SYSTEMD_NAME, OWN_UNIT_PATH,
                                           PROPERTIES_INTERFACE, "Get");
        if (r >= 0)
                r = sd_bus_message_set_auto_start(question, 0);
        if (r >= 0)
                r = sd_bus_message_append(question, "ss", SYSTEMD_SERVICE_INTERFACE, "IPIngressBytes");
        if (r >= 0)
                r = sd_bus_call_async(diagnosis->manager->bus, NULL, question, systemd_known, diagnosis,
                                      SYSTEMD_PATIENCE);
        return r;
}

static int polkit_known(sd_bus_message *answer, void *userdata, sd_bus_error *unused) {
        Diagnosis *diagnosis = userdata;

        diagnosis->polkit = sd_bus_message_ref(answer);
        if (any_addresses(diagnosis->manager) && ask_systemd(diagnosis) >= 0)
                return 0;
        return diagnosis_end(diagnosis, TRUE);
}

int method_diagnose(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        _cleanup_bus_message_ sd_bus_message *ping = NULL;
        Diagnosis *diagnosis;
        int r;

        if (manager->diagnoses >= DIAGNOSES_MAX)
                return sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED, "%u diagnoses are under way; try again.",
                                         manager->diagnoses);
        r = sd_bus_message_new_method_call(manager->bus, &ping, "org.freedesktop.PolicyKit1",
                                           "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.DBus.Peer",
                                           "Ping");
        if (r < 0)
                return r;
        diagnosis = g_new0(Diagnosis, 1);
        diagnosis->manager = manager;
        r = call_keep(message, &diagnosis->call);
        if (r >= 0)
                r = sd_bus_call_async(manager->bus, NULL, ping, polkit_known, diagnosis, POLKIT_PATIENCE);
        if (r < 0) {
                diagnosis_free(diagnosis);
                return sd_bus_error_setf(error, error_of(r), "The diagnosis could not be begun: %s", g_strerror(-r));
        }
        manager->diagnoses++;
        return 1;
}
