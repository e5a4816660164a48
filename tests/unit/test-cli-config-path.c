/* SPDX-License-Identifier: Apache-2.0 */

/* How a person names a value of the configuration, and the merge patch that comes of it. */

#include "cli/config-path.h"

#include "util/json.h"

static void assert_split(const char *path, const char *expected) {
        g_auto(GStrv) segments = config_path_split(path);
        g_autofree char *joined = segments ? g_strjoinv("|", segments) : NULL;

        g_assert_cmpstr(joined, ==, expected);
}

static void test_split(void) {
        assert_split("naptime_minutes", "naptime_minutes");
        assert_split("sources.memory.policy", "sources|memory|policy");
        assert_split("/sources/memory/policy", "sources|memory|policy");
        assert_split("/sources/sessions~1tmux", "sources|sessions/tmux");
        assert_split("/a~01", "a~1");
        assert_split("/with.dot", "with.dot");
}

static void test_what_is_no_path(void) {
        assert_split("", NULL);
        assert_split(".", NULL);
        assert_split("a..b", NULL);
        assert_split("a.", NULL);
        assert_split("/", NULL);
        assert_split("/a//b", NULL);
}

static void assert_display(const char *pointer, const char *expected) {
        g_autofree char *display = config_path_display(pointer);

        g_assert_cmpstr(display, ==, expected);
}

/* What is shown can be typed again. */
static void test_display(void) {
        assert_display("/naptime_minutes", "naptime_minutes");
        assert_display("/sources/memory/policy", "sources.memory.policy");
        assert_display("/sources/sessions~1tmux/policy", "/sources/sessions~1tmux/policy");
        assert_display("/providers/my.cloud", "/providers/my.cloud");
}

static void test_patch(void) {
        g_auto(GStrv) segments = config_path_split("sources.memory.policy");
        g_autoptr(JsonNode) patch =
                config_path_patch(segments, json_node_init_string(json_node_alloc(), "required"));
        g_autofree char *text = json_text_compact(patch);

        g_assert_cmpstr(text, ==, "{\"sources\":{\"memory\":{\"policy\":\"required\"}}}");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/cli/config-path/split", test_split);
        g_test_add_func("/cli/config-path/no-path", test_what_is_no_path);
        g_test_add_func("/cli/config-path/display", test_display);
        g_test_add_func("/cli/config-path/patch", test_patch);
        return g_test_run();
}
