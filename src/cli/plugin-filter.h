/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What `plugin list` and `plugin search` are narrowed by. */

#include "cli/cli.h"

typedef struct PluginFilter {
        char *capability, *category, *author, *tag;
} PluginFilter;

void plugin_filter_clear(PluginFilter *filter);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PluginFilter, plugin_filter_clear)

/* The options of a verb that has these and no others. */
#define PLUGIN_FILTER_ENTRIES(filter)                                                                                \
        {                                                                                                            \
                { "capability", 0, 0, G_OPTION_ARG_STRING, &(filter).capability,                                     \
                  "What it serves: IdleCheck, EventHandler, …", "CONTRACT" },                                        \
                { "category", 0, 0, G_OPTION_ARG_STRING, &(filter).category, "Of this category", "CATEGORY" },       \
                { "author", 0, 0, G_OPTION_ARG_STRING, &(filter).author, "Of this author", "AUTHOR" },               \
                { "tag", 0, 0, G_OPTION_ARG_STRING, &(filter).tag, "With this tag", "TAG" },                         \
                { NULL },                                                                                            \
        }

/* FALSE, once said: no plugin can be of this capability, and a list of none would look like an answer. */
gboolean plugin_filter_check(const PluginFilter *filter, const Verb *verb);

/* None of them was given. */
gboolean plugin_filter_empty(const PluginFilter *filter);

/* Those that fit, as the daemon finds them: aa{sv}. NULL with error. */
GVariant *plugin_filter_search(Cli *cli, const PluginFilter *filter, const char *query, GError **error);
