/* SPDX-License-Identifier: Apache-2.0 */

#include "bus/authorize.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <glib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/journal.h"
#include "base/names.h"
#include "bus/actions.h"
#include "bus/arguments.h"
#include "bus/kept-call.h"
#include "bus/owner.h"
#include "bus/request.h"

#define POLKIT_NAME "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE POLKIT_NAME ".Authority"
#define POLKIT_ALLOW_USER_INTERACTION UINT32_C(1)

/* A person may have to find and type a password; else polkit answers in milliseconds, and its own activation may take
 * the bus 25 s to give up on. */
#define TIMEOUT_INTERACTIVE (5 * USEC_PER_MINUTE)
#define TIMEOUT_ELSE (30 * USEC_PER_SEC)

#define UID_UNKNOWN ((uid_t) -1)

typedef enum Verdict {
        VERDICT_PENDING,
        VERDICT_YES,
        VERDICT_NO,
        VERDICT_CHALLENGE,   /* a person could authenticate, but the call does not allow to ask one */
        VERDICT_UNAVAILABLE, /* polkit is not there */
        VERDICT_SILENT,      /* it did not answer in time */
        VERDICT_RUBBISH,     /* its answer was none */
} Verdict;

/* One parked call.
 *
 *      authorize() ── CheckAuthorization ──► polkit
 *           │ 0: parked                        │ verdict, time-out
 *           ▼                                  ▼
 *      (the loop goes on)            rewind, enqueue_for_read
 *                                              │
 *      the handler runs again ◄────────────────┘
 *      authorize() finds the question by its message, takes the verdict, and forgets it
 *
 * A handler that ends before it gets to authorize() again leaves its question behind; `sweep` forgets those when the
 * loop has nothing better to do, which is after every message in the queue was handled. */
typedef struct Question {
        Authorizer *authorizer;
        sd_bus_message *message;
        char *sender;
        uid_t uid; /* UID_UNKNOWN */
        char *action;
        GStrv details;
        size_t bulk;
        gboolean interactive, too_large; /* for interaction, which it allows */
        char *cancellation_id;
        Verdict verdict;
        sd_bus_slot *call;
        sd_bus_slot *watch;
} Question;

struct Authorizer {
        sd_bus *bus;
        const Callers *callers;
        GHashTable *questions; /* sd_bus_message → Question */
        sd_event_source *sweep;
        uint64_t asked; /* for cancellation ids */
};

static void question_free(void *data) {
        Question *question = data;

        sd_bus_slot_unref(question->call);
        sd_bus_slot_unref(question->watch);
        sd_bus_message_unref(question->message);
        g_free(question->sender);
        g_free(question->action);
        g_strfreev(question->details);
        g_free(question->cancellation_id);
        g_free(question);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Question, question_free)

static int on_sweep(sd_event_source *source, void *userdata) {
        Authorizer *authorizer = userdata;
        GHashTableIter iter;
        gpointer question;

        g_hash_table_iter_init(&iter, authorizer->questions);
        while (g_hash_table_iter_next(&iter, NULL, &question))
                if (((Question *) question)->verdict != VERDICT_PENDING)
                        g_hash_table_iter_remove(&iter);
        return 0;
}

int authorizer_new(sd_bus *bus, const Callers *callers, Authorizer **ret) {
        _cleanup_event_source_ sd_event_source *sweep = NULL;
        Authorizer *authorizer;
        int r;

        if (!sd_bus_get_event(bus))
                return -EUNATCH;
        r = sd_event_add_defer(sd_bus_get_event(bus), &sweep, on_sweep, NULL);
        if (r >= 0)
                r = sd_event_source_set_enabled(sweep, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_priority(sweep, SD_EVENT_PRIORITY_IDLE);
        if (r < 0)
                return r;

        authorizer = g_new0(Authorizer, 1);
        (void) sd_event_source_set_userdata(sweep, authorizer);
        authorizer->bus = sd_bus_ref(bus);
        authorizer->callers = callers;
        authorizer->questions = g_hash_table_new_full(NULL, NULL, NULL, question_free);
        authorizer->sweep = steal(sweep);
        *ret = authorizer;
        return 0;
}

/* polkit takes an agent's dialogue off the screen; whether it heard that makes no difference to us. */
static void question_cancel(const Question *question) {
        if (question->verdict == VERDICT_PENDING)
                (void) sd_bus_call_method_async(question->authorizer->bus, NULL, POLKIT_NAME, POLKIT_PATH,
                                                POLKIT_INTERFACE, "CancelCheckAuthorization", NULL, NULL, "s",
                                                question->cancellation_id);
}

Authorizer *authorizer_free(Authorizer *authorizer) {
        GHashTableIter iter;
        gpointer question;

        if (!authorizer)
                return NULL;
        g_hash_table_iter_init(&iter, authorizer->questions);
        while (g_hash_table_iter_next(&iter, NULL, &question))
                question_cancel(question);
        sd_event_source_disable_unref(authorizer->sweep);
        g_hash_table_unref(authorizer->questions);
        sd_bus_unref(authorizer->bus);
        g_free(authorizer);
        return NULL;
}

bool authorizer_knows(const Authorizer *authorizer, sd_bus_message *message) {
        return g_hash_table_contains(authorizer->questions, message);
}

unsigned authorizer_pending(const Authorizer *authorizer) {
        GHashTableIter iter;
        gpointer question;
        unsigned n = 0;

        g_hash_table_iter_init(&iter, authorizer->questions);
        while (g_hash_table_iter_next(&iter, NULL, &question))
                n += ((Question *) question)->verdict == VERDICT_PENDING;
        return n;
}

/* A caller who left needs no answer, and must not leave a dialogue behind. */
static void on_sender_gone(const char *sender, void *userdata) {
        Question *question = userdata;

        question_cancel(question);
        g_hash_table_remove(question->authorizer->questions, question->message);
}

/* Every error of the bus that means: nobody serves polkit's name, or what serves it does not get up. */
static gboolean polkit_is_missing(const sd_bus_error *error) {
        static const char *const names[] = {
                SD_BUS_ERROR_SERVICE_UNKNOWN,
                SD_BUS_ERROR_NAME_HAS_NO_OWNER,
                "org.freedesktop.DBus.Error.Spawn.ExecFailed",
                "org.freedesktop.DBus.Error.Spawn.ChildExited",
                "org.freedesktop.DBus.Error.Spawn.ChildSignaled",
                "org.freedesktop.DBus.Error.Spawn.ServiceNotFound",
                "org.freedesktop.DBus.Error.Spawn.FileInvalid",
                SYSTEMD_NAME ".NoSuchUnit",
                SYSTEMD_NAME ".UnitMasked",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                if (sd_bus_error_has_name(error, names[i]))
                        return TRUE;
        return FALSE;
}

static Verdict verdict_of_error(sd_bus_message *reply) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);

        if (polkit_is_missing(error))
                return VERDICT_UNAVAILABLE;
        /* The second is the bus's word for one that left without an answer. */
        if (sd_bus_error_has_name(error, SD_BUS_ERROR_TIMEOUT) || sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY))
                return VERDICT_SILENT;
        log_warning("polkit answered with an error: %s: %s", error->name, error->message ?: "");
        return VERDICT_RUBBISH;
}

static Verdict verdict_of_reply(sd_bus_message *reply) {
        int authorized, challenge;

        if (sd_bus_message_is_method_error(reply, NULL))
                return verdict_of_error(reply);
        if (!sd_bus_message_has_signature(reply, "(bba{ss})") ||
            sd_bus_message_enter_container(reply, 'r', "bba{ss}") < 0 ||
            sd_bus_message_read(reply, "bb", &authorized, &challenge) < 0)
                return VERDICT_RUBBISH;
        if (authorized)
                return VERDICT_YES;
        return challenge ? VERDICT_CHALLENGE : VERDICT_NO;
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Question *question = userdata;
        Authorizer *authorizer = question->authorizer;
        Verdict verdict = verdict_of_reply(reply);
        int r;

        /* Where we stopped waiting, polkit must not go on asking the person. */
        if (verdict == VERDICT_SILENT)
                question_cancel(question);
        question->verdict = verdict;
        question->watch = sd_bus_slot_unref(question->watch);

        r = sd_bus_message_rewind(question->message, 1);
        if (r >= 0)
                r = sd_bus_enqueue_for_read(authorizer->bus, question->message);
        if (r >= 0)
                r = sd_event_source_set_enabled(authorizer->sweep, SD_EVENT_ONESHOT);
        if (r < 0) {
                log_warning("Cannot take up a parked call of %s again: %s", question->sender, g_strerror(-r));
                (void) sd_bus_reply_method_errorf(question->message, ERROR_LIMITS_EXCEEDED,
                                                  "Too much is queued; try again.");
                g_hash_table_remove(authorizer->questions, question->message);
        }
        return 0;
}

static int append_question(sd_bus_message *call, const Question *question) {
        g_autofree char *request = NULL;
        int r;

        r = sd_bus_message_append(call, "(sa{sv})s", "system-bus-name", 1, "name", "s", question->sender,
                                  question->action);
        request = request_text(sd_bus_message_get_member(question->message), (const char *const *) question->details);
        if (r >= 0)
                r = sd_bus_message_open_container(call, 'a', "{ss}");
        if (r >= 0)
                r = sd_bus_message_append(call, "{ss}", DETAIL_REQUEST, request);
        for (char **p = question->details; r >= 0 && *p; p += 2) {
                g_autofree char *value = request_detail(p[1]);

                r = sd_bus_message_append(call, "{ss}", p[0], value);
        }
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        if (r >= 0)
                r = sd_bus_message_append(call, "us", question->interactive ? POLKIT_ALLOW_USER_INTERACTION : 0,
                                          question->cancellation_id);
        return r;
}

static int question_ask(Question *question) {
        sd_bus *bus = question->authorizer->bus;
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        int r;

        r = sd_bus_message_new_method_call(bus, &call, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                                           "CheckAuthorization");
        if (r >= 0)
                r = append_question(call, question);
        if (r >= 0)
                r = sender_watch(bus, question->sender, on_sender_gone, question, &question->watch);
        if (r >= 0)
                r = sd_bus_call_async(bus, &question->call, call, on_reply, question,
                                      question->interactive ? TIMEOUT_INTERACTIVE : TIMEOUT_ELSE);
        return r;
}

static GStrv copy_details(const char *const *details) {
        static const char *const none[] = { NULL };

        return g_strdupv((GStrv) (details ?: none));
}

static int check_ceilings(Authorizer *authorizer, const char *sender, uid_t uid, const char *action, size_t bulk,
                          sd_bus_error *error) {
        size_t all = bulk;
        unsigned own = 0, user = 0, most = AUTHORIZE_PENDING_MAX;
        GHashTableIter iter;
        gpointer value;

        g_hash_table_iter_init(&iter, authorizer->questions);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                const Question *question = value;

                own += strcmp(question->sender, sender) == 0;
                user += question->uid == uid;
                all += question->bulk;
        }
        if (strcmp(action, ACTION_HOLD) != 0)
                most -= AUTHORIZE_PENDING_KEPT_FOR_HOLDS;
        if (own >= AUTHORIZE_PENDING_PER_SENDER_MAX || user >= AUTHORIZE_PENDING_PER_USER_MAX)
                return sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED,
                                         "%u of your calls wait for authorization already; try again later.", user);
        if (g_hash_table_size(authorizer->questions) >= most)
                return sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED,
                                         "%u calls wait for authorization already; try again later.", most);
        if (bulk > 0 && all > CALLS_BULK_MAX)
                return sd_bus_error_set(error, ERROR_LIMITS_EXCEEDED,
                                        "Many large calls wait for authorization already; try again later.");
        return 0;
}

static int park(Authorizer *authorizer, sd_bus_message *message, const char *sender, const char *action,
                const char *const *details, sd_bus_error *error) {
        g_autoptr(Question) question = NULL;
        size_t bulk = call_bulk(message);
        uid_t uid = UID_UNKNOWN;
        int r;

        if (authorizer->callers)
                (void) caller_known(authorizer->callers, sender, &uid);
        r = check_ceilings(authorizer, sender, uid, action, bulk, error);
        if (r < 0)
                return r;

        question = g_new0(Question, 1);
        question->authorizer = authorizer;
        question->sender = g_strdup(sender);
        question->uid = uid;
        question->action = g_strdup(action);
        question->details = copy_details(details);
        question->bulk = bulk;
        question->interactive = sd_bus_message_get_allow_interactive_authorization(message) > 0;
        question->too_large = question->interactive && bulk > AUTHORIZE_INTERACTIVE_BULK_MAX;
        question->interactive &= !question->too_large;
        question->cancellation_id = g_strdup_printf("cloudsnooze-%" PRIu64, ++authorizer->asked);
        r = call_keep(message, &question->message);
        if (r >= 0)
                r = question_ask(question);
        if (r < 0)
                return sd_bus_error_set_errnof(error, r, "Cannot ask polkit: %s", g_strerror(-r));
        g_hash_table_insert(authorizer->questions, question->message, question);
        question = NULL;
        return 0;
}

/* Every refusal ends with what to type instead: stock cloud users have no password that polkit could ask for. */
static int refuse(const Question *question, const char *name, const char *why, sd_bus_error *error) {
        sd_bus_message *message = question->message;
        g_autofree char *alternative =
                method_alternative(sd_bus_message_get_destination(message), sd_bus_message_get_path(message),
                                   sd_bus_message_get_interface(message), sd_bus_message_get_member(message));
        g_autofree char *action = g_strdup_printf("ACTION=%s", question->action);
        g_autofree char *sender = g_strdup_printf("SENDER=%s", question->sender);
        const char *const fields[] = { action, sender, NULL };

        journal_write(LOG_NOTICE, MESSAGE_REFUSED_CALLER, fields, "Refused %s to %s: %s.", question->action,
                      question->sender, why);
        return sd_bus_error_setf(error, name, "Not authorized (%s): %s; or: %s", question->action, why, alternative);
}

static int conclude(const Question *question, sd_bus_error *error) {
        switch (question->verdict) {
        case VERDICT_YES:
                return 1;
        case VERDICT_NO:
                return refuse(question, ERROR_ACCESS_DENIED, "polkit refuses it to this caller", error);
        case VERDICT_CHALLENGE:
                if (question->interactive)
                        return refuse(question, ERROR_ACCESS_DENIED,
                                      "authentication is required, and there was none", error);
                if (question->too_large)
                        return refuse(question, ERROR_INTERACTION_REQUIRED,
                                      "authentication is required, and a call this large does not wait for it", error);
                return refuse(question, ERROR_INTERACTION_REQUIRED,
                              "authentication is required, and the call does not allow to ask for it", error);
        case VERDICT_UNAVAILABLE:
                return refuse(question, ERROR_ACCESS_DENIED, "polkit is not there, so nobody can be authorized",
                              error);
        case VERDICT_SILENT:
                return refuse(question, ERROR_ACCESS_DENIED, "polkit did not answer", error);
        case VERDICT_PENDING:
        case VERDICT_RUBBISH:
        default:
                return refuse(question, ERROR_ACCESS_DENIED, "polkit's answer cannot be understood", error);
        }
}

static gboolean same_question(const Question *question, const char *sender, const char *action,
                              const char *const *details) {
        g_auto(GStrv) now = copy_details(details);

        return strcmp(question->sender, sender) == 0 && strcmp(question->action, action) == 0 &&
               g_strv_equal((const char *const *) question->details, (const char *const *) now);
}

int authorize(Authorizer *authorizer, sd_bus_message *message, const char *action, const char *const *details,
              sd_bus_error *error) {
        const char *sender = sd_bus_message_get_sender(message);
        g_autoptr(Question) question = NULL;
        Question *found;

        if (!sender)
                return sd_bus_error_set(error, ERROR_ACCESS_DENIED,
                                        "Not authorized: a caller without a bus name cannot be checked");
        found = g_hash_table_lookup(authorizer->questions, message);
        if (!found)
                return park(authorizer, message, sender, action, details, error);
        if (found->verdict == VERDICT_PENDING)
                return 0;

        (void) g_hash_table_steal(authorizer->questions, message);
        question = found;
        /* What was asked when the call came must be what is done now; the world may have changed in between. */
        if (!same_question(question, sender, action, details))
                return refuse(question, ERROR_ACCESS_DENIED, "what it is about has changed meanwhile; try again",
                              error);
        return conclude(question, error);
}
