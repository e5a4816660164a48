/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/manager-bus.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "bus/actions.h"
#include "bus/arguments.h"
#include "bus/dictionary.h"
#include "bus/objects.h"
#include "daemon/manager-announce.h"
#include "daemon/wall-clock.h"

int manager_authorize(Manager *manager, sd_bus_message *message, const char *const *details, sd_bus_error *error) {
        const MethodAction *entry =
                method_action_find(sd_bus_message_get_interface(message), sd_bus_message_get_member(message));

        /* A method that the table forgot is refused, not free. */
        if (!entry || !entry->action)
                return sd_bus_error_set(error, ERROR_ACCESS_DENIED, "No action is known for this method.");
        return authorize(manager->authorizer, message, entry->action, details, error);
}

int manager_caller(Manager *manager, sd_bus_message *message, uid_t *ret, sd_bus_error *error) {
        return caller_uid(manager->callers, message, ret, error);
}

int manager_authorize_caller(Manager *manager, sd_bus_message *message, const char *const *details, uid_t *ret_uid,
                             sd_bus_error *error) {
        int r = manager_caller(manager, message, ret_uid, error);

        return r <= 0 ? r : manager_authorize(manager, message, details, error);
}

/* A question, or a request of a plugin's own, is no change. */
static bool changes_something(const char *action) {
        return strcmp(action, ACTION_CHECK) != 0 && strcmp(action, ACTION_CALL_PLUGIN) != 0;
}

int manager_admit(sd_bus_message *message, const char *const *details, const char *what, sd_bus_error *error,
                  void *userdata) {
        const char *member = sd_bus_message_get_member(message);
        const MethodAction *entry = method_action_find(sd_bus_message_get_interface(message), member);
        Manager *manager = userdata;
        uid_t uid;
        int r;

        r = manager_authorize_caller(manager, message, details, &uid, error);
        if (r <= 0 || !entry || !changes_something(entry->action))
                return r;
        r = manager_take_turn(manager, uid, error);
        if (r < 0)
                return r;
        manager_record_call(manager, uid, member, what);
        return 1;
}

int manager_refuse_too_late(Manager *manager, sd_bus_error *error) {
        if (!decision_was_asked(manager->decision))
                return 0;
        /* Perhaps it is awake again, and nobody has looked yet. */
        manager_notice_sleep(manager);
        if (decision_was_asked(manager->decision))
                return sd_bus_error_set(error, ERROR_TOO_LATE,
                                        "The provider has been asked to stop this machine already.");
        manager_step_soon(manager);
        return 0;
}

static int take_of_user(SenderLimits *limits, uid_t uid) {
        char key[32];

        g_snprintf(key, sizeof(key), "%u", (unsigned) uid);
        return sender_limits_take(limits, key, clock_monotonic());
}

int manager_take_turn(Manager *manager, uid_t uid, sd_bus_error *error) {
        if (take_of_user(manager->user_limits, uid))
                return 0;
        return sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED,
                                 "More than %u such calls a second of one user; call less often.",
                                 LIMIT_CHANGES_PER_SECOND);
}

int manager_take_look(Manager *manager, uid_t uid, sd_bus_error *error) {
        if (take_of_user(manager->look_limits, uid))
                return 0;
        return sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED,
                                 "More than %u such calls a second of one user; ask less often.",
                                 LIMIT_LOOKS_PER_SECOND);
}

int manager_take_check(sd_bus_message *message, sd_bus_error *error, void *userdata) {
        Manager *manager = userdata;
        uid_t uid;
        int r;

        r = manager_caller(manager, message, &uid, error);
        if (r <= 0)
                return r;
        if (!sender_limits_take(manager->check_limits, sd_bus_message_get_sender(message), clock_monotonic()))
                return sd_bus_error_set(
                        error, ERROR_LIMITS_EXCEEDED,
                        "One question a second and caller (CheckNow, DiscoverPlugins, CheckIdle, CheckPermissions) "
                        "is enough; wait a moment.");
        if (take_of_user(manager->check_user_limits, uid))
                return 1;
        return sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED,
                                 "More than %u checks a second of one user; ask less often.", LIMIT_CHECKS_PER_SECOND);
}

int append_rows(sd_bus_message *reply, GPtrArray *rows, const char *const *hints) {
        int r = sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "a{sv}");

        for (guint i = 0; r >= 0 && i < rows->len; i++)
                r = dictionary_append(reply, g_ptr_array_index(rows, i), hints);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", PACKAGE_VERSION);
}

static int get_state(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                     void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;

        return sd_bus_message_append(reply, "s", state_name(manager->outcome.state));
}

static int get_reason(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;

        return sd_bus_message_append(reply, "s", manager_reason(manager));
}

static int get_idle_since(sd_bus *bus, const char *path, const char *interface, const char *property,
                          sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;

        return sd_bus_message_append(reply, "t", manager_realtime(manager, manager->outcome.idle_since));
}

static int get_next_stop(sd_bus *bus, const char *path, const char *interface, const char *property,
                         sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;

        return sd_bus_message_append(reply, "t", manager_realtime(manager, manager->outcome.next_stop));
}

static int get_provider(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        Provider *provider = providers_active(manager->providers);

        return sd_bus_message_append(reply, "o", provider ? provider_object_path(provider) : "/");
}

static int get_provider_problem(sd_bus *bus, const char *path, const char *interface, const char *property,
                                sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        const char *problem = providers_problem(manager->providers, NULL);

        return sd_bus_message_append(reply, "s", problem ? problem : "");
}

static int get_holds(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                     void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;

        return sd_bus_message_append(reply, "u", holds_list(manager->holds)->len);
}

static int get_paused(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;

        return sd_bus_message_append(reply, "b", manager->pause_until > 0);
}

static int get_paused_until(sd_bus *bus, const char *path, const char *interface, const char *property,
                            sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        uint64_t left = usec_sub(manager->pause_until, clock_boottime());

        return sd_bus_message_append(reply, "t",
                                     manager->pause_until > 0 ? usec_add(clock_realtime(), left) : UINT64_C(0));
}

static int get_dry_run(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;

        return sd_bus_message_append(reply, "b", stop_dry_run(manager->stop));
}

static int get_greeting(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;

        return sd_bus_message_append(reply, "s", manager->greeting ? manager->greeting : "");
}

static int get_refusal(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        const char *refusal = decision_refusal(manager->decision);

        return sd_bus_message_append(reply, "s", refusal ? refusal : "");
}

static int method_get_metrics(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        g_autoptr(JsonObject) metrics = manager_metrics(manager);
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r;

        /* Whoever asks once is about to ask again. */
        metrics_look_at_input(manager->metrics);
        if (!manager->replay)
                json_object_set_object_member(metrics, "details", metrics_details(manager->metrics));
        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = dictionary_append(reply, metrics, NULL);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

/* decision/ counts on the monotonic clock, people on the wall's. */
static void put_on_wall_clock(Manager *manager, JsonObject *evidence) {
        gint64 activity = json_get_int(evidence, "last_activity", 0);

        if (activity > 0)
                json_object_set_int_member(evidence, "last_activity",
                                           (gint64) manager_realtime(manager, (uint64_t) activity));
}

static int method_explain(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        g_autoptr(GPtrArray) votes = decision_explain(manager->decision, clock_monotonic());
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r;

        metrics_look_at_input(manager->metrics);
        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "ss", state_name(manager->outcome.state), manager_reason(manager));
        if (r >= 0)
                r = sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "(sssa{sv})");
        for (guint i = 0; r >= 0 && i < votes->len; i++) {
                const Explained *vote = g_ptr_array_index(votes, i);

                r = sd_bus_message_open_container(reply, SD_BUS_TYPE_STRUCT, "sssa{sv}");
                if (r >= 0)
                        r = sd_bus_message_append(reply, "sss", vote->source, verdict_name(vote->verdict),
                                                  vote->reason ? vote->reason : "");
                put_on_wall_clock(manager, vote->evidence);
                if (r >= 0)
                        r = dictionary_append(reply, vote->evidence, NULL);
                if (r >= 0)
                        r = sd_bus_message_close_container(reply);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_check_now(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        uid_t uid;
        int r;

        r = manager_authorize_caller(manager, message, NULL, &uid, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = manager_take_check(message, error, manager);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = manager_check_now(manager, message, uid, error);
        return r < 0 ? r : 1;
}

static const sd_bus_vtable manager_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("State", "s", get_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Reason", "s", get_reason, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("IdleSince", "t", get_idle_since, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("NextStop", "t", get_next_stop, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Provider", "o", get_provider, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("ProviderProblem", "s", get_provider_problem, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Holds", "u", get_holds, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Paused", "b", get_paused, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("PausedUntil", "t", get_paused_until, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("DryRun", "b", get_dry_run, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Greeting", "s", get_greeting, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Refusal", "s", get_refusal, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),

        SD_BUS_METHOD_WITH_ARGS("GetMetrics", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", metrics), method_get_metrics,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Explain", SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("s", state, "s", reason, "a(sssa{sv})", votes), method_explain,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("CheckNow", SD_BUS_NO_ARGS, SD_BUS_RESULT("b", idle, "s", reason), method_check_now,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetHistory", SD_BUS_ARGS("t", since, "t", until, "u", max),
                                SD_BUS_RESULT("aa{sv}", rows), method_get_history, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetSamples", SD_BUS_ARGS("t", since, "t", until, "u", max),
                                SD_BUS_RESULT("aa{sv}", samples), method_get_samples, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListHolds", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(ussstt)", holds), method_list_holds,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListEvents", SD_BUS_ARGS("u", max), SD_BUS_RESULT("aa{sv}", events),
                                method_list_events, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetConfiguration", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", json), method_get_configuration,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetConfigurationOrigins", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{ss}", origins),
                                method_get_configuration_origins, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Diagnose", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", findings), method_diagnose,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListPlugins", SD_BUS_NO_ARGS, SD_BUS_RESULT("ao", plugins), method_list_plugins,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SearchPlugins", SD_BUS_ARGS("s", query, "a{sv}", filter),
                                SD_BUS_RESULT("aa{sv}", plugins), method_search_plugins, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetPlugin", SD_BUS_ARGS("s", id), SD_BUS_RESULT("o", plugin), method_get_plugin,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("DiscoverPlugins", SD_BUS_NO_ARGS, SD_BUS_RESULT("as", ids), method_discover_plugins,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("LoadPlugin", SD_BUS_ARGS("s", id), SD_BUS_RESULT("o", plugin), method_load_plugin,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("UnloadPlugin", SD_BUS_ARGS("s", id), SD_BUS_NO_RESULT, method_unload_plugin,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ForgetPlugin", SD_BUS_ARGS("s", id), SD_BUS_NO_RESULT, method_forget_plugin,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ListProviders", SD_BUS_NO_ARGS, SD_BUS_RESULT("ao", providers), method_list_providers,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetProvider", SD_BUS_ARGS("s", id), SD_BUS_RESULT("o", provider), method_get_provider,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Hold", SD_BUS_ARGS("s", who, "s", why, "s", kind), SD_BUS_RESULT("h", fd),
                                method_hold, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("HoldFor", SD_BUS_ARGS("t", duration, "s", why), SD_BUS_RESULT("u", cookie),
                                method_hold_for, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("ReleaseHold", SD_BUS_ARGS("u", cookie), SD_BUS_NO_RESULT, method_release_hold,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("StopInstance", SD_BUS_ARGS("s", reason, "a{sv}", options), SD_BUS_NO_RESULT,
                                method_stop_instance, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("CancelStop", SD_BUS_ARGS("s", reason), SD_BUS_NO_RESULT, method_cancel_stop,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Postpone", SD_BUS_ARGS("t", duration, "s", reason), SD_BUS_NO_RESULT, method_postpone,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Pause", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_pause, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Resume", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_resume, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("EmitEvent", SD_BUS_ARGS("s", type, "u", severity, "t", deadline, "a{sv}", data),
                                SD_BUS_RESULT("s", id), method_emit_event, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetConfiguration", SD_BUS_ARGS("s", json_merge_patch), SD_BUS_NO_RESULT,
                                method_set_configuration, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_reload, SD_BUS_VTABLE_UNPRIVILEGED),

        SD_BUS_SIGNAL_WITH_ARGS("StateChanged", SD_BUS_ARGS("s", state, "s", previous, "s", reason), 0),
        SD_BUS_SIGNAL_WITH_ARGS("StopScheduled", SD_BUS_ARGS("t", deadline, "s", reason), 0),
        SD_BUS_SIGNAL_WITH_ARGS("StopCancelled", SD_BUS_ARGS("s", reason), 0),
        SD_BUS_SIGNAL_WITH_ARGS("Stopping", SD_BUS_ARGS("s", provider, "s", reason), 0),
        SD_BUS_SIGNAL_WITH_ARGS("EventReceived", SD_BUS_ARGS("s", id, "s", type, "a{sv}", event), 0),
        SD_BUS_SIGNAL_WITH_ARGS("EventCancelled", SD_BUS_ARGS("s", id, "s", source), 0),
        SD_BUS_SIGNAL_WITH_ARGS("EventMoved", SD_BUS_ARGS("s", id, "s", source, "t", deadline), 0),
        SD_BUS_SIGNAL_WITH_ARGS("EventFinished", SD_BUS_ARGS("s", id, "b", handled, "aa{sv}", results), 0),
        SD_BUS_SIGNAL_WITH_ARGS("Problem", SD_BUS_ARGS("s", source, "s", message, "a{sv}", details), 0),
        SD_BUS_VTABLE_END,
};

/* Every method call to us costs its sender a token, wherever it goes: properties and introspection are work, too. */
static int limit_calls(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        const char *sender = sd_bus_message_get_sender(message);

        if (!sd_bus_message_is_method_call(message, NULL, NULL) || !sender ||
            authorizer_knows(manager->authorizer, message))
                return 0;
        if (!sender_limits_take(manager->limits, sender, clock_monotonic()))
                return sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED, "More than %u calls a second; ask less often.",
                                         LIMIT_CALLS_PER_SECOND);
        return call_check_names(message, error);
}

/* In sd-bus's order: what was put on the bus last comes first. */
static int append_objects(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        int r = providers_append_objects(manager->providers, reply, error);

        return r < 0 ? r : plugins_append_objects(manager->plugins, reply, error);
}

static int answer_objects(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return objects_answer(call, append_objects, userdata, error);
}

int manager_bus_register(Manager *manager) {
        int r;

        /* Its filter comes after the one below: sd-bus runs the latest first. */
        r = log_control_new(manager->bus, manager->callers, &manager->log_control);
        if (r < 0)
                return r;
        r = sd_bus_add_filter(manager->bus, &manager->filter_slot, limit_calls, manager);
        if (r < 0)
                return r;
        r = sd_bus_add_object_manager(manager->bus, &manager->object_manager_slot, SNOOZE_PATH);
        if (r < 0)
                return r;
        r = sd_bus_add_object(manager->bus, &manager->objects_slot, SNOOZE_PATH, answer_objects, manager);
        if (r < 0)
                return r;
        r = sd_bus_add_object_vtable(manager->bus, &manager->manager_slot, SNOOZE_PATH, SNOOZE_MANAGER_INTERFACE,
                                     manager_vtable, manager);
        if (r < 0)
                return r;
        r = plugins_export(manager->plugins);
        if (r < 0)
                return r;
        return providers_export(manager->providers);
}
