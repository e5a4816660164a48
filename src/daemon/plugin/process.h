/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One running incarnation of a plugin, from the start of its unit until it is gone. A Plugin is what the registry
 * knows and a person sees; a process is what is started, greeted, asked and killed. A plugin has at most two,
 * each in a slot of its own: `process` serves, and beside it `next` is being prepared while a version replaces another
 * (hot-swap), or `previous` ends its calls, which was replaced.
 *
 *   process_start() ─► hooks.started ─► process_greet() ─► hooks.identified
 *      ─► Handshake, Initialize, OpenChannel ─► hooks.ready
 *
 * From then on its calls go over the channel, or over the bus where it offers none. A channel that was not needed for
 * CHANNEL_IDLE is closed, so that the plugin may leave if it wants to, and is opened again before the next call.
 * Whatever goes wrong on the way or later ends in hooks.failed, which has to get rid of the process. */

#include <glib.h>
#include <json-glib/json-glib.h>
#include <systemd/sd-bus.h>

#include "daemon/answer/reply.h"
#include "daemon/native/native.h"
#include "daemon/plugin/channel.h"
#include "daemon/plugin/identity.h"
#include "daemon/plugin/limits.h"
#include "daemon/plugin/plugins.h"
#include "daemon/plugin/provision.h"
#include "daemon/plugin/starter.h"
#include "daemon/plugin/state.h"

typedef struct PluginProcess PluginProcess;

typedef enum PluginSlot {
        PLUGIN_SLOT_A, /* snooze-plugin@ID.service */
        PLUGIN_SLOT_B, /* snooze-plugin-b@ID.service */
        PLUGIN_SLOT_COUNT,
} PluginSlot;

typedef enum ChannelState {
        CHANNEL_UNKNOWN, /* not asked for yet */
        CHANNEL_NONE,    /* it offers none */
        CHANNEL_OPENING,
        CHANNEL_OPEN,
        CHANNEL_CLOSED,  /* by us, for want of calls */
} ChannelState;

/* Asked to go, it first ends its calls, then gives its state away. */
typedef enum Farewell {
        FAREWELL_NONE,
        FAREWELL_CALLS,
        FAREWELL_STATE,
        FAREWELL_SHUTDOWN,
} Farewell;

typedef struct ProcessHooks {
        /* systemd (or the bus) says that it runs: find out its unique name and call process_greet(). */
        void (*started)(PluginProcess *process);
        /* It is who it should be and is about to be greeted. FALSE: the process is gone, nothing more is done with it.
         */
        gboolean (*identified)(PluginProcess *process);
        /* Greeted and configured, its channel open. */
        void (*ready)(PluginProcess *process);
        /* It says that it is leaving and is to be sent no more calls. */
        void (*leaving)(PluginProcess *process);
        /* It is of no use any more, for this reason. */
        void (*failed)(PluginProcess *process, const char *reason);
} ProcessHooks;

struct PluginProcess {
        Plugin *plugin;
        const ProcessHooks *hooks;
        PluginSlot slot;
        const char *unit;          /* borrowed from the plugin */
        gboolean by_slot; /* where the bus starts it: by the name of its slot, because the plugin's own has an owner */
        Manifest *manifest;        /* of the version that this is */

        Provisioning *provisioning; /* before it is started */
        LimitsCall *limiting;      /* then */
        Start *start;
        Identity *identity;
        char *candidate;           /* the unique name that is being identified */
        char *peer;                /* the unique name that was greeted, and that calls go to */
        pid_t pid;
        int pidfd;
        sd_event_source *end_source; /* its name is gone, or it was replaced, and it lives: waited for */
        sd_event_source *leaving_timer; /* it was replaced, and its calls have ended */
        sd_bus_slot *question;     /* process_find() */
        void (*found)(PluginProcess *process, const char *unique_name);
        JsonObject *sent;          /* the configuration that it has */
        char *version;             /* as it says itself; NULL: it does not */
        gboolean adopted;          /* it ran before the daemon did */
        gboolean checked;          /* … and may serve, by what is there now */
        gboolean unsure;           /* it ran before it was started, and nobody knows with what … */
        gboolean outdated;         /* … which is not what it would have now */
        gboolean started, ready, pinging;
        uint64_t last_used;        /* monotonic: by a contract's call */
        uint64_t last_heard;       /* its latest answer */

        StateHeld state_held;
        gboolean state_unread;     /* … and is not to be overwritten by this one … */
        gboolean state_unsure;     /* … if that was so: to be asked before anything is kept */
        GPtrArray *transfers;      /* StateTransfer, under way */
        Farewell farewell;
        gboolean idle;             /* its name went while it had nothing to do */
        gboolean unasked;          /* it leaves, or fell, and nobody had asked it to go: its unit's end tells which */

        Native *native;            /* of a process that is none; borrowed from the plugin */
        ChannelState channel_state;
        Channel *channel;          /* CHANNEL_OPEN */

        sd_bus_slot *announcements; /* of a source without a channel */
        uint64_t useless_since;     /* a while in which it sent … */
        unsigned useless;           /* … so many signals that nobody asked for */

        GQueue controls;           /* PluginCall, waiting: before everything that waits in Plugin.calls */
        GQueue in_flight;          /* PluginCall */
        GQueue refused;            /* PluginCall, of its own: about to be told that it could not be sent */
};

PluginProcess *process_new(Plugin *plugin, PluginSlot slot, Manifest *manifest, const ProcessHooks *hooks);
/* Its own calls (process_call) end without a word; contract calls must have been taken back by process_calls_lost().
 */
void process_free(PluginProcess *process);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PluginProcess, process_free)

/* Has it made known to the system where that is missing, then starts its unit. FALSE: nothing could be sent; it did
 * not fail, the caller has to say so. */
gboolean process_start(PluginProcess *process);
void process_kill(PluginProcess *process);
/* It is over: taken out of its place before its calls are, for what those lead to must not be sent to it. NULL is
 * fine. */
void process_end(PluginProcess **place, gboolean kill, const char *reason);
/* As far as it is known: FALSE for one of which the bus does not tell who it is. */
gboolean process_lives(const PluginProcess *process);
/* Calls hooks.failed; the process is gone afterwards. */
void process_fail(PluginProcess *process, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* find.c */
/* It runs, while another process has the plugin's name: what is its unique name? Nobody who is known is meant. FALSE:
 * the bus takes no message. hooks.failed where nobody is found. */
gboolean process_find(PluginProcess *process, void (*found)(PluginProcess *process, const char *unique_name));

/* care.c */
/* Something was not answered in time: is it alive at all? */
void process_suspect(PluginProcess *process);

/* farewell.c */
/* One that was adopted is of another version than is there, and nothing is known of that: what is there takes its
 * place. */
void process_outdated(PluginProcess *process, const char *reason);
/* It was found, and is not to serve: it is sent away as soon as it has given what it knows. */
void process_dismiss(PluginProcess *process, const char *reason);

/* lifecycle.c */
/* It was killed, for this reason, because it may still do what it was asked: another one takes its place. The process
 * is gone afterwards. */
void process_overdue(PluginProcess *process, const char *reason);

/* ending.c */
/* Kills it, and calls run when it is gone, never from within this function; destroy in any case. A native one, which
 * cannot be killed, is not waited for. */
void process_end_then(PluginProcess *process, void (*run)(void *data), void (*destroy)(void *data), void *data);

/* Asks for the channel; hooks.ready if that is the end of the greeting. */
void process_open_channel(PluginProcess *process);
/* Nothing may be in flight over it. */
void process_close_channel(PluginProcess *process);
/* Where its calls go. */
sd_bus *process_bus(const PluginProcess *process);

/* unasked.c */
/* Does it run with what it would have now? FALSE: that is known at once; else process_identified() follows. */
gboolean process_compare_age(PluginProcess *process);

/* greeting.c */
/* This unique name is believed to be the process: is it? Then it is greeted. */
void process_greet(PluginProcess *process, const char *unique_name);
/* It is: hooks.identified, then the greeting itself. */
void process_identified(PluginProcess *process);
/* Sends the configuration unless it is the one that it has. */
void process_configure(PluginProcess *process, Settings *settings);

/* announce.c */
/* FALSE: nobody had a use for it. */
gboolean process_announces(PluginProcess *process, sd_bus_message *signal);

/* plugins_timeout() of the version that runs in it. */
uint64_t process_timeout(const PluginProcess *process, PluginTimeout timeout);

/* call.c */
/* A call to this very process in whatever state: Handshake, Ping, Shutdown, ExportState … Goes before all that wait.
 * append and done get userdata; done is called once, except where the process is freed before. */
void process_call(PluginProcess *process, const char *interface, const char *member, uint64_t timeout,
                  PluginCallAppend append, PluginCallDone done, void *userdata);
/* A contract's call that may change what it knows is under way. */
gboolean process_has_effects(const PluginProcess *process);
/* Contracts' calls that are under way. */
unsigned process_count_calls(const PluginProcess *process);
/* It is gone: contract calls that were in flight are repeated once where that is harmless, or end with this error. */
void process_calls_lost(PluginProcess *process, const char *message);
void process_calls_free(PluginProcess *process);
