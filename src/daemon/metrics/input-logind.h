/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Input as logind knows it: the sessions' IdleHint and IdleSinceHint, followed by property changes; never a blocking call. Counts only
 * messages from logind's tracked unique name. Where there is no logind, available is FALSE and why says so. */

#include <systemd/sd-bus.h>

#include "daemon/metrics/metrics.h"

typedef struct InputLogind InputLogind;

typedef void (*InputLogindChanged)(void *userdata);

int input_logind_new(sd_bus *bus, Metrics *metrics, InputLogindChanged changed, void *userdata, InputLogind **ret);
InputLogind *input_logind_free(InputLogind *input);

/* NULL: fine. */
const char *input_logind_problem(const InputLogind *input);
