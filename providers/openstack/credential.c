/* SPDX-License-Identifier: Apache-2.0 */

#include "credential.h"

#include <stdlib.h>
#include <string.h>

#include "cloud/text.h"
#include "util/file.h"
#include "util/json.h"

#define SIZE_MAXIMUM (64U * 1024U)

void credential_clear(Credential *credential) {
        g_free(credential->auth_url);
        g_free(credential->region);
        text_erase(credential->body);
        text_erase(credential->secret);
        *credential = (Credential) {};
}

/* "https://keystone.example.com:5000" and ".../v3/" are the same. */
static char *complete_url(const char *text) {
        g_autofree char *url = g_strdup(text);

        while (g_str_has_suffix(url, "/"))
                url[strlen(url) - 1] = '\0';
        return g_str_has_suffix(url, "/v3") ? g_steal_pointer(&url) : g_strconcat(url, "/v3", NULL);
}

static void set_text(JsonObject *object, const char *name, JsonObject *from, const char *member) {
        const char *text = json_get_string(from, member, NULL);

        if (text)
                json_object_set_string_member(object, name, text);
}

static JsonObject *add_object(JsonObject *object, const char *name) {
        JsonObject *inner = json_object_new();

        json_object_set_object_member(object, name, inner);
        return inner;
}

/* Names are names of a domain; ids need none. */
static void add_domain(JsonObject *object, JsonObject *from, const char *id, const char *name) {
        JsonObject *domain;

        if (!json_object_has_member(from, id) && !json_object_has_member(from, name))
                return;
        domain = add_object(object, "domain");
        if (json_object_has_member(from, id))
                set_text(domain, "id", from, id);
        else
                set_text(domain, "name", from, name);
}

static void add_method(JsonObject *identity, const char *method) {
        JsonArray *methods = json_array_new();

        json_array_add_string_element(methods, method);
        json_object_set_array_member(identity, "methods", methods);
}

static void add_application_credential(JsonObject *auth, JsonObject *from) {
        JsonObject *identity = add_object(auth, "identity"), *credential;

        add_method(identity, "application_credential");
        credential = add_object(identity, "application_credential");
        set_text(credential, "id", from, "application_credential_id");
        set_text(credential, "secret", from, "application_credential_secret");
}

static void add_password(JsonObject *auth, JsonObject *from) {
        JsonObject *identity = add_object(auth, "identity"), *user, *project;

        add_method(identity, "password");
        user = add_object(add_object(identity, "password"), "user");
        set_text(user, "id", from, "user_id");
        set_text(user, "name", from, "username");
        set_text(user, "password", from, "password");
        if (!json_object_has_member(from, "user_id"))
                add_domain(user, from, "user_domain_id", "user_domain_name");
        project = add_object(add_object(auth, "scope"), "project");
        set_text(project, "id", from, "project_id");
        if (!json_object_has_member(from, "project_id")) {
                set_text(project, "name", from, "project_name");
                add_domain(project, from, "project_domain_id", "project_domain_name");
        }
}

static gboolean has(JsonObject *object, const char *member) {
        return *json_get_string(object, member, "") != '\0';
}

/* docs.openstack.org/api-ref/identity/v3: "Authenticating with an Application Credential", "Password authentication
 * with scoped authorization" */
static gboolean read_object(JsonObject *object, Credential *ret, char **ret_problem) {
        JsonObject *from = json_get_object(object, "auth") ?: object;
        const char *region = json_get_string(object, "region_name", json_get_string(from, "region_name", NULL));
        g_autoptr(JsonObject) question = json_object_new();
        JsonObject *auth = add_object(question, "auth");

        if (!has(from, "auth_url")) {
                *ret_problem = g_strdup("no auth_url");
                return FALSE;
        }
        if (has(from, "application_credential_id") && has(from, "application_credential_secret"))
                add_application_credential(auth, from);
        else if ((has(from, "username") || has(from, "user_id")) && has(from, "password") &&
                 (has(from, "project_id") || has(from, "project_name")))
                add_password(auth, from);
        else {
                *ret_problem = g_strdup("neither application_credential_id and application_credential_secret, nor "
                                        "username, password and a project");
                return FALSE;
        }
        *ret = (Credential){
                .auth_url = complete_url(json_get_string(from, "auth_url", "")),
                .region = g_strdup(region),
                .body = json_object_text(question),
                .secret = g_strdup(json_get_string(
                        from,
                        has(from, "application_credential_secret") ? "application_credential_secret" : "password",
                        "")),
        };
        return TRUE;
}

gboolean credential_read(Credential *ret, char **ret_problem) {
        const char *directory = getenv("CREDENTIALS_DIRECTORY");
        g_autofree char *path = directory ? g_build_filename(directory, "openstack", NULL) : NULL;
        g_autoptr(JsonNode) node = NULL;
        gsize length = 0;
        char *text = NULL;

        if (!path || !g_file_test(path, G_FILE_TEST_EXISTS))
                return FALSE;
        if (!file_read(path, SIZE_MAXIMUM, &text, &length, NULL)) {
                *ret_problem = g_strdup("cannot be read");
                return FALSE;
        }
        node = json_text_parse("openstack", text, (gssize) length, NULL);
        explicit_bzero(text, length);
        g_free(text);
        if (!node || !JSON_NODE_HOLDS_OBJECT(node)) {
                *ret_problem = g_strdup("no JSON object");
                return FALSE;
        }
        return read_object(json_node_get_object(node), ret, ret_problem);
}
