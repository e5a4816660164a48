/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* polkit, asked without waiting. authorize() parks the call, asks CheckAuthorization about the message's sender (its
 * unique name), and when the verdict is there puts the message back into the queue, so that the same handler runs
 * again from its first line and finds the verdict. Hence: nothing may change before authorize() returned 1, and a
 * handler asks for at most one action per call, with the same details both times.
 *
 * Interaction is offered only if the message allows it. The question has a time-out of its own (long: a person may
 * have to type a password), is cancelled when the caller leaves the bus, and is answered "no" where polkit cannot be
 * asked. Sender and daemon sharing a uid is no shortcut: polkit is always asked. */

#include <stdbool.h>

#include <systemd/sd-bus.h>

#include "bus/caller.h"

typedef struct Authorizer Authorizer;

/* The bus must stay open as long as the authorizer lives. callers says whose a question is; NULL: nobody is known. 0
 * or a negative errno. */
int authorizer_new(sd_bus *bus, const Callers *callers, Authorizer **ret);

/* Cancels every question under way; the parked calls get no reply from here on. NULL is fine. */
Authorizer *authorizer_free(Authorizer *authorizer);

/* Whatever the method, a detail of this name has all of the others as one line (request.h): the policy's messages show
 * it to whoever is to authenticate. */
#define DETAIL_REQUEST "request"

/* details: key, value, key, value, …, NULL; shown by polkit's agents ("$(plugin)") and seen by its rules,
 * each as request_detail() makes it. May be NULL.
 *
 *  1: authorized, go on
 *  0: parked; return 1 from the handler ("handled")
 * <0: refused or failed; *error is set (AccessDenied with what to type instead, InteractiveAuthorizationRequired,
 *     LimitsExceeded); return it. */
int authorize(Authorizer *authorizer, sd_bus_message *message, const char *action, const char *const *details,
              sd_bus_error *error);

/* The same with the method's own action of bus/actions.h, for objects that do not know whom they belong to. what: of
 * whom or what something is asked, in the words of history. */
typedef int (*CallAdmission)(sd_bus_message *message, const char *const *details, const char *what,
                             sd_bus_error *error, void *userdata);
/* Once authorized, before a call that makes others work for its caller: whether he may have another one so soon. */
typedef int (*CheckAllowance)(sd_bus_message *message, sd_bus_error *error, void *userdata);

/* The message was parked and is on its way through the loop for another time: whoever counts calls counted it
 * already. */
bool authorizer_knows(const Authorizer *authorizer, sd_bus_message *message);

/* Calls that wait for polkit now, of all senders. */
unsigned authorizer_pending(const Authorizer *authorizer);

/* At most these: one connection's questions, one user's (all that are not known yet together count as one), and
 * everybody's. Any user can make polkit hang, by an agent of his own that does not answer; so a part is kept for
 * holds, which nobody may be kept from. */
#define AUTHORIZE_PENDING_PER_SENDER_MAX 8U
#define AUTHORIZE_PENDING_PER_USER_MAX 16U
#define AUTHORIZE_PENDING_MAX 64U
#define AUTHORIZE_PENDING_KEPT_FOR_HOLDS 16U

/* A larger block (call_bulk()) does not wait for a person: it is asked about as if its call did not allow interaction.
 * All that wait for one have 8 MiB at most, so of CALLS_BULK_MAX there is room for a block of 16 MiB, whatever agents
 * do not answer. */
#define AUTHORIZE_INTERACTIVE_BULK_MAX ((size_t) 128 * 1024)
