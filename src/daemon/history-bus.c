/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "daemon/manager-bus.h"

static void rows_known(GPtrArray *rows, const GError *error, void *userdata) {
        sd_bus_message *call = userdata;
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r;

        if (error)
                r = sd_bus_reply_method_errorf(call, ERROR_STORE, "History is not readable: %s", error->message);
        else {
                r = sd_bus_message_new_method_return(call, &reply);
                if (r >= 0)
                        r = append_rows(reply, rows, NULL);
                if (r >= 0)
                        r = sd_bus_send(NULL, reply, NULL);
                else
                        r = sd_bus_reply_method_errnof(call, r, "History could not be told");
        }
        (void) r;
        sd_bus_message_unref(call);
}

static int query(Manager *manager, sd_bus_message *message, unsigned kinds, sd_bus_error *error) {
        uint64_t since, until;
        uint32_t max;
        int r;

        r = sd_bus_message_read(message, "ttu", &since, &until, &max);
        if (r < 0)
                return r;
        if (max < 1 || max > STORE_QUERY_MAX)
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "max is %u, expected 1 to %u.", max, STORE_QUERY_MAX);
        r = store_query(manager->store, since, until > 0 ? until : UINT64_MAX, max, kinds, rows_known, sd_bus_message_ref(message));
        if (r < 0) {
                sd_bus_message_unref(message);
                return sd_bus_error_set(error, ERROR_STORE, "History is busy; try again.");
        }
        return 1;
}

int method_get_history(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return query(userdata, message, 0, error);
}

int method_get_samples(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return query(userdata, message, 1U << HISTORY_SAMPLE, error);
}
