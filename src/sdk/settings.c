/* SPDX-License-Identifier: Apache-2.0 */

/* The configuration against the table's settings. The daemon checks against the manifest already; here is what the
 * program itself relies on, whoever calls it. */

#include <errno.h>
#include <locale.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "sdk/dictionary.h"
#include "sdk/instance.h"

static const SnoozePluginSetting *setting_find(const SnoozePluginSetting *settings, const char *name) {
        for (; settings && settings->name; settings++)
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
                /* A double without a fraction is one, too; two fallbacks tell it from a value that happens to equal
                 * one. */
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

static bool is_pattern(const char *constraints) {
        size_t n = strlen(constraints);

        return n >= 2 && constraints[0] == '/' && constraints[n - 1] == '/';
}

static bool pattern_compile(const char *constraints, regex_t *ret) {
        _cleanup_free_ char *pattern = strndup(constraints + 1, strlen(constraints) - 2);

        return pattern && regcomp(ret, pattern, REG_EXTENDED | REG_NOSUB) == 0;
}

static bool is_choice(const char *choices, const char *text) {
        size_t n, length = strlen(text);

        for (; *choices; choices += n + (choices[n] == '|')) {
                n = strcspn(choices, "|");
                if (n == length && strncmp(choices, text, n) == 0)
                        return true;
        }
        return false;
}

static bool text_fits(const char *constraints, const char *text) {
        regex_t regex;
        bool fits;

        if (!is_pattern(constraints))
                return is_choice(constraints, text);
        if (!pattern_compile(constraints, &regex))
                return false;
        fits = regexec(&regex, text, 0, NULL, 0) == 0;
        regfree(&regex);
        return fits;
}

static bool constraints_fit(const SnoozePluginSetting *setting, const SnoozePluginDictionary *config) {
        const char *const *list;

        if (!setting->constraints)
                return true;
        if (setting->type == SNOOZE_PLUGIN_STRING)
                return text_fits(setting->constraints, snooze_plugin_dictionary_get_string(config, setting->name, ""));
        list = snooze_plugin_dictionary_get_strv(config, setting->name, NULL);
        for (; list && *list; list++)
                if (!text_fits(setting->constraints, *list))
                        return false;
        return true;
}

/* "a,b" → a list; no element can have a comma. */
static int set_list(SnoozePluginDictionary *config, const char *name, const char *text) {
        _cleanup_free_ char *copy = strdup(text);
        _cleanup_free_ const char **list = calloc(strlen(text) + 2, sizeof(char *));
        char *position, *element;
        size_t n = 0;

        if (!copy || !list)
                return -ENOMEM;
        for (element = *copy ? strtok_r(copy, ",", &position) : NULL; element;
             element = strtok_r(NULL, ",", &position))
                list[n++] = element;
        return snooze_plugin_dictionary_set_strv(config, name, list);
}

/* As JSON writes it, whatever the locale of the plugin. */
static int set_number(SnoozePluginDictionary *config, const char *name, const char *text) {
        locale_t locale = newlocale(LC_ALL_MASK, "C", NULL);
        double value;
        char *end;

        if (!locale)
                return -ENOMEM;
        value = strtod_l(text, &end, locale);
        freelocale(locale);
        if (end == text || *end || strspn(text, "-0123456789.eE+") != strlen(text))
                return -EINVAL;
        return snooze_plugin_dictionary_set_double(config, name, value);
}

static int set_integer(SnoozePluginDictionary *config, const char *name, const char *text) {
        long long value;
        char *end;

        errno = 0;
        value = strtoll(text, &end, 10);
        if (errno != 0 || end == text || *end || strspn(text, "-0123456789") != strlen(text))
                return -EINVAL;
        return snooze_plugin_dictionary_set_int(config, name, value);
}

static int set_default(const SnoozePluginSetting *setting, SnoozePluginDictionary *config) {
        const char *text = setting->default_value;

        switch (setting->type) {
        case SNOOZE_PLUGIN_STRING:
                return snooze_plugin_dictionary_set_string(config, setting->name, text);
        case SNOOZE_PLUGIN_INTEGER:
                return set_integer(config, setting->name, text);
        case SNOOZE_PLUGIN_NUMBER:
                return set_number(config, setting->name, text);
        case SNOOZE_PLUGIN_BOOLEAN:
                if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
                        return -EINVAL;
                return snooze_plugin_dictionary_set_bool(config, setting->name, text[0] == 't');
        default:
                return set_list(config, setting->name, text);
        }
}

static int fill(const SnoozePluginSetting *settings, SnoozePluginDictionary *config, sd_bus_error *error) {
        int r;

        for (const SnoozePluginSetting *s = settings; s && s->name; s++) {
                if (snooze_plugin_dictionary_has(config, s->name))
                        continue;
                if (s->default_value) {
                        r = set_default(s, config);
                        if (r < 0)
                                return r;
                } else if (s->required)
                        return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "%s: is required: expected %s",
                                                 s->name, expectation(s->type));
        }
        return 0;
}

static int check(const SnoozePluginSetting *setting, const SnoozePluginDictionary *config, sd_bus_error *error) {
        const char *key = setting->name;

        if (!type_fits(setting, config))
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "%s: expected %s", key,
                                         expectation(setting->type));
        if (!range_fits(setting, config))
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "%s: expected %g to %g, not %g", key,
                                         setting->minimum, setting->maximum,
                                         snooze_plugin_dictionary_get_double(config, key, 0));
        /* The value is not shown: it may be a secret. */
        if (!constraints_fit(setting, config))
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "%s: expected %s within %s", key,
                                         expectation(setting->type), setting->constraints);
        return 0;
}

int settings_apply(const SnoozePluginSetting *settings, SnoozePluginDictionary *config, sd_bus_error *error) {
        const SnoozePluginSetting *setting;
        const char *key;
        int r;

        for (unsigned i = 0; settings && (key = snooze_plugin_dictionary_get_key(config, i)); i++) {
                setting = setting_find(settings, key);
                if (!setting)
                        return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "%s: there is no such setting", key);
                r = check(setting, config, error);
                if (r < 0)
                        return r;
        }
        return fill(settings, config, error);
}

static char *problem(const SnoozePluginSetting *setting, const char *what) {
        char *text;

        return asprintf(&text, "setting %s: %s", setting->name, what) < 0 ? strdup(what) : text;
}

static bool default_fits(const SnoozePluginSetting *setting) {
        _cleanup_(dictionary_freep) SnoozePluginDictionary *config = dictionary_new();
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;

        return config && set_default(setting, config) >= 0 && check(setting, config, &error) >= 0;
}

char *settings_problem(const SnoozePluginSetting *settings) {
        regex_t regex;

        for (const SnoozePluginSetting *s = settings; s->name; s++) {
                if (s->constraints && s->type != SNOOZE_PLUGIN_STRING && s->type != SNOOZE_PLUGIN_LIST)
                        return problem(s, "constraints are for strings and lists");
                if (s->constraints && is_pattern(s->constraints)) {
                        if (!pattern_compile(s->constraints, &regex))
                                return problem(s, "its pattern is no POSIX extended regular expression");
                        regfree(&regex);
                }
                if (s->default_value && !default_fits(s))
                        return problem(s, "its default is not among its values");
        }
        return NULL;
}

const char *snooze_plugin_instance_get_string(SnoozePluginInstance *instance, const char *name) {
        return snooze_plugin_dictionary_get_string(instance->config, name, NULL);
}

int64_t snooze_plugin_instance_get_integer(SnoozePluginInstance *instance, const char *name) {
        return snooze_plugin_dictionary_get_int(instance->config, name, 0);
}

double snooze_plugin_instance_get_number(SnoozePluginInstance *instance, const char *name) {
        return snooze_plugin_dictionary_get_double(instance->config, name, 0);
}

bool snooze_plugin_instance_get_boolean(SnoozePluginInstance *instance, const char *name) {
        return snooze_plugin_dictionary_get_bool(instance->config, name, false);
}

const char *const *snooze_plugin_instance_get_list(SnoozePluginInstance *instance, const char *name) {
        return snooze_plugin_dictionary_get_strv(instance->config, name, NULL);
}
