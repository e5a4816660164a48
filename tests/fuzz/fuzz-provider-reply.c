/* SPDX-License-Identifier: Apache-2.0 */

/* Any bytes as what a provider says of an instance, of its permissions, of itself, and whether it is here; the first
 * byte says which. It is refused with a sentence, or it is what the contract says, in words that steer no terminal. */

#include <string.h>

#include "base/cleanup.h"
#include "daemon/provider/provider.h"
#include "message.h"
#include "util/json.h"
#include "util/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX 1024U
#define NAME_MAX_BYTES 256U
#define PERMISSIONS_MAX 256U

static void assert_plain(const char *text, size_t max) {
        g_assert_cmpuint(strlen(text), <=, max);
        g_assert_true(g_utf8_validate(text, -1, NULL));
        for (const char *c = text; *c; c = g_utf8_next_char(c))
                g_assert_false(character_steers(g_utf8_get_char(c)));
}

static void assert_strings(JsonObject *object) {
        JsonObjectIter iter;
        const char *key;
        JsonNode *value;

        json_object_iter_init(&iter, object);
        while (json_object_iter_next(&iter, &key, &value)) {
                assert_plain(key, TEXT_MAX);
                if (g_str_equal(key, "launch-time"))
                        g_assert_cmpint(json_node_get_int(value), >=, 0);
                else if (JSON_NODE_HOLDS_OBJECT(value))
                        assert_strings(json_node_get_object(value));
                else
                        assert_plain(json_node_get_string(value), TEXT_MAX);
        }
}

static void try_info(sd_bus_message *m) {
        g_autofree char *problem = NULL;
        g_autoptr(JsonObject) info = instance_info_read(m, &problem);

        if (info)
                assert_strings(info);
        else
                g_assert_nonnull(problem);
}

static void try_permissions(sd_bus_message *m) {
        g_autofree char *problem = NULL;
        g_autoptr(JsonArray) permissions = permissions_read(m, &problem);

        if (!permissions) {
                g_assert_nonnull(problem);
                return;
        }
        g_assert_cmpuint(json_array_get_length(permissions), <=, PERMISSIONS_MAX);
        for (guint i = 0; i < json_array_get_length(permissions); i++) {
                JsonObject *row = json_array_get_object_element(permissions, i);

                assert_plain(json_get_string(row, "name", "\n"), TEXT_MAX);
                assert_plain(json_get_string(row, "explanation", "\n"), TEXT_MAX);
        }
}

static void try_description(sd_bus_message *m) {
        _cleanup_(provider_description_clear) ProviderDescription description = {};
        g_autofree char *problem = NULL;

        if (provider_description_read(m, &description, &problem) < 0) {
                g_assert_nonnull(problem);
                return;
        }
        if (description.name)
                assert_plain(description.name, NAME_MAX_BYTES);
        if (description.version)
                assert_plain(description.version, NAME_MAX_BYTES);
        g_assert_true(stop_effect_known(description.stop_effect));
}

static void try_detection(sd_bus_message *m) {
        g_autofree char *problem = NULL;
        gboolean detected = 2;

        if (detection_read(m, &detected, &problem) < 0)
                g_assert_nonnull(problem);
        else
                g_assert_true(detected == TRUE || detected == FALSE);
}

/* At the end, so that what stands in the corpus keeps its meaning. */
static const struct {
        const char *signature;
        void (*attempt)(sd_bus_message *m);
} replies[] = {
        { "a{sv}", try_info },
        { "a(sbs)", try_permissions },
        { "a{sv}", try_description },
        { "b", try_detection },
        { "s", try_detection },
        { "v", try_detection },
        { "", try_detection },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char *const words[] = { "id",
                                             "name",
                                             "type",
                                             "region",
                                             "zone",
                                             "state",
                                             "lifecycle",
                                             "launch-time",
                                             "tags",
                                             "StopEffect",
                                             "ProviderName",
                                             "ProviderVersion",
                                             "stops-billing",
                                             "terminates",
                                             "\x1b[2J",
                                             NULL };
        _cleanup_bus_message_ sd_bus_message *m = NULL;
        Input input = { data, size, words };
        uint8_t which = input_take(&input) % G_N_ELEMENTS(replies);

        m = message_from_input(replies[which].signature, &input);
        if (m)
                replies[which].attempt(m);
        return 0;
}
