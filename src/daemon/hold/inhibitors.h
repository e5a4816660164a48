/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* logind's own block inhibitors for shutdown, sleep and idle count as block holds. ListInhibitors is asked at start
 * and whenever logind's BlockInhibited property changes; our own and the local provider's do not count. */

#include <systemd/sd-bus.h>

#include "daemon/hold/hold.h"

typedef struct Inhibitors Inhibitors;

int inhibitors_new(sd_bus *bus, Holds *holds, Inhibitors **ret);
Inhibitors *inhibitors_free(Inhibitors *inhibitors);

/* Asks again now, for a last look; done is called when the answer was taken in or did not come in time. */
int inhibitors_refresh(Inhibitors *inhibitors, void (*done)(void *userdata), void *userdata);
