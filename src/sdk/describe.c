/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "sdk/instance.h"

static const char *table_problem(const SnoozePlugin *plugin) {
        if (!plugin_id_valid(plugin->id))
                return "the id has to be " PLUGIN_ID_EXPECTED;
        if (!plugin->version)
                return "the version is missing";
        if (!plugin->supported_events != !plugin->handle_event)
                return "supported_events and handle_event belong together";
        if (plugin->stop_instance &&
            !(plugin->provider_name && plugin->stop_effect && plugin->detect && plugin->get_instance_info))
                return "a provider needs provider_name, stop_effect, detect and get_instance_info";
        if (!plugin->export_state != !plugin->import_state)
                return "export_state and import_state belong together";
        if (!plugin->methods != !plugin->handle_request)
                return "methods and handle_request belong together";
        if (!plugin->watch != !plugin->acknowledge)
                return "watch and acknowledge belong together";
        if (plugin->process_stream && !plugin->process_data)
                return "process_stream needs process_data";
        return NULL;
}

char *plugin_problem(const SnoozePlugin *plugin) {
        const char *problem = table_problem(plugin);

        if (problem)
                return strdup(problem);
        return plugin->settings ? settings_problem(plugin->settings) : NULL;
}

static void print_string(const char *text) {
        putchar('"');
        for (; *text; text++)
                if (*text == '"' || *text == '\\')
                        printf("\\%c", *text);
                else if ((unsigned char) *text < 0x20)
                        printf("\\u%04x", (unsigned) (unsigned char) *text);
                else
                        putchar(*text);
        putchar('"');
}

static void print_list(const char *name, const char *const *list) {
        printf(", \"%s\": [", name);
        for (const char *const *p = list; p && *p; p++) {
                if (p != list)
                        fputs(", ", stdout);
                print_string(*p);
        }
        putchar(']');
}

static void print_default(const SnoozePluginSetting *setting) {
        const char *text = setting->default_value;
        size_t n;

        switch (setting->type) {
        case SNOOZE_PLUGIN_STRING:
                print_string(text);
                break;
        case SNOOZE_PLUGIN_LIST:
                putchar('[');
                for (; *text; text += n + (text[n] == ',')) {
                        _cleanup_free_ char *element = NULL;

                        n = strcspn(text, ",");
                        element = strndup(text, n);
                        print_string(element ?: "");
                        fputs(text[n] ? ", " : "", stdout);
                }
                putchar(']');
                break;
        default:
                /* Checked to be written as JSON writes it. */
                fputs(text, stdout);
        }
}

static void print_settings(const SnoozePluginSetting *settings) {
        static const char *const types[] = {
                [SNOOZE_PLUGIN_STRING] = "string", [SNOOZE_PLUGIN_INTEGER] = "integer",
                [SNOOZE_PLUGIN_NUMBER] = "number", [SNOOZE_PLUGIN_BOOLEAN] = "boolean",
                [SNOOZE_PLUGIN_LIST] = "list",
        };

        fputs(", \"settings\": {", stdout);
        for (const SnoozePluginSetting *s = settings; s && s->name; s++) {
                fputs(s != settings ? ", " : "", stdout);
                print_string(s->name);
                printf(": {\"type\": \"%s\"", types[s->type]);
                if (s->minimum != 0 || s->maximum != 0)
                        printf(", \"minimum\": %.17g, \"maximum\": %.17g", s->minimum, s->maximum);
                if (s->constraints) {
                        fputs(", \"constraints\": ", stdout);
                        print_string(s->constraints);
                }
                if (s->default_value) {
                        fputs(", \"default\": ", stdout);
                        print_default(s);
                }
                if (s->required)
                        fputs(", \"required\": true", stdout);
                putchar('}');
        }
        putchar('}');
}

void plugin_describe(const SnoozePlugin *plugin) {
        const char *contracts[CONTRACTS_MAX];

        contracts_of(plugin, contracts);
        fputs("{\"name\": ", stdout);
        print_string(plugin->id);
        fputs(", \"version\": ", stdout);
        print_string(plugin->version);
        printf(", \"api\": %u", SNOOZE_PLUGIN_API);
        print_list("contracts", contracts);
        print_list("events", plugin->supported_events);
        print_list("methods", plugin->methods);
        print_settings(plugin->settings);
        puts("}");
}
