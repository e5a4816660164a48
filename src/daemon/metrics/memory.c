/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/metrics/memory.h"

#include <errno.h>

#include "daemon/metrics/scan.h"

int memory_parse(const char *text, size_t length, double *ret_percent) {
        const char *end = text + length;
        uint64_t total = 0, available = 0;
        bool has_available = false;

        for (const char *p = text; p < end && (total == 0 || !has_available); p = scan_next_line(p, end)) {
                const char *number = p;

                if (scan_literal(&number, "MemTotal:")) {
                        if (!scan_number(&number, &total))
                                return -EBADMSG;
                } else if (scan_literal(&number, "MemAvailable:")) {
                        if (!scan_number(&number, &available))
                                return -EBADMSG;
                        has_available = true;
                }
        }
        if (total == 0 || !has_available || available > total)
                return -EBADMSG;
        *ret_percent = 100.0 * (double) (total - available) / (double) total;
        return 0;
}
