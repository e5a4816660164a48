/* SPDX-License-Identifier: Apache-2.0 */

/* A note of the plugins of which something was written that systemd and the bus may not have read yet, and of those
 * that are to be forgotten. Killed amid that, or where it failed, the next helper does what is missing as soon as it
 * starts; a reboot in between loses nothing either. What is approved is written before what grants it, and the note
 * before both. */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/journal.h"
#include "base/names.h"
#include "helper/helper.h"
#include "util/file.h"

#define PENDING_PATH PKGSYSCONFDIR "/" APPROVALS_DIRECTORY "/.pending"
/* More than of all the plugins that there may be (PLUGINS_MAX), forgotten and to be read. */
#define PENDING_MAX (256U * 1024)
#define FIRST_LINE \
        "# What snooze-helper has under way. These plugins and their users are to be removed; files of those behind " \
        "“read” are to be read.\n"
#define READ_PREFIX "read "

typedef struct Note {
        GHashTable *unread, *removed; /* ids */
        gboolean there;
} Note;

static void note_clear(Note *note) {
        g_clear_pointer(&note->unread, g_hash_table_unref);
        g_clear_pointer(&note->removed, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Note, note_clear)

static void read_line(const Note *note, const char *line) {
        const char *id = g_str_has_prefix(line, READ_PREFIX) ? line + strlen(READ_PREFIX) : line;

        if (plugin_id_valid(id) || (id != line && g_str_equal(id, RELOAD_FOR_ANY)))
                g_hash_table_add(id == line ? note->removed : note->unread, g_strdup(id));
}

/* FALSE with *error: there is one that cannot be read, which is not to be taken for none and written anew. */
static gboolean read_note(const Places *places, Note *ret, GError **error) {
        g_autofree char *real = place_path(places, PENDING_PATH), *text = NULL;
        g_autoptr(GError) e = NULL;
        g_auto(GStrv) lines = NULL;
        struct stat st;

        *ret = (Note) { .unread = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
                        .removed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL) };
        if (!file_read_status(real, PENDING_MAX, &text, NULL, &st, &e)) {
                if (g_error_matches(e, G_FILE_ERROR, G_FILE_ERROR_NOENT))
                        return TRUE;
                g_propagate_error(error, g_steal_pointer(&e));
                return FALSE;
        }
        if (!file_status_trusted(real, &st, places->also, error))
                return FALSE;
        ret->there = TRUE;
        lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++)
                read_line(ret, *line);
        /* A helper before this one did not say of whom. */
        if (!g_str_has_prefix(text, FIRST_LINE))
                g_hash_table_add(ret->unread, g_strdup(RELOAD_FOR_ANY));
        return TRUE;
}

static void append_ids(GString *text, const char *prefix, GHashTable *ids) {
        g_autoptr(GList) sorted = g_list_sort(g_hash_table_get_keys(ids), (GCompareFunc) strcmp);

        for (GList *id = sorted; id; id = id->next)
                g_string_append_printf(text, "%s%s\n", prefix, (const char *) id->data);
}

/* No plugins: no note. */
static gboolean write_note(const Places *places, const Note *note, GError **error) {
        g_autoptr(GString) text = g_string_new(FIRST_LINE);
        gboolean changed;

        append_ids(text, "", note->removed);
        append_ids(text, READ_PREFIX, note->unread);
        return text->len > strlen(FIRST_LINE) ? place_write(places, PENDING_PATH, text->str, &changed, error)
                                              : place_remove(places, PENDING_PATH, FALSE, &changed, error);
}

/* Also where it can be read by now: nothing of it is under way here, so the next note would be without it. */
gboolean pending_known(const Helper *helper, GError **error) {
        if (helper->unknown)
                g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, helper->unknown);
        return !helper->unknown;
}

gboolean pending_note(const Helper *helper, const char *id, PendingKind kind, GError **error) {
        g_auto(Note) note = {};

        if (!pending_known(helper, error) || !read_note(&helper->places, &note, error))
                return FALSE;
        g_hash_table_add(note.unread, g_strdup(id));
        if (kind == PENDING_REMOVED)
                g_hash_table_add(note.removed, g_strdup(id));
        else if (kind == PENDING_KEPT)
                g_hash_table_remove(note.removed, id);
        return write_note(&helper->places, &note, error);
}

gboolean pending_removes(const Places *places, const char *id) {
        g_auto(Note) note = {};

        return read_note(places, &note, NULL) && g_hash_table_contains(note.removed, id);
}

/* What is approved may have been written, and what grants it not. One that is not known to the system does not start
 * before it is, which has all of it written; beside one that a package has brought meanwhile nothing is to be left. */
static gboolean bring_up_to_date(const Places *places, const char *id, unsigned *changed, GError **error) {
        gboolean packaged = plugin_packaged(places, id);
        g_autoptr(Approvals) approvals = NULL;
        g_autoptr(Manifest) manifest = NULL;

        if (packaged)
                return provision_clear(places, id, changed, error);
        if (!provision_present(places, id))
                return TRUE;
        manifest = plugin_find(places, id, &packaged, error);
        approvals = manifest ? provision_approvals(places, id, error) : NULL;
        return approvals && provision_refresh(places, manifest, approvals, changed, error);
}

/* One whose removal is owed is not to be written anew. */
static void retry_stale(Helper *helper) {
        g_autoptr(GHashTable) removed = reloader_unremoved(helper->reloader);
        GHashTableIter iter;
        void *id;

        g_hash_table_iter_init(&iter, helper->stale);
        while (g_hash_table_iter_next(&iter, &id, NULL)) {
                unsigned changed = 0;
                gboolean done = !g_hash_table_contains(removed, id) &&
                                bring_up_to_date(&helper->places, id, &changed, NULL);
                int r = changed ? reloader_request(helper->reloader, NULL, id, changed, FALSE) : 0;

                if (r < 0)
                        log_error("What was written cannot be read again: %s", g_strerror(-r));
                if (done)
                        g_hash_table_iter_remove(&iter);
        }
}

void pending_settle(Helper *helper) {
        g_autoptr(GError) error = NULL;
        g_auto(Note) note = {};
        GHashTableIter iter;
        void *id;

        retry_stale(helper);
        note = (Note) { .unread = reloader_unread(helper->reloader), .removed = reloader_unremoved(helper->reloader) };
        g_hash_table_iter_init(&iter, helper->stale);
        while (g_hash_table_iter_next(&iter, &id, NULL))
                g_hash_table_add(note.unread, g_strdup(id));
        if (!write_note(&helper->places, &note, &error))
                log_warning("%s", error->message);
}

/* The file of its user goes last: while that is there some others may be, too, and the user would be made anew. All is
 * read again in any case. */
static int resume_removal(const Places *places, Reloader *reloader, const char *id) {
        gboolean packaged = plugin_packaged(places, id), gone;
        g_autoptr(GError) error = NULL;
        unsigned changed = 0;

        /* A package has brought one of this name meanwhile, and its user. */
        gone = packaged ? provision_clear(places, id, &changed, &error)
                        : !provision_present(places, id) || provision_remove(places, id, &changed, &error);
        if (!gone) {
                log_error("%s", error->message);
                reloader_owe_removal(reloader, id);
        }
        return reloader_request(reloader, NULL, id, RELOAD_ALL, gone && !packaged);
}

/* Where it cannot be told what is to be granted it stays owed: it is not started by the daemon as long as its manifest
 * cannot be read, or something that it asks for is not approved. */
static void resume_grants(Helper *helper, const char *id) {
        g_autoptr(GError) error = NULL;
        unsigned changed = 0;

        if (bring_up_to_date(&helper->places, id, &changed, &error))
                return;
        log_error("Plugin %s may be granted more than is approved, which is tried again: %s", id, error->message);
        g_hash_table_add(helper->stale, g_strdup(id));
}

/* Anybody's call has it tried again, and is not to fill the journal. */
static void keep_unknown(Helper *helper, const char *why) {
        if (g_strcmp0(helper->unknown, why) == 0)
                return;
        log_error("What the last snooze-helper had under way is not known: %s", why);
        g_free(helper->unknown);
        helper->unknown = g_strdup(why);
}

int pending_resume(Helper *helper) {
        g_autoptr(GError) error = NULL;
        g_auto(Note) note = {};
        GHashTableIter iter;
        int r = 0;
        void *id;

        /* Nothing is changed then, either. */
        if (!read_note(&helper->places, &note, &error)) {
                keep_unknown(helper, error->message);
                return 0;
        }
        g_clear_pointer(&helper->unknown, g_free);
        if (!note.there)
                return 0;
        log_info("Something was under way when the last snooze-helper ended; it is completed now.");
        g_hash_table_iter_init(&iter, note.removed);
        while (r >= 0 && g_hash_table_iter_next(&iter, &id, NULL))
                r = resume_removal(&helper->places, helper->reloader, id);
        g_hash_table_iter_init(&iter, note.unread);
        while (r >= 0 && g_hash_table_iter_next(&iter, &id, NULL)) {
                if (!g_hash_table_contains(note.removed, id))
                        resume_grants(helper, id);
                r = reloader_request(helper->reloader, NULL, id, RELOAD_ALL, FALSE);
        }
        return r;
}
