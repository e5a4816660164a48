/* SPDX-License-Identifier: Apache-2.0 */

/* What outlives the process. Times travel as ages, so that the reader needs no clock of the writer's but how long ago
 * it was. */

#include <errno.h>

#include "daemon/decision/decision-private.h"
#include "util/json.h"

#define EXPORT_VERSION 1
#define GAP_CHECK_INTERVALS 3
#define AGE_MAX (100 * INT64_C(366) * 24 * 3600 * 1000000)

/* What was read, whole and checked, before any of it counts. */
typedef struct Record {
        State state;
        gint64 idle_age, rehearsed_age, delay; /* rehearsed_age -1: none */
        const char *reason, *refusal, *request; /* request NULL: none stands */
        gboolean asked, force, dry_run;
} Record;

/* Two clocks are not read at once. */
#define AGE_TOLERANCE (10 * INT64_C(1000))

static gint64 age_of(uint64_t moment, uint64_t now) {
        return (gint64) MIN(usec_sub(now, moment), (uint64_t) AGE_MAX);
}

/* Its strings are the decision's. */
static Record record_of(const Decision *decision, uint64_t now) {
        const Request *request = &decision->request;
        Record record = {
                /* A rehearsed stop is none. */
                .state = decision->rehearsing ? STATE_IDLE : decision->state,
                .idle_age = age_of(decision->idle_since, now),
                .asked = (decision->asked || decision->attempted) && !decision->rehearsing,
                .reason = decision->stage_reason,
                /* What else latches is seen again. */
                .refusal = decision->refused ? decision->refusal : NULL,
                .rehearsed_age = decision->rehearsed_at > 0 ? age_of(decision->rehearsed_at, now) : -1,
        };

        if (request->standing) {
                record.request = request->reason;
                record.delay = (gint64) MIN(request->delay, (uint64_t) AGE_MAX);
                record.force = request->force;
                record.dry_run = request->dry_run;
        }
        return record;
}

JsonObject *decision_export(const Decision *decision, uint64_t now) {
        JsonObject *object = json_object_new();
        Record record = record_of(decision, now);

        json_object_set_int_member(object, "version", EXPORT_VERSION);
        json_object_set_string_member(object, "state", state_name(record.state));
        json_object_set_int_member(object, "idle_age", record.idle_age);
        json_object_set_boolean_member(object, "asked", record.asked);
        if (record.reason)
                json_object_set_string_member(object, "reason", record.reason);
        if (record.refusal)
                json_object_set_string_member(object, "refusal", record.refusal);
        if (record.rehearsed_age >= 0)
                json_object_set_int_member(object, "rehearsed_age", record.rehearsed_age);
        if (record.request) {
                JsonObject *request = json_object_new();

                json_object_set_string_member(request, "reason", record.request);
                json_object_set_int_member(request, "delay", record.delay);
                json_object_set_boolean_member(request, "force", record.force);
                json_object_set_boolean_member(request, "dry_run", record.dry_run);
                json_object_set_object_member(object, "request", request);
        }
        return object;
}

static gboolean has_type(JsonObject *object, const char *member, GType type) {
        JsonNode *node = json_object_get_member(object, member);

        return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type;
}

/* Missing is fine where `fallback` is given. */
static gboolean read_age(JsonObject *object, const char *member, const gint64 *fallback, gint64 *ret) {
        if (!json_object_has_member(object, member)) {
                if (fallback)
                        *ret = *fallback;
                return fallback != NULL;
        }
        if (!has_type(object, member, G_TYPE_INT64))
                return FALSE;
        *ret = json_object_get_int_member(object, member);
        return *ret >= 0 && *ret <= AGE_MAX;
}

static gboolean read_flag(JsonObject *object, const char *member, gboolean *ret) {
        if (!has_type(object, member, G_TYPE_BOOLEAN))
                return FALSE;
        *ret = json_object_get_boolean_member(object, member);
        return TRUE;
}

static gboolean read_text(JsonObject *object, const char *member, const char **ret) {
        *ret = NULL;
        if (!json_object_has_member(object, member))
                return TRUE;
        if (!has_type(object, member, G_TYPE_STRING))
                return FALSE;
        *ret = json_object_get_string_member(object, member);
        return TRUE;
}

static gboolean read_request(JsonObject *object, Record *record) {
        JsonObject *request;

        if (!json_object_has_member(object, "request"))
                return TRUE;
        request = json_get_object(object, "request");
        return request && read_text(request, "reason", &record->request) && record->request &&
               read_age(request, "delay", NULL, &record->delay) && read_flag(request, "force", &record->force) &&
               read_flag(request, "dry_run", &record->dry_run);
}

static gboolean read_record(JsonObject *object, Record *record) {
        const gint64 none = -1;
        int state;

        if (json_get_int(object, "version", 0) != EXPORT_VERSION)
                return FALSE;
        state = state_from_name(json_get_string(object, "state", NULL));
        if (state < 0)
                return FALSE;
        record->state = (State) state;
        return read_age(object, "idle_age", NULL, &record->idle_age) && read_flag(object, "asked", &record->asked) &&
               read_age(object, "rehearsed_age", &none, &record->rehearsed_age) &&
               read_text(object, "reason", &record->reason) && read_text(object, "refusal", &record->refusal) &&
               read_request(object, record);
}

static void restore_request(Decision *decision, uint64_t now, const Record *record) {
        decision->request = (Request) {
                .standing = TRUE,
                .force = record->force,
                .dry_run = record->dry_run,
                .delay = (uint64_t) record->delay,
                .reason = g_strdup(record->request),
        };
        decision->state = record->state == STATE_WARNING ? STATE_WARNING : STATE_STOPPING;
        /* In full again: who was to be warned may have missed it. */
        decision->deadline = record->state == STATE_WARNING ? usec_add(now, decision->request.delay) : 0;
}

static gboolean grew_by(gint64 before, gint64 after, uint64_t age) {
        gint64 expected = (gint64) MIN((uint64_t) before + age, (uint64_t) AGE_MAX);

        if (before < 0 || after < 0)
                return before < 0 && after < 0;
        return ABS(after - expected) <= AGE_TOLERANCE;
}

gboolean decision_is_as_exported(const Decision *decision, uint64_t now, uint64_t age, JsonObject *exported) {
        Record before = {}, after = record_of(decision, now);

        return read_record(exported, &before) && before.state == after.state && before.asked == after.asked &&
               grew_by(before.idle_age, after.idle_age, age) &&
               grew_by(before.rehearsed_age, after.rehearsed_age, age) &&
               g_strcmp0(before.reason, after.reason) == 0 && g_strcmp0(before.refusal, after.refusal) == 0 &&
               g_strcmp0(before.request, after.request) == 0 && before.delay == after.delay &&
               before.force == after.force && before.dry_run == after.dry_run;
}

/* An automatic stop that the provider has not been asked for is decided anew: from idle, with the clock as it was. */
static void restore_state(Decision *decision, uint64_t now, const Record *record) {
        if (record->asked) {
                stage_enter(decision, STATE_STOPPING, record->reason);
                if (record->request)
                        restore_request(decision, now, record);
                decision->state = STATE_STOPPING;
                decision->called = decision->asked = decision->attempted = TRUE;
                return;
        }
        if (record->request && (record->state == STATE_WARNING || record->state == STATE_STOPPING)) {
                stage_enter(decision, record->state, record->reason);
                restore_request(decision, now, record);
                return;
        }
        switch (record->state) {
        case STATE_IDLE:
        case STATE_WARNING:
        case STATE_STOPPING:
                stage_enter(decision, STATE_IDLE, record->state == STATE_IDLE ? record->reason : NULL);
                break;
        default:
                stage_enter(decision, STATE_ACTIVE, NULL);
        }
}

int decision_import(Decision *decision, uint64_t now, uint64_t age, uint64_t gap, JsonObject *exported) {
        double limit = GAP_CHECK_INTERVALS * decision->config->check_interval_seconds * (double) USEC_PER_SEC;
        uint64_t since_export = usec_sub(now, age);
        Record record = {};

        if (!read_record(exported, &record))
                return -EBADMSG;

        decision->calm_until = 0;
        stage_end_request(decision);
        restore_state(decision, now, &record);
        decision->reported = decision->state;
        if ((double) gap > limit)
                decision->idle_since = now;
        else
                decision->idle_since = usec_sub(since_export, (uint64_t) record.idle_age);
        decision->warned_clock = 0;
        decision->rehearsed_at =
                record.rehearsed_age < 0 ? 0 : MAX(usec_sub(since_export, (uint64_t) record.rehearsed_age), 1);
        g_free(decision->refusal);
        decision->refusal = g_strdup(record.refusal);
        decision->refused = record.refusal != NULL;
        return 0;
}

gboolean decision_was_asked(const Decision *decision) {
        return decision->asked;
}
