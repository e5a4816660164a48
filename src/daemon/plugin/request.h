/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A call of a client that waits for a plugin, or for the provider that one is. Each sender may have so many at once;
 * those of a sender that leaves the bus before the plugin was asked are dropped, so that nobody works for one who is
 * gone. */

#include <glib.h>
#include <json-glib/json-glib.h>
#include <systemd/sd-bus.h>

#include "daemon/plugin/plugins.h"

#define REQUESTS_PER_SENDER_MAX 32U
#define REQUESTS_MAX 1024U
/* The bus lets one connection wait for 128 answers; polkit and systemd's jobs need theirs. */
#define QUESTIONS_TO_SYSTEMD_MAX 16U

typedef struct Request {
        Plugins *plugins;
        Plugin *plugin;
        sd_bus_message *call;
        char *method;           /* of Call, the version of Upgrade, or the subject of CheckSubject; else NULL */
        uint64_t timeout;       /* µs; 0: the plugin's own for what it is asked */
        JsonObject *parameters; /* or the metrics; or NULL */
        sd_bus_slot *watch;     /* while its plugin's call waits */
        sd_bus_slot *question;  /* to systemd, while it is under way: request_ask_systemd() */
        void *subject; /* whose request it is, and done's and append's userdata; itself where nobody took it over */
        void (*drop)(void *subject); /* ends subject and request, for which nobody waits any more */
        void (*destroy)(void *subject); /* with the request, however that ends; or NULL */
} Request;

/* A negative errno with *error set where the sender has as many as it may; nothing was begun then. */
int request_begin(Plugin *plugin, sd_bus_message *call, const char *method, JsonObject *parameters, Request **ret,
                  sd_bus_error *error);
void request_end(Request *request);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Request, request_end)

/* The plugin has answered, and no message could be made of that: its caller hears why. r: a negative errno. */
void request_unanswered(const Request *request, int r);

/* It is part of something larger from now on, which drop() ends together with it. Where nobody else has that,
 * destroy() frees it with the request; the daemon's end frees requests that are under way. */
void request_belongs_to(Request *request, void *subject, void (*drop)(void *subject),
                        void (*destroy)(void *subject));

/* plugin_call() for this request, whose subject is done's userdata and append's; ends with it in any case. As a D-Bus
 * method handler returns. */
int request_call(Request *request, const char *interface, const char *member, gboolean without_effect,
                 PluginCallAppend append, PluginCallDone done);

/* What systemd says of the plugin's unit (its properties of this interface), for this request, whose subject is done's
 * userdata. As a D-Bus method handler returns; the request stays the caller's where that is an error. */
int request_ask_systemd(Request *request, const char *interface, sd_bus_message_handler_t done, sd_bus_error *error);
