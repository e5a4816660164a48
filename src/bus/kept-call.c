/* SPDX-License-Identifier: Apache-2.0 */

#include "bus/kept-call.h"

#include <stdbool.h>

#include "base/cleanup.h"

static int copy_flags(sd_bus_message *copy, sd_bus_message *call) {
        int r = sd_bus_message_set_expect_reply(copy, sd_bus_message_get_expect_reply(call));

        if (r >= 0)
                r = sd_bus_message_set_auto_start(copy, sd_bus_message_get_auto_start(call));
        if (r >= 0)
                r = sd_bus_message_set_allow_interactive_authorization(
                        copy, sd_bus_message_get_allow_interactive_authorization(call));
        return r;
}

/* A block at once: sd_bus_message_copy() would take it byte by byte. */
static int copy_block(sd_bus_message *copy, sd_bus_message *call) {
        const void *block;
        size_t size;
        int r = sd_bus_message_read_array(call, 'y', &block, &size);

        return r < 0 ? r : sd_bus_message_append_array(copy, 'y', block, size);
}

static int copy_body(sd_bus_message *copy, sd_bus_message *call) {
        int r = sd_bus_message_rewind(call, 1);

        if (r >= 0)
                r = sd_bus_message_has_signature(call, "ay") ? copy_block(copy, call)
                                                             : sd_bus_message_copy(copy, call, 1);
        return r < 0 ? r : sd_bus_message_rewind(call, 1);
}

/* As yet without a number, and so without an end. */
static int copy_head(sd_bus_message *call, sd_bus_message **ret) {
        _cleanup_bus_message_ sd_bus_message *copy = NULL;
        const char *sender = sd_bus_message_get_sender(call);
        int r = sd_bus_message_new_method_call(sd_bus_message_get_bus(call), &copy,
                                               sd_bus_message_get_destination(call), sd_bus_message_get_path(call),
                                               sd_bus_message_get_interface(call), sd_bus_message_get_member(call));

        if (r >= 0 && sender)
                r = sd_bus_message_set_sender(copy, sender);
        if (r >= 0)
                r = copy_flags(copy, call);
        if (r < 0)
                return r;
        *ret = steal(copy);
        return 0;
}

static int keep(sd_bus_message *call, bool with_body, sd_bus_message **ret) {
        _cleanup_bus_message_ sd_bus_message *copy = NULL;
        uint64_t cookie;
        int r = copy_head(call, &copy);

        if (r >= 0 && with_body)
                r = copy_body(copy, call);
        if (r >= 0)
                r = sd_bus_message_get_cookie(call, &cookie);
        if (r >= 0)
                r = sd_bus_message_seal(copy, cookie, 0);
        if (r < 0)
                return r;
        *ret = steal(copy);
        return 0;
}

int call_keep(sd_bus_message *call, sd_bus_message **ret) {
        return keep(call, true, ret);
}

int call_keep_head(sd_bus_message *call, sd_bus_message **ret) {
        return keep(call, false, ret);
}
