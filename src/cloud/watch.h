/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Asking the metadata service again and again for what the cloud announces: one round at a time, none before it is
 * known which machine this is; that nothing can be read is told once, and that it can again. */

#include "cloud/provider.h"

typedef struct CloudWatch CloudWatch;

/* Ask now; this machine is known. cloud_watch_answered() says when the round is over. */
typedef void (*CloudWatchAsk)(void *userdata);

/* interval: µs, from the beginning of a round to that of the next. Begins at once. 0 or a negative errno. */
int cloud_watch_new(CloudProvider *cloud, uint64_t interval, CloudWatchAsk ask, void *userdata, CloudWatch **ret);
/* Not from within a step of a job. NULL is fine. Returns NULL. */
CloudWatch *cloud_watch_free(CloudWatch *watch);

/* The round is over. failure: why nothing could be read, for people; NULL: it could. */
void cloud_watch_answered(CloudWatch *watch, const char *failure);
/* Something could be read, so that the service is asked again in time; failure: of the rest. */
void cloud_watch_answered_in_part(CloudWatch *watch, const char *failure);
/* It is over without either: the service asked for a moment. */
void cloud_watch_put_off(CloudWatch *watch);
