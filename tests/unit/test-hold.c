/* SPDX-License-Identifier: Apache-2.0 */

/* Holds: on while somebody keeps the descriptor, or until their time; none lost by a daemon that is killed, none
 * left over from one. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/hold/hold-file.h"
#include "daemon/hold/hold.h"
#include "util/json.h"

#define ALICE 1001
#define BOB 1002
#define OTHER_BOOT "00000000000000000000000000000001"

typedef struct Fixture {
        sd_event *event;
        char *base, *directory;
        Store *store;
        Holds *holds;
        unsigned changes;
        gboolean durable;
} Fixture;

#define run_until(loop, condition)                                                                                    \
        while (!(condition))                                                                                          \
        g_assert_cmpint(sd_event_run((loop), 20 * USEC_PER_SEC), >, 0)

static void on_changed(void *userdata) {
        ((Fixture *) userdata)->changes++;
}

static void on_store_problem(const GError *error, void *userdata) {
        g_error("store: %s", error ? error->message : "works again");
}

static void on_durable(const GError *error, void *userdata) {
        g_assert_no_error(error);
        ((Fixture *) userdata)->durable = TRUE;
}

static void start(Fixture *f) {
        const HoldsParameters parameters = {
                .event = f->event,
                .store = f->store,
                .directory = f->directory,
                .changed = on_changed,
                .userdata = f,
        };

        g_assert_cmpint(holds_new(&parameters, &f->holds), ==, 0);
        run_until(f->event, holds_restored(f->holds));
        f->changes = 0;
}

static void start_store(Fixture *f) {
        g_assert_cmpint(store_new(f->event, f->base, NULL, on_store_problem, f, &f->store), ==, 0);
}

static void stop(Fixture *f) {
        f->store = store_free(f->store);
        f->holds = holds_free(f->holds);
}

static void restart(Fixture *f) {
        gboolean stored = f->store != NULL;

        stop(f);
        if (stored)
                start_store(f);
        start(f);
}

static void set_up(Fixture *f, gconstpointer with_store) {
        g_autoptr(GError) error = NULL;

        f->base = g_dir_make_tmp("test-hold-XXXXXX", &error);
        g_assert_no_error(error);
        f->directory = g_build_filename(f->base, "holds", NULL);
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        if (with_store)
                start_store(f);
        start(f);
}

static void remove_tree(const char *path) {
        g_autoptr(GDir) directory = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
        const char *name;

        while (directory && (name = g_dir_read_name(directory))) {
                g_autofree char *inner = g_build_filename(path, name, NULL);

                remove_tree(inner);
        }
        (void) remove(path);
}

static void tear_down(Fixture *f, gconstpointer with_store) {
        stop(f);
        sd_event_unref(f->event);
        remove_tree(f->base);
        g_free(f->base);
        g_free(f->directory);
}

static int add(Fixture *f, HoldKind kind, uid_t uid, uint32_t *ret_cookie) {
        int fd = -1;

        g_assert_cmpint(holds_add(f->holds, kind, uid, "alice: make", "a build", &fd, ret_cookie), ==, 0);
        g_assert_cmpint(fd, >=, 0);
        return fd;
}

static uint32_t add_timed(Fixture *f, uint64_t duration) {
        uint32_t cookie = 0;

        f->durable = FALSE;
        g_assert_cmpint(
                holds_add_timed(f->holds, HOLD_TIMED, ALICE, "alice", "lunch", duration, on_durable, f, &cookie), ==,
                0);
        run_until(f->event, f->durable);
        return cookie;
}

static unsigned count_files(Fixture *f, const char *suffix) {
        g_autoptr(GDir) directory = g_dir_open(f->directory, 0, NULL);
        unsigned n = 0;
        const char *name;

        while ((name = g_dir_read_name(directory)))
                n += g_str_has_suffix(name, suffix);
        return n;
}

static void test_ends_with_its_descriptor(Fixture *f, gconstpointer data) {
        uint32_t cookie;
        int fd = add(f, HOLD_BLOCK, ALICE, &cookie);
        const Hold *hold = holds_block(f->holds);

        g_assert_nonnull(hold);
        g_assert_cmpuint(hold->cookie, ==, cookie);
        g_assert_cmpstr(hold->who, ==, "alice: make");
        g_assert_cmpstr(hold->why, ==, "a build");
        g_assert_cmpuint(hold->uid, ==, ALICE);
        g_assert_cmpuint(hold->until, ==, 0);
        g_assert_cmpuint(f->changes, ==, 1);

        safe_close(fd);
        run_until(f->event, f->changes == 2);
        g_assert_null(holds_block(f->holds));
        g_assert_null(holds_find(f->holds, cookie));
        g_assert_cmpuint(count_files(f, ".json") + count_files(f, ".fifo"), ==, 0);
}

static void test_lives_as_long_as_any_copy(Fixture *f, gconstpointer data) {
        int fd = add(f, HOLD_BLOCK, ALICE, NULL), copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

        g_assert_cmpint(copy, >=, 0);
        safe_close(fd);
        g_assert_cmpint(sd_event_run(f->event, 0), ==, 0);
        g_assert_nonnull(holds_block(f->holds));
        safe_close(copy);
        run_until(f->event, f->changes == 2);
}

/* What a client writes is nobody's business: it neither ends the hold nor wakes the daemon. */
static void test_written_to(Fixture *f, gconstpointer data) {
        int fd = add(f, HOLD_BLOCK, ALICE, NULL);

        g_assert_cmpint(write(fd, "noise", 5), ==, 5);
        g_assert_cmpint(sd_event_run(f->event, 0), ==, 0);
        g_assert_nonnull(holds_block(f->holds));
        safe_close(fd);
        run_until(f->event, f->changes == 2);
}

static void test_kinds(Fixture *f, gconstpointer data) {
        int delay = add(f, HOLD_DELAY, ALICE, NULL);
        uint32_t longer, cookie;

        g_assert_cmpuint(holds_delays(f->holds), ==, 1);
        g_assert_null(holds_block(f->holds));
        g_assert_null(holds_timed(f->holds));

        add_timed(f, USEC_PER_HOUR);
        longer = add_timed(f, 2 * USEC_PER_HOUR);
        g_assert_cmpint(holds_add_timed(f->holds, HOLD_POSTPONE, BOB, "bob", "", USEC_PER_MINUTE, NULL, NULL, &cookie),
                        ==, 0);
        g_assert_cmpuint(holds_timed(f->holds)->cookie, ==, longer);
        g_assert_cmpuint(holds_timed(f->holds)->until - holds_timed(f->holds)->since, ==, 2 * USEC_PER_HOUR);
        g_assert_null(holds_block(f->holds));
        g_assert_cmpuint(holds_list(f->holds)->len, ==, 4);
        safe_close(delay);
}

static void test_ends_by_itself(Fixture *f, gconstpointer data) {
        uint32_t later = add_timed(f, USEC_PER_HOUR), sooner = add_timed(f, 20 * USEC_PER_MSEC);

        run_until(f->event, f->changes == 3);
        g_assert_null(holds_find(f->holds, sooner));
        g_assert_nonnull(holds_find(f->holds, later));
        run_until(f->event, count_files(f, ".json") == 1);
}

static void test_released(Fixture *f, gconstpointer data) {
        uint32_t open, timed = add_timed(f, USEC_PER_HOUR);
        _unused_ _cleanup_close_ int fd = add(f, HOLD_BLOCK, ALICE, &open);

        g_assert_cmpint(holds_release(f->holds, 4711), ==, -ENOENT);
        g_assert_cmpint(holds_release(f->holds, 0), ==, -ENOENT);
        g_assert_cmpint(holds_release(f->holds, open), ==, 0);
        g_assert_cmpint(holds_release(f->holds, timed), ==, 0);
        g_assert_cmpint(holds_release(f->holds, timed), ==, -ENOENT);
        g_assert_cmpuint(holds_list(f->holds)->len, ==, 0);
        restart(f);
        g_assert_cmpuint(holds_list(f->holds)->len, ==, 0);
        g_assert_cmpuint(count_files(f, ".json") + count_files(f, ".fifo"), ==, 0);
}

static void test_ceilings(Fixture *f, gconstpointer data) {
        g_autofree char *long_why = g_strnfill(HOLD_WHY_MAX + 1, 'x'), *long_who = g_strnfill(HOLD_WHO_MAX + 1, 'x');
        uint32_t cookie;
        int fd;

        for (unsigned i = 0; i < HOLDS_PER_USER_MAX; i++)
                g_assert_cmpint(
                        holds_add_timed(f->holds, HOLD_TIMED, ALICE, "alice", "", USEC_PER_HOUR, NULL, NULL, &cookie),
                        ==, 0);
        g_assert_cmpint(holds_add(f->holds, HOLD_BLOCK, ALICE, "alice", "", &fd, NULL), ==, -EDQUOT);
        for (unsigned i = HOLDS_PER_USER_MAX; i < HOLDS_MAX; i++)
                g_assert_cmpint(holds_add_timed(f->holds, HOLD_TIMED, BOB + i / HOLDS_PER_USER_MAX, "x", "",
                                                USEC_PER_HOUR, NULL, NULL, &cookie),
                                ==, 0);
        g_assert_cmpint(holds_add(f->holds, HOLD_BLOCK, 7, "x", "", &fd, NULL), ==, -EDQUOT);
        g_assert_cmpint(holds_release(f->holds, cookie), ==, 0);
        g_assert_cmpint(holds_add(f->holds, HOLD_BLOCK, 7, long_who, "", &fd, NULL), ==, -EINVAL);
        g_assert_cmpint(holds_add(f->holds, HOLD_BLOCK, 7, "x", long_why, &fd, NULL), ==, -EINVAL);
        g_assert_cmpint(holds_add(f->holds, HOLD_BLOCK, 7, "", "", &fd, NULL), ==, -EINVAL);
        g_assert_cmpint(holds_add_timed(f->holds, HOLD_TIMED, 7, "x", "", 0, NULL, NULL, &cookie), ==, -EINVAL);
        g_assert_cmpint(holds_add_timed(f->holds, HOLD_TIMED, 7, "x", "", UINT64_MAX, NULL, NULL, &cookie), ==,
                        -EINVAL);
        g_assert_cmpint(holds_add(f->holds, HOLD_BLOCK, 7, "x", "", &fd, NULL), ==, 0);
        safe_close(fd);
}

static void test_restart_keeps_what_is_held(Fixture *f, gconstpointer data) {
        uint32_t kept, delayed, timed = add_timed(f, USEC_PER_HOUR), closed;
        int fd = add(f, HOLD_BLOCK, ALICE, &kept), delay = add(f, HOLD_DELAY, BOB, &delayed),
            gone = add(f, HOLD_BLOCK, ALICE, &closed);
        uint64_t until = holds_find(f->holds, timed)->until_boottime;

        g_assert_cmpint(write(gone, "last words", 10), ==, 10);
        stop(f);
        safe_close(gone);
        start(f);
        g_assert_nonnull(holds_find(f->holds, kept));
        g_assert_cmpint(holds_find(f->holds, delayed)->kind, ==, HOLD_DELAY);
        g_assert_cmpuint(holds_find(f->holds, timed)->until_boottime, ==, until);
        g_assert_cmpstr(holds_find(f->holds, timed)->why, ==, "lunch");
        g_assert_null(holds_find(f->holds, closed));

        safe_close(fd);
        safe_close(delay);
        run_until(f->event, f->changes == 2);
        g_assert_cmpuint(holds_list(f->holds)->len, ==, 1);
}

static void test_cookies_are_not_used_twice(Fixture *f, gconstpointer data) {
        uint32_t first = add_timed(f, USEC_PER_HOUR), second;

        g_assert_cmpint(holds_release(f->holds, first), ==, 0);
        restart(f);
        second = add_timed(f, USEC_PER_HOUR);
        g_assert_cmpuint(second, >, first);
}

static void write_file(Fixture *f, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(f->directory, name, NULL);
        g_autoptr(GError) error = NULL;

        g_file_set_contents(path, text, -1, &error);
        g_assert_no_error(error);
}

static void test_rubbish_is_removed(Fixture *f, gconstpointer data) {
        g_autofree char *link = g_build_filename(f->directory, "8.json", NULL);
        g_autofree char *directory = g_build_filename(f->directory, "9.json", NULL);
        g_autofree char *fifo = g_build_filename(f->directory, "10.fifo", NULL);
        g_autofree char *big = g_strnfill(100000, ' '), *target = g_build_filename(f->base, "target", NULL);
        const char *whole =
                "{\"cookie\":7,\"kind\":\"timed\",\"uid\":1,\"who\":\"x\",\"why\":\"\",\"since\":1,\"until\":2,"
                "\"until_boottime\":9000000000000000,\"duration\":1,\"boot_id\":\"" OTHER_BOOT "\",\"key\":\"\"}";
        uint32_t kept = add_timed(f, USEC_PER_HOUR);

        stop(f);
        g_assert_true(g_file_set_contents(target, whole, -1, NULL));
        write_file(f, "notes.txt", "x");
        write_file(f, "007.json", whole);
        write_file(f, "0.json", whole);
        write_file(f, "4294967296.json", whole);
        write_file(f, "100.json", "");
        write_file(f, "101.json", "{\"cookie\":101");
        write_file(f, "102.json", "[]");
        write_file(f, "103.json", whole);
        write_file(f, "104.json", big);
        write_file(f, "105.json", "{\"cookie\":105,\"kind\":\"forever\"}");
        write_file(f, ".new", "half");
        g_assert_cmpint(symlink(target, link), ==, 0);
        g_assert_cmpint(g_mkdir(directory, 0700), ==, 0);
        g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
        start(f);
        g_assert_cmpuint(holds_list(f->holds)->len, ==, 1);
        g_assert_nonnull(holds_find(f->holds, kept));
        g_assert_cmpuint(count_files(f, ""), ==, 2);
        g_assert_true(g_file_test(target, G_FILE_TEST_EXISTS));
}

static void test_records_are_checked(void) {
        static const char *const bad[] = {
                "\"cookie\":0", "\"cookie\":-1", "\"cookie\":4294967296", "\"cookie\":\"7\"", "\"kind\":\"inhibitor\"",
                "\"uid\":4294967295", "\"who\":\"\"", "\"who\":7", "\"why\":null", "\"since\":-1", "\"until\":1.5",
                "\"until_boottime\":-1", "\"duration\":0", "\"boot_id\":\"\"", "\"key\":[]",
        };
        g_autoptr(HoldRecord) record = hold_record_new(HOLD_TIMED, ALICE, "alice", "tea");
        g_autoptr(JsonObject) good = NULL;
        g_autoptr(GError) none = NULL;
        g_autoptr(HoldRecord) copy = NULL;

        record->hold.cookie = 7;
        record->duration = 5;
        record->boot_id = g_strdup(OTHER_BOOT);
        good = hold_record_to_json(record);
        copy = hold_record_from_json(good, &none);
        g_assert_no_error(none);
        g_assert_cmpstr(copy->hold.why, ==, "tea");

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autofree char *patch = g_strdup_printf("{%s}", bad[i]), *text = json_object_text(good);
                g_autoptr(JsonNode) target = json_text_parse("record", text, -1, NULL);
                g_autoptr(JsonNode) change = json_text_parse("patch", patch, -1, NULL);
                g_autoptr(JsonNode) result = json_merge_patch(target, change);
                g_autoptr(GError) error = NULL;

                g_assert_null(hold_record_from_json(json_node_get_object(result), &error));
                g_assert_error(error, JSON_TEXT_ERROR, JSON_ERROR_TYPE);
        }
}

static void test_directory_of_somebody_else(Fixture *f, gconstpointer data) {
        g_autofree char *link = g_build_filename(f->base, "link", NULL);
        struct stat st;
        int fd;

        g_assert_cmpint(symlink(f->directory, link), ==, 0);
        g_assert_cmpint(hold_directory_open(link), ==, -ENOTDIR);
        g_assert_cmpint(hold_directory_open("/proc/self/nowhere/holds"), <, 0);

        g_assert_cmpint(g_chmod(f->directory, 0777), ==, 0);
        fd = hold_directory_open(f->directory);
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(fstat(fd, &st), ==, 0);
        g_assert_cmpuint(st.st_mode & 07777, ==, 0700);
        safe_close(fd);
}

static GPtrArray *one_inhibitor(void) {
        GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify) hold_free);
        Hold *hold = g_new0(Hold, 1);

        hold->kind = HOLD_LOGIND;
        hold->who = g_strdup("root: apt");
        hold->why = g_strdup("upgrading");
        g_ptr_array_add(list, hold);
        return list;
}

static void test_inhibitors(Fixture *f, gconstpointer data) {
        int fd;

        holds_set_inhibitors(f->holds, one_inhibitor());
        g_assert_cmpstr(holds_block(f->holds)->who, ==, "root: apt");
        g_assert_cmpint(holds_release(f->holds, 0), ==, -ENOENT);
        fd = add(f, HOLD_BLOCK, ALICE, NULL);
        g_assert_cmpstr(holds_block(f->holds)->who, ==, "alice: make");
        g_assert_cmpuint(holds_list(f->holds)->len, ==, 2);
        holds_set_inhibitors(f->holds, g_ptr_array_new_with_free_func((GDestroyNotify) hold_free));
        g_assert_cmpuint(holds_list(f->holds)->len, ==, 1);
        safe_close(fd);
}

static void send_cookie(int socket, int fd, uint32_t cookie) {
        struct iovec iov = { .iov_base = &cookie, .iov_len = sizeof(cookie) };
        char control[CMSG_SPACE(sizeof(int))] = {};
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (fd >= 0) {
                message.msg_control = control;
                message.msg_controllen = sizeof(control);
                *CMSG_FIRSTHDR(&message) = (struct cmsghdr) {
                        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)),
                };
                memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &fd, sizeof(fd));
        }
        if (sendmsg(socket, &message, MSG_NOSIGNAL) < 0)
                _exit(1);
}

/* 0: the other end is gone; the cookie else, with its descriptor or -1. */
static uint32_t receive_cookie(int socket, int *ret_fd) {
        uint32_t cookie = 0;
        struct iovec iov = { .iov_base = &cookie, .iov_len = sizeof(cookie) };
        char control[CMSG_SPACE(sizeof(int))] = {};
        struct msghdr message = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
        };
        ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);

        *ret_fd = -1;
        if (n <= 0)
                return 0;
        if (CMSG_FIRSTHDR(&message))
                memcpy(ret_fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
        return cookie;
}

/* A daemon that makes holds of all kinds as fast as it can, until it is killed. */
G_GNUC_NORETURN static void make_holds_until_killed(Fixture *f, int socket) {
        /* A loop belongs to the process that made it. */
        if (sd_event_new(&f->event) < 0)
                _exit(1);
        start(f);
        for (;;) {
                uint32_t cookie;
                int fd;

                if (holds_add(f->holds, HOLD_BLOCK, (uid_t) g_random_int_range(0, 10000), "x", "y", &fd, &cookie) < 0)
                        _exit(2);
                send_cookie(socket, fd, cookie);
                safe_close(fd);
                if (holds_add_timed(f->holds, HOLD_TIMED, (uid_t) g_random_int_range(0, 10000), "x", "y",
                                    USEC_PER_HOUR, NULL, NULL, &cookie) < 0)
                        _exit(3);
                send_cookie(socket, -1, cookie);
        }
}

/* Whatever was answered is held by the next daemon; whatever was not, is not or is whole. */
static void test_killed(Fixture *f, gconstpointer data) {
        for (unsigned round = 0; round < 25; round++) {
                g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
                g_autoptr(GArray) cookies = g_array_new(FALSE, FALSE, sizeof(uint32_t));
                unsigned wanted = (unsigned) g_random_int_range(0, 40);
                int sockets[2], fd, status;
                uint32_t cookie;
                pid_t child;

                stop(f);
                remove_tree(f->directory);
                g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), ==, 0);
                child = fork();
                g_assert_cmpint(child, >=, 0);
                if (child == 0) {
                        close(sockets[0]);
                        make_holds_until_killed(f, sockets[1]);
                }
                close(sockets[1]);
                while ((cookie = receive_cookie(sockets[0], &fd)) > 0) {
                        g_array_append_val(cookies, cookie);
                        if (fd >= 0)
                                g_array_append_val(fds, fd);
                        if (cookies->len == wanted + 1)
                                kill(child, SIGKILL);
                }
                g_assert_cmpint(waitpid(child, &status, 0), ==, child);
                g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

                start(f);
                for (guint i = 0; i < cookies->len; i++)
                        g_assert_nonnull(holds_find(f->holds, g_array_index(cookies, uint32_t, i)));
                /* One timed hold may have been made and not answered; one with a descriptor ended with the daemon. */
                g_assert_cmpuint(holds_list(f->holds)->len, <=, cookies->len + 1);
                g_assert_cmpuint(count_files(f, ".json"), ==, holds_list(f->holds)->len);
                g_assert_cmpuint(count_files(f, ".fifo"), ==, fds->len);
                for (guint i = 0; i < fds->len; i++)
                        close(g_array_index(fds, int, i));
                close(sockets[0]);
        }
}

static void lose_directory(Fixture *f) {
        stop(f);
        remove_tree(f->directory);
        start_store(f);
        start(f);
}

static void test_directory_lost(Fixture *f, gconstpointer data) {
        uint32_t cookie = add_timed(f, USEC_PER_HOUR);
        uint64_t until = holds_find(f->holds, cookie)->until_boottime;

        lose_directory(f);
        g_assert_nonnull(holds_timed(f->holds));
        g_assert_cmpuint(holds_timed(f->holds)->until_boottime, ==, until);
        g_assert_cmpstr(holds_timed(f->holds)->who, ==, "alice");
}

static void test_released_stays_released(Fixture *f, gconstpointer data) {
        uint32_t cookie = add_timed(f, USEC_PER_HOUR);

        g_assert_cmpint(holds_release(f->holds, cookie), ==, 0);
        lose_directory(f);
        g_assert_cmpuint(holds_list(f->holds)->len, ==, 0);
}

/* Killed between the release and its commit: the mark on disk is stronger than the record in the database. */
static void test_released_and_killed(Fixture *f, gconstpointer data) {
        uint32_t cookie = add_timed(f, USEC_PER_HOUR);
        g_autofree char *name = g_strdup_printf("%" PRIu32 ".json", cookie);
        g_autofree char *path = g_build_filename(f->directory, name, NULL), *text = NULL;
        g_auto(GStrv) parts = NULL;
        g_autofree char *marked = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        parts = g_strsplit(text, "\"ended\":false", 2);
        marked = g_strjoinv("\"ended\":true", parts);
        g_assert_cmpstr(marked, !=, text);
        stop(f);
        g_assert_true(g_file_set_contents(path, marked, -1, NULL));
        start_store(f);
        start(f);
        g_assert_cmpuint(holds_list(f->holds)->len, ==, 0);
        lose_directory(f);
        g_assert_cmpuint(holds_list(f->holds)->len, ==, 0);
}

/* As after a reboot: the record is of another boot, the directory is new. */
static void reboot_with(Fixture *f, uint64_t until, uint64_t duration) {
        g_autoptr(HoldRecord) record = hold_record_new(HOLD_TIMED, ALICE, "alice", "a weekend");
        g_autoptr(JsonObject) object = NULL;

        record->hold.cookie = 1;
        record->hold.until = until;
        record->hold.until_boottime = 1;
        record->duration = duration;
        record->boot_id = g_strdup(OTHER_BOOT);
        object = hold_record_to_json(record);
        f->durable = FALSE;
        g_assert_cmpint(store_put(f->store, "hold/" OTHER_BOOT "/1", object, on_durable, f), >=, 0);
        run_until(f->event, f->durable);
        lose_directory(f);
}

static void test_reboot(Fixture *f, gconstpointer data) {
        uint64_t left;

        reboot_with(f, clock_realtime() + USEC_PER_HOUR, 2 * USEC_PER_HOUR);
        g_assert_nonnull(holds_timed(f->holds));
        left = holds_timed(f->holds)->until_boottime - clock_boottime();
        g_assert_cmpuint(left, <=, USEC_PER_HOUR);
        g_assert_cmpuint(left, >, USEC_PER_HOUR - USEC_PER_MINUTE);

        /* It is one hold, however often the daemon starts, and can be released for good. */
        restart(f);
        g_assert_cmpuint(holds_list(f->holds)->len, ==, 1);
        g_assert_cmpint(holds_release(f->holds, holds_timed(f->holds)->cookie), ==, 0);
        restart(f);
        lose_directory(f);
        g_assert_cmpuint(holds_list(f->holds)->len, ==, 0);
}

static void test_reboot_after_its_end(Fixture *f, gconstpointer data) {
        reboot_with(f, clock_realtime() - 1, USEC_PER_HOUR);
        g_assert_cmpuint(holds_list(f->holds)->len, ==, 0);
}

static void test_reboot_with_the_clock_set_back(Fixture *f, gconstpointer data) {
        reboot_with(f, clock_realtime() + 365 * USEC_PER_DAY, USEC_PER_HOUR);
        g_assert_nonnull(holds_timed(f->holds));
        g_assert_cmpuint(holds_timed(f->holds)->until_boottime, <=, clock_boottime() + USEC_PER_HOUR);
}

static void test_broken_record_in_the_store(Fixture *f, gconstpointer data) {
        g_autoptr(JsonObject) object = json_object_new();

        json_object_set_string_member(object, "kind", "timed");
        f->durable = FALSE;
        g_assert_cmpint(store_put(f->store, "hold/broken/1", object, on_durable, f), >=, 0);
        run_until(f->event, f->durable);
        lose_directory(f);
        g_assert_cmpuint(holds_list(f->holds)->len, ==, 0);
}

#define ADD(name, function) g_test_add("/hold/" name, Fixture, NULL, set_up, function, tear_down)
#define ADD_STORED(name, function) g_test_add("/hold/store/" name, Fixture, "store", set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("ends-with-its-descriptor", test_ends_with_its_descriptor);
        ADD("lives-as-long-as-any-copy", test_lives_as_long_as_any_copy);
        ADD("written-to", test_written_to);
        ADD("kinds", test_kinds);
        ADD("ends-by-itself", test_ends_by_itself);
        ADD("released", test_released);
        ADD("ceilings", test_ceilings);
        ADD("restart-keeps-what-is-held", test_restart_keeps_what_is_held);
        ADD("cookies-are-not-used-twice", test_cookies_are_not_used_twice);
        ADD("rubbish-is-removed", test_rubbish_is_removed);
        ADD("directory-of-somebody-else", test_directory_of_somebody_else);
        ADD("inhibitors", test_inhibitors);
        ADD("killed", test_killed);
        g_test_add_func("/hold/records-are-checked", test_records_are_checked);
        ADD_STORED("ends-by-itself", test_ends_by_itself);
        ADD_STORED("released", test_released);
        ADD_STORED("restart-keeps-what-is-held", test_restart_keeps_what_is_held);
        ADD_STORED("directory-lost", test_directory_lost);
        ADD_STORED("released-stays-released", test_released_stays_released);
        ADD_STORED("released-and-killed", test_released_and_killed);
        ADD_STORED("reboot", test_reboot);
        ADD_STORED("reboot-after-its-end", test_reboot_after_its_end);
        ADD_STORED("reboot-with-the-clock-set-back", test_reboot_with_the_clock_set_back);
        ADD_STORED("broken-record-in-the-store", test_broken_record_in_the_store);
        return g_test_run();
}
