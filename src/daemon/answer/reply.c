/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/answer/reply.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "base/names.h"
#include "bus/dictionary.h"
#include "daemon/answer/sizes.h"
#include "daemon/answer/words.h"
#include "util/json.h"
#include "util/line.h"
#include "util/version.h"

static int rubbish(char **ret_problem, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int rubbish(char **ret_problem, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        *ret_problem = g_strdup_vprintf(format, ap);
        va_end(ap);
        return -EBADMSG;
}

/* The contracts that it names must cover the manifest's; more are not used. One that names none is taken at its
 * manifest's word. */
static const char *missing_contract(const Manifest *manifest, JsonObject *info) {
        JsonArray *served = json_get_array(info, "contracts");

        for (char **contract = manifest->contracts; served && *contract; contract++) {
                gboolean found = FALSE;

                for (guint i = 0; i < json_array_get_length(served) && !found; i++) {
                        JsonNode *node = json_array_get_element(served, i);

                        found = JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING &&
                                g_str_equal(json_node_get_string(node), *contract);
                }
                if (!found)
                        return *contract;
        }
        return NULL;
}

static StateHeld read_state_word(JsonObject *info) {
        const char *word = json_get_string(info, "state", "");

        return g_str_equal(word, "live")   ? STATE_HELD_LIVE
               : g_str_equal(word, "kept") ? STATE_HELD_KEPT
                                           : STATE_HELD_NONE;
}

int reply_read_greeting(const Manifest *manifest, sd_bus_message *reply, StateHeld *ret_held, char **ret_version,
                        char **ret_problem) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autoptr(JsonObject) info = NULL;
        const char *id, *missing, *version;
        uint32_t api;

        if (sd_bus_message_read(reply, "u", &api) < 0 ||
            dictionary_read(reply, &dictionary_limits_default, &info, &error) < 0)
                return rubbish(ret_problem, "answered the greeting with rubbish: %s",
                               error.message ?: "not (u, a{sv})");
        if (!manifest_api_served(PLUGIN_API_VERSION, api)) {
                g_autofree char *expected = manifest_api_expected(PLUGIN_API_VERSION);

                return rubbish(ret_problem, "speaks version %u of the plugin API, expected %s", api, expected);
        }
        id = json_get_string(info, "id", manifest->id);
        if (!g_str_equal(id, manifest->id))
                return rubbish(ret_problem, "says that it is %s, expected %s", id, manifest->id);
        *ret_held = read_state_word(info);
        version = json_get_string(info, "version", NULL);
        if (version && !g_str_equal(version, manifest->version)) {
                (void) rubbish(ret_problem, "says that it is version %.*s, expected %s as in its plugin.json",
                               line_cut(version, 64), version, manifest->version);
                /* What it leaves is kept under that name. */
                if (version_valid(version))
                        *ret_version = g_strdup(version);
                return 1;
        }
        missing = missing_contract(manifest, info);
        if (missing) {
                (void) rubbish(ret_problem, "does not serve the contract %s of its manifest", missing);
                return 1;
        }
        *ret_version = g_strdup(version);
        return 0;
}

int reply_read_descriptor(sd_bus_message *reply, int *ret_fd, char **ret_problem) {
        if (sd_bus_message_read(reply, "h", ret_fd) < 0)
                return rubbish(ret_problem, "is none");
        return 0;
}

int reply_read_result(sd_bus_message *reply, gboolean *ret_success, JsonObject **ret_result, char **ret_problem) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        int success;

        if (sd_bus_message_read(reply, "b", &success) < 0 ||
            dictionary_read(reply, &dictionary_limits_default, ret_result, &error) < 0)
                return rubbish(ret_problem, "answered with rubbish: %s", error.message ?: "not (b, a{sv})");
        *ret_success = success;
        return 0;
}

int reply_read_state(sd_bus_message *reply, uint32_t *ret_version, GBytes **ret_state, char **ret_problem) {
        const void *data;
        size_t size;

        if (sd_bus_message_read(reply, "u", ret_version) < 0 ||
            sd_bus_message_read_array(reply, 'y', &data, &size) < 0)
                return rubbish(ret_problem, "its state is none");
        if (size > PLUGIN_STATE_MAX)
                return rubbish(ret_problem, "its state has %zu bytes, more than %u", size, PLUGIN_STATE_MAX);
        *ret_state = g_bytes_new(data, size);
        return 0;
}

int reply_read_block(sd_bus_message *reply, GBytes **ret_block, char **ret_problem) {
        const void *data;
        size_t size;

        if (sd_bus_message_read_array(reply, 'y', &data, &size) < 0)
                return rubbish(ret_problem, "answered with what is no block");
        if (size > PLUGIN_DATA_MAX)
                return rubbish(ret_problem, "answered with %zu bytes, a block may have %u", size, PLUGIN_DATA_MAX);
        *ret_block = g_bytes_new(data, size);
        return 0;
}

static gboolean name_known(const char *name) {
        return g_strv_contains(error_names, name) || g_str_equal(name, SD_BUS_ERROR_ACCESS_DENIED) ||
                g_str_equal(name, SD_BUS_ERROR_NOT_SUPPORTED) || g_str_equal(name, SD_BUS_ERROR_INVALID_ARGS);
}

void reply_make_error(const sd_bus_error *refusal, sd_bus_error *ret) {
        g_autofree char *words = plugin_words(refusal->message ?: "");

        if (name_known(refusal->name))
                sd_bus_error_set(ret, refusal->name, *words ? words : refusal->name);
        else
                sd_bus_error_setf(ret, ERROR_PLUGIN_FAILED, "%s: %s", refusal->name, words);
}

gboolean reply_is_unsupported(const sd_bus_error *refusal) {
        return sd_bus_error_has_name(refusal, ERROR_NOT_SUPPORTED) ||
               sd_bus_error_has_name(refusal, SD_BUS_ERROR_NOT_SUPPORTED);
}

gboolean reply_is_about_arguments(const sd_bus_error *refusal) {
        return sd_bus_error_has_name(refusal, ERROR_INVALID_ARGUMENT) ||
               sd_bus_error_has_name(refusal, SD_BUS_ERROR_INVALID_ARGS);
}

gboolean reply_is_up_to_others(const sd_bus_error *refusal) {
        static const char *const names[] = { ERROR_REFUSED, ERROR_THROTTLED,       ERROR_HELD,
                                             ERROR_BUSY,    ERROR_LIMITS_EXCEEDED, SD_BUS_ERROR_ACCESS_DENIED,
                                             NULL };

        return g_strv_contains(names, refusal->name);
}
