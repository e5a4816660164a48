/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What holds leave on disk, so that they outlive the daemon: below RUNTIME/holds/ each has COOKIE.json, which says
 * whose it is, and where a client keeps it open COOKIE.fifo. The .json comes last and by rename, goes first, and alone
 * makes the hold: killed at any instruction, there is a whole hold or none. `last` is the latest cookie given out, for
 * a cookie is not used twice. Everything is opened relative to the directory and follows no link. */

#include <glib.h>
#include <json-glib/json-glib.h>

#include "daemon/hold/hold.h"

/* A hold with what is kept of it besides. */
typedef struct HoldRecord {
        Hold hold;
        uint64_t duration; /* of a timed one */
        char *boot_id;     /* until_boottime counts from this boot */
        char *key;         /* in the store; NULL where it is not kept there */
        gboolean ended;    /* before its time; here only until the store forgot it, too */
} HoldRecord;

HoldRecord *hold_record_new(HoldKind kind, uid_t uid, const char *who, const char *why);
void hold_record_free(HoldRecord *record);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HoldRecord, hold_record_free)

JsonObject *hold_record_to_json(const HoldRecord *record);

/* NULL and a message that names the member for whatever is not exactly what hold_record_to_json() wrote. */
HoldRecord *hold_record_from_json(JsonObject *object, GError **error);

/* Creates it 0700 where missing; refuses a link, and a directory of another user. Negative errno, or a descriptor. */
int hold_directory_open(const char *path);

/* Every whole record, as HoldRecord; removes with a warning what is none. */
GPtrArray *hold_directory_read(int directory);

/* 0 and a cookie that was never given out since the directory was made, or a negative errno. */
int hold_directory_take_cookie(int directory, uint32_t *ret);

int hold_record_write(int directory, const HoldRecord *record);
void hold_record_remove(int directory, uint32_t cookie);

/* The reader's and the writer's end of a new FIFO. */
int hold_fifo_create(int directory, uint32_t cookie, int *ret_reader, int *ret_writer);

/* The reader's end of one from before. 1: somebody still has the other end, 0: nobody has. */
int hold_fifo_reopen(int directory, uint32_t cookie, int *ret_reader);
