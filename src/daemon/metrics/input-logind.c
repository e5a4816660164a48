/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/metrics/input-logind.h"

#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/names.h"
#include "base/properties.h"
#include "bus/owner.h"
#include "util/line.h"

#define LOGIND_NAME "org.freedesktop.login1"
#define LOGIND_PATH "/org/freedesktop/login1"
#define MANAGER_INTERFACE LOGIND_NAME ".Manager"
#define SESSION_INTERFACE LOGIND_NAME ".Session"
#define PROPERTIES_MATCH                                                                                              \
        "type='signal',sender='" LOGIND_NAME "',interface='" PROPERTIES_INTERFACE                                     \
        "',member='PropertiesChanged',path_namespace='" LOGIND_PATH "/session'"

/* What is known of a session; also what one reply says of it. */
typedef struct Session {
        bool known;       /* it has been asked about */
        bool user;        /* somebody's own: neither greeter nor cron */
        bool graphical;
        bool idle;
        uint64_t idle_since; /* wall clock, of the last change of `idle`; 0: it never changed */
        uint64_t began;      /* wall clock */
        char *terminal;      /* "tty2", "pts/0", "" */
        char *id, *name, *type; /* for people; NULL: not told */
} Session;

struct InputLogind {
        sd_bus *bus;
        Metrics *metrics;
        InputLogindChanged changed;
        void *userdata;

        sd_bus_slot *watch, *question, *manager_match, *properties_match;
        sd_bus_slot *list, *fetch; /* the one call of each kind that is under way, or NULL */
        char *owner;               /* unique name, NULL: none */
        char *problem;

        GHashTable *sessions; /* path → Session */
        GQueue wanted;        /* paths to be asked about, each once */
        char *fetching;       /* path that `fetch` asks about */
        bool available;       /* there was a session with input at some time */
        uint64_t ended;       /* when a session that was in use went away */
        uint64_t told;
};

static void session_free(void *data) {
        Session *session = data;

        g_free(session->terminal);
        g_free(session->id);
        g_free(session->name);
        g_free(session->type);
        g_free(session);
}

G_GNUC_PRINTF(2, 3)
static void set_problem(InputLogind *input, const char *format, ...) {
        va_list ap;

        g_free(input->problem);
        va_start(ap, format);
        input->problem = format ? g_strdup_vprintf(format, ap) : NULL;
        va_end(ap);
}

static bool is_in_use(const Session *session) {
        return session->user && session->graphical && !session->idle;
}

static bool knows_all(const InputLogind *input) {
        GHashTableIter iterator;
        gpointer value;

        g_hash_table_iter_init(&iterator, input->sessions);
        while (g_hash_table_iter_next(&iterator, NULL, &value)) {
                const Session *session = value;

                if (!session->known)
                        return false;
        }
        return true;
}

/* Sums up all sessions for metrics/; not while one is missing, which may be the one in use. */
static void tell(InputLogind *input) {
        g_autoptr(GPtrArray) terminals = g_ptr_array_new();
        uint64_t latest = input->ended;
        bool was_available = input->available;
        GHashTableIter iterator;
        gpointer value;

        if (!knows_all(input))
                return;
        g_hash_table_iter_init(&iterator, input->sessions);
        while (g_hash_table_iter_next(&iterator, NULL, &value)) {
                const Session *session = value;

                if (!session->user)
                        continue;
                if (session->graphical) {
                        input->available = true;
                        latest = MAX(latest, is_in_use(session) ? UINT64_MAX : session->idle_since);
                } else if (session->terminal[0] != '\0') {
                        input->available = true;
                        g_ptr_array_add(terminals, session->terminal);
                }
        }
        g_ptr_array_add(terminals, NULL);
        metrics_set_logind_terminals(input->metrics, (const char *const *) terminals->pdata);
        metrics_set_logind_input(input->metrics, input->available, latest);
        if (latest != input->told || input->available != was_available) {
                input->told = latest;
                if (input->changed)
                        input->changed(input->userdata);
        }
}

static void forget_session(InputLogind *input, const char *path) {
        const Session *session = g_hash_table_lookup(input->sessions, path);

        if (session && is_in_use(session))
                input->ended = MAX(input->ended, clock_realtime());
        g_hash_table_remove(input->sessions, path);
}

static int read_string(sd_bus_message *m, const char **ret) {
        return sd_bus_message_read(m, "v", "s", ret);
}

static int keep_string(sd_bus_message *m, char **kept) {
        const char *text;
        int r = read_string(m, &text);

        if (r >= 0) {
                g_free(*kept);
                *kept = g_strdup(text);
                line_clean(*kept);
        }
        return r;
}

static bool is_graphical(const char *type) {
        return strcmp(type, "x11") == 0 || strcmp(type, "wayland") == 0 || strcmp(type, "mir") == 0;
}

/* Each has the type that logind documents, or the reply is refused. */
static int read_property(sd_bus_message *m, const char *name, void *userdata) {
        Session *session = userdata;
        const char *text;
        int r, flag;

        if (strcmp(name, "Class") == 0) {
                r = read_string(m, &text);
                if (r >= 0)
                        session->user = strcmp(text, "user") == 0 || strcmp(text, "user-early") == 0;
        } else if (strcmp(name, "Type") == 0) {
                r = keep_string(m, &session->type);
                session->graphical = r >= 0 && is_graphical(session->type);
        } else if (strcmp(name, "TTY") == 0) {
                r = read_string(m, &text);
                if (r >= 0) {
                        g_free(session->terminal);
                        session->terminal = g_strdup(text);
                }
        } else if (strcmp(name, "IdleHint") == 0) {
                r = sd_bus_message_read(m, "v", "b", &flag);
                if (r >= 0)
                        session->idle = flag;
        } else if (strcmp(name, "Id") == 0)
                r = keep_string(m, &session->id);
        else if (strcmp(name, "Name") == 0)
                r = keep_string(m, &session->name);
        else if (strcmp(name, "Timestamp") == 0)
                r = sd_bus_message_read(m, "v", "t", &session->began);
        else if (strcmp(name, "IdleSinceHint") == 0)
                r = sd_bus_message_read(m, "v", "t", &session->idle_since);
        else
                r = sd_bus_message_skip(m, "v");
        return r;
}

static void fetch_next(InputLogind *input);

/* NULL: it cannot be read. */
static Session *session_new_from_reply(sd_bus_message *m) {
        Session *session = g_new0(Session, 1);

        session->known = true;
        session->terminal = g_strdup("");
        if (properties_read(m, read_property, session) < 0)
                g_clear_pointer(&session, session_free);
        return session;
}

static int on_session(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        InputLogind *input = userdata;
        g_autofree char *path = g_steal_pointer(&input->fetching);
        Session *session = NULL;

        input->fetch = sd_bus_slot_unref(input->fetch);
        /* An error here means that the session has ended meanwhile. */
        if (!sd_bus_message_is_method_error(m, NULL)) {
                session = session_new_from_reply(m);
                if (!session)
                        set_problem(input, "logind's description of session %s is not understood", path);
        }
        if (!session)
                forget_session(input, path);
        else if (g_hash_table_contains(input->sessions, path))
                g_hash_table_replace(input->sessions, g_steal_pointer(&path), session);
        else
                session_free(session);
        tell(input);
        fetch_next(input);
        return 0;
}

/* One at a time: a thousand sessions take a while, and no more of the bus than one. */
static void fetch_next(InputLogind *input) {
        while (!input->fetch && input->owner && !g_queue_is_empty(&input->wanted)) {
                g_autofree char *path = g_queue_pop_head(&input->wanted);
                int r;

                if (!g_hash_table_contains(input->sessions, path))
                        continue;
                r = sd_bus_call_method_async(input->bus, &input->fetch, input->owner, path, PROPERTIES_INTERFACE,
                                             "GetAll", on_session, input, "s", SESSION_INTERFACE);
                if (r < 0)
                        set_problem(input, "logind cannot be asked about session %s: %s", path, g_strerror(-r));
                else
                        input->fetching = g_steal_pointer(&path);
        }
}

static void want_session(InputLogind *input, const char *path) {
        if (!g_queue_find_custom(&input->wanted, path, (GCompareFunc) strcmp))
                g_queue_push_tail(&input->wanted, g_strdup(path));
        fetch_next(input);
}

static void add_session(InputLogind *input, const char *path) {
        if (!g_hash_table_contains(input->sessions, path)) {
                Session *session;

                if (g_hash_table_size(input->sessions) >= INPUT_SESSIONS_MAX)
                        return;
                session = g_new0(Session, 1);
                session->terminal = g_strdup("");
                g_hash_table_insert(input->sessions, g_strdup(path), session);
        }
        want_session(input, path);
}

static int on_list(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        InputLogind *input = userdata;
        const sd_bus_error *failure = sd_bus_message_get_error(m);
        const char *path;
        int r;

        input->list = sd_bus_slot_unref(input->list);
        if (failure) {
                set_problem(input, "logind does not list its sessions: %s",
                            failure->message ? failure->message : failure->name);
                return 0;
        }
        r = sd_bus_message_enter_container(m, 'a', "(susso)");
        while (r >= 0 && (r = sd_bus_message_read(m, "(susso)", NULL, NULL, NULL, NULL, &path)) > 0)
                add_session(input, path);
        if (r < 0)
                set_problem(input, "logind's list of sessions is not understood: %s", g_strerror(-r));
        else
                set_problem(input, NULL);
        return 0;
}

static void list_sessions(InputLogind *input) {
        int r;

        input->list = sd_bus_slot_unref(input->list);
        r = sd_bus_call_method_async(input->bus, &input->list, input->owner, LOGIND_PATH, MANAGER_INTERFACE,
                                     "ListSessions", on_list, input, "");
        if (r < 0)
                set_problem(input, "logind cannot be asked: %s", g_strerror(-r));
}

static void set_owner(InputLogind *input, const char *owner) {
        if (g_strcmp0(input->owner, owner[0] != '\0' ? owner : NULL) == 0)
                return;
        g_free(input->owner);
        input->owner = owner[0] != '\0' ? g_strdup(owner) : NULL;
        input->fetch = sd_bus_slot_unref(input->fetch);
        input->list = sd_bus_slot_unref(input->list);
        g_clear_pointer(&input->fetching, g_free);
        g_queue_clear_full(&input->wanted, g_free);
        if (!input->owner) {
                /* A restart of logind is no input, and no end of any: what it said holds until it is back. */
                set_problem(input, "logind is not running: input on desktops cannot be seen");
                return;
        }
        g_hash_table_remove_all(input->sessions);
        list_sessions(input);
}

static void on_owner_changed(const char *name, const char *old_owner, const char *new_owner, void *userdata) {
        if (strcmp(name, LOGIND_NAME) == 0)
                set_owner(userdata, new_owner);
}

static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        InputLogind *input = userdata;
        const char *owner = "";

        input->question = sd_bus_slot_unref(input->question);
        if (!sd_bus_message_is_method_error(m, NULL) && sd_bus_message_read(m, "s", &owner) >= 0)
                set_owner(input, owner);
        return 0;
}

static bool is_from_logind(const InputLogind *input, sd_bus_message *m) {
        return input->owner && g_strcmp0(sd_bus_message_get_sender(m), input->owner) == 0;
}

static int on_manager_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        InputLogind *input = userdata;
        bool is_new = sd_bus_message_is_signal(m, MANAGER_INTERFACE, "SessionNew");
        const char *path;

        if (!is_from_logind(input, m) ||
            (!is_new && !sd_bus_message_is_signal(m, MANAGER_INTERFACE, "SessionRemoved")) ||
            sd_bus_message_read(m, "so", NULL, &path) < 0)
                return 0;
        if (is_new)
                add_session(input, path);
        else {
                forget_session(input, path);
                tell(input);
        }
        return 0;
}

static int on_properties_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        InputLogind *input = userdata;
        const char *path = sd_bus_message_get_path(m);

        if (is_from_logind(input, m) && path && g_hash_table_contains(input->sessions, path))
                want_session(input, path);
        return 0;
}

static int subscribe(InputLogind *input) {
        int r;

        r = owner_watch(input->bus, LOGIND_NAME, on_owner_changed, input, &input->watch);
        if (r < 0)
                return r;
        r = sd_bus_match_signal_async(input->bus, &input->manager_match, LOGIND_NAME, LOGIND_PATH, MANAGER_INTERFACE,
                                      NULL, on_manager_signal, NULL, input);
        if (r < 0)
                return r;
        r = sd_bus_add_match_async(input->bus, &input->properties_match, PROPERTIES_MATCH, on_properties_changed, NULL,
                                   input);
        if (r < 0)
                return r;
        /* After the watch, so that no change between the two is missed. */
        return sd_bus_call_method_async(input->bus, &input->question, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                        "org.freedesktop.DBus", "GetNameOwner", on_owner, input, "s", LOGIND_NAME);
}

int input_logind_new(sd_bus *bus, Metrics *metrics, InputLogindChanged changed, void *userdata, InputLogind **ret) {
        InputLogind *input = g_new(InputLogind, 1);
        int r;

        *input = (InputLogind) {
                .bus = sd_bus_ref(bus),
                .metrics = metrics,
                .changed = changed,
                .userdata = userdata,
                .sessions = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, session_free),
                .wanted = G_QUEUE_INIT,
        };
        set_problem(input, "logind is not running: input on desktops cannot be seen");
        r = subscribe(input);
        if (r < 0) {
                input_logind_free(input);
                return r;
        }
        *ret = input;
        return 0;
}

InputLogind *input_logind_free(InputLogind *input) {
        if (!input)
                return NULL;
        sd_bus_slot_unref(input->watch);
        sd_bus_slot_unref(input->question);
        sd_bus_slot_unref(input->manager_match);
        sd_bus_slot_unref(input->properties_match);
        sd_bus_slot_unref(input->list);
        sd_bus_slot_unref(input->fetch);
        sd_bus_unref(input->bus);
        g_hash_table_unref(input->sessions);
        g_queue_clear_full(&input->wanted, g_free);
        g_free(input->fetching);
        g_free(input->owner);
        g_free(input->problem);
        g_free(input);
        return NULL;
}

const char *input_logind_problem(const InputLogind *input) {
        return input->problem;
}

GPtrArray *input_logind_silent(const InputLogind *input, uint64_t before) {
        GPtrArray *silent = g_ptr_array_new_with_free_func(g_free);
        GHashTableIter iterator;
        gpointer value;

        g_hash_table_iter_init(&iterator, input->sessions);
        while (g_hash_table_iter_next(&iterator, NULL, &value)) {
                const Session *session = value;

                if (is_in_use(session) && session->idle_since == 0 && session->began > 0 && session->began < before)
                        g_ptr_array_add(silent, g_strdup_printf("session %s of %s (%s)", session->id ?: "?",
                                                                session->name ?: "?", session->type));
        }
        return silent;
}
