/* SPDX-License-Identifier: Apache-2.0 */

/* Texts that event handlers read (connection strings, jobs, kept state) and write (mail): by the first byte which.
 * What is refused shows nothing of a secret, what is kept comes back as it was, and nothing in an event becomes a
 * header of a mail. */

#include <stdint.h>
#include <string.h>

#include <glib.h>
#include <snooze/dictionary.h>

#include "plugins/checkpoint/job.h"
#include "plugins/database-flusher/address.h"
#include "plugins/drain/ledger.h"
#include "plugins/notify/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_address(const char *text, gboolean uri) {
        static const char *const schemes[] = { "redis", "unix", NULL };
        g_autoptr(GError) error = NULL;
        g_auto(Address) address = {};

        if (uri ? address_parse_uri(text, schemes, 1, &address, &error)
                : address_parse_dsn(text, 1, &address, &error)) {
                g_assert_true(!address.host != !address.socket);
                g_assert_true(!address.host || (*address.host && address.port > 0 && address.port < 65536));
                g_assert_true(!address.socket || address.socket[0] == '/');
        } else {
                g_assert_nonnull(error);
                g_assert_null(address.user);
                /* A short one may be a word of the message. */
                g_assert_true(strlen(text) < 16 || !strstr(error->message, text));
        }
}

static gboolean any_unit(const char *name) {
        return *name && !strpbrk(name, " \n");
}

static void check_ledger(const char *text) {
        g_autoptr(Ledger) ledger = ledger_read(text, "b", any_unit), again = NULL;
        g_autofree char *written = NULL, *twice = NULL;

        if (!ledger)
                return;
        written = ledger_write(ledger, "b");
        again = ledger_read(written, "b", any_unit);
        g_assert_nonnull(again);
        twice = ledger_write(again, "b");
        g_assert_cmpstr(written, ==, twice);
}

/* The C library's regular expressions double with each of these; an administrator who writes thirty of them gets what
 * the unit's limit of memory makes of it. */
static gboolean is_expensive(const char *text) {
        guint n = 0;

        for (; *text; text++)
                n += *text == '+' || *text == '{';
        return n > 4;
}

static void check_jobs(const char *text) {
        g_autoptr(GPtrArray) jobs = NULL;
        g_autoptr(GError) error = NULL;
        const Job *job;

        if (is_expensive(text))
                return;
        jobs = jobs_parse((const char *const[]) { text, NULL }, &error);
        g_assert_true(!jobs == !!error);
        if (!jobs)
                return;
        job = g_ptr_array_index(jobs, 0);
        g_assert_true(!job->signal == !!job->command);
        g_assert_true(!job->command || job->command[0][0] == '/');
        for (char **word = job->command; word && *word; word++) {
                g_autofree char *expanded = job_expand(*word, 1);

                g_assert_cmpuint(strlen(expanded), <=, strlen(*word));
        }
}

/* Headers begin with a capital letter or go on with a blank; the body is base64. */
static void check_mail(const char *text) {
        g_autofree char *valid = g_utf8_make_valid(text, -1), *mail = NULL;
        SnoozePluginDictionary *event = snooze_plugin_dictionary_new();
        g_auto(GStrv) lines = NULL;
        gboolean header = TRUE;

        snooze_plugin_dictionary_set_string(event, "type", valid);
        snooze_plugin_dictionary_set_string(event, "source", valid);
        snooze_plugin_dictionary_set_string(snooze_plugin_dictionary_add_dictionary(event, "data"), "reason", valid);
        mail = message_mail(event, &(const Mail) { "a", (const char *const[]) { "b", NULL }, "h", "i" }, 1);
        snooze_plugin_dictionary_free(event);
        lines = g_strsplit(mail, "\r\n", -1);
        for (char **line = lines; *line; line++) {
                g_assert_cmpuint(strlen(*line), <=, 100);
                g_assert_null(strpbrk(*line, "\r\n"));
                if (!**line)
                        header = FALSE;
                else if (header)
                        g_assert_nonnull(strchr("DFTSMAC ", **line));
                else
                        g_assert_cmpuint(
                                strspn(*line, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="), ==,
                                strlen(*line));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autofree char *text = size > 1 ? g_strndup((const char *) data + 1, size - 1) : g_strdup("");

        switch (size > 0 ? data[0] : 'm') {
        case 'u':
                check_address(text, TRUE);
                break;
        case 'd':
                check_address(text, FALSE);
                break;
        case 'l':
                check_ledger(text);
                break;
        case 'j':
                check_jobs(text);
                break;
        default:
                check_mail(text);
        }
        return 0;
}
