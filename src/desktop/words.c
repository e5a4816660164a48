/* SPDX-License-Identifier: Apache-2.0 */

#include "desktop/words.h"

#include <glib/gi18n.h>

#include "base/clock.h"
#include "config.h"
#include "util/duration.h"
#include "util/line.h"

/* A notification shows a few lines; what is longer stands in `snooze why`. */
#define TEXT_CHARACTERS_MAX 300

/* As duration_format(), in the language of the session. */
static char *span(uint64_t usec) {
        unsigned long seconds = (unsigned long) (usec / USEC_PER_SEC), minutes = seconds / 60, hours = minutes / 60,
                      days = hours / 24;

        if (days > 0 && hours % 24)
                /* TRANSLATORS: days and hours, as all spans in the place of the last %s of "… stops at %s (in %s)" */
                return g_strdup_printf(ngettext("%lu d %lu h", "%lu d %lu h", days), days, hours % 24);
        if (days > 0)
                /* TRANSLATORS: days */
                return g_strdup_printf(ngettext("%lu d", "%lu d", days), days);
        if (hours > 0)
                return minutes % 60 ? g_strdup_printf(_("%lu h %02lu min"), hours, minutes % 60)
                                    : g_strdup_printf(_("%lu h"), hours);
        if (minutes > 0)
                return seconds % 60 ? g_strdup_printf(_("%lu min %02lu s"), minutes, seconds % 60)
                                    : g_strdup_printf(_("%lu min"), minutes);
        return g_strdup_printf(_("%lu s"), seconds);
}

static char *scheduled_title(const Stop *stop, uint64_t now) {
        g_autofree char *when = NULL, *left = NULL;
        uint64_t deadline;

        if (stop->deadline <= now)
                return g_strdup(stop->dry_run ? _("Dry run: this machine would stop soon")
                                              : _("This machine stops soon"));
        /* To the nearest second: "in 4 min 59 s" is nobody's plan. */
        deadline = usec_add(stop->deadline, USEC_PER_SEC / 2);
        when = moment_format(deadline, now, TRUE);
        left = span(usec_sub(deadline, now));
        /* TRANSLATORS: a time of day with its zone, "22:41 CET", and how long that is from now, "5 min" */
        return g_strdup_printf(stop->dry_run ? _("Dry run: this machine would stop at %s (in %s)")
                                             : _("This machine stops at %s (in %s)"),
                               when, left);
}

char *words_title(const Stop *stop, uint64_t now) {
        switch (stop->phase) {
        case STOP_SCHEDULED:
                return scheduled_title(stop, now);
        case STOP_STOPPING:
                return g_strdup(stop->dry_run ? _("Dry run: this machine would stop now")
                                              : _("This machine stops now"));
        case STOP_CANCELLED:
                return g_strdup(_("This machine stays on"));
        default:
                return g_strdup("");
        }
}

/* One line, whoever wrote it. */
static char *line(const char *text) {
        char *copy = NULL;

        if (g_utf8_strlen(text, -1) > TEXT_CHARACTERS_MAX) {
                g_autofree char *cut = g_utf8_substring(text, 0, TEXT_CHARACTERS_MAX);

                copy = g_strconcat(cut, "…", NULL);
        } else
                copy = g_strdup(text);
        line_clean(copy);
        return copy;
}

static char *what_to_type(StopPhase phase) {
        switch (phase) {
        case STOP_SCHEDULED:
                /* TRANSLATORS: each %s is the name of a command, whose words are typed as they stand here */
                return g_strdup_printf(_("Keep it on: %s postpone 2h · why: %s why"), SNOOZE_COMMAND, SNOOZE_COMMAND);
        case STOP_STOPPING:
                /* TRANSLATORS: %s is the name of a command, whose word is typed as it stands here */
                return g_strdup_printf(_("Keep it on, if it is not too late: %s cancel"), SNOOZE_COMMAND);
        default:
                return NULL;
        }
}

char *words_body(const Stop *stop, const char *failure) {
        g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
        char *type = what_to_type(stop->phase);

        if (failure) {
                g_autofree char *why = line(failure);

                g_ptr_array_add(lines, g_strdup_printf(_("That did not work: %s"), why));
        }
        if (stop->reason && *stop->reason)
                g_ptr_array_add(lines, line(stop->reason));
        if (type)
                g_ptr_array_add(lines, type);
        g_ptr_array_add(lines, NULL);
        return g_strjoinv("\n", (char **) lines->pdata);
}

const char *words_postpone(void) {
        return _("Keep on for 2 h");
}

const char *words_cancel(void) {
        return _("Don't stop");
}
