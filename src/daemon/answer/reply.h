/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What plugins answer, read: of a message that a plugin sent either nothing but what its contract allows, or a
 * sentence. (CheckIdle, what a source announces and what
 * a provider answers have files of their own.) */

#include <glib.h>
#include <json-glib/json-glib.h>
#include <systemd/sd-bus.h>

#include "manifest/manifest.h"

/* What a process says in its greeting that it has. */
typedef enum StateHeld {
        STATE_HELD_NONE,
        STATE_HELD_KEPT, /* left behind by one before it, newer than what the store has */
        STATE_HELD_LIVE, /* its own, newer than both */
} StateHeld;

/* All these return 0, or -EBADMSG with *ret_problem: what the plugin did, its name being the subject of the sentence.
 */

/* Handshake, of this version of a plugin; or 1, with a sentence as well: another version of it speaks, or one that has
 * another manifest, and nothing more is known of it but its state. *ret_version: as it says; NULL: it does not. */
int reply_read_greeting(const Manifest *manifest, sd_bus_message *reply, StateHeld *ret_held, char **ret_version,
                        char **ret_problem);
/* OpenChannel: a descriptor, which stays the message's. */
int reply_read_descriptor(sd_bus_message *reply, int *ret_fd, char **ret_problem);
/* (b, a{sv}): HandleEvent, Handle. */
int reply_read_result(sd_bus_message *reply, gboolean *ret_success, JsonObject **ret_result, char **ret_problem);
/* ExportState, of at most PLUGIN_STATE_MAX bytes. Here the sentence is about the state. */
int reply_read_state(sd_bus_message *reply, uint32_t *ret_version, GBytes **ret_state, char **ret_problem);
/* ProcessData, of at most PLUGIN_DATA_MAX bytes. */
int reply_read_block(sd_bus_message *reply, GBytes **ret_block, char **ret_problem);

/* A plugin's error as others may see it: its words without what steers a terminal, never empty, and its name only if
 * it is one of ours or one that says of a call what anybody may say of it. */
void reply_make_error(const sd_bus_error *refusal, sd_bus_error *ret);
/* It was never meant to do that. */
gboolean reply_is_unsupported(const sd_bus_error *refusal);
/* It can do nothing with what it was given. */
gboolean reply_is_about_arguments(const sd_bus_error *refusal);
/* Somebody whom it asked says no, or not now. */
gboolean reply_is_up_to_others(const sd_bus_error *refusal);
