/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What Nova says of a server. */

#include "api.h"

typedef struct Server {
        JsonObject *object;   /* borrowed from the reply */
        const char *vm_state; /* "active" "stopped" …: what it is, apart from what it is becoming */
        const char *task;     /* "powering-off" …; "" : nothing is under way */
} Server;

/* The job must have authenticated. */
void server_ask(CloudJob *job, ApiDone done);

/* false: the reply is a failure, or has no server of this id. The texts are borrowed from the reply. */
bool server_read(const CloudJob *job, const ApiReply *reply, Server *ret);

/* In the contract's words: running, pending, stopping, stopped, terminated, unknown. */
const char *server_state(const Server *server);
