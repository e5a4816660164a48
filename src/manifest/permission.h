/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a plugin may do beyond reading the world it is shown, one line of text each: "network:any",
 * "read:/srv/data". This is the one table that says what is well formed, what it means in plain words, and what it
 * adds to the plugin's unit or bus policy. Pure: no file is looked at, so the daemon, the helper and the tests all
 * get the same answer.
 *
 *   network:any              every address
 *   network:HOST[:PORT]      one address, a prefix ("10.0.0.0/8"), localhost, or a name
 *   read:PATH, write:PATH    seen there, written there, as far as ordinary file permissions let the plugin's user
 *   device:gpu
 *   processes                processes of others in /proc
 *   signals                  to processes of others
 *   bus:NAME                 method calls to that name on the system bus
 *   exec:any, exec:PATH      other programs than its own
 *   group:NAME               of a short list
 *   unit:any, unit:NAME      units of systemd that it stops and starts
 *
 * There is none to be root. */

#include <glib.h>

/* NULL if the text is a permission, else what was expected: "expected network:any or network:HOST[:PORT]". */
const char *permission_problem(const char *text);

/* Of one plugin. An administrator reads all of them before he approves, in a dialogue that shows no more than fits. */
#define PERMISSIONS_MAX 64
#define PERMISSIONS_LENGTH_MAX 2048 /* bytes, in all */

/* NULL if they are no more than that, else what was expected. */
const char *permissions_excess(const char *const *permissions);

/* For people, as the end of "It …": "may see the processes of others". The text must be valid. Caller frees. */
char *permission_words(const char *text);

/* What systemd cannot leave out silently: a unit that names a group which is not there does not start. */
typedef gboolean (*GroupExists)(const char *name, void *userdata);

/* Adds the lines of a [Service] section that grant the permissions to `lines` (of owned strings), each line once.
 * All must be valid. */
void permission_directives(const char *const *permissions, GroupExists exists, void *userdata, GPtrArray *lines);

/* Adds the rules of the bus policy, each line once. */
void permission_bus_rules(const char *const *permissions, GPtrArray *lines);

/* One line for each unit that may be stopped and started, "*" for every service; "" where there are none. polkit's
 * rule looks into a file of these lines. Caller frees. */
char *permission_units(const char *const *permissions);

/* The program that an exec:PATH names; NULL of any other. */
const char *permission_program(const char *text);

/* Whether one of them lets every address be reached, as names need it. All must be valid. */
gboolean permission_reaches_everywhere(const char *const *permissions);

/* Whether it names addresses, so that what it grants is more where systemd cannot tell them apart. */
gboolean permission_names_addresses(const char *text);

/* An absolute path without "..", "//" or a "/" at its end, of characters that mean nothing to a unit file. */
gboolean permission_path_plain(const char *path);
