/* SPDX-License-Identifier: Apache-2.0 */

/* A note that something was written which systemd and the bus may not have read yet, and which plugins are to be
 * forgotten. Killed amid that, or where it failed, the next helper does what is missing as soon as it starts; a reboot
 * in between loses nothing either. */

#include <errno.h>
#include <string.h>

#include "base/journal.h"
#include "base/names.h"
#include "helper/helper.h"
#include "util/file.h"

#define PENDING_PATH PKGSYSCONFDIR "/" APPROVALS_DIRECTORY "/.pending"
#define PENDING_MAX 65536U
#define FIRST_LINE "# What snooze-helper has under way; these plugins and their users are to be removed.\n"

static GStrv read_note(const Places *places) {
        g_autofree char *real = place_path(places, PENDING_PATH), *text = NULL;
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
        g_auto(GStrv) lines = NULL;

        if (!file_trusted(real, places->also, NULL) || !file_read(real, PENDING_MAX, &text, NULL, NULL))
                return NULL;
        lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++)
                if (plugin_id_valid(*line))
                        g_strv_builder_add(builder, *line);
        return g_strv_builder_end(builder);
}

gboolean pending_note(const Places *places, const char *removed, const char *kept, GError **error) {
        g_auto(GStrv) ids = read_note(places);
        g_autoptr(GString) text = g_string_new(FIRST_LINE);
        gboolean changed;

        for (char **id = ids; id && *id; id++)
                if (g_strcmp0(*id, removed) != 0 && g_strcmp0(*id, kept) != 0)
                        g_string_append_printf(text, "%s\n", *id);
        if (removed)
                g_string_append_printf(text, "%s\n", removed);
        return place_write(places, PENDING_PATH, text->str, &changed, error);
}

gboolean pending_removes(const Places *places, const char *id) {
        g_auto(GStrv) ids = read_note(places);

        return ids && g_strv_contains((const char *const *) ids, id);
}

void pending_done(const Places *places) {
        g_autoptr(GError) error = NULL;
        gboolean changed;

        if (!place_remove(places, PENDING_PATH, FALSE, &changed, &error))
                log_warning("%s", error->message);
}

/* The file of its user goes last: while that is there some others may be, too, and the user would be made anew. */
static int resume_removal(const Places *places, Reloader *reloader, const char *id) {
        g_autoptr(GError) error = NULL;
        unsigned changed = 0;

        /* A package has brought one of this name meanwhile, and its user; all is read again in any case. */
        if (plugin_packaged(places, id)) {
                if (provision_clear(places, id, &changed, &error))
                        return 0;
        } else if (!provision_present(places, id) || provision_remove(places, id, &changed, &error))
                return reloader_request(reloader, NULL, 0, id);
        log_error("%s", error->message);
        reloader_owe_removal(reloader, id);
        return 0;
}

int pending_resume(const Places *places, Reloader *reloader) {
        g_auto(GStrv) ids = read_note(places);
        int r = 0;

        if (!ids)
                return 0;
        log_info("Something was under way when the last snooze-helper ended; it is completed now.");
        for (char **id = ids; r >= 0 && *id; id++)
                r = resume_removal(places, reloader, *id);
        return r < 0 ? r : reloader_request(reloader, NULL, RELOAD_USERS | RELOAD_UNITS | RELOAD_BUS, NULL);
}
