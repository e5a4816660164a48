/* SPDX-License-Identifier: Apache-2.0 */

#include "sdk/call.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <syslog.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/journal.h"
#include "sdk/dictionary.h"
#include "sdk/text.h"

#define PERMISSIONS_MAX 64U

typedef struct Permission {
        char *name;
        bool granted;
        char *explanation;
} Permission;

struct SnoozePluginCall {
        SnoozePluginInstance *instance;
        sd_bus_message *message; /* NULL: internal, and `ended` gets the answer */
        void (*ended)(SnoozePluginCall *call, int result);
        CallParts parts;
        CallParts set; /* of the parts, those that the author set */
        int failed;    /* the first failure of a setter */
        bool inside;   /* the function of the table that has it has not returned */
        bool over; /* answered from within that function, which may end a call before it says that this comes later */
        void (*succeeded)(SnoozePluginCall *call);

        SnoozePluginDictionary *input;
        uint64_t deadline; /* monotonic µs until which somebody waits; USEC_INFINITY: nobody said */
        int pipes[2]; /* input and output of a stream, else -1 */
        SnoozePluginCall *next_stream;
        void (*on_abandoned)(void *userdata);
        void *abandoned_userdata;
        SnoozePluginAbandoned told; /* what the author wants to be told by; NULL: nothing */
        void *told_userdata;
        bool abandoned;
        void *worker;
        void (*worker_free)(void *worker);

        bool answer;
        SnoozePluginVerdict verdict;
        char *reason;
        SnoozePluginDictionary *result;
        Permission *permissions; /* PERMISSIONS_MAX of them, once there is one */
        unsigned n_permissions;
        uint32_t state_version;
        void *state;
        size_t state_size;
        void *data;
        size_t data_size;

        char *error_name;
        char *error_message;
};

static void streams_remove(SnoozePluginCall *call) {
        for (SnoozePluginCall **p = &call->instance->streams; *p; p = &(*p)->next_stream)
                if (*p == call) {
                        *p = call->next_stream;
                        return;
                }
}

static SnoozePluginCall *call_free(SnoozePluginCall *call) {
        SnoozePluginInstance *instance = call->instance;
        bool abandoned = call->abandoned;

        streams_remove(call);
        if (call->worker_free)
                call->worker_free(call->worker);
        sd_bus_message_unref(call->message);
        dictionary_free(call->input);
        free(call->reason);
        dictionary_free(call->result);
        for (unsigned i = 0; i < call->n_permissions; i++) {
                free(call->permissions[i].name);
                free(call->permissions[i].explanation);
        }
        free(call->permissions);
        free(call->state);
        free(call->data);
        free(call->error_name);
        free(call->error_message);
        free(call);

        instance->calls--;
        if (abandoned)
                instance->abandoned--;
        life_settled(instance);
        return NULL;
}

static SnoozePluginCall *call_allocate(SnoozePluginInstance *instance, CallParts parts) {
        /* Not calloc(): glibc's does not look among the blocks that it keeps at hand, and splits and joins larger ones
         * with each call instead. */
        SnoozePluginCall *call = malloc(sizeof(SnoozePluginCall));

        if (!call)
                return NULL;
        *call = (SnoozePluginCall) {
                .instance = instance,
                .parts = parts,
                .inside = true,
                .deadline = USEC_INFINITY,
                .pipes = { -1, -1 },
                .set = parts & (CALL_RESULT | CALL_PERMISSIONS),
        };
        if (parts & CALL_RESULT) {
                call->result = dictionary_new();
                if (!call->result) {
                        free(call);
                        return NULL;
                }
        }
        instance->calls++;
        return call;
}

int call_new(SnoozePluginInstance *instance, sd_bus_message *message, CallParts parts, SnoozePluginCall **ret,
             sd_bus_error *error) {
        SnoozePluginCall *call;

        if (instance->calls >= CALLS_PENDING_MAX)
                return sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED, "%s has %u calls under way already",
                                         instance->plugin.id, CALLS_PENDING_MAX);
        call = call_allocate(instance, parts);
        if (!call)
                return -ENOMEM;
        call->message = sd_bus_message_ref(message);
        *ret = call;
        return 0;
}

int call_new_internal(SnoozePluginInstance *instance, CallParts parts,
                      void (*ended)(SnoozePluginCall *call, int result), SnoozePluginCall **ret) {
        SnoozePluginCall *call = call_allocate(instance, parts);

        if (!call)
                return -ENOMEM;
        call->ended = ended;
        *ret = call;
        return 0;
}

void *call_steal_state(SnoozePluginCall *call, uint32_t *ret_version, size_t *ret_size) {
        *ret_version = call->state_version;
        *ret_size = call->state_size;
        return steal(call->state);
}

void call_on_success(SnoozePluginCall *call, void (*succeeded)(SnoozePluginCall *call)) {
        call->succeeded = succeeded;
}

void call_keep(SnoozePluginCall *call, SnoozePluginDictionary *input) {
        call->input = input;
}

SnoozePluginDictionary *call_steal_input(SnoozePluginCall *call) {
        return steal(call->input);
}

void call_read_input(SnoozePluginCall *call) {
        if (call->input)
                dictionary_read_now(call->input);
}

void call_set_budget(SnoozePluginCall *call, uint64_t budget) {
        call->deadline = usec_add(clock_monotonic(), budget);
}

uint64_t snooze_plugin_call_get_time_left(SnoozePluginCall *call) {
        return call->deadline == USEC_INFINITY ? UINT64_MAX : usec_sub(call->deadline, clock_monotonic());
}

/* Made with the first stream: when it is needed there may be no descriptor left to make it with. */
static int closed_pipe_prepare(SnoozePluginInstance *instance) {
        int ends[2];

        if (instance->closed_pipe >= 0)
                return 0;
        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        safe_close(ends[0]);
        instance->closed_pipe = ends[1];
        return 0;
}

int call_set_pipes(SnoozePluginCall *call, int input, int output) {
        int r;

        r = closed_pipe_prepare(call->instance);
        if (r < 0)
                return r;
        call->pipes[0] = input;
        call->pipes[1] = output;
        call->next_stream = call->instance->streams;
        call->instance->streams = call;
        return 0;
}

SnoozePluginCall *call_find_stream(SnoozePluginInstance *instance, sd_bus_message *m, uint32_t serial) {
        const char *sender = sd_bus_message_get_sender(m) ?: "";
        uint64_t cookie;

        for (SnoozePluginCall *call = instance->streams; call; call = call->next_stream)
                if (sd_bus_message_get_bus(call->message) == sd_bus_message_get_bus(m) &&
                    strcmp(sd_bus_message_get_sender(call->message) ?: "", sender) == 0 &&
                    sd_bus_message_get_cookie(call->message, &cookie) >= 0 && cookie == serial)
                        return call;
        return NULL;
}

void call_on_abandoned(SnoozePluginCall *call, void (*abandoned)(void *userdata), void *userdata) {
        call->on_abandoned = abandoned;
        call->abandoned_userdata = userdata;
}

int snooze_plugin_call_on_abandoned(SnoozePluginCall *call, SnoozePluginAbandoned abandoned, void *userdata) {
        if (call->pipes[0] < 0)
                return -EINVAL;
        if (call->abandoned)
                return -ECANCELED;
        call->told = abandoned;
        call->told_userdata = userdata;
        return 0;
}

void call_take_pipes(SnoozePluginCall *call) {
        int loop = sd_event_get_fd(call->instance->event);

        for (unsigned i = 0; i < 2; i++) {
                /* Whatever looks at it from the loop would stay with the pipe, which others hold open, even behind
                 * its own end: the kernel forgets it by this descriptor alone. */
                (void) epoll_ctl(loop, EPOLL_CTL_DEL, call->pipes[i], NULL);
                (void) dup3(call->instance->closed_pipe, call->pipes[i], O_CLOEXEC);
        }
}

void call_abandon(SnoozePluginCall *call) {
        SnoozePluginInstance *instance = call->instance;

        if (call->abandoned)
                return;
        call->abandoned = true;
        instance->abandoned++;
        if (call->on_abandoned)
                call->on_abandoned(call->abandoned_userdata);
        else if (call->told)
                call->told(call, call->told_userdata);
        else
                call_take_pipes(call);
        life_settled(instance);
}

static SnoozePluginCall *find_stream_of(const SnoozePluginInstance *instance, const sd_bus *bus) {
        for (SnoozePluginCall *call = instance->streams; call; call = call->next_stream)
                if (!call->abandoned && sd_bus_message_get_bus(call->message) == bus)
                        return call;
        return NULL;
}

void call_abandon_all(SnoozePluginInstance *instance, const sd_bus *bus) {
        SnoozePluginCall *call;

        /* From the beginning each time: one may end others with it. */
        while ((call = find_stream_of(instance, bus)))
                call_abandon(call);
}

int snooze_plugin_call_get_input(SnoozePluginCall *call) {
        return call->pipes[0];
}

int snooze_plugin_call_get_output(SnoozePluginCall *call) {
        return call->pipes[1];
}

SnoozePluginInstance *call_get_instance(const SnoozePluginCall *call) {
        return call->instance;
}

sd_bus *call_get_bus(const SnoozePluginCall *call) {
        return sd_bus_message_get_bus(call->message);
}

void call_set_worker(SnoozePluginCall *call, void *worker, void (*worker_free)(void *worker)) {
        call->worker = worker;
        call->worker_free = worker_free;
}

void *call_get_worker(const SnoozePluginCall *call) {
        return call->worker;
}

const char *call_get_error(const SnoozePluginCall *call) {
        return call->error_message ?: "no memory";
}

void call_get_verdict(const SnoozePluginCall *call, SnoozePluginVerdict *ret_verdict, const char **ret_reason) {
        *ret_verdict = call->verdict;
        *ret_reason = call->reason;
}

static const char *member_of(const SnoozePluginCall *call) {
        return call->message ? sd_bus_message_get_member(call->message) : "a question";
}

static int remember(SnoozePluginCall *call, int error) {
        if (call->failed == 0)
                call->failed = error;
        return error;
}

static int append_permissions(sd_bus_message *reply, const SnoozePluginCall *call) {
        int r;

        r = sd_bus_message_open_container(reply, 'a', "(sbs)");
        if (r < 0)
                return r;
        for (unsigned i = 0; i < call->n_permissions; i++) {
                const Permission *p = &call->permissions[i];

                r = sd_bus_message_append(reply, "(sbs)", p->name, (int) p->granted, p->explanation);
                if (r < 0)
                        return r;
        }
        return sd_bus_message_close_container(reply);
}

static int append_state(sd_bus_message *reply, const SnoozePluginCall *call) {
        int r;

        r = sd_bus_message_append_basic(reply, 'u', &call->state_version);
        if (r < 0)
                return r;
        return sd_bus_message_append_array(reply, 'y', call->state, call->state_size);
}

static int append_parts(sd_bus_message *reply, const SnoozePluginCall *call) {
        static const char *const verdicts[] = {
                [SNOOZE_PLUGIN_UNKNOWN] = "unknown", [SNOOZE_PLUGIN_BUSY] = "busy", [SNOOZE_PLUGIN_IDLE] = "idle"
        };
        int r = 0;

        if (call->parts & CALL_ANSWER)
                r = sd_bus_message_append_basic(reply, 'b', &(int) { call->answer });
        if (r >= 0 && call->parts & CALL_VERDICT)
                r = sd_bus_message_append_basic(reply, 's', verdicts[call->verdict]);
        if (r >= 0 && call->parts & CALL_VERDICT)
                r = sd_bus_message_append_basic(reply, 's', call->reason);
        if (r >= 0 && call->parts & CALL_RESULT)
                r = dictionary_append(reply, call->result);
        if (r >= 0 && call->parts & CALL_PERMISSIONS)
                r = append_permissions(reply, call);
        if (r >= 0 && call->parts & CALL_STATE)
                r = append_state(reply, call);
        if (r >= 0 && call->parts & CALL_DATA)
                r = sd_bus_message_append_array(reply, 'y', call->data, call->data_size);
        return r;
}

static int answer(SnoozePluginCall *call) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(call->message, &reply);
        if (r < 0)
                return r;
        r = append_parts(reply, call);
        if (r < 0)
                return r;
        return sd_bus_message_send(reply);
}

static void explain_error(SnoozePluginCall *call, int result) {
        bool unread = result == -EPIPE && call->pipes[1] >= 0;

        /* That its reader leaves is nothing that a plugin could help. */
        if (!call->error_name)
                (void) snooze_plugin_call_fail(call, unread ? ERROR_REFUSED : ERROR_PLUGIN_FAILED,
                                               "%s of %s failed: %s", member_of(call), call->instance->plugin.id,
                                               strerror(-result));
        log_debug("%s failed: %s", member_of(call), call->error_message ?: "no memory");
}

static int answer_error(const SnoozePluginCall *call) {
        return sd_bus_reply_method_errorf(call->message, call->error_name ?: ERROR_PLUGIN_FAILED, "%s",
                                          call->error_message ?: "no memory");
}

/* What came with the call, where it turned out to be no good when it was looked at. */
static int input_failure(SnoozePluginCall *call) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = call->input ? dictionary_failure(call->input) : 0;

        if (r < 0 && dictionary_explain(r, &error) < 0 && error.name)
                (void) snooze_plugin_call_fail(call, error.name, "%s", error.message);
        return r;
}

static int first_failure(SnoozePluginCall *call) {
        int r = input_failure(call);

        if (r < 0)
                return r;
        if (call->failed < 0)
                return call->failed;
        return call->result ? dictionary_failure(call->result) : 0;
}

static void end(SnoozePluginCall *call, int result) {
        int r;

        if (result >= 0)
                result = first_failure(call);
        if (result >= 0 && call->set != call->parts)
                result = snooze_plugin_call_fail(call, ERROR_PLUGIN_FAILED, "%s answered %s without saying what",
                                                 call->instance->plugin.id, member_of(call));

        if (result < 0)
                explain_error(call, result);
        if (call->ended) {
                call->ended(call, result);
                return;
        }
        /* An answer that nobody waits for is noise. */
        if (call->abandoned)
                return;
        r = result >= 0 ? answer(call) : answer_error(call);
        if (result >= 0 && call->succeeded)
                call->succeeded(call);
        if (r < 0)
                log_warning("Cannot answer %s: %s", member_of(call), strerror(-r));
}

/* Always 1: the answer was given, will be or cannot be given, and sd-bus must not try another. */
int call_return(SnoozePluginCall *call, int result) {
        call->inside = false;
        if (!call->over && result == SNOOZE_PLUGIN_LATER) {
                /* Whoever looks at it later may do so in a thread. */
                call_read_input(call);
                return 1;
        }
        if (!call->over)
                end(call, result);
        call_free(call);
        return 1;
}

void snooze_plugin_call_finish(SnoozePluginCall *call, int result) {
        assert(result != SNOOZE_PLUGIN_LATER);
        end(call, result);
        call->over = true;
        if (!call->inside)
                call_free(call);
}

SnoozePluginDictionary *snooze_plugin_call_get_result(SnoozePluginCall *call) {
        return call->result;
}

static int may_set(SnoozePluginCall *call, CallParts part) {
        if (!(call->parts & part))
                return remember(call, -EINVAL);
        call->set |= part;
        return 0;
}

int snooze_plugin_call_set_verdict(SnoozePluginCall *call, SnoozePluginVerdict verdict, const char *reason_format,
                                   ...) {
        char *reason;
        va_list ap;
        int r;

        r = may_set(call, CALL_VERDICT);
        if (r < 0)
                return r;
        if (verdict > SNOOZE_PLUGIN_IDLE)
                return remember(call, -EINVAL);
        va_start(ap, reason_format);
        reason = text_line(reason_format, ap);
        va_end(ap);
        if (!reason)
                return remember(call, -ENOMEM);
        free(call->reason);
        call->reason = reason;
        call->verdict = verdict;
        return 0;
}

int snooze_plugin_call_set_answer(SnoozePluginCall *call, bool value) {
        call->answer = value;
        return may_set(call, CALL_ANSWER);
}

int snooze_plugin_call_add_metric(SnoozePluginCall *call, const char *name, double value) {
        const SnoozePluginDictionary *metrics;

        if (!(call->parts & CALL_VERDICT))
                return remember(call, -EINVAL);
        metrics = snooze_plugin_dictionary_get_dictionary(call->result, "metrics");
        /* The tree is the call's own: what it hands out for reading it may write to. */
        return snooze_plugin_dictionary_set_double(
                metrics ? (SnoozePluginDictionary *) metrics
                        : snooze_plugin_dictionary_add_numbers(call->result, "metrics"),
                name, value);
}

static char *line(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *line(const char *format, ...) {
        va_list ap;
        char *text;

        va_start(ap, format);
        text = text_line(format, ap);
        va_end(ap);
        return text;
}

int snooze_plugin_call_add_permission(SnoozePluginCall *call, const char *name, bool granted,
                                      const char *explanation) {
        Permission *p;
        int r;

        r = may_set(call, CALL_PERMISSIONS);
        if (r < 0)
                return r;
        if (call->n_permissions >= PERMISSIONS_MAX)
                return remember(call, -E2BIG);
        if (!call->permissions)
                call->permissions = calloc(PERMISSIONS_MAX, sizeof(Permission));
        if (!call->permissions)
                return remember(call, -ENOMEM);
        p = &call->permissions[call->n_permissions++];
        *p = (Permission) { .name = line("%s", name), .granted = granted, .explanation = line("%s", explanation) };
        return p->name && p->explanation ? 0 : remember(call, -ENOMEM);
}

static int set_bytes(SnoozePluginCall *call, CallParts part, const void *data, size_t size, void **bytes,
                     size_t *bytes_size) {
        void *copy;
        int r;

        r = may_set(call, part);
        if (r < 0)
                return r;
        if (size > (part == CALL_STATE ? STATE_MAX : DATA_MAX))
                return remember(call, -E2BIG);
        copy = malloc(size > 0 ? size : 1);
        if (!copy)
                return remember(call, -ENOMEM);
        if (size > 0)
                memcpy(copy, data, size);
        free(*bytes);
        *bytes = copy;
        *bytes_size = size;
        return 0;
}

int snooze_plugin_call_set_state(SnoozePluginCall *call, uint32_t version, const void *data, size_t size) {
        call->state_version = version;
        return set_bytes(call, CALL_STATE, data, size, &call->state, &call->state_size);
}

int snooze_plugin_call_set_data(SnoozePluginCall *call, const void *data, size_t size) {
        return set_bytes(call, CALL_DATA, data, size, &call->data, &call->data_size);
}

static int errno_of(const char *name) {
        sd_bus_error error = SD_BUS_ERROR_MAKE_CONST(name, NULL);
        int r = sd_bus_error_get_errno(&error);

        return r > 0 ? -r : -EIO;
}

int snooze_plugin_call_fail(SnoozePluginCall *call, const char *name, const char *format, ...) {
        char *copy = strdup(name), *message;
        va_list ap;

        va_start(ap, format);
        message = text_line(format, ap);
        va_end(ap);
        if (!copy || !message || !sd_bus_interface_name_is_valid(name)) {
                free(copy);
                free(message);
                return -EINVAL;
        }
        free(call->error_name);
        free(call->error_message);
        call->error_name = copy;
        call->error_message = message;
        return errno_of(name);
}
