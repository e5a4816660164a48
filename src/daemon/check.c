/* SPDX-License-Identifier: Apache-2.0 */

/* CheckNow: one round of questions on a person's wish, answered at its end with the verdict of that moment. */

#include "base/clock.h"
#include "base/errors.h"
#include "daemon/manager-bus.h"

/* That wait for their round. A slow plugin keeps them for as long as it has to answer, and each comes on a connection
 * of its own if its caller likes. */
#define CHECKS_MAX 64U
#define CHECKS_PER_USER_MAX 16U

typedef struct PendingCheck {
        Manager *manager;
        sd_bus_message *call;
        uid_t uid;
} PendingCheck;

void manager_check_free(void *data) {
        PendingCheck *check = data;

        sd_bus_message_unref(check->call);
        g_free(check);
}

static void check_done(void *userdata) {
        PendingCheck *check = userdata;
        Manager *manager = check->manager;
        g_autofree char *reason = NULL;
        gboolean idle;

        manager_step(manager);
        reason = decision_assessment(manager->decision, clock_monotonic(), &idle);
        (void) sd_bus_reply_method_return(check->call, "bs", idle, reason);
        g_ptr_array_remove_fast(manager->checks, check);
}

static int check_ceilings(const Manager *manager, uid_t uid, sd_bus_error *error) {
        unsigned own = 0;

        for (guint i = 0; i < manager->checks->len; i++)
                own += ((const PendingCheck *) g_ptr_array_index(manager->checks, i))->uid == uid;
        if (own < CHECKS_PER_USER_MAX && manager->checks->len < CHECKS_MAX)
                return 0;
        return sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED,
                                 "%u checks of one user or %u in all are under way; wait for one of them.",
                                 CHECKS_PER_USER_MAX, CHECKS_MAX);
}

int manager_check_now(Manager *manager, sd_bus_message *call, uid_t uid, sd_bus_error *error) {
        g_autoptr(JsonObject) metrics = NULL;
        PendingCheck *check;
        int r;

        r = check_ceilings(manager, uid, error);
        if (r < 0)
                return r;
        check = g_new(PendingCheck, 1);
        *check = (PendingCheck) { .manager = manager, .call = sd_bus_message_ref(call), .uid = uid };
        g_ptr_array_add(manager->checks, check);
        manager_take_sample(manager);
        metrics = manager_metrics(manager);
        plugins_check(manager->plugins, metrics, TRUE, check_done, check);
        return 0;
}
