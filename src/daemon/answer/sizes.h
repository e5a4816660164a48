/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How much a plugin may say at once. */

#define PLUGIN_STATE_MAX (4U * 1024U * 1024U)  /* bytes of ExportState */
#define PLUGIN_DATA_MAX (16U * 1024U * 1024U)  /* bytes of a block, to it and from it */
/* Bytes of an event's data as it is written down, and kept: a control character of one byte is six there. */
#define EVENT_DATA_MAX 16384U
