/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a plugin answers to CheckIdle, read: votes that count, or a sentence. */

#include <glib.h>
#include <json-glib/json-glib.h>
#include <systemd/sd-bus.h>

#include "daemon/decision/decision.h"

#define SUBJECTS_OF_PLUGIN_MAX 64U
#define SUBJECT_NAME_MAX 64U /* bytes */

typedef struct CheckAnswer {
        GPtrArray *votes; /* Vote: the plugin's own, then its subjects' */
        uint64_t valid_for; /* µs */
} CheckAnswer;

/* Reads the reply of CheckIdle. An answer that is not as the contract says gives -EBADMSG and a sentence. The times
 * are monotonic. */
int check_answer_read(const char *id, sd_bus_message *reply, uint64_t begun, uint64_t now_monotonic,
                      uint64_t now_realtime, CheckAnswer *ret, char **ret_problem);
/* The same of an answer that was taken apart already; details NULL: none. */
int check_answer_make(const char *id, Verdict verdict, const char *reason, JsonObject *details, uint64_t begun,
                      uint64_t now_monotonic, uint64_t now_realtime, CheckAnswer *ret, char **ret_problem);
void check_answer_clear(CheckAnswer *answer);
