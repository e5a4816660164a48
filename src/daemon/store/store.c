/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/store/store.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/journal.h"
#include "daemon/store/waiting.h"
#include "daemon/store/writer.h"

#define FREE_TIMEOUT (5 * USEC_PER_SEC)
/* How long samples wait for company, and how many of them. Whoever asks for history, and whatever else is written,
 * takes them along. */
#define LAZY_TIMEOUT (5 * USEC_PER_MINUTE)
#define LAZY_MAX 64U

/* Shared with the thread, and outlives the store where the disk hangs for longer than anybody can wait: the last of
 * the two to leave frees it. */
typedef struct Shared {
        GMutex lock;
        GCond wake;     /* the thread: there is something due */
        GCond finished; /* store_free(): the thread has ended */
        gint references; /* atomic */

        GQueue queue;   /* of Work, to do */
        GQueue group;   /* being done; the thread's, but for the callbacks of a store that is being freed */
        GQueue done;    /* finished, for the loop */
        unsigned count; /* in all three */
        size_t bytes;
        gboolean due;   /* something in the queue does not wait */
        gboolean quit;
        gboolean ended;
        uint64_t busy_since; /* monotonic: the thread is at something; 0: it waits for work */
        int event_fd;

        Waiting *waiting; /* NULL: no sample waits */
        unsigned kept;    /* of the queue and the group: work that stands in there */
        gboolean missed;  /* what stands in there is not all in the queue: it could not be written */

        char *directory;
} Shared;

struct Store {
        Shared *shared;
        GThread *thread;
        sd_event_source *source;
        StoreProblem problem;
        void *userdata;
        uint64_t lazy_since; /* when the first of the samples that wait was queued; 0: none wait */
        unsigned lazy;
};

static const char *const kind_names[] = {
        [HISTORY_STATE] = "state", [HISTORY_VOTES] = "votes",     [HISTORY_STOP] = "stop",     [HISTORY_HOLD] = "hold",
        [HISTORY_EVENT] = "event", [HISTORY_PROBLEM] = "problem", [HISTORY_SAMPLE] = "sample", [HISTORY_CALL] = "call",
        [HISTORY_EVENT_OF_USER] = "event", [HISTORY_EVENT_OF_PLUGIN] = "event",
};

const char *history_kind_name(HistoryKind kind) {
        return (unsigned) kind < G_N_ELEMENTS(kind_names) ? kind_names[kind] : NULL;
}

static void shared_unref(Shared *shared) {
        if (!g_atomic_int_dec_and_test(&shared->references))
                return;
        g_queue_clear_full(&shared->queue, (GDestroyNotify) work_free);
        g_queue_clear_full(&shared->group, (GDestroyNotify) work_free);
        g_queue_clear_full(&shared->done, (GDestroyNotify) work_free);
        g_mutex_clear(&shared->lock);
        g_cond_clear(&shared->wake);
        g_cond_clear(&shared->finished);
        shared->event_fd = safe_close(shared->event_fd);
        waiting_close(shared->waiting);
        g_free(shared->directory);
        g_free(shared);
}

static void move_all(GQueue *from, GQueue *to) {
        Work *work;

        while ((work = g_queue_pop_head(from)))
                g_queue_push_tail(to, work);
}

static size_t work_size(const Work *work) {
        return sizeof(Work) + (work->key ? strlen(work->key) : 0) + (work->text ? strlen(work->text) : 0) +
               (work->history_text ? strlen(work->history_text) : 0) +
               (work->event && work->event->text ? g_ref_string_length(work->event->text) : 0) +
               (work->blob ? g_bytes_get_size(work->blob) : 0);
}

/* Locked. */
static void push(Shared *shared, Work *work) {
        shared->count++;
        shared->bytes += work->bytes;
        shared->kept += work->kept;
        g_queue_push_tail(&shared->queue, work);
}

static void push_sample_again(uint64_t realtime, const char *text, void *userdata) {
        Shared *shared = userdata;
        Work *work = g_new0(Work, 1);

        work->kind = WORK_APPEND;
        work->since = realtime;
        work->history = HISTORY_SAMPLE;
        work->text = g_strdup(text);
        work->kept = work->again = TRUE;
        work->bytes = work_size(work);
        push(shared, work);
        shared->due = TRUE;
}

/* Locked. A group is through. The file goes only as a whole, when nothing that stands in it is still to be written;
 * killed before that, it is read again, which does no harm. */
static void settle_waiting(Shared *shared, gboolean failed) {
        shared->missed = shared->missed || failed;
        if (shared->kept > 0 || failed)
                return;
        if (shared->missed)
                (void) waiting_read(shared->waiting, push_sample_again, shared);
        else
                waiting_clear(shared->waiting);
        shared->missed = FALSE;
}

/* Locked. Wakes the loop only if somebody there has something to hear. */
static void hand_over(Shared *shared, GQueue *news) {
        gboolean awaited = !g_queue_is_empty(news), settled = FALSE, failed = FALSE;
        Work *work;

        shared->count += g_queue_get_length(news);
        move_all(news, &shared->done);
        while ((work = g_queue_pop_head(&shared->group))) {
                if (work->kept) {
                        shared->kept--;
                        settled = TRUE;
                        failed = failed || work->error;
                }
                if (work_has_callback(work)) {
                        awaited = TRUE;
                        g_queue_push_tail(&shared->done, work);
                } else {
                        shared->count--;
                        shared->bytes -= work->bytes;
                        work_free(work);
                }
        }
        if (settled)
                settle_waiting(shared, failed);
        if (awaited)
                (void) eventfd_write(shared->event_fd, 1);
}

static void run_group(Shared *shared, Writer *writer) {
        GQueue news = G_QUEUE_INIT;
        Work *first = g_queue_peek_head(&shared->group);

        if (first && work_is_job(first))
                work_run(first);
        else
                writer_run(writer, &shared->group, &news);
        g_mutex_lock(&shared->lock);
        hand_over(shared, &news);
        g_mutex_unlock(&shared->lock);
        writer_tidy(writer);
}

/* Locked. One job, or all up to the next job: so that everything is done, and told, in its order. */
static void take_next(Shared *shared) {
        do
                g_queue_push_tail(&shared->group, g_queue_pop_head(&shared->queue));
        while (!g_queue_is_empty(&shared->queue) && !work_is_job(shared->group.head->data) &&
               !work_is_job(shared->queue.head->data));
}

/* FALSE: the store is being freed, and all is done. */
static gboolean take_group(Shared *shared) {
        gboolean any;

        g_mutex_lock(&shared->lock);
        shared->busy_since = 0;
        while (!shared->due && !shared->quit)
                g_cond_wait(&shared->wake, &shared->lock);
        if (!g_queue_is_empty(&shared->queue))
                take_next(shared);
        shared->due = !g_queue_is_empty(&shared->queue);
        any = !g_queue_is_empty(&shared->group);
        shared->busy_since = any ? clock_monotonic() : 0;
        g_mutex_unlock(&shared->lock);
        return any;
}

static gpointer thread_main(gpointer userdata) {
        Shared *shared = userdata;
        Writer *writer = writer_new(shared->directory);

        /* Opened at once, so that a problem is known before anything depends on it. */
        do
                run_group(shared, writer);
        while (take_group(shared));
        writer_free(writer);

        g_mutex_lock(&shared->lock);
        shared->ended = TRUE;
        g_cond_signal(&shared->finished);
        g_mutex_unlock(&shared->lock);
        shared_unref(shared);
        return NULL;
}

static void finish(Store *store, Work *work) {
        if (work->kind == WORK_PROBLEM) {
                if (store->problem)
                        store->problem(work->error, store->userdata);
        } else
                work_finish(work);
        work_free(work);
}

static void deliver(Store *store) {
        Shared *shared = store->shared;

        /* One by one: a callback may queue more work, and must find the count right. */
        for (;;) {
                Work *work;

                g_mutex_lock(&shared->lock);
                work = g_queue_pop_head(&shared->done);
                if (work) {
                        shared->count--;
                        shared->bytes -= work->bytes;
                }
                g_mutex_unlock(&shared->lock);
                if (!work)
                        return;
                finish(store, work);
        }
}

static int on_done(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        eventfd_t ignored;

        (void) eventfd_read(fd, &ignored);
        deliver(userdata);
        return 0;
}

/* The daemon takes its signals from a descriptor, for which they must be blocked in every thread. */
static GThread *start_thread(Shared *shared) {
        sigset_t all, before;
        GThread *thread;

        (void) sigfillset(&all);
        (void) pthread_sigmask(SIG_SETMASK, &all, &before);
        g_atomic_int_inc(&shared->references);
        thread = g_thread_try_new("store", thread_main, shared, NULL);
        if (!thread)
                (void) g_atomic_int_dec_and_test(&shared->references);
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
        return thread;
}

static Shared *shared_new(const char *directory) {
        Shared *shared = g_new0(Shared, 1);

        g_mutex_init(&shared->lock);
        g_cond_init(&shared->wake);
        g_cond_init(&shared->finished);
        shared->references = 1;
        shared->busy_since = clock_monotonic(); /* at opening the database */
        shared->directory = g_strdup(directory);
        shared->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        return shared;
}

static void open_waiting(Shared *shared, const char *directory) {
        g_autoptr(GError) error = NULL;
        unsigned skipped;

        shared->waiting = waiting_open(directory, &error);
        if (!shared->waiting) {
                log_warning("Samples cannot wait in memory, each is written to the database at once: %s",
                            error->message);
                return;
        }
        skipped = waiting_read(shared->waiting, push_sample_again, shared);
        if (skipped > 0)
                log_warning("%s/" WAITING_NAME ": lines that are no samples are left out: %u", directory, skipped);
        if (shared->kept == 0)
                waiting_clear(shared->waiting);
}

int store_new(sd_event *event, const char *directory, const char *runtime_directory, StoreProblem problem,
              void *userdata, Store **ret) {
        Store *store = g_new0(Store, 1);
        int r;

        store->problem = problem;
        store->userdata = userdata;
        store->shared = shared_new(directory);
        r = store->shared->event_fd < 0 ? -errno : 0;
        if (r >= 0)
                r = sd_event_add_io(event, &store->source, store->shared->event_fd, EPOLLIN, on_done, store);
        if (r >= 0) {
                (void) sd_event_source_set_description(store->source, "store");
                if (runtime_directory)
                        open_waiting(store->shared, runtime_directory);
                store->thread = start_thread(store->shared);
                r = store->thread ? 0 : -EAGAIN;
        }
        if (r < 0) {
                sd_event_source_disable_unref(store->source);
                shared_unref(store->shared);
                g_free(store);
                return r;
        }
        *ret = store;
        return 0;
}

uint64_t store_busy_since(const Store *store) {
        uint64_t since;

        g_mutex_lock(&store->shared->lock);
        since = store->shared->busy_since;
        g_mutex_unlock(&store->shared->lock);
        return since;
}

/* Takes from a thread that hangs whatever somebody waits for: they are told, and the thread finds nobody to tell. */
static void abandon(Shared *shared, GQueue *orphans) {
        GQueue *queues[] = { &shared->group, &shared->queue };

        for (size_t i = 0; i < G_N_ELEMENTS(queues); i++)
                for (GList *l = queues[i]->head; l; l = l->next) {
                        Work *work = l->data, *orphan;

                        if (!work_has_callback(work))
                                continue;
                        orphan = g_new0(Work, 1);
                        orphan->kind = work->kind;
                        orphan->callback = work->callback;
                        orphan->userdata = work->userdata;
                        orphan->error = g_error_new(DATABASE_ERROR, DATABASE_ERROR_FAILED,
                                                    "the disk did not answer before the end of the daemon");
                        memset(&work->callback, 0, sizeof(work->callback));
                        g_queue_push_tail(orphans, orphan);
                }
}

/* TRUE: the thread has ended; FALSE: it hangs, and what was asked of it is in orphans. */
static gboolean end_thread(Shared *shared, GQueue *orphans) {
        gint64 deadline = g_get_monotonic_time() + (gint64) FREE_TIMEOUT;
        gboolean ended;

        g_mutex_lock(&shared->lock);
        shared->quit = TRUE;
        g_cond_signal(&shared->wake);
        while (!shared->ended && g_cond_wait_until(&shared->finished, &shared->lock, deadline))
                ;
        ended = shared->ended;
        if (!ended)
                abandon(shared, orphans);
        g_mutex_unlock(&shared->lock);
        return ended;
}

void store_close(Store *store) {
        GThread *thread = g_steal_pointer(&store->thread);
        GQueue orphans = G_QUEUE_INIT;
        Work *work;

        if (!thread)
                return;
        store->source = sd_event_source_disable_unref(store->source);
        if (end_thread(store->shared, &orphans))
                g_thread_join(thread);
        else
                g_thread_unref(thread);
        deliver(store);
        while ((work = g_queue_pop_head(&orphans)))
                finish(store, work);
}

Store *store_free(Store *store) {
        if (!store)
                return NULL;
        store_close(store);
        shared_unref(store->shared);
        g_free(store);
        return NULL;
}

/* Whether the thread should turn to the queue now that this was added to it. */
static gboolean is_due(Store *store, const Work *work) {
        uint64_t now;

        if (work_is_lazy(work) && work->kept) {
                now = clock_monotonic();
                if (store->lazy_since == 0)
                        store->lazy_since = now;
                if (++store->lazy < LAZY_MAX && now - store->lazy_since < LAZY_TIMEOUT)
                        return FALSE;
        }
        store->lazy_since = 0;
        store->lazy = 0;
        return TRUE;
}

static int enqueue(Store *store, Work *work) {
        g_autoptr(Work) owned = work;
        Shared *shared = store->shared;
        int r = 0;

        work->bytes = work_size(work);
        g_mutex_lock(&shared->lock);
        if (shared->quit)
                r = -ESHUTDOWN;
        else if (shared->count >= STORE_QUEUE_MAX || shared->bytes + work->bytes > STORE_QUEUE_BYTES_MAX)
                r = -ENOBUFS;
        else {
                work->kept = shared->waiting && work_is_lazy(work) &&
                             waiting_append(shared->waiting, work->since, work->text);
                push(shared, g_steal_pointer(&owned));
                if (is_due(store, work) && !shared->due) {
                        /* Else the thread was woken already, or is busy and looks by itself. */
                        shared->due = TRUE;
                        g_cond_signal(&shared->wake);
                }
        }
        g_mutex_unlock(&shared->lock);
        return r;
}

static char *to_text(JsonObject *object) {
        g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), object);

        return json_to_string(node, FALSE);
}

int store_put(Store *store, const char *key, JsonObject *value, StoreDone done, void *userdata) {
        g_autofree char *text = value ? to_text(value) : NULL;
        Work *work;

        if (strlen(key) > STORE_KEY_MAX || (text && strlen(text) > STORE_VALUE_MAX))
                return -E2BIG;
        work = g_new0(Work, 1);
        work->kind = WORK_PUT;
        work->key = g_strdup(key);
        work->text = g_steal_pointer(&text);
        work->callback.done = done;
        work->userdata = userdata;
        return enqueue(store, work);
}

int store_get(Store *store, const char *prefix, StoreRecords done, void *userdata) {
        Work *work;

        if (strlen(prefix) > STORE_KEY_MAX)
                return -E2BIG;
        work = g_new0(Work, 1);
        work->kind = WORK_GET;
        work->key = g_strdup(prefix);
        work->callback.records = done;
        work->userdata = userdata;
        return enqueue(store, work);
}

int store_append(Store *store, uint64_t realtime, HistoryKind kind, JsonObject *data, StoreDone done, void *userdata) {
        g_autofree char *text = to_text(data);
        Work *work;

        if (strlen(text) > STORE_VALUE_MAX)
                return -E2BIG;
        work = g_new0(Work, 1);
        work->kind = WORK_APPEND;
        work->since = realtime;
        work->history = kind;
        work->text = g_steal_pointer(&text);
        work->callback.done = done;
        work->userdata = userdata;
        return enqueue(store, work);
}

int store_query(Store *store, uint64_t since, uint64_t until, unsigned max, unsigned kinds, StoreRows done,
                void *userdata) {
        Work *work = g_new0(Work, 1);

        work->kind = WORK_QUERY;
        work->since = since;
        work->until = until;
        work->max = max;
        work->kinds = kinds;
        work->callback.rows = done;
        work->userdata = userdata;
        return enqueue(store, work);
}

int store_put_event(Store *store, const StoreEvent *event, char *data, uint64_t realtime, char *history,
                    StoreDone done, void *userdata) {
        g_autofree char *text = data, *history_text = history;
        Work *work;

        if (strlen(event->source) > STORE_KEY_MAX || strlen(event->id) > STORE_KEY_MAX ||
            (event->text && g_ref_string_length(event->text) > STORE_VALUE_MAX) ||
            (text && strlen(text) > STORE_VALUE_MAX) || (history_text && strlen(history_text) > STORE_VALUE_MAX))
                return -E2BIG;
        work = g_new0(Work, 1);
        work->kind = WORK_PUT_EVENT;
        work->event = g_new0(StoreEvent, 1);
        *work->event = (StoreEvent) { .source = g_strdup(event->source),
                                      .id = g_strdup(event->id),
                                      .time = event->time,
                                      .deadline = event->deadline,
                                      .state = event->state,
                                      .kind = event->kind,
                                      .text = event->text ? g_ref_string_acquire(event->text) : NULL };
        work->text = g_steal_pointer(&text);
        work->since = realtime;
        work->history_text = g_steal_pointer(&history_text);
        work->callback.done = done;
        work->userdata = userdata;
        return enqueue(store, work);
}

int store_get_events(Store *store, StoreEvents done, void *userdata) {
        Work *work = g_new0(Work, 1);

        work->kind = WORK_GET_EVENTS;
        work->callback.events = done;
        work->userdata = userdata;
        return enqueue(store, work);
}

static int put_state(Store *store, const char *id, uint32_t version, const char *plugin_version, GBytes *state,
                     gboolean if_changed, StoreDone done, void *userdata) {
        Work *work;

        if (strlen(id) > STORE_KEY_MAX || strlen(plugin_version) > STORE_KEY_MAX ||
            g_bytes_get_size(state) > STORE_STATE_MAX)
                return -E2BIG;
        work = g_new0(Work, 1);
        work->kind = WORK_PUT_STATE;
        work->key = g_strdup(id);
        work->text = g_strdup(plugin_version);
        work->version = version;
        work->blob = g_bytes_ref(state);
        work->if_changed = if_changed;
        work->since = clock_realtime();
        work->callback.done = done;
        work->userdata = userdata;
        return enqueue(store, work);
}

int store_put_state(Store *store, const char *id, uint32_t version, const char *plugin_version, GBytes *state,
                    StoreDone done, void *userdata) {
        return put_state(store, id, version, plugin_version, state, FALSE, done, userdata);
}

int store_put_state_if_changed(Store *store, const char *id, uint32_t version, const char *plugin_version,
                               GBytes *state, StoreDone done, void *userdata) {
        return put_state(store, id, version, plugin_version, state, TRUE, done, userdata);
}

int store_get_state(Store *store, const char *id, const char *plugin_version, StoreStateDone done, void *userdata) {
        Work *work;

        if (strlen(id) > STORE_KEY_MAX)
                return -E2BIG;
        work = g_new0(Work, 1);
        work->kind = WORK_GET_STATE;
        work->key = g_strdup(id);
        work->text = g_strdup(plugin_version);
        work->callback.state = done;
        work->userdata = userdata;
        return enqueue(store, work);
}

int store_forget_state(Store *store, const char *id, StoreDone done, void *userdata) {
        Work *work;

        if (strlen(id) > STORE_KEY_MAX)
                return -E2BIG;
        work = g_new0(Work, 1);
        work->kind = WORK_FORGET_STATE;
        work->key = g_strdup(id);
        work->callback.done = done;
        work->userdata = userdata;
        return enqueue(store, work);
}

int store_run(Store *store, StoreRun run, void *data, GDestroyNotify destroy, StoreDone done, void *userdata) {
        Work *work = g_new0(Work, 1);

        work->kind = WORK_RUN;
        work->run = run;
        work->data = data;
        work->destroy = destroy;
        work->callback.done = done;
        work->userdata = userdata;
        return enqueue(store, work);
}
