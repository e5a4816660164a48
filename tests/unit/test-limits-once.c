/* SPDX-License-Identifier: Apache-2.0 */

/* Configured limits, which the helper sets before a plugin starts: when it is called for them. The helper here counts
 * that. */

#include "base/names.h"
#include "plugin-fixture.h"

#define QUICK ", \"timeouts\": {\"check\": 1.5, \"initialize\": 0.8, \"shutdown\": 0.5}"

static int on_set_limits(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        unsigned *told = userdata;

        (*told)++;
        return sd_bus_reply_method_return(call, NULL);
}

static const sd_bus_vtable helper[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("SetLimits", "sa{sv}", NULL, on_set_limits, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static sd_bus *serve(PluginFixture *f, unsigned *told) {
        sd_bus *bus = private_bus_connect(&f->bus);

        g_assert_cmpint(sd_bus_add_object_vtable(bus, NULL, HELPER_PATH, HELPER_INTERFACE, helper, told), >=, 0);
        g_assert_cmpint(sd_bus_request_name(bus, HELPER_NAME, 0), >=, 0);
        return bus;
}

/* The helper's start would be in front of each of the plugin's. */
static void test_of_a_packaged_one_they_are_set_once(void) {
        sd_bus *bus;
        PluginFixture f = {};
        unsigned told = 0;
        Plugin *plugin;

        fixture_prepare(&f);
        fixture_add(&f, "one", "good", "\"IdleCheck\"", QUICK);
        fixture_start(&f, "{\"plugins\": {\"limits\": {\"one\": {\"memory_mb\": 16}}}}");
        bus = serve(&f, &told);
        fixture_make_official(&f, "one");
        plugin = plugins_find(f.plugins, "one");
        for (unsigned n = 0; n < 2; n++) {
                plugin_load(plugin, NULL, NULL);
                run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_RUNNING);
                g_assert_cmpuint(told, ==, 1);
                plugin_unload(plugin, NULL, NULL);
                run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_STOPPED);
        }
        sd_bus_flush_close_unref(bus);
        fixture_down(&f);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/limits-once/of-a-packaged-one", test_of_a_packaged_one_they_are_set_once);
        return g_test_run();
}
