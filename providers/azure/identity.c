/* SPDX-License-Identifier: Apache-2.0 */

/* Which machine this is: one document of the metadata service names it, its cloud and its scale set
 * (learn.microsoft.com/azure/virtual-machines/instance-metadata-service). */

#include "azure.h"

static char *take_compute(MetadataOutcome outcome, const char *text, const void *provider, void *identity) {
        if (outcome != METADATA_FOUND)
                return g_strdup_printf("The metadata service does not say which machine this is%s%s",
                                       *text ? ": " : "", text);
        return parse_compute(text, identity);
}

const CloudQuestion identity_questions[] = {
        { "/metadata/instance/compute?api-version=2021-02-01", take_compute },
        {},
};

void identity_know(void *userdata, void *identity) {
        Azure *azure = userdata;

        g_clear_pointer(&azure->identity, identity_free);
        azure->identity = identity;
}

const char *identity_id(const void *userdata) {
        const Azure *azure = userdata;

        return azure->identity ? azure->identity->resource_id : NULL;
}
