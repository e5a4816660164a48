/* SPDX-License-Identifier: Apache-2.0 */

#include "cloud/inquiry.h"

#include "cloud/job.h"

/* One question under way. */
typedef struct Part {
        CloudInquiry *inquiry;
        const CloudQuestion *question;
} Part;

struct CloudInquiry {
        CloudProvider *cloud;
        Part *parts;
        unsigned open;
        void *identity;
        char *failure;
};

CloudInquiry *cloud_inquiry_free(CloudInquiry *inquiry) {
        if (!inquiry)
                return NULL;
        if (inquiry->identity)
                inquiry->cloud->kind->identity_free(inquiry->identity);
        g_free(inquiry->failure);
        g_free(inquiry->parts);
        g_free(inquiry);
        return NULL;
}

static void conclude(CloudInquiry *inquiry) {
        CloudProvider *cloud = inquiry->cloud;

        if (--inquiry->open > 0)
                return;
        cloud->inquiry = NULL;
        if (!inquiry->failure)
                cloud->kind->know(cloud, g_steal_pointer(&inquiry->identity));
        cloud_jobs_answered(cloud, inquiry->failure ? SNOOZE_PLUGIN_ERROR_THROTTLED : NULL, inquiry->failure);
        cloud_inquiry_free(inquiry);
}

static void on_answer(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        const Part *part = userdata;
        CloudInquiry *inquiry = part->inquiry;
        g_autofree char *failure = part->question->take(outcome, text, inquiry->cloud, inquiry->identity);

        if (!inquiry->failure)
                inquiry->failure = g_steal_pointer(&failure);
        conclude(inquiry);
}

static void ask(Part *part) {
        int r = metadata_ask(part->inquiry->cloud->metadata, &(const MetadataQuestion){ .path = part->question->path },
                             on_answer, part);

        if (r < 0)
                on_answer(METADATA_FAILED, g_strerror(-r), NULL, part);
}

void cloud_inquiry_begin(CloudProvider *cloud) {
        const CloudQuestion *questions = cloud->kind->questions;
        CloudInquiry *inquiry = g_new0(CloudInquiry, 1);
        unsigned n = 0;

        while (questions[n].path)
                n++;
        cloud->inquiry = inquiry;
        inquiry->cloud = cloud;
        inquiry->identity = g_malloc0(cloud->kind->identity_size);
        inquiry->parts = g_new0(Part, n);
        inquiry->open = n + 1; /* and this function, so that none is the last before all are asked */
        for (unsigned i = 0; i < n; i++) {
                inquiry->parts[i] = (Part) { inquiry, &questions[i] };
                ask(&inquiry->parts[i]);
        }
        conclude(inquiry);
}
