/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/store/work.h"

void work_free(Work *work) {
        if (!work)
                return;
        g_free(work->key);
        g_free(work->text);
        g_clear_error(&work->error);
        g_clear_pointer(&work->records, g_hash_table_unref);
        g_clear_pointer(&work->rows, g_ptr_array_unref);
        g_clear_pointer(&work->blob, g_bytes_unref);
        g_clear_pointer(&work->state, database_state_free);
        g_clear_pointer(&work->event, database_event_free);
        g_free(work->history_text);
        if (work->destroy)
                work->destroy(work->data);
        g_free(work);
}

gboolean work_has_callback(const Work *work) {
        switch (work->kind) {
        case WORK_PUT:
        case WORK_APPEND:
        case WORK_PUT_STATE:
        case WORK_FORGET_STATE:
        case WORK_PUT_EVENT:
        case WORK_RUN:
                return work->callback.done != NULL;
        case WORK_GET:
                return work->callback.records != NULL;
        case WORK_QUERY:
                return work->callback.rows != NULL;
        case WORK_GET_STATE:
                return work->callback.state != NULL;
        case WORK_GET_EVENTS:
                return work->callback.events != NULL;
        case WORK_PROBLEM:
                return TRUE;
        }
        g_assert_not_reached();
}

gboolean work_is_write(const Work *work) {
        return work->kind == WORK_PUT || work->kind == WORK_APPEND || work->kind == WORK_PUT_STATE ||
                work->kind == WORK_FORGET_STATE || work->kind == WORK_PUT_EVENT;
}

gboolean work_is_lazy(const Work *work) {
        return work->kind == WORK_APPEND && work->history == HISTORY_SAMPLE && !work->callback.done;
}

gboolean work_is_job(const Work *work) {
        return work->kind == WORK_RUN;
}

gboolean work_carry_out(Work *work, Database *database, GError **error) {
        switch (work->kind) {
        case WORK_PUT:
                return database_put(database, work->key, work->text, error);
        case WORK_APPEND:
                return work->again ? database_append_sample_once(database, work->since, work->text, error)
                                   : database_append(database, work->since, work->history, work->text, error);
        case WORK_GET:
                g_clear_pointer(&work->records, g_hash_table_unref);
                work->records = database_get(database, work->key, error);
                return work->records != NULL;
        case WORK_QUERY:
                g_clear_pointer(&work->rows, g_ptr_array_unref);
                work->rows = database_query(database, work->since, work->until, work->max, work->kinds, error);
                return work->rows != NULL;
        case WORK_PUT_STATE:
                return (work->if_changed ? database_put_state_if_changed : database_put_state)(
                        database, work->key, work->version, work->text, work->blob, work->since, error);
        case WORK_FORGET_STATE:
                return database_forget_state(database, work->key, error);
        case WORK_GET_STATE:
                g_clear_pointer(&work->state, database_state_free);
                return database_get_state(database, work->key, work->text, &work->state, error);
        case WORK_PUT_EVENT:
                return database_put_event(database, work->event, work->text, work->since, work->history_text, error);
        case WORK_GET_EVENTS:
                g_clear_pointer(&work->rows, g_ptr_array_unref);
                work->rows = database_get_events(database, error);
                return work->rows != NULL;
        case WORK_RUN:
        case WORK_PROBLEM:
                break;
        }
        g_assert_not_reached();
}

void work_run(Work *work) {
        if (!work->run(work->data, &work->error) && !work->error)
                work->error = g_error_new_literal(DATABASE_ERROR, DATABASE_ERROR_FAILED, "it failed without a reason");
}

void work_finish(Work *work) {
        if (!work_has_callback(work))
                return;
        switch (work->kind) {
        case WORK_PUT:
        case WORK_APPEND:
        case WORK_PUT_STATE:
        case WORK_FORGET_STATE:
        case WORK_PUT_EVENT:
        case WORK_RUN:
        case WORK_PROBLEM:
                work->callback.done(work->error, work->userdata);
                break;
        case WORK_GET:
                work->callback.records(work->error ? NULL : work->records, work->error, work->userdata);
                break;
        case WORK_QUERY:
                work->callback.rows(work->error ? NULL : work->rows, work->error, work->userdata);
                break;
        case WORK_GET_STATE:
                work->callback.state(work->error ? NULL : work->state, work->error, work->userdata);
                break;
        case WORK_GET_EVENTS:
                work->callback.events(work->error ? NULL : work->rows, work->error, work->userdata);
                break;
        }
}
