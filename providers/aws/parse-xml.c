/* SPDX-License-Identifier: Apache-2.0 */

#include "parse.h"

#include <string.h>

#include <libxml/parser.h>

/* Of libxml2, before it reads what a document type declares. No answer of Amazon's has one, and a few entities that
 * name each other are gigabytes of text and minutes of work. */
static void refuse_declarations(void *data, const xmlChar *name, const xmlChar *external, const xmlChar *system) {
        xmlParserCtxt *parser = data;

        parser->wellFormed = 0;
        xmlStopParser(parser);
}

xmlDoc *parse_answer(const HttpReply *http) {
        xmlParserCtxt *parser;
        xmlDoc *document;

        if (http->problem != HTTP_ANSWERED || http->size == 0)
                return NULL;
        parser = xmlNewParserCtxt();
        if (!parser)
                return NULL;
        parser->sax->internalSubset = refuse_declarations;
        document = xmlCtxtReadMemory(parser, http->body, (int) http->size, "answer", NULL,
                                     XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
        xmlFreeParserCtxt(parser);
        return document;
}

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

void failure_clear(Failure *failure) {
        g_free(failure->code);
        g_free(failure->message);
}

/* EC2 says in up to a thousand characters for sts:DecodeAuthorizationMessage, which hardly anybody may call, what it
 * refused. People read what stands before that. */
static void drop_encoded(char *message) {
        char *encoded = message ? strstr(message, "Encoded authorization failure message:") : NULL;

        if (encoded) {
                *encoded = '\0';
                g_strchomp(message);
        }
}

void parse_failure(xmlNode *root, Failure *ret) {
        xmlNode *error = xml_child(xml_child(root, "Errors"), "Error") ?: xml_child(root, "Error");

        *ret = (Failure) { .code = xml_text(error, "Code"), .message = xml_text(error, "Message") };
        drop_encoded(ret->message);
}

xmlNode *parse_instance(xmlNode *root) {
        return xml_child(xml_child(xml_child(xml_child(root, "reservationSet"), "item"), "instancesSet"), "item");
}

char *parse_instance_state(xmlNode *instance, const char *member) {
        return xml_text(xml_child(instance, member), "name");
}
