/* SPDX-License-Identifier: Apache-2.0 */

/* Any bytes as what a plugin answers to CheckIdle: they choose the values and the types of a reply's entries. sd-bus lets no message
 * through that is not well-formed, so it is built by sd-bus, too. It is refused with a sentence, or each vote of it is one that a daemon may
 * count. */

#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/plugin/plugin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW (USEC_PER_HOUR)
#define REALTIME (50 * 365 * 24 * USEC_PER_HOUR)
#define DEPTH_MAX 12U
#define TEXT_MAX 32U

typedef struct Input {
        const uint8_t *data;
        size_t left;
} Input;

static uint8_t take(Input *input) {
        if (input->left == 0)
                return 0;
        input->left--;
        return *input->data++;
}

static uint64_t take_number(Input *input) {
        uint64_t number = 0;

        for (unsigned bytes = take(input) % 9; bytes > 0; bytes--)
                number = number << 8 | take(input);
        return number;
}

/* Caller frees. A word that means something, or bytes that make one. */
static char *take_text(Input *input) {
        static const char *const words[] = { "idle", "busy", "unknown", "valid_seconds", "last_activity", "metrics",
                                             "votes", "name", "verdict", "reason" };
        g_autoptr(GString) text = NULL;
        uint8_t choice = take(input);

        if (choice < 2 * G_N_ELEMENTS(words))
                return g_strdup(words[choice % G_N_ELEMENTS(words)]);
        text = g_string_new(NULL);
        for (unsigned n = choice % TEXT_MAX; n > 0; n--)
                g_string_append_c(text, (char) take(input));
        return g_utf8_make_valid(text->str, -1);
}

static int append_entries(sd_bus_message *m, Input *input, unsigned depth);

static int append_list(sd_bus_message *m, Input *input, unsigned depth) {
        int r = sd_bus_message_open_container(m, 'a', "a{sv}");

        for (unsigned n = take(input) % 8; r >= 0 && n > 0; n--)
                r = append_entries(m, input, depth + 1);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_variant(sd_bus_message *m, const char *type, Input *input, unsigned depth) {
        g_autofree char *text = NULL;
        uint64_t number = 0;
        double real;
        int r = sd_bus_message_open_container(m, 'v', type);

        if (r < 0)
                return r;
        if (g_str_equal(type, "a{sv}"))
                r = append_entries(m, input, depth + 1);
        else if (g_str_equal(type, "aa{sv}"))
                r = append_list(m, input, depth + 1);
        else if (g_str_equal(type, "s")) {
                text = take_text(input);
                r = sd_bus_message_append_basic(m, 's', text);
        } else {
                number = take_number(input);
                memcpy(&real, &number, sizeof(real));
                r = sd_bus_message_append_basic(m, type[0], type[0] == 'd' ? (void *) &real : (void *) &number);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_entries(sd_bus_message *m, Input *input, unsigned depth) {
        static const char *const types[] = { "s", "x", "t", "u", "d", "y", "a{sv}", "aa{sv}" };
        int r = sd_bus_message_open_container(m, 'a', "{sv}");

        for (unsigned n = take(input) % 12; r >= 0 && n > 0; n--) {
                g_autofree char *key = take_text(input);
                const char *type = types[take(input) % (depth < DEPTH_MAX ? 8 : 6)];

                r = sd_bus_message_open_container(m, 'e', "sv");
                if (r >= 0)
                        r = sd_bus_message_append_basic(m, 's', key);
                if (r >= 0)
                        r = append_variant(m, type, input, depth);
                if (r >= 0)
                        r = sd_bus_message_close_container(m);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static void assert_votes(const CheckAnswer *answer) {
        g_assert_cmpuint(answer->valid_for, <=, 300 * USEC_PER_SEC);
        g_assert_cmpuint(answer->votes->len, >, 0);
        for (guint i = 0; i < answer->votes->len; i++) {
                const Vote *vote = g_ptr_array_index(answer->votes, i);

                g_assert_nonnull(verdict_name(vote->verdict));
                g_assert_true(g_utf8_validate(vote->reason, -1, NULL));
                g_assert_cmpuint(strlen(vote->reason), <=, REASON_MAX);
                g_assert_true(i == 0 ? g_str_equal(vote->source, "p") : g_str_has_prefix(vote->source, "p/"));
                g_assert_cmpuint(vote->last_activity, <=, NOW);
        }
}

static sd_bus *connection(void) {
        static sd_bus *bus;
        int fds[2];

        if (bus)
                return bus;
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
        g_assert_cmpint(sd_bus_new(&bus), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(bus, fds[0], fds[0]), >=, 0);
        g_assert_cmpint(sd_bus_start(bus), >=, 0);
        return bus;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_bus_message_ sd_bus_message *m = NULL;
        _cleanup_(check_answer_clear) CheckAnswer answer = {};
        g_autofree char *verdict = NULL, *reason = NULL, *problem = NULL;
        Input input = { data, size };

        g_assert_cmpint(sd_bus_message_new_signal(connection(), &m, "/x", "x.y", "Z"), >=, 0);
        verdict = take_text(&input);
        reason = take_text(&input);
        if (sd_bus_message_append(m, "ss", verdict, reason) < 0 || append_entries(m, &input, 0) < 0)
                return 0;
        g_assert_cmpint(sd_bus_message_seal(m, 1, 0), >=, 0);
        g_assert_cmpint(sd_bus_message_rewind(m, 1), >=, 0);
        if (check_answer_read("p", m, NOW, NOW, REALTIME, &answer, &problem) < 0) {
                g_assert_nonnull(problem);
                g_assert_true(g_utf8_validate(problem, -1, NULL));
        } else
                assert_votes(&answer);
        return 0;
}
