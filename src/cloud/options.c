/* SPDX-License-Identifier: Apache-2.0 */

#include "cloud/options.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "base/clock.h"

/* Less, and the alarm may come before the machine is off; more, and no clock can be set to it. */
#define WAKE_MIN USEC_PER_MINUTE
#define WAKE_MAX (366 * USEC_PER_DAY)

/* The contract's keys and their types. */
static const struct {
        const char *name;
        char type;
        const char *expected;
} keys[] = {
        { "action", 's', STOP_ACTIONS_EXPECTED },
        { "reason", 's', "a text" },
        { "dry-run", 'b', "a boolean" },
        { "wake", 't', "microseconds since the epoch" },
};

#define CANNOT "This cloud cannot %s a machine"

void cloud_actions_tell(SnoozePluginCall *call, unsigned actions) {
        char text[64];

        for (unsigned i = 0; i < STOP_ACTION_COUNT; i++) {
                if (actions & CLOUD_ACTION_MASK(i))
                        continue;
                (void) snprintf(text, sizeof(text), CANNOT, stop_action_names[i]);
                snooze_plugin_call_add_permission(call, stop_action_names[i], false, text);
        }
}

static int check_keys(SnoozePluginCall *call, const SnoozePluginDictionary *options) {
        const char *key;

        for (unsigned i = 0; (key = snooze_plugin_dictionary_get_key(options, i)); i++) {
                size_t k = 0;

                while (k < sizeof(keys) / sizeof(keys[0]) && strcmp(keys[k].name, key) != 0)
                        k++;
                if (k == sizeof(keys) / sizeof(keys[0]))
                        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                                       "%s: expected action, reason, dry-run or wake", key);
                if (snooze_plugin_dictionary_get_type(options, key) != keys[k].type)
                        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "%s: expected %s",
                                                       key, keys[k].expected);
        }
        return 0;
}

static int check_wake(SnoozePluginCall *call, const SnoozePluginDictionary *options, unsigned actions, uint64_t wake) {
        uint64_t ahead = usec_sub(wake, clock_realtime());

        if (!snooze_plugin_dictionary_has(options, "wake"))
                return 0;
        if (!(actions & CLOUD_WAKES))
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_NOT_SUPPORTED,
                                               "wake: a machine of this cloud does not wake up by itself");
        if (ahead < WAKE_MIN || ahead > WAKE_MAX)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "wake: expected a moment that is a minute to a year ahead");
        return 0;
}

int cloud_options_read(SnoozePluginCall *call, const SnoozePluginDictionary *options, unsigned actions,
                       CloudOptions *ret) {
        const char *action =
                snooze_plugin_dictionary_get_string(options, "action", stop_action_names[STOP_ACTION_STOP]);
        uint64_t wake = snooze_plugin_dictionary_get_uint(options, "wake", 0);
        StopAction wanted = stop_action_find(action);
        int r;

        r = check_keys(call, options);
        if (r >= 0)
                r = check_wake(call, options, actions, wake);
        if (r < 0)
                return r;
        if (wanted == STOP_ACTION_COUNT)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "action: expected " STOP_ACTIONS_EXPECTED ", not \"%s\"",
                                               action);
        if (!(actions & CLOUD_ACTION_MASK(wanted)))
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_NOT_SUPPORTED, CANNOT, action);
        *ret = (CloudOptions) {
                .action = wanted,
                .dry_run = snooze_plugin_dictionary_get_bool(options, "dry-run", false),
                .reason = snooze_plugin_dictionary_get_string(options, "reason", ""),
                .wake = wake,
        };
        return 0;
}

int cloud_options_read_stop(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                            unsigned actions, CloudOptions *ret) {
        int r = cloud_options_read(call, options, actions, ret);

        if (r < 0)
                return r;
        snooze_plugin_log(LOG_INFO, "Asked to %s %s%s: %s", stop_action_names[ret->action],
                          *instance_id ? instance_id : "this machine", ret->dry_run ? " (dry run)" : "",
                          *ret->reason ? ret->reason : "no reason given");
        return 0;
}

int cloud_options_read_start(SnoozePluginCall *call, bool own, const SnoozePluginDictionary *options,
                             CloudOptions *ret) {
        int r = cloud_options_read(call, options, CLOUD_ACTION_MASK(STOP_ACTION_STOP), ret);

        if (r < 0)
                return r;
        if (own)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "instance_id: this machine runs; name the one that is to be started");
        return 0;
}

int cloud_tags_read(SnoozePluginCall *call, const SnoozePluginDictionary *tags, const char *owner, unsigned most,
                    CloudTakeTag take, void *userdata) {
        const char *key;
        unsigned n = 0;
        int r;

        for (; (key = snooze_plugin_dictionary_get_key(tags, n)); n++) {
                r = take(call, key, snooze_plugin_dictionary_get_string(tags, key, NULL), userdata);
                if (r < 0)
                        return r;
        }
        if (n > most)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "tags: %u, %s takes at most %u", n, owner, most);
        return (int) n;
}
