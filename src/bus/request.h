/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a call asks for, as one line for the dialogue in which a person is to authenticate: `StopInstance: reason
 * "going home", action "stop", delay "5 min"`. The caller words part of it; so each value stands in quotes that it
 * cannot end, is one line without anything that steers a terminal or is markup, and has an end. */

#define REQUEST_VALUE_MAX 160 /* bytes */
#define REQUEST_MAX 800U

/* The value alone, whole. Some agents show each detail beside the message, as markup, too; and rules decide by it, so
 * that nothing is left out. Caller frees. */
char *request_detail(const char *value);

/* details: key, value, …, NULL; may be NULL. Left out are values that are empty or "false". */
char *request_text(const char *member, const char *const *details);
