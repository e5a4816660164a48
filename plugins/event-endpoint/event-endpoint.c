/* SPDX-License-Identifier: Apache-2.0 */

/* Takes events of programs of this machine by HTTP: POST /events. Whoever posts gets its answer when the daemon has
 * taken the event:
 *
 *         posted ──checked──▸ announced (Event) ──▸ the daemon takes it ──EventReceived──▸ 202
 *                    │              │                                   └─────────────────▸ Acknowledge, once it was
 * handled ▾ 4xx          ▾ 503: 64 are under way, or nobody took it in time
 *
 * An id that was taken before is answered 202 at once, and announced no second time; with another content, 409. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <snooze/plugin.h>

#include <systemd/sd-id128.h>

#include "authentication.h"
#include "base/clock.h"
#include "base/names.h"
#include "config.h"
#include "known.h"
#include "listener.h"
#include "plugins/webhook/signature.h"
#include "posted.h"
#include "rate.h"
#include "server.h"
#include "util/credential.h"
#include "util/json.h"

#define ID "event-endpoint"
#define PATH "/events"
#define DRIVER "org.freedesktop.DBus"
#define TAKE_TIME (10 * USEC_PER_SEC)
#define RETRY_AFTER 5U
#define TOKEN_CREDENTIAL ID ".token"
#define SECRET_CREDENTIAL ID ".secret"

typedef struct Endpoint {
        SnoozePluginInstance *instance;
        Server *server;
        Listener *listener;
        char *where; /* it listens on */
        Authentication authentication;
        Rate *rate;
        Known *known;
        GPtrArray *waiting;  /* Waiting */
        sd_event_source *timer;
        sd_bus_slot *received, *owner_changed, *owner_asked;
        char *daemon; /* the unique name that owns the daemon's; NULL: none */
} Endpoint;

/* A request that is answered when its event was taken. */
typedef struct Waiting {
        Request *request;
        char *id;
        uint64_t until; /* monotonic µs */
} Waiting;

static void waiting_free(void *userdata) {
        Waiting *waiting = userdata;

        g_free(waiting->id);
        g_free(waiting);
}

/* Answers */

static void answer_text(Request *request, const Answer *answer, const char *key, const char *text, const char *id) {
        g_autoptr(JsonObject) object = json_object_new();
        g_autofree char *line = NULL, *body = NULL;
        Answer with_body = *answer;

        if (key)
                json_object_set_string_member(object, key, text);
        if (id)
                json_object_set_string_member(object, "id", id);
        line = json_object_text(object);
        body = g_strconcat(line, "\n", NULL);
        with_body.body = body;
        request_answer(request, &with_body);
}

static void refuse(Request *request, unsigned status, const char *why) {
        answer_text(request, &(Answer){ .status = status }, "error", why, NULL);
}

static void answer_taken(Request *request, const char *id) {
        answer_text(request, &(Answer){ .status = 202 }, NULL, NULL, id);
}

static void answer_later(Request *request, const char *why, const char *id) {
        answer_text(request, &(Answer){ .status = 503, .retry_after = RETRY_AFTER }, "error", why, id);
}

/* Ids */

static void taken(Endpoint *endpoint, const char *id) {
        for (guint i = endpoint->waiting->len; i > 0; i--) {
                Waiting *waiting = g_ptr_array_index(endpoint->waiting, i - 1);

                if (!g_str_equal(waiting->id, id))
                        continue;
                answer_taken(waiting->request, id);
                g_ptr_array_remove_index_fast(endpoint->waiting, i - 1);
        }
        known_take(endpoint->known, id);
}

static int on_waited(sd_event_source *source, uint64_t usec, void *userdata) {
        Endpoint *endpoint = userdata;
        uint64_t next = USEC_INFINITY;

        for (guint i = endpoint->waiting->len; i > 0; i--) {
                Waiting *waiting = g_ptr_array_index(endpoint->waiting, i - 1);

                if (waiting->until > clock_monotonic()) {
                        next = MIN(next, waiting->until);
                        continue;
                }
                answer_later(waiting->request, "the daemon has not taken it yet: post it again with this id",
                             waiting->id);
                g_ptr_array_remove_index_fast(endpoint->waiting, i - 1);
        }
        if (next == USEC_INFINITY)
                return 0;
        (void) sd_event_source_set_time(source, next);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void wait_for(Endpoint *endpoint, Request *request, const char *id) {
        Waiting *waiting = g_new0(Waiting, 1);
        int enabled = SD_EVENT_OFF;

        *waiting =
                (Waiting){ .request = request, .id = g_strdup(id), .until = usec_add(clock_monotonic(), TAKE_TIME) };
        g_ptr_array_add(endpoint->waiting, waiting);
        /* All wait equally long: the first one's end comes first. */
        (void) sd_event_source_get_enabled(endpoint->timer, &enabled);
        if (enabled != SD_EVENT_OFF)
                return;
        (void) sd_event_source_set_time(endpoint->timer, waiting->until);
        (void) sd_event_source_set_enabled(endpoint->timer, SD_EVENT_ONESHOT);
}

/* Whoever owns the daemon's name. Anybody may send a signal to this connection, whatever the match says; nobody can
 * send one in another's name. */

static gboolean is_from(sd_bus_message *m, const char *who) {
        const char *sender = sd_bus_message_get_sender(m);

        return who && sender && g_str_equal(sender, who);
}

static void set_daemon(Endpoint *endpoint, const char *owner) {
        g_free(endpoint->daemon);
        endpoint->daemon = *owner ? g_strdup(owner) : NULL;
}

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *old_owner, *new_owner;

        if (is_from(m, DRIVER) && sd_bus_message_read(m, "sss", &name, &old_owner, &new_owner) >= 0 &&
            g_str_equal(name, SNOOZE_NAME))
                set_daemon(userdata, new_owner);
        return 0;
}

static int on_owner_known(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *owner;

        if (!sd_bus_message_is_method_error(m, NULL) && sd_bus_message_read(m, "s", &owner) >= 0)
                set_daemon(userdata, owner);
        return 0;
}

/* The driver works in order: what changes after it answered is told. */
static int follow_daemon(Endpoint *endpoint, sd_bus *bus) {
        int r = sd_bus_add_match_async(bus, &endpoint->owner_changed,
                                       "type='signal',sender='" DRIVER "',interface='" DRIVER
                                       "',member='NameOwnerChanged',arg0='" SNOOZE_NAME "'",
                                       on_owner_changed, NULL, endpoint);

        if (r < 0)
                return r;
        return sd_bus_call_method_async(bus, &endpoint->owner_asked, DRIVER, "/org/freedesktop/DBus", DRIVER,
                                        "GetNameOwner", on_owner_known, endpoint, "s", SNOOZE_NAME);
}

/* The daemon has taken it. */
static int on_received(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *id, *type, *key, *contents, *source = "";
        Endpoint *endpoint = userdata;
        int r;

        if (!is_from(m, endpoint->daemon))
                return 0;
        if (sd_bus_message_read(m, "ss", &id, &type) < 0 ||
            sd_bus_message_enter_container(m, SD_BUS_TYPE_ARRAY, "{sv}") < 0)
                return 0;
        while ((r = sd_bus_message_enter_container(m, SD_BUS_TYPE_DICT_ENTRY, "sv")) > 0) {
                if (sd_bus_message_read_basic(m, 's', &key) < 0 || sd_bus_message_peek_type(m, NULL, &contents) < 0)
                        return 0;
                r = g_str_equal(key, "source") && g_str_equal(contents, "s")
                            ? sd_bus_message_read(m, "v", "s", &source)
                            : sd_bus_message_skip(m, "v");
                if (r < 0 || sd_bus_message_exit_container(m) < 0)
                        return 0;
        }
        if (g_str_equal(source, ID))
                taken(endpoint, id);
        return 0;
}

/* Requests */

static Claims claims_of(const Request *request) {
        return (Claims){
                .authorization = request_header(request, "Authorization"),
                .id = request_header(request, SIGNATURE_ID_HEADER),
                .timestamp = request_header(request, SIGNATURE_TIMESTAMP_HEADER),
                .signature = request_header(request, SIGNATURE_HEADER),
        };
}

static void refuse_unknown(Request *request, const char *why) {
        answer_text(request, &(Answer){ .status = 401, .authenticate = "Bearer" }, "error", why, NULL);
}

static gboolean is_json(const char *content_type) {
        size_t length = strlen("application/json");

        return content_type && g_ascii_strncasecmp(content_type, "application/json", length) == 0 &&
               (content_type[length] == '\0' || content_type[length] == ';' || content_type[length] == ' ');
}

static void on_head(Request *request, void *userdata) {
        const Endpoint *endpoint = userdata;
        const Claims claims = claims_of(request);
        const char *problem = authentication_head_problem(&endpoint->authentication, &claims);

        if (!g_str_equal(request_path(request), PATH))
                refuse(request, 404, "expected " PATH);
        else if (!g_str_equal(request_method(request), "POST"))
                answer_text(request, &(Answer){ .status = 405, .allow = "POST" }, "error", "expected POST", NULL);
        else if (problem)
                refuse_unknown(request, problem);
        else if (!is_json(request_header(request, "Content-Type")))
                refuse(request, 415, "expected Content-Type: application/json");
}

/* until: up to when the signature counts, 0: there is none. */
static char *id_of(const PostedEvent *event, const Claims *claims, uint64_t until) {
        char random[SD_ID128_STRING_MAX];
        sd_id128_t id;

        if (event->id)
                return g_strdup(event->id);
        /* A signed one that somebody sends again is the same. */
        if (until > 0)
                return g_strdup(claims->id);
        return sd_id128_randomize(&id) < 0 ? NULL : g_strdup(sd_id128_to_string(id, random));
}

/* FALSE: it was answered that this cannot be. */
static gboolean emit(Endpoint *endpoint, Request *request, PostedEvent *event, const char *id) {
        int r = snooze_plugin_instance_emit_event(endpoint->instance, id, event->type, event->severity,
                                                  event->deadline, g_steal_pointer(&event->data));

        if (r == -ENOBUFS)
                answer_later(request, "too many events are under way", id);
        else if (r < 0) {
                snooze_plugin_log(LOG_WARNING, "An event that was posted cannot be announced: %s", g_strerror(-r));
                refuse(request, 500, "it cannot be announced");
        }
        return r >= 0;
}

static void announce(Endpoint *endpoint, Request *request, PostedEvent *event, const char *id, uint64_t until) {
        KnownState state = known_find(endpoint->known, id, event->content);

        if (state == KNOWN_OTHER) {
                answer_text(request, &(Answer){ .status = 409 }, "error",
                            "another event was posted by this id: post this one with an id of its own", id);
                return;
        }
        if (until > 0 && !known_has_room(endpoint->known, clock_realtime())) {
                answer_later(request, "too many signatures of the last minutes are to be remembered", id);
                return;
        }
        if (state == KNOWN_NOT && !emit(endpoint, request, event, id))
                return;
        known_add(endpoint->known, id, event->content, until);
        if (state == KNOWN_TAKEN)
                answer_taken(request, id);
        else
                wait_for(endpoint, request, id);
}

static void on_whole(Request *request, void *userdata) {
        Endpoint *endpoint = userdata;
        const Claims claims = claims_of(request);
        g_auto(PostedEvent) event = { .id = NULL };
        g_autoptr(GError) error = NULL;
        g_autofree char *id = NULL;
        const char *problem;
        const char *body;
        uint64_t until;
        size_t size;
        guint wait;

        body = request_body(request, &size);
        problem = authentication_problem(&endpoint->authentication, &claims, body, size, clock_realtime(), &until);
        if (problem) {
                refuse_unknown(request, problem);
                return;
        }
        /* Only now: a stranger uses up nobody's turns. */
        wait = rate_take(endpoint->rate, request_client(request), clock_monotonic());
        if (wait > 0) {
                answer_text(request, &(Answer){ .status = 429, .retry_after = wait }, "error",
                            "too many events in a minute", NULL);
                return;
        }
        if (!posted_event_read(body, size, clock_realtime(), &event, &error)) {
                refuse(request, 400, error->message);
                return;
        }
        id = id_of(&event, &claims, until);
        if (!id || !posted_id_valid(id)) {
                refuse(request, 400,
                       SIGNATURE_ID_HEADER ": expected 1 to 128 printable characters of ASCII without blanks");
                return;
        }
        announce(endpoint, request, &event, id, until);
}

static void on_gone(Request *request, void *userdata) {
        Endpoint *endpoint = userdata;

        for (guint i = endpoint->waiting->len; i > 0; i--)
                if (((Waiting *) g_ptr_array_index(endpoint->waiting, i - 1))->request == request)
                        g_ptr_array_remove_index_fast(endpoint->waiting, i - 1);
}

/* Configuration */

static void stop_listening(Endpoint *endpoint) {
        server_free(endpoint->server);
        endpoint->server = NULL;
        listener_free(endpoint->listener);
        endpoint->listener = NULL;
        g_clear_pointer(&endpoint->where, g_free);
}

static gboolean listen_on(Endpoint *endpoint, const char *where, GError **error) {
        const char *directories = getenv("RUNTIME_DIRECTORY");
        g_autofree char *directory = g_strndup(directories ?: "", strcspn(directories ?: "", ":"));
        Listener *listener;
        Server *server;
        int r;

        if (endpoint->where && g_str_equal(endpoint->where, where))
                return TRUE;
        if (g_str_equal(where, LISTEN_UNIX) && !*directory) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "there is no $RUNTIME_DIRECTORY for its socket");
                return FALSE;
        }
        listener = listener_open(where, directory, error);
        if (!listener)
                return FALSE;
        r = server_new(
                &(const ServerParameters){
                        .event = snooze_plugin_instance_get_event(endpoint->instance),
                        .fd = listener_take_fd(listener),
                        .body_max = POSTED_BODY_MAX,
                        .head = on_head,
                        .whole = on_whole,
                        .gone = on_gone,
                        .userdata = endpoint,
                },
                &server);
        if (r < 0) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "cannot serve %s: %s", where, g_strerror(-r));
                listener_free(listener);
                return FALSE;
        }
        stop_listening(endpoint);
        endpoint->server = server;
        endpoint->listener = listener;
        endpoint->where = g_strdup(where);
        return TRUE;
}

static void clear_text(char *text) {
        if (text)
                explicit_bzero(text, strlen(text));
        g_free(text);
}

/* Credentials go before the configuration: whoever set them wanted them out of that. */
static gboolean read_authentication(const SnoozePluginDictionary *config, Authentication *ret, GError **error) {
        GError *problem = NULL;
        char *token = credential_read(TOKEN_CREDENTIAL, &problem),
             *secret = problem ? NULL : credential_read(SECRET_CREDENTIAL, &problem);
        gboolean done =
                !problem && authentication_read(token ?: snooze_plugin_dictionary_get_string(config, "token", ""),
                                                secret ?: snooze_plugin_dictionary_get_string(config, "secret", ""),
                                                ret, &problem);

        clear_text(token);
        clear_text(secret);
        if (!done)
                g_propagate_error(error, problem);
        return done;
}

static int refuse_configuration(SnoozePluginCall *call, const char *what, const char *why) {
        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "%s%s", what, why);
}

static int configure(SnoozePluginCall *call, const SnoozePluginDictionary *config, void *userdata) {
        const char *where = snooze_plugin_dictionary_get_string(config, "listen", LISTEN_UNIX);
        Authentication authentication;
        g_autoptr(GError) error = NULL;
        Endpoint *endpoint = userdata;

        if (!listen_valid(where, &error))
                return refuse_configuration(call, "listen: ", error->message);
        if (!read_authentication(config, &authentication, &error))
                return refuse_configuration(call, "", error->message);
        if (!g_str_equal(where, LISTEN_UNIX) && authentication_is_open(&authentication)) {
                authentication_clear(&authentication);
                return refuse_configuration(
                        call, "listen: ", "everybody on this machine reaches a port: set token or secret");
        }
        if (!listen_on(endpoint, where, &error)) {
                authentication_clear(&authentication);
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_FAILED, "%s", error->message);
        }
        authentication_clear(&endpoint->authentication);
        endpoint->authentication = authentication;
        rate_set(endpoint->rate, (guint) snooze_plugin_dictionary_get_int(config, "max_per_minute", 0),
                 (guint) snooze_plugin_dictionary_get_int(config, "max_per_minute_total", 0));
        return 0;
}

/* Life */

static int watch(SnoozePluginCall *call, void *userdata) {
        return 0;
}

static int acknowledge(SnoozePluginCall *call, const char *id, void *userdata) {
        taken(userdata, id);
        return 0;
}

static int start(SnoozePluginInstance *instance, void *userdata) {
        Endpoint *endpoint = userdata;
        int r;

        endpoint->instance = instance;
        r = sd_event_add_time(snooze_plugin_instance_get_event(instance), &endpoint->timer, CLOCK_MONOTONIC, 0,
                              100 * USEC_PER_MSEC, on_waited, endpoint);
        if (r >= 0)
                r = sd_event_source_set_enabled(endpoint->timer, SD_EVENT_OFF);
        if (r >= 0)
                r = follow_daemon(endpoint, snooze_plugin_instance_get_bus(instance));
        if (r < 0)
                return r;
        return sd_bus_match_signal_async(snooze_plugin_instance_get_bus(instance), &endpoint->received, SNOOZE_NAME,
                                         SNOOZE_PATH, SNOOZE_MANAGER_INTERFACE, "EventReceived", on_received, NULL,
                                         endpoint);
}

static void shut_down(void *userdata) {
        Endpoint *endpoint = userdata;

        /* Its successor listens already, or nobody is to. Who waits is told to come again. */
        stop_listening(endpoint);
}

int main(int argc, char *argv[]) {
        static const SnoozePluginSetting settings[] = {
                { "listen", SNOOZE_PLUGIN_STRING, .default_value = LISTEN_UNIX },
                { "token", SNOOZE_PLUGIN_STRING },
                { "secret", SNOOZE_PLUGIN_STRING },
                { "max_per_minute", SNOOZE_PLUGIN_INTEGER, 1, 6000, .default_value = "60" },
                { "max_per_minute_total", SNOOZE_PLUGIN_INTEGER, 1, 60000, .default_value = "240" },
                { NULL },
        };
        Endpoint endpoint = {
                .rate = rate_new(),
                .known = known_new(),
                .waiting = g_ptr_array_new_with_free_func(waiting_free),
        };
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = ID,
                .version = PACKAGE_VERSION,
                .description = "Takes events of programs of this machine by HTTP.",
                .userdata = &endpoint,
                .settings = settings,
                .start = start,
                .initialize = configure,
                .configure = configure,
                .shutdown = shut_down,
                .watch = watch,
                .acknowledge = acknowledge,
        };
        int r = snooze_plugin_main(&plugin, argc, argv);

        stop_listening(&endpoint);
        sd_event_source_disable_unref(endpoint.timer);
        sd_bus_slot_unref(endpoint.received);
        sd_bus_slot_unref(endpoint.owner_changed);
        sd_bus_slot_unref(endpoint.owner_asked);
        g_free(endpoint.daemon);
        authentication_clear(&endpoint.authentication);
        rate_free(endpoint.rate);
        g_ptr_array_unref(endpoint.waiting);
        known_free(endpoint.known);
        return r;
}
