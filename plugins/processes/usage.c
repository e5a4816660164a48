/* SPDX-License-Identifier: Apache-2.0 */

#include "usage.h"

typedef struct Record {
        uint64_t started, cpu;
        uint64_t seen; /* the last look that saw it */
} Record;

/* The time between two looks, or several of them. */
typedef struct Piece {
        uint64_t begin, end, cpu;
} Piece;

struct Usage {
        uint64_t window;
        uint64_t now, before;   /* this look and the last one; 0: there was none */
        uint64_t cpu;           /* used between them */
        GHashTable *processes;  /* pid → Record */
        GArray *pieces;         /* Piece, the oldest first */
};

Usage *usage_new(uint64_t window) {
        Usage *usage = g_new0(Usage, 1);

        usage->window = window;
        usage->processes = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        usage->pieces = g_array_new(FALSE, FALSE, sizeof(Piece));
        return usage;
}

Usage *usage_free(Usage *usage) {
        if (usage) {
                g_hash_table_unref(usage->processes);
                g_array_unref(usage->pieces);
                g_free(usage);
        }
        return NULL;
}

void usage_begin(Usage *usage, uint64_t now) {
        usage->before = usage->now;
        usage->now = now;
        usage->cpu = 0;
}

void usage_add(Usage *usage, pid_t pid, uint64_t started, uint64_t cpu) {
        Record *record = g_hash_table_lookup(usage->processes, GINT_TO_POINTER(pid));

        if (record && record->started == started)
                usage->cpu += usec_sub(cpu, record->cpu);
        else {
                /* What one that is older did before nobody watched it. */
                if (usage->before > 0 && started >= usage->before)
                        usage->cpu += cpu;
                record = g_new(Record, 1);
                g_hash_table_replace(usage->processes, GINT_TO_POINTER(pid), record);
        }
        *record = (Record) { .started = started, .cpu = cpu, .seen = usage->now };
}

static gboolean is_gone(void *key, void *value, void *userdata) {
        return ((const Record *) value)->seen != ((const Usage *) userdata)->now;
}

static void add_piece(Usage *usage) {
        Piece piece = { .begin = usage->before, .end = usage->now, .cpu = usage->cpu };
        Piece *last = usage->pieces->len > 0 ? &g_array_index(usage->pieces, Piece, usage->pieces->len - 1) : NULL;

        /* However often it is asked, a window has so many pieces and no more. */
        if (last && last->end == piece.begin && piece.end - last->begin <= usage->window / USAGE_PIECES) {
                last->end = piece.end;
                last->cpu += piece.cpu;
        } else
                g_array_append_val(usage->pieces, piece);
}

double usage_end(Usage *usage) {
        uint64_t edge = usec_sub(usage->now, usage->window), cpu = 0, span = 0;
        guint old = 0;

        g_hash_table_foreach_remove(usage->processes, is_gone, usage);
        if (usage->before > 0 && usage->now > usage->before)
                add_piece(usage);
        while (old < usage->pieces->len && g_array_index(usage->pieces, Piece, old).end <= edge)
                old++;
        if (old > 0)
                g_array_remove_range(usage->pieces, 0, old);
        for (guint i = 0; i < usage->pieces->len; i++) {
                const Piece *piece = &g_array_index(usage->pieces, Piece, i);

                cpu += piece->cpu;
                span += piece->end - piece->begin;
        }
        return span < USAGE_SPAN_MIN ? -1 : 100 * (double) cpu / (double) span;
}
