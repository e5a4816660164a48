/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The one sentence that says how things stand: what status prints first, and what setup ends with. */

#include "cli/cli.h"

/* From the cached properties. */
char *status_sentence(const Cli *cli);

/* The dry run's line if there is one, the sentence, and the details. */
int status_print(Cli *cli);

/* "Amazon EC2 (aws): a stop ends billing" */
char *status_provider_text(SnoozeClientProvider *provider, const char *id);

/* What a StopEffect means to somebody who pays. */
const char *status_effect_text(const char *effect);
