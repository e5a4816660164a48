/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the store's thread does with a group of work: opens the database when it can be, carries out the group in one
 * transaction, deals with what breaks. No queue and no lock in here. */

#include "daemon/store/work.h"

typedef struct Writer Writer;

Writer *writer_new(const char *directory);
void writer_free(Writer *writer);

/* Carries out the group, in order; afterwards each has its result or its error. News about the database itself, if
 * there are any, are appended to `news` as WORK_PROBLEM, in order. An empty group only tries to open the database. */
void writer_run(Writer *writer, GQueue *group, GQueue *news);

/* A little housekeeping, if it is time for it. */
void writer_tidy(Writer *writer);
