/* SPDX-License-Identifier: Apache-2.0 */

/* Any text as a range of versions: refused, or of one mind about each version, and what stands in it as a lower bound
 * is within. */

#include <stdint.h>
#include <string.h>

#include "util/version-range.h"
#include "util/version.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char *const versions[] = { "0.0.0-0", "0.0.1", "0.3.1", "1.0.0-rc.1",
                                                "1.0.0",   "1.4.2", "2.0.0", "2147483647.0.0" };
        g_autofree char *text = size > 0 ? g_strndup((const char *) data, size) : g_strdup("");
        g_autofree char *doubled = NULL, *both = NULL;

        g_strchomp(text);
        if (version_valid(text)) {
                g_autofree char *tilde = g_strconcat("~", text, NULL), *caret = g_strconcat("^", text, NULL);

                g_assert_true(version_range_has(text, text));
                g_assert_true(version_range_has(tilde, text));
                g_assert_true(version_range_has(caret, text));
        }
        if (!version_range_valid(text))
                return 0;
        doubled = g_strdup_printf("%s || %s", text, text);
        both = g_strdup_printf("%s || *", text);
        for (size_t i = 0; i < G_N_ELEMENTS(versions); i++) {
                gboolean has = version_range_has(text, versions[i]);

                if (version_range_valid(doubled))
                        g_assert_cmpint(version_range_has(doubled, versions[i]), ==, has);
                if (version_range_valid(both))
                        g_assert_true(version_range_has(both, versions[i]));
        }
        return 0;
}
