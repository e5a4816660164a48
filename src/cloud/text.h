/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Texts that come from outside: what they may consist of before they become part of a path, a host's name or a header.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-glib/json-glib.h>

#define TEXT_LOWER "abcdefghijklmnopqrstuvwxyz"
#define TEXT_UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define TEXT_DIGITS "0123456789"

/* 1 to most characters, all of them among those. NULL is none. */
bool text_consists_of(const char *text, const char *characters, size_t most);
/* 1 to most characters of ASCII that can be seen. NULL is none. */
bool text_is_plain(const char *text, size_t most);

/* Overwrites a secret, and frees it. NULL is fine. */
void text_erase(char *text);

/* "2017-09-18T08:22:00Z", in UTC where no zone is named, or "21 Jan 2019 09:00:43 GMT" as HTTP has it: wall clock µs.
 * 0: none. */
uint64_t text_time(const char *text);

/* A JSON object; NULL where the text is none, and, if asked for, why, which the caller frees. Not for secrets: why may
 * quote. */
JsonNode *text_parse_object(const char *name, const char *text, char **ret_problem);
