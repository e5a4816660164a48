/* SPDX-License-Identifier: Apache-2.0 */

/* Any bytes as what a plugin answers to Handshake, HandleEvent, Handle, ExportState and ProcessData, or refuses a call
 * with: Configure, for instance. The first byte says which. It is refused with a sentence, or it is what the contract
 * says and can be handed on. */

#include <string.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "bus/dictionary.h"
#include "daemon/plugin/plugin.h"
#include "daemon/answer/reply.h"
#include "message.h"
#include "util/line.h"
#include "util/version.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void assert_sentence(const char *problem) {
        g_assert_nonnull(problem);
        g_assert_true(g_utf8_validate(problem, -1, NULL));
        g_assert_cmpint(*problem, !=, '\0');
}

static void try_greeting(sd_bus_message *m) {
        static char id[] = "p", version[] = "1", first[] = "IdleCheck", second[] = "State";
        char *contracts[] = { first, second, NULL };
        const Manifest manifest = { .id = id, .version = version, .contracts = contracts };
        g_autofree char *problem = NULL, *said = NULL;
        StateHeld held;
        int r = reply_read_greeting(&manifest, m, &held, &said, &problem);

        if (r != 0)
                assert_sentence(problem);
        if (r < 0)
                return;
        g_assert_cmpint(held, <=, STATE_HELD_LIVE);
        if (r > 0)
                g_assert_true(!said || version_valid(said));
        else if (said)
                g_assert_cmpstr(said, ==, version);
}

/* Plugin.Call hands on what Handle answered. */
static void try_result(sd_bus_message *m) {
        _cleanup_bus_message_ sd_bus_message *answer = NULL;
        g_autoptr(JsonObject) result = NULL;
        g_autofree char *problem = NULL;
        gboolean success = 2;

        if (reply_read_result(m, &success, &result, &problem) < 0) {
                assert_sentence(problem);
                return;
        }
        g_assert_true(success == TRUE || success == FALSE);
        answer = message_empty();
        g_assert_cmpint(dictionary_append(answer, result, NULL), >=, 0);
        g_assert_cmpint(sd_bus_message_seal(answer, 1, 0), >=, 0);
}

static void try_state(sd_bus_message *m) {
        g_autoptr(GBytes) state = NULL;
        g_autofree char *problem = NULL;
        uint32_t version;

        if (reply_read_state(m, &version, &state, &problem) < 0)
                assert_sentence(problem);
        else
                g_assert_cmpuint(g_bytes_get_size(state), <=, STORE_STATE_MAX);
}

static void try_block(sd_bus_message *m) {
        g_autoptr(GBytes) block = NULL;
        g_autofree char *problem = NULL;

        if (reply_read_block(m, &block, &problem) < 0)
                assert_sentence(problem);
        else
                g_assert_cmpuint(g_bytes_get_size(block), <=, PLUGIN_DATA_MAX);
}

static const struct {
        const char *signature;
        void (*attempt)(sd_bus_message *m);
} replies[] = {
        { "ua{sv}", try_greeting },
        { "ba{sv}", try_result },
        { "uay", try_state },
        { "ay", try_block },
};

static void assert_plain(const char *text) {
        assert_sentence(text);
        for (const char *c = text; *c; c = g_utf8_next_char(c))
                g_assert_false(character_steers(g_utf8_get_char(c)));
}

/* D-Bus itself refuses an error without a proper name. */
static void try_refusal(Input *input) {
        _cleanup_bus_error_ sd_bus_error refusal = SD_BUS_ERROR_NULL, shown = SD_BUS_ERROR_NULL;
        g_autofree char *name = input_take_text(input), *message = input_take_text(input);
        gboolean without = input_take(input) % 8 == 0;

        if (!sd_bus_interface_name_is_valid(name))
                return;
        (void) sd_bus_error_set(&refusal, name, without ? NULL : message);
        reply_make_error(&refusal, &shown);
        g_assert_true(sd_bus_interface_name_is_valid(shown.name));
        assert_plain(shown.message);
        if (reply_is_unsupported(&refusal))
                g_assert_cmpstr(shown.name, ==, refusal.name);
        g_assert_cmpuint(strlen(shown.message), <=, strlen(refusal.name) + strlen(": ") + REASON_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char *const words[] = { "id",
                                             "p",
                                             "contracts",
                                             "IdleCheck",
                                             "State",
                                             "state",
                                             "live",
                                             "kept",
                                             ERROR_NOT_SUPPORTED,
                                             ERROR_INVALID_ARGUMENT,
                                             SD_BUS_ERROR_NOT_SUPPORTED,
                                             "org.example.Refused",
                                             "\x1b[2J",
                                             "\xe2\x80\xae",
                                             "version",
                                             NULL };
        _cleanup_bus_message_ sd_bus_message *m = NULL;
        Input input = { data, size, words };
        uint8_t which = input_take(&input) % (G_N_ELEMENTS(replies) + 1);

        if (which == G_N_ELEMENTS(replies)) {
                try_refusal(&input);
                return 0;
        }
        m = message_from_input(replies[which].signature, &input);
        if (m)
                replies[which].attempt(m);
        return 0;
}
