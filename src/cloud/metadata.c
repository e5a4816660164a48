/* SPDX-License-Identifier: Apache-2.0 */

#include "cloud/metadata.h"

#include <errno.h>
#include <string.h>

#include <glib.h>

#include "base/clock.h"

/* A token is renewed before it ends, as aws-node-termination-handler does. */
#define TOKEN_MARGIN (15 * USEC_PER_SEC)
#define TOKEN_MAX 1024U
#define DOCUMENT_MAX (256U * 1024U)

typedef struct Question {
        Metadata *metadata;
        char *url, *method, *body;
        char **headers;
        uint64_t timeout;
        unsigned attempts;
        HttpAgain again;
        gboolean renewed; /* it was refused for its token once */
        gboolean waiting; /* for a token */
        gboolean released; /* waits no longer, and is about to go on */
        HttpExchange *exchange;
        MetadataDone done;
        void *userdata;
} Question;

struct Metadata {
        HttpClient *http;
        const MetadataRules *rules;
        char *base_url;
        gboolean without_token;
        char *token;
        uint64_t token_until; /* monotonic */
        HttpExchange *token_exchange;
        GPtrArray *questions; /* owns */
};

static void question_free(void *data) {
        Question *question = data;

        http_cancel(question->exchange);
        g_free(question->url);
        g_free(question->method);
        g_free(question->body);
        g_strfreev(question->headers);
        g_free(question);
}

int metadata_new(HttpClient *http, const MetadataRules *rules, const char *base_url, bool without_token,
                 Metadata **ret) {
        Metadata *metadata;
        size_t length = strlen(base_url);

        if (length == 0)
                return -EINVAL;
        while (length > 0 && base_url[length - 1] == '/')
                length--;
        metadata = g_new0(Metadata, 1);
        metadata->http = http;
        metadata->rules = rules;
        metadata->base_url = g_strndup(base_url, length);
        metadata->without_token = without_token;
        metadata->questions = g_ptr_array_new_with_free_func(question_free);
        *ret = metadata;
        return 0;
}

static void drop_token(Metadata *metadata) {
        if (metadata->token)
                explicit_bzero(metadata->token, strlen(metadata->token));
        g_clear_pointer(&metadata->token, g_free);
}

Metadata *metadata_free(Metadata *metadata) {
        if (!metadata)
                return NULL;
        http_cancel(metadata->token_exchange);
        g_ptr_array_unref(metadata->questions);
        drop_token(metadata);
        g_free(metadata->base_url);
        g_free(metadata);
        return NULL;
}

void metadata_forget(Metadata *metadata, const void *userdata) {
        for (guint i = metadata->questions->len; i-- > 0;) {
                Question *question = g_ptr_array_index(metadata->questions, i);

                if (question->userdata == userdata)
                        g_ptr_array_remove_index(metadata->questions, i);
        }
}

/* Takes the question off the list first: done may do anything, freeing the metadata included. */
static void answer(Question *question, MetadataOutcome outcome, const char *text, const HttpReply *reply) {
        GPtrArray *questions = question->metadata->questions;
        guint index;

        if (g_ptr_array_find(questions, question, &index))
                (void) g_ptr_array_steal_index(questions, index);
        question->exchange = NULL;
        question->done(outcome, text, reply, question->userdata);
        question_free(question);
}

static void answer_failed(Question *question, const HttpReply *reply) {
        g_autofree char *text = reply->problem == HTTP_ANSWERED
                ? g_strdup_printf("%s answered %ld", question->url, reply->status)
                : g_strdup_printf("%s: %s", question->url, reply->message);

        answer(question, METADATA_FAILED, text, reply);
}

static gboolean proves_itself(const MetadataRules *rules, const HttpReply *reply) {
        const char *value = rules->proof_header ? http_reply_header(reply, rules->proof_header) : NULL;

        return !rules->proof_header || (value && g_ascii_strcasecmp(value, rules->proof_value) == 0);
}

static gboolean is_text(const HttpReply *reply) {
        return strlen(reply->body) == reply->size && g_utf8_validate(reply->body, (gssize) reply->size, NULL);
}

static void question_begin(Question *question);

static void on_reply(const HttpReply *reply, void *userdata) {
        Question *question = userdata;
        Metadata *metadata = question->metadata;

        question->exchange = NULL;
        if (reply->problem != HTTP_ANSWERED) {
                answer_failed(question, reply);
                return;
        }
        /* The token ended before its time. */
        if (reply->status == 401 && metadata->token && !question->renewed) {
                drop_token(metadata);
                question->renewed = TRUE;
                question_begin(question);
                return;
        }
        if (!proves_itself(metadata->rules, reply)) {
                g_autofree char *text =
                        g_strdup_printf("%s answered without %s: %s, so that it is another cloud's service",
                                        question->url, metadata->rules->proof_header, metadata->rules->proof_value);

                answer(question, METADATA_FAILED, text, reply);
                return;
        }
        if (reply->status == 404)
                answer(question, METADATA_ABSENT, "", reply);
        else if (reply->status < 200 || reply->status > 299)
                answer_failed(question, reply);
        else if (!is_text(reply)) {
                g_autofree char *text = g_strdup_printf("%s answered what is no UTF-8 text", question->url);

                answer(question, METADATA_FAILED, text, reply);
        } else
                answer(question, METADATA_FOUND, reply->body, reply);
}

static void fail_to_send(Question *question, int r) {
        g_autofree char *text = g_strdup_printf("%s cannot be asked: %s", question->url, g_strerror(-r));

        answer(question, METADATA_FAILED, text, NULL);
}

static int question_send(Question *question) {
        Metadata *metadata = question->metadata;
        g_autoptr(GPtrArray) headers = g_ptr_array_new();
        g_autofree char *token = NULL;
        HttpRequest request = {
                .method = question->method,
                .url = question->url,
                .body = question->body,
                .body_size = question->body ? strlen(question->body) : 0,
                .direct = true,
                .timeout = question->timeout,
                .attempts = question->attempts,
                .again = question->again,
                .reply_max = DOCUMENT_MAX,
        };

        for (const char *const *header = metadata->rules->headers; header && *header; header++)
                g_ptr_array_add(headers, (char *) *header);
        for (char **header = question->headers; header && *header; header++)
                g_ptr_array_add(headers, *header);
        if (metadata->token) {
                token = g_strdup_printf("%s: %s", metadata->rules->token_header, metadata->token);
                g_ptr_array_add(headers, token);
        }
        g_ptr_array_add(headers, NULL);
        request.headers = (const char *const *) headers->pdata;
        return http_send(metadata->http, &request, on_reply, question, &question->exchange);
}

static Question *next_released(Metadata *metadata) {
        for (guint i = 0; i < metadata->questions->len; i++) {
                Question *question = g_ptr_array_index(metadata->questions, i);

                if (question->released)
                        return question;
        }
        return NULL;
}

static void go_on(Question *question, const char *failure, const HttpReply *reply) {
        int r;

        question->released = FALSE;
        if (failure) {
                answer(question, METADATA_FAILED, failure, reply);
                return;
        }
        r = question_send(question);
        if (r < 0)
                fail_to_send(question, r);
}

/* Those that waited for a token go on, or fail for the same reason. Each answer may end others, or ask anew. */
static void release(Metadata *metadata, const char *failure, const HttpReply *reply) {
        Question *question;

        for (guint i = 0; i < metadata->questions->len; i++) {
                question = g_ptr_array_index(metadata->questions, i);
                question->released = question->waiting;
                question->waiting = FALSE;
        }
        while ((question = next_released(metadata)))
                go_on(question, failure, reply);
}

static gboolean is_token(const HttpReply *reply) {
        if (reply->size == 0 || reply->size > TOKEN_MAX || strlen(reply->body) != reply->size)
                return FALSE;
        for (const char *c = reply->body; *c; c++)
                if (!g_ascii_isgraph(*c))
                        return FALSE;
        return TRUE;
}

static uint64_t token_lifetime(const Metadata *metadata, const HttpReply *reply) {
        const char *named = http_reply_header(reply, metadata->rules->token_lifetime_header);
        guint64 seconds = metadata->rules->token_seconds;

        if (named && !g_ascii_string_to_unsigned(named, 10, 1, metadata->rules->token_seconds, &seconds, NULL))
                seconds = metadata->rules->token_seconds;
        return seconds * USEC_PER_SEC;
}

static void on_token(const HttpReply *reply, void *userdata) {
        Metadata *metadata = userdata;

        metadata->token_exchange = NULL;
        if (reply->problem == HTTP_ANSWERED && reply->status == 200 && is_token(reply)) {
                drop_token(metadata);
                metadata->token = g_strdup(reply->body);
                metadata->token_until = usec_add(clock_monotonic(), token_lifetime(metadata, reply));
                release(metadata, NULL, NULL);
        } else if (metadata->without_token && reply->problem == HTTP_ANSWERED && reply->status >= 400 &&
                   reply->status < 500)
                release(metadata, NULL, NULL);
        else {
                g_autofree char *failure = reply->problem != HTTP_ANSWERED
                                                   ? g_strdup_printf("%s%s: %s", metadata->base_url,
                                                                     metadata->rules->token_path, reply->message)
                                                   : g_strdup_printf("%s%s answered %ld%s", metadata->base_url,
                                                                     metadata->rules->token_path, reply->status,
                                                                     reply->status == 200 ? " and no token" : "");

                release(metadata, failure, reply);
        }
}

static int ask_token(Metadata *metadata) {
        g_autofree char *url = g_strconcat(metadata->base_url, metadata->rules->token_path, NULL);
        g_autofree char *lifetime =
                g_strdup_printf("%s: %u", metadata->rules->token_lifetime_header, metadata->rules->token_seconds);
        const char *headers[] = { lifetime, NULL };
        HttpRequest request = {
                .method = "PUT",
                .url = url,
                .body = "",
                .headers = headers,
                .direct = true,
                .timeout = METADATA_TIMEOUT,
                .attempts = METADATA_ATTEMPTS,
                .reply_max = TOKEN_MAX,
        };

        return http_send(metadata->http, &request, on_token, metadata, &metadata->token_exchange);
}

static gboolean needs_token(const Metadata *metadata) {
        return metadata->rules->token_path &&
                (!metadata->token || usec_add(clock_monotonic(), TOKEN_MARGIN) >= metadata->token_until);
}

static int question_try(Question *question) {
        Metadata *metadata = question->metadata;
        int r = 0;

        if (!needs_token(metadata))
                return question_send(question);
        if (!metadata->token_exchange)
                r = ask_token(metadata);
        question->waiting = r >= 0;
        return r;
}

static void question_begin(Question *question) {
        int r = question_try(question);

        if (r < 0)
                fail_to_send(question, r);
}

int metadata_ask(Metadata *metadata, const MetadataQuestion *asked, MetadataDone done, void *userdata) {
        Question *question;
        int r;

        if (!asked->path || asked->path[0] != '/')
                return -EINVAL;
        if (metadata->questions->len >= METADATA_QUESTIONS_MAX)
                return -ENOBUFS;
        question = g_new0(Question, 1);
        question->metadata = metadata;
        question->url = g_strconcat(metadata->base_url, asked->path, NULL);
        question->method = g_strdup(asked->method);
        question->body = g_strdup(asked->body);
        question->headers = g_strdupv((char **) asked->headers);
        question->timeout = asked->timeout ?: METADATA_TIMEOUT;
        question->attempts = asked->attempts ?: METADATA_ATTEMPTS;
        question->again = asked->again;
        question->done = done;
        question->userdata = userdata;
        r = question_try(question);
        if (r < 0) {
                question_free(question);
                return r;
        }
        g_ptr_array_add(metadata->questions, question);
        return 0;
}
