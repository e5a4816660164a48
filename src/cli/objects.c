/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/objects.h"

#include <string.h>

#include "cli/output.h"
#include "cli/wait.h"

static void object_free(gpointer data) {
        Object *object = data;

        g_free(object->path);
        g_free(object->id);
        g_variant_unref(object->properties);
        g_free(object);
}

static int by_id(gconstpointer a, gconstpointer b) {
        const Object *const *first = a, *const *second = b;

        return strcmp((*first)->id, (*second)->id);
}

GPtrArray *objects_fetch(Cli *cli, const char *interface, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        g_autoptr(GPtrArray) objects = g_ptr_array_new_with_free_func(object_free);
        g_autoptr(GVariant) reply = NULL, tree = NULL;
        GVariant *interfaces, *properties;
        GVariantIter iter;
        const char *path;

        g_dbus_connection_call(cli->bus, SNOOZE_CLIENT_NAME, SNOOZE_CLIENT_PATH, "org.freedesktop.DBus.ObjectManager",
                               "GetManagedObjects", NULL, G_VARIANT_TYPE("(a{oa{sa{sv}}})"), G_DBUS_CALL_FLAGS_NONE,
                               -1, NULL, wait_done, wait);
        reply = g_dbus_connection_call_finish(cli->bus, wait_for(wait), error);
        if (!reply)
                return NULL;

        tree = g_variant_get_child_value(reply, 0);
        g_variant_iter_init(&iter, tree);
        while (g_variant_iter_next(&iter, "{&o@a{sa{sv}}}", &path, &interfaces)) {
                if (g_variant_lookup(interfaces, interface, "@a{sv}", &properties)) {
                        Object *object = g_new0(Object, 1);

                        object->path = g_strdup(path);
                        object->id = snooze_client_path_id(path) ?: g_strdup("");
                        object->properties = properties;
                        g_ptr_array_add(objects, object);
                }
                g_variant_unref(interfaces);
        }
        g_ptr_array_sort(objects, by_id);
        return g_steal_pointer(&objects);
}

const char *object_string(const Object *object, const char *name) {
        const char *text = "";

        (void) g_variant_lookup(object->properties, name, "&s", &text);
        return text;
}

gboolean object_boolean(const Object *object, const char *name) {
        gboolean value = FALSE;

        (void) g_variant_lookup(object->properties, name, "b", &value);
        return value;
}

JsonNode *objects_json(GPtrArray *objects) {
        JsonNode *node = json_node_new(JSON_NODE_ARRAY);
        JsonArray *array = json_array_new();

        for (guint i = 0; i < objects->len; i++) {
                const Object *object = g_ptr_array_index(objects, i);
                JsonObject *entry = json_of_dictionary(object->properties);

                json_object_set_string_member(entry, "id", object->id);
                json_object_set_string_member(entry, "path", object->path);
                json_array_add_object_element(array, entry);
        }
        json_node_take_array(node, array);
        return node;
}
