/* SPDX-License-Identifier: Apache-2.0 */

/* Posts events to URLs: all at once, each tried again for as long as its call is waited for, and signed. What finds no
 * room waits for its turn, in order, and no URL that hangs can take the room of the others; how much can wait is
 * bounded by the number of calls. What waits is sent as it was configured when its event came: a receiver never gets
 * the headers, or the signature, of another. URLs, headers and key are secrets: logs and results know a URL by its
 * host alone. */

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <snooze/plugin.h>

#include "base/clock.h"
#include "base/names.h"
#include "bridge/dictionary-json.h"
#include "config.h"
#include "http/http.h"
#include "signature.h"
#include "target.h"
#include "template.h"
#include "util/credential.h"

#define ATTEMPTS 16U
#define ATTEMPT_TIMEOUT (10 * USEC_PER_SEC)
#define REPLY_MAX 65536U
#define LATE (2 * USEC_PER_SEC) /* at a deadline that has passed: what has begun is news all the same */
#define LEAVE_TIME (5 * USEC_PER_SEC) /* when it leaves: of the ten that it is given */
#define SECRET_CREDENTIAL "webhook.secret"
#define HOST_MAX 256U
#define URGENT 2U

typedef struct Webhook {
        SnoozePluginInstance *instance;
        HttpClient *client;
        JsonNode *template; /* NULL: the whole event */
        GBytes *key;        /* NULL: nothing is signed */
        GPtrArray *deliveries;
        GHashTable *receivers; /* by URL: those that posts are for */
        GQueue waiting;        /* Post, in order */
        guint all_under_way;
        sd_event_source *leave;
        gboolean leaving;
} Webhook;

typedef struct Delivery Delivery;

/* A URL, which a new configuration may have at another place or no more. */
typedef struct Receiver {
        char *url, *name;
        gboolean direct; /* past the proxy */
        guint posts;     /* that are for it */
        guint under_way, not_urgent; /* of these */
} Receiver;

/* Of one URL. */
typedef struct Post {
        Delivery *delivery;
        GList link;             /* in `waiting` */
        gboolean waits;
        HttpExchange *exchange; /* under way */
        Receiver *receiver;
        long status;
        unsigned attempts;
        char *error;
} Post;

/* Of one call. */
struct Delivery {
        Webhook *webhook;
        SnoozePluginCall *call;
        char *source, *id, *body;
        char **headers, *proxy, *ca_file; /* as configured when it began */
        GBytes *key;
        gboolean cancelled, urgent;
        uint64_t moved;         /* wall clock µs: its new deadline; 0: it is no such word */
        gboolean beginning;     /* its call is not put off yet */
        uint64_t deadline;      /* monotonic µs */
        sd_event_source *timer; /* for posts that wait until then */
        Post posts[TARGETS_MAX];
        guint n_posts, pending;
};

static void pump(Webhook *webhook);

static void forget(char *secret) {
        if (secret)
                explicit_bzero(secret, strlen(secret));
        g_free(secret);
}

static void receiver_free(void *userdata) {
        Receiver *receiver = userdata;

        forget(receiver->url);
        g_free(receiver->name);
        g_free(receiver);
}

static Receiver *receiver_ref(Webhook *webhook, const char *url) {
        Receiver *receiver = g_hash_table_lookup(webhook->receivers, url);

        if (!receiver) {
                receiver = g_new0(Receiver, 1);
                receiver->url = g_strdup(url);
                /* configure would not have taken a wrong one. */
                receiver->name = target_name(url, &receiver->direct, NULL) ?: g_strdup("");
                g_hash_table_insert(webhook->receivers, receiver->url, receiver);
        }
        receiver->posts++;
        return receiver;
}

static void receiver_unref(Webhook *webhook, Receiver *receiver) {
        if (--receiver->posts == 0)
                g_hash_table_remove(webhook->receivers, receiver->url);
}

static void take_from_queue(Post *post) {
        if (post->waits)
                g_queue_unlink(&post->delivery->webhook->waiting, &post->link);
        post->waits = FALSE;
}

/* Its exchange is over. */
static void leave_turn(Post *post) {
        Webhook *webhook = post->delivery->webhook;

        post->exchange = NULL;
        post->receiver->under_way--;
        post->receiver->not_urgent -= !post->delivery->urgent;
        webhook->all_under_way--;
}

static void cancel_post(Post *post) {
        take_from_queue(post);
        if (!post->exchange)
                return;
        (void) http_cancel(post->exchange);
        leave_turn(post);
}

static void delivery_free(void *userdata) {
        Delivery *delivery = userdata;

        for (guint i = 0; i < delivery->n_posts; i++) {
                cancel_post(&delivery->posts[i]);
                receiver_unref(delivery->webhook, delivery->posts[i].receiver);
                g_free(delivery->posts[i].error);
        }
        sd_event_source_disable_unref(delivery->timer);
        g_free(delivery->source);
        g_free(delivery->id);
        g_free(delivery->body);
        for (char **header = delivery->headers; header && *header; header++)
                forget(*header);
        g_free(delivery->headers);
        forget(delivery->proxy);
        g_free(delivery->ca_file);
        g_clear_pointer(&delivery->key, g_bytes_unref);
        g_free(delivery);
}

/* Results */

static void answer(Delivery *delivery) {
        SnoozePluginDictionary *result = snooze_plugin_call_get_result(delivery->call);
        guint taken = 0;

        for (guint i = 0; i < delivery->n_posts; i++) {
                const Post *post = &delivery->posts[i];
                SnoozePluginDictionary *row = snooze_plugin_dictionary_append_dictionary(result, "urls");

                (void) snooze_plugin_dictionary_set_string(row, "url", post->receiver->name);
                (void) snooze_plugin_dictionary_set_int(row, "status", post->status);
                (void) snooze_plugin_dictionary_set_uint(row, "attempts", post->attempts);
                if (post->error)
                        (void) snooze_plugin_dictionary_set_string(row, "error", post->error);
                else
                        taken++;
        }
        (void) snooze_plugin_dictionary_set_uint(result, "delivered", taken);
        (void) snooze_plugin_dictionary_set_bool(result, "success", taken == delivery->n_posts);
        (void) snooze_plugin_call_set_answer(delivery->call, taken == delivery->n_posts);
}

/* Of a delivery whose posts have all ended, or that is given up. */
static void finish(Delivery *delivery) {
        SnoozePluginCall *call = delivery->call;

        answer(delivery);
        g_ptr_array_remove_fast(delivery->webhook->deliveries, delivery);
        snooze_plugin_call_finish(call, 0);
}

static void give_up(Delivery *delivery, const char *why) {
        for (guint i = 0; i < delivery->n_posts; i++) {
                Post *post = &delivery->posts[i];

                if (!post->exchange && !post->waits)
                        continue;
                cancel_post(post);
                post->error = g_strdup(why);
        }
        finish(delivery);
}

/* One of its posts has ended. */
static void settle(Delivery *delivery) {
        if (--delivery->pending == 0 && !delivery->beginning)
                finish(delivery);
}

/* Takes error. */
static void fail(Post *post, char *error) {
        post->error = error;
        snooze_plugin_log(LOG_WARNING, "%s was not told of an event: %s", post->receiver->name, error);
        settle(post->delivery);
}

static int on_no_turn(sd_event_source *source, uint64_t usec, void *userdata) {
        Delivery *delivery = userdata;

        /* The last one takes the delivery with it. */
        for (guint i = 0, n = delivery->n_posts, left = delivery->pending; i < n && left > 0; i++) {
                Post *post = &delivery->posts[i];

                if (!post->waits)
                        continue;
                take_from_queue(post);
                left--;
                fail(post, g_strdup_printf("there was no turn for it: %u posts are under way",
                                           delivery->webhook->all_under_way));
        }
        return 0;
}

/* What libcurl says of a URL that it does not like may repeat it. */
static char *describe(const HttpReply *reply) {
        if (reply->problem == HTTP_INVALID)
                return g_strdup("the answer is no HTTP");
        if (reply->problem != HTTP_ANSWERED)
                return g_strdup(reply->message);
        if (reply->status >= 200 && reply->status <= 299)
                return NULL;
        if (reply->status >= 300 && reply->status <= 399)
                return g_strdup_printf("status %ld: redirects are not followed", reply->status);
        return g_strdup_printf("status %ld", reply->status);
}

static void on_reply(const HttpReply *reply, void *userdata) {
        Post *post = userdata;
        Webhook *webhook = post->delivery->webhook;

        leave_turn(post);
        post->status = reply->status;
        post->attempts = reply->attempts;
        post->error = describe(reply);
        if (post->error)
                snooze_plugin_log(LOG_WARNING, "%s did not take an event: %s (attempt %u)", post->receiver->name,
                                  post->error, reply->attempts);
        settle(post->delivery);
        pump(webhook);
}

/* What is sent */

static void add_moment(JsonObject *object, const char *name, gint64 moment) {
        g_autoptr(GDateTime) time = moment > 0 ? g_date_time_new_from_unix_utc(moment / (gint64) USEC_PER_SEC) : NULL;
        g_autofree char *text = time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ") : NULL;

        if (text)
                json_object_set_string_member(object, name, text);
}

static char *body_of(const Webhook *webhook, const SnoozePluginDictionary *event) {
        g_autoptr(JsonObject) object = json_of_dictionary(event);
        g_autoptr(JsonNode) node = NULL;
        char host[HOST_MAX] = "";

        (void) gethostname(host, sizeof(host) - 1);
        json_object_set_string_member(object, "host", host);
        if (!json_object_has_member(object, "cancelled"))
                json_object_set_boolean_member(object, "cancelled", FALSE);
        if (!json_object_has_member(object, "moved"))
                json_object_set_boolean_member(object, "moved", FALSE);
        if (!webhook->template)
                return json_object_text(object);
        add_moment(object, "time", json_get_int(object, "timestamp", 0));
        add_moment(object, "deadline_time", json_get_int(object, "deadline", 0));
        node = template_expand(webhook->template, object);
        return json_text_compact(node);
}

static void add_header(GPtrArray *headers, const char *name, const char *value) {
        g_ptr_array_add(headers, g_strconcat(name, ": ", value, NULL));
}

/* The same event has the same key, whoever posts it again; that it was called off, or when it is now, is another
 * message. */
static char *key_of(const Delivery *delivery) {
        g_autofree char *source = g_uri_escape_string(delivery->source, NULL, FALSE),
                        *id = g_uri_escape_string(delivery->id, NULL, FALSE);

        if (delivery->moved > 0)
                return g_strdup_printf("%s:%s:moved:%" PRIu64, source, id, delivery->moved);
        return g_strconcat(source, ":", id, delivery->cancelled ? ":cancelled" : "", NULL);
}

static GPtrArray *headers_of(const Delivery *delivery) {
        const char *const *configured = (const char *const *) delivery->headers;
        g_autofree char *timestamp = g_strdup_printf("%" PRIu64, clock_realtime() / USEC_PER_SEC),
                        *key = key_of(delivery);
        GPtrArray *headers = g_ptr_array_new_with_free_func(g_free);

        if (!headers_have(configured, "Content-Type"))
                add_header(headers, "Content-Type", "application/json");
        for (const char *const *header = configured; header && *header; header++)
                g_ptr_array_add(headers, g_strdup(*header));
        add_header(headers, "Idempotency-Key", key);
        add_header(headers, SIGNATURE_ID_HEADER, key);
        add_header(headers, SIGNATURE_TIMESTAMP_HEADER, timestamp);
        if (delivery->key) {
                g_autofree char *signature =
                        signature_make(delivery->key, key, timestamp, delivery->body, strlen(delivery->body));

                add_header(headers, SIGNATURE_HEADER, signature);
        }
        g_ptr_array_add(headers, NULL);
        return headers;
}

/* FALSE: there is no turn for it. */
static gboolean post_begin(Post *post) {
        const Delivery *delivery = post->delivery;
        Webhook *webhook = delivery->webhook;
        g_autoptr(GPtrArray) headers = headers_of(delivery);
        int r = http_send(webhook->client,
                          &(const HttpRequest){
                                  .url = post->receiver->url,
                                  .headers = (const char *const *) headers->pdata,
                                  .body = delivery->body,
                                  .body_size = strlen(delivery->body),
                                  .direct = post->receiver->direct,
                                  .proxy = delivery->proxy,
                                  .ca_file = delivery->ca_file,
                                  .timeout = ATTEMPT_TIMEOUT,
                                  .reply_max = REPLY_MAX,
                                  .attempts = ATTEMPTS,
                                  .patience = MAX(usec_sub(delivery->deadline, clock_monotonic()), USEC_PER_MSEC),
                          },
                          on_reply, post, &post->exchange);

        if (r == -ENOBUFS)
                return FALSE;
        take_from_queue(post);
        if (r >= 0) {
                post->receiver->under_way++;
                post->receiver->not_urgent += !delivery->urgent;
                webhook->all_under_way++;
        } else
                fail(post, g_strdup(g_strerror(-r)));
        return TRUE;
}

/* Each URL has its part of the room, and of that half is kept for what is urgent: small things that a server lets hang
 * keep nobody from telling it that the machine goes. */
static gboolean has_turn(const Post *post) {
        const Webhook *webhook = post->delivery->webhook;
        guint room = HTTP_EXCHANGES_MAX / post->delivery->n_posts;

        return webhook->all_under_way < HTTP_EXCHANGES_MAX && post->receiver->under_way < room &&
                (post->delivery->urgent || post->receiver->not_urgent < room / 2);
}

/* What ends here has nothing more in the queue: the next one stays. */
static void pump(Webhook *webhook) {
        for (GList *link = webhook->waiting.head, *next; link; link = next) {
                Post *post = link->data;

                next = link->next;
                if (has_turn(post) && !post_begin(post))
                        return;
        }
}

static void enqueue(Delivery *delivery, const char *url) {
        Post *post = &delivery->posts[delivery->n_posts++];

        *post = (Post) { .delivery = delivery,
                         .link = { .data = post },
                         .waits = TRUE,
                         .receiver = receiver_ref(delivery->webhook, url) };
        g_queue_push_tail_link(&delivery->webhook->waiting, &post->link);
        delivery->pending++;
}

static gboolean has_waiting(const Delivery *delivery) {
        for (guint i = 0; i < delivery->n_posts; i++)
                if (delivery->posts[i].waits)
                        return TRUE;
        return FALSE;
}

static char *setting_or_null(const Webhook *webhook, const char *name) {
        const char *value = snooze_plugin_instance_get_string(webhook->instance, name);

        return value && *value ? g_strdup(value) : NULL;
}

static int deliver(Webhook *webhook, SnoozePluginCall *call, const SnoozePluginDictionary *event, gboolean cancelled,
                   uint64_t budget) {
        const char *const *urls = snooze_plugin_instance_get_list(webhook->instance, "urls");
        const char *const *headers = snooze_plugin_instance_get_list(webhook->instance, "headers");
        Delivery *delivery = g_new0(Delivery, 1);

        *delivery = (Delivery){
                .webhook = webhook,
                .call = call,
                .source = g_strdup(snooze_plugin_dictionary_get_string(event, "source", "")),
                .id = g_strdup(snooze_plugin_dictionary_get_string(event, "id", "")),
                .body = body_of(webhook, event),
                .headers = g_strdupv((char **) headers),
                .proxy = setting_or_null(webhook, "proxy"),
                .ca_file = setting_or_null(webhook, "ca_file"),
                .key = webhook->key ? g_bytes_ref(webhook->key) : NULL,
                .cancelled = cancelled,
                .moved = snooze_plugin_dictionary_get_bool(event, "moved", false)
                                 ? snooze_plugin_dictionary_get_uint(event, "deadline", 0)
                                 : 0,
                .urgent = snooze_plugin_dictionary_get_uint(event, "severity", 0) >= URGENT,
                .deadline = usec_add(clock_monotonic(), budget),
                .beginning = TRUE,
        };
        for (; urls && *urls && delivery->n_posts < TARGETS_MAX; urls++)
                enqueue(delivery, *urls);
        pump(webhook);
        delivery->beginning = FALSE;
        if (delivery->pending == 0) {
                answer(delivery);
                delivery_free(delivery);
                return 0;
        }
        g_ptr_array_add(webhook->deliveries, delivery);
        if (has_waiting(delivery))
                (void) sd_event_add_time(snooze_plugin_instance_get_event(webhook->instance), &delivery->timer,
                                         CLOCK_MONOTONIC, delivery->deadline, 1, on_no_turn, delivery);
        return SNOOZE_PLUGIN_LATER;
}

/* Events */

static int answer_status(SnoozePluginCall *call, const char *status) {
        (void) snooze_plugin_dictionary_set_string(snooze_plugin_call_get_result(call), "status", status);
        return snooze_plugin_call_set_answer(call, false);
}

/* Nobody needs to hear any more that it will happen. */
static void call_off(Webhook *webhook, const SnoozePluginDictionary *event) {
        const char *source = snooze_plugin_dictionary_get_string(event, "source", ""),
                   *id = snooze_plugin_dictionary_get_string(event, "id", "");

        for (guint i = webhook->deliveries->len; i > 0; i--) {
                Delivery *delivery = g_ptr_array_index(webhook->deliveries, i - 1);

                if (g_str_equal(delivery->source, source) && g_str_equal(delivery->id, id))
                        give_up(delivery, "it was called off");
        }
        pump(webhook);
}

/* Until when the thing itself happens is of no matter any more once it was called off. */
static uint64_t budget_of(const Webhook *webhook, SnoozePluginCall *call, const SnoozePluginDictionary *event,
                          gboolean cancelled) {
        uint64_t deadline = snooze_plugin_dictionary_get_uint(event, "deadline", 0),
                 share = snooze_plugin_call_get_time_left(call),
                 most = (uint64_t) snooze_plugin_instance_get_integer(webhook->instance, "timeout_seconds") *
                        USEC_PER_SEC;

        share -= MIN(share / 10, USEC_PER_SEC);
        if (deadline > 0 && !cancelled)
                most = MIN(most, MAX(usec_sub(deadline, clock_realtime()), LATE));
        return MIN(most, share);
}

static int handle_event(SnoozePluginCall *call, const SnoozePluginDictionary *event, void *userdata) {
        gboolean cancelled = snooze_plugin_dictionary_get_bool(event, "cancelled", false);
        Webhook *webhook = userdata;
        uint64_t budget;

        if (snooze_plugin_dictionary_get_uint(event, "severity", 0) <
            (uint64_t) snooze_plugin_instance_get_integer(webhook->instance, "minimum_severity"))
                return answer_status(call, "below minimum_severity");
        if (cancelled)
                call_off(webhook, event);
        if (webhook->leaving)
                return answer_status(call, "the plugin leaves");
        budget = budget_of(webhook, call, event, cancelled);
        if (budget < USEC_PER_MSEC)
                return answer_status(call, "there is no time left");
        return deliver(webhook, call, event, cancelled, budget);
}

/* Configuration */

static int refuse(SnoozePluginCall *call, const char *what, const char *why) {
        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "%s: %s", what, why);
}

static int check_urls(SnoozePluginCall *call, const SnoozePluginDictionary *config) {
        const char *const *urls = snooze_plugin_dictionary_get_strv(config, "urls", NULL);
        guint n = urls ? g_strv_length((char **) urls) : 0;

        if (n < 1 || n > TARGETS_MAX)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "urls: expected 1 to %u",
                                               TARGETS_MAX);
        for (guint i = 0; i < n; i++) {
                g_autoptr(GError) error = NULL;
                gboolean loopback;
                g_autofree char *name = target_name(urls[i], &loopback, &error);

                if (!name)
                        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                                       "urls, number %u: %s", i + 1, error->message);
        }
        return 0;
}

static int check_headers(SnoozePluginCall *call, const SnoozePluginDictionary *config) {
        const char *const *headers = snooze_plugin_dictionary_get_strv(config, "headers", NULL);
        guint n = headers ? g_strv_length((char **) headers) : 0;

        if (n > HEADERS_MAX)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "headers: expected at most %u", HEADERS_MAX);
        for (guint i = 0; i < n; i++) {
                g_autoptr(GError) error = NULL;

                if (!header_valid(headers[i], &error))
                        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                                       "headers, number %u: %s", i + 1, error->message);
        }
        return 0;
}

static int check_route(SnoozePluginCall *call, const SnoozePluginDictionary *config) {
        const char *ca_file = snooze_plugin_dictionary_get_string(config, "ca_file", "");
        const char *proxy = snooze_plugin_dictionary_get_string(config, "proxy", "");

        if (*ca_file && !g_path_is_absolute(ca_file))
                return refuse(call, "ca_file", "expected an absolute path");
        if (*ca_file && access(ca_file, R_OK) < 0)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "ca_file: %s: %s", ca_file,
                                               g_strerror(errno));
        if (*proxy && !http_url_fits(proxy, true))
                return refuse(call, "proxy", "expected http://[USER:PASSWORD@]HOST[:PORT] or https://…");
        return 0;
}

/* The credential goes before the configuration: whoever set it wanted the key out of that. */
static gboolean read_key(const SnoozePluginDictionary *config, GBytes **ret, GError **error) {
        const char *configured = snooze_plugin_dictionary_get_string(config, "secret", "");
        GError *problem = NULL;
        char *credential = credential_read(SECRET_CREDENTIAL, &problem);
        const char *secret = credential ?: configured;

        *ret = NULL;
        if (!problem && *secret)
                *ret = signature_key(secret, &problem);
        if (credential)
                explicit_bzero(credential, strlen(credential));
        g_free(credential);
        if (problem)
                g_propagate_error(error, problem);
        return !problem;
}

static int configure(SnoozePluginCall *call, const SnoozePluginDictionary *config, void *userdata) {
        const char *text = snooze_plugin_dictionary_get_string(config, "template", "");
        g_autoptr(JsonNode) template = NULL;
        g_autoptr(GError) error = NULL;
        Webhook *webhook = userdata;
        GBytes *key;
        int r;

        r = check_urls(call, config);
        if (r >= 0)
                r = check_headers(call, config);
        if (r >= 0)
                r = check_route(call, config);
        if (r < 0)
                return r;
        if (*text) {
                template = template_parse(text, &error);
                if (!template)
                        return refuse(call, "template", error->message);
        }
        if (!read_key(config, &key, &error))
                return refuse(call, "secret", error->message);
        if (webhook->key)
                g_bytes_unref(webhook->key);
        webhook->key = key;
        g_clear_pointer(&webhook->template, json_node_unref);
        webhook->template = g_steal_pointer(&template);
        return 0;
}

/* Life */

static int start(SnoozePluginInstance *instance, void *userdata) {
        Webhook *webhook = userdata;

        webhook->instance = instance;
        return http_client_new(snooze_plugin_instance_get_event(instance), &webhook->client);
}

static int on_leave(sd_event_source *source, uint64_t usec, void *userdata) {
        Webhook *webhook = userdata;

        while (webhook->deliveries->len > 0)
                give_up(g_ptr_array_index(webhook->deliveries, 0), "the plugin leaves");
        return 0;
}

static void shut_down(void *userdata) {
        Webhook *webhook = userdata;

        webhook->leaving = TRUE;
        if (webhook->deliveries->len > 0 &&
            sd_event_add_time_relative(snooze_plugin_instance_get_event(webhook->instance), &webhook->leave,
                                       CLOCK_MONOTONIC, LEAVE_TIME, 100 * USEC_PER_MSEC, on_leave, webhook) < 0)
                (void) on_leave(NULL, 0, webhook);
}

int main(int argc, char *argv[]) {
        static const SnoozePluginSetting settings[] = {
                { "urls", SNOOZE_PLUGIN_LIST, .required = true },
                { "template", SNOOZE_PLUGIN_STRING },
                { "headers", SNOOZE_PLUGIN_LIST },
                { "secret", SNOOZE_PLUGIN_STRING },
                { "proxy", SNOOZE_PLUGIN_STRING },
                { "ca_file", SNOOZE_PLUGIN_STRING },
                { "timeout_seconds", SNOOZE_PLUGIN_INTEGER, 1, 300, .default_value = "30" },
                { "minimum_severity", SNOOZE_PLUGIN_INTEGER, 0, 3, .default_value = "0" },
                { NULL },
        };
        static const char *const events[] = { "cloud.*",  "system.*", EVENT_STOP_PENDING, EVENT_NOTICE, "custom",
                                              "custom.*", NULL };
        Webhook webhook = { .deliveries = g_ptr_array_new_with_free_func(delivery_free),
                            .receivers = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, receiver_free) };
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = "webhook",
                .version = PACKAGE_VERSION,
                .description = "Posts events to URLs.",
                .userdata = &webhook,
                .settings = settings,
                .start = start,
                .initialize = configure,
                .configure = configure,
                .shutdown = shut_down,
                .supported_events = events,
                .handle_event = handle_event,
        };
        int r = snooze_plugin_main(&plugin, argc, argv);

        g_ptr_array_unref(webhook.deliveries);
        g_hash_table_unref(webhook.receivers);
        (void) http_client_free(webhook.client);
        sd_event_source_disable_unref(webhook.leave);
        g_clear_pointer(&webhook.template, json_node_unref);
        g_clear_pointer(&webhook.key, g_bytes_unref);
        return r;
}
