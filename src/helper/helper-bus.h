/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the handlers of io.cloudsnooze.Helper1 have in common. */

#include "helper/helper.h"

/* Whose call it is, counted once. 0: parked. */
int helper_check_rate(Helper *helper, sd_bus_message *call, uid_t *ret_uid, sd_bus_error *error);
int helper_read_id(sd_bus_message *call, const char **ret, sd_bus_error *error);
/* 1: root or the daemon. 0: parked. */
int helper_check_service(Helper *helper, sd_bus_message *call, sd_bus_error *error);
/* Answers when what was changed of this plugin is in force. removed: its user is to go. */
int helper_finish(Helper *helper, sd_bus_message *call, const char *id, unsigned changed, gboolean removed);

/* Before anything of it is written: it is to be known, whatever its removal left undone. */
gboolean helper_note_known(Helper *helper, const char *id, GError **error);

int helper_no_such_plugin(sd_bus_error *error, const GError *e);
int helper_not_written(sd_bus_error *error, const GError *e);
/* The same where a part may be: what was changed is to be in force as far as it goes. */
int helper_half_written(Helper *helper, const char *id, unsigned changed, sd_bus_error *error, const GError *e);
/* The answer of ListPermissions and ListVersionPermissions. packaged negative: is not part of it. */
int helper_reply_permissions(Helper *helper, sd_bus_message *call, const Manifest *manifest, int packaged,
                             sd_bus_error *error);

/* versions-bus.c */
int method_install(sd_bus_message *call, void *userdata, sd_bus_error *error);
int method_remove_versions(sd_bus_message *call, void *userdata, sd_bus_error *error);
int method_provision_version(sd_bus_message *call, void *userdata, sd_bus_error *error);
int method_switch_version(sd_bus_message *call, void *userdata, sd_bus_error *error);
int method_list_version_permissions(sd_bus_message *call, void *userdata, sd_bus_error *error);
