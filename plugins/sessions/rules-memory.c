/* SPDX-License-Identifier: Apache-2.0 */

#include "rules-memory.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session-rules-private.h"

#define HEADER "sessions"
/* A share of a CPU is kept as a whole number, the nearest one: what is kept again and again does not shrink. */
#define SHARE_UNIT 1000000.0
#define SHARE_MAX (UINT64_C(65536) * 1000000)

enum {
        FIELD_TERMINAL,
        FIELD_GROUP,
        FIELD_SEEN,
        FIELD_MEASURED,
        FIELD_LAST_WORK,
        FIELD_WORKED,
        FIELD_CPU,
        FIELD_STORAGE,
        FIELD_CHARACTERS,
        FIELD_SWITCHES,
        FIELD_FAULTS,
        FIELD_SHARE,
        FIELD_COUNT
};

/*     sessions BOOT LAST_ACTIVITY\n
 *     FIELD FIELD …\n                 for each job */
size_t rules_export(const Rules *rules, const char *boot, char *text) {
        size_t size = (size_t) snprintf(text, MEMORY_LINE_MAX, HEADER " %.32s %" PRIu64 "\n", boot,
                                        rules->last_activity);

        for (size_t i = 0; i < rules->n_history; i++) {
                const History *h = &rules->history[i];
                const uint64_t fields[FIELD_COUNT] = {
                        [FIELD_TERMINAL] = h->terminal,
                        [FIELD_GROUP] = (uint64_t) h->group,
                        [FIELD_SEEN] = h->seen,
                        [FIELD_MEASURED] = h->measured,
                        [FIELD_LAST_WORK] = h->last_work,
                        [FIELD_WORKED] = h->worked,
                        [FIELD_CPU] = h->use.cpu,
                        [FIELD_STORAGE] = h->use.storage,
                        [FIELD_CHARACTERS] = h->use.characters,
                        [FIELD_SWITCHES] = h->use.switches,
                        [FIELD_FAULTS] = h->use.faults,
                        [FIELD_SHARE] = (uint64_t) (h->share * SHARE_UNIT + 0.5),
                };

                for (size_t k = 0; k < FIELD_COUNT; k++)
                        size += (size_t) snprintf(text + size, MEMORY_TEXT_SIZE - size, "%" PRIu64 "%c", fields[k],
                                                  k + 1 < FIELD_COUNT ? ' ' : '\n');
        }
        return size;
}

/* A whole number as rules_export() writes it, and what must follow. */
static bool take(const char **p, const char *end, char follows, uint64_t maximum, uint64_t *ret) {
        const char *begin = *p;
        uint64_t value = 0;

        for (; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
                uint64_t digit = (uint64_t) (**p - '0');

                if (digit > maximum || value > (maximum - digit) / 10)
                        return false;
                value = value * 10 + digit;
        }
        if (*p == begin || (*begin == '0' && *p - begin > 1) || *p == end || *(*p)++ != follows)
                return false;
        *ret = value;
        return true;
}

static bool take_job(const char **p, const char *end, uint64_t now, History *ret) {
        const uint64_t maximum[FIELD_COUNT] = {
                [FIELD_TERMINAL] = INT64_MAX,    [FIELD_GROUP] = INT_MAX,        [FIELD_SEEN] = now,
                [FIELD_MEASURED] = now,          [FIELD_LAST_WORK] = now,        [FIELD_WORKED] = 1,
                [FIELD_CPU] = INT64_MAX,         [FIELD_STORAGE] = INT64_MAX,    [FIELD_CHARACTERS] = INT64_MAX,
                [FIELD_SWITCHES] = INT64_MAX,    [FIELD_FAULTS] = INT64_MAX,     [FIELD_SHARE] = SHARE_MAX,
        };
        uint64_t fields[FIELD_COUNT];

        for (size_t k = 0; k < FIELD_COUNT; k++)
                if (!take(p, end, k + 1 < FIELD_COUNT ? ' ' : '\n', maximum[k], &fields[k]))
                        return false;
        if (fields[FIELD_MEASURED] > fields[FIELD_SEEN] || fields[FIELD_LAST_WORK] > fields[FIELD_SEEN])
                return false;
        *ret = (History) {
                .terminal = (dev_t) fields[FIELD_TERMINAL],
                .group = (pid_t) fields[FIELD_GROUP],
                .seen = fields[FIELD_SEEN],
                .measured = fields[FIELD_MEASURED],
                .last_work = fields[FIELD_LAST_WORK],
                .worked = fields[FIELD_WORKED] == 1,
                .use = {
                        .cpu = fields[FIELD_CPU],
                        .storage = fields[FIELD_STORAGE],
                        .characters = fields[FIELD_CHARACTERS],
                        .switches = fields[FIELD_SWITCHES],
                        .faults = fields[FIELD_FAULTS],
                },
                .share = (double) fields[FIELD_SHARE] / SHARE_UNIT,
        };
        return true;
}

/* "sessions BOOT ": the boot, 32 characters of a hexadecimal number. */
static bool take_header(const char **p, const char *end, const char **ret_boot) {
        const size_t length = strlen(HEADER " ");

        if ((size_t) (end - *p) < length + MEMORY_BOOT_SIZE || memcmp(*p, HEADER " ", length) != 0)
                return false;
        *ret_boot = *p + length;
        *p += length + MEMORY_BOOT_SIZE;
        /* The space first: it is what strspn() ends at, because nothing ends the text. */
        return (*p)[-1] == ' ' && strspn(*ret_boot, "0123456789abcdef") == MEMORY_BOOT_SIZE - 1;
}

int rules_import(Rules *rules, const char *boot, uint64_t now, const char *text, size_t size) {
        const char *p = text, *end = text + size, *of_boot = NULL;
        History history[RULES_HISTORY_MAX];
        uint64_t last_activity;
        size_t n = 0;

        if (!take_header(&p, end, &of_boot) || !take(&p, end, '\n', INT64_MAX, &last_activity))
                return -EBADMSG;
        /* Of another boot it is well-formed at the most: its times are on a clock that began anew. */
        if (memcmp(of_boot, boot, MEMORY_BOOT_SIZE - 1) != 0)
                return 0;
        while (p < end) {
                if (n == RULES_HISTORY_MAX || !take_job(&p, end, now, &history[n]))
                        return -EBADMSG;
                n++;
        }
        memcpy(rules->history, history, n * sizeof(History));
        rules->n_history = n;
        /* Later than now it cannot have been: the next evaluation sees to that. */
        rules->last_activity = last_activity;
        return 0;
}
