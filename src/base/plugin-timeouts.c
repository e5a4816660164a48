/* SPDX-License-Identifier: Apache-2.0 */

#include "base/plugin-timeouts.h"

#include <string.h>

const PluginTimeoutEntry plugin_timeouts[TIMEOUT_COUNT] = {
        [TIMEOUT_START] = { "start", 30 },       [TIMEOUT_INITIALIZE] = { "initialize", 10 },
        [TIMEOUT_CHECK] = { "check", 5 },        [TIMEOUT_EVENT] = { "event", 60 },
        [TIMEOUT_PROVIDER] = { "provider", 60 }, [TIMEOUT_EXPORT] = { "export", 10 },
        [TIMEOUT_SHUTDOWN] = { "shutdown", 10 }, [TIMEOUT_STREAM] = { "stream", 3600 },
};

PluginTimeout plugin_timeout_find(const char *name) {
        PluginTimeout timeout = 0;

        while (timeout < TIMEOUT_COUNT && strcmp(plugin_timeouts[timeout].name, name) != 0)
                timeout++;
        return timeout;
}
