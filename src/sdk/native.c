/* SPDX-License-Identifier: Apache-2.0 */

/* An instance inside the daemon: one channel, no name, no bus, and no process whose end would clean up behind it. */

#include <snooze/native.h>

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/journal.h"
#include "sdk/call.h"
#include "sdk/dictionary.h"

struct SnoozePluginNative {
        SnoozePluginInstance instance;
        void (*gone)(void *userdata);
        void *userdata;
        const void *object; /* where the shared object of its table begins */
        SnoozePluginNative *next;
};

/* Threads of all of them log. */
static pthread_mutex_t natives_lock = PTHREAD_MUTEX_INITIALIZER;
static SnoozePluginNative *natives;

static const void *object_of(const void *address) {
        Dl_info info;

        return dladdr(address, &info) != 0 ? info.dli_fbase : NULL;
}

bool native_log_field(const void *inside, char *field, size_t size) {
        const void *object = object_of(inside);
        const SnoozePluginNative *native;

        (void) pthread_mutex_lock(&natives_lock);
        for (native = natives; native && native->object != object;)
                native = native->next;
        if (native)
                snprintf(field, size, LOG_FIELD "%s", native->instance.plugin.id);
        (void) pthread_mutex_unlock(&natives_lock);
        return native != NULL;
}

static void natives_add(SnoozePluginNative *native) {
        (void) pthread_mutex_lock(&natives_lock);
        native->next = natives;
        natives = native;
        (void) pthread_mutex_unlock(&natives_lock);
}

static void natives_remove(const SnoozePluginNative *native) {
        SnoozePluginNative **p = &natives;

        (void) pthread_mutex_lock(&natives_lock);
        while (*p && *p != native)
                p = &(*p)->next;
        if (*p)
                *p = native->next;
        (void) pthread_mutex_unlock(&natives_lock);
}

static void native_free(SnoozePluginNative *native) {
        SnoozePluginInstance *instance = &native->instance;

        events_clear(instance);
        state_clear(instance);
        threads_clear(instance);
        channel_close(instance);
        sd_event_source_disable_unref(instance->exit_source);
        sd_event_unref(instance->event);
        safe_close(instance->closed_pipe);
        dictionary_free(instance->config);
        natives_remove(native);
        free(native);
}

static void on_settled(SnoozePluginInstance *instance) {
        SnoozePluginNative *native = (SnoozePluginNative *) instance;
        void (*gone)(void *userdata) = native->gone;
        void *userdata = native->userdata;

        if (!gone)
                return; /* it left by itself: the daemon releases it */
        native_free(native);
        gone(userdata);
}

int snooze_plugin_native_new(const SnoozePlugin *table, sd_event *event, int fd, SnoozePluginNative **ret) {
        _cleanup_close_ int owned = fd;
        _cleanup_free_ char *problem = NULL;
        SnoozePluginNative *native;
        int r;

        native = calloc(1, sizeof(SnoozePluginNative));
        if (!native)
                return -ENOMEM;
        native->instance.settled = on_settled;
        native->instance.closed_pipe = -EBADF;
        native->instance.event = sd_event_ref(event);
        memcpy(&native->instance.plugin, table,
               table->size < sizeof(SnoozePlugin) ? table->size : sizeof(SnoozePlugin));
        problem = plugin_problem(&native->instance.plugin);
        if (problem)
                log_error("The table of a native plugin is wrong: %s", problem);
        native->object = object_of(table);
        natives_add(native);
        r = problem ? -EINVAL : channel_serve(&native->instance, steal_fd(&owned));
        if (r >= 0 && table->start)
                r = table->start(&native->instance, native->instance.plugin.userdata);
        if (r < 0) {
                native_free(native);
                return r;
        }
        *ret = native;
        return 0;
}

void snooze_plugin_native_release(SnoozePluginNative *native, void (*gone)(void *userdata), void *userdata) {
        SnoozePluginInstance *instance = &native->instance;

        native->gone = gone;
        native->userdata = userdata;
        channel_close(instance);
        if (!instance->leaving)
                life_leave(instance, "the daemon is done with it");
        else
                life_settled(instance);
}

typedef struct Question {
        SnoozePluginNativeAnswer answer;
        void *userdata;
} Question;

static void on_checked(SnoozePluginCall *call, int result) {
        const SnoozePluginDictionary *details = snooze_plugin_call_get_result(call);
        SnoozePluginNativeVote vote = { .result = result,
                                        .details = snooze_plugin_dictionary_get_key(details, 0) ? details : NULL };
        const Question *question = call_get_worker(call);

        if (result < 0)
                vote.error = call_get_error(call);
        else
                call_get_verdict(call, &vote.verdict, &vote.reason);
        question->answer(&vote, question->userdata);
}

int snooze_plugin_native_check_idle(SnoozePluginNative *native, const SnoozePluginDictionary *metrics,
                                    SnoozePluginNativeAnswer answer, void *userdata) {
        SnoozePluginInstance *instance = &native->instance;
        SnoozePluginCall *call;
        Question *question;
        int r;

        if (instance->stage != STAGE_INITIALIZED || instance->leaving || !instance->plugin.check_idle ||
            instance->calls >= CALLS_PENDING_MAX)
                return -EAGAIN;
        question = malloc(sizeof(Question));
        if (!question)
                return -ENOMEM;
        *question = (Question) { .answer = answer, .userdata = userdata };
        r = call_new_internal(instance, CALL_VERDICT | CALL_RESULT, on_checked, &call);
        if (r < 0) {
                free(question);
                return r;
        }
        call_set_worker(call, question, free);
        (void) call_return(call, instance->plugin.check_idle(call, metrics, instance->plugin.userdata));
        return 0;
}

int snooze_plugin_native_read(sd_bus_message *message, SnoozePluginDictionary **ret) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;

        return dictionary_read(message, "{sv}", ret, &error);
}

int snooze_plugin_native_append(sd_bus_message *message, const SnoozePluginDictionary *dictionary) {
        return dictionary_append(message, dictionary);
}
