/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "bus/kept-call.h"
#include "daemon/manager-bus.h"

static void rows_known(GPtrArray *rows, const GError *error, void *userdata) {
        sd_bus_message *call = userdata;
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r;

        if (error)
                r = sd_bus_reply_method_errorf(call, ERROR_STORE, "History is not readable: %s", error->message);
        else {
                r = sd_bus_message_new_method_return(call, &reply);
                if (r >= 0)
                        r = append_rows(reply, rows, NULL);
                if (r >= 0)
                        r = sd_bus_send(NULL, reply, NULL);
                else
                        r = sd_bus_reply_method_errorf(call, ERROR_STORE, "History could not be told: %s",
                                                       g_strerror(-r));
        }
        (void) r;
        sd_bus_message_unref(call);
}

#define QUESTIONS_MAX 64U
#define QUESTIONS_PER_SENDER_MAX 4U

typedef struct HistoryQuestion {
        Manager *manager;
        sd_bus_message *call;
        HistoryRange range;
        StoreRows done;
} HistoryQuestion;

static void ask_next(Manager *manager);

static void question_answered(GPtrArray *rows, const GError *error, void *userdata) {
        g_autofree HistoryQuestion *question = userdata;
        Manager *manager = question->manager;

        question->done(rows, error, question->call);
        manager->history_asked = FALSE;
        ask_next(manager);
}

static void ask_next(Manager *manager) {
        HistoryQuestion *question;

        while (!manager->history_asked && (question = g_queue_pop_head(&manager->history_questions))) {
                const HistoryRange *range = &question->range;

                manager->history_asked = TRUE;
                if (store_query(manager->store, range->since, range->until, range->max, range->kinds,
                                question_answered, question) >= 0)
                        return;
                manager->history_asked = FALSE;
                (void) sd_bus_reply_method_errorf(question->call, ERROR_STORE, "History is busy; try again.");
                sd_bus_message_unref(question->call);
                g_free(question);
        }
}

static unsigned count_questions_of(Manager *manager, const char *sender) {
        unsigned n = 0;

        for (GList *l = manager->history_questions.head; l; l = l->next)
                n += g_strcmp0(sd_bus_message_get_sender(((HistoryQuestion *) l->data)->call), sender) == 0;
        return n;
}

int history_query(Manager *manager, sd_bus_message *call, const HistoryRange *range, StoreRows done,
                  sd_bus_error *error) {
        HistoryQuestion *question;
        sd_bus_message *kept;
        int r;

        if (g_queue_get_length(&manager->history_questions) >= QUESTIONS_MAX ||
            count_questions_of(manager, sd_bus_message_get_sender(call)) >= QUESTIONS_PER_SENDER_MAX)
                return sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED,
                                         "%u questions about history of one caller or %u in all wait; try again.",
                                         QUESTIONS_PER_SENDER_MAX, QUESTIONS_MAX);
        r = call_keep(call, &kept);
        if (r < 0)
                return r;
        question = g_new(HistoryQuestion, 1);
        *question = (HistoryQuestion) { .manager = manager, .call = kept, .range = *range, .done = done };
        g_queue_push_tail(&manager->history_questions, question);
        ask_next(manager);
        return 1;
}

int history_reader(Manager *manager, sd_bus_message *call, gboolean *ret_trusted, sd_bus_error *error) {
        uid_t uid;
        int r = manager_caller(manager, call, &uid, error);

        if (r > 0)
                *ret_trusted = uid == 0 || uid == geteuid();
        return r;
}

void history_hide(GPtrArray *rows) {
        for (guint i = 0; rows && i < rows->len; i++)
                event_row_hide_output(g_ptr_array_index(rows, i));
}

static void rows_known_to_others(GPtrArray *rows, const GError *error, void *userdata) {
        history_hide(rows);
        rows_known(rows, error, userdata);
}

static int query(Manager *manager, sd_bus_message *message, unsigned kinds, StoreRows done, sd_bus_error *error) {
        uint64_t since, until;
        uint32_t max;
        int r;

        r = sd_bus_message_read(message, "ttu", &since, &until, &max);
        if (r < 0)
                return r;
        if (max < 1 || max > STORE_QUERY_MAX)
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "max is %u, expected 1 to %u.", max,
                                         STORE_QUERY_MAX);
        return history_query(manager, message, &(HistoryRange) { since, until > 0 ? until : UINT64_MAX, max, kinds },
                             done, error);
}

int method_get_history(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        gboolean trusted;
        int r = history_reader(userdata, message, &trusted, error);

        if (r <= 0)
                return r < 0 ? r : 1;
        return query(userdata, message, 0, trusted ? rows_known : rows_known_to_others, error);
}

int method_get_samples(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return query(userdata, message, 1U << HISTORY_SAMPLE, rows_known, error);
}
