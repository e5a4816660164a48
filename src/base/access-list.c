/* SPDX-License-Identifier: Apache-2.0 */

#include "base/access-list.h"

#include <errno.h>
#include <stddef.h>
#include <sys/xattr.h>

bool access_list_present(const char *path) {
        /* ENODATA: it has none; ENOTSUP: there are none on this file system. */
        return getxattr(path, "system.posix_acl_access", NULL, 0) >= 0 || (errno != ENODATA && errno != ENOTSUP);
}
