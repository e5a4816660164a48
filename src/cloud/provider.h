/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the provider of every cloud has, and does in the same way: it looks at the firmware before it asks anybody,
 * takes a configuration as a whole, asks the metadata service which machine this is and for the right to ask more, and
 * watches what the cloud announces. What a cloud does in its own way is its CloudKind.
 *
 * A provider's own structure begins with a CloudProvider, and is the userdata of its table, the provider of its jobs,
 * and the void * of every function here. */

#include <glib.h>
#include <snooze/plugin.h>

#include "cloud/machine.h"
#include "cloud/metadata.h"
#include "http/http.h"

typedef struct CloudProvider CloudProvider;
typedef struct CloudJobs CloudJobs;
typedef struct CloudInquiry CloudInquiry;
struct CloudApi;

typedef enum CloudCredentials {
        CLOUD_CREDENTIALS_NONE,
        CLOUD_CREDENTIALS_OLD, /* they end soon, or ended by a clock that may be wrong */
        CLOUD_CREDENTIALS_FRESH,
} CloudCredentials;

/* One of the questions whose answers say which machine this is. */
typedef struct CloudQuestion {
        const char *path;
        /* Puts the answer into the identity. Returns NULL, or what is wrong with it, which the caller frees. */
        char *(*take)(MetadataOutcome outcome, const char *text, const void *provider, void *identity);
} CloudQuestion;

typedef struct CloudKind {
        const char *cloud; /* as machine_detect() names it, and the plugin's id: "aws" */
        const char *owner; /* whose announcements they are, for people: "AWS" */
        const MetadataRules *rules;
        const struct CloudApi *api;
        unsigned actions; /* CLOUD_ACTION_MASK()s of what StopInstance can do */

        /* Which machine this is. The identity is what the provider makes of all answers, behind the last of which it
         * is handed to know() if nothing is wrong with any, and else to identity_free(). */
        const CloudQuestion *questions; /* ends with an empty one */
        size_t identity_size;
        void (*identity_free)(void *identity);
        void (*know)(void *provider, void *identity);
        const char *(*identity)(const void *provider); /* the machine's id in its cloud; NULL: not known yet */

        /* By which right it asks. ask_credentials begins, and cloud_jobs_answered() says that it is done, at once or
         * later. */
        CloudCredentials (*credentials)(const void *provider);
        void (*ask_credentials)(void *provider);
        void (*drop_credentials)(void *provider);

        size_t extra_size; /* of what the provider hangs on to each job (CloudJob.extra), zeroed */
        void (*clear_extra)(void *extra);

        /* 0, or what the call fails with. Never asked about "", this machine. */
        int (*check_instance_id)(SnoozePluginCall *call, const char *instance_id);

        /* A configuration comes into force, before anything is asked by it; may be NULL. */
        void (*configure)(const SnoozePluginDictionary *config, void *provider);
        /* What is known of the machine, and what is being asked beside the metadata service, goes with a
         * configuration. */
        void (*forget)(void *provider);

        /* Begin to watch what the cloud announces, and end it. NULL: it announces nothing. */
        int (*watch)(void *provider);
        void (*unwatch)(void *provider);
        uint64_t poll_pause_max; /* µs, see cloud/poll.h; well below the notice that this cloud gives. 0: the usual */
} CloudKind;

struct CloudProvider {
        const CloudKind *kind;
        SnoozePluginInstance *instance; /* NULL: it has ended, and its calls with it */
        const char *root; /* "" but in tests: the folder that stands for / */
        Machine machine;
        HttpClient *http;
        Metadata *metadata;
        char *ca_file; /* as it was found to be root's, links followed: a link may be another one later; or NULL */
        double poll_seconds; /* of the configuration that is being taken; 0: it has none */
        bool own_service;   /* the configuration names one, and with it says that this is the cloud */
        bool without_token; /* configure() may set it: see metadata_new() */
        CloudInquiry *inquiry;
        CloudJobs *jobs;
        bool to_watch;       /* the daemon asked for announcements */
        bool watching;
};

/* A URL of the configuration, and the settings that all clouds have. */
#define CLOUD_URL "/^https?:\\/\\/[^ ]+$/"
#define CLOUD_METADATA_URL "http://169.254.169.254"
#define CLOUD_SETTINGS                                                                                                \
        { .name = "metadata_url",                                                                                     \
          .type = SNOOZE_PLUGIN_STRING,                                                                               \
          .constraints = CLOUD_URL,                                                                                   \
          .default_value = CLOUD_METADATA_URL },                                                                      \
                { .name = "endpoint_url", .type = SNOOZE_PLUGIN_STRING, .constraints = CLOUD_URL },                   \
                { .name = "proxy_url", .type = SNOOZE_PLUGIN_STRING, .constraints = CLOUD_URL }, {                    \
                .name = "ca_file", .type = SNOOZE_PLUGIN_STRING, .constraints = "/^\\/.+$/"                           \
        }

/* A main(). table: what is the provider's own; size, id, version, userdata and the functions of the life cycle, of
 * Detect and of Watch are filled in. For tests SNOOZE_<ID>_ROOT (SNOOZE_AWS_ROOT) names the folder whose files are
 * looked at instead of this machine's. */
int cloud_main(CloudProvider *cloud, const CloudKind *kind, const SnoozePlugin *table, int argc, char *argv[]);

/* A value of the configuration in force; NULL where there is none. */
const char *cloud_setting(const CloudProvider *cloud, const char *name);
sd_event *cloud_event(const CloudProvider *cloud);
