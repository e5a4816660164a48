/* SPDX-License-Identifier: Apache-2.0 */

/* Prints the daemon's table of methods and polkit actions as JSON, for the tests that hold it against the XML, the
 * policy file and what the daemon really asks. */

#include <stdio.h>

#include "bus/actions.h"
#include "util/json.h"

static void set(JsonObject *object, const char *member, const char *value) {
        if (value)
                json_object_set_string_member(object, member, value);
        else
                json_object_set_null_member(object, member);
}

int main(void) {
        g_autoptr(JsonArray) table = json_array_new();
        g_autoptr(JsonNode) node = NULL;
        g_autofree char *text = NULL;

        for (const MethodAction *entry = method_actions; entry->interface; entry++) {
                JsonObject *object = json_object_new();

                set(object, "interface", entry->interface);
                set(object, "member", entry->member);
                set(object, "action", entry->action);
                set(object, "other_action", entry->other_action);
                json_array_add_object_element(table, object);
        }
        node = json_node_init_array(json_node_alloc(), table);
        text = json_text_pretty(node);
        fputs(text, stdout);
        return 0;
}
