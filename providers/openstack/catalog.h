/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where Nova is: its endpoint out of a token's catalog. */

#include <stdbool.h>

#include <json-glib/json-glib.h>

/* https, or http to this very machine: what a secret may be sent to. */
bool catalog_is_safe_url(const char *url);

/* Of the wanted interface ("public") and region (NULL: there is but one). NULL: none, and ret_problem says why. */
char *catalog_find_compute(JsonArray *catalog, const char *interface, const char *region, char **ret_region,
                           char **ret_problem);

/* "https://nova.example.com:8774/" → ".../v2.1"; what has a version, as catalogs of clouds do, loses a slash at its
 * end. */
char *catalog_complete_url(const char *url);
