/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The record of a stop: written before the provider is asked, closed by the next boot, which finds it, says whether
 * the stop was ours, and greets with it. A boot is known by the kernel's boot id and by a mark in the runtime
 * directory: a container has the boot id of its host, and process 1 is hidden from the daemon. */

#include <glib.h>
#include <json-glib/json-glib.h>

#include "daemon/store/store.h"

/* The store's key of the open record. */
#define STOP_RECORD_KEY "stop"

typedef struct Boot {
        char *identity;   /* "<boot id>.<mark>", or the mark alone where /proc does not tell; the caller frees it */
        uint64_t started; /* on the monotonic clock as long as the machine never slept before; at least 1 */
} Boot;

/* root: "" for the real machine. */
void boot_learn(const char *root, const char *runtime_directory, Boot *ret);

/* A record of a stop that is about to be asked for. */
JsonObject *stop_record_new(const char *boot, uint64_t realtime, uint64_t idle_since, const char *provider,
                            const char *action, const char *reason);

/* What a record of another boot says to a person at `now` ("Stopped itself yesterday 22:41 (idle since 22:06), back
 * since 08:57, 10 h 16 min off"), `booted` being the wall clock at this boot; NULL if the record is not one. Sets the
 * record's members "back" and "off". */
char *stop_record_close(JsonObject *record, uint64_t booted, uint64_t now);

/* The same where there is no record: nobody here stopped it, or not so that it could be written down. seen: the last
 * moment at which it was there before, 0 if nobody knows. */
char *stop_record_missing(uint64_t seen, uint64_t booted, uint64_t now);
