/* SPDX-License-Identifier: Apache-2.0 */

/* Tags of this machine, which are labels here. docs.cloud.google.com/compute/docs/labeling-resources: at most 64; keys
 * and values of at most 63 characters, lower case letters, digits, "_" and "-"; a key begins with a letter. Tags have
 * other characters by nature
 * ("CloudSnooze:StopReason"): letters become lower case, everything else "_", and a value is cut
 * ("cloudsnooze_stopreason").
 *
 * setLabels replaces all of them, and takes them only with the fingerprint of what they were: who came between makes
 * it fail with 412. */

#include "instance.h"
#include "operation.h"
#include "util/json.h"

#define LABELS_MAX 64U

static const Deed setting = { "setLabels", NULL, false };

static void on_got(CloudJob *job, const CloudReply *reply);

static void on_set(CloudJob *job, const CloudReply *reply) {
        Extra *extra = gcp_extra(job);

        if (!reply->object && reply->http->status == 412 && !extra->conflict) {
                extra->conflict = true;
                instance_get(job, on_got);
                return;
        }
        operation_follow(job, reply, &setting);
}

static void on_got(CloudJob *job, const CloudReply *reply) {
        JsonObject *old = reply->object ? json_get_object(reply->object, "labels") : NULL;
        g_autoptr(JsonObject) body = json_object_new();
        JsonObject *labels = old ? json_object_ref(old) : json_object_new();
        g_autofree char *text = NULL;
        bool changed;
        unsigned n;

        json_object_set_object_member(body, "labels", labels);
        if (!reply->object) {
                api_fail(job, reply, "get");
                return;
        }
        n = labels_merge(gcp_extra(job)->labels, labels, &changed);
        if (n > LABELS_MAX) {
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_REFUSED, "%s would have %u labels: Google takes at most %u",
                               last_part(gcp_extra(job)->target), n, LABELS_MAX);
                return;
        }
        if (!changed) {
                cloud_job_end(job, 0);
                return;
        }
        json_object_set_string_member(body, "labelFingerprint",
                                      json_get_string(reply->object, "labelFingerprint", ""));
        text = json_object_text(body);
        api_act(job, "setLabels", "", text, on_set);
}

static int take_tag(SnoozePluginCall *call, const char *key, const char *value, void *userdata) {
        GHashTable *labels = userdata;
        g_autofree char *label = label_text(key);

        if (!value || !g_ascii_islower(label[0]) || g_utf8_strlen(key, -1) > (glong) LABEL_MAX)
                return snooze_plugin_call_fail(
                        call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                        "tags: %s: a label's key begins with a letter and has at most %u characters", key, LABEL_MAX);
        if (g_hash_table_contains(labels, label))
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "tags: %s: another tag is the label %s, too", key, label);
        g_hash_table_insert(labels, g_steal_pointer(&label), label_text(value));
        return 0;
}

int gcp_set_tags(SnoozePluginCall *call, const SnoozePluginDictionary *tags, void *userdata) {
        g_autoptr(GHashTable) labels = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        int r = cloud_tags_read(call, tags, "Google", LABELS_MAX, take_tag, labels);
        CloudJob *job;

        if (r <= 0)
                return r;
        job = cloud_job_new(userdata, call, NULL);
        gcp_extra(job)->labels = g_steal_pointer(&labels);
        instance_begin(job, on_got);
        return SNOOZE_PLUGIN_LATER;
}
