/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/plugin/request.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/names.h"
#include "bus/owner.h"
#include "daemon/plugin/plugin.h"

/* Each watch is a match rule, of which a connection may have 512. A request without one lives until its deadline. */
#define WATCHES_MAX 64U
#define SYSTEMD_TIMEOUT (5 * USEC_PER_SEC)

static int check_ceilings(const GPtrArray *requests, const char *sender, sd_bus_error *error) {
        unsigned n = 0;

        for (guint i = 0; i < requests->len; i++) {
                const Request *other = g_ptr_array_index(requests, i);

                n += g_strcmp0(sd_bus_message_get_sender(other->call), sender) == 0;
        }
        if (n >= REQUESTS_PER_SENDER_MAX)
                return sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED,
                                         "%u of your calls to plugins are under way; wait for one of them.", n);
        if (requests->len >= REQUESTS_MAX)
                return sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED, "%u calls to plugins are under way; try again.",
                                         requests->len);
        return 0;
}

static void drop_request(void *subject) {
        request_end(subject);
}

void request_unanswered(const Request *request, int r) {
        (void) sd_bus_reply_method_errorf(request->call, ERROR_LIMITS_EXCEEDED,
                                          "%s has answered, and the answer could not be handed on: %s",
                                          request->plugin->id, g_strerror(-r));
}

void request_belongs_to(Request *request, void *subject, void (*drop)(void *subject),
                        void (*destroy)(void *subject)) {
        request->subject = subject;
        request->drop = drop;
        request->destroy = destroy;
}

int request_begin(Plugin *plugin, sd_bus_message *call, const char *method, JsonObject *parameters, Request **ret,
                  sd_bus_error *error) {
        GPtrArray *requests = plugin->plugins->requests;
        int r = check_ceilings(requests, sd_bus_message_get_sender(call), error);
        Request *request;

        if (r < 0)
                return r;
        request = g_new(Request, 1);
        *request = (Request) { .plugins = plugin->plugins,
                               .plugin = plugin,
                               .call = sd_bus_message_ref(call),
                               .method = g_strdup(method),
                               .parameters = parameters ? json_object_ref(parameters) : NULL };
        request_belongs_to(request, request, drop_request, NULL);
        g_ptr_array_add(requests, request);
        *ret = request;
        return 0;
}

void plugin_request_free(void *data) {
        Request *request = data;

        if (request->watch)
                request->plugins->watches--;
        if (request->question)
                request->plugins->questions_to_systemd--;
        sd_bus_slot_unref(request->question);
        sd_bus_slot_unref(request->watch);
        sd_bus_message_unref(request->call);
        g_free(request->method);
        g_clear_pointer(&request->parameters, json_object_unref);
        if (request->destroy)
                request->destroy(request->subject);
        g_free(request);
}

void request_end(Request *request) {
        g_ptr_array_remove_fast(request->plugins->requests, request);
}

/* What the plugin was asked already is answered to nobody. */
static void on_sender_gone(const char *sender, void *userdata) {
        Request *request = userdata;

        if (plugin_call_cancel(request->plugin, request->subject))
                request->drop(request->subject);
}

int request_call(Request *request, const char *interface, const char *member, gboolean without_effect,
                 PluginCallAppend append, PluginCallDone done) {
        const char *sender = sd_bus_message_get_sender(request->call);
        Plugins *plugins = request->plugins;
        Plugin *plugin = request->plugin;
        int r = plugin_call_for(plugin, sender, interface, member, request->timeout, without_effect, append, done,
                                request->subject);

        if (r < 0) {
                request->drop(request->subject);
                return r;
        }
        if (sender && plugin_call_waits(plugin, request->subject) && plugins->watches < WATCHES_MAX &&
            sender_watch(plugins->parameters.bus, sender, on_sender_gone, request, &request->watch) >= 0)
                plugins->watches++;
        return 1;
}

int request_ask_systemd(Request *request, const char *interface, sd_bus_message_handler_t done, sd_bus_error *error) {
        Plugins *plugins = request->plugins;
        _cleanup_bus_message_ sd_bus_message *question = NULL;
        _cleanup_free_ char *path = NULL;
        int r;

        if (plugins->questions_to_systemd >= QUESTIONS_TO_SYSTEMD_MAX)
                return sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED,
                                         "systemd is asked about %u units already; try again.",
                                         plugins->questions_to_systemd);
        r = sd_bus_path_encode(SYSTEMD_UNIT_PATH, plugin_unit(request->plugin), &path);
        if (r >= 0)
                r = sd_bus_message_new_method_call(plugins->parameters.bus, &question,
                                                   starter_systemd(plugins->starter), path, PROPERTIES_INTERFACE,
                                                   "GetAll");
        if (r >= 0)
                r = sd_bus_message_append(question, "s", interface);
        if (r >= 0)
                r = sd_bus_call_async(plugins->parameters.bus, &request->question, question, done, request->subject,
                                      SYSTEMD_TIMEOUT);
        if (r < 0)
                return r;
        plugins->questions_to_systemd++;
        return 1;
}
