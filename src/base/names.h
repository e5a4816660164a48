/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Every name that CloudSnooze has on the bus, and every path that more than one file needs. Nothing here is spelled a
 * second time in C; data/ and introspection/ repeat them because their formats must, and tests/bus compares. */

#include <stdbool.h>

#include "config.h"

#define SNOOZE_NAME "io.cloudsnooze.Snooze1"
#define SNOOZE_PATH "/io/cloudsnooze/Snooze1"
#define SNOOZE_PLUGIN_PATH SNOOZE_PATH "/plugin"
#define SNOOZE_PROVIDER_PATH SNOOZE_PATH "/provider"

#define SNOOZE_MANAGER_INTERFACE SNOOZE_NAME ".Manager"
#define SNOOZE_PLUGIN_INTERFACE SNOOZE_NAME ".Plugin"
#define SNOOZE_PROVIDER_INTERFACE SNOOZE_NAME ".Provider"
#define SNOOZE_ERROR_PREFIX SNOOZE_NAME ".Error."
#define SNOOZE_ACTION_PREFIX "io.cloudsnooze.snooze1."

/* The root helper. */
#define HELPER_NAME "io.cloudsnooze.Helper1"
#define HELPER_PATH "/io/cloudsnooze/Helper1"
#define HELPER_INTERFACE HELPER_NAME

/* Others whom more than one of our programs asks. */
#define SYSTEMD_NAME "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_UNIT_PATH SYSTEMD_PATH "/unit"
#define SYSTEMD_MANAGER_INTERFACE SYSTEMD_NAME ".Manager"
#define SYSTEMD_UNIT_INTERFACE SYSTEMD_NAME ".Unit"
#define SYSTEMD_SERVICE_INTERFACE SYSTEMD_NAME ".Service"
#define PROPERTIES_INTERFACE "org.freedesktop.DBus.Properties"

/* What it says in whatever it writes for systemd and the bus, who read packages' and administrators' files, too: a
 * drop-in begins so, and a policy where XML has begun. One that only quotes it is somebody else's. */
#define HELPER_MARK "Written by snooze-helper"
#define HELPER_MARK_UNIT "# " HELPER_MARK ". "
#define HELPER_MARK_POLICY "\n<!-- " HELPER_MARK ". -->\n<busconfig>"
#define POLICY_DIRECTORY "/etc/dbus-1/system.d"
#define UNIT_DIRECTORY "/etc/systemd/system"
#define PERMISSIONS_DROP_IN "10-permissions.conf"

/* What a plugin serves, under the bus name PLUGIN_NAME_PREFIX "<id>". */
#define PLUGIN_NAME "io.cloudsnooze.Plugin1"
#define PLUGIN_NAME_PREFIX PLUGIN_NAME "."
#define PLUGIN_PATH "/io/cloudsnooze/Plugin1"
#define PLUGIN_INTERFACE PLUGIN_NAME
#define IDLE_CHECK_INTERFACE PLUGIN_NAME ".IdleCheck"
#define EVENT_HANDLER_INTERFACE PLUGIN_NAME ".EventHandler"
#define EVENT_SOURCE_INTERFACE PLUGIN_NAME ".EventSource"
#define CLOUD_PROVIDER_INTERFACE PLUGIN_NAME ".CloudProvider"
#define STATE_INTERFACE PLUGIN_NAME ".State"
#define DATA_PROCESSOR_INTERFACE PLUGIN_NAME ".DataProcessor"
#define REQUEST_HANDLER_INTERFACE PLUGIN_NAME ".RequestHandler"

/* Ends the name of a permission that no stop needs: CheckPermissions tells of it even where it is not granted. */
#define PERMISSION_OPTIONAL_SUFFIX " (optional)"

/* The plugin API that this tree speaks; a host of API n serves plugins of n and n - 1. */
#define PLUGIN_API_VERSION 1U

#define PLUGIN_ID_MAX 24U
/* "admin": its user would be called like the group snooze-admin, whose members polkit trusts. A metric casts a vote by
 * its name, and what is configured for that would count for a plugin of this name. */
#define PLUGIN_ID_EXPECTED "[a-z][a-z0-9-]{0,23}, and not admin, cpu, memory, network, disk, gpu or input"
bool plugin_id_valid(const char *id);
/* What the daemon measures itself, as the source of a vote. */
bool metric_name_valid(const char *name);

#define PLUGIN_USER_PREFIX "snooze-"
/* The two slots of a plugin: while a version replaces another, one runs in each. */
#define PLUGIN_UNIT_PREFIX "snooze-plugin@"
#define PLUGIN_B_UNIT_PREFIX "snooze-plugin-b@"

#define EVENT_STOP_PENDING "snooze.stop.pending"
/* One line for every terminal ("notice" in its data) that announces no stop. */
#define EVENT_NOTICE "snooze.notice"

/* Below the state directory: what SetConfiguration changed. */
#define CONFIG_STATE_FILE "snooze.json"
#define STATE_DIRECTORY PKGSTATEDIR
/* Root's, in the middle of what is the daemon's: ID/VERSION/plugin.json, and the link ID/current to one of them. */
#define INSTALLED_PLUGINS PKGSTATEDIR "/plugins"
#define RUNTIME_DIRECTORY PKGRUNDIR
/* Below the state directory: one empty file for each plugin that may run (ConditionPathExists of its unit). */
#define ENABLED_DIRECTORY "enabled"
