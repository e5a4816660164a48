/* SPDX-License-Identifier: Apache-2.0 */

#include "scopes.h"

const char scopes_advice[] =
        "the access scopes of this instance let its service account change nothing: stop it, and give it the scope "
        "cloud-platform (gcloud compute instances set-service-account)";

bool scopes_allow(CloudJob *job) {
        const Gcp *gcp = job->provider;

        if (gcp->credentials->writes)
                return true;
        cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_REFUSED, "Compute Engine: %s", scopes_advice);
        return false;
}
