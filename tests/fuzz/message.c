/* SPDX-License-Identifier: Apache-2.0 */

#include "message.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <glib.h>

#include "base/cleanup.h"

#define DEPTH_MAX 12U
#define TEXT_MAX 32U
#define ITEMS_MAX 12U

static int append_complete(sd_bus_message *m, const char *type, Input *input, unsigned depth);

uint8_t input_take(Input *input) {
        if (input->left == 0)
                return 0;
        input->left--;
        return *input->data++;
}

uint64_t input_take_number(Input *input) {
        uint64_t number = 0;

        for (unsigned bytes = input_take(input) % 9; bytes > 0; bytes--)
                number = number << 8 | input_take(input);
        return number;
}

static unsigned count_words(const Input *input) {
        unsigned n = 0;

        while (input->words && input->words[n])
                n++;
        return n;
}

char *input_take_text(Input *input) {
        unsigned words = count_words(input);
        g_autoptr(GString) text = NULL;
        uint8_t choice = input_take(input);

        if (choice < 2 * words)
                return g_strdup(input->words[choice % words]);
        text = g_string_new(NULL);
        for (unsigned n = choice % TEXT_MAX; n > 0; n--)
                g_string_append_c(text, (char) input_take(input));
        return g_utf8_make_valid(text->str, -1);
}

/* Behind the first complete type of this signature, which is well-formed. */
static const char *type_end(const char *type) {
        unsigned open = 0;

        while (*type == 'a')
                type++;
        do {
                open += *type == '(' || *type == '{';
                open -= *type == ')' || *type == '}';
                type++;
        } while (open > 0);
        return type;
}

static int append_members(sd_bus_message *m, const char *types, Input *input, unsigned depth) {
        int r = 0;

        while (r >= 0 && *types) {
                const char *end = type_end(types);
                g_autofree char *type = g_strndup(types, (gsize) (end - types));

                r = append_complete(m, type, input, depth);
                types = end;
        }
        return r;
}

static int append_bytes(sd_bus_message *m, Input *input) {
        size_t n = input_take(input);
        int r;

        n = MIN(n, input->left);
        r = sd_bus_message_append_array(m, 'y', input->data, n);
        input->data += n;
        input->left -= n;
        return r;
}

static int append_array(sd_bus_message *m, const char *item, Input *input, unsigned depth) {
        int r;

        if (g_str_equal(item, "y"))
                return append_bytes(m, input);
        r = sd_bus_message_open_container(m, 'a', item);
        for (unsigned n = input_take(input) % ITEMS_MAX; r >= 0 && n > 0; n--)
                r = append_complete(m, item, input, depth + 1);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_variant(sd_bus_message *m, Input *input, unsigned depth) {
        static const char *const types[] = {
                "s", "x", "t", "u",  "d",  "y",  "a{sv}", "aa{sv}", "b",     "i",    "n",
                "q", "o", "g", "ay", "as", "av", "ad",    "a{ss}",  "a{us}", "(sv)", "v"
        };
        const char *type = types[input_take(input) % (depth < DEPTH_MAX ? G_N_ELEMENTS(types) : 6)];
        int r = sd_bus_message_open_container(m, 'v', type);

        if (r >= 0)
                r = append_complete(m, type, input, depth + 1);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_string(sd_bus_message *m, char type, Input *input) {
        g_autofree char *text = type == 's' ? input_take_text(input) : g_strdup(type == 'o' ? "/a/b" : "a{sv}");

        return sd_bus_message_append_basic(m, type, text);
}

static int append_number(sd_bus_message *m, char type, Input *input) {
        uint64_t number = input_take_number(input);
        int truth = number & 1;
        double real;

        memcpy(&real, &number, sizeof(real));
        switch (type) {
        case 'b':
                return sd_bus_message_append_basic(m, type, &truth);
        case 'd':
                return sd_bus_message_append_basic(m, type, &real);
        default:
                return sd_bus_message_append_basic(m, type, &number);
        }
}

/* Struct or dictionary entry. */
static int append_group(sd_bus_message *m, const char *type, Input *input, unsigned depth) {
        g_autofree char *members = g_strndup(type + 1, strlen(type) - 2);
        int r = sd_bus_message_open_container(m, *type == '(' ? 'r' : 'e', members);

        if (r >= 0)
                r = append_members(m, members, input, depth + 1);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_complete(sd_bus_message *m, const char *type, Input *input, unsigned depth) {
        switch (*type) {
        case 'a':
                return append_array(m, type + 1, input, depth);
        case '(':
        case '{':
                return append_group(m, type, input, depth);
        case 'v':
                return append_variant(m, input, depth);
        case 's':
        case 'o':
        case 'g':
                return append_string(m, *type, input);
        default:
                return append_number(m, *type, input);
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

sd_bus_message *message_empty(void) {
        sd_bus_message *m;

        g_assert_cmpint(sd_bus_message_new_signal(connection(), &m, "/x", "x.y", "Z"), >=, 0);
        return m;
}

int message_append(sd_bus_message *m, const char *signature, Input *input) {
        return append_members(m, signature, input, 0);
}

sd_bus_message *message_from_input(const char *signature, Input *input) {
        _cleanup_bus_message_ sd_bus_message *m = message_empty();

        if (message_append(m, signature, input) < 0)
                return NULL;
        g_assert_cmpint(sd_bus_message_seal(m, 1, 0), >=, 0);
        g_assert_cmpint(sd_bus_message_rewind(m, true), >=, 0);
        return steal(m);
}
