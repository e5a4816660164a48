/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Who else may write a file. Where it has an access control list, the mode's bits of the group are the most that
 * anybody named in the list has, and not what its group has: root:root 0775 may then be writable for any user. */

#include <stdbool.h>

/* Has the file such a list, beside its mode? true, too, where that cannot be told. Links are followed. */
bool access_list_present(const char *path);
