/* SPDX-License-Identifier: Apache-2.0 */

/* io.cloudsnooze.Snooze1.Plugin, one object for each plugin. A handler whose caller polkit has to be asked about runs
 * twice, from its first line: nothing changes before authorize_call() has returned 1. */

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/names.h"
#include "bus/arguments.h"
#include "bus/dictionary.h"
#include "bus/nodes.h"
#include "bus/objects.h"
#include "daemon/plugin/plugin.h"
#include "daemon/answer/reply.h"
#include "daemon/decision/sample.h"
#include "daemon/plugin/request.h"
#include "daemon/plugin/resources.h"

#define CALL_METHOD_MAX 128U

/* What else whoever is to authenticate has to know: one detail more. */
static int authorize_call_with(Plugin *plugin, sd_bus_message *call, const char *key, const char *value,
                               sd_bus_error *error) {
        const PluginsParameters *parameters = &plugin->plugins->parameters;
        const char *const details[] = { "plugin", plugin->id, "method", sd_bus_message_get_member(call),
                                        key,      value,      NULL };

        if (!parameters->admit)
                return sd_bus_error_set(error, ERROR_ACCESS_DENIED, "Nobody is authorized to do this.");
        return parameters->admit(call, details, plugin->id, error, parameters->userdata);
}

static int authorize_call(Plugin *plugin, sd_bus_message *call, sd_bus_error *error) {
        return authorize_call_with(plugin, call, NULL, NULL, error);
}

static void on_settled(Plugin *plugin, const sd_bus_error *error, void *userdata) {
        g_autoptr(Request) request = userdata;

        if (error)
                (void) sd_bus_reply_method_error(request->call, error);
        else
                (void) sd_bus_reply_method_return(request->call, NULL);
}

static int method_load(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Plugin *plugin = userdata;
        int r = authorize_call(plugin, call, error);
        Request *request;

        if (r <= 0)
                return r < 0 ? r : 1;
        r = request_begin(plugin, call, NULL, NULL, &request, error);
        if (r < 0)
                return r;
        plugin_load(plugin, on_settled, request);
        return 1;
}

static int method_unload(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Plugin *plugin = userdata;
        int r = authorize_call(plugin, call, error);
        Request *request;

        if (r <= 0)
                return r < 0 ? r : 1;
        r = request_begin(plugin, call, NULL, NULL, &request, error);
        if (r < 0)
                return r;
        plugin_unload(plugin, on_settled, request);
        return 1;
}

static void on_enabled(const GError *error, void *userdata) {
        g_autoptr(Request) request = userdata;

        if (!error)
                (void) sd_bus_reply_method_return(request->call, NULL);
        else
                (void) sd_bus_reply_method_errorf(request->call, ERROR_STORE,
                                                  "It could not be kept whether the plugin is enabled: %s",
                                                  error->message);
}

/* Takes the request, if only to answer it. */
static int keep_enabled(Plugin *plugin, gboolean enabled, Request *request, sd_bus_error *error) {
        int r = plugin_set_enabled(plugin, enabled, on_enabled, request);

        if (r >= 0)
                return 1;
        request_end(request);
        if (r == -EDQUOT)
                return sd_bus_error_set(error, ERROR_LIMITS_EXCEEDED,
                                        "Too many changes wait for the disk; try again.");
        return sd_bus_error_setf(error, ERROR_STORE, "It could not be kept whether %s is enabled: %s", plugin->id,
                                 g_strerror(-r));
}

/* It is known to the system now, and all that it asks for is approved; or it may not be enabled. */
static void on_provisioned(Plugin *plugin, const char *name, const char *message, void *userdata) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        Request *request = userdata;

        if (name) {
                (void) sd_bus_reply_method_errorf(request->call, name, "%s %s", plugin->id, message);
                request_end(request);
                return;
        }
        call = sd_bus_message_ref(request->call);
        if (keep_enabled(plugin, TRUE, request, &error) < 0)
                (void) sd_bus_reply_method_error(call, &error);
}

static int method_set_enabled(sd_bus_message *call, Plugin *plugin, gboolean enabled, sd_bus_error *error) {
        g_autofree char *others = enabled ? NULL : dependencies_of_others(plugin, plugin_may_run);
        Request *request;
        int r;

        if (others)
                return sd_bus_error_setf(error, ERROR_REFUSED,
                                         "%s is needed by enabled plugins: %s; disable those first.", plugin->id,
                                         others);

        if (enabled && !plugin->manifest)
                return sd_bus_error_setf(error, ERROR_NOT_RUNNING, "%s is broken: %s", plugin->id, plugin->last_error);
        r = authorize_call(plugin, call, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        if (enabled && plugin_lacks_user(plugin))
                return sd_bus_error_setf(
                        error, ERROR_REFUSED,
                        "%s lies in " PKGPLUGINDIR
                        ", where packages put theirs, but no package made its user " PLUGIN_USER_PREFIX
                        "%s; move its directory to " PKGSYSCONFDIR "/plugins.",
                        plugin->id, plugin->id);
        r = request_begin(plugin, call, NULL, NULL, &request, error);
        if (r < 0)
                return r;
        if (!enabled) {
                r = keep_enabled(plugin, FALSE, request, error);
                /* They were called before, and must not undo this afterwards; be it that the disk does not take it. */
                if (r >= 0)
                        provision_give_up(plugin, on_provisioned, ERROR_BUSY,
                                          "was not enabled: somebody has asked since then to disable it.");
                return r;
        }
        if (!provision_needed(plugin, plugin->manifest, PLUGIN_SLOT_COUNT))
                return keep_enabled(plugin, TRUE, request, error);
        if (provision_begin(plugin, plugin->manifest, PLUGIN_SLOT_COUNT, on_provisioned, request))
                return 1;
        request_end(request);
        return sd_bus_error_set(error, ERROR_NOT_RUNNING, "The helper could not be called: the bus takes no message.");
}

static int method_enable(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return method_set_enabled(call, userdata, TRUE, error);
}

static int method_disable(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return method_set_enabled(call, userdata, FALSE, error);
}

static int check_runnable(const Plugin *plugin, sd_bus_error *error) {
        if (!plugin->manifest)
                return sd_bus_error_setf(error, ERROR_NOT_RUNNING, "%s is broken: %s", plugin->id, plugin->last_error);
        if (!plugin_may_run(plugin)) {
                g_autofree char *why = plugin_why_not(plugin);

                return sd_bus_error_set(error, ERROR_NOT_RUNNING, why);
        }
        return 0;
}

/* What one that is broken can do is not known. */
static int check_contract(const Plugin *plugin, const char *contract, sd_bus_error *error) {
        if (!plugin->manifest)
                return check_runnable(plugin, error);
        if (!plugin_has_contract(plugin, contract))
                return sd_bus_error_setf(error, ERROR_NOT_SUPPORTED, "%s has no contract %s.", plugin->id, contract);
        return 0;
}

static int method_restart(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Plugin *plugin = userdata;
        int r = check_runnable(plugin, error);
        Request *request;

        if (r < 0)
                return r;
        r = authorize_call(plugin, call, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = request_begin(plugin, call, NULL, NULL, &request, error);
        if (r < 0)
                return r;
        plugin_settle_later(plugin, TRUE, on_settled, request);
        plugin_restart(plugin);
        return 1;
}

/* What stands in "providers" beats what is kept here: it would be taken, and come to nothing. */
static int check_last_word(const Plugin *plugin, JsonObject *values, sd_bus_error *error) {
        JsonObject *provider = config_provider(plugin->plugins->config, plugin->id);
        JsonObjectIter iterator;
        const char *name;

        if (!provider)
                return 0;
        json_object_iter_init(&iterator, values);
        while (json_object_iter_next(&iterator, &name, NULL))
                if (json_object_has_member(provider, name))
                        return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT,
                                                 "providers.%s.%s has the last word: set it there.", plugin->id, name);
        return 0;
}

/* Values may be secrets: which are to be changed, and not to what. */
static char *keys_of(JsonObject *values) {
        g_autoptr(GString) keys = g_string_new(NULL);
        JsonObjectIter iter;
        const char *key;

        json_object_iter_init_ordered(&iter, values);
        while (json_object_iter_next_ordered(&iter, &key, NULL))
                g_string_append_printf(keys, "%s%s", keys->len > 0 ? ", " : "", key);
        return g_string_free(g_steal_pointer(&keys), FALSE);
}

static int method_configure(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Plugin *plugin = userdata;
        const PluginsParameters *parameters = &plugin->plugins->parameters;
        g_autoptr(JsonObject) values = NULL, configs = NULL;
        g_autoptr(GError) e = NULL;
        g_autofree char *keys = NULL;
        ConfigCaller caller;
        int r;

        r = dictionary_read(call, &dictionary_limits_default, &values, error);
        if (r < 0)
                return r;
        if (!plugin->manifest)
                return check_runnable(plugin, error);
        if (!schema_check(plugin->manifest->schema, plugin->id, values, &e))
                return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT, e->message);
        if (!parameters->configure)
                return sd_bus_error_set(error, ERROR_NOT_SUPPORTED, "This daemon keeps no configuration.");
        keys = keys_of(values);
        r = authorize_call_with(plugin, call, "keys", keys, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = check_last_word(plugin, values, error);
        if (r < 0)
                return r;
        configs = json_object_new();
        json_object_set_object_member(configs, plugin->id, g_steal_pointer(&values));
        /* Recorded when it was admitted: nobody asks any more whose it is. */
        caller = (ConfigCaller) { call, (uid_t) -1, clock_monotonic() };
        return plugins_configure(plugin->plugins, configs, &caller, parameters->configure, parameters->userdata,
                                 error);
}

static int method_get_configuration(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        Plugin *plugin = userdata;
        g_autoptr(Settings) settings = NULL;
        g_autoptr(GError) e = NULL;
        int r;

        if (!plugin->manifest)
                return check_runnable(plugin, error);
        settings = plugin_settings_to_show(plugin, &e);
        if (!settings)
                return sd_bus_error_set(error, ERROR_INVALID_CONFIGURATION, e->message);
        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = plugin_values_append(reply, plugin->manifest, settings);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int reply_verdict(sd_bus_message *call, const Vote *vote) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "ss", verdict_name(vote->verdict), vote->reason);
        if (r >= 0)
                r = dictionary_append(reply, vote->details, NULL);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

/* A plugin that does not know which subjects there are says so itself; else NULL where it has none of this name. */
static const Vote *vote_about(const CheckAnswer *answer, const char *id, const char *subject) {
        const Vote *own = g_ptr_array_index(answer->votes, 0);
        g_autofree char *source = subject ? g_strdup_printf("%s/%s", id, subject) : NULL;

        if (!subject)
                return own;
        for (guint i = 1; i < answer->votes->len; i++) {
                const Vote *vote = g_ptr_array_index(answer->votes, i);

                if (g_str_equal(vote->source, source))
                        return vote;
        }
        return own->verdict == VERDICT_UNKNOWN ? own : NULL;
}

static int reply_about(const Request *request, const CheckAnswer *answer) {
        const Vote *vote = vote_about(answer, request->plugin->id, request->method);

        return vote ? reply_verdict(request->call, vote)
                    : sd_bus_reply_method_errorf(request->call, ERROR_INVALID_ARGUMENT, "%s has no subject %s.",
                                                 request->plugin->id, request->method);
}

static void on_checked(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        _cleanup_(check_answer_clear) CheckAnswer answer = {};
        uint64_t now = clock_monotonic();
        g_autoptr(Request) request = userdata;
        g_autofree char *problem = NULL;
        int r = 0;

        if (error)
                (void) sd_bus_reply_method_error(request->call, error);
        else if (check_answer_read(plugin->id, reply, now, now, clock_realtime(), &answer, &problem) < 0) {
                plugin_note_problem(plugin, problem);
                (void) sd_bus_reply_method_errorf(request->call, ERROR_PLUGIN_FAILED, "%s %s.", plugin->id, problem);
        } else
                r = reply_about(request, &answer);
        if (r < 0)
                request_unanswered(request, r);
}

static int append_parameters(sd_bus_message *message, void *userdata) {
        const Request *request = userdata;
        int r = sd_bus_message_append(message, "s", request->method);

        return r < 0 ? r : dictionary_append(message, request->parameters, NULL);
}

static int append_question(sd_bus_message *message, void *userdata) {
        return dictionary_append(message, ((const Request *) userdata)->parameters, metric_hints);
}

static JsonObject *question_about(const Plugin *plugin, const char *subject) {
        JsonObject *question = json_object_new();
        JsonObjectIter iter;
        const char *key;
        JsonNode *value;

        if (plugin->check.metrics) {
                json_object_iter_init_ordered(&iter, plugin->check.metrics);
                while (json_object_iter_next_ordered(&iter, &key, &value))
                        json_object_set_member(question, key, json_node_ref(value));
        }
        if (subject)
                json_object_set_string_member(question, "subject", subject);
        return question;
}

/* subject NULL: all that it knows. */
static int check_now(Plugin *plugin, sd_bus_message *call, const char *subject, sd_bus_error *error) {
        const PluginsParameters *parameters = &plugin->plugins->parameters;
        g_autoptr(JsonObject) question = NULL;
        Request *request;
        int r;

        r = check_contract(plugin, "IdleCheck", error);
        if (r < 0)
                return r;
        r = authorize_call_with(plugin, call, subject ? "subject" : NULL, subject, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = parameters->take_check ? parameters->take_check(call, error, parameters->userdata) : 1;
        if (r <= 0)
                return r < 0 ? r : 1;
        r = plugin_check_room(plugin, error);
        if (r < 0)
                return r;
        question = question_about(plugin, subject);
        r = request_begin(plugin, call, subject, question, &request, error);
        if (r < 0)
                return r;
        return request_call(request, IDLE_CHECK_INTERFACE, "CheckIdle", TRUE, append_question, on_checked);
}

static int method_check_idle(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return check_now(userdata, call, NULL, error);
}

static int method_check_subject(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        const char *subject;
        int r = sd_bus_message_read(call, "s", &subject);

        if (r >= 0)
                r = check_text("subject", subject, SUBJECT_NAME_MAX, false, error);
        return r < 0 ? r : check_now(userdata, call, subject, error);
}

static int method_get_statistics(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        const Plugin *plugin = userdata;
        const Statistics *statistics = &plugin->statistics;
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "a{sv}", 6, "calls", "t", statistics->calls, "errors", "t",
                                          statistics->errors, "timeouts", "t", statistics->timeouts, "restarts", "t",
                                          (uint64_t) plugin->restarts, "p50_usec", "t",
                                          statistics_percentile(statistics, 50), "p99_usec", "t",
                                          statistics_percentile(statistics, 99));
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_get_resources(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return plugin_reply_resources(userdata, call, error);
}

/* One that ran before the daemon did was to serve first, and what was asked for may have been refused since: that is
 * to be told, too. */
static void on_upgraded(Plugin *plugin, const sd_bus_error *error, void *userdata) {
        Request *request = userdata;
        g_autoptr(Manifest) manifest = error ? NULL : version_find(plugin, request->method, NULL);

        if (manifest && plugin->manifest && !g_str_equal(manifest->digest, plugin->manifest->digest))
                plugin_upgrade(plugin, g_steal_pointer(&manifest), on_settled, request);
        else
                on_settled(plugin, error, request);
}

static int method_upgrade(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Plugin *plugin = userdata;
        g_autoptr(Manifest) manifest = NULL;
        g_autoptr(GError) e = NULL;
        const char *version;
        Request *request;
        int r;

        r = sd_bus_message_read(call, "s", &version);
        if (r < 0)
                return r;
        r = check_text("version", version, CALL_NAME_MAX, true, error);
        if (r >= 0)
                r = check_runnable(plugin, error);
        if (r < 0)
                return r;
        r = authorize_call_with(plugin, call, "version", version, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        /* Read from the disk: for nobody who may not have it done. */
        manifest = version_find(plugin, version, &e);
        if (!manifest)
                return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT, e->message);
        r = request_begin(plugin, call, version, NULL, &request, error);
        if (r < 0)
                return r;
        plugin_upgrade(plugin, g_steal_pointer(&manifest), on_upgraded, request);
        return 1;
}

static void on_handled(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        _cleanup_bus_message_ sd_bus_message *answer = NULL;
        g_autoptr(Request) request = userdata;
        g_autoptr(JsonObject) result = NULL;
        g_autofree char *problem = NULL;
        gboolean success;
        int r;

        if (error) {
                (void) sd_bus_reply_method_error(request->call, error);
                return;
        }
        if (reply_read_result(reply, &success, &result, &problem) < 0) {
                plugin_note_problem(plugin, problem);
                (void) sd_bus_reply_method_errorf(request->call, ERROR_PLUGIN_FAILED, "%s %s", plugin->id, problem);
                return;
        }
        plugin_keep_state(plugin, TRUE);
        r = sd_bus_message_new_method_return(request->call, &answer);
        if (r >= 0)
                r = sd_bus_message_append(answer, "b", (int) success);
        if (r >= 0)
                r = dictionary_append(answer, result, NULL);
        if (r >= 0)
                r = sd_bus_send(NULL, answer, NULL);
        if (r < 0)
                request_unanswered(request, r);
}

static int method_call(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        g_autoptr(JsonObject) parameters = NULL;
        Plugin *plugin = userdata;
        const char *method;
        Request *request;
        int r;

        r = sd_bus_message_read(call, "s", &method);
        if (r < 0)
                return r;
        if (!*method || strlen(method) > CALL_METHOD_MAX)
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "method: expected a name of 1 to %u bytes.",
                                         CALL_METHOD_MAX);
        r = dictionary_read(call, &dictionary_limits_default, &parameters, error);
        if (r < 0)
                return r;
        r = check_contract(plugin, "RequestHandler", error);
        if (r < 0)
                return r;
        r = authorize_call_with(plugin, call, "plugin-method", method, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = plugin_check_room(plugin, error);
        if (r >= 0)
                r = request_begin(plugin, call, method, parameters, &request, error);
        if (r < 0)
                return r;
        return request_call(request, REQUEST_HANDLER_INTERFACE, "Handle", FALSE, append_parameters, on_handled);
}

static int method_process_data(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Plugin *plugin = userdata;
        const void *data;
        size_t size;
        int r;

        r = sd_bus_message_read_array(call, 'y', &data, &size);
        if (r < 0)
                return r;
        r = check_contract(plugin, "DataProcessor", error);
        if (r < 0)
                return r;
        /* While polkit is asked it lies here. */
        r = plugin_check_block(plugin, size, error);
        if (r < 0)
                return r;
        r = authorize_call(plugin, call, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        return plugin_process_block(plugin, call, data, size, error);
}

static int method_process_stream(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        g_autoptr(JsonObject) options = NULL;
        Plugin *plugin = userdata;
        int input, output, r;

        r = sd_bus_message_read(call, "hh", &input, &output);
        if (r < 0)
                return r;
        r = dictionary_read(call, &dictionary_limits_default, &options, error);
        if (r < 0)
                return r;
        r = check_contract(plugin, "DataProcessor", error);
        if (r < 0)
                return r;
        r = plugin_check_stream(input, output, error);
        if (r < 0)
                return r;
        r = authorize_call(plugin, call, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        return plugin_process_stream(plugin, call, input, output, options, error);
}

#define CONST(name, signature) SD_BUS_PROPERTY(name, signature, plugin_property_get, 0, SD_BUS_VTABLE_PROPERTY_CONST)
#define CHANGING(name, signature)                                                                                     \
        SD_BUS_PROPERTY(name, signature, plugin_property_get, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE)
#define FREE SD_BUS_VTABLE_UNPRIVILEGED /* polkit decides, not a capability of the caller */

static const sd_bus_vtable plugin_vtable[] = {
        SD_BUS_VTABLE_START(0),
        CONST("Id", "s"),
        CHANGING("DisplayName", "s"),
        CHANGING("Version", "s"),
        CHANGING("Author", "s"),
        CHANGING("Description", "s"),
        CHANGING("Category", "s"),
        CHANGING("Tags", "as"),
        CHANGING("Repository", "s"),
        CHANGING("Homepage", "s"),
        CHANGING("Language", "s"),
        CHANGING("Official", "b"),
        CHANGING("Trust", "s"),
        CHANGING("Runtime", "s"),
        CHANGING("Isolation", "s"),
        CHANGING("Contracts", "as"),
        CHANGING("Events", "a{si}"),
        CHANGING("State", "s"),
        CHANGING("Enabled", "b"),
        CHANGING("Healthy", "b"),
        CHANGING("LastError", "s"),
        CHANGING("Restarts", "u"),
        SD_BUS_PROPERTY("Pid", "u", plugin_property_get, 0, 0),
        CHANGING("Unit", "s"),
        SD_BUS_PROPERTY("Permissions", "a(sb)", plugin_property_get, 0,
                        0), /* the helper writes them, and says nothing */
        CHANGING("ConfigSchema", "s"),
        CHANGING("Dependencies", "a(ss)"),
        CHANGING("MinHostVersion", "s"),
        SD_BUS_METHOD("Load", NULL, NULL, method_load, FREE),
        SD_BUS_METHOD("Unload", NULL, NULL, method_unload, FREE),
        SD_BUS_METHOD("Enable", NULL, NULL, method_enable, FREE),
        SD_BUS_METHOD("Disable", NULL, NULL, method_disable, FREE),
        SD_BUS_METHOD("Restart", NULL, NULL, method_restart, FREE),
        SD_BUS_METHOD_WITH_ARGS("Configure", SD_BUS_ARGS("a{sv}", values), SD_BUS_NO_RESULT, method_configure, FREE),
        SD_BUS_METHOD_WITH_ARGS("GetConfiguration", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", values),
                                method_get_configuration, FREE),
        SD_BUS_METHOD_WITH_ARGS("CheckIdle", SD_BUS_NO_ARGS,
                                SD_BUS_RESULT("s", verdict, "s", reason, "a{sv}", details), method_check_idle, FREE),
        SD_BUS_METHOD_WITH_ARGS("CheckSubject", SD_BUS_ARGS("s", subject),
                                SD_BUS_RESULT("s", verdict, "s", reason, "a{sv}", details), method_check_subject,
                                FREE),
        SD_BUS_METHOD_WITH_ARGS("GetStatistics", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", statistics),
                                method_get_statistics, FREE),
        SD_BUS_METHOD_WITH_ARGS("GetResources", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", resources),
                                method_get_resources, FREE),
        SD_BUS_METHOD_WITH_ARGS("Upgrade", SD_BUS_ARGS("s", version), SD_BUS_NO_RESULT, method_upgrade, FREE),
        SD_BUS_METHOD_WITH_ARGS("Call", SD_BUS_ARGS("s", method, "a{sv}", params),
                                SD_BUS_RESULT("b", success, "a{sv}", result), method_call, FREE),
        SD_BUS_METHOD_WITH_ARGS("ProcessData", SD_BUS_ARGS("ay", input), SD_BUS_RESULT("ay", output),
                                method_process_data, FREE),
        SD_BUS_METHOD_WITH_ARGS("ProcessStream", SD_BUS_ARGS("h", input, "h", output, "a{sv}", options),
                                SD_BUS_RESULT("a{sv}", result), method_process_stream, FREE),
        SD_BUS_SIGNAL_WITH_ARGS("StateChanged", SD_BUS_ARGS("s", state, "s", previous, "s", reason), 0),
        SD_BUS_SIGNAL_WITH_ARGS("ResourceViolation", SD_BUS_ARGS("s", resource, "t", limit, "t", used), 0),
        SD_BUS_VTABLE_END,
};

static int find_plugin(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                       sd_bus_error *error) {
        Plugins *plugins = userdata;
        _cleanup_free_ char *id = NULL;
        int r;

        r = sd_bus_path_decode(path, SNOOZE_PLUGIN_PATH, &id);
        if (r <= 0)
                return r;
        *ret_found = plugins_find(plugins, id);
        return *ret_found ? 1 : 0;
}

static char *path_of(const void *plugin) {
        return g_strdup(((const Plugin *) plugin)->path);
}

static int enumerate_plugins(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error) {
        *ret_nodes = node_paths(((Plugins *) userdata)->list, path_of);
        return 0;
}

int plugins_append_objects(Plugins *plugins, sd_bus_message *reply, sd_bus_error *error) {
        int r = 0;

        for (guint i = 0; r >= 0 && i < plugins->list->len; i++) {
                Plugin *plugin = g_ptr_array_index(plugins->list, i);

                r = object_append(reply, plugin->path, SNOOZE_PLUGIN_INTERFACE, plugin_vtable, plugin, error);
        }
        return r;
}

int plugins_export(Plugins *plugins) {
        sd_bus *bus = plugins->parameters.bus;
        int r;

        r = sd_bus_add_fallback_vtable(bus, &plugins->vtable_slot, SNOOZE_PLUGIN_PATH, SNOOZE_PLUGIN_INTERFACE,
                                       plugin_vtable, find_plugin, plugins);
        if (r < 0)
                return r;
        r = sd_bus_add_node_enumerator(bus, &plugins->enumerator_slot, SNOOZE_PLUGIN_PATH, enumerate_plugins, plugins);
        if (r < 0)
                return r;
        plugins->exported = TRUE;
        return 0;
}

/* Found after the objects were put on the bus; before, there was nobody to tell. */
void plugin_bus_added(Plugin *plugin) {
        if (plugin->plugins->exported)
                (void) sd_bus_emit_object_added(plugin->plugins->parameters.bus, plugin->path);
}

void plugin_bus_removed(Plugin *plugin) {
        if (plugin->plugins->exported && !plugin->plugins->freeing)
                (void) sd_bus_emit_object_removed(plugin->plugins->parameters.bus, plugin->path);
}

void plugin_bus_manifest_changed(Plugin *plugin) {
        plugin_bus_changed(plugin, "DisplayName", "Version", "Author", "Description", "Category", "Tags", "Repository",
                           "Homepage", "Language", "Official", "Trust", "Runtime", "Isolation", "Contracts", "Events",
                           "ConfigSchema", "Dependencies", "MinHostVersion", "Enabled", "LastError", NULL);
}

void plugin_bus_changed(Plugin *plugin, const char *property, ...) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        va_list ap;

        if (!plugin->plugins->exported || plugin->plugins->freeing)
                return;
        va_start(ap, property);
        for (const char *name = property; name; name = va_arg(ap, const char *))
                g_ptr_array_add(names, (char *) name);
        va_end(ap);
        g_ptr_array_add(names, NULL);
        (void) sd_bus_emit_properties_changed_strv(plugin->plugins->parameters.bus, plugin->path,
                                                   SNOOZE_PLUGIN_INTERFACE, (char **) names->pdata);
}

void plugin_bus_state_changed(Plugin *plugin, PluginState previous, const char *reason) {
        if (plugin->plugins->exported && !plugin->plugins->freeing)
                (void) sd_bus_emit_signal(plugin->plugins->parameters.bus, plugin->path, SNOOZE_PLUGIN_INTERFACE,
                                          "StateChanged", "sss", plugin_state_name(plugin->state),
                                          plugin_state_name(previous), reason);
}

void plugin_bus_violation(Plugin *plugin, const char *resource, uint64_t limit, uint64_t used) {
        if (plugin->plugins->exported && !plugin->plugins->freeing)
                (void) sd_bus_emit_signal(plugin->plugins->parameters.bus, plugin->path, SNOOZE_PLUGIN_INTERFACE,
                                          "ResourceViolation", "stt", resource, limit, used);
}
