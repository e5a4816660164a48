/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Plugins on a bus of the test's own: the bus starts fake-plugin for each, which behaves as it is told. */

#include <glib/gstdio.h>
#include <string.h>

#include "base/clock.h"
#include "config.h"
#include "daemon/plugin/plugin.h"
#include "private-bus.h"
#include "util/json.h"

typedef struct PluginFixture {
        PrivateBus bus;
        sd_bus *connection;
        char *directory; /* services, manifests, state and logs are below */
        Store *store;
        Plugins *plugins;
        GPtrArray *votes;     /* Vote, as they came */
        GPtrArray *forgotten; /* sources */
        GPtrArray *problems;
        unsigned rounds; /* that are over */
        uint64_t channel_idle, silence, trial; /* as in PluginsParameters */
        void (*changed)(Plugin *plugin, PluginState previous, const char *reason, void *userdata); /* may be NULL */
} PluginFixture;

static inline void fixture_write(PluginFixture *f, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(f->directory, name, NULL), *folder = g_path_get_dirname(path);
        g_autoptr(GError) error = NULL;

        g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
        g_file_set_contents(path, text, -1, &error);
        g_assert_no_error(error);
}

/* A plugin that may be started; manifest: further members of plugin.json (", \"key\": …"). */
static inline void fixture_add(PluginFixture *f, const char *id, const char *behaviour, const char *contracts,
                               const char *manifest) {
        const char *program = g_getenv("FAKE_PLUGIN");
        g_autofree char *service = g_strdup_printf("services/io.cloudsnooze.Plugin1.%s.service", id);
        g_autofree char *json = g_strdup_printf("plugins/%s/plugin.json", id);
        g_autofree char *enabled = g_strdup_printf("state/enabled/%s", id);
        g_autofree char *entry = g_strdup_printf("[D-BUS Service]\nName=io.cloudsnooze.Plugin1.%s\nExec=%s %s %s %s\n",
                                                 id, program, id, behaviour, f->directory);
        g_autofree char *text =
                g_strdup_printf("{\"name\": \"%s\", \"version\": \"1.0.0\", \"exec\": \"%s\", \"contracts\": "
                                "[%s]%s}",
                                id, program, contracts, manifest);

        fixture_write(f, service, entry);
        fixture_write(f, json, text);
        fixture_write(f, enabled, "");
}

static inline void fixture_on_vote(Vote *vote, void *userdata) {
        PluginFixture *f = userdata;

        g_ptr_array_add(f->votes, vote);
}

static inline void fixture_on_forgotten(const char *source, void *userdata) {
        PluginFixture *f = userdata;

        g_ptr_array_add(f->forgotten, g_strdup(source));
}

static inline void fixture_on_problem(const char *source, const char *message, void *userdata) {
        PluginFixture *f = userdata;

        g_ptr_array_add(f->problems, g_strdup_printf("%s: %s", source, message));
}

static inline void fixture_prepare(PluginFixture *f) {
        g_autoptr(GError) error = NULL;

        f->directory = g_dir_make_tmp("snooze-plugins-XXXXXX", &error);
        g_assert_no_error(error);
        fixture_write(f, "services/keep", "");
        fixture_write(f, "state/keep", "");
        f->votes = g_ptr_array_new_with_free_func((GDestroyNotify) vote_free);
        f->forgotten = g_ptr_array_new_with_free_func(g_free);
        f->problems = g_ptr_array_new_with_free_func(g_free);
}

static inline Config *fixture_config(const char *text) {
        g_autoptr(GError) error = NULL;
        Config *config = config_parse(&(ConfigText) { .name = "test", .text = text }, 1, &error);

        g_assert_no_error(error);
        return config;
}

static inline void fixture_start(PluginFixture *f, const char *configuration) {
        g_autofree char *services = g_build_filename(f->directory, "services", NULL);
        g_autofree char *plugins = g_build_filename(f->directory, "plugins", NULL);
        g_autofree char *state = g_build_filename(f->directory, "state", NULL);
        g_autofree char *config_directory = g_build_filename(f->directory, "etc", NULL);
        g_autoptr(Config) config = fixture_config(configuration);

        private_bus_up_with(&f->bus, services);
        f->connection = private_bus_connect(&f->bus);
        g_assert_cmpint(store_new(f->bus.event, state, NULL, NULL, NULL, &f->store), >=, 0);
        g_assert_cmpint(plugins_new(&(PluginsParameters) { .bus = f->connection,
                                                           .event = f->bus.event,
                                                           .store = f->store,
                                                           .config = config,
                                                           .directories = (const char *const[]) { plugins, NULL },
                                                           .state_directory = state,
                                                           .config_directory = config_directory,
                                                           .restart_delay = 10 * USEC_PER_MSEC,
                                                           .channel_idle = f->channel_idle,
                                                           .silence = f->silence,
                                                           .trial = f->trial,
                                                           .vote = fixture_on_vote,
                                                           .forgotten = fixture_on_forgotten,
                                                           .changed = f->changed,
                                                           .problem = fixture_on_problem,
                                                           .userdata = f },
                                    &f->plugins),
                        >=, 0);
}

static inline void fixture_remove(const char *path) {
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
        const char *name;

        while (directory && (name = g_dir_read_name(directory))) {
                g_autofree char *child = g_build_filename(path, name, NULL);

                fixture_remove(child);
        }
        (void) g_remove(path);
}

static inline void fixture_down(PluginFixture *f) {
        f->store = store_free(f->store);
        plugins_free(f->plugins);
        sd_bus_flush_close_unref(f->connection);
        private_bus_down(&f->bus);
        fixture_remove(f->directory);
        g_free(f->directory);
        g_ptr_array_unref(f->votes);
        g_ptr_array_unref(f->forgotten);
        g_ptr_array_unref(f->problems);
}

static inline void fixture_on_enabled(const GError *error, void *userdata) {
        gboolean *kept = userdata;

        g_assert_no_error(error);
        *kept = TRUE;
}

static inline void fixture_set_enabled(PluginFixture *f, const char *id, gboolean enabled) {
        gboolean kept = FALSE;

        g_assert_cmpint(plugin_set_enabled(plugins_find(f->plugins, id), enabled, fixture_on_enabled, &kept), ==, 0);
        g_assert_false(kept);
        run_until(f->bus.event, kept);
}

/* How often the plugin noted this word. */
static inline unsigned fixture_noted(PluginFixture *f, const char *id, const char *word) {
        g_autofree char *name = g_strdup_printf("%s.log", id), *path = g_build_filename(f->directory, name, NULL);
        g_autofree char *text = NULL;
        g_auto(GStrv) lines = NULL;
        unsigned n = 0;

        if (!g_file_get_contents(path, &text, NULL, NULL))
                return 0;
        lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++)
                n += g_str_equal(*line, word);
        return n;
}

static inline void fixture_on_round(void *userdata) {
        PluginFixture *f = userdata;

        f->rounds++;
}

static inline void fixture_ask(PluginFixture *f, gboolean fresh) {
        g_autoptr(JsonObject) metrics = json_object_new();

        json_object_set_double_member(metrics, "cpu_usage", 1.5);
        plugins_check(f->plugins, metrics, fresh, fixture_on_round, f);
}

static inline void fixture_round(PluginFixture *f, gboolean fresh) {
        unsigned before = f->rounds;

        fixture_ask(f, fresh);
        run_until(f->bus.event, f->rounds > before);
}

/* The latest vote of a source; NULL if it cast none. */
static inline const Vote *fixture_vote(PluginFixture *f, const char *source) {
        for (guint i = f->votes->len; i-- > 0;) {
                const Vote *vote = g_ptr_array_index(f->votes, i);

                if (g_str_equal(vote->source, source))
                        return vote;
        }
        return NULL;
}

/* As if a package had brought it: what its manifest says, and where that lies. */
static inline void fixture_make_official(PluginFixture *f, const char *id) {
        Manifest *manifest = plugins_find(f->plugins, id)->manifest;

        manifest->official = TRUE;
        g_free(manifest->directory);
        manifest->directory = g_strdup(PKGPLUGINDIR);
}

static inline PluginState fixture_state(PluginFixture *f, const char *id) {
        return plugin_state(plugins_find(f->plugins, id));
}
