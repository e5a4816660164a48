/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <string.h>

#include "base/errors.h"
#include "sdk/dictionary.h"
#include "sdk/instance.h"

static const SnoozePluginSetting *setting_find(const SnoozePluginSetting *settings, const char *name) {
        for (; settings->name; settings++)
                if (strcmp(settings->name, name) == 0)
                        return settings;
        return NULL;
}

static const char *expectation(SnoozePluginSettingType type) {
        switch (type) {
        case SNOOZE_PLUGIN_STRING:
                return "a string";
        case SNOOZE_PLUGIN_INTEGER:
                return "an integer";
        case SNOOZE_PLUGIN_NUMBER:
                return "a number";
        case SNOOZE_PLUGIN_BOOLEAN:
                return "a boolean";
        default:
                return "a list of strings";
        }
}

static bool type_fits(const SnoozePluginSetting *setting, const SnoozePluginDictionary *config) {
        DictionaryKind kind = dictionary_kind(config, setting->name);

        switch (setting->type) {
        case SNOOZE_PLUGIN_STRING:
                return kind == DICTIONARY_STRING;
        case SNOOZE_PLUGIN_INTEGER:
                /* A double without a fraction is one, too; two fallbacks tell it from a value that happens to equal one. */
                return snooze_plugin_dictionary_get_int(config, setting->name, 0) ==
                       snooze_plugin_dictionary_get_int(config, setting->name, 1);
        case SNOOZE_PLUGIN_NUMBER:
                return kind == DICTIONARY_INT || kind == DICTIONARY_UINT || kind == DICTIONARY_DOUBLE;
        case SNOOZE_PLUGIN_BOOLEAN:
                return kind == DICTIONARY_BOOL;
        default:
                return kind == DICTIONARY_STRV;
        }
}

static bool range_fits(const SnoozePluginSetting *setting, const SnoozePluginDictionary *config) {
        double value;

        if (setting->type != SNOOZE_PLUGIN_INTEGER && setting->type != SNOOZE_PLUGIN_NUMBER)
                return true;
        if (setting->minimum == 0 && setting->maximum == 0)
                return true;
        value = snooze_plugin_dictionary_get_double(config, setting->name, 0);
        return value >= setting->minimum && value <= setting->maximum;
}

int settings_check(const SnoozePluginSetting *settings, const SnoozePluginDictionary *config, sd_bus_error *error) {
        const SnoozePluginSetting *setting;
        const char *key;

        for (unsigned i = 0; settings && (key = snooze_plugin_dictionary_get_key(config, i)); i++) {
                setting = setting_find(settings, key);
                if (!setting)
                        return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "%s: there is no such setting", key);
                if (!type_fits(setting, config))
                        return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "%s: expected %s", key,
                                                 expectation(setting->type));
                if (!range_fits(setting, config))
                        return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "%s: expected %g to %g, not %g", key,
                                                 setting->minimum, setting->maximum,
                                                 snooze_plugin_dictionary_get_double(config, key, 0));
        }
        return 0;
}
