/* SPDX-License-Identifier: Apache-2.0 */

/* CheckNow: one round of questions on a person's wish, answered at its end with the verdict of that moment. */

#include "base/clock.h"
#include "daemon/manager-bus.h"

typedef struct PendingCheck {
        Manager *manager;
        sd_bus_message *call;
} PendingCheck;

void manager_check_free(void *data) {
        PendingCheck *check = data;

        sd_bus_message_unref(check->call);
        g_free(check);
}

/* The first source that decides and does not say idle, as Explain names it. */
static char *reason_of(GPtrArray *votes, gboolean idle) {
        for (guint i = 0; !idle && i < votes->len; i++) {
                const Explained *vote = g_ptr_array_index(votes, i);

                if ((vote->policy == POLICY_REQUIRED || vote->policy == POLICY_SUFFICIENT) &&
                    (vote->verdict == VERDICT_BUSY || vote->verdict == VERDICT_UNKNOWN))
                        return g_strdup_printf("%s: %s", vote->source, vote->reason);
        }
        return g_strdup(idle ? "every source that decides says idle" : "no source that decides can say anything");
}

static void check_done(void *userdata) {
        PendingCheck *check = userdata;
        Manager *manager = check->manager;
        g_autoptr(GPtrArray) votes = NULL;
        g_autofree char *reason = NULL;
        gboolean idle;

        manager_step(manager);
        idle = manager->outcome.idle;
        votes = decision_explain(manager->decision, clock_monotonic());

        reason = reason_of(votes, idle);
        (void) sd_bus_reply_method_return(check->call, "bs", idle, reason);
        g_ptr_array_remove_fast(manager->checks, check);
}

int manager_check_now(Manager *manager, sd_bus_message *call) {
        PendingCheck *check = g_new0(PendingCheck, 1);
        g_autoptr(JsonObject) metrics = NULL;

        check->manager = manager;
        check->call = sd_bus_message_ref(call);
        g_ptr_array_add(manager->checks, check);
        manager_take_sample(manager);
        metrics = manager_metrics(manager);
        plugins_check(manager->plugins, metrics, TRUE, check_done, check);
        return 0;
}
