/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* plugin.json: what a plugin says about itself before it runs. Read strictly, because what stands there decides what
 * is executed and what it may do; whoever can write the file or the program could run code as the plugin's user, so
 * both must belong to root. */

#include <stdint.h>
#include <sys/types.h>

#include <glib.h>
#include <json-glib/json-glib.h>

#include "base/plugin-timeouts.h"
#include "manifest/schema.h"
#include "manifest/stamp.h"

typedef enum ManifestError {
        MANIFEST_ERROR_INVALID, /* "<file>: <json pointer>: got …, expected …" */
        MANIFEST_ERROR_UNSAFE,  /* a file or directory that others could change */
} ManifestError;

#define MANIFEST_ERROR (manifest_error_quark())
GQuark manifest_error_quark(void);

typedef struct ManifestEvent {
        char *type;      /* "cloud.spot.interrupt", or "custom.*" for all below */
        int priority;
        gboolean enabled;
        gboolean moves;  /* it is told where the end of the machine is to come at another time than it was told */
} ManifestEvent;

typedef struct ManifestDependency {
        char *name;
        char *version; /* a range, see util/version-range.h */
} ManifestDependency;

typedef struct Manifest {
        unsigned others; /* who has it besides one: manifest_ref() */
        char *id;
        char *directory; /* that the plugin was found in */
        gboolean versioned; /* it lies beside others of its plugin, in a directory named by its version */
        char *path;   /* of the file */
        char *digest; /* SHA-256 of what stands in it: what an administrator looked at who approved its permissions */
        char *display_name, *version, *author, *description, *category, *repository, *homepage;
        char *min_host_version, *type, *language, *process_model, *runtime, *isolation, *image;
        char **tags, **contracts, **permissions;
        gboolean official;            /* as it claims; plugin_official() knows whether it may */
        gboolean enabled_by_default; /* of an official one: it runs from when it is first seen, until somebody disables
                                        it */
        char *exec;                   /* absolute */
        char *exec_written;           /* as it stands there: the same in every version that names its program alike */
        char *schema_text;            /* config_schema as JSON */
        Schema *schema;
        GPtrArray *events;            /* ManifestEvent */
        GPtrArray *dependencies;      /* ManifestDependency */
        uint64_t memory_max;          /* bytes; 0: no limit asked for */
        double cpu_percent;
        uint64_t tasks_max;
        uint64_t timeouts[TIMEOUT_COUNT]; /* µs */
        FileStamp stamp[MANIFEST_FILES];  /* of the very files that were read */
} Manifest;

/* Where the files of a plugin lie: <directory>/<id>, or, where versions lie there side by side, the one that the link
 * <directory>/<id>/current names. NULL: that link is none to follow. */
char *manifest_place(const char *directory, const char *id, GError **error);
/* Whether there is one to read. One that cannot be seen is there, and broken. */
gboolean manifest_there(const char *directory, const char *id);

/* Which version that link names; NULL: there is none, or none to follow. */
char *manifest_current(const char *directory, const char *id);
/* Those that lie side by side, oldest first; of none of them it is known whether it is any good. Empty where none do.
 * Free with g_strfreev(). */
char **manifest_versions(const char *directory, const char *id);

/* Reads plugin.json in the plugin's place. Files must belong to root or, for a daemon on a private bus, to `also`, the
 * user who runs it (0: root alone). */
Manifest *manifest_load(const char *directory, const char *id, uid_t also, GError **error);
/* The same of one of the versions that lie side by side. */
Manifest *manifest_load_version(const char *directory, const char *id, const char *version, uid_t also,
                                GError **error);
/* missing: where its program would be, if that alone is what it lacks. */
Manifest *manifest_load_or_miss(const char *directory, const char *id, uid_t also, char **ret_missing,
                                GError **error);
/* The text of one alone, already read: `exec` stays as it is written there. path: what messages call it. id: what it
 * has to be named; NULL: as it says itself. */
Manifest *manifest_parse(const char *path, const char *id, JsonNode *root, GError **error);
/* What is wrong with one is told in its author's words, names of keys and values: makes them a line that steers no
 * terminal. NULL. */
Manifest *manifest_refused(GError **error);
/* For as long as a process of that version runs, whatever its plugin has become. */
Manifest *manifest_ref(Manifest *manifest);
/* By the last who has it. */
void manifest_free(Manifest *manifest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Manifest, manifest_free)

gboolean manifest_has_contract(const Manifest *manifest, const char *contract);
/* What it asks for that no daemon of this build serves, wherever it runs: it "has the runtime …"; NULL: nothing.
 * Caller frees. */
char *manifest_unserved(const Manifest *manifest);
/* The entry for the event's type: the same type, else the longest "….*" above it; NULL: does not handle it. */
const ManifestEvent *manifest_event(const Manifest *manifest, const char *type);

/* Whether a host of one version of the plugin API serves plugins of the other: its own, and the one before. */
gboolean manifest_api_served(uint32_t host, uint32_t api);
/* Those, for whoever says another: "1", "1 or 2". Caller frees. */
char *manifest_api_expected(uint32_t host);

/* What a plugin can serve; ends with NULL. */
extern const char *const manifest_contract_names[];

/* Whose files may say what runs: root's, and those of a user who runs the daemon himself on a private bus. Never those
 * of the system service's own user, which a hole in the daemon would own. */
uid_t manifest_trusted_uid(void);

/* A directory, file or program that nobody but its owner can change, and the owner is root or `also`. */
gboolean file_trusted(const char *path, uid_t also, GError **error);
/* The same of what was looked at already, or is open. */
gboolean file_status_trusted(const char *path, const struct stat *st, uid_t also, GError **error);

/* `exec` of a manifest in `directory` → the absolute path of a program that may be started, and what it is like. */
char *program_resolve(const char *directory, const char *exec, uid_t also, struct stat *ret_status, GError **error);

/* The uid of a local user, from /etc/passwd alone: sysusers puts plugins' users there, and NSS could wait for a
 * network. -ENOENT if there is none. */
int local_user(const char *name, uid_t *ret_uid);
