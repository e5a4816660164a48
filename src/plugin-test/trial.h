/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What all checks are given, and what several of them do. Each check puts its lines into the report. */

#include "plugin-test/host.h"
#include "plugin-test/report.h"

typedef struct Trial {
        const Manifest *manifest;
        JsonObject *config; /* every setting with its value */
        GPtrArray *metrics; /* JsonObject: what CheckIdle is asked with, one after the other */
        gboolean events;    /* handlers are handed events, and act on them */
        Host *host;
        Report *report;
} Trial;

uint64_t trial_timeout(const Trial *trial, PluginTimeout which);

/* Handshake and Initialize with the configuration. */
int trial_greet(const Trial *trial, const Subject *subject, sd_bus_error *error);
int trial_initialize(const Trial *trial, const Subject *subject, const char *member, JsonObject *config,
                     sd_bus_error *error);
/* A process that owns its name and was greeted; NULL: reported under this check's name. */
Subject *trial_start(Trial *trial, const char *check);

/* FALSE, and reported, unless it answers a Ping. */
gboolean trial_alive(Trial *trial, Subject *subject, const char *check, const char *after);

/* The text of a failed call: the error's message, or the errno's. */
const char *call_problem(const sd_bus_error *error, int r);
gboolean call_refused(const sd_bus_error *error, const char *name);

/* life.c; start and greeting return a running, greeted process, or NULL. */
Subject *check_start(Trial *trial);
void check_description(Trial *trial);
void check_configuration(Trial *trial, Subject *subject);
/* name: of the line and of the figure. */
void check_memory(Trial *trial, Subject *subject, const char *check, const char *name);
void check_second_instance(Trial *trial, Subject *subject);
void check_shutdown(Trial *trial, Subject *subject);
void check_signal(Trial *trial);
void check_host_gone(Trial *trial);
void check_not_wanted(Trial *trial, Subject *subject);

/* contracts.c */
void check_interfaces(Trial *trial, Subject *subject);
void check_contracts(Trial *trial, Subject *subject);

/* events.c */
void check_event_handler(Trial *trial, Subject *subject);
void check_event_source(Trial *trial, Subject *subject);

/* channel.c; takes over what it opened */
void check_channel(Trial *trial, Subject *subject);
void check_channel_left(Trial *trial);

/* garbage.c */
void check_garbage(Trial *trial, Subject *subject);
void check_crowd(Trial *trial, Subject *subject);
