/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Holds: who asked that the machine stay on, why, and until when. A hold by file descriptor is a FIFO below
 * RUNTIME/holds/: we read, the client keeps the writing end, and when every copy of that is closed the reader sees the
 * end of file. A restarted daemon opens the FIFO again before its first decision: with a writer left it gets EAGAIN,
 * else the end. A timed hold ends by itself on boot time, and is kept in the store besides, because it survives
 * reboots. */

#include <sys/types.h>

#include <glib.h>
#include <systemd/sd-event.h>

#include "daemon/store/store.h"

typedef enum HoldKind {
        HOLD_BLOCK,    /* no automatic stop while it lives */
        HOLD_DELAY,    /* a stop waits for it, up to max_delay_seconds */
        HOLD_TIMED,    /* HoldFor: block until its end */
        HOLD_POSTPONE, /* Postpone: no stage before its end */
        HOLD_LOGIND,   /* somebody else's inhibitor, shown here: block */
} HoldKind;

const char *hold_kind_name(HoldKind kind); /* "block" "delay" "timed" "postpone" "inhibitor" */
gboolean hold_kind_has_end(HoldKind kind); /* timed and postpone end by themselves */

typedef struct Hold {
        uint32_t cookie;    /* > 0; inhibitors have none that could be released: 0 */
        HoldKind kind;
        uid_t uid;
        char *who;          /* "alice: pytest": begins with the verified user */
        char *why;
        uint64_t since;     /* wall clock */
        uint64_t until;     /* wall clock, 0: until it is closed */
        uint64_t until_boottime;
} Hold;

typedef struct Holds Holds;

typedef void (*HoldsChanged)(void *userdata);

typedef struct HoldsParameters {
        sd_event *event;
        Store *store;             /* may be NULL (tests): timed holds are then kept below the directory alone */
        const char *directory;    /* RUNTIME/holds, created 0700 where missing */
        HoldsChanged changed;
        void *userdata;
} HoldsParameters;

/* Takes the FIFOs and the timed holds of this boot back from the directory at once, before it returns; those of before
 * the boot come from the store (holds_restored says when, changed is called). */
int holds_new(const HoldsParameters *parameters, Holds **ret);

/* To be called after store_free(), whose last answers still come here. What holds stays held: on disk, for the next
 * one. */
Holds *holds_free(Holds *holds);
gboolean holds_restored(const Holds *holds);

/* Gives the client's end. who: "user: program", checked and built by the caller. -EDQUOT over the ceilings, -EINVAL
 * for a text that is too long. When it returns the hold is on disk: whatever happens to the daemon, it lives as long
 * as ret_fd or a copy of it. */
int holds_add(Holds *holds, HoldKind kind, uid_t uid, const char *who, const char *why, int *ret_fd,
              uint32_t *ret_cookie);

/* done (may be NULL) is called when it is durable, or cannot be made so (the hold lives in either case until the next
 * boot). Without an error returned here it is called exactly once, perhaps before this returns. */
int holds_add_timed(Holds *holds, HoldKind kind, uid_t uid, const char *who, const char *why, uint64_t duration,
                    StoreDone done, void *userdata, uint32_t *ret_cookie);

const Hold *holds_find(const Holds *holds, uint32_t cookie);

/* Somebody set the wall clock by so much: times are told, and kept, on it as it is now. None ends because of it. */
void holds_clock_was_set(Holds *holds, int64_t by);

/* Ends it before its time. -ENOENT if there is none. */
int holds_release(Holds *holds, uint32_t cookie);

void hold_free(Hold *hold);

/* logind's block inhibitors, whole list each time (see inhibitors.h): Hold with their own free function, taken
 * over. */
void holds_set_inhibitors(Holds *holds, GPtrArray *inhibitors);

/* All, by cookie, inhibitors last; borrowed until the next change. */
GPtrArray *holds_list(Holds *holds);

/* For the decision: the first block hold without an end of its own, the latest timed one, and the number of delay
 * holds. */
const Hold *holds_block(const Holds *holds);
const Hold *holds_timed(const Holds *holds);
unsigned holds_delays(const Holds *holds);

#define HOLDS_PER_USER_MAX 64U
#define HOLDS_MAX 1024U
#define HOLD_WHO_MAX 128U  /* bytes */
#define HOLD_WHY_MAX 512U
