/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Any bytes as a D-Bus message of a given signature. sd-bus lets no message through that is not well-formed, so it is
 * built by sd-bus, too; the bytes choose its values, and the types where a variant leaves them open. */

#include <stdint.h>

#include <systemd/sd-bus.h>

typedef struct Input {
        const uint8_t *data;
        size_t left;
        const char *const *words; /* that mean something to the reader, up to NULL; such come often */
} Input;

/* 0 where nothing is left. */
uint8_t input_take(Input *input);
uint64_t input_take_number(Input *input);
/* One of the words, or bytes that make valid UTF-8. Caller frees. */
char *input_take_text(Input *input);

/* A message to be read from its beginning, NULL where sd-bus allows no such one. Caller unrefs. */
sd_bus_message *message_from_input(const char *signature, Input *input);
/* Values of these types behind what the message has already. A negative errno where sd-bus allows no such ones. */
int message_append(sd_bus_message *m, const char *signature, Input *input);
/* An empty one, to be written to. Caller unrefs. */
sd_bus_message *message_empty(void);
