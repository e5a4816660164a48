/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the world around the decision looks like at this moment, gathered from the parts that know it. */

#include "daemon/manager.h"

/* What the strings in Circumstances are borrowed from. */
typedef struct CircumstancesWords {
        char *block, *timed;
} CircumstancesWords;

void circumstances_words_clear(CircumstancesWords *words);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CircumstancesWords, circumstances_words_clear)

/* All but `ready`. */
void circumstances_describe(Manager *manager, Circumstances *ret, CircumstancesWords *ret_words);
