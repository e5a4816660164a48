/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/decision/decision.h"
