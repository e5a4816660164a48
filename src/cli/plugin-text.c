/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/plugin-text.h"

#include <string.h>

#include "cli/output.h"
#include "manifest/permission.h"
#include "util/duration.h"

static gboolean number(GVariant *dictionary, const char *key, guint64 *ret) {
        return dictionary && g_variant_lookup(dictionary, key, "t", ret);
}

static void append(GString *text, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void append(GString *text, const char *format, ...) {
        va_list arguments;

        if (text->len > 0)
                g_string_append(text, ", ");
        va_start(arguments, format);
        g_string_append_vprintf(text, format, arguments);
        va_end(arguments);
}

/* Calls take microseconds to seconds, processor time seconds to hours. */
static char *time_text(guint64 usec) {
        g_autofree char *short_text = NULL;

        if (usec < 1000)
                return g_strdup_printf("%" G_GUINT64_FORMAT " µs", usec);
        if (usec >= 60 * (guint64) G_USEC_PER_SEC)
                return duration_format(usec);
        short_text = text_number((double) usec / (usec < G_USEC_PER_SEC ? 1e3 : 1e6));
        return g_strdup_printf("%s %s", short_text, usec < G_USEC_PER_SEC ? "ms" : "s");
}

char *plugin_permission_text(const char *permission, gboolean approved) {
        g_autofree char *name = text_clean(permission), *words = NULL;
        const char *end = approved ? "approved" : "not approved";

        /* A daemon of another version may know some that this program does not. */
        if (permission_problem(permission))
                return g_strdup_printf("%s: %s", name, end);
        words = permission_words(permission);
        return g_strdup_printf("%s (%s): %s", words, name, end);
}

char *plugin_statistics_text(GVariant *statistics) {
        static const char *const counters[] = { "calls", "errors", "timeouts", "restarts" };
        g_autoptr(GString) text = g_string_new(NULL);
        guint64 value, calls = 0;

        for (gsize i = 0; i < G_N_ELEMENTS(counters); i++)
                if (number(statistics, counters[i], &value))
                        append(text, "%" G_GUINT64_FORMAT " %s", value, counters[i]);
        if (number(statistics, "calls", &calls) && calls > 0 && number(statistics, "p50_usec", &value)) {
                g_autofree char *half = time_text(value), *most = NULL;

                append(text, "half of them within %s", half);
                if (number(statistics, "p99_usec", &value)) {
                        most = time_text(value);
                        append(text, "99 %% within %s", most);
                }
        }
        return g_string_free(g_steal_pointer(&text), FALSE);
}

static char *memory_text(guint64 value) {
        return g_format_size_full(value, G_FORMAT_SIZE_IEC_UNITS);
}

static char *count_text(guint64 value) {
        return g_strdup_printf("%" G_GUINT64_FORMAT, value);
}

/* Microseconds of processor time in each second. */
static char *share_text(guint64 value) {
        g_autofree char *percent = text_number(100 * (double) value / G_USEC_PER_SEC);

        return g_strdup_printf("%s %% of a CPU", percent);
}

char *plugin_resources_text(GVariant *resources) {
        static const struct {
                const char *key;
                char *(*used)(guint64 value);
                char *(*limit)(guint64 value);
        } known[] = {
                { "memory", memory_text, memory_text },
                { "cpu", time_text, share_text },
                { "tasks", count_text, count_text },
        };
        g_autoptr(GString) text = g_string_new(NULL);
        gboolean enforced = TRUE;

        for (gsize i = 0; i < G_N_ELEMENTS(known); i++) {
                g_autoptr(GVariant) resource = g_variant_lookup_value(resources, known[i].key, G_VARIANT_TYPE_VARDICT);
                g_autofree char *used_text = NULL, *limit_text = NULL;
                guint64 used, limit;

                if (number(resource, "used", &used))
                        used_text = known[i].used(used);
                if (number(resource, "limit", &limit) && limit != G_MAXUINT64)
                        limit_text = known[i].limit(limit);
                if (used_text || limit_text)
                        append(text, "%s %s%s%s", known[i].key, used_text ?: "unknown", limit_text ? ", at most " : "",
                               limit_text ?: "");
        }
        if (text->len > 0 && g_variant_lookup(resources, "enforced", "b", &enforced) && !enforced)
                g_string_append(text, " (limits are not enforced here)");
        return g_string_free(g_steal_pointer(&text), FALSE);
}
