/* SPDX-License-Identifier: Apache-2.0 */

#include "cloud/failure.h"

#include <glib.h>

#define DETAIL_MAX 300U

static bool is_passing(const HttpReply *reply) {
        return reply->problem == HTTP_UNREACHABLE || reply->problem == HTTP_TIMED_OUT || http_reply_is_passing(reply);
}

int cloud_fail_as(SnoozePluginCall *call, const HttpReply *reply, bool passing, const char *what, const char *detail) {
        const char *name = passing ? SNOOZE_PLUGIN_ERROR_THROTTLED : SNOOZE_PLUGIN_ERROR_REFUSED;
        g_autofree char *valid = detail ? g_utf8_make_valid(detail, -1) : NULL;
        g_autofree char *text = NULL;

        if (reply->problem != HTTP_ANSWERED)
                return snooze_plugin_call_fail(call, name, "%s: %s", what, reply->message);
        if (!valid || !*valid)
                return snooze_plugin_call_fail(call, name, "%s: the answer is %ld", what, reply->status);
        text = g_utf8_strlen(valid, -1) > DETAIL_MAX ? g_utf8_substring(valid, 0, DETAIL_MAX) : g_strdup(valid);
        return snooze_plugin_call_fail(call, name, "%s: %s (%ld)", what, text, reply->status);
}

int cloud_fail(SnoozePluginCall *call, const HttpReply *reply, const char *what, const char *detail) {
        return cloud_fail_as(call, reply, is_passing(reply), what, detail);
}

bool cloud_again_without_effect(const HttpReply *reply, void *userdata) {
        return reply->status == 429 || reply->status == 503;
}
