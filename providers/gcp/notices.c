/* SPDX-License-Identifier: Apache-2.0 */

/* What Google announces to this instance, read from the metadata service by long poll
 * (docs.cloud.google.com/compute/docs/metadata/ querying-metadata#waitforchange): each question waits there until the
 * value has another ETag than the last one.
 *
 * instance/maintenance-event turns from NONE to what will happen 60 s before it does, on hosts with GPUs an hour
 * before (…/metadata/ getting-live-migration-notice, …/gpus/gpu-host-maintenance), and back. instance/preempted turns
 * TRUE when Google takes a Spot instance back, 30 s before it is off (…/instances/spot#preemption-process), and never
 * back. Neither names a time: a deadline is counted from when the value was seen.
 *
 * An id has the instance in it, because an image that was made of this machine has its memory of what was handled; and
 * the boot or the time, because the same value comes again and again in an instance's life. */

#include <string.h>
#include <syslog.h>

#include <systemd/sd-id128.h>

#include "base/clock.h"
#include "cloud/announcement.h"
#include "cloud/text.h"
#include "cloud/watch.h"
#include "gcp.h"
#include "util/json.h"

#define MAINTENANCE_NOTICE (60 * USEC_PER_SEC)
#define MAINTENANCE_NOTICE_GPU (60 * USEC_PER_MINUTE)
#define PREEMPTION_NOTICE (30 * USEC_PER_SEC)
/* Between the beginnings of two questions, and after a 503, for which Google names this pause. */
#define PAUSE USEC_PER_SEC
#define STATE_VERSION 1U

typedef struct Watch Watch;

typedef struct Kind {
        const char *path;
        void (*read)(Watch *watch, const char *value);
        void (*tell_again)(Watch *watch); /* of the value that a process before this one read; NULL: it is not kept */
} Kind;

struct Watch {
        Notices *notices;
        const Kind *kind;
        CloudWatch *round; /* NULL: not watched */
        char *etag;           /* of the value; NULL: not known yet */
        Announced *announced; /* the provider's */
};

struct Notices {
        Gcp *gcp;
        bool gpu; /* looked for beforehand, not between a notice and its announcement; a machine that runs gets none */
        Watch watches[WATCH_COUNT];
};

/* Live migration is impossible with a GPU, whichever way it came to the machine: NVIDIA's are display or 3D
 * controllers (PCI class 03). */
static bool is_gpu(const char *directory) {
        g_autofree char *vendor_file = g_build_filename(directory, "vendor", NULL),
                        *class_file = g_build_filename(directory, "class", NULL);
        g_autofree char *vendor = NULL, *class = NULL;

        return g_file_get_contents(vendor_file, &vendor, NULL, NULL) &&
               g_file_get_contents(class_file, &class, NULL, NULL) && g_str_has_prefix(vendor, "0x10de") &&
               g_str_has_prefix(class, "0x03");
}

static bool has_gpu(const char *root) {
        g_autofree char *devices = g_strconcat(root, "/sys/bus/pci/devices", NULL);
        g_autoptr(GDir) directory = g_dir_open(devices, 0, NULL);
        const char *name;

        while (directory && (name = g_dir_read_name(directory))) {
                g_autofree char *device = g_build_filename(devices, name, NULL);

                if (is_gpu(device))
                        return true;
        }
        return false;
}

static char *id_of(const Watch *watch, const char *what) {
        return g_strdup_printf("%s/%s", identity_id(&watch->notices->gcp->cloud), what);
}

static void announce(Watch *watch, const char *id, const char *type, CloudSeverity severity, uint64_t deadline,
                     const char *key, const char *value) {
        CloudProvider *cloud = &watch->notices->gcp->cloud;
        SnoozePluginDictionary *data = cloud_announcement_data(cloud);
        char *copy;

        snooze_plugin_dictionary_set_string(data, key, value);
        if (!cloud_announce(cloud, id, type, severity, deadline, data))
                return;
        copy = g_strdup(id);
        g_free(watch->announced->id);
        watch->announced->id = copy;
        watch->announced->deadline = deadline;
        watch->announced->told = true;
}

static void withdraw(Watch *watch) {
        if (!watch->announced->id)
                return;
        cloud_withdraw(&watch->notices->gcp->cloud, watch->announced->id);
        g_clear_pointer(&watch->announced->id, g_free);
        watch->announced->told = false;
}

static bool is_termination(const char *value) {
        return g_str_equal(value, "TERMINATE_ON_HOST_MAINTENANCE");
}

static void announce_maintenance(Watch *watch, const char *id, const char *value, uint64_t deadline) {
        if (is_termination(value))
                announce(watch, id, CLOUD_EVENT_TERMINATION, CLOUD_SEVERITY_CRITICAL, deadline, "maintenance_event",
                         value);
        else
                /* MIGRATE_ON_HOST_MAINTENANCE, and what may come: it slows down for a moment, and goes on. */
                announce(watch, id, CLOUD_EVENT_MAINTENANCE, CLOUD_SEVERITY_WARNING, deadline, "maintenance_event",
                         value);
}

static void read_maintenance(Watch *watch, const char *value) {
        uint64_t now = clock_realtime();
        g_autofree char *what = g_strdup_printf("maintenance/%s-%" G_GUINT64_FORMAT, value, now / USEC_PER_SEC),
                        *id = id_of(watch, what);

        withdraw(watch);
        if (g_str_equal(value, "NONE"))
                return;
        announce_maintenance(watch, id, value,
                             usec_add(now, is_termination(value) && watch->notices->gpu ? MAINTENANCE_NOTICE_GPU
                                                                                       : MAINTENANCE_NOTICE));
}

/* Still there. By the same id and for the same time: the daemon knows it, or did not hear it. An image of another
 * machine has what that one kept. */
static void tell_maintenance_again(Watch *watch) {
        Announced *announced = watch->announced;
        g_autofree char *id = g_strdup(announced->id), *own = id_of(watch, "");

        if (!id || announced->told)
                return;
        if (g_str_has_prefix(id, own))
                announce_maintenance(watch, id, announced->value, announced->deadline);
        else {
                g_clear_pointer(&announced->id, g_free);
                read_maintenance(watch, announced->value);
        }
}

static void boot_text(char boot[static SD_ID128_STRING_MAX]) {
        sd_id128_t id;

        if (sd_id128_get_boot(&id) >= 0)
                sd_id128_to_string(id, boot);
        else
                g_strlcpy(boot, "unknown", SD_ID128_STRING_MAX);
}

/* A service that forgets it for a moment must not call it off. The boot makes it one event, however often this is
 * read. Its time is counted once: the same event at a later time would be one that Google has put off. */
static void read_preemption(Watch *watch, const char *value) {
        uint64_t deadline = watch->announced->deadline;
        char boot[SD_ID128_STRING_MAX];
        g_autofree char *what = NULL, *id = NULL;

        if (watch->announced->id || !g_str_equal(value, "TRUE"))
                return;
        if (deadline == 0)
                deadline = usec_add(clock_realtime(), PREEMPTION_NOTICE);
        boot_text(boot);
        what = g_strdup_printf("preempted/%s", boot);
        id = id_of(watch, what);
        announce(watch, id, CLOUD_EVENT_INTERRUPT, CLOUD_SEVERITY_CRITICAL, deadline, "action", "preempt");
}

static const Kind kinds[WATCH_COUNT] = {
        [WATCH_MAINTENANCE] = { GCP_METADATA "instance/maintenance-event", read_maintenance,
                                tell_maintenance_again },
        [WATCH_PREEMPTION] = { GCP_METADATA "instance/preempted", read_preemption, NULL },
};

static const char *take_value(Watch *watch, const char *text, const HttpReply *reply) {
        const char *etag = http_reply_header(reply, "ETag");
        g_autofree char *value = parse_notice(text);

        if (!value)
                return "what is no notice was answered";
        g_free(watch->etag);
        watch->etag = parse_is_etag(etag) ? g_strdup(etag) : NULL;
        if (g_strcmp0(value, watch->announced->value) != 0) {
                g_free(watch->announced->value);
                watch->announced->value = g_steal_pointer(&value);
                watch->kind->read(watch, watch->announced->value);
        } else if (watch->kind->tell_again)
                watch->kind->tell_again(watch);
        return NULL;
}

static void on_answer(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        Watch *watch = userdata;

        if (outcome == METADATA_FOUND)
                cloud_watch_answered(watch->round, take_value(watch, text, reply));
        else if (reply && reply->problem == HTTP_ANSWERED && reply->status == 503)
                /* The service's word for "restarting", not for a fault. */
                cloud_watch_put_off(watch->round);
        else
                cloud_watch_answered(watch->round,
                                     outcome == METADATA_ABSENT ? "the metadata service knows none" : text);
}

static int begin(Watch *watch);

static void ask(void *userdata) {
        Watch *watch = userdata;
        Notices *notices = watch->notices;
        Watch *preemption = &notices->watches[WATCH_PREEMPTION];
        int64_t seconds = snooze_plugin_instance_get_integer(notices->gcp->cloud.instance, "wait_seconds");
        g_autofree char *path =
                g_strdup_printf("%s?wait_for_change=true&timeout_sec=%" G_GINT64_FORMAT "&last_etag=%s",
                                watch->kind->path, seconds, watch->etag ?: "0");
        /* The service itself ends the wait; some seconds more tell one that is gone. The next question is the second
         * attempt. */
        int r = metadata_ask(notices->gcp->cloud.metadata,
                             &(const MetadataQuestion){
                                     .path = path, .attempts = 1, .timeout = (uint64_t) (seconds + 5) * USEC_PER_SEC },
                             on_answer, watch);

        if (r < 0)
                on_answer(METADATA_FAILED, g_strerror(-r), NULL, watch);
        /* Only now it is known whether this is a Spot instance. */
        if (notices->gcp->identity->spot && !preemption->round && begin(preemption) < 0)
                snooze_plugin_log(LOG_WARNING, "Preemption cannot be watched for");
}

static int begin(Watch *watch) {
        return cloud_watch_new(&watch->notices->gcp->cloud, clock_pause(PAUSE), ask, watch, &watch->round);
}

int notices_watch(void *userdata) {
        Gcp *gcp = userdata;
        Notices *notices = g_new0(Notices, 1);
        int r;

        gcp->notices = notices;
        notices->gcp = gcp;
        notices->gpu = has_gpu(gcp->cloud.root);
        for (Watched i = 0; i < WATCH_COUNT; i++) {
                notices->watches[i].notices = notices;
                notices->watches[i].kind = &kinds[i];
                notices->watches[i].announced = &gcp->announced[i];
        }
        r = begin(&notices->watches[WATCH_MAINTENANCE]);
        if (r < 0)
                notices_end(gcp);
        return r;
}

void notices_end(void *userdata) {
        Gcp *gcp = userdata;
        Notices *notices = g_steal_pointer(&gcp->notices);

        for (Watched i = 0; i < WATCH_COUNT; i++) {
                Watch *watch = &notices->watches[i];

                metadata_forget(gcp->cloud.metadata, watch);
                cloud_watch_free(watch->round);
                g_free(watch->etag);
        }
        g_free(notices);
}

void announced_clear(Announced *announced) {
        g_clear_pointer(&announced->value, g_free);
        g_clear_pointer(&announced->id, g_free);
}

/* {"value": "MIGRATE_ON_HOST_MAINTENANCE", "id": "…", "deadline": …, "preempted": {"boot": "…", "deadline": …}}: for
 * the next process, which tells both again, by the same id and for the same time: to the daemon that is no news. */
int gcp_export_state(SnoozePluginCall *call, void *userdata) {
        const Gcp *gcp = userdata;
        const Announced *maintenance = &gcp->announced[WATCH_MAINTENANCE],
                        *preemption = &gcp->announced[WATCH_PREEMPTION];
        g_autoptr(JsonObject) state = json_object_new();
        g_autofree char *text = NULL;

        if (maintenance->id) {
                json_object_set_string_member(state, "value", maintenance->value);
                json_object_set_string_member(state, "id", maintenance->id);
                json_object_set_int_member(state, "deadline", (gint64) maintenance->deadline);
        }
        if (preemption->deadline > 0) {
                JsonObject *preempted = json_object_new();
                char boot[SD_ID128_STRING_MAX];

                boot_text(boot);
                json_object_set_string_member(preempted, "boot", boot);
                json_object_set_int_member(preempted, "deadline", (gint64) preemption->deadline);
                json_object_set_object_member(state, "preempted", preempted);
        }
        text = json_object_text(state);
        return snooze_plugin_call_set_state(call, STATE_VERSION, text, strlen(text));
}

/* Of this boot: what was taken and came back can be taken again. */
static void import_preemption(Gcp *gcp, JsonObject *preempted) {
        gint64 deadline = preempted ? json_get_int(preempted, "deadline", 0) : 0;
        Announced *preemption = &gcp->announced[WATCH_PREEMPTION];
        char boot[SD_ID128_STRING_MAX];

        boot_text(boot);
        if (deadline > 0 && preemption->deadline == 0 && g_str_equal(json_get_string(preempted, "boot", ""), boot))
                preemption->deadline = (uint64_t) deadline;
}

/* What is of another time is of another announcement, though the value may be the same. */
int gcp_import_state(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, void *userdata) {
        Gcp *gcp = userdata;
        Announced *maintenance = &gcp->announced[WATCH_MAINTENANCE];
        g_autoptr(JsonNode) node =
                version == STATE_VERSION && size > 0 ? json_text_parse("state", data, (gssize) size, NULL) : NULL;
        JsonObject *state = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
        g_autofree char *value = state ? parse_notice(json_get_string(state, "value", "")) : NULL;
        const char *id = state ? json_get_string(state, "id", "") : "";
        gint64 deadline = state ? json_get_int(state, "deadline", 0) : 0;

        if (!state)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "state: expected an object, version %u", STATE_VERSION);
        import_preemption(gcp, json_get_object(state, "preempted"));
        if (maintenance->value || !value || !*id || strlen(id) > CLOUD_EVENT_ID_MAX || deadline < 0 ||
            (uint64_t) deadline < clock_realtime())
                return 0;
        maintenance->value = g_steal_pointer(&value);
        maintenance->id = g_strdup(id);
        maintenance->deadline = (uint64_t) deadline;
        return 0;
}
