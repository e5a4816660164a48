/* SPDX-License-Identifier: Apache-2.0 */

#include "base/journal.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "base/cleanup.h"

#define FIELDS_MAX 24

static int maximum_level = LOG_INFO;
static const char *common_field;

void journal_set_level(int level) {
        maximum_level = level;
}

int journal_get_level(void) {
        return maximum_level;
}

void journal_set_field(const char *field) {
        common_field = field;
}

/* systemd names the device and inode of the stream it gave us in $JOURNAL_STREAM; stderr may since have been
 * redirected, so the variable alone proves nothing (systemd.exec(5)). */
static bool stderr_is_journal(void) {
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat st;

        if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2 || fstat(STDERR_FILENO, &st) < 0)
                return false;
        return (unsigned long long) st.st_dev == device && (unsigned long long) st.st_ino == inode;
}

static void add_field(struct iovec *iov, size_t *n, const char *field) {
        if (*n < FIELDS_MAX)
                iov[(*n)++] = (struct iovec) { .iov_base = (char *) field, .iov_len = strlen(field) };
}

void journal_write(int level, const char *message_id, const char *const *fields, const char *format, ...) {
        _cleanup_free_ char *text = NULL, *message = NULL, *id = NULL;
        char priority[sizeof("PRIORITY=0")];
        struct iovec iov[FIELDS_MAX];
        size_t n = 0;
        va_list ap;
        int r;

        if (level > maximum_level)
                return;

        va_start(ap, format);
        r = vasprintf(&text, format, ap);
        va_end(ap);
        if (r < 0) {
                text = NULL;
                return;
        }

        if (!stderr_is_journal()) {
                fprintf(stderr, "%s\n", text);
                return;
        }

        if (asprintf(&message, "MESSAGE=%s", text) < 0) {
                message = NULL;
                return;
        }
        snprintf(priority, sizeof(priority), "PRIORITY=%d", level & LOG_PRIMASK);
        add_field(iov, &n, message);
        add_field(iov, &n, priority);
        if (message_id) {
                if (asprintf(&id, "MESSAGE_ID=%s", message_id) < 0)
                        id = NULL;
                else
                        add_field(iov, &n, id);
        }
        if (common_field)
                add_field(iov, &n, common_field);
        for (; fields && *fields; fields++)
                add_field(iov, &n, *fields);

        (void) sd_journal_sendv(iov, (int) n);
}
