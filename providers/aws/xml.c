/* SPDX-License-Identifier: Apache-2.0 */

/* The few things that AWS's answers need of libxml2's tree. Name spaces are passed over: each version of the API has another. */

#include <string.h>

#include "api.h"

static xmlNode *first_of(xmlNode *node, const char *name) {
        for (; node; node = node->next)
                if (node->type == XML_ELEMENT_NODE && strcmp((const char *) node->name, name) == 0)
                        return node;
        return NULL;
}

xmlNode *xml_child(xmlNode *node, const char *name) {
        return node ? first_of(node->children, name) : NULL;
}

xmlNode *xml_next(xmlNode *node) {
        return first_of(node->next, (const char *) node->name);
}

char *xml_text(xmlNode *node, const char *name) {
        xmlNode *child = xml_child(node, name);
        xmlChar *content;
        char *text;

        if (!child)
                return NULL;
        content = xmlNodeGetContent(child);
        text = g_strstrip(g_strdup((const char *) content ?: ""));
        xmlFree(content);
        return text;
}
