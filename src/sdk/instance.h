/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The running plugin: one bus connection, one loop, one table. What each file of the library keeps about it stands
 * here; who may call is callers.c's, what is under way call.c's, when it leaves life.c's. */

#include <sys/types.h>
#include <time.h>

#include <snooze/plugin.h>

/* Calls that wait for finish, and senders that wait to be known. */
#define CALLS_PENDING_MAX 64U
#define CALLERS_KNOWN_MAX 16U
#define CALLERS_PENDING_MAX 64U

typedef enum Stage {
        STAGE_STARTED,     /* nobody greeted it yet */
        STAGE_GREETED,
        STAGE_INITIALIZED, /* contracts are served */
} Stage;

typedef struct Caller {
        char *name; /* unique name; never given to anybody else as long as the bus runs */
        bool allowed;
} Caller;

typedef struct PluginEvent PluginEvent;
typedef struct Threads Threads;

struct SnoozePluginInstance {
        SnoozePlugin plugin; /* a copy, zero-filled where the author's table is an older, shorter one */
        sd_bus *bus;
        sd_event *event;
        char *name;
        char slot;        /* 'a' or 'b': two versions run side by side while one replaces the other */
        char *slot_name;  /* <name>.<slot>: whoever owns it is the only one in this slot */
        char *log_field;

        Stage stage;
        SnoozePluginDictionary *config; /* in force; NULL before Initialize */
        unsigned calls;
        unsigned abandoned; /* of the calls, those that nobody waits for any more */
        bool deserted;      /* the daemon did not come back: that is all of them */
        unsigned work;
        SnoozePluginCall *streams; /* of the calls, those that have pipes */
        int closed_pipe; /* the end to write of a pipe that nobody reads; negative: no stream came yet */

        PluginEvent *events; /* announced, neither acknowledged nor cancelled */
        unsigned n_events;
        sd_bus *watcher;     /* where Watch came from, and events go to */

        bool untold_new;     /* cancellations that nobody heard: others than those in the file */
        bool untold_down;    /* there is that file */

        char *state_directory; /* where a state can be kept; NULL: nowhere */
        bool state_kept;     /* an instance before this one left its state there, which was not imported since */
        bool state_live;     /* imported or changed by this instance: nothing that was exported before is newer */
        bool state_used;     /* it serves: what it knows may change at any moment */
        bool state_unsaved;  /* it is known to have changed since the daemon was given it, or may have in a call */
        bool state_exported; /* by this instance, at least once since it kept anything */
        bool state_handed;   /* over: whoever comes next has it, and may know more by now */
        bool state_keeping;
        bool state_last;     /* it was kept for the last time, unless it is called once more */
        void *state_known;   /* what whoever comes next would be given: exported last, or kept; NULL: neither */
        size_t state_known_size;
        uint32_t state_known_version;
        dev_t state_device;  /* of the file that this one kept; inode 0: none */
        ino_t state_inode;
        struct timespec state_written;

        Threads *threads;    /* NULL until a call wants one */

        Caller callers[CALLERS_KNOWN_MAX]; /* a ring: the oldest is asked about again */
        unsigned next_caller;
        unsigned callers_pending;
        sd_bus_slot *callers_slot;

        char *host;          /* unique name of the daemon that greeted last */
        sd_bus_slot *host_slot;
        sd_event_source *host_timer;
        uint64_t host_exit;  /* µs after the daemon left; USEC_INFINITY: never */

        sd_bus *channel;     /* NULL: none */
        sd_event_source *channel_timer; /* leaving: until the daemon has to have closed it */

        uint64_t idle_exit;  /* µs without a call; USEC_INFINITY: never */
        uint64_t last_used;  /* monotonic */
        bool leaving;
        bool stopping;       /* systemd was told */
        bool overdue;        /* what was abandoned had its time to end */
        sd_event_source *overdue_timer;
        bool name_released;
        sd_event_source *exit_source;
        void (*settled)(SnoozePluginInstance *instance); /* of a native one: instead of the loop's end */
        sd_event_source *handshake_timer;
        sd_event_source *idle_timer;
        sd_bus_slot *name_slot;
        sd_bus_slot *slot_name_slot;
};

/* life.c */

/* The loop's end where the name is not to be had, which was told; a lost bus ends it with EXIT_FAILURE. */
#define EXIT_NOT_OURS 2

/* Asks for the name, waits for the greeting and for boredom. 0 or a negative errno. */
int life_start(SnoozePluginInstance *instance);
/* Handshake came from this unique name: the plugin is wanted, as long as the daemon lives. 0 or a negative errno. */
int life_greeted(SnoozePluginInstance *instance, const char *host);
/* A call that shows that somebody needs the plugin. */
void life_used(SnoozePluginInstance *instance);
/* Gives the name back, answers what is under way and what comes until the bus confirmed, then ends the loop. */
void life_leave(SnoozePluginInstance *instance, const char *why);
/* Something under way has ended: the moment to go may be here. */
void life_settled(SnoozePluginInstance *instance);

/* The state is on the disk, or will not be. */
void life_state_kept(SnoozePluginInstance *instance);

/* state.c */

/* Looks for what an instance before this one left. 0 or a negative errno. */
int state_start(SnoozePluginInstance *instance);
void state_clear(SnoozePluginInstance *instance);
/* For the greeting: "none", "kept" or "live". */
const char *state_word(const SnoozePluginInstance *instance);
/* A call that may change it. */
void state_used(SnoozePluginInstance *instance);
/* So may what came from no call: an event that was announced, work that ended. */
void state_changed(SnoozePluginInstance *instance);
/* Who asks it to leave has what it needs: a successor may run already, and this one's state is not the newest any
 * more. */
void state_handed_over(SnoozePluginInstance *instance);
bool state_to_be_kept(const SnoozePluginInstance *instance);
bool state_can_be_kept(const SnoozePluginInstance *instance);
/* Keeps it if need be: true if life_state_kept() is going to be called, or was. */
bool state_keep(SnoozePluginInstance *instance);
/* The same where nothing else is under way any more. */
bool state_keep_last(SnoozePluginInstance *instance);
/* Has the cancellations that nobody heard on the disk, as they are now. */
void state_keep_untold(SnoozePluginInstance *instance);

/* channel.c */

/* Answers OpenChannel. 0 or more, or a negative errno, as a D-Bus method handler. */
int channel_open(SnoozePluginInstance *instance, sd_bus_message *m, sd_bus_error *error);
/* Serves on a descriptor, which it takes. 0 or a negative errno. */
int channel_serve(SnoozePluginInstance *instance, int fd);
/* Tells the daemon that no more calls are to come; it closes the channel when it has its answers. */
void channel_leave(SnoozePluginInstance *instance);
void channel_close(SnoozePluginInstance *instance);
/* This message came over a channel: its sender is the daemon. */
bool channel_carries(const SnoozePluginInstance *instance, sd_bus_message *m);

/* callers.c */

/* From now on only root, the daemon's user and the plugin's own are heard. 0 or a negative errno. */
int callers_watch(SnoozePluginInstance *instance);
void callers_clear(SnoozePluginInstance *instance);

/* contracts.c */

/* The contracts of the table, by name; NULL ends the list. At most CONTRACTS_MAX with that NULL. */
#define CONTRACTS_MAX 9U
void contracts_of(const SnoozePlugin *plugin, const char *contracts[static CONTRACTS_MAX]);
/* Puts the object with the interfaces of the table on a connection. 0 or a negative errno. */
int contracts_serve(SnoozePluginInstance *instance, sd_bus *bus);

/* describe.c */

/* Why the table cannot be served, NULL if it can. To be freed. */
char *plugin_problem(const SnoozePlugin *plugin);
/* What the manifest has to agree with, as JSON on stdout. */
void plugin_describe(const SnoozePlugin *plugin);

/* settings.c */

/* Fills in the defaults and checks every key. 0, or a negative errno with *error set to what was wrong with which key.
 */
int settings_apply(const SnoozePluginSetting *settings, SnoozePluginDictionary *config, sd_bus_error *error);
/* Why these cannot be anybody's settings (a default of another type, a pattern that is none), NULL if they can. To be
 * freed. */
char *settings_problem(const SnoozePluginSetting *settings);

/* event-source.c */

void events_clear(SnoozePluginInstance *instance);
/* The daemon is gone from the bus: what is said there is heard by nobody. */
void events_unheard(SnoozePluginInstance *instance);
/* The ids of the cancellations that nobody heard, each with its end, and 0 or a negative errno. *ret to be freed. */
int events_untold(const SnoozePluginInstance *instance, char **ret, size_t *ret_size);
/* One that a process before this one did not get told. 0 or a negative errno. */
int events_add_untold(SnoozePluginInstance *instance, const char *id);

/* native.c */

/* Before the plugin's id, in each line that it logs. */
#define LOG_FIELD "CLOUDSNOOZE_PLUGIN="
/* Of several plugins in one program: whose code or data this is. False: no native one's. */
bool native_log_field(const void *inside, char *field, size_t size);

/* thread.c */

/* A call is in a thread: the instance must not be cleared. */
bool threads_running(const SnoozePluginInstance *instance);
void threads_clear(SnoozePluginInstance *instance);
