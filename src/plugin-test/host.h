/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A bus of one's own, and plugins that run on it: the place of the daemon, without a daemon. */

#include <sys/types.h>

#include <glib.h>
#include <systemd/sd-bus.h>

#include "manifest/manifest.h"

typedef struct Host {
        char *directory;
        char *address;
        GPid bus_pid;
        sd_bus *bus;
} Host;

Host *host_new(GError **error);
void host_free(Host *host);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Host, host_free)

/* Another connection to the same bus. 0 or a negative errno. */
int host_connect(const Host *host, sd_bus **ret);

/* One process of the plugin. */
typedef struct Subject {
        Host *host;
        const Manifest *manifest;
        GPid pid;
        int pidfd;
        char *owner;        /* its unique name, once it owns or waits for the plugin's */
        sd_bus *channel;    /* on which calls go; NULL: over the bus */
        char *log;          /* file that its stderr goes to */
        gboolean exited;
        int status;         /* as waitpid() tells it */
        uint64_t started;   /* monotonic */
} Subject;

/* Starts it; option: its only argument, or NULL; environment: NAME=value, …, NULL, beside what it inherits. NULL with
 * error. */
Subject *subject_new(Host *host, const Manifest *manifest, const char *option, const char *const *environment,
                     GError **error);
/* Kills it if it runs still. */
void subject_free(Subject *subject);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Subject, subject_free)

/* Waits until it owns its name, or is in the queue for it behind `other` (NULL: nobody). FALSE: it exited or the time
 * is over. */
gboolean subject_wait_name(Subject *subject, const char *other, uint64_t timeout);
/* FALSE: it runs still. */
gboolean subject_wait_exit(Subject *subject, uint64_t timeout);
/* "ended with status 1", "was killed by signal 11" */
char *subject_end(const Subject *subject);
char *subject_read_log(const Subject *subject);

/* Where calls go, and the name that they are addressed to (NULL on a channel, which has no names). */
sd_bus *subject_bus(const Subject *subject);
const char *subject_peer(const Subject *subject);

/* A call of ".IdleCheck" "CheckIdle" and the like; interface "" is the plugin's own. types and what follows: as
 * sd_bus_message_append(). 0 or a negative errno with *error set. */
int subject_call(const Subject *subject, uint64_t timeout, const char *interface, const char *member,
                 sd_bus_error *error, sd_bus_message **reply, const char *types, ...);
/* The same for a message made by subject_message(). */
int subject_send(const Subject *subject, uint64_t timeout, sd_bus_message *message, sd_bus_error *error,
                 sd_bus_message **reply);
int subject_message(const Subject *subject, const char *interface, const char *member, sd_bus_message **ret);

/* A property that is a list of strings; NULL: it is none, or not there. Caller frees. */
char **subject_property_list(const Subject *subject, const char *interface, const char *property);

/* Proportional set size in KiB, 0 where the kernel does not tell. */
uint64_t subject_memory(const Subject *subject);
