/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The metadata service asked for all that tells which machine this is (CloudKind.questions), side by side. */

#include "cloud/provider.h"

/* Begins; cloud_jobs_answered() says that it is done, at once or later. The first thing that is wrong with an answer
 * is what is told. */
void cloud_inquiry_begin(CloudProvider *cloud);
/* Its questions must have ended with the metadata. NULL is fine. Returns NULL. */
CloudInquiry *cloud_inquiry_free(CloudInquiry *inquiry);
