/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Files that somebody else may write by an access control list. */

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include <glib.h>

/* Lets user 2 write it, by the list alone: version 2 of linux/posix_acl_xattr.h, little-endian. FALSE where the file
 * system has no lists. */
static inline gboolean access_list_give(const char *path) {
        static const struct {
                guint16 tag, permissions;
                guint32 id;
        } entries[] = {
                { 0x01, 7, G_MAXUINT32 }, /* the owner */
                { 0x02, 7, 2 },           /* a user */
                { 0x04, 5, G_MAXUINT32 }, /* the group */
                { 0x10, 7, G_MAXUINT32 }, /* the mask */
                { 0x20, 5, G_MAXUINT32 }, /* everybody */
        };
        guchar list[4 + G_N_ELEMENTS(entries) * 8] = { 2 };
        int r;

        for (gsize i = 0; i < G_N_ELEMENTS(entries); i++) {
                const guint16 tag = GUINT16_TO_LE(entries[i].tag), permissions = GUINT16_TO_LE(entries[i].permissions);
                const guint32 id = GUINT32_TO_LE(entries[i].id);

                memcpy(list + 4 + 8 * i, &tag, 2);
                memcpy(list + 6 + 8 * i, &permissions, 2);
                memcpy(list + 8 + 8 * i, &id, 4);
        }
        r = setxattr(path, "system.posix_acl_access", list, sizeof(list), 0);
        g_assert_true(r == 0 || errno == ENOTSUP);
        return r == 0;
}
