/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What plugins measure: it joins GetMetrics, and gpu_usage the samples, so that the daemon needs no vendor's library.
 */

#include "daemon/decision/decision.h"

typedef struct PluginMetrics PluginMetrics;

PluginMetrics *plugin_metrics_new(void);
void plugin_metrics_free(PluginMetrics *metrics);

/* Those among the details of a vote. */
void plugin_metrics_learn(PluginMetrics *metrics, const Vote *vote);

/* The plugin is gone, and what it measured is absent from now on. */
void plugin_metrics_forget(PluginMetrics *metrics, const char *plugin);

/* Adds gpu. A value that was not renewed for longer than `patience` has failed. */
void plugin_metrics_sample(const PluginMetrics *metrics, uint64_t patience, Sample *sample);

/* Adds all of them, under their names. */
void plugin_metrics_tell(const PluginMetrics *metrics, JsonObject *object);
