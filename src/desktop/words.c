/* SPDX-License-Identifier: Apache-2.0 */

#include "desktop/words.h"

#include "base/clock.h"
#include "config.h"
#include "util/duration.h"
#include "util/line.h"

/* A notification shows a few lines; what is longer stands in `snooze why`. */
#define TEXT_CHARACTERS_MAX 300

static char *scheduled_title(const Stop *stop, uint64_t now) {
        const char *verb = stop->dry_run ? "Dry run: this machine would stop" : "This machine stops";
        g_autofree char *when = NULL, *left = NULL;
        uint64_t deadline;

        if (stop->deadline <= now)
                return g_strdup_printf("%s soon", verb);
        /* To the nearest second: "in 4 min 59 s" is nobody's plan. */
        deadline = usec_add(stop->deadline, USEC_PER_SEC / 2);
        when = moment_format(deadline, now, TRUE);
        left = duration_format(usec_sub(deadline, now));
        return g_strdup_printf("%s at %s (in %s)", verb, when, left);
}

char *words_title(const Stop *stop, uint64_t now) {
        switch (stop->phase) {
        case STOP_SCHEDULED:
                return scheduled_title(stop, now);
        case STOP_STOPPING:
                return g_strdup(stop->dry_run ? "Dry run: this machine would stop now" : "This machine stops now");
        case STOP_CANCELLED:
                return g_strdup("This machine stays on");
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

static const char *what_to_type(StopPhase phase) {
        switch (phase) {
        case STOP_SCHEDULED:
                return "Keep it on: " SNOOZE_COMMAND " postpone 2h · why: " SNOOZE_COMMAND " why";
        case STOP_STOPPING:
                return "Keep it on, if it is not too late: " SNOOZE_COMMAND " cancel";
        default:
                return NULL;
        }
}

char *words_body(const Stop *stop, const char *failure) {
        g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
        const char *type = what_to_type(stop->phase);

        if (failure) {
                g_autofree char *why = line(failure);

                g_ptr_array_add(lines, g_strdup_printf("That did not work: %s", why));
        }
        if (stop->reason && *stop->reason)
                g_ptr_array_add(lines, line(stop->reason));
        if (type)
                g_ptr_array_add(lines, g_strdup(type));
        g_ptr_array_add(lines, NULL);
        return g_strjoinv("\n", (char **) lines->pdata);
}
