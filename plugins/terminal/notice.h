/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What stands on the terminals: the line that the daemon wrote, else one made of what the event says. A terminal obeys
 * control characters, and the reason in the line may come from anybody who may hold or stop: none gets through. */

#include <stddef.h>
#include <stdint.h>

#include <snooze/dictionary.h>

#define NOTICE_SIZE 768U

/* One clean line without its end. now: wall clock µs. */
void notice_write(const SnoozePluginDictionary *event, uint64_t now, char *text, size_t size);

/* Control characters become blanks, what is too long is cut at a character. size: of text. */
void notice_clean(const char *source, char *text, size_t size);
