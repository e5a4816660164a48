/* SPDX-License-Identifier: Apache-2.0 */

/* io.cloudsnooze.Helper1. The daemon's user and root may have a plugin made known and its limits set; everybody may
 * ask polkit for more. A handler may run twice, from its first line: nothing changes before the caller is known
 * and, where it is asked, polkit said yes. */

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/journal.h"
#include "base/names.h"
#include "bus/actions.h"
#include "bus/arguments.h"
#include "bus/dictionary.h"
#include "helper/helper-bus.h"
#include "manifest/permission.h"

#define DIGEST_LENGTH 64U
#define MIB (UINT64_C(1024) * 1024)

int helper_read_id(sd_bus_message *call, const char **ret, sd_bus_error *error) {
        int r = sd_bus_message_read(call, "s", ret);

        if (r < 0)
                return r;
        if (!plugin_id_valid(*ret))
                return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT,
                                        "That is no plugin's id; expected " PLUGIN_ID_EXPECTED ".");
        return 0;
}

int helper_no_such_plugin(sd_bus_error *error, const GError *e) {
        return sd_bus_error_set(error,
                                e->domain == G_FILE_ERROR && e->code == G_FILE_ERROR_NOENT
                                        ? ERROR_NO_SUCH_PLUGIN
                                        : ERROR_INVALID_CONFIGURATION,
                                e->message);
}

int helper_not_written(sd_bus_error *error, const GError *e) {
        log_error("%s", e->message);
        return sd_bus_error_set(error, ERROR_STORE, e->message);
}

static gboolean is_service(const Helper *helper, uid_t uid) {
        return uid == 0 || uid == helper->places.also ||
               (helper->places.service != 0 && uid == helper->places.service);
}

/* Of others by user: whoever opens a hundred connections is no more than one. Root and the daemon's user could keep it
 * busy in any case, and are not to be in each other's way. */
static gboolean take_call(Helper *helper, sd_bus_message *call, uid_t uid) {
        const char *sender = sd_bus_message_get_sender(call);
        g_autofree char *user = is_service(helper, uid) ? NULL : g_strdup_printf("uid %u", (unsigned) uid);

        return authorizer_knows(helper->authorizer, call) ||
                sender_limits_take(helper->limits, user ?: sender, clock_monotonic());
}

int helper_check_rate(Helper *helper, sd_bus_message *call, uid_t *ret_uid, sd_bus_error *error) {
        int r = caller_uid(helper->callers, call, ret_uid, error);

        if (r <= 0 || take_call(helper, call, *ret_uid))
                return r;
        return sd_bus_error_set(error, ERROR_LIMITS_EXCEEDED, "Too many calls; wait a moment.");
}

int helper_check_service(Helper *helper, sd_bus_message *call, sd_bus_error *error) {
        uid_t uid;
        int r = helper_check_rate(helper, call, &uid, error);

        if (r <= 0 || is_service(helper, uid))
                return r;
        log_notice("Refused %s to uid %u.", sd_bus_message_get_member(call), (unsigned) uid);
        return sd_bus_error_set(error, ERROR_ACCESS_DENIED, "This is for the daemon's user (snooze) and root.");
}

int helper_finish(Helper *helper, sd_bus_message *call, const char *id, unsigned changed, gboolean removed) {
        /* It was noted before it was known whether there would be anything. */
        if (!changed && !removed)
                pending_settle(helper);
        return reloader_request(helper->reloader, call, id, changed, removed);
}

int helper_half_written(Helper *helper, const char *id, unsigned changed, sd_bus_error *error, const GError *e) {
        int r = helper_finish(helper, NULL, id, changed, FALSE);

        if (r < 0)
                log_error("What was written cannot be read again: %s", g_strerror(-r));
        return helper_not_written(error, e);
}

gboolean helper_note_known(Helper *helper, const char *id, GError **error) {
        if (!pending_note(helper, id, PENDING_KEPT, error))
                return FALSE;
        reloader_forgive_removal(helper->reloader, id);
        return TRUE;
}

/* The package's plugin would run the program of the earlier one, with what that was granted. */
static int clear_leftovers(Helper *helper, sd_bus_message *call, const char *id, sd_bus_error *error) {
        g_autoptr(GError) e = NULL;
        unsigned changed = 0;

        if (!pending_note(helper, id, PENDING_REMOVED, &e))
                return helper_not_written(error, e);
        /* It is the package's user now. */
        reloader_forgive_removal(helper->reloader, id);
        if (!provision_clear(&helper->places, id, &changed, &e)) {
                reloader_owe_removal(helper->reloader, id);
                return helper_half_written(helper, id, changed, error, e);
        }
        log_notice("What was left of a plugin %s that no package brought is gone.", id);
        return helper_finish(helper, call, id, changed, FALSE);
}

static int method_provision(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        g_autoptr(Approvals) approvals = NULL;
        g_autoptr(Manifest) manifest = NULL;
        g_autoptr(GError) e = NULL;
        Helper *helper = userdata;
        unsigned changed = 0;
        gboolean packaged;
        const char *id;
        int r;

        r = helper_read_id(call, &id, error);
        if (r < 0)
                return r;
        r = helper_check_service(helper, call, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        manifest = plugin_find(&helper->places, id, &packaged, &e);
        if (!manifest)
                return helper_no_such_plugin(error, e);
        if (packaged)
                return provision_left(&helper->places, id) ? clear_leftovers(helper, call, id, error)
                                                           : sd_bus_reply_method_return(call, NULL);
        approvals = provision_approvals(&helper->places, id, &e);
        if (!approvals || !pending_note(helper, id, PENDING_READ, &e))
                return helper_not_written(error, e);
        /* A removal that is owed stays so, where this fails. */
        if (!provision_narrow(&helper->places, manifest, approvals, &e) || !helper_note_known(helper, id, &e))
                return helper_half_written(helper, id, changed, error, e);
        if (!provision_apply(&helper->places, manifest, approvals, SLOTS_BOTH, &changed, &e))
                return helper_half_written(helper, id, changed, error, e);
        if (changed)
                log_info("Plugin %s is known to the system now.", id);
        return helper_finish(helper, call, id, changed, FALSE);
}

/* Once it is begun it is owed: one that failed is there as long as it is noted, whatever of its files is. */
static int deprovision(Helper *helper, sd_bus_message *call, const char *id, sd_bus_error *error) {
        gboolean present = provision_present(&helper->places, id) || pending_removes(&helper->places, id);
        g_autoptr(GError) e = NULL;
        unsigned changed = 0;
        gboolean removed;

        if (!pending_note(helper, id, present ? PENDING_REMOVED : PENDING_READ, &e))
                return helper_not_written(error, e);
        removed = provision_remove(&helper->places, id, &changed, &e);
        /* Making users is not what its file's end asks for. */
        changed &= ~(unsigned) RELOAD_USERS;
        if (!removed) {
                if (present)
                        reloader_owe_removal(helper->reloader, id);
                return helper_half_written(helper, id, changed, error, e);
        }
        if (present)
                log_info("Plugin %s is not known to the system any more.", id);
        return helper_finish(helper, call, id, changed, present);
}

static int method_deprovision(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Helper *helper = userdata;
        gboolean packaged;
        const char *id;
        uid_t uid;
        int r;

        r = helper_read_id(call, &id, error);
        if (r < 0)
                return r;
        r = helper_check_rate(helper, call, &uid, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        packaged = plugin_packaged(&helper->places, id);
        /* Its user is the package's, and a policy of that name in /etc the administrator's. Nobody has to authenticate
         * to hear that; anybody may see what is packaged. */
        if (packaged && !provision_left(&helper->places, id))
                return sd_bus_error_setf(error, ERROR_NOT_SUPPORTED,
                                         "%s came with a package, which is what to remove.", id);
        if (!is_service(helper, uid)) {
                r = authorize(helper->authorizer, call, ACTION_MANAGE_PLUGINS,
                              (const char *const[]) { "plugin", id, NULL }, error);
                if (r <= 0)
                        return r < 0 ? r : 1;
        }
        return packaged ? clear_leftovers(helper, call, id, error) : deprovision(helper, call, id, error);
}

static int read_limits(JsonObject *options, const Manifest *manifest, Limits *ret, sd_bus_error *error) {
        g_autofree char *excess = limits_excess(manifest, options);

        if (excess)
                return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT, excess);
        *ret = (Limits) { .memory_max = (uint64_t) (json_get_double(options, "memory_mb", 0) * (double) MIB),
                          .cpu_percent = json_get_double(options, "cpu_percent", 0),
                          .tasks_max = (uint64_t) json_get_double(options, "tasks", 0) };
        return 0;
}

static int method_set_limits(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        static const char *const known[] = { "memory_mb", "t", "cpu_percent", "d", "tasks", "t", NULL };
        g_autoptr(Manifest) manifest = NULL;
        g_autoptr(JsonObject) options = NULL;
        g_autoptr(GError) e = NULL;
        Helper *helper = userdata;
        unsigned changed = 0;
        gboolean packaged;
        const char *id;
        Limits limits;
        int r;

        r = helper_read_id(call, &id, error);
        if (r >= 0)
                r = options_read(call, known, &options, error);
        if (r < 0)
                return r;
        r = helper_check_service(helper, call, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        manifest = plugin_find(&helper->places, id, &packaged, &e);
        if (!manifest)
                return helper_no_such_plugin(error, e);
        r = read_limits(options, manifest, &limits, error);
        if (r < 0)
                return r;
        if (!pending_note(helper, id, PENDING_READ, &e))
                return helper_not_written(error, e);
        if (!provision_limit(&helper->places, id, &limits, &changed, &e))
                return helper_half_written(helper, id, changed, error, e);
        return helper_finish(helper, call, id, changed, FALSE);
}

typedef struct Approval {
        const char *id, *digest;
        char **permissions;
} Approval;

static void approval_clear(Approval *approval) {
        g_strfreev(approval->permissions); /* the C library's, as GLib's are */
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Approval, approval_clear)

static int read_approval(sd_bus_message *call, Approval *ret, sd_bus_error *error) {
        int r = helper_read_id(call, &ret->id, error);
        const char *excess;

        if (r >= 0)
                r = sd_bus_message_read_strv(call, &ret->permissions);
        if (r >= 0)
                r = sd_bus_message_read(call, "s", &ret->digest);
        if (r < 0)
                return r;
        if (!ret->permissions)
                ret->permissions = g_new0(char *, 1);
        excess = permissions_excess((const char *const *) ret->permissions);
        if (excess)
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "permissions: %s", excess);
        for (char **permission = ret->permissions; *permission; permission++)
                if (permission_problem(*permission))
                        return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "permissions: %s",
                                                 permission_problem(*permission));
        if (strlen(ret->digest) != DIGEST_LENGTH)
                return sd_bus_error_set(
                        error, ERROR_INVALID_ARGUMENT,
                        "manifest_digest: expected the SHA-256 of plugin.json as 64 hexadecimal digits");
        return 0;
}

/* What is approved is what somebody looked at, and no more than the manifest asks for. */
static int check_approval(const Approval *approval, const Manifest *manifest, sd_bus_error *error) {
        if (!g_str_equal(approval->digest, manifest->digest))
                return sd_bus_error_setf(
                        error, ERROR_INVALID_ARGUMENT,
                        "manifest_digest: %s is another one now than the one that was looked at; look again",
                        manifest->path);
        for (char **permission = approval->permissions; *permission; permission++)
                if (!g_strv_contains((const char *const *) manifest->permissions, *permission))
                        return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "permissions: %s does not ask for %s",
                                                 manifest->path, *permission);
        return 0;
}

static void log_approval(sd_bus_message *call, const Approval *approval) {
        g_autofree char *plugin = g_strdup_printf("PLUGIN=%s", approval->id);
        g_autofree char *sender = g_strdup_printf("SENDER=%s", sd_bus_message_get_sender(call));
        g_autofree char *list = g_strjoinv(" ", approval->permissions);
        const char *const fields[] = { plugin, sender, NULL };

        journal_write(LOG_NOTICE, MESSAGE_APPROVED, fields, "Plugin %s is granted: %s", approval->id,
                      *list ? list : "nothing");
}

/* Of one that is known to the system it brings everything up to date, also what a removal that failed took away. */
static int approve(Helper *helper, sd_bus_message *call, const Approval *approval, Manifest *manifest,
                   sd_bus_error *error) {
        gboolean present = provision_present(&helper->places, approval->id);
        g_autoptr(GError) e = NULL;
        unsigned changed = 0;

        if (present ? !helper_note_known(helper, approval->id, &e)
                    : !pending_note(helper, approval->id, PENDING_READ, &e))
                return helper_not_written(error, e);
        if (!provision_approve(&helper->places, manifest, (const char *const *) approval->permissions, &e))
                return helper_half_written(helper, approval->id, changed, error, e);
        /* It stands, whatever comes of the rest. */
        log_approval(call, approval);
        /* One that was never enabled is made known when it is. */
        if (present) {
                gboolean packaged;
                g_autoptr(Approvals) approvals = NULL;
                g_autoptr(Manifest) current = plugin_find(&helper->places, approval->id, &packaged, &e);

                approvals = current ? provision_approvals(&helper->places, approval->id, &e) : NULL;
                if (!approvals || !provision_refresh(&helper->places, current, approvals, &changed, &e))
                        return helper_half_written(helper, approval->id, changed, error, e);
        }
        return helper_finish(helper, call, approval->id, changed, FALSE);
}

/* Of several versions the one that was looked at, if it is there; else the one that counts. */
static Manifest *find_looked_at(const Places *places, const Approval *approval, gboolean *ret_packaged,
                                GError **error) {
        g_autoptr(Manifest) current = plugin_find(places, approval->id, ret_packaged, error);
        g_auto(GStrv) versions = NULL;

        if (!current || !current->versioned || g_str_equal(current->digest, approval->digest))
                return g_steal_pointer(&current);
        versions = plugin_versions(places, approval->id);
        for (char **version = versions; *version; version++) {
                g_autoptr(Manifest) other = plugin_find_version(places, approval->id, *version, NULL);

                if (other && g_str_equal(other->digest, approval->digest))
                        return g_steal_pointer(&other);
        }
        return g_steal_pointer(&current);
}

static int method_approve_permissions(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        g_auto(Approval) approval = {};
        g_autofree char *list = NULL;
        g_autoptr(Manifest) manifest = NULL;
        g_autoptr(GError) e = NULL;
        Helper *helper = userdata;
        gboolean packaged;
        uid_t uid;
        int r;

        r = read_approval(call, &approval, error);
        if (r >= 0)
                r = helper_check_rate(helper, call, &uid, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        list = g_strjoinv(" ", approval.permissions);
        r = authorize(helper->authorizer, call, ACTION_APPROVE_PERMISSIONS,
                      (const char *const[]) { "plugin", approval.id, "permissions", list, NULL }, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        manifest = find_looked_at(&helper->places, &approval, &packaged, &e);
        if (!manifest)
                return helper_no_such_plugin(error, e);
        if (packaged)
                return sd_bus_error_setf(
                        error, ERROR_NOT_SUPPORTED,
                        "%s came with a package, and what it is granted with it; systemctl edit changes that.",
                        approval.id);
        r = check_approval(&approval, manifest, error);
        return r < 0 ? r : approve(helper, call, &approval, manifest, error);
}

/* With what a script is run by, which is granted with it. */
static char *words_of(const Places *places, const char *permission) {
        const char *program = permission_program(permission);
        g_autofree char *words = permission_words(permission);
        g_auto(GStrv) runners = program ? interpreters_granted(places, program) : NULL;
        g_autofree char *list = runners && runners[0] ? g_strjoinv(" and ", runners) : NULL;

        return list ? g_strdup_printf("%s; a script, with it also %s", words, list) : g_steal_pointer(&words);
}

/* approvals NULL: a package brought it, and approved of all. unreadable: why nothing is known of approvals, or NULL.
 */
static int append_permissions(sd_bus_message *reply, const Places *places, const Manifest *manifest,
                              const Approvals *approvals, const char *unreadable) {
        int r = sd_bus_message_open_container(reply, 'a', "(sbs)");

        for (char **permission = manifest->permissions; r >= 0 && *permission; permission++) {
                gboolean approved = !approvals || approvals_include(approvals, manifest, *permission);
                g_autofree char *obstacle = approvals ? approvals_obstacle(approvals, manifest, *permission) : NULL;
                g_autofree char *words = words_of(places, *permission);
                g_autofree char *text =
                        unreadable ? g_strconcat(words, "; what was approved cannot be read: ", unreadable, NULL)
                                   : g_strconcat(words, obstacle ? "; " : "", obstacle, NULL);

                r = sd_bus_message_append(reply, "(sbs)", *permission, (int) approved, text);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_terms(sd_bus_message *reply, const Manifest *manifest) {
        g_auto(GStrv) terms = approvals_terms_of(manifest);

        return sd_bus_message_append_strv(reply, terms);
}

int helper_reply_permissions(Helper *helper, sd_bus_message *call, const Manifest *manifest, int packaged,
                             sd_bus_error *error) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        g_autoptr(Approvals) approvals = NULL;
        g_autoptr(GError) e = NULL;
        int r;

        approvals = packaged > 0 ? NULL : provision_approvals(&helper->places, manifest->id, &e);
        /* Somebody approves anew, which takes the file's place. */
        if (packaged <= 0 && !approvals)
                approvals = approvals_new();
        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", manifest->digest);
        if (r >= 0 && packaged >= 0)
                r = sd_bus_message_append(reply, "b", packaged);
        if (r >= 0)
                r = append_permissions(reply, &helper->places, manifest, approvals, e ? e->message : NULL);
        if (r >= 0)
                r = append_terms(reply, manifest);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_list_permissions(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        g_autoptr(Manifest) manifest = NULL;
        g_autoptr(GError) e = NULL;
        Helper *helper = userdata;
        gboolean packaged;
        const char *id;
        uid_t uid;
        int r;

        r = helper_read_id(call, &id, error);
        if (r >= 0)
                r = helper_check_rate(helper, call, &uid, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        manifest = plugin_find(&helper->places, id, &packaged, &e);
        return manifest ? helper_reply_permissions(helper, call, manifest, packaged, error)
                        : helper_no_such_plugin(error, e);
}

#define METHOD(name, in, in_names, out, out_names, handler) \
        SD_BUS_METHOD_WITH_NAMES(name, in, in_names, out, out_names, handler, SD_BUS_VTABLE_UNPRIVILEGED)

static const sd_bus_vtable helper_vtable[] = {
        SD_BUS_VTABLE_START(0),
        METHOD("Provision", "s", SD_BUS_PARAM(id), NULL, , method_provision),
        METHOD("Deprovision", "s", SD_BUS_PARAM(id), NULL, , method_deprovision),
        METHOD("SetLimits", "sa{sv}", SD_BUS_PARAM(id) SD_BUS_PARAM(limits), NULL, , method_set_limits),
        METHOD("ApprovePermissions", "sass", SD_BUS_PARAM(id) SD_BUS_PARAM(permissions) SD_BUS_PARAM(manifest_digest),
               NULL, , method_approve_permissions),
        METHOD("ListPermissions", "s", SD_BUS_PARAM(id), "sba(sbs)as",
               SD_BUS_PARAM(manifest_digest) SD_BUS_PARAM(packaged) SD_BUS_PARAM(permissions) SD_BUS_PARAM(terms),
               method_list_permissions),
        METHOD("Install", "ha{sv}", SD_BUS_PARAM(directory) SD_BUS_PARAM(options), "sssb",
               SD_BUS_PARAM(id) SD_BUS_PARAM(version) SD_BUS_PARAM(current) SD_BUS_PARAM(changed), method_install),
        METHOD("RemoveVersions", "ss", SD_BUS_PARAM(id) SD_BUS_PARAM(version), NULL, , method_remove_versions),
        METHOD("ProvisionVersion", "sss", SD_BUS_PARAM(id) SD_BUS_PARAM(version) SD_BUS_PARAM(slot), NULL, ,
               method_provision_version),
        METHOD("SwitchVersion", "ss", SD_BUS_PARAM(id) SD_BUS_PARAM(version), NULL, , method_switch_version),
        METHOD("ListVersionPermissions", "ss", SD_BUS_PARAM(id) SD_BUS_PARAM(version), "sa(sbs)as",
               SD_BUS_PARAM(manifest_digest) SD_BUS_PARAM(permissions) SD_BUS_PARAM(terms),
               method_list_version_permissions),
        SD_BUS_VTABLE_END,
};

static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Helper *helper = userdata;
        int r = 0;

        if (!sd_bus_message_is_method_call(message, NULL, NULL))
                return 0;
        helper_touch(helper);
        /* Before a handler looks at what there is, which may be what was to be removed. Anybody may have that done, as
         * whoever has a helper started does. */
        if (helper->unknown)
                r = pending_resume(helper);
        return r < 0 ? r : call_check_names(message, error);
}

int helper_export(Helper *helper) {
        int r = sd_bus_add_filter(helper->bus, NULL, on_message, helper);

        return r < 0 ? r
                     : sd_bus_add_object_vtable(helper->bus, NULL, HELPER_PATH, HELPER_INTERFACE, helper_vtable,
                                                helper);
}
