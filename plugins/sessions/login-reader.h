/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Adds the sessions of users to a snapshot, from logind's records, by libsystemd's login API. Without logind there are
 * none, and the snapshot says so. */

#include "snapshot.h"

/* 0 or -ENOMEM. */
int login_read(Snapshot *snapshot);
