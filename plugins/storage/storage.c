/* SPDX-License-Identifier: Apache-2.0 */

/* Short texts by their names, for administrators' scripts: what a job wants to know after the machine was stopped and
 * started again. An example of RequestHandler and State. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <snooze/plugin.h>

#include "config.h"
#include "entries.h"

#define LIST_MAX 256U

typedef struct Storage {
        SnoozePluginInstance *instance;
        Entries *entries;
} Storage;

static int start(SnoozePluginInstance *instance, void *userdata) {
        Storage *storage = userdata;

        storage->instance = instance;
        return 0;
}

/* Every key has to be a known one, and a string: NULL where the call has been failed. */
static const char *take_params(SnoozePluginCall *call, const SnoozePluginDictionary *params,
                               const char *const *known) {
        const char *key;

        for (unsigned i = 0; (key = snooze_plugin_dictionary_get_key(params, i)); i++) {
                if (!g_strv_contains(known, key)) {
                        snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "“%s” is not known here",
                                                key);
                        return NULL;
                }
                if (snooze_plugin_dictionary_get_type(params, key) != 's') {
                        snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "“%s” has to be a string",
                                                key);
                        return NULL;
                }
        }
        return snooze_plugin_dictionary_get_string(params, "key", "");
}

static int answer_missing(SnoozePluginCall *call, const char *key) {
        SnoozePluginDictionary *result = snooze_plugin_call_get_result(call);

        snooze_plugin_dictionary_set_string(result, "error", "there is nothing of this name");
        snooze_plugin_dictionary_set_string(result, "key", key);
        return snooze_plugin_call_set_answer(call, false);
}

static int check_name(SnoozePluginCall *call, const char *key) {
        if (entry_name_valid(key))
                return 0;
        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                       "key: expected 1 to %u bytes without control characters", ENTRY_NAME_MAX);
}

static int store(Storage *storage, SnoozePluginCall *call, const SnoozePluginDictionary *params, const char *key) {
        gsize ceiling = (gsize) snooze_plugin_instance_get_integer(storage->instance, "max_kilobytes") * 1024;
        const char *value = snooze_plugin_dictionary_get_string(params, "value", NULL);
        SnoozePluginDictionary *result = snooze_plugin_call_get_result(call);
        int r;

        if (!value)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "value: expected a string");
        r = entries_set(storage->entries, key, value, ceiling);
        if (r == -E2BIG)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "value: at most %u bytes",
                                               ENTRY_TEXT_MAX);
        if (r < 0)
                return snooze_plugin_call_fail(
                        call, SNOOZE_PLUGIN_ERROR_REFUSED,
                        "Full: %" G_GSIZE_FORMAT " of %" G_GSIZE_FORMAT " bytes, %u of %u names",
                        entries_bytes(storage->entries), ceiling, entries_count(storage->entries), ENTRIES_MAX);
        snooze_plugin_dictionary_set_uint(result, "bytes", entries_bytes(storage->entries));
        return snooze_plugin_call_set_answer(call, true);
}

static int retrieve(Storage *storage, SnoozePluginCall *call, const SnoozePluginDictionary *params, const char *key) {
        const char *value = entries_get(storage->entries, key);

        if (!value)
                return answer_missing(call, key);
        snooze_plugin_dictionary_set_string(snooze_plugin_call_get_result(call), "value", value);
        return snooze_plugin_call_set_answer(call, true);
}

static int delete(Storage *storage, SnoozePluginCall *call, const SnoozePluginDictionary *params, const char *key) {
        if (!entries_remove(storage->entries, key))
                return answer_missing(call, key);
        return snooze_plugin_call_set_answer(call, true);
}

static int list(Storage *storage, SnoozePluginCall *call, const SnoozePluginDictionary *params, const char *key) {
        SnoozePluginDictionary *result = snooze_plugin_call_get_result(call);
        g_autoptr(GPtrArray) names = NULL;
        gboolean more;

        names = entries_list(storage->entries, snooze_plugin_dictionary_get_string(params, "prefix", ""),
                             snooze_plugin_dictionary_get_string(params, "after", NULL), LIST_MAX, &more);
        g_ptr_array_add(names, NULL);
        snooze_plugin_dictionary_set_strv(result, "keys", (const char *const *) names->pdata);
        snooze_plugin_dictionary_set_bool(result, "more", more);
        snooze_plugin_dictionary_set_uint(result, "count", entries_count(storage->entries));
        snooze_plugin_dictionary_set_uint(result, "bytes", entries_bytes(storage->entries));
        return snooze_plugin_call_set_answer(call, true);
}

static const struct {
        const char *name;
        const char *const known[4];
        gboolean has_key;
        int (*run)(Storage *storage, SnoozePluginCall *call, const SnoozePluginDictionary *params, const char *key);
} requests[] = {
        { "store", { "key", "value", NULL }, TRUE, store },
        { "retrieve", { "key", NULL }, TRUE, retrieve },
        { "delete", { "key", NULL }, TRUE, delete },
        { "list", { "prefix", "after", NULL }, FALSE, list },
};
static const char *const methods[] = { "store", "retrieve", "delete", "list", NULL };

static int handle_request(SnoozePluginCall *call, const char *method, const SnoozePluginDictionary *params,
                          void *userdata) {
        for (gsize i = 0; i < G_N_ELEMENTS(requests); i++) {
                const char *key;
                int r;

                if (!g_str_equal(requests[i].name, method))
                        continue;
                key = take_params(call, params, requests[i].known);
                if (!key)
                        return -EINVAL;
                r = requests[i].has_key ? check_name(call, key) : 0;
                return r < 0 ? r : requests[i].run(userdata, call, params, key);
        }
        return -EOPNOTSUPP;
}

static int export_state(SnoozePluginCall *call, void *userdata) {
        const Storage *storage = userdata;
        g_autoptr(GByteArray) data = entries_export(storage->entries);

        return snooze_plugin_call_set_state(call, ENTRIES_FORMAT, data->data, data->len);
}

static int import_state(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, void *userdata) {
        Storage *storage = userdata;

        if (version != ENTRIES_FORMAT)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "Format %u is not known, %u is", version, ENTRIES_FORMAT);
        if (entries_import(storage->entries, data, size) < 0)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "Of %zu bytes, expected names and texts, each with a NUL behind it",
                                               size);
        return 0;
}

int main(int argc, char *argv[]) {
        static const SnoozePluginSetting settings[] = {
                { "max_kilobytes", SNOOZE_PLUGIN_INTEGER, 1, 3072, .default_value = "1024" },
                { NULL },
        };
        Storage storage = { .entries = entries_new() };
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = "storage",
                .version = PACKAGE_VERSION,
                .description = "Keeps short texts by their names.",
                .userdata = &storage,
                .settings = settings,
                .start = start,
                .methods = methods,
                .handle_request = handle_request,
                .export_state = export_state,
                .import_state = import_state,
        };
        int r = snooze_plugin_main(&plugin, argc, argv);

        entries_free(storage.entries);
        return r;
}
