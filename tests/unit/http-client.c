/* SPDX-License-Identifier: Apache-2.0 */

/* Sends what its arguments say through src/http and prints what came of it, one JSON object a line; test-http.py looks
 * at it. */

#include <stdio.h>
#include <string.h>

#include <json-glib/json-glib.h>

#include "base/clock.h"
#include "http/http.h"

static struct {
        char *method, *body, *ca_file, *proxy, *signature, *credentials, *show;
        char **headers, **urls;
        int timeout, attempts, patience, maximum, times, cancel;
        gboolean direct, at_once, refill, free_client;
} options = { .times = 1 };

static const GOptionEntry entries[] = {
        { "method", 0, 0, G_OPTION_ARG_STRING, &options.method, NULL, NULL },
        { "body", 0, 0, G_OPTION_ARG_STRING, &options.body, NULL, NULL },
        { "header", 0, 0, G_OPTION_ARG_STRING_ARRAY, &options.headers, NULL, NULL },
        { "ca-file", 0, 0, G_OPTION_ARG_STRING, &options.ca_file, NULL, NULL },
        { "proxy", 0, 0, G_OPTION_ARG_STRING, &options.proxy, NULL, NULL },
        { "direct", 0, 0, G_OPTION_ARG_NONE, &options.direct, NULL, NULL },
        { "signature", 0, 0, G_OPTION_ARG_STRING, &options.signature, NULL, NULL },
        { "credentials", 0, 0, G_OPTION_ARG_STRING, &options.credentials, NULL, NULL },
        { "timeout", 0, 0, G_OPTION_ARG_INT, &options.timeout, "ms", NULL },
        { "attempts", 0, 0, G_OPTION_ARG_INT, &options.attempts, NULL, NULL },
        { "patience", 0, 0, G_OPTION_ARG_INT, &options.patience, "ms", NULL },
        { "maximum", 0, 0, G_OPTION_ARG_INT, &options.maximum, "bytes", NULL },
        { "times", 0, 0, G_OPTION_ARG_INT, &options.times, "how often each", NULL },
        { "at-once", 0, 0, G_OPTION_ARG_NONE, &options.at_once, "not one after the other", NULL },
        { "refill", 0, 0, G_OPTION_ARG_NONE, &options.refill, "at once as many as may, the others at answers", NULL },
        { "show", 0, 0, G_OPTION_ARG_STRING, &options.show, "header of the reply", NULL },
        { "cancel", 0, 0, G_OPTION_ARG_INT, &options.cancel, "after so many ms", NULL },
        { "free-client", 0, 0, G_OPTION_ARG_NONE, &options.free_client, "at the first answer", NULL },
        { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &options.urls, NULL, NULL },
        { NULL },
};

static sd_event *event;
static HttpClient *client;
static HttpExchange *last;
static unsigned sent, answered, wanted;

static const char *const problems[] = {
        [HTTP_ANSWERED] = "answered",   [HTTP_UNREACHABLE] = "unreachable", [HTTP_TIMED_OUT] = "timed-out",
        [HTTP_UNTRUSTED] = "untrusted", [HTTP_TOO_LARGE] = "too-large",     [HTTP_INVALID] = "invalid",
};

static void print(JsonObject *object) {
        g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
        g_autofree char *text = NULL;

        json_node_take_object(node, object);
        text = json_to_string(node, FALSE);
        puts(text);
}

static void send_next(void);

static void on_reply(const HttpReply *reply, void *userdata) {
        JsonObject *object = json_object_new();

        json_object_set_string_member(object, "problem", problems[reply->problem]);
        json_object_set_string_member(object, "message", reply->message);
        json_object_set_int_member(object, "status", reply->status);
        json_object_set_int_member(object, "size", (gint64) reply->size);
        json_object_set_int_member(object, "attempts", reply->attempts);
        if (g_utf8_validate(reply->body, -1, NULL))
                json_object_set_string_member(object, "body", reply->body);
        if (options.show)
                json_object_set_string_member(object, "header", http_reply_header(reply, options.show));
        print(object);
        answered++;
        last = http_cancel(reply->exchange);
        if (options.free_client) {
                client = http_client_free(client);
                (void) sd_event_exit(event, 0);
        } else if (answered == wanted)
                (void) sd_event_exit(event, 0);
        else if (!options.at_once && sent < wanted)
                send_next();
}

static void send_next(void) {
        HttpRequest request = {
                .method = options.method,
                .url = options.urls[sent % g_strv_length(options.urls)],
                .headers = (const char *const *) options.headers,
                .body = options.body,
                .body_size = options.body ? strlen(options.body) : 0,
                .direct = options.direct,
                .proxy = options.proxy,
                .ca_file = options.ca_file,
                .signature = options.signature,
                .credentials = options.credentials,
                .timeout = (uint64_t) options.timeout * USEC_PER_MSEC,
                .attempts = (unsigned) options.attempts,
                .patience = (uint64_t) options.patience * USEC_PER_MSEC,
                .reply_max = (size_t) options.maximum,
        };
        int r = http_send(client, &request, on_reply, NULL, &last);

        sent++;
        if (r < 0) {
                const HttpReply none = { .problem = HTTP_INVALID, .message = "", .body = "" };
                JsonObject *object = json_object_new();

                json_object_set_string_member(object, "refused", g_strerror(-r));
                if (options.show)
                        json_object_set_string_member(object, "header", http_reply_header(&none, options.show));
                print(object);
                if (++answered == wanted)
                        (void) sd_event_exit(event, 0);
        }
}

static int on_cancel(sd_event_source *source, uint64_t usec, void *userdata) {
        last = http_cancel(last);
        return sd_event_exit(event, 0);
}

int main(int argc, char *argv[]) {
        g_autoptr(GOptionContext) context = g_option_context_new(NULL);
        g_autoptr(GError) error = NULL;
        unsigned first;
        int r;

        setlinebuf(stdout);
        g_option_context_add_main_entries(context, entries, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error) || !options.urls) {
                fprintf(stderr, "%s\n", error ? error->message : "no URL");
                return 2;
        }
        wanted = (unsigned) options.times * g_strv_length(options.urls);
        r = sd_event_new(&event);
        if (r >= 0)
                r = http_client_new(event, &client);
        first = options.refill ? HTTP_EXCHANGES_MAX : options.at_once ? wanted : 1;
        for (unsigned i = 0; r >= 0 && i < MIN(first, wanted); i++)
                send_next();
        if (r >= 0 && options.cancel > 0)
                r = sd_event_add_time_relative(event, NULL, CLOCK_MONOTONIC, (uint64_t) options.cancel * USEC_PER_MSEC,
                                               1, on_cancel, NULL);
        if (r >= 0)
                r = sd_event_loop(event);
        client = http_client_free(client);
        sd_event_unref(event);
        return r < 0;
}
