/* SPDX-License-Identifier: Apache-2.0 */

#include "catalog.h"

#include <string.h>

#include "util/json.h"

static bool is_loopback(const char *host) {
        g_autoptr(GInetAddress) address = g_inet_address_new_from_string(host);

        return address ? g_inet_address_get_is_loopback(address) : g_ascii_strcasecmp(host, "localhost") == 0;
}

bool catalog_is_safe_url(const char *url) {
        g_autoptr(GUri) uri = g_uri_parse(url, G_URI_FLAGS_NONE, NULL);
        const char *host = uri ? g_uri_get_host(uri) : NULL;

        if (!host || !*host)
                return false;
        if (g_ascii_strcasecmp(g_uri_get_scheme(uri), "https") == 0)
                return true;
        return g_ascii_strcasecmp(g_uri_get_scheme(uri), "http") == 0 && is_loopback(host);
}

char *catalog_complete_url(const char *text) {
        g_autofree char *url = g_strdup(text);

        while (g_str_has_suffix(url, "/"))
                url[strlen(url) - 1] = '\0';
        return g_regex_match_simple("/v2(\\.[0-9]+)?(/|$)", url, 0, 0) ? g_steal_pointer(&url)
                                                                       : g_strconcat(url, "/v2.1", NULL);
}

typedef struct Search {
        const char *interface, *region;
        JsonObject *found;
        GString *others; /* regions of more than one that would do */
        unsigned count;
} Search;

/* region was named region_id's name once, and both are there. */
static const char *region_of(JsonObject *endpoint) {
        return json_get_string(endpoint, "region_id", json_get_string(endpoint, "region", ""));
}

static void look_at_endpoint(Search *search, JsonObject *endpoint) {
        const char *region = region_of(endpoint);

        if (!g_str_equal(json_get_string(endpoint, "interface", ""), search->interface))
                return;
        if (search->region && !g_str_equal(search->region, region))
                return;
        if (search->found && g_str_equal(region_of(search->found), region))
                return;
        if (!search->found)
                search->found = endpoint;
        search->count++;
        g_string_append_printf(search->others, "%s%.60s", search->others->len > 0 ? ", " : "", region);
}

static JsonObject *object_at(JsonArray *array, guint i) {
        JsonNode *node = json_array_get_element(array, i);

        return JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

static void look_at_service(Search *search, JsonObject *service) {
        JsonArray *endpoints = json_get_array(service, "endpoints");

        if (!g_str_equal(json_get_string(service, "type", ""), "compute"))
                return;
        for (guint i = 0; endpoints && i < json_array_get_length(endpoints); i++) {
                JsonObject *endpoint = object_at(endpoints, i);

                if (endpoint)
                        look_at_endpoint(search, endpoint);
        }
}

char *catalog_find_compute(JsonArray *catalog, const char *interface, const char *region, char **ret_region,
                           char **ret_problem) {
        g_autoptr(GString) others = g_string_new(NULL);
        Search search = { .interface = interface, .region = region, .others = others };

        for (guint i = 0; catalog && i < json_array_get_length(catalog); i++) {
                JsonObject *service = object_at(catalog, i);

                if (service)
                        look_at_service(&search, service);
        }
        if (!search.found)
                *ret_problem = g_strdup_printf("The catalog has no compute service with a %s endpoint%s%s", interface,
                                               region ? " in region " : "", region ?: "");
        else if (search.count > 1)
                *ret_problem = g_strdup_printf(
                        "The catalog has the compute service in several regions (%.200s): name one by region",
                        others->str);
        if (*ret_problem)
                return NULL;
        *ret_region = g_strdup(region_of(search.found));
        return catalog_complete_url(json_get_string(search.found, "url", ""));
}
