/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/hold/hold.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>

#include <systemd/sd-id128.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/journal.h"
#include "daemon/hold/hold-file.h"
#include "util/json.h"

/* Less is between two readings of two clocks. */
#define WORTH_TELLING USEC_PER_SEC

typedef struct Entry {
        Holds *holds;
        HoldRecord *record;
        int fd; /* reader's end; -1 for holds with an end of their own */
        sd_event_source *watch;
} Entry;

struct Holds {
        sd_event *event;
        Store *store;
        HoldsChanged changed;
        void *userdata;
        int directory;
        char boot_id[SD_ID128_STRING_MAX];
        GTree *entries; /* cookie → Entry: in the order of cookies */
        GPtrArray *inhibitors;
        GPtrArray *list; /* of borrowed Hold, what holds_list() gave out */
        GHashTable *forgetting; /* Forgetting: ended holds that the store still knows */
        sd_event_source *timer; /* for the end that comes first */
        gboolean restored;
};

/* An ended hold whose record stays, marked so, until the store has forgotten it: a kill in between would bring it
 * back. */
typedef struct Forgetting {
        Holds *holds;
        uint32_t cookie;
        char *key;
} Forgetting;

static void forgetting_free(void *data) {
        Forgetting *forgetting = data;

        g_free(forgetting->key);
        g_free(forgetting);
}

const char *hold_kind_name(HoldKind kind) {
        static const char *const names[] = {
                [HOLD_BLOCK] = "block",       [HOLD_DELAY] = "delay",      [HOLD_TIMED] = "timed",
                [HOLD_POSTPONE] = "postpone", [HOLD_LOGIND] = "inhibitor",
        };

        return names[kind];
}

gboolean hold_kind_has_end(HoldKind kind) {
        return kind == HOLD_TIMED || kind == HOLD_POSTPONE;
}

void hold_free(Hold *hold) {
        if (!hold)
                return;
        g_free(hold->who);
        g_free(hold->why);
        g_free(hold);
}

static void entry_free(void *data) {
        Entry *entry = data;

        sd_event_source_disable_unref(entry->watch);
        safe_close(entry->fd);
        hold_record_free(entry->record);
        g_free(entry);
}

static int compare_cookies(const void *a, const void *b, void *userdata) {
        guint one = GPOINTER_TO_UINT(a), other = GPOINTER_TO_UINT(b);

        return one < other ? -1 : one > other;
}

static Entry *find_entry(const Holds *holds, uint32_t cookie) {
        return g_tree_lookup(holds->entries, GUINT_TO_POINTER(cookie));
}

static void notify(Holds *holds) {
        if (holds->changed)
                holds->changed(holds->userdata);
}

static void write_history(Holds *holds, const Hold *hold, const char *change) {
        g_autoptr(JsonObject) row = NULL;

        if (!holds->store)
                return;
        row = json_object_new();
        json_object_set_string_member(row, "change", change);
        json_object_set_int_member(row, "cookie", hold->cookie);
        json_object_set_string_member(row, "hold", hold_kind_name(hold->kind));
        json_object_set_string_member(row, "who", hold->who);
        json_object_set_string_member(row, "why", hold->why);
        if (hold->until > 0)
                json_object_set_int_member(row, "until", (gint64) hold->until);
        if (store_append(holds->store, clock_realtime(), HISTORY_HOLD, row, NULL, NULL) < 0)
                log_debug("History has no room for a hold that %s.", change);
}

static void on_forgotten(const GError *error, void *userdata) {
        Forgetting *forgetting = userdata;
        Holds *holds = forgetting->holds;

        /* Else the mark on disk stays for the next start, which tries again. */
        if (!error)
                hold_record_remove(holds->directory, forgetting->cookie);
        g_hash_table_remove(holds->forgetting, forgetting);
}

/* Removes what is left of an ended hold, in memory excepted. */
static void forget(Holds *holds, HoldRecord *record) {
        Forgetting *forgetting;

        if (!record->key || !holds->store) {
                hold_record_remove(holds->directory, record->hold.cookie);
                return;
        }
        record->ended = TRUE;
        (void) hold_record_write(holds->directory, record);
        forgetting = g_new(Forgetting, 1);
        *forgetting = (Forgetting) { .holds = holds, .cookie = record->hold.cookie, .key = g_strdup(record->key) };
        g_hash_table_add(holds->forgetting, forgetting);
        if (store_put(holds->store, record->key, NULL, on_forgotten, forgetting) < 0)
                g_hash_table_remove(holds->forgetting, forgetting);
}

static void rearm(Holds *holds);

static void end(Holds *holds, Entry *entry, const char *change) {
        const Hold *hold = &entry->record->hold;

        log_info("Hold %" PRIu32 " of %s %s.", hold->cookie, hold->who, change);
        write_history(holds, hold, change);
        forget(holds, entry->record);
        g_ptr_array_set_size(holds->list, 0);
        (void) g_tree_remove(holds->entries, GUINT_TO_POINTER(hold->cookie));
}

static gboolean find_expired(void *key, void *value, void *userdata) {
        Entry *entry = value;
        GPtrArray *expired = userdata;
        uint64_t until = entry->record->hold.until_boottime;

        if (until > 0 && until <= clock_boottime())
                g_ptr_array_add(expired, entry);
        return FALSE;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Holds *holds = userdata;
        g_autoptr(GPtrArray) expired = g_ptr_array_new();

        g_tree_foreach(holds->entries, find_expired, expired);
        for (guint i = 0; i < expired->len; i++)
                end(holds, g_ptr_array_index(expired, i), "expired");
        rearm(holds);
        if (expired->len > 0)
                notify(holds);
        return 0;
}

static gboolean find_first_end(void *key, void *value, void *userdata) {
        const Entry *entry = value;
        uint64_t *first = userdata, until = entry->record->hold.until_boottime;

        if (until > 0 && until < *first)
                *first = until;
        return FALSE;
}

/* One timer for all: it stands at the end that comes first. */
static void rearm(Holds *holds) {
        uint64_t first = USEC_INFINITY;
        int r;

        g_tree_foreach(holds->entries, find_first_end, &first);
        r = sd_event_source_set_time(holds->timer, first);
        if (r >= 0)
                r = sd_event_source_set_enabled(holds->timer, first < USEC_INFINITY ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
        if (r < 0)
                log_warning("Cannot set the timer of holds: %s", g_strerror(-r));
}

static int on_closed(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Entry *entry = userdata;
        Holds *holds = entry->holds;

        end(holds, entry, "ended");
        notify(holds);
        return 0;
}

static Entry *add_entry(Holds *holds, HoldRecord *record, int fd) {
        Entry *entry = g_new0(Entry, 1);

        entry->holds = holds;
        entry->record = record;
        entry->fd = fd;
        g_tree_replace(holds->entries, GUINT_TO_POINTER(record->hold.cookie), entry);
        g_ptr_array_set_size(holds->list, 0);
        return entry;
}

/* Only the hang-up counts: a client that writes into its end must not wake us. */
static int watch_entry(Entry *entry) {
        return sd_event_add_io(entry->holds->event, &entry->watch, entry->fd, 0, on_closed, entry);
}

static void restore_open(Holds *holds, HoldRecord *record) {
        int r, fd = -1;

        r = strcmp(record->boot_id, holds->boot_id) == 0 ? hold_fifo_reopen(holds->directory, record->hold.cookie, &fd)
                                                         : 0;
        if (r == 0) {
                write_history(holds, &record->hold, "ended");
                hold_record_remove(holds->directory, record->hold.cookie);
                hold_record_free(record);
                return;
        }
        /* Held is the safe side where we cannot tell. */
        if (r >= 0)
                r = watch_entry(add_entry(holds, record, fd));
        else
                (void) add_entry(holds, record, fd);
        if (r < 0)
                log_warning("Hold %" PRIu32 " cannot be watched (%s) and stays until it is released.",
                            record->hold.cookie, g_strerror(-r));
}

/* The wall clock's time of its end, which boot time tells: for people, and for a daemon of after the next boot, which
 * has nothing else to go by. False: it is right. */
static gboolean set_end(HoldRecord *record) {
        uint64_t until = usec_sub(usec_add(clock_realtime(), record->hold.until_boottime), clock_boottime());

        if (MAX(until, record->hold.until) - MIN(until, record->hold.until) < WORTH_TELLING)
                return FALSE;
        record->hold.until = until;
        record->hold.since = usec_sub(until, record->duration);
        return TRUE;
}

/* After a reboot boot time began anew, and wall-clock time alone says how much is left; a clock that was set back in
 * between must not make it longer than it ever was. False: it is over. */
static gboolean move_to_this_boot(const Holds *holds, HoldRecord *record) {
        uint64_t left;

        if (strcmp(record->boot_id, holds->boot_id) != 0) {
                left = MIN(usec_sub(record->hold.until, clock_realtime()), record->duration);
                record->hold.until_boottime = usec_add(clock_boottime(), left);
                g_free(record->boot_id);
                record->boot_id = g_strdup(holds->boot_id);
        }
        (void) set_end(record);
        return record->hold.until_boottime > clock_boottime();
}

static void restore_timed(Holds *holds, HoldRecord *record) {
        if (!record->ended && move_to_this_boot(holds, record)) {
                (void) hold_record_write(holds->directory, record);
                (void) add_entry(holds, record, -1);
                return;
        }
        if (!record->ended)
                write_history(holds, &record->hold, "expired");
        forget(holds, record);
        hold_record_free(record);
}

static void restore_from_directory(Holds *holds) {
        g_autoptr(GPtrArray) records = hold_directory_read(holds->directory);

        for (guint i = 0; i < records->len; i++) {
                HoldRecord *record = g_ptr_array_index(records, i);

                if (hold_kind_has_end(record->hold.kind))
                        restore_timed(holds, record);
                else
                        restore_open(holds, record);
        }
        (void) g_ptr_array_set_free_func(records, NULL);
}

static gboolean has_key(void *key, void *value, void *userdata) {
        const Entry *entry = value;
        const char **wanted = userdata;

        if (entry->record->key && strcmp(entry->record->key, *wanted) == 0)
                *wanted = NULL;
        return !*wanted;
}

static gboolean is_known(Holds *holds, const char *key) {
        const char *wanted = key;

        g_tree_foreach(holds->entries, has_key, &wanted);
        return !wanted;
}

static void restore_from_store(Holds *holds, const char *key, JsonObject *object) {
        g_autoptr(GError) error = NULL;
        HoldRecord *record = hold_record_from_json(object, &error);
        uint32_t cookie;
        int r = 0;

        if (!record || !hold_kind_has_end(record->hold.kind)) {
                log_warning("The record %s in the database is no hold: %s", key, error ? error->message : "no end");
                hold_record_free(record);
                (void) store_put(holds->store, key, NULL, NULL, NULL);
                return;
        }
        g_free(record->key);
        record->key = g_strdup(key);
        /* Cookies are those of a boot: it keeps its own only where nobody else has it by now. */
        if (find_entry(holds, record->hold.cookie) || strcmp(record->boot_id, holds->boot_id) != 0) {
                r = hold_directory_take_cookie(holds->directory, &cookie);
                if (r >= 0)
                        record->hold.cookie = cookie;
        }
        if (r < 0) {
                log_warning("The hold %s of %s cannot be taken back: %s", key, record->hold.who, g_strerror(-r));
                hold_record_free(record);
                return;
        }
        restore_timed(holds, record);
}

/* Released between the question to the store and its answer. */
static gboolean is_being_forgotten(Holds *holds, const char *key) {
        GHashTableIter iter;
        gpointer forgetting;

        g_hash_table_iter_init(&iter, holds->forgetting);
        while (g_hash_table_iter_next(&iter, &forgetting, NULL))
                if (strcmp(((Forgetting *) forgetting)->key, key) == 0)
                        return TRUE;
        return FALSE;
}

static void on_records(GHashTable *records, const GError *error, void *userdata) {
        Holds *holds = userdata;
        GHashTableIter iter;
        gpointer key, value;

        if (error)
                log_warning("Timed holds of before the boot cannot be read: %s", error->message);
        if (records) {
                g_hash_table_iter_init(&iter, records);
                while (g_hash_table_iter_next(&iter, &key, &value))
                        if (!is_known(holds, key) && !is_being_forgotten(holds, key))
                                restore_from_store(holds, key, value);
        }
        holds->restored = TRUE;
        rearm(holds);
        notify(holds);
}

static int holds_start(Holds *holds, const char *directory) {
        sd_id128_t boot;
        int r;

        r = sd_id128_get_boot(&boot);
        if (r < 0)
                return r;
        (void) sd_id128_to_string(boot, holds->boot_id);
        holds->directory = hold_directory_open(directory);
        if (holds->directory < 0)
                return holds->directory;
        r = sd_event_add_time(holds->event, &holds->timer, CLOCK_BOOTTIME, USEC_INFINITY, 0, on_timer, holds);
        if (r < 0)
                return r;

        restore_from_directory(holds);
        rearm(holds);
        if (!holds->store || store_get(holds->store, STORE_HOLD_PREFIX, on_records, holds) < 0)
                holds->restored = TRUE;
        return 0;
}

int holds_new(const HoldsParameters *parameters, Holds **ret) {
        Holds *holds = g_new0(Holds, 1);
        int r;

        holds->event = sd_event_ref(parameters->event);
        holds->store = parameters->store;
        holds->changed = parameters->changed;
        holds->userdata = parameters->userdata;
        holds->directory = -1;
        holds->entries = g_tree_new_full(compare_cookies, NULL, NULL, entry_free);
        holds->inhibitors = g_ptr_array_new_with_free_func((GDestroyNotify) hold_free);
        holds->list = g_ptr_array_new();
        holds->forgetting = g_hash_table_new_full(NULL, NULL, forgetting_free, NULL);

        r = holds_start(holds, parameters->directory);
        if (r < 0) {
                holds_free(holds);
                return r;
        }
        *ret = holds;
        return 0;
}

Holds *holds_free(Holds *holds) {
        if (!holds)
                return NULL;
        g_tree_unref(holds->entries);
        g_ptr_array_unref(holds->inhibitors);
        g_ptr_array_unref(holds->list);
        g_hash_table_unref(holds->forgetting);
        sd_event_source_disable_unref(holds->timer);
        safe_close(holds->directory);
        sd_event_unref(holds->event);
        g_free(holds);
        return NULL;
}

gboolean holds_restored(const Holds *holds) {
        return holds->restored;
}

typedef struct Count {
        uid_t uid;
        unsigned own;
} Count;

static gboolean count_own(void *key, void *value, void *userdata) {
        const Entry *entry = value;
        Count *count = userdata;

        count->own += entry->record->hold.uid == count->uid;
        return FALSE;
}

static int check(const Holds *holds, uid_t uid, const char *who, const char *why) {
        Count count = { .uid = uid };

        if (!*who || strlen(who) > HOLD_WHO_MAX || strlen(why) > HOLD_WHY_MAX)
                return -EINVAL;
        g_tree_foreach(holds->entries, count_own, &count);
        if (count.own >= HOLDS_PER_USER_MAX || g_tree_nnodes(holds->entries) >= (gint) HOLDS_MAX)
                return -EDQUOT;
        return 0;
}

static int new_record(Holds *holds, HoldKind kind, uid_t uid, const char *who, const char *why, HoldRecord **ret) {
        g_autoptr(HoldRecord) record = NULL;
        int r;

        r = check(holds, uid, who, why);
        if (r < 0)
                return r;
        record = hold_record_new(kind, uid, who, why);
        r = hold_directory_take_cookie(holds->directory, &record->hold.cookie);
        if (r < 0)
                return r;
        record->hold.since = clock_realtime();
        record->boot_id = g_strdup(holds->boot_id);
        *ret = g_steal_pointer(&record);
        return 0;
}

static void begun(Holds *holds, const Hold *hold) {
        log_info("Hold %" PRIu32 " of %s begins (%s): %s", hold->cookie, hold->who, hold_kind_name(hold->kind),
                 hold->why);
        write_history(holds, hold, "begun");
        notify(holds);
}

int holds_add(Holds *holds, HoldKind kind, uid_t uid, const char *who, const char *why, int *ret_fd,
              uint32_t *ret_cookie) {
        g_autoptr(HoldRecord) record = NULL;
        _cleanup_close_ int reader = -1, writer = -1;
        uint32_t cookie;
        Entry *entry;
        int r;

        r = new_record(holds, kind, uid, who, why, &record);
        if (r < 0)
                return r;
        cookie = record->hold.cookie;
        r = hold_fifo_create(holds->directory, cookie, &reader, &writer);
        if (r >= 0)
                r = hold_record_write(holds->directory, record);
        if (r < 0) {
                hold_record_remove(holds->directory, cookie);
                return r;
        }
        entry = add_entry(holds, g_steal_pointer(&record), steal_fd(&reader));
        r = watch_entry(entry);
        if (r < 0) {
                hold_record_remove(holds->directory, cookie);
                (void) g_tree_remove(holds->entries, GUINT_TO_POINTER(cookie));
                return r;
        }
        if (ret_cookie)
                *ret_cookie = cookie;
        *ret_fd = steal_fd(&writer);
        begun(holds, &entry->record->hold);
        return 0;
}

static void make_durable(Holds *holds, const HoldRecord *record, StoreDone done, void *userdata) {
        g_autoptr(JsonObject) object = NULL;
        g_autoptr(GError) error = NULL;

        if (!record->key) {
                if (done)
                        done(NULL, userdata);
                return;
        }
        object = hold_record_to_json(record);
        if (store_put(holds->store, record->key, object, done, userdata) >= 0)
                return;
        error = g_error_new_literal(G_FILE_ERROR, G_FILE_ERROR_AGAIN, "the database has too much to write");
        if (done)
                done(error, userdata);
}

int holds_add_timed(Holds *holds, HoldKind kind, uid_t uid, const char *who, const char *why, uint64_t duration,
                    StoreDone done, void *userdata, uint32_t *ret_cookie) {
        g_autoptr(HoldRecord) record = NULL;
        Entry *entry;
        int r;

        if (duration == 0 || duration > INT64_MAX / 4)
                return -EINVAL;
        r = new_record(holds, kind, uid, who, why, &record);
        if (r < 0)
                return r;
        record->duration = duration;
        record->hold.until = usec_add(record->hold.since, duration);
        record->hold.until_boottime = usec_add(clock_boottime(), duration);
        if (holds->store)
                record->key = g_strdup_printf(STORE_HOLD_PREFIX "%s/%" PRIu32, holds->boot_id, record->hold.cookie);
        r = hold_record_write(holds->directory, record);
        if (r < 0)
                return r;
        entry = add_entry(holds, g_steal_pointer(&record), -1);
        rearm(holds);
        if (ret_cookie)
                *ret_cookie = entry->record->hold.cookie;
        make_durable(holds, entry->record, done, userdata);
        begun(holds, &entry->record->hold);
        return 0;
}

typedef struct Adjustment {
        Holds *holds;
        int64_t by;
} Adjustment;

static gboolean adjust(void *key, void *value, void *userdata) {
        HoldRecord *record = ((Entry *) value)->record;
        const Adjustment *adjustment = userdata;
        Holds *holds = adjustment->holds;
        gboolean changed = TRUE;

        if (hold_kind_has_end(record->hold.kind))
                changed = set_end(record);
        else
                record->hold.since = adjustment->by < 0
                                             ? usec_sub(record->hold.since, (uint64_t) -adjustment->by)
                                             : usec_add(record->hold.since, (uint64_t) adjustment->by);
        if (changed) {
                (void) hold_record_write(holds->directory, record);
                make_durable(holds, record, NULL, NULL);
        }
        return FALSE;
}

void holds_clock_was_set(Holds *holds, int64_t by) {
        Adjustment adjustment = { .holds = holds, .by = by };

        g_tree_foreach(holds->entries, adjust, &adjustment);
}

const Hold *holds_find(const Holds *holds, uint32_t cookie) {
        const Entry *entry = find_entry(holds, cookie);

        return entry ? &entry->record->hold : NULL;
}

int holds_release(Holds *holds, uint32_t cookie) {
        Entry *entry = find_entry(holds, cookie);

        if (!entry)
                return -ENOENT;
        end(holds, entry, "released");
        rearm(holds);
        notify(holds);
        return 0;
}

void holds_set_inhibitors(Holds *holds, GPtrArray *inhibitors) {
        g_ptr_array_set_size(holds->list, 0);
        g_ptr_array_unref(holds->inhibitors);
        holds->inhibitors = inhibitors;
        notify(holds);
}

static gboolean append_hold(void *key, void *value, void *userdata) {
        Entry *entry = value;

        g_ptr_array_add(userdata, &entry->record->hold);
        return FALSE;
}

GPtrArray *holds_list(Holds *holds) {
        g_ptr_array_set_size(holds->list, 0);
        g_tree_foreach(holds->entries, append_hold, holds->list);
        for (guint i = 0; i < holds->inhibitors->len; i++)
                g_ptr_array_add(holds->list, g_ptr_array_index(holds->inhibitors, i));
        return holds->list;
}

typedef struct Summary {
        const Hold *block; /* the first */
        const Hold *timed; /* with the latest end */
        unsigned delays;
} Summary;

static gboolean summarize_entry(void *key, void *value, void *userdata) {
        const Hold *hold = &((Entry *) value)->record->hold;
        Summary *summary = userdata;

        if (hold->kind == HOLD_BLOCK && !summary->block)
                summary->block = hold;
        if (hold_kind_has_end(hold->kind) &&
            (!summary->timed || hold->until_boottime > summary->timed->until_boottime))
                summary->timed = hold;
        summary->delays += hold->kind == HOLD_DELAY;
        return FALSE;
}

static Summary summarize(const Holds *holds) {
        Summary summary = {};

        g_tree_foreach(holds->entries, summarize_entry, &summary);
        if (!summary.block && holds->inhibitors->len > 0)
                summary.block = g_ptr_array_index(holds->inhibitors, 0);
        return summary;
}

const Hold *holds_block(const Holds *holds) {
        return summarize(holds).block;
}

const Hold *holds_timed(const Holds *holds) {
        return summarize(holds).timed;
}

unsigned holds_delays(const Holds *holds) {
        return summarize(holds).delays;
}
