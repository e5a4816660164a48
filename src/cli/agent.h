/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Lets polkit ask for a password on this terminal: polkit's own pkttyagent, registered for this process as a fallback,
 * so that a desktop's dialog comes first where there is one. */

#include <glib.h>

/* Nothing where it is not installed: the call is then refused, and says what to type instead. */
void agent_start(void);
gboolean agent_is_running(void);
void agent_stop(void);
