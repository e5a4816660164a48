/* SPDX-License-Identifier: Apache-2.0 */

/* GetManagedObjects of ours says what sd-bus's own says: the same objects are served on two connections, of which one
 * has the handler, and both answers are laid side by side, value by value. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "bus/nodes.h"
#include "bus/objects.h"
#include "private-bus.h"

#define MANAGER "/x/manager"
#define OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"

typedef struct Thing {
        const char *path, *text;
        uint32_t number;
        int fails; /* what the getter of its number returns */
} Thing;

/* One table for the things below one path. */
typedef struct Kind {
        const char *path, *interface;
        const sd_bus_vtable *vtable;
        GPtrArray *things;
} Kind;

typedef struct Side {
        sd_bus *server, *client;
        sd_bus_message *reply;
} Side;

typedef struct Fixture {
        sd_event *event;
        Kind *kinds; /* in the order in which they were put on the bus */
        size_t n;
        Side ours, theirs;
} Fixture;

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                    void *userdata, sd_bus_error *error) {
        const Thing *thing = userdata;
        g_autofree char *text = g_strjoin(" ", path, interface, property, thing->text, NULL);

        g_assert_nonnull(bus);
        return sd_bus_message_append(reply, "s", text);
}

static int get_number(sd_bus *bus, const char *path, const char *interface, const char *property,
                      sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Thing *thing = userdata;

        if (thing->fails == -EBADMSG)
                return sd_bus_error_set(error, "x.y.Refused", "not today");
        return thing->fails < 0 ? thing->fails : sd_bus_message_append(reply, "u", thing->number);
}

static int get_list(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                    void *userdata, sd_bus_error *error) {
        const Thing *thing = userdata;

        return sd_bus_message_append(reply, "a(sv)", 2, thing->text, "u", thing->number, "", "as", 0);
}

static int set_nothing(sd_bus *bus, const char *path, const char *interface, const char *property,
                       sd_bus_message *value, void *userdata, sd_bus_error *error) {
        return -EROFS;
}

static int no_method(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(call, NULL);
}

static const sd_bus_vtable every_flag[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Constant", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_METHOD("Between", "s", "s", no_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Changing", "u", get_number, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Invalidated", "a(sv)", get_list, 0, SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
        SD_BUS_PROPERTY("Hidden", "s", get_text, 0, SD_BUS_VTABLE_HIDDEN),
        SD_BUS_PROPERTY("Explicit", "s", get_text, 0,
                        SD_BUS_VTABLE_PROPERTY_EXPLICIT | SD_BUS_VTABLE_PROPERTY_EMITS_INVALIDATION),
        SD_BUS_WRITABLE_PROPERTY("Writable", "s", get_text, set_nothing, 0, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("Deprecated", "s", get_text, 0, SD_BUS_VTABLE_DEPRECATED),
        SD_BUS_SIGNAL("Told", "s", 0),
        SD_BUS_PROPERTY("Silent", "s", get_text, 0, 0),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable methods_alone[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Only", NULL, NULL, no_method, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static const sd_bus_vtable hidden[] = {
        SD_BUS_VTABLE_START(SD_BUS_VTABLE_HIDDEN),
        SD_BUS_PROPERTY("Constant", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_VTABLE_END,
};

static int find_thing(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                      sd_bus_error *error) {
        const Kind *kind = userdata;

        for (guint i = 0; i < kind->things->len; i++) {
                Thing *thing = g_ptr_array_index(kind->things, i);

                if (g_str_equal(thing->path, path)) {
                        *ret_found = thing;
                        return 1;
                }
        }
        return 0;
}

static char *path_of(const void *thing) {
        return g_strdup(((const Thing *) thing)->path);
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error) {
        *ret_nodes = node_paths(((const Kind *) userdata)->things, path_of);
        return 0;
}

static int append_all(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Fixture *f = userdata;
        int r = 0;

        for (size_t i = f->n; i-- > 0;)
                for (guint j = 0; r >= 0 && j < f->kinds[i].things->len; j++) {
                        Thing *thing = g_ptr_array_index(f->kinds[i].things, j);

                        r = object_append(reply, thing->path, f->kinds[i].interface, f->kinds[i].vtable, thing, error);
                }
        return r;
}

static int answer(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return objects_answer(call, append_all, userdata, error);
}

static void side_up(Fixture *f, Side *side) {
        sd_id128_t id;
        int fds[2];

        g_assert_cmpint(sd_id128_randomize(&id), ==, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
        g_assert_cmpint(sd_bus_new(&side->server), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(side->server, fds[0], fds[0]), >=, 0);
        g_assert_cmpint(sd_bus_set_server(side->server, 1, id), >=, 0);
        g_assert_cmpint(sd_bus_new(&side->client), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(side->client, fds[1], fds[1]), >=, 0);
        for (size_t i = 0; i < f->n; i++) {
                Kind *kind = &f->kinds[i];

                g_assert_cmpint(sd_bus_add_fallback_vtable(side->server, NULL, kind->path, kind->interface,
                                                           kind->vtable, find_thing, kind), >=, 0);
                g_assert_cmpint(sd_bus_add_node_enumerator(side->server, NULL, kind->path, enumerate, kind), >=, 0);
        }
        g_assert_cmpint(sd_bus_add_object_manager(side->server, NULL, MANAGER), >=, 0);
        if (side == &f->ours)
                g_assert_cmpint(sd_bus_add_object(side->server, NULL, MANAGER, answer, f), >=, 0);
        g_assert_cmpint(sd_bus_start(side->server), >=, 0);
        g_assert_cmpint(sd_bus_start(side->client), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(side->server, f->event, 0), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(side->client, f->event, 0), >=, 0);
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        ((Side *) userdata)->reply = sd_bus_message_ref(reply);
        return 1;
}

/* What came back, name of an error or values, as text. */
static char *ask(Fixture *f, Side *side, const char *interface, const char *member, const char *argument) {
        size_t size = 0;
        char *text = NULL;
        FILE *stream;

        g_assert_cmpint(sd_bus_call_method_async(side->client, NULL, NULL, MANAGER, interface, member, on_reply, side,
                                                 argument ? "s" : NULL, argument), >=, 0);
        run_until(f->event, side->reply);
        if (sd_bus_message_is_method_error(side->reply, NULL)) {
                const sd_bus_error *error = sd_bus_message_get_error(side->reply);

                text = g_strdup_printf("%s: %s", error->name, error->message);
        } else {
                stream = open_memstream(&text, &size);
                g_assert_nonnull(stream);
                g_assert_cmpint(sd_bus_message_dump(side->reply, stream, SD_BUS_MESSAGE_DUMP_SUBTREE_ONLY), >=, 0);
                g_assert_cmpint(fclose(stream), ==, 0);
        }
        side->reply = sd_bus_message_unref(side->reply);
        return text;
}

static char *assert_same(Fixture *f, const char *interface, const char *member, const char *argument) {
        g_autofree char *ours = ask(f, &f->ours, interface, member, argument),
                        *theirs = ask(f, &f->theirs, interface, member, argument);

        g_assert_cmpstr(ours, ==, theirs);
        return steal(ours);
}

static void up(Fixture *f, Kind *kinds, size_t n) {
        f->kinds = kinds;
        f->n = n;
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        side_up(f, &f->ours);
        side_up(f, &f->theirs);
}

static void side_down(Side *side) {
        sd_bus_close_unref(side->client);
        sd_bus_close_unref(side->server);
}

static void down(Fixture *f) {
        side_down(&f->ours);
        side_down(&f->theirs);
        sd_event_unref(f->event);
        for (size_t i = 0; i < f->n; i++)
                g_ptr_array_unref(f->kinds[i].things);
}

static GPtrArray *things(Thing *first, size_t n) {
        GPtrArray *array = g_ptr_array_new();

        for (size_t i = 0; i < n; i++)
                g_ptr_array_add(array, first + i);
        return array;
}

static void test_every_kind(void) {
        Thing full[] = { { MANAGER "/full/b", "second", 2 }, { MANAGER "/full/a", "", UINT32_MAX },
                         { MANAGER "/full/umlaut", "ä\n\"", 0 } },
              bare[] = { { MANAGER "/bare/one", "" } }, secret[] = { { MANAGER "/secret/one", "" } };
        Kind kinds[] = { { MANAGER "/full", "x.y.Full", every_flag, things(full, G_N_ELEMENTS(full)) },
                         { MANAGER "/none", "x.y.None", every_flag, things(NULL, 0) },
                         { MANAGER "/bare", "x.y.Bare", methods_alone, things(bare, 1) },
                         { MANAGER "/secret", "x.y.Secret", hidden, things(secret, 1) } };
        g_autofree char *text = NULL;
        Fixture f = {};

        up(&f, kinds, G_N_ELEMENTS(kinds));
        text = assert_same(&f, OBJECT_MANAGER, "GetManagedObjects", NULL);
        /* There was something to be compared. */
        g_assert_nonnull(strstr(text, MANAGER "/full/umlaut x.y.Full Silent"));
        g_assert_nonnull(strstr(text, "x.y.Bare"));
        g_assert_null(strstr(text, "Explicit"));
        /* As it is now, not as it was when it was asked first. */
        full[1].number = 7;
        full[1].text = "changed";
        (void) g_ptr_array_remove_index(kinds[0].things, 0);
        g_free(text);
        text = assert_same(&f, OBJECT_MANAGER, "GetManagedObjects", NULL);
        g_assert_nonnull(strstr(text, "x.y.Full Constant changed"));
        g_assert_null(strstr(text, MANAGER "/full/b"));
        down(&f);
}

static void test_no_objects(void) {
        Kind kind = { MANAGER "/full", "x.y.Full", every_flag, things(NULL, 0) };
        Fixture f = {};

        up(&f, &kind, 1);
        g_free(assert_same(&f, OBJECT_MANAGER, "GetManagedObjects", NULL));
        down(&f);
}

static void test_a_getter_that_fails(void) {
        Thing one[] = { { MANAGER "/full/a", "", 1, .fails = -ENXIO } };
        Kind kind = { MANAGER "/full", "x.y.Full", every_flag, things(one, 1) };
        g_autofree char *plain = NULL, *named = NULL;
        Fixture f = {};

        up(&f, &kind, 1);
        plain = assert_same(&f, OBJECT_MANAGER, "GetManagedObjects", NULL);
        g_assert_true(g_str_has_prefix(plain, "System.Error.ENXIO"));
        one[0].fails = -EBADMSG;
        named = assert_same(&f, OBJECT_MANAGER, "GetManagedObjects", NULL);
        g_assert_cmpstr(named, ==, "x.y.Refused: not today");
        down(&f);
}

/* The rest is answered by sd-bus as before. */
static void test_other_calls(void) {
        Thing one[] = { { MANAGER "/full/a", "", 1 } };
        Kind kind = { MANAGER "/full", "x.y.Full", every_flag, things(one, 1) };
        g_autofree char *text = NULL;
        Fixture f = {};

        up(&f, &kind, 1);
        g_free(assert_same(&f, OBJECT_MANAGER, "GetManagedObjects", "an argument"));
        g_free(assert_same(&f, OBJECT_MANAGER, "GetNothing", NULL));
        g_free(assert_same(&f, "x.y.Full", "GetManagedObjects", NULL));
        g_free(assert_same(&f, "org.freedesktop.DBus.Introspectable", "Introspect", NULL));
        g_free(assert_same(&f, "org.freedesktop.DBus.Properties", "GetAll", OBJECT_MANAGER));
        g_free(assert_same(&f, "org.freedesktop.DBus.Peer", "Ping", NULL));
        /* Without an interface it is nobody's method; sd-bus alone says then that there is no object. */
        text = ask(&f, &f.ours, NULL, "GetManagedObjects", NULL);
        g_assert_true(g_str_has_prefix(text, SD_BUS_ERROR_UNKNOWN_METHOD));
        down(&f);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/objects/every-kind", test_every_kind);
        g_test_add_func("/objects/no-objects", test_no_objects);
        g_test_add_func("/objects/a-getter-that-fails", test_a_getter_that_fails);
        g_test_add_func("/objects/other-calls", test_other_calls);
        return g_test_run();
}
