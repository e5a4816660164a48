/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a Problem is about, for a program that reads it: the XML of Manager.Problem has the keys. */

#include "daemon/manager.h"

JsonObject *problem_details(Manager *manager, const char *source, const char *message);
