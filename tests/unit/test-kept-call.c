/* SPDX-License-Identifier: Apache-2.0 */

/* What is kept of a call that waits: all that it means, nothing of what its sender put in besides. The calls are made
 * by hand, for no library writes a header field that it does not know. */

#include <malloc.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib.h>

#include "base/cleanup.h"
#include "bus/kept-call.h"

#define STUFFING (4U * 1024 * 1024)
#define UNKNOWN_FIELD 200
#define COOKIE 77
#define FLAG_INTERACTIVE 4
#define FLAG_NO_REPLY 1

typedef struct Fixture {
        sd_bus *bus;
        int peer;
} Fixture;

static void set_up(Fixture *f, gconstpointer data) {
        int fds[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
        g_assert_cmpint(sd_bus_new(&f->bus), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(f->bus, fds[0], fds[0]), >=, 0);
        g_assert_cmpint(sd_bus_set_server(f->bus, 1, SD_ID128_MAKE(1, 2, 3, 4, 5, 6, 7, 8, 9, a, b, c, d, e, f, 1)),
                        >=, 0);
        g_assert_cmpint(sd_bus_set_anonymous(f->bus, 1), >=, 0);
        g_assert_cmpint(sd_bus_start(f->bus), >=, 0);
        f->peer = fds[1];
}

static void tear_down(Fixture *f, gconstpointer data) {
        sd_bus_close_unref(f->bus);
        (void) close(f->peer);
}

static void pad(GByteArray *bytes, guint alignment) {
        static const guint8 zeros[8];

        g_byte_array_append(bytes, zeros, (alignment - bytes->len % alignment) % alignment);
}

static void append_number(GByteArray *bytes, guint32 number) {
        pad(bytes, 4);
        g_byte_array_append(bytes, (const guint8 *) &number, sizeof(number));
}

static void append_text(GByteArray *bytes, const char *text) {
        append_number(bytes, (guint32) strlen(text));
        g_byte_array_append(bytes, (const guint8 *) text, (guint) strlen(text) + 1);
}

static void append_signature(GByteArray *bytes, const char *signature) {
        guint8 length = (guint8) strlen(signature);

        g_byte_array_append(bytes, &length, 1);
        g_byte_array_append(bytes, (const guint8 *) signature, length + 1U);
}

static void append_field(GByteArray *fields, guint8 code, const char *type) {
        pad(fields, 8);
        g_byte_array_append(fields, &code, 1);
        append_signature(fields, type);
}

static void append_stuffing(GByteArray *fields) {
        g_autofree char *stuffing = g_strnfill(STUFFING, 'x');

        append_field(fields, UNKNOWN_FIELD, "s");
        append_text(fields, stuffing);
}

static GByteArray *make_fields(const char *signature) {
        GByteArray *fields = g_byte_array_new();

        append_field(fields, 1, "o");
        append_text(fields, "/thing");
        append_stuffing(fields);
        append_field(fields, 2, "s");
        append_text(fields, "org.example.Thing");
        append_field(fields, 3, "s");
        append_text(fields, "Do");
        append_field(fields, 7, "s");
        append_text(fields, ":1.42");
        append_field(fields, 8, "g");
        append_signature(fields, signature);
        return fields;
}

/* D-Bus specification, "Message Format". */
static GByteArray *make_call(guint8 flags, const char *signature, const GByteArray *body) {
        const guint8 head[] = { G_BYTE_ORDER == G_LITTLE_ENDIAN ? 'l' : 'B', SD_BUS_MESSAGE_METHOD_CALL, flags, 1 };
        g_autoptr(GByteArray) fields = make_fields(signature);
        GByteArray *call = g_byte_array_new();

        g_byte_array_append(call, head, sizeof(head));
        append_number(call, body->len);
        append_number(call, COOKIE);
        append_number(call, fields->len);
        g_byte_array_append(call, fields->data, fields->len);
        pad(call, 8);
        g_byte_array_append(call, body->data, body->len);
        return call;
}

typedef struct Sender {
        int fd;
        const GByteArray *bytes;
} Sender;

static void *send_all(void *data) {
        const Sender *sender = data;

        for (guint at = 0; at < sender->bytes->len;) {
                ssize_t n = write(sender->fd, sender->bytes->data + at, sender->bytes->len - at);

                g_assert_cmpint(n, >, 0);
                at += (guint) n;
        }
        return NULL;
}

static void greet(Fixture *f) {
        static const char greeting[] = "\0AUTH ANONYMOUS\r\nDATA\r\nBEGIN\r\n";

        g_assert_cmpint(write(f->peer, greeting, sizeof(greeting) - 1), ==, sizeof(greeting) - 1);
}

static sd_bus_message *receive(Fixture *f) {
        sd_bus_message *message = NULL;
        int r;

        while (!message) {
                r = sd_bus_process(f->bus, &message);
                g_assert_cmpint(r, >=, 0);
                if (r == 0)
                        g_assert_cmpint(sd_bus_wait(f->bus, UINT64_MAX), >=, 0);
        }
        return message;
}

static sd_bus_message *receive_call(Fixture *f, guint8 flags, const char *signature, const GByteArray *body) {
        g_autoptr(GByteArray) bytes = make_call(flags, signature, body);
        Sender sender = { f->peer, bytes };
        GThread *thread;
        sd_bus_message *message;

        greet(f);
        thread = g_thread_new("sender", send_all, &sender);
        message = receive(f);
        (void) g_thread_join(thread);
        return message;
}

/* Of a sanitizer's allocator glibc knows nothing. */
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifdef SANITIZED
size_t __sanitizer_get_current_allocated_bytes(void);

static size_t in_use(void) {
        return __sanitizer_get_current_allocated_bytes();
}
#else
static size_t in_use(void) {
        struct mallinfo2 info = mallinfo2();

        return info.uordblks + info.hblkhd;
}
#endif

static void test_what_it_means(Fixture *f, gconstpointer data) {
        _cleanup_bus_message_ sd_bus_message *call = NULL, *kept = NULL;
        g_autoptr(GByteArray) body = g_byte_array_new();
        const char *text;
        uint64_t cookie;
        uint32_t number;

        append_text(body, "why");
        append_number(body, 5);
        call = receive_call(f, FLAG_INTERACTIVE, "su", body);
        g_assert_cmpint(call_keep(call, &kept), ==, 0);

        g_assert_cmpstr(sd_bus_message_get_path(kept), ==, "/thing");
        g_assert_true(sd_bus_message_is_method_call(kept, "org.example.Thing", "Do"));
        g_assert_cmpstr(sd_bus_message_get_sender(kept), ==, ":1.42");
        g_assert_true(sd_bus_message_get_allow_interactive_authorization(kept));
        g_assert_true(sd_bus_message_get_expect_reply(kept));
        g_assert_cmpint(sd_bus_message_get_cookie(kept, &cookie), >=, 0);
        g_assert_cmpuint(cookie, ==, COOKIE);
        g_assert_cmpint(sd_bus_message_read(kept, "su", &text, &number), >, 0);
        g_assert_cmpstr(text, ==, "why");
        g_assert_cmpuint(number, ==, 5);
        /* The call itself can be read on. */
        g_assert_cmpint(sd_bus_message_read(call, "su", &text, &number), >, 0);
        g_assert_cmpstr(text, ==, "why");
}

static void test_flags(Fixture *f, gconstpointer data) {
        _cleanup_bus_message_ sd_bus_message *call = NULL, *kept = NULL;
        g_autoptr(GByteArray) body = g_byte_array_new();

        call = receive_call(f, FLAG_NO_REPLY, "", body);
        g_assert_cmpint(call_keep(call, &kept), ==, 0);
        g_assert_false(sd_bus_message_get_allow_interactive_authorization(kept));
        g_assert_false(sd_bus_message_get_expect_reply(kept));
}

static void test_a_block(Fixture *f, gconstpointer data) {
        _cleanup_bus_message_ sd_bus_message *call = NULL, *kept = NULL;
        g_autoptr(GByteArray) body = g_byte_array_new();
        const void *block;
        size_t size;

        append_number(body, 3);
        g_byte_array_append(body, (const guint8 *) "abc", 3);
        call = receive_call(f, 0, "ay", body);
        g_assert_cmpint(call_keep(call, &kept), ==, 0);
        g_assert_cmpint(sd_bus_message_read_array(kept, 'y', &block, &size), >, 0);
        g_assert_cmpmem(block, size, "abc", 3);
}

/* The stuffing goes with the call. */
static void test_what_is_put_in_besides(Fixture *f, gconstpointer data) {
        _cleanup_bus_message_ sd_bus_message *call = NULL, *kept = NULL;
        g_autoptr(GByteArray) body = g_byte_array_new();
        size_t before, with, without;

        append_text(body, "why");
        call = receive_call(f, 0, "s", body);
        before = in_use();
        g_assert_cmpint(call_keep(call, &kept), ==, 0);
        with = in_use();
        g_assert_cmpuint(with - before, <, 64U * 1024);
        call = sd_bus_message_unref(call);
        without = in_use();
        g_assert_cmpuint(with - without, >=, STUFFING);
}

/* Whoever called waits for it by the cookie. */
static void test_it_is_answered(Fixture *f, gconstpointer data) {
        _cleanup_bus_message_ sd_bus_message *call = NULL, *kept = NULL;
        g_autoptr(GByteArray) body = g_byte_array_new();
        char answer[512];
        guint32 serial = COOKIE;
        ssize_t n;

        call = receive_call(f, 0, "", body);
        g_assert_cmpint(call_keep(call, &kept), ==, 0);
        call = sd_bus_message_unref(call);
        /* What sd-bus said to the greeting. */
        g_assert_cmpint(read(f->peer, answer, sizeof(answer)), >, 0);
        g_assert_cmpint(sd_bus_reply_method_return(kept, "s", "done"), >=, 0);
        g_assert_cmpint(sd_bus_flush(f->bus), >=, 0);
        n = read(f->peer, answer, sizeof(answer));
        g_assert_cmpint(n, >, 0);
        g_assert_cmpint(answer[1], ==, SD_BUS_MESSAGE_METHOD_RETURN);
        g_assert_nonnull(memmem(answer, (size_t) n, "\5\1u\0", 4));
        g_assert_cmpmem((char *) memmem(answer, (size_t) n, "\5\1u\0", 4) + 4, 4, &serial, 4);
        g_assert_nonnull(memmem(answer, (size_t) n, ":1.42", 5));
        g_assert_nonnull(memmem(answer, (size_t) n, "done", 4));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        /* As the daemon has it: a large block is its own mapping, and goes back at once. */
        (void) mallopt(M_MMAP_THRESHOLD, 128 * 1024);
#define ADD(name, function) g_test_add("/kept-call/" name, Fixture, NULL, set_up, function, tear_down)
        ADD("what-it-means", test_what_it_means);
        ADD("flags", test_flags);
        ADD("a-block", test_a_block);
        ADD("what-is-put-in-besides", test_what_is_put_in_besides);
        ADD("it-is-answered", test_it_is_answered);
        return g_test_run();
}
