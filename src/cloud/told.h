/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a cloud lists for as long as it is ahead, and was told to the daemon: told once, and withdrawn when it is not
 * listed any more. Outlives configurations and, by the State contract, the process: what is called off while nobody
 * looks must be withdrawn, too.
 *
 * Each has a key, with the machine in it, and a time at which it begins. Maintenance that is put off or brought
 * forward is another event with another deadline: the time is a part of the id, "KEY@20300121T090043Z", so that
 * whoever begins without a memory tells it by the same id. Any other second is another time; no cloud is known to
 * write the same one in two ways. A time that is named no more (it has begun) is that of before.
 *
 * The end of the machine stays the same event, whose id is the key: to call it off would start what handlers
 * stopped, just before the end. One that is to come five seconds or more earlier or later is told again, by the same
 * id with its new time; one that is not listed any more while another end is, is withdrawn when none is. */

#include <json-glib/json-glib.h>

#include "cloud/provider.h"

#define CLOUD_TOLD_MAX 64U
#define CLOUD_TOLD_SUFFIX_MAX 17U /* of an id behind its key */

typedef struct CloudTold CloudTold;

CloudTold *cloud_told_new(CloudProvider *cloud);
/* NULL is fine. Returns NULL. */
CloudTold *cloud_told_free(CloudTold *told);

/* A list has come. own: with what every key of this machine begins; what was kept of another is forgotten. */
void cloud_told_begin(CloudTold *told, const char *own);
/* It is in the list. Returns the id by which it is known, until the next call; *ret_new: it is to be told now by this
 * process, and cloud_told_done() says that it was. begin: wall clock µs; 0: not named. */
const char *cloud_told_see(CloudTold *told, const char *key, uint64_t begin, bool *ret_new);
/* The same of an end. */
const char *cloud_told_see_end(CloudTold *told, const char *key, uint64_t begin, bool *ret_new);
void cloud_told_done(CloudTold *told, const char *key);
/* What was not in the list is withdrawn. */
void cloud_told_end(CloudTold *told);
/* There was no list. A service that forgets it for a moment must not call anything off: so many in a row do. */
#define CLOUD_TOLD_ABSENT 6U
void cloud_told_absent(CloudTold *told);

/* As member "told" of a state; none where there is nothing. */
void cloud_told_export(const CloudTold *told, JsonObject *state);
/* What fits of it; the rest is not what we wrote. */
void cloud_told_import(CloudTold *told, JsonObject *state);
