/* SPDX-License-Identifier: Apache-2.0 */

/* A note that something was written which systemd and the bus may not have read yet, and whose users are to go.
 * Killed between the two, the next helper does what is missing as soon as it starts; a reboot in between loses
 * nothing either. */

#include <errno.h>
#include <string.h>

#include "base/journal.h"
#include "base/names.h"
#include "helper/helper.h"
#include "util/file.h"

#define PENDING_PATH PKGSYSCONFDIR "/" APPROVALS_DIRECTORY "/.pending"
#define PENDING_MAX 65536U
#define FIRST_LINE "# What snooze-helper has under way; the users of these plugins are to be removed.\n"

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

gboolean pending_note(const Places *places, const char *removed, GError **error) {
        g_auto(GStrv) ids = read_note(places);
        g_autoptr(GString) text = g_string_new(FIRST_LINE);
        gboolean changed;

        for (char **id = ids; id && *id; id++)
                if (!removed || !g_str_equal(*id, removed))
                        g_string_append_printf(text, "%s\n", *id);
        if (removed)
                g_string_append_printf(text, "%s\n", removed);
        return place_write(places, PENDING_PATH, text->str, &changed, error);
}

void pending_done(const Places *places) {
        g_autoptr(GError) error = NULL;
        gboolean changed;

        if (!place_remove(places, PENDING_PATH, FALSE, &changed, &error))
                log_warning("%s", error->message);
}

int pending_resume(const Places *places, Reloader *reloader) {
        g_auto(GStrv) ids = read_note(places);
        int r = 0;

        if (!ids)
                return 0;
        log_info("Something was under way when the last snooze-helper ended; it is completed now.");
        r = reloader_request(reloader, NULL, RELOAD_USERS | RELOAD_UNITS | RELOAD_BUS, NULL);
        for (char **id = ids; r >= 0 && *id; id++)
                r = reloader_request(reloader, NULL, 0, *id);
        return r;
}
