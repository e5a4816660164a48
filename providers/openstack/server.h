/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A server, asked of Nova. */

#include "api.h"

/* See parse_server() for the answer. */
void server_ask(CloudJob *job, CloudCallDone done);
