/* SPDX-License-Identifier: Apache-2.0 */

/* Which instance this is. The identity document names it; whether it is a Spot instance and the domain of the APIs
 * stand beside. */

#include "aws.h"

static char *take_document(MetadataOutcome outcome, const char *text, const void *provider, void *identity) {
        const Aws *aws = provider;

        if (outcome != METADATA_FOUND)
                return g_strdup_printf("The metadata service has no identity document%s%s", *text ? ": " : "", text);
        return parse_identity_document(text, cloud_setting(&aws->cloud, "region"), identity);
}

static char *take_lifecycle(MetadataOutcome outcome, const char *text, const void *provider, void *data) {
        Identity *identity = data;

        if (outcome == METADATA_FAILED)
                return g_strdup(text);
        /* scheduled instances, capacity blocks and what comes next are no Spot instances. */
        identity->lifecycle = g_strdup(g_str_equal(text, "spot") ? "spot" : "on-demand");
        return NULL;
}

static char *take_domain(MetadataOutcome outcome, const char *text, const void *provider, void *data) {
        const char *domain = outcome == METADATA_FOUND ? text : "amazonaws.com";
        Identity *identity = data;
        const Aws *aws = provider;

        if (outcome == METADATA_FAILED)
                return g_strdup(text);
        if (parse_is_domain(domain))
                identity->domain = g_strdup(domain);
        else if (!cloud_setting(&aws->cloud, "endpoint_url"))
                return g_strdup_printf("The metadata service names a domain that is none of Amazon's "
                                       "(services/domain)%s%s: with endpoint_url the "
                                       "configuration says who is asked",
                                       parse_is_host_part(domain) ? ": " : "",
                                       parse_is_host_part(domain) ? domain : "");
        return NULL;
}

const CloudQuestion identity_questions[] = {
        { "/latest/dynamic/instance-identity/document", take_document },
        { "/latest/meta-data/instance-life-cycle", take_lifecycle },
        { "/latest/meta-data/services/domain", take_domain },
        {},
};

void identity_know(void *userdata, void *identity) {
        Aws *aws = userdata;

        g_clear_pointer(&aws->identity, identity_free);
        aws->identity = identity;
}

const char *identity_id(const void *userdata) {
        const Aws *aws = userdata;

        return aws->identity ? aws->identity->instance_id : NULL;
}

int identity_check_id(SnoozePluginCall *call, const char *instance_id) {
        if (parse_is_instance_id(instance_id))
                return 0;
        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                       "instance_id: expected i- and hexadecimal digits, not \"%s\"", instance_id);
}
