/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Carries bytes from one descriptor to another in a thread, for descriptors that are not ours alone: those of the
 * shell, which a plugin would make non-blocking for whoever has them besides, and which may be files or terminals. */

#include <gio/gio.h>

typedef struct Pump Pump;

typedef enum PumpFlags {
        PUMP_OWNS_FROM = 1 << 0, /* it is closed at the end */
        PUMP_OWNS_TO = 1 << 1,
        PUMP_QUIET = 1 << 2,     /* that nobody reads any more is its end, and neither an error nor a signal */
} PumpFlags;

/* In the main context, once: at the end of `from`, or with an error. A later end is nobody's: pump_free(). */
typedef void (*PumpDone)(Pump *pump, const GError *error, gpointer userdata);

/* what: from and to, as an error names them. */
Pump *pump_new(int from, const char *from_what, int to, const char *to_what, PumpFlags flags, PumpDone done,
               gpointer userdata);
guint64 pump_bytes(Pump *pump);
/* All of it, here and now, also where somebody has made the descriptor non-blocking. FALSE: not all, and why is in
 * errno. */
gboolean pump_write(int to, const char *data, gsize size);
/* NULL is fine. A thread that waits for its descriptors goes on waiting, and ends with the process. */
void pump_free(Pump *pump);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pump, pump_free)
