/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/system-events.h"

#include <errno.h>
#include <string.h>

#include "base/journal.h"

static char *source_name(const char *part) {
        return g_strconcat(EVENT_SOURCE_PART, part, NULL);
}

static char *on_begun(const char *part, const char *type, JsonObject *data, void *userdata) {
        g_autofree char *source = source_name(part);
        g_autoptr(JsonObject) owned = data;
        Manager *manager = userdata;
        const char *id = NULL;
        int r;

        r = events_emit(manager->events, type, source, EVENT_SEVERITY_DEFAULT, 0, owned, NULL, NULL, &id);
        if (r < 0) {
                log_warning("%s could not be announced: %s", type, strerror(-r));
                return NULL;
        }
        return g_strdup(id);
}

static void on_over(const char *part, const char *id, void *userdata) {
        g_autofree char *source = source_name(part);
        Manager *manager = userdata;

        events_cancel(manager->events, source, id);
}

static gboolean on_standing(const char *source, const char *id, const char *type, JsonObject *data, void *userdata) {
        Manager *manager = userdata;

        return manager->monitors && monitors_adopt(manager->monitors, source + strlen(EVENT_SOURCE_PART), id, data);
}

void manager_watch_system(Manager *manager) {
        if (manager->replay)
                return;
        manager->monitors = monitors_new(&(MonitorsParameters) { .event = manager->event,
                                                    .config = manager->config,
                                                    .root = manager->options.proc_root,
                                                    .begun = on_begun,
                                                    .over = on_over,
                                                    .userdata = manager });
}

void manager_announce_system(void *userdata) {
        Manager *manager = userdata;

        events_each_standing(manager->events, on_standing, manager);
        if (manager->monitors)
                monitors_settle(manager->monitors);
}
