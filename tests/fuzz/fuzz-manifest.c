/* SPDX-License-Identifier: Apache-2.0 */

/* Any text as plugin.json: refused with a reason that names the file, or a manifest that keeps what everybody relies
 * on. */

#include <stdint.h>
#include <string.h>

#include "base/names.h"
#include "manifest/manifest.h"
#include "util/json.h"
#include "util/version-range.h"
#include "util/version.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const Manifest *manifest) {
        g_assert_true(plugin_id_valid(manifest->id));
        g_assert_true(version_valid(manifest->version));
        g_assert_nonnull(manifest->contracts[0]);
        g_assert_nonnull(manifest->schema);
        g_assert_true(*manifest->exec);
        for (guint i = 0; i < manifest->dependencies->len; i++) {
                const ManifestDependency *dependency = g_ptr_array_index(manifest->dependencies, i);

                g_assert_true(plugin_id_valid(dependency->name));
                g_assert_true(version_range_valid(dependency->version));
                g_assert_cmpstr(dependency->name, !=, manifest->id);
        }
        for (size_t i = 0; i < TIMEOUT_COUNT; i++)
                g_assert_cmpuint(manifest->timeouts[i], >, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Manifest) manifest = NULL;
        g_autoptr(JsonNode) root = json_text_parse("plugin.json", (const char *) data, (gssize) size, &error);

        if (root)
                manifest = manifest_parse("plugin.json", NULL, root, &error);
        g_assert_true(manifest ? !error : error && strstr(error->message, "plugin.json"));
        if (manifest)
                check(manifest);
        return 0;
}
