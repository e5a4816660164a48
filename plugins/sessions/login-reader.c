/* SPDX-License-Identifier: Apache-2.0 */

#include "login-reader.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-login.h>

#include "base/cleanup.h"

#define SESSIONS_DIRECTORY "/run/systemd/sessions"

static bool is_one_of(const char *text, const char *const *list) {
        for (; *list; list++)
                if (strcmp(text, *list) == 0)
                        return true;
        return false;
}

/* Greeters, lock screens, cron's and the user managers' sessions are nobody's presence. */
static bool is_presence(const char *id) {
        static const char *const classes[] = { "user", "user-early", "user-light", "user-early-light", NULL };
        _cleanup_free_ char *class = NULL, *state = NULL;

        if (sd_session_get_class(id, &class) < 0 || !is_one_of(class, classes))
                return false;
        return sd_session_get_state(id, &state) >= 0 && strcmp(state, "closing") != 0;
}

static void read_user(const char *id, char *user, size_t size) {
        struct passwd *entry;
        uid_t uid;

        if (sd_session_get_uid(id, &uid) < 0)
                return;
        entry = getpwuid(uid);
        if (entry)
                snprintf(user, size, "%s", entry->pw_name);
        else
                snprintf(user, size, "%u", (unsigned) uid);
}

/* libsystemd has no call for the leader of a session given by its id, only the other way round. Each of sshd's
 * processes is asked about once, whatever the number of sessions. */
static void find_leaders(Snapshot *snapshot) {
        for (size_t i = 0; i < snapshot->n_processes; i++) {
                const Process *p = &snapshot->processes[i];
                _cleanup_free_ char *id = NULL;

                if (strncmp(p->name, "sshd", 4) != 0 || sd_pid_get_session(p->pid, &id) < 0)
                        continue;
                for (size_t k = 0; k < snapshot->n_sessions; k++)
                        if (snapshot->sessions[k].leader == 0 && strcmp(snapshot->sessions[k].id, id) == 0)
                                snapshot->sessions[k].leader = p->pid;
        }
}

static void read_session(const char *id, Session *session) {
        static const char *const graphical[] = { "x11", "wayland", "mir", "web", NULL };
        _cleanup_free_ char *type = NULL, *tty = NULL;

        *session = (Session) { .leader = 0 };
        snprintf(session->id, sizeof(session->id), "%s", id);
        read_user(id, session->user, sizeof(session->user));
        session->graphical = sd_session_get_type(id, &type) >= 0 && is_one_of(type, graphical);
        session->has_terminal = !session->graphical && sd_session_get_tty(id, &tty) >= 0;
}

int login_read(Snapshot *snapshot) {
        char **ids = NULL;
        int n;

        snapshot->has_logind = access(SESSIONS_DIRECTORY, F_OK) >= 0;
        snapshot->sessions = calloc(SNAPSHOT_SESSIONS_MAX, sizeof(Session));
        if (!snapshot->sessions)
                return -ENOMEM;
        n = snapshot->has_logind ? sd_get_sessions(&ids) : 0;
        for (int i = 0; i < n; i++) {
                if (snapshot->n_sessions == SNAPSHOT_SESSIONS_MAX)
                        snapshot->incomplete = true;
                else if (is_presence(ids[i]))
                        read_session(ids[i], &snapshot->sessions[snapshot->n_sessions++]);
                free(ids[i]);
        }
        free(ids);
        if (snapshot->n_sessions > 0)
                find_leaders(snapshot);
        return 0;
}
