/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/plugin/watch.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/journal.h"

#define SETTLE (200 * USEC_PER_MSEC)
#define SETTLE_MAX (2 * USEC_PER_SEC) /* for one who never stops writing */
#define COMES_AND_GOES (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
#define IS_GONE (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)
#define WANTED (COMES_AND_GOES | IN_ATTRIB | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

/* A directory may be several of these at once. */
typedef struct Place {
        char *path;
        GHashTable *ids;    /* of the plugins that lie in it, or whose programs do; or NULL */
        gboolean directory; /* plugins' directories are in it */
        gboolean above;     /* the nearest one above such a one that is missing */
        int wd;
} Place;

struct Watch {
        sd_event *event;
        int fd;
        sd_event_source *source, *timer;
        WatchSettled settled;
        void *userdata;
        GHashTable *by_wd;   /* Place, owned */
        GHashTable *by_path; /* the same */
        GHashTable *touched; /* set of ids */
        gboolean all;
        uint64_t first;     /* monotonic: of what is touched now; 0: nothing is */
        gboolean exhausted; /* that was said */
};

static void place_free(void *data) {
        Place *place = data;

        g_free(place->path);
        g_clear_pointer(&place->ids, g_hash_table_unref);
        g_free(place);
}

static void place_drop(Watch *watch, Place *place) {
        (void) inotify_rm_watch(watch->fd, place->wd);
        (void) g_hash_table_remove(watch->by_path, place->path);
        (void) g_hash_table_remove(watch->by_wd, GINT_TO_POINTER(place->wd));
}

static Place *place_add(Watch *watch, const char *path) {
        Place *place = g_hash_table_lookup(watch->by_path, path);
        int wd;

        if (place)
                return place;
        wd = inotify_add_watch(watch->fd, path, WANTED);
        if (wd < 0) {
                if (errno == ENOSPC && !watch->exhausted) {
                        log_warning("%s: the kernel has no more watches to give (fs.inotify.max_user_watches)", path);
                        watch->exhausted = TRUE;
                }
                return NULL;
        }
        /* The same directory by another path: the latest counts, for all that is waited for there. */
        place = g_hash_table_lookup(watch->by_wd, GINT_TO_POINTER(wd));
        if (place) {
                (void) g_hash_table_remove(watch->by_path, place->path);
                g_free(place->path);
                place->path = g_strdup(path);
        } else {
                place = g_new0(Place, 1);
                *place = (Place){ .path = g_strdup(path), .wd = wd };
                g_hash_table_insert(watch->by_wd, GINT_TO_POINTER(wd), place);
        }
        g_hash_table_insert(watch->by_path, place->path, place);
        return place;
}

static void place_serve(Place *place, const char *id) {
        if (!place->ids)
                place->ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        if (!g_hash_table_contains(place->ids, id))
                (void) g_hash_table_add(place->ids, g_strdup(id));
}

void watch_plugin(Watch *watch, const char *directory, const char *id) {
        g_autofree char *path = g_build_filename(directory, id, NULL);
        Place *place = place_add(watch, path);

        if (place)
                place_serve(place, id);
}

void watch_program(Watch *watch, const char *directory, const char *id, const char *program) {
        g_autofree char *plugin = g_build_filename(directory, id, NULL), *path = g_path_get_dirname(program);
        Place *place = place_add(watch, path);

        /* A folder of the plugin that is not there yet comes into one that is. Above its own there is no waiting:
         * others are at work there. */
        while (!place && g_str_has_prefix(path, plugin)) {
                char *above = g_path_get_dirname(path);

                g_free(path);
                path = above;
                place = place_add(watch, path);
        }
        if (place)
                place_serve(place, id);
}

void watch_begin(Watch *watch) {
        g_autoptr(GList) places = g_hash_table_get_values(watch->by_wd);

        for (GList *l = places; l; l = l->next) {
                Place *place = l->data;

                place->above = FALSE;
                if (!place->directory && !place->ids)
                        place_drop(watch, place);
        }
}

void watch_directory(Watch *watch, const char *directory) {
        g_autofree char *path = g_strdup(directory);
        Place *place = place_add(watch, path);

        if (place) {
                place->directory = TRUE;
                return;
        }
        while (!place && strlen(path) > 1) {
                char *above = g_path_get_dirname(path);

                g_free(path);
                path = above;
                place = place_add(watch, path);
        }
        if (place)
                place->above = TRUE;
}

static int on_settled(sd_event_source *source, uint64_t usec, void *userdata) {
        Watch *watch = userdata;
        g_autoptr(GHashTable) ids = g_steal_pointer(&watch->touched);
        gboolean all = watch->all;

        watch->touched = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        watch->all = FALSE;
        watch->first = 0;
        watch->settled(all ? NULL : ids, watch->userdata);
        return 0;
}

void watch_touch(Watch *watch, const char *id) {
        uint64_t now = clock_monotonic();

        if (watch->first == 0)
                watch->first = now;
        if (id)
                (void) g_hash_table_add(watch->touched, g_strdup(id));
        else
                watch->all = TRUE;
        (void) sd_event_source_set_time(watch->timer, MIN(now + SETTLE, watch->first + SETTLE_MAX));
        (void) sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
}

static void touch_plugins(Watch *watch, const Place *place) {
        GHashTableIter iter;
        void *id;

        g_hash_table_iter_init(&iter, place->ids);
        while (g_hash_table_iter_next(&iter, &id, NULL))
                watch_touch(watch, id);
}

static void take_event(Watch *watch, const struct inotify_event *event) {
        Place *place = g_hash_table_lookup(watch->by_wd, GINT_TO_POINTER(event->wd));

        if (event->mask & IN_Q_OVERFLOW)
                watch_touch(watch, NULL);
        if (!place)
                return;
        if (place->ids)
                touch_plugins(watch, place);
        /* Without a name it is about the directory itself: whose it is may have changed. */
        if (place->directory)
                watch_touch(watch, event->len > 0 ? event->name : NULL);
        if (place->above && event->mask & (COMES_AND_GOES | IS_GONE))
                watch_touch(watch, NULL);
        if (event->mask & IS_GONE)
                place_drop(watch, place);
}

static int on_events(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        char buffer[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
        Watch *watch = userdata;
        ssize_t n = read(fd, buffer, sizeof(buffer));

        for (ssize_t at = 0; at < n;) {
                const struct inotify_event *event = (const struct inotify_event *) (buffer + at);

                take_event(watch, event);
                at += (ssize_t) (sizeof(struct inotify_event) + event->len);
        }
        return 0;
}

int watch_new(sd_event *event, WatchSettled settled, void *userdata, Watch **ret) {
        Watch *watch = g_new0(Watch, 1);
        int r;

        *watch = (Watch){ .event = sd_event_ref(event), .settled = settled, .userdata = userdata };
        watch->by_wd = g_hash_table_new_full(NULL, NULL, NULL, place_free);
        watch->by_path = g_hash_table_new(g_str_hash, g_str_equal);
        watch->touched = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        r = watch->fd < 0 ? -errno : sd_event_add_io(event, &watch->source, watch->fd, EPOLLIN, on_events, watch);
        if (r >= 0)
                r = sd_event_add_time(event, &watch->timer, CLOCK_MONOTONIC, 0, 0, on_settled, watch);
        if (r >= 0)
                r = sd_event_source_set_enabled(watch->timer, SD_EVENT_OFF);
        if (r < 0) {
                watch_free(watch);
                return r;
        }
        *ret = watch;
        return 0;
}

void watch_free(Watch *watch) {
        if (!watch)
                return;
        sd_event_source_disable_unref(watch->source);
        sd_event_source_disable_unref(watch->timer);
        safe_close(watch->fd);
        g_hash_table_unref(watch->by_path);
        g_hash_table_unref(watch->by_wd);
        g_hash_table_unref(watch->touched);
        sd_event_unref(watch->event);
        g_free(watch);
}
