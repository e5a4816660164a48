/* SPDX-License-Identifier: Apache-2.0 */

#include "aside.h"

#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/clock.h"

/* Called off is noticed so soon. */
#define LOOK_INTERVAL (100 * USEC_PER_MSEC)
/* A name server that answers nobody keeps so many threads at most, of those that the unit may have. */
#define LEFT_MAX 4
#define PROBLEM "cannot connect"

/* Of both threads, behind the lock; `left` may be read without it. */
typedef struct Aside {
        pthread_mutex_t lock;
        pthread_cond_t ended;
        gboolean done;
        gint left; /* by who waited: the thread frees all */
        gboolean by_name;
        uint64_t deadline;
        AsideWork work;
        GDestroyNotify release;
        void *job;
} Aside;

static gint n_left;

static void aside_free(Aside *aside) {
        (void) pthread_cond_destroy(&aside->ended);
        (void) pthread_mutex_destroy(&aside->lock);
        g_free(aside);
}

static void *run(void *userdata) {
        Aside *aside = userdata;
        const Flush flush = { .deadline = aside->deadline, .called_off = &aside->left };
        gboolean left, by_name = aside->by_name;

        aside->work(&flush, aside->job);
        (void) pthread_mutex_lock(&aside->lock);
        aside->done = TRUE;
        left = g_atomic_int_get(&aside->left);
        (void) pthread_cond_signal(&aside->ended);
        (void) pthread_mutex_unlock(&aside->lock);
        if (left) {
                aside->release(aside->job);
                aside_free(aside);
                if (by_name)
                        (void) g_atomic_int_dec_and_test(&n_left);
        }
        return NULL;
}

static gboolean start(Aside *aside) {
        pthread_attr_t attributes;
        pthread_t thread;
        gboolean started;

        if (pthread_attr_init(&attributes) != 0)
                return FALSE;
        started = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
                pthread_create(&thread, &attributes, run, aside) == 0;
        (void) pthread_attr_destroy(&attributes);
        return started;
}

/* Whether it is done. */
static gboolean wait_for(Aside *aside, const Flush *flush) {
        gboolean done;

        (void) pthread_mutex_lock(&aside->lock);
        while (!aside->done && flush_left(flush) > 0) {
                uint64_t until = MIN(usec_add(clock_monotonic(), LOOK_INTERVAL), flush->deadline);
                const struct timespec limit = { .tv_sec = (time_t) (until / USEC_PER_SEC),
                                                .tv_nsec = (long) (until % USEC_PER_SEC * 1000) };

                (void) pthread_cond_clockwait(&aside->ended, &aside->lock, CLOCK_MONOTONIC, &limit);
        }
        done = aside->done;
        if (!done) {
                if (aside->by_name)
                        g_atomic_int_inc(&n_left);
                g_atomic_int_set(&aside->left, TRUE);
        }
        (void) pthread_mutex_unlock(&aside->lock);
        return done;
}

gboolean aside_is_name(const char *host) {
        const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_family = AF_UNSPEC };
        struct addrinfo *list = NULL;

        if (!host || getaddrinfo(host, NULL, &hints, &list) != 0)
                return host != NULL;
        freeaddrinfo(list);
        return FALSE;
}

gboolean aside_run(const Flush *flush, gboolean by_name, AsideWork work, GDestroyNotify release, void *job,
                   GError **error) {
        Aside *aside;

        if (by_name && g_atomic_int_get(&n_left) >= LEFT_MAX) {
                release(job);
                return flush_fail(error, NULL, PROBLEM, "those who tried before still wait for a name server");
        }
        aside = g_new(Aside, 1);
        *aside = (Aside) { .lock = PTHREAD_MUTEX_INITIALIZER,
                           .ended = PTHREAD_COND_INITIALIZER,
                           .by_name = by_name,
                           .deadline = flush->deadline,
                           .work = work,
                           .release = release,
                           .job = job };
        if (!start(aside)) {
                aside_free(aside);
                release(job);
                return flush_fail(error, NULL, PROBLEM, "there is no room for a thread");
        }
        if (!wait_for(aside, flush))
                return flush_fail(error, NULL, PROBLEM, "there was no more time");
        aside_free(aside);
        return TRUE;
}
