/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a plugin with the State contract knows, between its process and the store. One row for each plugin, replaced
 * whole, with the version of the state and of the plugin that exported it. What a version refuses to import is never
 * lost: it is put aside under the version that had exported it, which is offered it again should it come back.
 *
 * Where the store does not say what it has, the plugin begins without, and what it learns is not kept until one of it
 * has read the row: neither by this daemon, nor by the next one, nor from what such a process left behind, which is
 * put beside the row. */

#include <stdint.h>

#include <glib.h>

#include "daemon/store/store.h"

typedef struct PluginProcess PluginProcess;
typedef struct Plugins Plugins;
typedef struct StateTransfer StateTransfer;

/* problem NULL: done. Called once, unless the process fails or is freed before; may be called from within. */
typedef void (*StateDone)(PluginProcess *process, const char *problem, void *userdata);

/* One that was just greeted gets what there is. One that hangs or dies over it has failed (hooks.failed); one that
 * refuses starts afresh. */
void state_restore(PluginProcess *process, StateDone done, void *userdata);
/* Exported and durable. problem: it is not, and what was kept before still is. */
void state_save(PluginProcess *process, StateDone done, void *userdata);
/* The same while it runs on, of which some do all the time: what is there already is not written once more. */
void state_save_running(PluginProcess *process, StateDone done, void *userdata);

/* The last word of it: a version without State is to take its place. Where what was kept before could not be read,
 * that stays, and this is put beside it. */
void state_put_away(PluginProcess *process, StateDone done, void *userdata);

/* Only the one half: exported (and on its way to the disk, for which done does not wait) … With state_unread nothing
 * is put. With state_unsure the store is only asked whether it may be: where the process goes before the answer,
 * nothing is put either, and what was exported is kept when the process that was given it is saved. */
typedef void (*StateExported)(PluginProcess *process, uint32_t version, GBytes *state, const char *problem,
                              void *userdata);
void state_export(PluginProcess *process, StateExported done, void *userdata);
/* Nobody waits for that export any more, nor for state_put_away(); what comes of it is kept all the same. */
void state_export_forget(PluginProcess *process, const void *userdata);
/* … and the other: into this process, which may refuse. */
void state_import(PluginProcess *process, uint32_t version, GBytes *state, StateDone done, void *userdata);

/* The process is about to go. */
void state_forget_process(PluginProcess *process);

/* What the store has of the state of this plugin, which does not run. As store_put(). */
int state_forget(Plugins *plugins, const char *id, StoreDone done, void *userdata);

typedef struct StateSaving StateSaving;
void state_saving_free(StateSaving *saving);
