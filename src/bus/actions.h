/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which polkit action each method needs: one table, which the handlers, the drift test and the D-Bus reference
 * read. */

#include <glib.h>

#include "base/names.h"

#define ACTION_HOLD SNOOZE_ACTION_PREFIX "hold"
#define ACTION_HOLD_OTHERS SNOOZE_ACTION_PREFIX "hold-others"
#define ACTION_CHECK SNOOZE_ACTION_PREFIX "check"
#define ACTION_STOP SNOOZE_ACTION_PREFIX "stop"
#define ACTION_START SNOOZE_ACTION_PREFIX "start"
#define ACTION_PAUSE SNOOZE_ACTION_PREFIX "pause"
#define ACTION_EMIT_EVENT SNOOZE_ACTION_PREFIX "emit-event"
#define ACTION_EMIT_SYSTEM_EVENT SNOOZE_ACTION_PREFIX "emit-system-event"
#define ACTION_CONFIGURE SNOOZE_ACTION_PREFIX "configure"
#define ACTION_CALL_PLUGIN SNOOZE_ACTION_PREFIX "call-plugin"
#define ACTION_MANAGE_PLUGINS SNOOZE_ACTION_PREFIX "manage-plugins"
#define ACTION_INSTALL_PLUGINS SNOOZE_ACTION_PREFIX "install-plugins"
#define ACTION_APPROVE_PERMISSIONS SNOOZE_ACTION_PREFIX "approve-permissions"

typedef struct MethodAction {
        const char *interface;
        const char *member;
        const char *action;       /* NULL: reading, free for everybody */
        const char *other_action; /* asked instead in the case that the XML documents, or NULL */
        const char *command; /* that does the same from a shell, ID for the object's; NULL: none, busctl has to do */
        const char *arguments; /* for busctl then, as it wants them: signature and values; NULL: none */
} MethodAction;

/* Every method of Manager, Plugin, Provider and the helper (which itself looks at the callers of those without one);
 * ends with an entry of NULLs. */
extern const MethodAction method_actions[];

/* NULL if the table has no such method. */
const MethodAction *method_action_find(const char *interface, const char *member);

/* What a caller who was refused the method types instead: "sudo snooze stop", or where no verb does it the same call
 * by busctl. destination: the name that was called. */
char *method_alternative(const char *destination, const char *object, const char *interface, const char *member);
