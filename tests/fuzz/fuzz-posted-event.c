/* SPDX-License-Identifier: Apache-2.0 */

/* Any bytes as what is posted to the event-endpoint: refused with a sentence, or an event that the daemon takes from
 * it. */

#include <stdint.h>
#include <string.h>

#include "base/clock.h"
#include "base/event-types.h"
#include "plugins/event-endpoint/posted.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW (UINT64_C(1700000000) * USEC_PER_SEC)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autofree char *body = g_strndup((const char *) data, size);
        g_auto(PostedEvent) event = { .id = NULL };
        g_autoptr(GError) error = NULL;

        if (!posted_event_read(body, size, NOW, &event, &error)) {
                g_assert_nonnull(error);
                g_assert_true(g_utf8_validate(error->message, -1, NULL));
                return 0;
        }
        g_assert_no_error(error);
        g_assert_true(g_str_equal(event.type, "custom") || g_str_has_prefix(event.type, "custom."));
        g_assert_nonnull(event_type_find(event.type));
        g_assert_cmpuint(event.severity, <=, POSTED_SEVERITY_MAX);
        g_assert_true(!event.id || posted_id_valid(event.id));
        g_assert_true(event.deadline == 0 ||
                      (event.deadline > NOW && event.deadline <= NOW + (uint64_t) POSTED_AHEAD_MAX));
        return 0;
}
