/* SPDX-License-Identifier: Apache-2.0 */

#include "util/duration.h"
