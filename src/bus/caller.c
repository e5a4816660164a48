/* SPDX-License-Identifier: Apache-2.0 */

#include "bus/caller.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>

#include <glib.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "bus/arguments.h"
#include "bus/kept-call.h"

#define LOOKUP_TIMEOUT_USEC (10 * UINT64_C(1000000))
#define LOOKUPS_MAX 128U

typedef struct Lookup {
        Callers *callers;
        char *sender;
        sd_bus_message *call;
        size_t bulk;
        sd_bus_slot *slot;
} Lookup;

struct Callers {
        sd_bus *bus;
        GHashTable *uids;    /* unique name → uid + 1 */
        GQueue order;        /* the table's keys, oldest first; borrowed */
        GHashTable *lookups; /* set of Lookup, owned */
        size_t bulk;         /* of the calls in it */
};

static void lookup_free(void *data) {
        Lookup *lookup = data;

        lookup->callers->bulk -= lookup->bulk;
        sd_bus_slot_unref(lookup->slot);
        sd_bus_message_unref(lookup->call);
        g_free(lookup->sender);
        g_free(lookup);
}

int callers_new(sd_bus *bus, Callers **ret) {
        Callers *callers = g_new0(Callers, 1);

        callers->bus = sd_bus_ref(bus);
        callers->uids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        callers->lookups = g_hash_table_new_full(NULL, NULL, lookup_free, NULL);
        g_queue_init(&callers->order);
        *ret = callers;
        return 0;
}

Callers *callers_free(Callers *callers) {
        if (!callers)
                return NULL;
        g_hash_table_unref(callers->lookups);
        g_queue_clear(&callers->order);
        g_hash_table_unref(callers->uids);
        sd_bus_unref(callers->bus);
        g_free(callers);
        return NULL;
}

static void remember(Callers *callers, const char *sender, uid_t uid) {
        char *key;

        if (g_hash_table_contains(callers->uids, sender))
                return;
        if (g_queue_get_length(&callers->order) >= CALLERS_MAX)
                g_hash_table_remove(callers->uids, g_queue_pop_head(&callers->order));
        key = g_strdup(sender);
        g_hash_table_insert(callers->uids, key, GSIZE_TO_POINTER((gsize) uid + 1));
        g_queue_push_tail(&callers->order, key);
}

static int lookup_done(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Lookup *lookup = userdata;
        Callers *callers = lookup->callers;
        uint32_t uid;
        int r;

        r = sd_bus_message_is_method_error(reply, NULL) ? -EIO : sd_bus_message_read(reply, "u", &uid);
        if (r > 0) {
                remember(callers, lookup->sender, uid);
                r = sd_bus_message_rewind(lookup->call, 1);
                if (r >= 0)
                        r = sd_bus_enqueue_for_read(callers->bus, lookup->call);
        }
        if (r < 0)
                sd_bus_reply_method_errorf(lookup->call, ERROR_ACCESS_DENIED,
                                           "The bus does not say which user %s is.", lookup->sender);
        g_hash_table_remove(callers->lookups, lookup);
        return 0;
}

unsigned callers_pending(const Callers *callers) {
        return g_hash_table_size(callers->lookups);
}

gboolean caller_known(const Callers *callers, const char *sender, uid_t *ret_uid) {
        void *value = g_hash_table_lookup(callers->uids, sender);

        if (value)
                *ret_uid = (uid_t) (GPOINTER_TO_SIZE(value) - 1);
        return value != NULL;
}

int caller_uid(Callers *callers, sd_bus_message *message, uid_t *ret_uid, sd_bus_error *error) {
        const char *sender = sd_bus_message_get_sender(message);
        Lookup *lookup;
        size_t bulk;
        int r;

        if (!sender)
                return sd_bus_error_set(error, ERROR_ACCESS_DENIED, "A call without a sender has no user.");
        if (caller_known(callers, sender, ret_uid))
                return 1;
        if (g_hash_table_size(callers->lookups) >= LOOKUPS_MAX)
                return sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED,
                                         "More than %u callers are being looked up; try again.", LOOKUPS_MAX);
        bulk = call_bulk(message);
        if (bulk > 0 && callers->bulk + bulk > CALLS_BULK_MAX)
                return sd_bus_error_set(error, ERROR_LIMITS_EXCEEDED,
                                        "The callers of many large calls are being looked up; try again.");

        lookup = g_new0(Lookup, 1);
        lookup->callers = callers;
        lookup->sender = g_strdup(sender);
        lookup->bulk = bulk;
        callers->bulk += bulk;
        g_hash_table_add(callers->lookups, lookup);

        _cleanup_bus_message_ sd_bus_message *question = NULL;
        r = call_keep(message, &lookup->call);
        if (r >= 0)
                r = sd_bus_message_new_method_call(callers->bus, &question, "org.freedesktop.DBus",
                                                   "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                                   "GetConnectionUnixUser");
        if (r >= 0)
                r = sd_bus_message_append(question, "s", sender);
        if (r >= 0)
                r = sd_bus_call_async(callers->bus, &lookup->slot, question, lookup_done, lookup, LOOKUP_TIMEOUT_USEC);
        if (r < 0) {
                g_hash_table_remove(callers->lookups, lookup);
                return sd_bus_error_set_errno(error, r);
        }
        return 0;
}

char *user_name(uid_t uid) {
        _cleanup_(fclosep) FILE *file = fopen("/etc/passwd", "re");
        struct passwd *entry;

        /* Its own buffer has room for a line of any length; the loop is the only thread that asks. */
        while (file && (entry = fgetpwent(file)))
                if (entry->pw_uid == uid)
                        return g_strdup(entry->pw_name);
        return g_strdup_printf("uid %u", (unsigned) uid);
}
