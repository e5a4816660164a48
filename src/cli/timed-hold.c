/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/timed-hold.h"

#include <stdio.h>

#include "cli/output.h"

void timed_hold_print_json(guint cookie, guint64 until, gboolean stored) {
        JsonObject *object = json_object_new();

        if (cookie > 0)
                json_object_set_int_member(object, "cookie", cookie);
        json_object_set_int_member(object, "until", (gint64) until);
        if (!stored)
                json_object_set_boolean_member(object, "stored", FALSE);
        json_print(json_of_object(object));
}

int timed_hold_fail(const Cli *cli, GError *failure, guint64 until) {
        g_autofree char *message = snooze_client_error_message(failure);
        unsigned cookie;

        /* As the interface says that it begins. */
        if (cli->json && snooze_client_error_is(failure, "Store") && sscanf(message, "Hold %u stands", &cookie) == 1)
                timed_hold_print_json(cookie, until, FALSE);
        return cli_fail(cli, failure);
}
