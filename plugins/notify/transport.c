/* SPDX-License-Identifier: Apache-2.0 */

#include "transport.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "message.h"
#include "run/program.h"
#if HAVE_SMTP
#include "smtp.h"
#endif

typedef enum SendmailKind {
        SENDMAIL_CLIENT,  /* speaks to somebody, with its caller's rights (msmtp) */
        SENDMAIL_POSTFIX, /* hands mail to a program that is setgid */
        SENDMAIL_SET_ID,  /* is that itself (Exim, Sendmail, OpenSMTPD, dma) */
} SendmailKind;

void transport_clear(Transport *transport) {
        g_free(transport->program);
        g_free(transport->domain);
        *transport = (Transport) { .program = NULL };
}

/* Its name, and whoever gave it that, are root's: it gets addresses of one's choice as arguments, and is no
 * interpreter for it. */
static char *sendmail_trusted(const char *path, GError **error) {
        g_autofree char *name = g_path_get_basename(path), *directory = g_path_get_dirname(path), *resolved = NULL;
        char *program = program_trusted(path, program_owner_also(), error);
        struct stat st;

        if (!program)
                return NULL;
        resolved = path_trusted(directory, program_owner_also(), error);
        if (resolved && (!g_str_has_prefix(name, "sendmail") || lstat(path, &st) < 0 ||
                         (st.st_uid != 0 && st.st_uid != program_owner_also()))) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_PERM,
                            "%s: expected a program of root's whose name begins with sendmail", path);
                g_clear_pointer(&resolved, g_free);
        }
        if (!resolved)
                g_clear_pointer(&program, g_free);
        return program;
}

static gboolean has_bits(const char *path, mode_t bits) {
        struct stat st;

        return stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_mode & bits;
}

/* program: resolved. Postfix's sendmail has no privilege of its own: it runs postdrop, which stands beside it; and
 * beside another sendmail there may be one of a Postfix that is not in use. */
static SendmailKind kind_of(const char *program) {
        g_autofree char *name = g_path_get_basename(program), *directory = g_path_get_dirname(program);
        g_autofree char *postdrop = g_build_filename(directory, "postdrop", NULL);

        if (has_bits(program, S_ISUID | S_ISGID))
                return SENDMAIL_SET_ID;
        return g_str_has_prefix(name, "sendmail") && has_bits(postdrop, S_ISGID) ? SENDMAIL_POSTFIX : SENDMAIL_CLIENT;
}

#if HAVE_SMTP
/* What this machine calls itself in mail, where that is written down (Debian Policy 11.6). */
static char *mail_name(void) {
        const char *path = getenv("SNOOZE_MAIL_NAME") ?: "/etc/mailname"; /* another file, for tests */
        g_autofree char *text = NULL, *whole = NULL;

        if (!g_file_get_contents(path, &text, NULL, NULL))
                return NULL;
        text[strcspn(text, "\r\n")] = '\0';
        g_strstrip(text);
        whole = g_strdup_printf("root@%s", text);
        return address_valid(whole) ? g_steal_pointer(&text) : NULL;
}

/* Of addresses without a domain, for a server of this machine. Postfix gives them the one that its sendmail would;
 * Exim and Sendmail refuse them. Each takes its own localhost for itself. */
static char *domain_for(SendmailKind kind) {
        char *name = kind == SENDMAIL_POSTFIX ? NULL : mail_name();

        return name || kind != SENDMAIL_SET_ID ? name : g_strdup("localhost");
}

static gboolean choose_server(const char *url, const char *sendmail_path, Transport *ret, GError **error) {
        g_autofree char *program = NULL;

        if (!smtp_url_valid(url, error)) {
                g_prefix_error(error, "smtp_url: ");
                return FALSE;
        }
        ret->server = url;
        if (!smtp_url_is_local(url))
                return TRUE;
        program = sendmail_trusted(sendmail_path, NULL);
        ret->domain = domain_for(program ? kind_of(program) : SENDMAIL_CLIENT);
        return TRUE;
}

static gboolean choose_instead(SendmailKind kind, Transport *ret, GError **error) {
        ret->server = getenv("SNOOZE_MAIL_SERVER") ?: "smtp://localhost"; /* another one, for tests */
        ret->domain = domain_for(kind);
        return TRUE;
}
#else
static gboolean choose_server(const char *url, const char *sendmail_path, Transport *ret, GError **error) {
        g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_NOSYS, "smtp_url: this build has no libcurl");
        return FALSE;
}

static gboolean choose_instead(SendmailKind kind, Transport *ret, GError **error) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSYS,
                    "sendmail_path: %s works by setuid or setgid, which no plugin has; the mail system whose it is "
                    "takes mail on a port, too, but this build has no libcurl", ret->program);
        return FALSE;
}
#endif

gboolean transport_choose(const char *smtp_url, const char *sendmail_path, Transport *ret, GError **error) {
        g_auto(Transport) transport = { .program = NULL };
        SendmailKind kind;

        if (*smtp_url) {
                if (!choose_server(smtp_url, sendmail_path, &transport, error))
                        return FALSE;
        } else {
                transport.program = sendmail_trusted(sendmail_path, error);
                if (!transport.program) {
                        g_prefix_error(error, "sendmail_path: ");
                        return FALSE;
                }
                kind = kind_of(transport.program);
                if (kind != SENDMAIL_CLIENT && !choose_instead(kind, &transport, error))
                        return FALSE;
        }
        *ret = transport;
        transport = (Transport) { .program = NULL };
        return TRUE;
}

gboolean transport_instead(const Transport *transport) {
        return transport->program && transport->server;
}

char *transport_address(const Transport *transport, const char *address) {
        return transport->domain && !strchr(address, '@') ? g_strdup_printf("%s@%s", address, transport->domain)
                                                          : g_strdup(address);
}

char **transport_addresses(const Transport *transport, const char *const *addresses) {
        GPtrArray *list = g_ptr_array_new();

        for (; *addresses; addresses++)
                g_ptr_array_add(list, transport_address(transport, *addresses));
        g_ptr_array_add(list, NULL);
        return (char **) g_ptr_array_free(list, FALSE);
}
