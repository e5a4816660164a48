/* SPDX-License-Identifier: Apache-2.0 */

/* io.cloudsnooze.Helper1, as far as installed versions go. Installing and removing is a person's: polkit is asked
 * about the caller, also where that is the daemon. Which of the versions that somebody has installed runs in which
 * slot is the daemon's to say, and what that may do stands in its manifest and in what was approved. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/errors.h"
#include "base/journal.h"
#include "base/names.h"
#include "bus/actions.h"
#include "bus/dictionary.h"
#include "helper/helper-bus.h"
#include "util/json.h"
#include "util/version.h"

static int read_version(sd_bus_message *call, const char **ret, gboolean may_be_empty, sd_bus_error *error) {
        int r = sd_bus_message_read(call, "s", ret);

        if (r < 0)
                return r;
        if (version_valid(*ret) || (may_be_empty && !**ret))
                return 0;
        return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT, "version: expected one as in 1.2.3");
}

static int no_such_version(const Helper *helper, const char *id, const char *version, const GError *e,
                           sd_bus_error *error) {
        g_auto(GStrv) versions = plugin_versions(&helper->places, id);
        g_autofree char *list = g_strjoinv(", ", versions);

        if (e->domain == G_FILE_ERROR && e->code == G_FILE_ERROR_NOENT)
                return helper_no_such_plugin(error, e);
        if (g_strv_contains((const char *const *) versions, version))
                return sd_bus_error_setf(error, ERROR_INVALID_CONFIGURATION, "Version %s of %s is broken: %s", version,
                                         id, e->message);
        return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "Version %s of %s is not installed; installed: %s.",
                                 version, id, *list ? list : "none");
}

/* Installing */

#define UNTOLD "not told by the caller"

/* What the caller says that he brings, NULL where he does not. It stands in the dialogue, before root has read a byte
 * of it, and has to be true. */
static int read_claim(JsonObject *options, InstallClaim *ret, sd_bus_error *error) {
        ret->id = json_get_string(options, "id", NULL);
        ret->version = json_get_string(options, "version", NULL);
        if (ret->id && !plugin_id_valid(ret->id))
                return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT, "options.id: expected the id of a plugin");
        if (ret->version && !version_valid(ret->version))
                return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT,
                                        "options.version: expected one as in 1.2.3");
        return 0;
}

static int read_install(sd_bus_message *call, int *ret_directory, JsonObject **ret_options, sd_bus_error *error) {
        static const char *const known[] = { "id", "s", "version", "s", NULL };
        struct stat st;
        int r, flags;

        r = sd_bus_message_read(call, "h", ret_directory);
        if (r >= 0)
                r = options_read(call, known, ret_options, error);
        if (r < 0)
                return r;
        flags = fcntl(*ret_directory, F_GETFL);
        /* Who could not open it for reading may not have it read for him. */
        if (flags < 0 || flags & O_PATH || fstat(*ret_directory, &st) < 0 || !S_ISDIR(st.st_mode))
                return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT,
                                        "directory: expected a directory that is open for reading");
        return 0;
}

static int reply_installed(const Helper *helper, sd_bus_message *call, const Manifest *manifest, gboolean changed) {
        g_autofree char *real = place_path(&helper->places, INSTALLED_PLUGINS),
                        *current = manifest_current(real, manifest->id);

        return sd_bus_reply_method_return(call, "sssb", manifest->id, manifest->version, current ?: "", (int) changed);
}

int method_install(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        g_autoptr(JsonObject) options = NULL;
        g_autoptr(Manifest) manifest = NULL;
        g_autoptr(GError) e = NULL;
        Helper *helper = userdata;
        Installed installed;
        InstallClaim claim;
        int directory, r;
        uid_t caller;

        r = read_install(call, &directory, &options, error);
        if (r >= 0)
                r = read_claim(options, &claim, error);
        if (r < 0)
                return r;
        r = helper_check_rate(helper, call, &caller, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = authorize(helper->authorizer, call, ACTION_INSTALL_PLUGINS,
                      (const char *const[]) { "plugin", claim.id ?: UNTOLD, "version", claim.version ?: UNTOLD, NULL },
                      error);
        if (r <= 0)
                return r < 0 ? r : 1;
        /* What is approved may be narrowed. */
        if (!pending_known(helper, &e))
                return helper_not_written(error, e);
        manifest = install_version(&helper->places, directory, caller, &claim, &installed, &e);
        if (!manifest) {
                log_notice("Nothing was installed for user %u: %s", (unsigned) caller, e->message);
                if (g_error_matches(e, G_FILE_ERROR, G_FILE_ERROR_IO))
                        return helper_not_written(error, e);
                return sd_bus_error_set(error,
                                        g_error_matches(e, G_FILE_ERROR, G_FILE_ERROR_EXIST) ? ERROR_REFUSED
                                                                                             : ERROR_INVALID_ARGUMENT,
                                        e->message);
        }
        if (installed == INSTALLED_NEW)
                log_notice("Version %s of plugin %s was installed for user %u.", manifest->version, manifest->id,
                           (unsigned) caller);
        return reply_installed(helper, call, manifest, installed == INSTALLED_NEW);
}

int method_remove_versions(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        g_autoptr(GError) e = NULL;
        Helper *helper = userdata;
        const char *id, *version;
        uid_t uid;
        int r;

        r = helper_read_id(call, &id, error);
        if (r >= 0)
                r = read_version(call, &version, TRUE, error);
        if (r >= 0)
                r = helper_check_rate(helper, call, &uid, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = authorize(helper->authorizer, call, ACTION_MANAGE_PLUGINS,
                      (const char *const[]) { "plugin", id, "version", *version ? version : "all", NULL }, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        if (!install_remove(&helper->places, id, version, &e)) {
                if (g_error_matches(e, G_FILE_ERROR, G_FILE_ERROR_NOENT))
                        return sd_bus_error_set(error, ERROR_NO_SUCH_PLUGIN, e->message);
                if (g_error_matches(e, G_FILE_ERROR, G_FILE_ERROR_INVAL))
                        return sd_bus_error_set(error, ERROR_BUSY, e->message);
                return helper_not_written(error, e);
        }
        log_notice("%s%s of plugin %s was removed.", *version ? "Version " : "Every version", version, id);
        return sd_bus_reply_method_return(call, NULL);
}

/* Running */

static int read_slot(sd_bus_message *call, Slots *ret, sd_bus_error *error) {
        const char *slot;
        int r = sd_bus_message_read(call, "s", &slot);

        if (r < 0)
                return r;
        if (strcmp(slot, "a") != 0 && strcmp(slot, "b") != 0)
                return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT, "slot: expected a or b");
        *ret = *slot == 'a' ? SLOT_A : SLOT_B;
        return 0;
}

/* 1: what the daemon and root may ask for, of a version that is there. 0: parked. slot NULL: none is named. */
static int read_service_call(Helper *helper, sd_bus_message *call, const char **ret_id, const char **ret_version,
                             Slots *ret_slot, Manifest **ret, sd_bus_error *error) {
        g_autoptr(GError) e = NULL;
        int r;

        r = helper_read_id(call, ret_id, error);
        if (r >= 0)
                r = read_version(call, ret_version, FALSE, error);
        if (r >= 0 && ret_slot)
                r = read_slot(call, ret_slot, error);
        if (r >= 0)
                r = helper_check_service(helper, call, error);
        if (r <= 0)
                return r;
        *ret = plugin_find_version(&helper->places, *ret_id, *ret_version, &e);
        return *ret ? 1 : no_such_version(helper, *ret_id, *ret_version, e, error);
}

/* Both slots have one user, and with it one bus policy: what is granted to the version in the other one this would
 * have, too. */
static int check_beside(const Places *places, const Manifest *manifest, const Approvals *approvals, Slots slot,
                        sd_bus_error *error) {
        g_autofree char *other = provision_pinned(places, manifest->id, slot == SLOT_A ? SLOT_B : SLOT_A),
                        *list = NULL;
        g_auto(GStrv) missing = approvals_missing(approvals, manifest);

        if (!missing[0] || !other || g_str_equal(other, manifest->version))
                return 0;
        list = g_strjoinv(", ", missing);
        return sd_bus_error_setf(
                error, ERROR_NOT_APPROVED,
                "Version %s of %s asks for what nobody has approved, and is not put beside version %s: "
                "%s",
                manifest->version, manifest->id, other, list);
}

int method_provision_version(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        g_autoptr(Approvals) approvals = NULL;
        g_autoptr(Manifest) manifest = NULL;
        g_autoptr(GError) e = NULL;
        Helper *helper = userdata;
        const char *id, *version;
        unsigned changed = 0;
        Slots slot = SLOTS_BOTH;
        int r;

        r = read_service_call(helper, call, &id, &version, &slot, &manifest, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        approvals = provision_approvals(&helper->places, id, &e);
        if (!approvals)
                return helper_not_written(error, e);
        r = check_beside(&helper->places, manifest, approvals, slot, error);
        if (r < 0)
                return r;
        if (!pending_note(helper, id, PENDING_READ, &e))
                return helper_not_written(error, e);
        /* A removal that is owed stays so, where this fails. */
        if (!provision_narrow(&helper->places, manifest, approvals, &e) || !helper_note_known(helper, id, &e))
                return helper_half_written(helper, id, changed, error, e);
        if (!provision_apply(&helper->places, manifest, approvals, slot, &changed, &e))
                return helper_half_written(helper, id, changed, error, e);
        if (changed)
                log_info("Plugin %s runs version %s in slot %s from its next start on.", id, version,
                         slot == SLOT_A ? "a" : "b");
        return helper_finish(helper, call, id, changed, FALSE);
}

int method_switch_version(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        g_autoptr(Manifest) manifest = NULL;
        g_autoptr(GError) e = NULL;
        Helper *helper = userdata;
        const char *id, *version;
        int r;

        r = read_service_call(helper, call, &id, &version, NULL, &manifest, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        if (!install_switch(&helper->places, id, version, &e))
                return helper_not_written(error, e);
        log_info("Version %s of plugin %s is the one that counts now.", version, id);
        return sd_bus_reply_method_return(call, NULL);
}

int method_list_version_permissions(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        g_autoptr(Manifest) manifest = NULL;
        g_autoptr(GError) e = NULL;
        Helper *helper = userdata;
        const char *id, *version;
        uid_t uid;
        int r;

        r = helper_read_id(call, &id, error);
        if (r >= 0)
                r = read_version(call, &version, FALSE, error);
        if (r >= 0)
                r = helper_check_rate(helper, call, &uid, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        manifest = plugin_find_version(&helper->places, id, version, &e);
        return manifest ? helper_reply_permissions(helper, call, manifest, -1, error)
                        : no_such_version(helper, id, version, e, error);
}
