/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Input as logind knows it; never a blocking call. A graphical session tells logind when its user has gone idle
 * (IdleHint, IdleSinceHint), and that is followed by property changes; a session in a terminal tells which one, and
 * metrics/ looks at that itself. Counts only messages from logind's tracked unique name.
 *
 * The login screen and sessions without a person (cron, lingering services, file transfers) are no input. A desktop
 * that never says that it is idle is taken to be in use: there is no way to know better. */

#include <systemd/sd-bus.h>

#include "daemon/metrics/metrics.h"

typedef struct InputLogind InputLogind;

/* Something was told to metrics that was not known before. */
typedef void (*InputLogindChanged)(void *userdata);

int input_logind_new(sd_bus *bus, Metrics *metrics, InputLogindChanged changed, void *userdata, InputLogind **ret);
InputLogind *input_logind_free(InputLogind *input);

/* Why logind cannot be asked, for a person. NULL: it can. What it said last holds meanwhile. */
const char *input_logind_problem(const InputLogind *input);

/* "session 2 of bob (x11)": each desktop that began before this moment (wall clock) and has never said that it is
 * idle, or not since logind was restarted. Its person may not have paused for so long; more likely nothing in it ever
 * says so, and it keeps the machine on until somebody logs out. */
GPtrArray *input_logind_silent(const InputLogind *input, uint64_t before);

/* More sessions than this are not followed. */
#define INPUT_SESSIONS_MAX 1024U
