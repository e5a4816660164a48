/* SPDX-License-Identifier: Apache-2.0 */

/* plugin.json and the values of its settings: what is accepted, and what the message says where it is not. */

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "access-list.h"
#include "base/clock.h"
#include "base/names.h"
#include "manifest/manifest.h"
#include "util/json.h"

typedef struct Fixture {
        char *directory, *folder, *program;
} Fixture;

static void write_text(const char *folder, const char *name, const char *text, int mode) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_autoptr(GError) error = NULL;

        g_file_set_contents(path, text, -1, &error);
        g_assert_no_error(error);
        g_assert_cmpint(g_chmod(path, (mode_t) mode), ==, 0);
}

static void set_up(Fixture *f, gconstpointer data) {
        g_autoptr(GError) error = NULL;

        f->directory = g_dir_make_tmp("snooze-manifest-XXXXXX", &error);
        g_assert_no_error(error);
        f->folder = g_build_filename(f->directory, "redis", NULL);
        f->program = g_build_filename(f->folder, "redis", NULL);
        g_assert_cmpint(g_mkdir(f->folder, 0755), ==, 0);
        write_text(f->folder, "redis", "#!/bin/sh\n", 0755);
}

static void tear_down(Fixture *f, gconstpointer data) {
        g_autoptr(GDir) directory = g_dir_open(f->folder, 0, NULL);
        const char *name;

        while ((name = g_dir_read_name(directory))) {
                g_autofree char *path = g_build_filename(f->folder, name, NULL);

                g_assert_cmpint(g_remove(path), ==, 0);
        }
        g_assert_cmpint(g_rmdir(f->folder), ==, 0);
        g_assert_cmpint(g_rmdir(f->directory), ==, 0);
        g_free(f->directory);
        g_free(f->folder);
        g_free(f->program);
}

static Manifest *load(Fixture *f, const char *text, GError **error) {
        write_text(f->folder, "plugin.json", text, 0644);
        return manifest_load(f->directory, "redis", geteuid(), error);
}

static void assert_refused(Fixture *f, const char *text, const char *part) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Manifest) manifest = load(f, text, &error);

        g_assert_null(manifest);
        if (!strstr(error->message, part))
                g_error("%s: the message is: %s", text, error->message);
}

static const char complete[] =
        "{\"name\": \"redis\", \"display_name\": \"Redis\", \"version\": \"1.2.3\", \"author\": \"A\", "
        "\"description\": \"D\","
        "\"category\": \"database\", \"tags\": [\"db\", \"cache\"], \"repository\": \"https://r\", \"homepage\": "
        "\"https://h\","
        "\"official\": true, \"enabled_by_default\": true, \"config_schema\": {\"port\": {\"type\": \"int\", "
        "\"default\": 6379, \"constraints\": \"1..65535\"}},"
        "\"dependencies\": [{\"name\": \"other\", \"version\": \">=1\"}], \"min_host_version\": \"0.1\", \"type\": "
        "\"external\","
        "\"language\": \"c\", \"process_model\": \"persistent\", \"api\": 1, \"runtime\": \"dbus\", \"isolation\": "
        "\"process\","
        "\"exec\": \"redis\", \"image\": \"\", \"contracts\": [\"IdleCheck\", \"EventHandler\"],"
        "\"events\": {\"custom.*\": {\"priority\": 1}, \"custom.backup.*\": {\"priority\": -5, \"enabled\": false, "
        "\"moves\": true},\"custom.backup.done\": {}}, \"permissions\": [\"processes\", \"network:localhost:6379\"],"
        "\"limits\": {\"memory_mb\": 16, \"cpu_percent\": 50, \"tasks\": 4}, \"timeouts\": {\"check\": 1.5}}";

static void test_every_key(Fixture *f, gconstpointer data) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Manifest) m = load(f, complete, &error);

        g_assert_no_error(error);
        g_assert_cmpstr(m->display_name, ==, "Redis");
        g_assert_cmpstr(m->tags[1], ==, "cache");
        g_assert_true(m->official);
        g_assert_true(m->enabled_by_default);
        g_assert_cmpstr(m->exec, ==, f->program);
        g_assert_true(manifest_has_contract(m, "IdleCheck"));
        g_assert_false(manifest_has_contract(m, "State"));
        g_assert_cmpuint(m->memory_max, ==, 16 * 1024 * 1024);
        g_assert_cmpuint(m->timeouts[TIMEOUT_CHECK], ==, 1500 * USEC_PER_MSEC);
        g_assert_cmpuint(m->timeouts[TIMEOUT_START], ==, 30 * USEC_PER_SEC);
        g_assert_cmpstr(((ManifestDependency *) g_ptr_array_index(m->dependencies, 0))->name, ==, "other");

        /* The closest entry counts. */
        g_assert_cmpint(manifest_event(m, "custom.x")->priority, ==, 1);
        g_assert_cmpint(manifest_event(m, "custom.backup.begun")->priority, ==, -5);
        g_assert_false(manifest_event(m, "custom.backup.begun")->enabled);
        g_assert_true(manifest_event(m, "custom.backup.begun")->moves);
        g_assert_false(manifest_event(m, "custom.backup.done")->moves);
        g_assert_true(manifest_event(m, "custom.backup.done")->enabled);
        g_assert_null(manifest_event(m, "custom"));
}

static void test_the_api_of_before_is_served(void) {
        static const struct {
                uint32_t host, api;
                gboolean served;
        } table[] = {
                { 1, 1, TRUE },  { 1, 0, FALSE }, { 1, 2, FALSE }, { 2, 2, TRUE },           { 2, 1, TRUE },
                { 2, 3, FALSE }, { 3, 1, FALSE }, { 3, 2, TRUE },  { 3, UINT32_MAX, FALSE }, { 2, 0, FALSE },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
                g_assert_cmpint(manifest_api_served(table[i].host, table[i].api), ==, table[i].served);
}

static void test_what_is_served_is_said(void) {
        static const char *const expected[] = { "1", "1 or 2", "2 or 3" };

        for (uint32_t host = 1; host <= G_N_ELEMENTS(expected); host++) {
                g_autofree char *said = manifest_api_expected(host);

                g_assert_cmpstr(said, ==, expected[host - 1]);
        }
}

static void test_defaults(Fixture *f, gconstpointer data) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Manifest) m = load(f, "{\"version\": \"1\", \"contracts\": [\"State\"]}", &error);

        g_assert_no_error(error);
        g_assert_cmpstr(m->display_name, ==, "redis");
        g_assert_cmpstr(m->runtime, ==, "dbus");
        g_assert_cmpuint(schema_settings(m->schema)->len, ==, 0);
        g_assert_false(m->official);
        g_assert_false(m->enabled_by_default);
}

#define BASE "{\"version\": \"1\", \"contracts\": [\"IdleCheck\"]"

static void test_refusals(Fixture *f, gconstpointer data) {
        static const struct {
                const char *text, *part;
        } cases[] = {
                { "", "plugin.json" },
                { "[]", "expected an object" },
                { "{\"contracts\": [\"IdleCheck\"]}", "/version" },
                { "{\"version\": \"1\"}", "/contracts" },
                { "{\"version\": \"one\", \"contracts\": [\"IdleCheck\"]}", "got one" },
                { "{\"version\": \"1\", \"contracts\": [\"State\", \"Idle\"]}",
                  "/contracts/1: got Idle, expected one of IdleCheck" },
                { "{\"version\": \"1\", \"contracts\": [\"IdleCheck\", \"IdleCheck\"]}",
                  "/contracts/1: IdleCheck stands there twice" },
                { BASE ", \"surprise\": 1}", "/surprise: unknown key, expected one of name, " },
                { BASE ", \"name\": \"other\"}", "/name: got other" },
                { BASE ", \"author\": 7}", "/author" },
                { BASE ", \"author\": \"a\\u001b[31m\"}", "/author" },
                { BASE ", \"author\": \"a\\u202etxt\"}", "/author" },
                { BASE ", \"description\": \"a\\u2028b\"}", "/description" },
                { BASE ", \"a\\u001b]0;b\": 1}", "/a ]0;b: unknown key" },
                { BASE ", \"a\\u202eb\": 1}", "/a b: unknown key" },
                { BASE ", \"runtime\": \"a\\u001b[2J\"}", "/runtime" },
                { BASE ", \"config_schema\": {\"a\\u001b[2J\": {\"type\": \"string\"}}}", "[2J" },
                { BASE ", \"events\": {\"a\\u001b[2J\": {}}}", "/events/a [2J" },
                { BASE ", \"tags\": \"x\"}", "/tags: expected a list" },
                { BASE ", \"tags\": [\"x\", \"y\", 1]}", "/tags/2: expected a line of text" },
                { BASE ", \"tags\": [\"x\", \"\"]}", "/tags/1: expected a line of text" },
                { BASE ", \"runtime\": \"wasm\"}", "/runtime" },
                { BASE ", \"official\": \"yes\"}", "/official" },
                { BASE ", \"min_host_version\": \"99\"}", "asks for CloudSnooze 99" },
                { BASE ", \"permissions\": [\"root\"]}", "/permissions/0: got root, " },
                { BASE ", \"permissions\": [\"network\"]}", "expected network:any or" },
                { BASE ", \"permissions\": [\"processes:all\"]}", "processes alone" },
                { BASE ", \"permissions\": [\"processes\", \"network:any\", \"processes\"]}",
                  "/permissions/2: processes stands there twice" },
                { BASE ", \"homepage\": \"javascript:alert(1)\"}", "/homepage: expected an address" },
                { BASE ", \"homepage\": \"file:///etc/passwd\"}", "/homepage" },
                { BASE ", \"homepage\": \"example.org\"}", "/homepage" },
                { BASE ", \"homepage\": \"https:///x\"}", "/homepage" },
                { BASE ", \"homepage\": \"https://a b\"}", "/homepage" },
                { BASE ", \"limits\": {\"memory_mb\": -1}}", "/limits/memory_mb" },
                { BASE ", \"limits\": {\"tasks\": 1.5}}", "/limits/tasks: got 1.5, expected a whole number" },
                { BASE ", \"limits\": {\"tasks\": 0}}", "/limits/tasks" },
                { BASE ", \"limits\": {\"disk\": 1}}", "/limits/disk" },
                { BASE ", \"timeouts\": {\"check\": 0}}", "/timeouts/check" },
                { BASE ", \"events\": {\"custom\": {}}}", "EventHandler" },
                { BASE ", \"events\": {\"Custom!\": {}}}", "no event is of this type" },
                { BASE ", \"events\": {\"cloud.weather\": {}}}", "/events/cloud.weather: no event is of this type" },
                { BASE ", \"events\": {\"cloudy.*\": {}}}", "no event is of this type" },
                { BASE ", \"events\": {\"cloud.spot.interrupt.*\": {}}}", "no event is of this type" },
                { BASE ", \"events\": {\"cloud.\": {}}}", "no event is of this type" },
                { BASE ", \"events\": {\".*\": {}}}", "no event is of this type" },
                { BASE ", \"events\": {\"*\": {}}}", "no event is of this type" },
                { BASE ", \"events\": {\"custom.\": {}}}", "no event is of this type" },
                { BASE ", \"events\": {\"custom..*\": {}}}", "no event is of this type" },
                { BASE ", \"events\": {\"custom\": 1}}", "expected an object" },
                { BASE ", \"events\": {\"custom\": {\"priority\": 1.5}}}",
                  "/events/custom/priority: got 1.5, expected a whole number" },
                { BASE ", \"events\": {\"custom\": {\"priority\": -1000001}}}", "/events/custom/priority" },
                { BASE ", \"api\": 2}", "/api: expected 1" },
                { BASE ", \"api\": 0}", "/api: expected 1" },
                { BASE ", \"api\": 1.5}", "/api: expected 1" },
                { BASE ", \"api\": 1e300}", "/api: expected 1" },
                { BASE ", \"api\": \"1\"}", "/api: expected 1" },
                { BASE ", \"dependencies\": [\"x\"]}", "/dependencies/0: expected {name, version}" },
                { BASE ", \"dependencies\": [{\"name\": \"x\", \"version\": \"1\"}, "
                       "{\"name\": \"y\", \"version\": \"?\"}]}",
                  "/dependencies/1: y: got ?, expected a range" },
                { BASE ", \"dependencies\": [{\"name\": \"x\", \"version\": \"1\"}, "
                       "{\"name\": \"x\", \"version\": \"^1\"}]}",
                  "/dependencies/1: x stands there twice" },
                { BASE ", \"config_schema\": {\"p\": {\"type\": \"port\"}}}", "/config_schema/p: type" },
                { BASE ", \"config_schema\": {\"p\": {\"type\": \"int\", \"default\": \"x\"}}}",
                  "/config_schema/p/default: got \"x\", expected a whole number" },
                { BASE ", \"config_schema\": {\"p\": {\"type\": \"list\", \"constraints\": \"a|b\", \"default\": "
                       "[\"a\", \"c\"]}}}",
                  "/config_schema/p/default/1: got \"c\", expected a string of at most 8192 bytes within a|b" },
                { BASE ", \"config_schema\": {\"p\": {\"type\": \"int\", \"constraints\": \"9..1\"}}}", "min..max" },
                { BASE ", \"config_schema\": {\"p\": {\"type\": \"int\", \"constraints\": \"1..0x9\"}}}", "min..max" },
                { BASE ", \"config_schema\": {\"p\": {\"type\": \"int\", \"constraints\": \"+1..9\"}}}", "min..max" },
                { BASE ", \"config_schema\": {\"p\": {\"type\": \"string\", \"constraints\": \"/[/\"}}}",
                  "regular expression ‘[’" },
                { BASE ", \"config_schema\": {\"p\": {\"type\": \"string\", \"constraints\": "
                       "\"/(*LIMIT_MATCH=99999999)a/\"}}}",
                  "does not begin with (*" },
                { BASE ", \"config_schema\": {\"p\": {\"type\": \"int\", \"color\": 1}}}", "unknown key color" },
                { BASE ", \"config_schema\": {\"a-b\": {\"type\": \"int\"}, \"a_b\": {\"type\": \"int\"}}}",
                  "/config_schema/a_b: is SNOOZE_A_B in the environment file, as a-b is" },
                { BASE ", \"config_schema\": {\"path\": {\"type\": \"int\"}, \"Path\": {\"type\": \"int\"}}}",
                  "SNOOZE_PATH" },
                { BASE ", \"exec\": \"../x\"}", "without .." },
                { BASE ", \"exec\": \"absent\"}", "absent" },
                { BASE ", \"exec\": \"plugin.json\"}", "not executable" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                assert_refused(f, cases[i].text, cases[i].part);
}

/* As many different ones of 32 bytes each. */
static char *with_permissions(unsigned n) {
        g_autoptr(GString) list = g_string_new(NULL);

        for (unsigned i = 0; i < n; i++)
                g_string_append_printf(list, "%s\"read:/srv/%022u\"", i > 0 ? ", " : "", i);
        return g_strdup_printf(BASE ", \"permissions\": [%s]}", list->str);
}

/* What is approved is read first, all of it. */
static void test_no_more_permissions_than_anybody_reads(Fixture *f, gconstpointer data) {
        g_autofree char *most = with_permissions(64), *more = with_permissions(65),
                        *long_ones = g_strdup_printf(BASE ", \"permissions\": [\"read:/srv/%01000u\", "
                                                          "\"write:/srv/%01000u\", \"exec:/srv/%01000u\"]}",
                                                     1, 2, 3);
        g_autoptr(GError) error = NULL;
        g_autoptr(Manifest) m = load(f, most, &error);

        g_assert_no_error(error);
        g_assert_cmpuint(g_strv_length(m->permissions), ==, 64);
        assert_refused(f, more, "/permissions: expected a list of at most 64");
        assert_refused(f, long_ones, "/permissions: expected at most 2048 bytes in all");
}

static void test_what_is_whole(Fixture *f, gconstpointer data) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Manifest) m =
                load(f,
                     "{\"version\": \"1\", \"contracts\": [\"EventHandler\"], \"events\": {\"custom\": {\"priority\": "
                     "-7.0}}, \"limits\": {\"tasks\": 4.0, \"memory_mb\": 1.5}, \"homepage\": \"http://[::1]:80/\"}",
                     &error);

        g_assert_no_error(error);
        g_assert_cmpint(manifest_event(m, "custom")->priority, ==, -7);
        g_assert_cmpuint(m->tasks_max, ==, 4);
        g_assert_cmpuint(m->memory_max, ==, 1536 * 1024);
        g_assert_cmpstr(m->homepage, ==, "http://[::1]:80/");
}

static void test_unsafe_files(Fixture *f, gconstpointer data) {
        g_autofree char *link = g_build_filename(f->folder, "link", NULL);

        g_assert_cmpint(symlink("/bin/true", link), ==, 0);
        assert_refused(f, BASE ", \"exec\": \"link\"}", "link that leaves");

        g_assert_cmpint(g_chmod(f->program, 0757), ==, 0);
        assert_refused(f, BASE "}", "written by others");
        g_assert_cmpint(g_chmod(f->program, 04755), ==, 0);
        assert_refused(f, BASE "}", "setuid");
        g_assert_cmpint(g_chmod(f->program, 0755), ==, 0);

        write_text(f->folder, "redis",
                   "\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\377\177 rubbish rubbish rubbish rubbish rubbish", 0755);
        assert_refused(f, BASE "}", "another architecture");
        write_text(f->folder, "redis", "rubbish", 0755);
        assert_refused(f, BASE "}", "neither a program");
        write_text(f->folder, "redis", "#!/bin/sh\n", 0755);

        if (access_list_give(f->program)) {
                g_assert_false(file_trusted(f->program, geteuid(), NULL));
                g_assert_cmpint(removexattr(f->program, "system.posix_acl_access"), ==, 0);
                g_assert_cmpint(g_chmod(f->program, 0755), ==, 0);
                g_assert_true(file_trusted(f->program, geteuid(), NULL));
        }
        g_assert_cmpint(g_chmod(f->folder, 0777), ==, 0);
        assert_refused(f, BASE "}", "written by others");
        g_assert_cmpint(g_chmod(f->folder, 0755), ==, 0);

        if (geteuid() != 0)
                return;
        g_assert_cmpint(chown(f->program, 65534, 0), ==, 0);
        assert_refused(f, BASE "}", "another user");
}

static void assert_stamp(Fixture *f, const Manifest *manifest) {
        FileStamp there[MANIFEST_FILES];

        manifest_stamp(f->directory, "redis", manifest->exec, there);
        g_assert_cmpmem(manifest->stamp, sizeof(manifest->stamp), there, sizeof(there));
}

/* Of the files that were read, whatever has their names by then. */
static void test_stamp(Fixture *f, gconstpointer data) {
        g_autofree char *link = g_build_filename(f->folder, "link", NULL);
        g_autofree char *file = g_build_filename(f->folder, "plugin.json", NULL);
        g_autoptr(Manifest) beside = load(f, BASE "}", NULL), linked = NULL;
        FileStamp now[MANIFEST_FILES];

        assert_stamp(f, beside);
        g_assert_cmpstr(beside->exec, ==, f->program);

        g_assert_cmpint(symlink("redis", link), ==, 0);
        linked = load(f, BASE ", \"exec\": \"link\"}", NULL);
        assert_stamp(f, linked);
        g_assert_cmpstr(linked->exec, ==, f->program);

        g_assert_cmpint(g_remove(file), ==, 0);
        write_text(f->folder, "plugin.json", BASE "}", 0644);
        write_text(f->folder, "redis", "#!/bin/sh\nexit 1\n", 0755);
        manifest_stamp(f->directory, "redis", linked->exec, now);
        g_assert_cmpmem(&now[MANIFEST_PLACE], sizeof(*now), &linked->stamp[MANIFEST_PLACE], sizeof(*now));
        g_assert_cmpint(memcmp(&now[MANIFEST_TEXT], &linked->stamp[MANIFEST_TEXT], sizeof(*now)), !=, 0);
        g_assert_cmpint(memcmp(&now[MANIFEST_PROGRAM], &linked->stamp[MANIFEST_PROGRAM], sizeof(*now)), !=, 0);
        manifest_stamp(f->directory, "redis", "", now);
        g_assert_cmpuint(now[MANIFEST_PROGRAM].inode, ==, 0);
}

static void test_ids(void) {
        g_assert_true(plugin_id_valid("a"));
        g_assert_true(plugin_id_valid("redis-monitor2"));
        g_assert_true(plugin_id_valid("abcdefghijklmnopqrstuvwx"));
        g_assert_false(plugin_id_valid("abcdefghijklmnopqrstuvwxy"));
        g_assert_false(plugin_id_valid(""));
        g_assert_false(plugin_id_valid("-a"));
        g_assert_false(plugin_id_valid("2a"));
        g_assert_false(plugin_id_valid("Redis"));
        g_assert_false(plugin_id_valid("a/b"));
        g_assert_false(plugin_id_valid("admin"));
        g_assert_false(plugin_id_valid("memory"));
        g_assert_true(plugin_id_valid("memory-use"));
        g_assert_false(plugin_id_valid(NULL));
}

static JsonObject *object(const char *text) {
        g_autoptr(JsonNode) node = json_text_parse("test", text, -1, NULL);

        g_assert_nonnull(node);
        return json_node_dup_object(node);
}

static Schema *schema(void) {
        g_autoptr(JsonObject) description =
                object("{\"port\": {\"type\": \"int\", \"default\": 1, \"constraints\": \"1..65535\"}, \"ratio\": "
                       "{\"type\": \"float\"},"
                       "\"mode\": {\"type\": \"string\", \"constraints\": \"fast|slow\", \"default\": \"fast\"},"
                       "\"host\": {\"type\": \"string\", \"constraints\": \"/^[a-z.]+$/\"}, \"on\": {\"type\": "
                       "\"bool\", \"default\": false},"
                       "\"names\": {\"type\": \"list\", \"default\": [\"a\"]}, \"pass-word\": {\"type\": \"string\", "
                       "\"secret\": true,"
                       "\"constraints\": \"/^.{4,}$/\"}, \"slow\": {\"type\": \"string\", \"constraints\": "
                       "\"/^(a+)+$|^a+!$/\"}, \"slow-ones\": {\"type\": \"list\", \"constraints\": "
                       "\"/^(a+)+$|^a+!$/\"}}");
        g_autoptr(GError) error = NULL;
        Schema *result = schema_parse("test", description, &error);

        g_assert_no_error(error);
        return result;
}

static void test_values_are_checked(void) {
        static const struct {
                const char *values, *part; /* NULL: fine */
        } cases[] = {
                { "{}", NULL },
                { "{\"port\": 65535, \"ratio\": 1, \"mode\": \"slow\", \"host\": \"a.b\", \"on\": true, \"names\": "
                  "[]}",
                  NULL },
                { "{\"port\": 0}", "/port: got 0, expected a whole number within 1..65535" },
                { "{\"port\": 1.5}", "expected a whole number" },
                { "{\"port\": \"1\"}", "got \"1\"" },
                { "{\"mode\": \"warp\"}", "fast|slow" },
                { "{\"host\": \"A\"}", "/host" },
                { "{\"host\": \"a\\n\"}", "/host" },
                { "{\"on\": 1}", "true or false" },
                { "{\"names\": 1}", "/names: got 1, expected a list of at most 1023 strings" },
                { "{\"names\": [\"a\", \"b\", 1]}", "/names/2: got 1, expected a string" },
                /* Also of what stands beside it. */
                { "{\"names\": [\"https://me:hunter2@example.org\", 1]}", "/names/1: got a secret value" },
                { "{\"prot\": 1}", "expected one of port, ratio" },
                { "{\"pass-word\": \"abc\"}", "got a secret value" },
                { "{\"slow\": \"aaa!\"}", NULL },
                /* Both would fit, after as many steps as keep a daemon busy for minutes. */
                { "{\"slow\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\"}", "/slow" },
                { "{\"slow-ones\": [\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\"]}",
                  "/slow-ones/0: got " },
        };
        g_autoptr(Schema) s = schema();

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(JsonObject) values = object(cases[i].values);
                g_autoptr(GError) error = NULL;

                g_assert_cmpint(schema_check(s, "test", values, &error), ==, cases[i].part == NULL);
                if (cases[i].part && !strstr(error->message, cases[i].part))
                        g_error("%s: the message is: %s", cases[i].values, error->message);
        }
}

static void test_texts_are_bounded(void) {
        static const char *const formats[] = { "{\"host\": \"%s\"}", "{\"names\": [\"%s\"]}" };
        g_autofree char *longest = g_strnfill(SETTING_TEXT_MAX, 'a');
        g_autoptr(Schema) s = schema();

        for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
                g_auto(GStrv) parts = g_strsplit(formats[i], "%s", 2);
                g_autofree char *fine = g_strconcat(parts[0], longest, parts[1], NULL);
                g_autofree char *more = g_strconcat(parts[0], longest, "a", parts[1], NULL);
                g_autoptr(JsonObject) fits = object(fine), exceeds = object(more);
                g_autoptr(GError) error = NULL;

                g_assert_true(schema_check(s, "test", fits, NULL));
                g_assert_false(schema_check(s, "test", exceeds, &error));
                g_assert_nonnull(strstr(error->message, "of at most 8192 bytes"));
        }
}

/* What the plugin's library would refuse is refused before it is sent, wherever it comes from. */
static void test_all_values_together_are_bounded(void) {
        g_autofree char *text = g_strnfill(SETTING_TEXT_MAX, 'a'), *environment = NULL;
        g_autoptr(JsonArray) list = json_array_new();
        g_autoptr(JsonObject) configured = json_object_new();
        g_autoptr(Schema) s = schema();
        g_autoptr(GError) error = NULL, more_error = NULL, sum_error = NULL;
        g_autoptr(Settings) settings = NULL;

        for (unsigned i = 0; i < SETTING_LIST_MAX; i++)
                json_array_add_string_element(list, "");
        json_object_set_array_member(configured, "names", json_array_ref(list));
        g_assert_true(schema_check(s, "test", configured, NULL));
        json_object_set_int_member(configured, "port", 1);
        g_assert_false(schema_check(s, "test", configured, &error));
        g_assert_nonnull(strstr(error->message, "test/: expected at most 1024 settings"));
        json_object_remove_member(configured, "port");
        /* With the default of another. */
        g_assert_null(schema_resolve(s, "x", configured, NULL, &more_error));
        g_assert_nonnull(strstr(more_error->message, "there are 1027"));

        json_object_remove_member(configured, "names");
        json_array_unref(g_steal_pointer(&list));
        list = json_array_new();
        for (unsigned i = 0; i < 7; i++)
                json_array_add_string_element(list, text);
        json_object_set_array_member(configured, "names", json_array_ref(list));
        settings = schema_resolve(s, "x", configured, NULL, NULL);
        g_assert_nonnull(settings);
        environment = g_strdup_printf("SNOOZE_HOST=%s\n", text);
        g_assert_null(schema_resolve(s, "x", configured, environment, &sum_error));
        g_assert_nonnull(strstr(sum_error->message, "65536 bytes of names and strings, in all"));
}

static void test_origins(void) {
        g_autoptr(JsonObject) configured = object("{\"port\": 2, \"mode\": \"slow\"}");
        g_autoptr(Schema) s = schema();
        g_autoptr(GError) error = NULL;
        g_autoptr(Settings) settings =
                schema_resolve(s, "x", configured,
                               "# comment\n\nSNOOZE_PORT=3\nSNOOZE_PASS_WORD = \"pa ss\"\r\nSNOOZE_NAMES=b, c\n"
                               "SNOOZE_ON=yes\nSNOOZE_RATIO=0.5",
                               &error);
        g_autofree char *values = NULL, *origins = NULL;

        g_assert_no_error(error);
        values = json_object_text(settings->values);
        origins = json_object_text(settings->origins);
        g_assert_cmpint(json_get_int(settings->values, "port", 0), ==, 3);
        g_assert_cmpstr(json_get_string(settings->origins, "port", ""), ==, "environment");
        g_assert_cmpstr(json_get_string(settings->origins, "mode", ""), ==, "configuration");
        g_assert_cmpstr(json_get_string(settings->values, "pass-word", ""), ==, "pa ss");
        g_assert_true(json_get_boolean(settings->values, "on", FALSE));
        g_assert_cmpfloat(json_get_double(settings->values, "ratio", 0), ==, 0.5);
        g_assert_cmpuint(json_array_get_length(json_get_array(settings->values, "names")), ==, 2);
        g_assert_false(json_object_has_member(settings->values, "host"));
}

static void test_a_list_of_the_environment_may_be_json(void) {
        static const char *const lines[] = { "SNOOZE_NAMES=[\"a, b\", \"c\"]", "SNOOZE_NAMES='[\"a, b\", \"c\"]'" };
        g_autoptr(Schema) s = schema();

        for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Settings) settings = schema_resolve(s, "x", NULL, lines[i], &error);
                JsonArray *names;

                g_assert_no_error(error);
                names = json_get_array(settings->values, "names");
                g_assert_cmpuint(json_array_get_length(names), ==, 2);
                g_assert_cmpstr(json_array_get_string_element(names, 0), ==, "a, b");
        }
}

static void test_environment_is_strict(void) {
        static const char *const bad[] = { "PORT=1",
                                           "SNOOZE_PORT",
                                           "SNOOZE_PORT=x",
                                           "SNOOZE_PORT=' 5'",
                                           "SNOOZE_PORT=+5",
                                           "SNOOZE_PORT=0x50",
                                           "SNOOZE_PORT=5;",
                                           "SNOOZE_RATIO=' 0.5'",
                                           "SNOOZE_RATIO=0x.8p0",
                                           "SNOOZE_RATIO=.5",
                                           "SNOOZE_NOSUCH=1",
                                           "SNOOZE_PORT=70000",
                                           "SNOOZE_ON=perhaps",
                                           "SNOOZE_NAMES=[a,b",
                                           "SNOOZE_NAMES=[1]",
                                           "SNOOZE_NAMES=[[\"a\"]]" };
        g_autoptr(Schema) s = schema();

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autoptr(GError) error = NULL;

                g_assert_null(schema_resolve(s, "x", NULL, bad[i], &error));
                g_assert_true(g_str_has_prefix(error->message, "plugins/x.env"));
        }
}

static void test_required(void) {
        g_autoptr(JsonObject) description = object("{\"url\": {\"type\": \"string\", \"required\": true}}");
        g_autoptr(Schema) s = schema_parse("test", description, NULL);
        g_autoptr(GError) error = NULL;

        g_assert_null(schema_resolve(s, "x", NULL, NULL, &error));
        g_assert_nonnull(strstr(error->message, "/plugins/plugin_configs/x/url: is required"));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/manifest/every-key", Fixture, NULL, set_up, test_every_key, tear_down);
        g_test_add_func("/manifest/the-api-of-before-is-served", test_the_api_of_before_is_served);
        g_test_add_func("/manifest/what-is-served-is-said", test_what_is_served_is_said);
        g_test_add("/manifest/defaults", Fixture, NULL, set_up, test_defaults, tear_down);
        g_test_add("/manifest/refusals", Fixture, NULL, set_up, test_refusals, tear_down);
        g_test_add("/manifest/no-more-permissions-than-anybody-reads", Fixture, NULL, set_up,
                   test_no_more_permissions_than_anybody_reads, tear_down);
        g_test_add("/manifest/what-is-whole", Fixture, NULL, set_up, test_what_is_whole, tear_down);
        g_test_add("/manifest/unsafe-files", Fixture, NULL, set_up, test_unsafe_files, tear_down);
        g_test_add("/manifest/stamp", Fixture, NULL, set_up, test_stamp, tear_down);
        g_test_add_func("/manifest/ids", test_ids);
        g_test_add_func("/schema/values-are-checked", test_values_are_checked);
        g_test_add_func("/schema/texts-are-bounded", test_texts_are_bounded);
        g_test_add_func("/schema/all-values-together-are-bounded", test_all_values_together_are_bounded);
        g_test_add_func("/schema/origins", test_origins);
        g_test_add_func("/schema/environment-is-strict", test_environment_is_strict);
        g_test_add_func("/schema/environment-list-as-json", test_a_list_of_the_environment_may_be_json);
        g_test_add_func("/schema/required", test_required);
        return g_test_run();
}
