/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/native/native.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <snooze/native.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "bus/dictionary.h"
#include "daemon/decision/sample.h"
#include "manifest/manifest.h"

#define TABLE_FUNCTION "snooze_plugin_native_table"

/* The functions of the SDK, as the object brought them along. */
typedef struct Library {
        __typeof__(snooze_plugin_native_new) *new;
        __typeof__(snooze_plugin_native_release) *release;
        __typeof__(snooze_plugin_native_check_idle) *check_idle;
        __typeof__(snooze_plugin_native_read) *read;
        __typeof__(snooze_plugin_native_append) *append;
        __typeof__(snooze_plugin_dictionary_free) *dictionary_free;
} Library;

struct Native {
        Library library;
        char *path;
        struct stat loaded;           /* the file that it was */
        const SnoozePlugin *table;
        SnoozePluginNative *instance; /* NULL: none serves */
        unsigned ending;              /* instances that something is still under way in */
        gboolean abandoned;           /* freed with the last of them */

        JsonObject *metrics_json;     /* what `metrics` was made of */
        SnoozePluginDictionary *metrics;
};

static gboolean fail(GError **error, const char *path, const char *what) {
        g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_UNSAFE, "%s: %s", path, what);
        return FALSE;
}

/* Whoever can rename a directory above it can replace it, too. */
static gboolean path_trusted(const char *path, uid_t also, GError **error) {
        g_autofree char *part = g_strdup(path);

        for (;;) {
                g_autofree char *parent = NULL;

                if (!file_trusted(part, also, error))
                        return FALSE;
                if (g_str_equal(part, "/"))
                        return TRUE;
                parent = g_path_get_dirname(part);
                g_free(part);
                part = g_steal_pointer(&parent);
        }
}

static gboolean library_find(void *object, Library *library) {
        const struct {
                const char *name;
                void *location;
        } functions[] = {
                { "snooze_plugin_native_new", &library->new },
                { "snooze_plugin_native_release", &library->release },
                { "snooze_plugin_native_check_idle", &library->check_idle },
                { "snooze_plugin_native_read", &library->read },
                { "snooze_plugin_native_append", &library->append },
                { "snooze_plugin_dictionary_free", &library->dictionary_free },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(functions); i++) {
                *(void **) functions[i].location = dlsym(object, functions[i].name);
                if (!*(void **) functions[i].location)
                        return FALSE;
        }
        return TRUE;
}

Native *native_load(const char *path, uid_t also, GError **error) {
        _cleanup_free_ char *real = realpath(path, NULL);
        const SnoozePlugin *(*table)(void);
        g_autofree Native *native = g_new0(Native, 1);
        void *object;

        if (!real) {
                fail(error, path, g_strerror(errno));
                return NULL;
        }
        if (!path_trusted(real, also, error))
                return NULL;
        object = dlopen(real, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        if (!object) {
                fail(error, real, dlerror());
                return NULL;
        }
        *(void **) &table = dlsym(object, TABLE_FUNCTION);
        if (!table || !library_find(object, &native->library)) {
                fail(error, real, "is no native plugin: it lacks " TABLE_FUNCTION " or the library of this version");
                return NULL;
        }
        native->path = g_strdup(real);
        native->table = table();
        if (!native->table || stat(real, &native->loaded) < 0) {
                fail(error, real, native->table ? g_strerror(errno) : "has no table");
                g_free(native->path);
                return NULL;
        }
        return g_steal_pointer(&native);
}

static void native_destroy(Native *native) {
        g_clear_pointer(&native->metrics_json, json_object_unref);
        if (native->metrics)
                native->library.dictionary_free(native->metrics);
        g_free(native->path);
        g_free(native);
}

static void on_gone(void *userdata) {
        Native *native = userdata;

        native->ending--;
        if (native->abandoned && native->ending == 0)
                native_destroy(native);
}

void native_stop(Native *native) {
        SnoozePluginNative *instance = g_steal_pointer(&native->instance);

        if (!instance)
                return;
        native->ending++;
        native->library.release(instance, on_gone, native);
}

void *native_instance(const Native *native) {
        return native->instance;
}

void native_free(Native *native) {
        if (!native)
                return;
        native_stop(native);
        native->abandoned = native->ending > 0;
        if (!native->abandoned)
                native_destroy(native);
}

/* Code that was loaded stays, so another version of it needs another daemon. */
static gboolean is_current(const Native *native) {
        struct stat st;

        return stat(native->path, &st) >= 0 && st.st_dev == native->loaded.st_dev &&
               st.st_ino == native->loaded.st_ino && st.st_mtim.tv_sec == native->loaded.st_mtim.tv_sec &&
               st.st_mtim.tv_nsec == native->loaded.st_mtim.tv_nsec;
}

int native_start(Native *native, sd_event *event, GError **error) {
        _cleanup_close_ int theirs = -EBADF, ours = -EBADF;
        int fds[2], r;

        if (!is_current(native)) {
                fail(error, native->path,
                     "was replaced since it was loaded: systemctl restart snoozed loads the new one");
                return -1;
        }
        if (native->instance || native->ending > 0) {
                fail(error, native->table->id, "an earlier call of it has not ended yet");
                return -1;
        }
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0) {
                fail(error, native->table->id, g_strerror(errno));
                return -1;
        }
        theirs = fds[0];
        ours = fds[1];
        r = native->library.new(native->table, event, steal_fd(&theirs), &native->instance);
        if (r >= 0)
                return steal_fd(&ours);
        fail(error, native->table->id, g_strerror(-r));
        return -1;
}

/* A message that goes nowhere is how values become a dictionary, and back: strictly, as if they had come from another
 * process. */
static sd_bus_message *carrier(sd_bus *bus) {
        sd_bus_message *message;

        return sd_bus_message_new_signal(bus, &message, PLUGIN_PATH, PLUGIN_INTERFACE, "Values") < 0 ? NULL : message;
}

/* Those of one round are the same object. */
static gboolean prepare_metrics(Native *native, sd_bus *bus, JsonObject *metrics) {
        _cleanup_bus_message_ sd_bus_message *message = NULL;

        if (native->metrics && native->metrics_json == metrics)
                return TRUE;
        message = carrier(bus);
        if (!message || dictionary_append(message, metrics, metric_hints) < 0 ||
            sd_bus_message_seal(message, 1, 0) < 0)
                return FALSE;
        g_clear_pointer(&native->metrics_json, json_object_unref);
        if (native->metrics)
                native->library.dictionary_free(g_steal_pointer(&native->metrics));
        if (native->library.read(message, &native->metrics) < 0)
                return FALSE;
        native->metrics_json = json_object_ref(metrics);
        return TRUE;
}

typedef struct Question {
        Native *native;
        sd_bus *bus;
        NativeDone done;
        void *userdata;
} Question;

static JsonObject *read_details(const Question *question, const SnoozePluginDictionary *details) {
        _cleanup_bus_message_ sd_bus_message *message = carrier(question->bus);
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        JsonObject *object = NULL;

        if (!message || question->native->library.append(message, details) < 0 ||
            sd_bus_message_seal(message, 1, 0) < 0 ||
            dictionary_read(message, &dictionary_limits_default, &object, &error) < 0)
                return NULL;
        return object;
}

static void on_vote(const SnoozePluginNativeVote *vote, void *userdata) {
        static const Verdict verdicts[] = { [SNOOZE_PLUGIN_UNKNOWN] = VERDICT_UNKNOWN,
                                            [SNOOZE_PLUGIN_BUSY] = VERDICT_BUSY,
                                            [SNOOZE_PLUGIN_IDLE] = VERDICT_IDLE };
        g_autofree Question *question = userdata;
        g_autoptr(JsonObject) details = NULL;
        NativeVote answer = { .error = vote->result < 0 ? vote->error : NULL };

        if (!answer.error) {
                details = vote->details ? read_details(question, vote->details) : json_object_new();
                answer.verdict = verdicts[vote->verdict];
                answer.reason = vote->reason;
                answer.details = details;
                if (!details)
                        answer.error = "its details are not to be read";
        }
        question->done(&answer, question->userdata);
        sd_bus_unref(question->bus);
}

gboolean native_check_idle(Native *native, sd_bus *bus, JsonObject *metrics, NativeDone done, void *userdata) {
        Question *question;

        if (!native->instance || !prepare_metrics(native, bus, metrics))
                return FALSE;
        question = g_new0(Question, 1);
        *question = (Question) { .native = native, .bus = sd_bus_ref(bus), .done = done, .userdata = userdata };
        if (native->library.check_idle(native->instance, native->metrics, on_vote, question) >= 0)
                return TRUE;
        sd_bus_unref(question->bus);
        g_free(question);
        return FALSE;
}
