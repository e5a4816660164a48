/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An instance as EC2 describes it. */

#include "api.h"

/* DescribeInstances of the job's; see parse_instance(). */
void instance_describe(CloudJob *job, CloudCallDone done);
