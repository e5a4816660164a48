/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Several units stopped or started, and waited for, through systemd on the bus. What systemd says is believed only
 * from the connection that took the order: others can send signals that look the same. */

#include <stdint.h>

#include <glib.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#define UNITS_MAX 64U

typedef enum UnitEnd {
        UNIT_PENDING,  /* at the deadline: systemd is still at it */
        UNIT_DONE,
        UNIT_NEEDLESS, /* it did not run, or runs already */
        UNIT_REFUSED,  /* systemd did not take the order */
        UNIT_FAILED,   /* it took it, and the job did not end well */
} UnitEnd;

typedef struct UnitOutcome {
        const char *name;
        UnitEnd end;
        const char *problem; /* why it was refused or failed; NULL else */
} UnitOutcome;

typedef struct Units Units;

/* systemd is about to be told. */
typedef void (*UnitsOrder)(const char *name, void *userdata);

/* Called once, never from within units_begin() or units_shorten(); units is gone when it returns. */
typedef void (*UnitsDone)(const UnitOutcome *outcomes, guint n, void *userdata);

typedef struct UnitsParameters {
        sd_bus *bus;
        sd_event *event;
        const char *const *names;
        gboolean start;      /* else stop */
        gboolean in_order;   /* one after the other, else all at once */
        uint64_t deadline;   /* monotonic µs: what has not ended by then is told as pending */
        UnitsOrder order;    /* may be NULL */
        UnitsDone done;
        void *userdata;
} UnitsParameters;

/* 0 or a negative errno. */
int units_begin(const UnitsParameters *parameters, Units **ret);
/* The deadline is this moment, if that is earlier; 0: now. */
void units_shorten(Units *units, uint64_t deadline);
/* Without telling anybody; NULL is fine. */
void units_free(Units *units);
