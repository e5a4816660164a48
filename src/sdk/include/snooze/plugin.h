/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* libsnooze-plugin: all that a plugin of CloudSnooze needs. A plugin is a program that fills one table,
 * `SnoozePlugin`, and hands it to snooze_plugin_main(). Which functions stand in the table decides which contracts it
 * serves; the library does the rest: the bus, the greeting, checks of callers and configuration, logging, leaving when
 * nobody needs it.
 *
 *         static int check_idle(SnoozePluginCall *call, const SnoozePluginDictionary *metrics, void *userdata) {
 *                 snooze_plugin_call_set_verdict(call, SNOOZE_PLUGIN_IDLE, "no client for 12 min");
 *                 return 0;
 *         }
 *
 *         int main(int argc, char *argv[]) {
 *                 static const SnoozePlugin plugin = {
 *                         .size = sizeof(SnoozePlugin),
 *                         .id = "example",
 *                         .version = "1.0",
 *                         .check_idle = check_idle,
 *                 };
 *                 return snooze_plugin_main(&plugin, argc, argv);
 *         }
 *
 * Every function of the table runs on one sd-event loop and must not wait: an answer that takes time is given later,
 * by returning SNOOZE_PLUGIN_LATER and calling snooze_plugin_call_finish() once. What a function of the table returns:
 *
 *         0                      the call is answered with what was set on it
 *         SNOOZE_PLUGIN_LATER    it will be finished later
 *         a negative errno       it failed; snooze_plugin_call_fail() says why, else the errno's text does
 *
 * What is handed to a function of the table (dictionaries, texts, data) stays as long as its call is not answered. */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <syslog.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include <snooze/dictionary.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The plugin API of this header: a host of API n serves plugins of n and n - 1. */
#define SNOOZE_PLUGIN_API 1U

#define SNOOZE_PLUGIN_LATER 1

/* Names for snooze_plugin_call_fail(). */
#define SNOOZE_PLUGIN_ERROR_REFUSED "io.cloudsnooze.Snooze1.Error.Refused" /* it will never work like this */
#define SNOOZE_PLUGIN_ERROR_THROTTLED "io.cloudsnooze.Snooze1.Error.Throttled"              /* ask again later */
#define SNOOZE_PLUGIN_ERROR_HELD "io.cloudsnooze.Snooze1.Error.Held" /* somebody stands in the way for now */
#define SNOOZE_PLUGIN_ERROR_NOT_SUPPORTED "io.cloudsnooze.Snooze1.Error.NotSupported" /* not this action, not here */
#define SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT                                                                          \
        "io.cloudsnooze.Snooze1.Error.InvalidArgument" /* which, and what was expected */
#define SNOOZE_PLUGIN_ERROR_FAILED "io.cloudsnooze.Snooze1.Error.PluginFailed"              /* anything else */

typedef enum SnoozePluginVerdict {
        SNOOZE_PLUGIN_UNKNOWN, /* cannot tell: counts as busy where the administrator did not say otherwise */
        SNOOZE_PLUGIN_BUSY,
        SNOOZE_PLUGIN_IDLE,
} SnoozePluginVerdict;

/* The running plugin, and one call of it that is not answered yet. */
typedef struct SnoozePluginInstance SnoozePluginInstance;
typedef struct SnoozePluginCall SnoozePluginCall;

/* One key of the configuration, as in the manifest's config_schema. Where the table lists its settings, Initialize and
 * Configure fill in the defaults and refuse unknown keys, other types and values out of bounds before the plugin sees
 * them. */
typedef enum SnoozePluginSettingType {
        SNOOZE_PLUGIN_STRING,
        SNOOZE_PLUGIN_INTEGER,
        SNOOZE_PLUGIN_NUMBER, /* integers are fine, too */
        SNOOZE_PLUGIN_BOOLEAN,
        SNOOZE_PLUGIN_LIST,   /* of strings */
} SnoozePluginSettingType;

typedef struct SnoozePluginSetting {
        const char *name; /* NULL ends the list */
        SnoozePluginSettingType type;
        double minimum;   /* of an integer or number; both 0: any */
        double maximum;
        const char *constraints; /* of a string, or of each one of a list: "a|b|c", or "/regex/", POSIX extended; NULL:
                                    any */
        const char *default_value; /* what a missing key is: "text", "5", "0.5", "true", "one,two"; NULL: it stays
                                      missing */
        bool required;             /* a missing key is refused; of no use beside a default */
        const void *reserved[4];   /* NULL */
} SnoozePluginSetting;

typedef struct SnoozePlugin {
        size_t size;             /* sizeof(SnoozePlugin): tells an older table from a newer one */
        const char *id;          /* [a-z][a-z0-9-]{0,23}, and not admin, cpu, memory, network, disk, gpu or input; the
                                    bus name is io.cloudsnooze.Plugin1.<id> */
        const char *version;
        const char *description; /* one line, for --help; may be NULL */
        void *userdata;          /* handed to every function below */

        const SnoozePluginSetting *settings; /* may be NULL: initialize looks at the configuration itself; without
                                                that, too, there is none */

        /* Life. Any of them may be NULL. start comes first, before anybody can call: keep the instance for its bus and
         * loop. A negative return ends the plugin. initialize gets the configuration, every key of the schema with
         * defaults filled in; configure a changed one, whole: on an error the old one has to stay in force (NULL:
         * initialize serves). shutdown says that the plugin is about to leave: calls under way are still awaited, so
         * end what would never end by itself. */
        int (*start)(SnoozePluginInstance *instance, void *userdata);
        int (*initialize)(SnoozePluginCall *call, const SnoozePluginDictionary *config, void *userdata);
        int (*configure)(SnoozePluginCall *call, const SnoozePluginDictionary *config, void *userdata);
        void (*shutdown)(void *userdata);

        /* IdleCheck: is something at work? Metrics are those of GetMetrics. Answer with
         * snooze_plugin_call_set_verdict(); the call's result is the details (last_activity, valid_seconds, votes,
         * watching; metrics by snooze_plugin_call_add_metric()). */
        int (*check_idle)(SnoozePluginCall *call, const SnoozePluginDictionary *metrics, void *userdata);

        /* EventHandler: both or none. supported_events ends with NULL; a trailing ".*" stands for all below. The event
         * has id, type, source, timestamp, severity, deadline, data, and budget: µs that this call has, its share of
         * what is left until the deadline (snooze_plugin_call_get_time_left()). One that was handed out before and
         * will not happen after all comes again, with cancelled true, perhaps while the first call is still at it:
         * look for that. Answer with snooze_plugin_call_set_answer(): handled or not. */
        const char *const *supported_events;
        int (*handle_event)(SnoozePluginCall *call, const SnoozePluginDictionary *event, void *userdata);

        /* CloudProvider: needs provider_name, stop_effect, detect, get_instance_info and stop_instance. An empty
         * instance id means this machine. detect answers with set_answer, get_instance_info with the call's result,
         * check_permissions with snooze_plugin_call_add_permission(), the others by returning. What is NULL is
         * answered NotSupported. A permission that is not granted keeps the daemon from every stop, before anybody is
         * warned of it; one named "stop", "hibernate" or "suspend" says why this machine cannot be made to do that,
         * and counts only for a stop that is to do that; one whose name ends with " (optional)" is for something else
         * than a stop, and counts for nothing. */
        const char *provider_name;
        const char *(*stop_effect)(void *userdata);
        int (*detect)(SnoozePluginCall *call, void *userdata);
        int (*get_instance_info)(SnoozePluginCall *call, const char *instance_id, void *userdata);
        int (*stop_instance)(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                             void *userdata);
        int (*start_instance)(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                              void *userdata);
        int (*check_permissions)(SnoozePluginCall *call, void *userdata);
        int (*set_tags)(SnoozePluginCall *call, const SnoozePluginDictionary *tags, void *userdata);

        /* State: both or none. export_state answers with snooze_plugin_call_set_state(); it is called in between other
         * calls, and when the plugin leaves: it changes nothing. */
        int (*export_state)(SnoozePluginCall *call, void *userdata);
        int (*import_state)(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, void *userdata);

        /* RequestHandler: both or none. methods ends with NULL; no other method gets through. Answer with set_answer
         * (success) and the call's result. */
        const char *const *methods;
        int (*handle_request)(SnoozePluginCall *call, const char *method, const SnoozePluginDictionary *params,
                              void *userdata);

        /* EventSource: both or none. watch: begin to look, and announce by snooze_plugin_instance_emit_event() what is
         * pending and what comes; it is called again by a daemon that came back. acknowledge: every handler of this
         * event has ended. */
        int (*watch)(SnoozePluginCall *call, void *userdata);
        int (*acknowledge)(SnoozePluginCall *call, const char *event_id, void *userdata);

        /* DataProcessor: process_stream may be NULL. process_data turns one block of at most 16 MiB into another,
         * given by snooze_plugin_call_set_data(). process_stream turns everything that comes out of the pipe input
         * into what goes into the pipe output: snooze_plugin_call_filter() does so block by block on the loop,
         * snooze_plugin_call_run_in_thread() beside it. Both pipes are the call's and are closed when it ends; its
         * result says what came of it. */
        int (*process_data)(SnoozePluginCall *call, const void *data, size_t size, void *userdata);
        int (*process_stream)(SnoozePluginCall *call, int input, int output, const SnoozePluginDictionary *options,
                              void *userdata);
} SnoozePlugin;

/* Serves the table until the plugin is asked to leave, nobody called it for five minutes, or the daemon has been gone
 * for one. Returns what main() is to return: not 0 where the table is wrong, the bus cannot be reached or was lost.
 * Understands --help, --version,
 * --describe, --idle-exit, --host-exit, --slot and --debug. */
int snooze_plugin_main(const SnoozePlugin *plugin, int argc, char *argv[]);

/* The same table as a shared object instead of a program: a `native` plugin, which the daemon loads into itself where
 * its administrator allows that (plugins.native_enabled) and it came with CloudSnooze. Such a plugin must never wait,
 * and has no bus of its own; what it leaves on the loop at shutdown stays there. The object is built with this
 * library, all else hidden. */
#define SNOOZE_PLUGIN_NATIVE(table)                                                                                   \
        SNOOZE_PLUGIN_EXPORT const SnoozePlugin *snooze_plugin_native_table(void) {                                   \
                return &(table);                                                                                      \
        }

#define SNOOZE_PLUGIN_EXPORT __attribute__((visibility("default")))
SNOOZE_PLUGIN_EXPORT const SnoozePlugin *snooze_plugin_native_table(void);

/* Values of the configuration in force: the last one that initialize or configure took, which while they run is still
 * the one before. Only for what the table's settings list; a key that is missing and has no default is NULL, 0, or
 * false. Strings and lists (NULL-terminated) are borrowed until the configuration changes. */
const char *snooze_plugin_instance_get_string(SnoozePluginInstance *instance, const char *name);
int64_t snooze_plugin_instance_get_integer(SnoozePluginInstance *instance, const char *name);
double snooze_plugin_instance_get_number(SnoozePluginInstance *instance, const char *name);
bool snooze_plugin_instance_get_boolean(SnoozePluginInstance *instance, const char *name);
const char *const *snooze_plugin_instance_get_list(SnoozePluginInstance *instance, const char *name);

/* Announces an event (EventSource). The library keeps it until it is acknowledged or cancelled and tells it again to a
 * daemon that watches anew; the same id once more replaces it. type: custom or custom.*; cloud.* and system.* are
 * taken by the daemon only of a plugin whose manifest has the contract CloudProvider. The id is the announcer's own
 * and stays the same over restarts of the plugin: by it the daemon knows what it has seen. severity is 0 (info) to 3
 * (critical), deadline µs since the epoch or 0; data may be NULL and belongs to the library from here on, even on
 * failure. 0 or a negative errno: EINVAL, ENOBUFS for more than 64 pending events. Cancellations that nobody heard are
 * among these, until the oldest has to make room. */
int snooze_plugin_instance_emit_event(SnoozePluginInstance *instance, const char *id, const char *type,
                                      unsigned severity, uint64_t deadline, SnoozePluginDictionary *data);
/* It will not happen after all. Where nobody listens it is told later, of a plugin with State also by the next
 * process. 0 or a negative errno. */
int snooze_plugin_instance_cancel_event(SnoozePluginInstance *instance, const char *id);

/* The instance's connection to the system bus (NULL in a native plugin), and its loop; borrowed. */
sd_bus *snooze_plugin_instance_get_bus(SnoozePluginInstance *instance);
sd_event *snooze_plugin_instance_get_event(SnoozePluginInstance *instance);

/* Work besides calls that must not be cut by leaving; counts. Calls are counted by themselves. */
void snooze_plugin_instance_begin_work(SnoozePluginInstance *instance);
void snooze_plugin_instance_end_work(SnoozePluginInstance *instance);

/* Tells the bus that stop_effect answers differently from now on. A native plugin, which has none, need not say so. */
void snooze_plugin_instance_stop_effect_changed(SnoozePluginInstance *instance);

/* What is to be answered besides the parts below: details of CheckIdle, result of HandleEvent and Handle, the
 * instance's info. Borrowed from the call; filled in place. NULL where the call answers no dictionary. */
SnoozePluginDictionary *snooze_plugin_call_get_result(SnoozePluginCall *call);

/* Setters of the answer. A failure (no memory, over a limit, a part that this call does not answer) is returned and
 * also remembered: the call then fails as a whole, so that a caller may ignore it here. Texts are made one line of
 * valid UTF-8. */
int snooze_plugin_call_set_verdict(SnoozePluginCall *call, SnoozePluginVerdict verdict, const char *reason_format, ...)
        __attribute__((format(printf, 3, 4)));
int snooze_plugin_call_set_answer(SnoozePluginCall *call, bool answer);
int snooze_plugin_call_add_metric(SnoozePluginCall *call, const char *name, double value);
int snooze_plugin_call_add_permission(SnoozePluginCall *call, const char *name, bool granted, const char *explanation);
int snooze_plugin_call_set_state(SnoozePluginCall *call, uint32_t version, const void *data, size_t size);
int snooze_plugin_call_set_data(SnoozePluginCall *call, const void *data, size_t size);

/* Passes a stream through transform on the loop and finishes the call at its end: each block of at most 64 KiB that
 * was read is handed to transform, the end as size 0; what it writes by snooze_plugin_call_write() (1 MiB for one
 * block at most) is waiting to be taken before the next is read, so that memory is bounded however slow the reader is.
 * A negative return of transform fails the call. Without a transform everything is passed on as it is. Returns what
 * process_stream is to return. */
typedef int (*SnoozePluginTransform)(SnoozePluginCall *call, const void *data, size_t size, void *userdata);
int snooze_plugin_call_filter(SnoozePluginCall *call, SnoozePluginTransform transform, void *userdata);
int snooze_plugin_call_write(SnoozePluginCall *call, const void *data, size_t size);

/* Runs work in a thread of its own, where it may wait, and finishes the call with what it returns (not
 * SNOOZE_PLUGIN_LATER). Of this library it may use only the setters and getters of this call, and snooze_plugin_log().
 * For process_stream both pipes are then blocking ones; EPIPE tells that nobody reads any more. When the stream's time
 * is over what waits for one of them ends with EINTR (signal SIGURG), and every use of them fails. At most 8 run at
 * once.
 * Returns what a function of the table is to return. */
typedef int (*SnoozePluginWork)(SnoozePluginCall *call, void *userdata);
int snooze_plugin_call_run_in_thread(SnoozePluginCall *call, SnoozePluginWork work, void *userdata);
/* µs for which the daemon still waits for the answer: what is left of the budget of an event. UINT64_MAX where nobody
 * said, as in any other call. What is answered later is ignored. */
uint64_t snooze_plugin_call_get_time_left(SnoozePluginCall *call);
/* For a process_stream that uses its pipes itself, on the loop or by a program of its own: abandoned is called once
 * when the stream's time is over. Let go of both pipes and finish the call, at once or soon; nobody gets its answer.
 * Without one, a pipe that cannot be read, and that nobody reads, takes the place of both; sources on the loop that
 * look at them tell nothing any more, and the call stays under way until it is finished. 0 or a negative errno: EINVAL
 * for any other call, ECANCELED where the time is over already. */
typedef void (*SnoozePluginAbandoned)(SnoozePluginCall *call, void *userdata);
int snooze_plugin_call_on_abandoned(SnoozePluginCall *call, SnoozePluginAbandoned abandoned, void *userdata);
/* The pipes of a process_stream, -1 in any other call. */
int snooze_plugin_call_get_input(SnoozePluginCall *call);
int snooze_plugin_call_get_output(SnoozePluginCall *call);

/* Says why the call fails; returns a negative errno for the function to return. */
int snooze_plugin_call_fail(SnoozePluginCall *call, const char *name, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* Ends a call that was put off with SNOOZE_PLUGIN_LATER: result is 0 or a negative errno. The call is gone afterwards.
 */
void snooze_plugin_call_finish(SnoozePluginCall *call, int result);

/* To the journal, or to stderr where that is no journal stream. level: LOG_DEBUG (shown with --debug) to LOG_EMERG, of
 * <syslog.h>. */
void snooze_plugin_log(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What snooze_plugin_log(level, format, ...) means: the line is that of the plugin whose shared object has this
 * variable. Of the function itself only its return address says so, which for a last statement is its caller's. */
__attribute__((unused)) static const char snooze_plugin_object = 0;
void snooze_plugin_log_of(const void *object, int level, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
#define snooze_plugin_log(...) snooze_plugin_log_of(&snooze_plugin_object, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
