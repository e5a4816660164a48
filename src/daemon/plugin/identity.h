/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Who owns a plugin's name? With systemd on the bus, its owner is that plugin only if its user is snooze-<id> and its
 * process is the main process of the plugin's unit; both are asked between two GetNameOwner calls, so that nobody else
 * can have owned the name meanwhile. On a bus without systemd there is nothing to compare with: the owner is taken as
 * it is, which GetResources' `enforced` and an empty Unit say. */

#include <stdbool.h>

#include <sys/types.h>

#include <systemd/sd-bus.h>

typedef struct Identity Identity;

/* message: NULL: it is the plugin; otherwise why not. pid 0: not told. The check is freed afterwards. */
typedef void (*IdentityDone)(const char *message, pid_t pid, void *userdata);

/* systemd: its unique name, or NULL where there is none. owner: the unique name that is believed to own `name`; where
 * that is NULL it only waits for it, and who it is says its unit alone. */
Identity *identity_begin(sd_bus *bus, const char *systemd, const char *id, const char *name, const char *unit,
                         const char *owner, IdentityDone done, void *userdata);
/* done is not called. NULL is fine. */
Identity *identity_cancel(Identity *identity);
