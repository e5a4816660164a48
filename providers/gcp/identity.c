/* SPDX-License-Identifier: Apache-2.0 */

/* Which instance this is: what the metadata service says of it, one small document each, because the one with all of
 * it holds start-up scripts, too. */

#include <string.h>

#include "gcp.h"
#include "util/json.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

struct Inquiry {
        Gcp *gcp;
        unsigned open;
        Identity *identity;
        char *failure;
};

void identity_free(Identity *identity) {
        g_free(identity->id);
        g_free(identity->name);
        g_free(identity->zone);
        g_free(identity->project);
        g_free(identity->type);
        g_free(identity->universe);
        g_free(identity);
}

bool text_consists_of(const char *text, const char *characters, size_t most) {
        size_t length = text ? strlen(text) : 0;

        return length > 0 && length <= most && strspn(text, characters) == length;
}

const char *last_part(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

char *zone_region(const char *zone) {
        const char *dash = strrchr(zone, '-');

        return dash ? g_strndup(zone, (size_t) (dash - zone)) : g_strdup(zone);
}

Inquiry *inquiry_free(Inquiry *inquiry) {
        if (!inquiry)
                return NULL;
        g_clear_pointer(&inquiry->identity, identity_free);
        g_free(inquiry->failure);
        g_free(inquiry);
        return NULL;
}

static void conclude(Inquiry *inquiry) {
        Gcp *gcp = inquiry->gcp;

        if (--inquiry->open > 0)
                return;
        gcp->inquiry = NULL;
        if (inquiry->failure)
                cloud_jobs_answered(gcp->jobs, SNOOZE_PLUGIN_ERROR_THROTTLED, inquiry->failure);
        else {
                g_clear_pointer(&gcp->identity, identity_free);
                gcp->identity = g_steal_pointer(&inquiry->identity);
                cloud_jobs_answered(gcp->jobs, NULL, NULL);
        }
        inquiry_free(inquiry);
}

/* ret: where a text of these characters goes. fallback: what an absent one is; NULL: a failure. */
static void take(Inquiry *inquiry, MetadataOutcome outcome, const char *text, const char *what, const char *characters,
                 const char *fallback, char **ret) {
        g_autofree char *trimmed = g_strstrip(g_strdup(last_part(text)));

        if (outcome == METADATA_FOUND && text_consists_of(trimmed, characters, 255))
                *ret = g_steal_pointer(&trimmed);
        else if (outcome == METADATA_ABSENT && fallback)
                *ret = g_strdup(fallback);
        else if (!inquiry->failure)
                inquiry->failure = outcome == METADATA_FAILED
                                           ? g_strdup(text)
                                           : g_strdup_printf("The metadata service names no %s", what);
        conclude(inquiry);
}

static void on_id(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        Inquiry *inquiry = userdata;

        take(inquiry, outcome, text, "instance (instance/id)", DIGITS, NULL, &inquiry->identity->id);
}

static void on_name(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        Inquiry *inquiry = userdata;

        take(inquiry, outcome, text, "instance (instance/name)", LOWER DIGITS "-", NULL, &inquiry->identity->name);
}

static void on_zone(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        Inquiry *inquiry = userdata;

        take(inquiry, outcome, text, "zone (instance/zone)", LOWER DIGITS "-", NULL, &inquiry->identity->zone);
}

static void on_type(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        Inquiry *inquiry = userdata;

        take(inquiry, outcome, text, "machine type (instance/machine-type)", LOWER DIGITS "-", "",
             &inquiry->identity->type);
}

/* Older ids may begin with a domain: "example.com:project". */
static void on_project(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        Inquiry *inquiry = userdata;

        take(inquiry, outcome, text, "project (project/project-id)", LOWER DIGITS "-.:", NULL,
             &inquiry->identity->project);
}

/* Clouds that are run by others than Google have another; google-auth asks the same. */
static void on_universe(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        Inquiry *inquiry = userdata;

        take(inquiry, outcome, text, "domain (universe/universe-domain)", LOWER DIGITS "-.", "googleapis.com",
             &inquiry->identity->universe);
}

static void on_preemptible(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        Inquiry *inquiry = userdata;

        if (outcome == METADATA_FAILED && !inquiry->failure)
                inquiry->failure = g_strdup(text);
        inquiry->identity->spot = g_ascii_strncasecmp(text, "TRUE", 4) == 0;
        conclude(inquiry);
}

/* [{"deviceName": "local-ssd-0", "type": "LOCAL-SSD"}, …]. What cannot be read is not thought to be without: the API
 * refuses a stop that does not say what is to become of local SSDs. */
static void on_disks(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        Inquiry *inquiry = userdata;
        g_autoptr(JsonNode) node = outcome == METADATA_FOUND ? json_text_parse("disks", text, -1, NULL) : NULL;
        JsonArray *disks = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;

        for (guint i = 0; disks && i < json_array_get_length(disks); i++) {
                JsonNode *disk = json_array_get_element(disks, i);

                if (JSON_NODE_HOLDS_OBJECT(disk) &&
                    g_str_equal(json_get_string(json_node_get_object(disk), "type", ""), "LOCAL-SSD"))
                        inquiry->identity->local_ssd = true;
        }
        if (outcome == METADATA_FAILED && !inquiry->failure)
                inquiry->failure = g_strdup(text);
        conclude(inquiry);
}

static void ask(Inquiry *inquiry, const char *path, MetadataDone done) {
        int r = metadata_ask(inquiry->gcp->metadata, &(const MetadataQuestion){ .path = path }, done, inquiry);

        inquiry->open++;
        if (r < 0)
                done(METADATA_FAILED, g_strerror(-r), NULL, inquiry);
}

void identity_ask(void *userdata) {
        Inquiry *inquiry = g_new0(Inquiry, 1);
        Gcp *gcp = userdata;

        gcp->inquiry = inquiry;
        inquiry->gcp = gcp;
        inquiry->identity = g_new0(Identity, 1);
        inquiry->open = 1;
        ask(inquiry, GCP_METADATA "instance/id", on_id);
        ask(inquiry, GCP_METADATA "instance/name", on_name);
        ask(inquiry, GCP_METADATA "instance/zone", on_zone);
        ask(inquiry, GCP_METADATA "instance/machine-type", on_type);
        ask(inquiry, GCP_METADATA "project/project-id", on_project);
        ask(inquiry, GCP_METADATA "universe/universe-domain", on_universe);
        ask(inquiry, GCP_METADATA "instance/scheduling/preemptible", on_preemptible);
        ask(inquiry, GCP_METADATA "instance/disks/?recursive=true", on_disks);
        conclude(inquiry);
}
