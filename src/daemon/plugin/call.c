/* SPDX-License-Identifier: Apache-2.0 */

/* The call layer. Over the bus at most one call of a process is under way, and IN_FLIGHT_MAX in all; over its channel
 * CHANNEL_IN_FLIGHT_MAX. The others wait in order: those of a contract with the plugin, for whichever process serves
 * it, and before them those to a very process. Each has one deadline from the moment somebody asked, put off by what a
 * swap holds it back. A reply that comes after it is nobody's: sd-bus has forgotten its serial number. */

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/journal.h"
#include "base/names.h"
#include "bus/owner.h"
#include "daemon/plugin/allowance.h"
#include "daemon/plugin/plugin.h"
#include "daemon/answer/reply.h"
#include "util/json.h"

#define CONTROL_TIMEOUT TIMEOUT_INITIALIZE

/* What a method may answer with an error and be well: each other error is a failure of the plugin. */
enum {
        MAY_REFUSE_ARGUMENTS = 1, /* its arguments are a client's, an event's, or the administrator's */
        MAY_BE_REFUSED = 2,       /* others decide what comes of it: the cloud, logind, somebody's hold */
};

typedef struct ContractMethod {
        const char *interface, *member;
        const char *contract; /* NULL: every plugin has it */
        const char *reply;    /* signature */
        PluginTimeout timeout;
        unsigned refusals;
} ContractMethod;

#define MAY_REFUSE (MAY_REFUSE_ARGUMENTS | MAY_BE_REFUSED)

static const ContractMethod contract_methods[] = {
        /* First, for no other one is asked for so often. */
        { IDLE_CHECK_INTERFACE, "CheckIdle", "IdleCheck", "ssa{sv}", TIMEOUT_CHECK, 0 },
        { PLUGIN_INTERFACE, "Handshake", NULL, "ua{sv}", CONTROL_TIMEOUT, 0 },
        { PLUGIN_INTERFACE, "Initialize", NULL, "", CONTROL_TIMEOUT, 0 },
        { PLUGIN_INTERFACE, "Configure", NULL, "", CONTROL_TIMEOUT, MAY_REFUSE_ARGUMENTS },
        { PLUGIN_INTERFACE, "Ping", NULL, "", CONTROL_TIMEOUT, 0 },
        { PLUGIN_INTERFACE, "OpenChannel", NULL, "h", CONTROL_TIMEOUT, 0 },
        { PLUGIN_INTERFACE, "Shutdown", NULL, "", TIMEOUT_SHUTDOWN, 0 },
        { EVENT_HANDLER_INTERFACE, "HandleEvent", "EventHandler", "ba{sv}", TIMEOUT_EVENT, MAY_REFUSE },
        { EVENT_SOURCE_INTERFACE, "Watch", "EventSource", "", TIMEOUT_EVENT, 0 },
        { EVENT_SOURCE_INTERFACE, "Acknowledge", "EventSource", "", TIMEOUT_EVENT, MAY_BE_REFUSED },
        { CLOUD_PROVIDER_INTERFACE, "Detect", "CloudProvider", "b", TIMEOUT_PROVIDER, MAY_BE_REFUSED },
        { CLOUD_PROVIDER_INTERFACE, "GetInstanceInfo", "CloudProvider", "a{sv}", TIMEOUT_PROVIDER, MAY_REFUSE },
        { CLOUD_PROVIDER_INTERFACE, "StopInstance", "CloudProvider", "", TIMEOUT_PROVIDER, MAY_REFUSE },
        { CLOUD_PROVIDER_INTERFACE, "StartInstance", "CloudProvider", "", TIMEOUT_PROVIDER, MAY_REFUSE },
        { CLOUD_PROVIDER_INTERFACE, "CheckPermissions", "CloudProvider", "a(sbs)", TIMEOUT_PROVIDER, MAY_BE_REFUSED },
        { CLOUD_PROVIDER_INTERFACE, "SetTags", "CloudProvider", "", TIMEOUT_PROVIDER, MAY_REFUSE },
        { STATE_INTERFACE, "ExportState", "State", "uay", TIMEOUT_EXPORT, 0 },
        { STATE_INTERFACE, "ImportState", "State", "", TIMEOUT_EXPORT, 0 },
        { DATA_PROCESSOR_INTERFACE, "ProcessData", "DataProcessor", "ay", TIMEOUT_PROVIDER, MAY_REFUSE },
        { DATA_PROCESSOR_INTERFACE, "ProcessStream", "DataProcessor", "a{sv}", TIMEOUT_STREAM, MAY_REFUSE },
        { REQUEST_HANDLER_INTERFACE, "Handle", "RequestHandler", "ba{sv}", TIMEOUT_PROVIDER, MAY_REFUSE },
        /* Properties of a contract. The caller names the contract's interface as the argument. */
        { PROPERTIES_INTERFACE, "GetAll", NULL, "a{sv}", TIMEOUT_PROVIDER, 0 },
};

struct PluginCall {
        Plugin *plugin;
        PluginProcess *process; /* to which it goes; of a contract's call: while it is in flight */
        GList link;             /* in `queue` */
        GQueue *queue;          /* where it waits, is in flight or was refused; NULL: nowhere */
        const ContractMethod *method;
        uint64_t begun, deadline; /* monotonic */
        uint64_t latest;          /* monotonic: the deadline is not put off beyond that … */
        uint64_t held, put_off;   /* … as it is for what swap_held() has become since then; by how much it was */
        uint64_t due;             /* of a leisurely one: when its answer has to be there, be it read or not */
        gboolean control, without_effect, repeated;
        gboolean leisurely;       /* plugins_set_leisure() */
        gboolean question;        /* plugin_ask_idle() */
        gboolean housekeeping;    /* keep.c asks for what it has learnt: it works no worse without an answer */
        gboolean over_bus;        /* where it is in flight */
        uint64_t serial;          /* of the message of a stream */
        PluginCallAppend append;
        PluginCallDone done;
        void *userdata;
        char *sender;             /* for whom; NULL: the daemon itself */
        sd_event_source *timer; /* while it waits */
        sd_bus_slot *slot;      /* while it is in flight */
        sd_bus_error error;     /* refused: told in the next iteration of the loop */
};

static const ContractMethod *method_find(const char *interface, const char *member) {
        for (size_t i = 0; i < G_N_ELEMENTS(contract_methods); i++)
                if (strcmp(contract_methods[i].member, member) == 0 &&
                    strcmp(contract_methods[i].interface, interface) == 0)
                        return &contract_methods[i];
        return NULL;
}

static void call_take(PluginCall *call) {
        if (call->queue)
                g_queue_unlink(call->queue, &call->link);
        call->queue = NULL;
}

static void call_put(PluginCall *call, GQueue *queue, gboolean first) {
        call_take(call);
        call->queue = queue;
        if (first)
                g_queue_push_head_link(queue, &call->link);
        else
                g_queue_push_tail_link(queue, &call->link);
}

static gboolean is_configuration(const PluginCall *call) {
        return g_str_equal(call->method->member, "Configure");
}

static gboolean is_stream(const PluginCall *call) {
        return call->method->timeout == TIMEOUT_STREAM;
}

static void call_free(void *data) {
        PluginCall *call = data;

        call_take(call);
        sd_event_source_disable_unref(call->timer);
        sd_bus_slot_unref(call->slot);
        sd_bus_error_free(&call->error);
        g_free(call->sender);
        g_free(call);
}

static void log_call(const PluginCall *call, const sd_bus_error *error) {
        g_autofree char *plugin = NULL, *sender = NULL;

        if (journal_get_level() < LOG_DEBUG)
                return;
        plugin = g_strconcat("CLOUDSNOOZE_PLUGIN=", call->plugin->id, NULL);
        sender = g_strconcat("CLOUDSNOOZE_SENDER=", call->sender ?: "snoozed", NULL);
        journal_write(LOG_DEBUG, NULL, (const char *const[]){ plugin, sender, NULL },
                      "Call of %s for %s: %s, %" G_GUINT64_FORMAT " µs, %s", call->plugin->id,
                      call->sender ?: "snoozed", call->method->member, usec_sub(clock_monotonic(), call->begun),
                      error ? error->name : "answered");
}

/* Ends the call; it must be in no queue any more. */
static void call_finish(PluginCall *call, sd_bus_message *reply, const sd_bus_error *error) {
        Plugin *plugin = call->plugin;

        log_call(call, error);
        if (call->done)
                call->done(plugin, reply, error, call->userdata);
        call_free(call);
}

static void call_finish_error(PluginCall *call, const char *name, const char *message) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;

        sd_bus_error_set(&error, name, message);
        call_finish(call, NULL, &error);
}

static void run_refused(void *data) {
        PluginCall *call = data;

        log_call(call, &call->error);
        if (call->done)
                call->done(call->plugin, NULL, &call->error, call->userdata);
}

/* What a provider that lives may yet do. */
static gboolean may_still_happen(const PluginCall *call) {
        return !call->without_effect && !call->control && g_strcmp0(call->method->contract, "CloudProvider") == 0;
}

/* Told when its process, which is ended for that, can do it no more. */
static void refuse_when_gone(PluginCall *call, const char *name, const char *message) {
        call->slot = sd_bus_slot_unref(call->slot);
        sd_bus_error_set(&call->error, name, message);
        process_end_then(call->process, run_refused, call_free, call);
}

static void refuse(PluginCall *call, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void refuse(PluginCall *call, const char *name, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        sd_bus_error_setfv(&call->error, name, format, ap);
        va_end(ap);
        /* Whoever made it may be gone with its process before it is told. */
        if (call->control)
                call_put(call, &call->process->refused, FALSE);
        plugins_defer(call->plugin->plugins, run_refused, call_free, call);
}

static void put_off_deadline(PluginCall *call) {
        uint64_t held = swap_held(call->plugin), more = MIN(held - call->held, usec_sub(call->latest, call->deadline));

        call->held = held;
        call->deadline = usec_add(call->deadline, more);
        call->put_off += more;
}

static int on_waited_too_long(sd_event_source *source, uint64_t usec, void *userdata) {
        g_autofree char *message = NULL;
        PluginCall *call = userdata;

        put_off_deadline(call);
        if (clock_monotonic() < call->deadline) {
                (void) sd_event_source_set_time(source, call->deadline);
                (void) sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
                return 0;
        }
        call_take(call);
        call->plugin->statistics.timeouts++;
        message = g_strdup_printf("%s was not asked in time: it is %s.", call->plugin->id,
                                  call->plugin->state == PLUGIN_RUNNING ? "busy with another call"
                                                                        : plugin_state_name(call->plugin->state));
        call_finish_error(call, ERROR_TIMED_OUT, message);
        return 0;
}

/* A call that waits needs a timer of its own; one that is sent at once never has it. */
static void watch_deadline(PluginCall *call) {
        if (!call->timer && call->deadline != USEC_INFINITY)
                (void) sd_event_add_time(call->plugin->plugins->parameters.event, &call->timer, CLOCK_MONOTONIC,
                                         call->deadline, 0, on_waited_too_long, call);
}

/* While a version hands its state over to the next one, what may change that waits for the next one, and so does the
 * Ping that dispatch.c sends behind an event. */
static PluginCall *first_without_effect(const Plugin *plugin) {
        for (GList *link = plugin->calls.head; link; link = link->next) {
                PluginCall *call = link->data;

                if (call->without_effect && !g_str_equal(call->method->member, "Ping"))
                        return call;
        }
        return NULL;
}

/* Nothing goes over its channel any more, which is told in the next iteration of the loop. */
static gboolean is_cut_off(const PluginProcess *process) {
        return process->channel && sd_bus_is_open(channel_bus(process->channel)) <= 0;
}

/* The next one that this process may be sent; NULL: none. What nobody was asked yet the next process is. */
static PluginCall *next_call(PluginProcess *process) {
        Plugin *plugin = process->plugin;

        if (!process->peer)
                return NULL;
        if (!g_queue_is_empty(&process->controls))
                return g_queue_peek_head(&process->controls);
        if (g_queue_is_empty(&plugin->calls) || process != plugin->process || plugin->state != PLUGIN_RUNNING ||
            process->channel_state == CHANNEL_OPENING || is_cut_off(process))
                return NULL;
        return plugin->held_since > 0 ? first_without_effect(plugin) : g_queue_peek_head(&plugin->calls);
}

/* FALSE: it has to wait for another one to end. */
static gboolean has_room(PluginProcess *process) {
        Plugins *plugins = process->plugin->plugins;

        if (process->channel)
                return g_queue_get_length(&process->in_flight) < CHANNEL_IN_FLIGHT_MAX;
        if (!g_queue_is_empty(&process->in_flight))
                return FALSE;
        if (plugins->in_flight < IN_FLIGHT_MAX)
                return TRUE;
        if (!process->plugin->blocked)
                g_queue_push_tail(&plugins->blocked, process->plugin);
        process->plugin->blocked = TRUE;
        return FALSE;
}

/* It is in no queue any more, and another one may have its place. */
static void in_flight_ended(PluginCall *call) {
        Plugin *next;

        call_take(call);
        if (!call->over_bus)
                return;
        call->plugin->plugins->in_flight--;
        next = call->plugin->plugins->freeing ? NULL : g_queue_pop_head(&call->plugin->plugins->blocked);
        if (next) {
                next->blocked = FALSE;
                plugin_pump(next);
        }
}

static gboolean is_optional(const PluginCall *call) {
        return call->housekeeping || (call->control && g_str_equal(call->method->member, "OpenChannel"));
}

/* Of the version that serves: what goes wrong with one that is to replace it, or was replaced, is not the plugin's. */
static void set_unhealthy(const PluginCall *call, const char *error) {
        if (call->process == call->plugin->process)
                plugin_set_healthy(call->plugin, FALSE, error);
}

/* What it was never meant to do is no failure of it. */
static gboolean is_answer(const PluginCall *call, const sd_bus_error *error) {
        unsigned refusals = call->method->refusals;

        return reply_is_unsupported(error) || (refusals & MAY_REFUSE_ARGUMENTS && reply_is_about_arguments(error)) ||
                (refusals & MAY_BE_REFUSED && reply_is_up_to_others(error));
}

/* The plugin's own error. What is not ours is not handed on under its name. */
static void finish_refused(PluginCall *call, const sd_bus_error *error) {
        _cleanup_bus_error_ sd_bus_error shown = SD_BUS_ERROR_NULL;

        reply_make_error(error, &shown);
        call->process->last_heard = clock_monotonic();
        if (!is_answer(call, error) && !is_optional(call)) {
                call->plugin->statistics.errors++;
                set_unhealthy(call, shown.message);
        }
        call_finish(call, NULL, &shown);
}

static void finish_timed_out(PluginCall *call) {
        Plugin *plugin = call->plugin;
        uint64_t own = call->leisurely ? call->due : call->deadline - call->put_off;
        g_autofree char *message = g_strdup_printf("%s did not answer %s within %.3g s.", plugin->id,
                                                   call->method->member, (double) (own - call->begun) / USEC_PER_SEC);

        if (!call->housekeeping)
                plugin->statistics.timeouts++;
        /* How long a stream takes is up to those at its ends. */
        if (!call->housekeeping && !is_stream(call))
                set_unhealthy(call, message);
        if (may_still_happen(call)) {
                PluginProcess *process = call->process;

                refuse_when_gone(call, ERROR_TIMED_OUT, message);
                process_overdue(process, message);
                return;
        }
        /* Before the caller hears of it, who may do away with the process. */
        if (is_stream(call))
                stream_abandon(call->process, call->over_bus, call->serial);
        if (!call->control)
                process_suspect(call->process);
        call_finish_error(call, ERROR_TIMED_OUT, message);
}

/* That it lives, and what else the daemon wants of it for itself, says nothing of what it failed at. */
static void finish_answered(PluginCall *call, sd_bus_message *reply) {
        const char *signature = sd_bus_message_get_signature(reply, true) ?: "";
        Plugin *plugin = call->plugin;
        unsigned faults = plugin->faults;
        uint64_t now = clock_monotonic();
        gboolean serves;

        call->process->last_heard = now;
        /* How long an answer lay there that nobody waited for is not its plugin's doing. */
        if (!call->leisurely)
                statistics_add_duration(&plugin->statistics, usec_sub(now, call->begun));
        if (strcmp(signature, call->method->reply) != 0) {
                g_autofree char *message = g_strdup_printf("%s answered %s with “%s”, expected “%s”.", plugin->id,
                                                           call->method->member, signature, call->method->reply);

                plugin->statistics.errors++;
                set_unhealthy(call, message);
                call_finish_error(call, ERROR_PLUGIN_FAILED, message);
                return;
        }
        serves = !call->control && call->method->contract && call->process == plugin->process;
        call_finish(call, reply, NULL);
        /* Whoever asked has seen by now whether there is sense in it. */
        if (serves && plugin->faults == faults && plugin->state == PLUGIN_RUNNING)
                plugin_set_healthy(plugin, TRUE, NULL);
}

/* sd-bus ends all calls of a connection that was closed. For a peer on the bus that is gone its driver answers; nobody
 * else can: the sender is the driver's. */
static gboolean peer_is_gone(const PluginCall *call, sd_bus_message *reply, const sd_bus_error *error) {
        if (!call->over_bus)
                return sd_bus_is_open(sd_bus_message_get_bus(reply)) <= 0;
        return message_from_driver(reply) && (sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY) ||
                                              sd_bus_error_has_name(error, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
                                              sd_bus_error_has_name(error, SD_BUS_ERROR_NAME_HAS_NO_OWNER));
}

/* What is heard at its time may have come at any time before; whatever comes after that is measured. */
static gboolean too_late(const PluginCall *call) {
        return call->leisurely && !call->plugin->plugins->listening && clock_monotonic() >= call->due;
}

/* Always 1: a connection that this leads to close must not be touched any more by sd-bus, which goes on with it after
 * 0. */
static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        PluginCall *call = userdata;
        Plugin *plugin = call->plugin;
        const sd_bus_error *error = sd_bus_message_get_error(reply);

        allowance_widen();
        if (error && clock_monotonic() < call->deadline && peer_is_gone(call, reply, error)) {
                plugin_process_gone(call->process, call->method->member, call->control);
                return 1;
        }

        in_flight_ended(call);
        if (!error && !too_late(call))
                finish_answered(call, reply);
        else if (!error)
                finish_timed_out(call);
        else if (clock_monotonic() >= call->deadline)
                finish_timed_out(call);
        else
                finish_refused(call, error);
        plugin_call_ended(plugin);
        return 1;
}

static int make_message(PluginCall *call, sd_bus_message **ret) {
        _cleanup_bus_message_ sd_bus_message *message = NULL;
        int r;

        r = sd_bus_message_new_method_call(process_bus(call->process), &message,
                                           call->over_bus ? call->process->peer : NULL, PLUGIN_PATH,
                                           call->method->interface, call->method->member);
        if (r >= 0 && call->append)
                r = call->append(message, call->userdata);
        if (r < 0)
                return r;
        *ret = steal(message);
        return 0;
}

static gboolean may_share(const PluginCall *call) {
        const Plugins *plugins = call->plugin->plugins;

        return call->question && plugins->question.open && !call->over_bus && call->deadline != USEC_INFINITY &&
                plugins->question.serial < UINT32_MAX / 2;
}

/* The question of a round. Its serial number is above that of every call on every channel, so that nobody's answer is
 * taken for another's. Its time-out is counted from when it is sent, which is never before the call began: it does not
 * run out before the deadline. */
static int share_message(PluginCall *call, sd_bus_message **ret) {
        Plugins *plugins = call->plugin->plugins;
        uint64_t timeout = call->deadline - call->begun;
        int r;

        if (plugins->question.message && plugins->question.timeout != timeout)
                plugins->question.message = sd_bus_message_unref(plugins->question.message);
        if (!plugins->question.message) {
                _cleanup_bus_message_ sd_bus_message *message = NULL;

                r = make_message(call, &message);
                if (r >= 0)
                        r = sd_bus_message_seal(message, plugins->question.serial + 1, timeout);
                if (r < 0)
                        return r;
                plugins->question.message = steal(message);
                plugins->question.timeout = timeout;
        }
        *ret = sd_bus_message_ref(plugins->question.message);
        return 0;
}

static void learn_serial(Plugins *plugins, sd_bus_message *message) {
        uint64_t serial;

        if (sd_bus_message_get_cookie(message, &serial) >= 0)
                plugins->question.serial = MAX(plugins->question.serial, serial);
}

static int call_send(PluginCall *call) {
        Plugins *plugins = call->plugin->plugins;
        _cleanup_bus_message_ sd_bus_message *message = NULL;
        uint64_t left = call->deadline == USEC_INFINITY ? USEC_INFINITY : usec_sub(call->deadline, clock_monotonic());
        int r;

        call->over_bus = !call->process->channel;
        r = may_share(call) ? share_message(call, &message) : make_message(call, &message);
        if (r >= 0)
                r = sd_bus_call_async(process_bus(call->process), &call->slot, message, on_reply, call,
                                      left > 0 ? left : 1);
        if (r >= 0 && is_stream(call))
                (void) sd_bus_message_get_cookie(message, &call->serial);
        if (call->over_bus)
                return r;
        if (r >= 0)
                learn_serial(plugins, message);
        plugins->at_leisure |= call->leisurely;
        channel_sent(call->process->channel, call->leisurely && g_queue_is_empty(&call->process->in_flight));
        return r;
}

/* sd-bus waits, and the daemon with it, until a connection has begun before it sends a descriptor over it; whoever is
 * at its other end could take long. An answer to anything shows that it has begun. */
static gboolean waits_for_beginning(const PluginProcess *process, const PluginCall *call) {
        return is_stream(call) && process->channel && sd_bus_is_ready(channel_bus(process->channel)) <= 0;
}

static void refuse_unsent(PluginCall *call, int r) {
        if (is_stream(call) && r == -EOPNOTSUPP) {
                refuse(call, ERROR_NOT_SUPPORTED, "%s takes no stream: it works on blocks alone.", call->plugin->id);
                return;
        }
        call->plugin->statistics.errors++;
        refuse(call, ERROR_PLUGIN_FAILED, "The call of %s could not be sent: %s", call->method->member,
               g_strerror(-r));
}

static void process_pump(PluginProcess *process) {
        Plugins *plugins = process->plugin->plugins;
        PluginCall *call;
        int r;

        while ((call = next_call(process)) && has_room(process)) {
                if (!call->control && process->channel_state == CHANNEL_CLOSED) {
                        process_open_channel(process);
                        return;
                }
                if (waits_for_beginning(process, call)) {
                        process_suspect(process);
                        return;
                }
                call_take(call);
                call->process = process;
                call->timer = sd_event_source_disable_unref(call->timer);
                put_off_deadline(call);
                r = call_send(call);
                /* One that found the channel closed is lost with it, like those that were sent before. */
                if (r < 0 && (call->control || !is_cut_off(process))) {
                        refuse_unsent(call, r);
                        continue;
                }
                call_put(call, &process->in_flight, FALSE);
                if (call->over_bus)
                        plugins->in_flight++;
                if (!call->control)
                        process->last_used = call->begun;
        }
}

void plugin_pump(Plugin *plugin) {
        if (plugin->process)
                process_pump(plugin->process);
        if (plugin->next)
                process_pump(plugin->next);
        if (plugin->previous)
                process_pump(plugin->previous);
}

static PluginCall *call_new(Plugin *plugin, const ContractMethod *method, uint64_t timeout, PluginCallAppend append,
                            PluginCallDone done, void *userdata) {
        PluginCall *call = g_new0(PluginCall, 1);

        call->link.data = call;
        call->plugin = plugin;
        call->method = method;
        call->begun = clock_monotonic();
        call->deadline = call->latest = usec_add(call->begun, timeout);
        call->held = swap_held(plugin);
        call->append = append;
        call->done = done;
        call->userdata = userdata;
        plugin->statistics.calls++;
        return call;
}

void process_call(PluginProcess *process, const char *interface, const char *member, uint64_t timeout,
                  PluginCallAppend append, PluginCallDone done, void *userdata) {
        Plugin *plugin = process->plugin;
        PluginCall *call = call_new(plugin, method_find(interface, member), timeout, append, done, userdata);

        call->control = TRUE;
        /* What it was asked for stays so, whether a swap begins or ends meanwhile. */
        call->housekeeping = plugin->state == PLUGIN_RUNNING && plugin->held_since == 0 &&
                g_str_equal(member, "ExportState");
        call->process = process;
        /* What is to go over a channel goes behind the question for it. */
        call_put(call, &process->controls, process->channel_state != CHANNEL_OPENING);
        process_pump(process);
        if (call->queue == &process->controls)
                watch_deadline(call);
}

/* Why this plugin cannot be asked now; TRUE if the call was refused. */
static gboolean refuse_unready(PluginCall *call) {
        Plugin *plugin = call->plugin;

        if (!plugin->manifest || plugin->state == PLUGIN_FAILED || plugin->state == PLUGIN_QUARANTINED)
                refuse(call, ERROR_NOT_RUNNING, "%s is %s: %s", plugin->id,
                       plugin->manifest ? plugin_state_name(plugin->state) : "broken", plugin->last_error);
        else if (!plugin_may_run(plugin)) {
                g_autofree char *why = plugin_why_not(plugin);

                refuse(call, ERROR_NOT_RUNNING, "%s", why);
        } else if (call->method->contract && !manifest_has_contract(plugin->manifest, call->method->contract))
                refuse(call, ERROR_NOT_SUPPORTED, "%s has no contract %s.", plugin->id, call->method->contract);
        else if (g_queue_get_length(&plugin->calls) >= QUEUED_PER_PLUGIN_MAX)
                refuse(call, ERROR_LIMITS_EXCEEDED, "%u calls of %s wait already.", QUEUED_PER_PLUGIN_MAX, plugin->id);
        else
                return FALSE;
        return TRUE;
}

/* What an administrator sets is not put off by those who ask; in the order in which it was set. */
static void put_before_questions(PluginCall *call) {
        GQueue *queue = &call->plugin->calls;
        GList *link = queue->head;

        while (link && is_configuration(link->data))
                link = link->next;
        call_take(call);
        call->queue = queue;
        g_queue_insert_before_link(queue, link, &call->link);
}

static int check_room(const Plugin *plugin, unsigned max, sd_bus_error *error) {
        if (g_queue_get_length((GQueue *) &plugin->calls) < max)
                return 0;
        return sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED, "%u calls of %s wait already; try again.", max,
                                 plugin->id);
}

int plugin_check_room(const Plugin *plugin, sd_bus_error *error) {
        return check_room(plugin, QUEUED_FOR_CALLERS_MAX, error);
}

int plugin_check_room_to_configure(const Plugin *plugin, sd_bus_error *error) {
        return check_room(plugin, QUEUED_WITH_CONFIGURE_MAX, error);
}

/* Ends up in the plugin's queue, in flight, or refused. */
static void submit(PluginCall *call) {
        Plugin *plugin = call->plugin;

        if (refuse_unready(call))
                return;

        if (is_configuration(call))
                put_before_questions(call);
        else
                call_put(call, &plugin->calls, FALSE);
        plugin_pump(plugin);
        if (call->queue != &plugin->calls)
                return;
        watch_deadline(call);
        if (plugin->state == PLUGIN_DISCOVERED || plugin->state == PLUGIN_STOPPED)
                plugin_begin(plugin);
}

int plugin_call_for(Plugin *plugin, const char *sender, const char *interface, const char *member, uint64_t timeout,
                    gboolean without_effect, PluginCallAppend append, PluginCallDone done, void *userdata) {
        const ContractMethod *method = method_find(interface, member);
        PluginCall *call;

        if (!method || plugin->plugins->freeing)
                return -EINVAL;
        call = call_new(plugin, method, timeout > 0 ? timeout : plugin_timeout(plugin, method->timeout), append, done,
                        userdata);
        call->latest = USEC_INFINITY;
        call->without_effect = without_effect;
        call->sender = g_strdup(sender);
        submit(call);
        return 0;
}

void plugin_ask_idle(Plugin *plugin, uint64_t leisure, PluginCallAppend append, PluginCallDone done, void *userdata) {
        const ContractMethod *method = method_find(IDLE_CHECK_INTERFACE, "CheckIdle");
        uint64_t timeout = plugin_timeout(plugin, method->timeout),
                 unread = leisure > 0 ? usec_add(leisure, LEISURE_SLACK) : 0;
        PluginCall *call = call_new(plugin, method, usec_add(timeout, unread), append, done, userdata);

        call->without_effect = TRUE;
        call->question = TRUE;
        call->leisurely = leisure > 0;
        call->due = usec_add(call->begun, timeout);
        submit(call);
}

void plugin_hasten(Plugin *plugin) {
        if (plugin->process && plugin->process->channel)
                channel_hasten(plugin->process->channel);
}

int plugin_call(Plugin *plugin, const char *interface, const char *member, uint64_t timeout, gboolean without_effect,
                PluginCallAppend append, PluginCallDone done, void *userdata) {
        return plugin_call_for(plugin, NULL, interface, member, timeout, without_effect, append, done, userdata);
}

static PluginCall *find_waiting(Plugin *plugin, const void *userdata) {
        for (GList *link = plugin->calls.head; link; link = link->next)
                if (((PluginCall *) link->data)->userdata == userdata)
                        return link->data;
        return NULL;
}

gboolean plugin_call_waits(Plugin *plugin, const void *userdata) {
        return find_waiting(plugin, userdata) != NULL;
}

gboolean plugin_call_cancel(Plugin *plugin, const void *userdata) {
        PluginCall *call = find_waiting(plugin, userdata);

        if (call)
                call_free(call);
        return call != NULL;
}

void plugin_call_ends_by(Plugin *plugin, const void *userdata, uint64_t latest) {
        PluginCall *call = find_waiting(plugin, userdata);

        if (call)
                call->latest = MAX(latest, call->deadline);
}

static void call_lost(PluginCall *call, const char *message) {
        in_flight_ended(call);
        call->slot = sd_bus_slot_unref(call->slot);
        if (call->without_effect && !call->repeated && clock_monotonic() < call->deadline) {
                call->repeated = TRUE;
                call->process = NULL;
                call->held = swap_held(call->plugin);
                call_put(call, &call->plugin->calls, TRUE);
                watch_deadline(call);
                return;
        }
        call->plugin->statistics.errors++;
        if (may_still_happen(call))
                refuse_when_gone(call, ERROR_PLUGIN_FAILED, message);
        else
                refuse(call, ERROR_PLUGIN_FAILED, "%s", message);
}

gboolean process_has_effects(const PluginProcess *process) {
        for (GList *link = process->in_flight.head; link; link = link->next) {
                const PluginCall *call = link->data;

                if (!call->control && !call->without_effect)
                        return TRUE;
        }
        return FALSE;
}

unsigned process_count_calls(const PluginProcess *process) {
        unsigned n = 0;

        for (GList *link = process->in_flight.head; link; link = link->next) {
                const PluginCall *call = link->data;

                n += !call->control;
        }
        return n;
}

/* The latest first: those that are put back keep their order. */
void process_calls_lost(PluginProcess *process, const char *message) {
        for (GList *link = process->in_flight.tail, *previous; link; link = previous) {
                PluginCall *call = link->data;

                previous = link->prev;
                if (!call->control)
                        call_lost(call, message);
        }
}

void process_calls_free(PluginProcess *process) {
        PluginCall *call;

        while ((call = g_queue_peek_head(&process->in_flight))) {
                in_flight_ended(call);
                call_free(call);
        }
        while ((call = g_queue_peek_head(&process->controls)))
                call_free(call);
        while ((call = g_queue_peek_head(&process->refused))) {
                call_take(call);
                call->done = NULL;
        }
}

void plugin_calls_fail(Plugin *plugin, const char *name, const char *message) {
        PluginCall *call;

        while ((call = g_queue_peek_head(&plugin->calls))) {
                call_take(call);
                call->timer = sd_event_source_disable_unref(call->timer);
                plugin->statistics.errors++;
                refuse(call, name, "%s", message);
        }
}

void plugin_calls_free(Plugin *plugin) {
        PluginCall *call;

        while ((call = g_queue_peek_head(&plugin->calls)))
                call_free(call);
}
