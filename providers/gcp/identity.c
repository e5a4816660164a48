/* SPDX-License-Identifier: Apache-2.0 */

/* Which instance this is: what the metadata service says of it, one small document each, because the one with all of
 * it holds start-up scripts, too. */

#include "cloud/text.h"
#include "gcp.h"

/* fallback: what an absent text is; NULL: a failure. */
static char *take(MetadataOutcome outcome, const char *text, const char *what, const char *characters,
                  const char *fallback, char **ret) {
        if (outcome == METADATA_FAILED)
                return g_strdup(text);
        if (outcome == METADATA_FOUND)
                *ret = parse_name(text, characters);
        else
                *ret = g_strdup(fallback);
        return *ret ? NULL : g_strdup_printf("The metadata service names no %s", what);
}

static char *take_id(MetadataOutcome outcome, const char *text, const void *provider, void *data) {
        Identity *identity = data;

        return take(outcome, text, "instance (instance/id)", TEXT_DIGITS, NULL, &identity->id);
}

static char *take_instance(MetadataOutcome outcome, const char *text, const void *provider, void *data) {
        Identity *identity = data;

        return take(outcome, text, "instance (instance/name)", TEXT_LOWER TEXT_DIGITS "-", NULL, &identity->name);
}

static char *take_zone(MetadataOutcome outcome, const char *text, const void *provider, void *data) {
        Identity *identity = data;

        return take(outcome, text, "zone (instance/zone)", TEXT_LOWER TEXT_DIGITS "-", NULL, &identity->zone);
}

static char *take_type(MetadataOutcome outcome, const char *text, const void *provider, void *data) {
        Identity *identity = data;

        return take(outcome, text, "machine type (instance/machine-type)", TEXT_LOWER TEXT_DIGITS "-", "",
                    &identity->type);
}

/* Older ids may begin with a domain: "example.com:project". */
static char *take_project(MetadataOutcome outcome, const char *text, const void *provider, void *data) {
        Identity *identity = data;

        return take(outcome, text, "project (project/project-id)", TEXT_LOWER TEXT_DIGITS "-.:", NULL,
                    &identity->project);
}

/* Clouds that are run by others than Google have another; google-auth asks the same. */
static char *take_universe(MetadataOutcome outcome, const char *text, const void *provider, void *data) {
        Identity *identity = data;

        return take(outcome, text, "domain (universe/universe-domain)", TEXT_LOWER TEXT_DIGITS "-.", "googleapis.com",
                    &identity->universe);
}

static char *take_preemptible(MetadataOutcome outcome, const char *text, const void *provider, void *data) {
        Identity *identity = data;

        identity->spot = outcome == METADATA_FOUND && g_ascii_strncasecmp(text, "TRUE", 4) == 0;
        return outcome == METADATA_FAILED ? g_strdup(text) : NULL;
}

/* What cannot be read is not thought to be without: the API refuses a stop that does not say what is to become of
 * local SSDs. */
static char *take_disks(MetadataOutcome outcome, const char *text, const void *provider, void *data) {
        Identity *identity = data;

        identity->local_ssd = outcome == METADATA_FOUND && parse_has_local_ssd(text);
        return outcome == METADATA_FAILED ? g_strdup(text) : NULL;
}

const CloudQuestion identity_questions[] = {
        { GCP_METADATA "instance/id", take_id },
        { GCP_METADATA "instance/name", take_instance },
        { GCP_METADATA "instance/zone", take_zone },
        { GCP_METADATA "instance/machine-type", take_type },
        { GCP_METADATA "project/project-id", take_project },
        { GCP_METADATA "universe/universe-domain", take_universe },
        { GCP_METADATA "instance/scheduling/preemptible", take_preemptible },
        { GCP_METADATA "instance/disks/?recursive=true", take_disks },
        {},
};

void identity_know(void *userdata, void *identity) {
        Gcp *gcp = userdata;

        g_clear_pointer(&gcp->identity, identity_free);
        gcp->identity = identity;
}

const char *identity_id(const void *userdata) {
        const Gcp *gcp = userdata;

        return gcp->identity ? gcp->identity->id : NULL;
}
