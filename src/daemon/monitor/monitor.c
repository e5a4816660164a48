/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/monitor/private.h"

void condition_set(Monitors *monitors, Condition *condition, gboolean holds, const char *source, const char *type,
                   JsonObject *data) {
        g_autoptr(JsonObject) owned = data;

        if (holds == condition->holds || !monitors->settled)
                return;
        condition->holds = holds;
        if (holds) {
                condition->id = monitors->with.begun(source, type, g_steal_pointer(&owned), monitors->with.userdata);
                return;
        }
        if (condition->id)
                monitors->with.over(source, condition->id, monitors->with.userdata);
        condition_clear(condition);
}

void condition_clear(Condition *condition) {
        g_clear_pointer(&condition->id, g_free);
        condition->holds = FALSE;
}

gboolean condition_adopt(Condition *condition, const char *id) {
        if (condition->holds)
                return FALSE;
        condition->holds = TRUE;
        condition->id = g_strdup(id);
        return TRUE;
}

Monitors *monitors_new(const MonitorsParameters *parameters) {
        Monitors *monitors = g_new0(Monitors, 1);

        monitors->with = *parameters;
        monitors->config = config_ref(parameters->config);
        monitors->disk = disk_monitor_new(monitors);
        monitors->pressure = pressure_monitor_new(monitors);
        monitors->network = network_monitor_new(monitors);
        return monitors;
}

Monitors *monitors_free(Monitors *monitors) {
        if (!monitors)
                return NULL;
        disk_monitor_free(monitors->disk);
        pressure_monitor_free(monitors->pressure);
        network_monitor_free(monitors->network);
        config_unref(monitors->config);
        g_free(monitors);
        return NULL;
}

void monitors_set_config(Monitors *monitors, Config *config) {
        config_ref(config);
        config_unref(monitors->config);
        monitors->config = config;
        pressure_monitor_configure(monitors->pressure);
        monitors_check(monitors);
        network_monitor_look(monitors->network);
}

gboolean monitors_adopt(Monitors *monitors, const char *source, const char *id, JsonObject *data) {
        if (g_str_equal(source, "disk"))
                return disk_monitor_adopt(monitors->disk, id, data);
        if (g_str_equal(source, "network"))
                return network_monitor_adopt(monitors->network, id);
        return pressure_monitor_adopt(monitors->pressure, source, id);
}

void monitors_settle(Monitors *monitors) {
        monitors->settled = TRUE;
        monitors_check(monitors);
        network_monitor_look(monitors->network);
}

void monitors_check(Monitors *monitors) {
        disk_monitor_check(monitors->disk);
        (void) pressure_monitor_look(monitors->pressure);
        pressure_monitor_check(monitors->pressure);
        network_monitor_check(monitors->network);
}

gboolean monitors_look(Monitors *monitors) {
        return pressure_monitor_look(monitors->pressure);
}

gboolean monitors_wait(Monitors *monitors, int fd, int timeout, gboolean *ret_readable) {
        return pressure_monitor_wait(monitors->pressure, fd, timeout, ret_readable);
}

char *monitors_closed_disks(const Monitors *monitors) {
        return disk_monitor_closed(monitors->disk);
}

const char *monitors_blind(const Monitors *monitors) {
        return network_monitor_blind(monitors->network);
}
