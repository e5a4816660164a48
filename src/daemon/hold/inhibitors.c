/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/hold/inhibitors.h"

#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/journal.h"
#include "base/names.h"
#include "bus/caller.h"
#include "bus/tracked-name.h"
#include "util/line.h"

#define LOGIND_NAME "org.freedesktop.login1"
#define LOGIND_PATH "/org/freedesktop/login1"
#define LOGIND_INTERFACE LOGIND_NAME ".Manager"

#define ANSWER_TIMEOUT (5 * USEC_PER_SEC)
#define INHIBITORS_MAX 256U

struct Inhibitors {
        sd_bus *bus;
        Holds *holds;
        TrackedName *logind;
        gboolean seen;
        sd_bus_slot *properties_slot;
        GHashTable *questions; /* Question */
};

typedef struct Question {
        Inhibitors *inhibitors;
        sd_bus_slot *slot;
        void (*done)(void *userdata);
        void *userdata;
} Question;

static void question_free(void *data) {
        Question *question = data;

        sd_bus_slot_unref(question->slot);
        g_free(question);
}

/* handle-power-key and its kin keep logind from acting on keys; they say nothing about what runs. */
static gboolean keeps_on(const char *what, const char *mode) {
        g_auto(GStrv) subjects = g_strsplit(what, ":", -1);

        if (!g_str_has_prefix(mode, "block"))
                return FALSE;
        return g_strv_contains((const char *const *) subjects, "shutdown") ||
               g_strv_contains((const char *const *) subjects, "sleep") ||
               g_strv_contains((const char *const *) subjects, "idle");
}

/* What others wrote is shown to people: on one line, and no longer than our own holds may be. */
static char *make_presentable(const char *text, gsize maximum) {
        g_autofree char *line = g_utf8_make_valid(text, -1);
        gsize length;

        line_clean(line);
        length = strlen(line);
        while (length > maximum)
                length = (gsize) (g_utf8_find_prev_char(line, line + length) - line);
        line[length] = '\0';
        return g_steal_pointer(&line);
}

static Hold *new_inhibitor(const char *user, const char *who, const char *why, uid_t uid) {
        g_autofree char *full = g_strdup_printf("%s: %s", user, who);
        Hold *hold = g_new0(Hold, 1);

        hold->kind = HOLD_LOGIND;
        hold->uid = uid;
        hold->who = make_presentable(full, HOLD_WHO_MAX);
        hold->why = make_presentable(why, HOLD_WHY_MAX);
        return hold;
}

/* A stop of ours takes locks of its own while it is under way. */
static gboolean is_ours(const char *user, uint32_t pid) {
        return pid == (uint32_t) getpid() || g_str_has_prefix(user, PLUGIN_USER_PREFIX);
}

static int read_list(sd_bus_message *reply, GPtrArray *list) {
        const char *what, *who, *why, *mode;
        uint32_t uid, pid;
        int r;

        r = sd_bus_message_enter_container(reply, 'a', "(ssssuu)");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_read(reply, "(ssssuu)", &what, &who, &why, &mode, &uid, &pid)) > 0) {
                g_autofree char *user = NULL;

                if (list->len >= INHIBITORS_MAX || !keeps_on(what, mode))
                        continue;
                user = user_name((uid_t) uid);
                if (!is_ours(user, pid))
                        g_ptr_array_add(list, new_inhibitor(user, who, why, (uid_t) uid));
        }
        return r;
}

static gboolean same_list(GPtrArray *now, GPtrArray *list) {
        guint first = 0;

        while (first < now->len && ((Hold *) g_ptr_array_index(now, first))->kind != HOLD_LOGIND)
                first++;
        if (now->len - first != list->len)
                return FALSE;
        for (guint i = 0; i < list->len; i++) {
                const Hold *one = g_ptr_array_index(now, first + i), *other = g_ptr_array_index(list, i);

                if (one->uid != other->uid || strcmp(one->who, other->who) != 0 || strcmp(one->why, other->why) != 0)
                        return FALSE;
        }
        return TRUE;
}

/* logind does not say since when; it is when we saw it first, which is lost where the list changed around it. */
static void take_in(Inhibitors *inhibitors, GPtrArray *list) {
        uint64_t now = clock_realtime();

        if (same_list(holds_list(inhibitors->holds), list)) {
                g_ptr_array_unref(list);
                return;
        }
        for (guint i = 0; i < list->len; i++)
                ((Hold *) g_ptr_array_index(list, i))->since = now;
        holds_set_inhibitors(inhibitors->holds, list);
}

static void take_reply(Inhibitors *inhibitors, sd_bus_message *reply) {
        g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify) hold_free);
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        int r = 0;

        /* Without logind there are no inhibitors. Where it only failed to answer, those of before still count. */
        if (error && !sd_bus_error_has_name(error, SD_BUS_ERROR_SERVICE_UNKNOWN) &&
            !sd_bus_error_has_name(error, SD_BUS_ERROR_NAME_HAS_NO_OWNER)) {
                log_warning("logind does not list its inhibitors: %s", error->message ?: error->name);
                return;
        }
        if (!error)
                r = read_list(reply, list);
        if (r < 0) {
                log_warning("logind's list of inhibitors cannot be read: %s", g_strerror(-r));
                return;
        }
        take_in(inhibitors, g_steal_pointer(&list));
}

static int on_list(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Question *question = userdata;
        void (*done)(void *userdata) = question->done;
        void *done_userdata = question->userdata;

        take_reply(question->inhibitors, reply);
        g_hash_table_remove(question->inhibitors->questions, question);
        if (done)
                done(done_userdata);
        return 0;
}

int inhibitors_refresh(Inhibitors *inhibitors, void (*done)(void *userdata), void *userdata) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        Question *question;
        int r;

        r = sd_bus_message_new_method_call(inhibitors->bus, &call, LOGIND_NAME, LOGIND_PATH, LOGIND_INTERFACE,
                                           "ListInhibitors");
        /* One that was there comes back; one that never was may be a file whose activation takes half a minute to
         * fail. */
        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, inhibitors->seen);
        if (r < 0)
                return r;

        question = g_new0(Question, 1);
        *question = (Question) { .inhibitors = inhibitors, .done = done, .userdata = userdata };
        g_hash_table_add(inhibitors->questions, question);
        r = sd_bus_call_async(inhibitors->bus, &question->slot, call, on_list, question, ANSWER_TIMEOUT);
        if (r < 0) {
                g_hash_table_remove(inhibitors->questions, question);
                return r;
        }
        return 0;
}

static void refresh_now(Inhibitors *inhibitors) {
        int r = inhibitors_refresh(inhibitors, NULL, NULL);

        if (r < 0)
                log_warning("Cannot ask logind for its inhibitors: %s", g_strerror(-r));
}

/* What it held it takes back after a restart, so its leaving alone changes nothing here. */
static void on_logind(const char *owner, void *userdata) {
        Inhibitors *inhibitors = userdata;

        if (!*owner)
                return;
        inhibitors->seen = TRUE;
        refresh_now(inhibitors);
}

/* True if BlockInhibited (or, from systemd 257, BlockWeakInhibited) is among the changed or invalidated properties. */
static gboolean names_block_inhibited(sd_bus_message *message) {
        const char *name;

        if (sd_bus_message_skip(message, "s") < 0 || sd_bus_message_enter_container(message, 'a', "{sv}") < 0)
                return FALSE;
        while (sd_bus_message_enter_container(message, 'e', "sv") > 0) {
                if (sd_bus_message_read(message, "s", &name) < 0)
                        return FALSE;
                if (g_str_has_prefix(name, "Block"))
                        return TRUE;
                if (sd_bus_message_skip(message, "v") < 0 || sd_bus_message_exit_container(message) < 0)
                        return FALSE;
        }
        if (sd_bus_message_exit_container(message) < 0 || sd_bus_message_enter_container(message, 'a', "s") < 0)
                return FALSE;
        while (sd_bus_message_read(message, "s", &name) > 0)
                if (g_str_has_prefix(name, "Block"))
                        return TRUE;
        return FALSE;
}

static int on_properties_changed(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Inhibitors *inhibitors = userdata;

        if (tracked_name_sent(inhibitors->logind, message) && names_block_inhibited(message))
                refresh_now(inhibitors);
        return 0;
}

static int start(Inhibitors *inhibitors) {
        int r;

        r = sd_bus_match_signal_async(inhibitors->bus, &inhibitors->properties_slot, LOGIND_NAME, LOGIND_PATH,
                                      PROPERTIES_INTERFACE, "PropertiesChanged", on_properties_changed, NULL,
                                      inhibitors);
        if (r >= 0)
                r = tracked_name_new(inhibitors->bus, LOGIND_NAME, on_logind, inhibitors, &inhibitors->logind);
        return r;
}

int inhibitors_new(sd_bus *bus, Holds *holds, Inhibitors **ret) {
        Inhibitors *inhibitors = g_new0(Inhibitors, 1);
        int r;

        inhibitors->bus = sd_bus_ref(bus);
        inhibitors->holds = holds;
        inhibitors->questions = g_hash_table_new_full(NULL, NULL, question_free, NULL);
        r = start(inhibitors);
        if (r < 0) {
                inhibitors_free(inhibitors);
                return r;
        }
        *ret = inhibitors;
        return 0;
}

Inhibitors *inhibitors_free(Inhibitors *inhibitors) {
        if (!inhibitors)
                return NULL;
        g_hash_table_unref(inhibitors->questions);
        tracked_name_free(inhibitors->logind);
        sd_bus_slot_unref(inhibitors->properties_slot);
        sd_bus_unref(inhibitors->bus);
        g_free(inhibitors);
        return NULL;
}
