/* SPDX-License-Identifier: Apache-2.0 */

#include "message.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/names.h"
#include "util/duration.h"
#include "util/line.h"

#define ADDRESS_LENGTH_MAX 254U
#define VALUE_LENGTH_MAX 500U
#define VALUES_MAX 64U
#define WORD_BYTES 42U /* of one encoded word: 75 characters with "=?UTF-8?B?" and "?=" */

static const struct {
        const char *type, *words;
        const char *which; /* of its data: what names the one that it is about; may be NULL */
} titles[] = {
        { "cloud.spot.interrupt", "The cloud takes this machine" },
        { "cloud.spot.rebalance", "The cloud may soon take this machine" },
        { "cloud.instance.termination", "This machine is terminated" },
        { "cloud.instance.maintenance", "The cloud maintains this machine" },
        { "cloud.autoscaling.scale", "This machine leaves its group" },
        { "system.disk.low", "A disk is nearly full", "path" },
        { "system.cpu.high", "The processors are busy" },
        { "system.memory.pressure", "Memory is short" },
        { "system.network.down", "The network is gone", "interface" },
};

gboolean address_valid(const char *address) {
        static const char local[] =
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.!#$%&'*+/=?^_`{|}~-";
        static const char domain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
        size_t length = strspn(address, local);

        if (length == 0 || address[0] == '-' || strlen(address) > ADDRESS_LENGTH_MAX)
                return FALSE;
        if (address[length] == '\0')
                return TRUE;
        return address[length] == '@' && address[length + 1] != '\0' && address[length + 1] != '-' &&
                address[length + 1 + strspn(address + length + 1, domain)] == '\0';
}

/* Valid UTF-8, one line, and no longer than that; the last character stays whole. */
static char *clean(const char *text, size_t maximum) {
        g_autofree char *valid = g_utf8_make_valid(text, -1);
        const char *end;

        line_clean(valid);
        if (strlen(valid) > maximum) {
                end = g_utf8_find_prev_char(valid, valid + maximum + 1);
                valid[end ? end - valid : 0] = '\0';
        }
        return g_steal_pointer(&valid);
}

static const char *title_of(const char *type) {
        for (gsize i = 0; i < G_N_ELEMENTS(titles); i++)
                if (g_str_equal(titles[i].type, type))
                        return titles[i].words;
        return type;
}

static const char *key_of(const char *type) {
        for (gsize i = 0; i < G_N_ELEMENTS(titles); i++)
                if (g_str_equal(titles[i].type, type))
                        return titles[i].which;
        return NULL;
}

static const char *reason_of(const char *type, const SnoozePluginDictionary *data) {
        const char *const keys[] = { "message", "reason", "description", key_of(type), NULL };

        for (const char *const *key = keys; *key; key++)
                if (*snooze_plugin_dictionary_get_string(data, *key, ""))
                        return snooze_plugin_dictionary_get_string(data, *key, "");
        return "";
}

/* What this machine's own stop says for itself in its data. Nobody else speaks as CloudSnooze, whatever he puts there.
 */
static gboolean speaks_for_us(const SnoozePluginDictionary *event) {
        return g_str_has_prefix(snooze_plugin_dictionary_get_string(event, "type", ""), "snooze.");
}

static gboolean is_cancelled(const SnoozePluginDictionary *event) {
        const SnoozePluginDictionary *data = snooze_plugin_dictionary_get_dictionary(event, "data");

        return snooze_plugin_dictionary_get_bool(event, "cancelled", false) ||
               (speaks_for_us(event) && snooze_plugin_dictionary_get_bool(data, "cancelled", false));
}

char *message_line(const SnoozePluginDictionary *event, uint64_t now) {
        const SnoozePluginDictionary *data = snooze_plugin_dictionary_get_dictionary(event, "data");
        const char *type = snooze_plugin_dictionary_get_string(event, "type", ""), *reason = reason_of(type, data);
        const char *notice = speaks_for_us(event) ? snooze_plugin_dictionary_get_string(data, "notice", "") : "";
        uint64_t deadline = snooze_plugin_dictionary_get_uint(event, "deadline", 0);
        g_autoptr(GString) line = g_string_new(NULL);

        /* What the daemon says of its own stop it says best; also that it was called off, in the data then. */
        if (is_cancelled(event) && (!*notice || snooze_plugin_dictionary_get_bool(event, "cancelled", false)))
                g_string_append(line, g_str_has_prefix(type, "system.") ? "Over: " : "Called off: ");
        if (snooze_plugin_dictionary_get_bool(event, "moved", false))
                g_string_append(line, "At another time: ");
        if (*notice) {
                g_string_append(line, notice);
                return clean(line->str, MESSAGE_LINE_MAX);
        }
        g_string_append(line, title_of(type));
        if (deadline > now && g_str_has_prefix(type, "cloud.") && !is_cancelled(event)) {
                g_autofree char *when = moment_format(deadline, now, TRUE), *left = duration_format(deadline - now);

                g_string_append_printf(line, " at %s (in %s)", when, left);
        }
        if (*reason)
                g_string_append_printf(line, ": %s", reason);
        return clean(line->str, MESSAGE_LINE_MAX);
}

static gboolean is_plain(const char *text, size_t maximum) {
        if (strlen(text) > maximum || strstr(text, "=?"))
                return FALSE;
        for (; *text; text++)
                if (*text < 0x20 || *text > 0x7e)
                        return FALSE;
        return TRUE;
}

char *message_encode_header(const char *text) {
        g_autoptr(GString) encoded = NULL;

        if (is_plain(text, 60))
                return g_strdup(text);
        encoded = g_string_new(NULL);
        while (*text) {
                g_autofree char *word = NULL;
                size_t length = 0;

                /* A word has whole characters. */
                while (text[length] &&
                       length + (size_t) (g_utf8_next_char(text + length) - (text + length)) <= WORD_BYTES)
                        length += (size_t) (g_utf8_next_char(text + length) - (text + length));
                word = g_base64_encode((const guchar *) text, length);
                g_string_append_printf(encoded, "%s=?UTF-8?B?%s?=", encoded->len > 0 ? "\r\n " : "", word);
                text += length;
        }
        return g_string_free(g_steal_pointer(&encoded), FALSE);
}

/* Body */

static void add_value(GString *body, const SnoozePluginDictionary *data, const char *key) {
        g_autofree char *name = clean(key, 64), *value = NULL, *shown = NULL;
        const char *const *list;

        switch (snooze_plugin_dictionary_get_type(data, key)) {
        case 's':
                value = g_strdup(snooze_plugin_dictionary_get_string(data, key, ""));
                break;
        case 'b':
                value = g_strdup(snooze_plugin_dictionary_get_bool(data, key, false) ? "yes" : "no");
                break;
        case 'x':
        case 't':
                value = g_strdup_printf("%" PRIi64, snooze_plugin_dictionary_get_int(data, key, 0));
                break;
        case 'd':
                value = g_strdup_printf("%g", snooze_plugin_dictionary_get_double(data, key, 0));
                break;
        case 'a':
                list = snooze_plugin_dictionary_get_strv(data, key, NULL);
                value = g_strjoinv(", ", (char **) list);
                break;
        default:
                return;
        }
        shown = clean(value, VALUE_LENGTH_MAX);
        g_string_append_printf(body, "  %s: %s\n", name, shown);
}

static void add_moment(GString *body, const char *name, uint64_t moment, uint64_t now) {
        g_autofree char *text = moment > 0 ? moment_format(moment, now, TRUE) : NULL;

        if (text)
                g_string_append_printf(body, "%s: %s\n", name, text);
}

static char *body_of(const SnoozePluginDictionary *event, const Mail *mail, uint64_t now) {
        static const char *const severities[] = { "info", "warning", "urgent", "critical" };
        const SnoozePluginDictionary *data = snooze_plugin_dictionary_get_dictionary(event, "data");
        uint64_t severity = snooze_plugin_dictionary_get_uint(event, "severity", 0);
        g_autofree char *line = message_line(event, now),
                        *type = clean(snooze_plugin_dictionary_get_string(event, "type", ""), 64);
        g_autofree char *source = clean(snooze_plugin_dictionary_get_string(event, "source", ""), 64);
        g_autofree char *id = clean(snooze_plugin_dictionary_get_string(event, "id", ""), 128);
        GString *body = g_string_new(NULL);
        const char *key;

        g_string_append_printf(body, "%s\n\nMachine: %s\nEvent: %s, from %s (%s)\nSeverity: %s\n", line, mail->host,
                               type, source, id, severities[MIN(severity, G_N_ELEMENTS(severities) - 1)]);
        add_moment(body, "Time", snooze_plugin_dictionary_get_uint(event, "timestamp", 0), now);
        add_moment(body, "Deadline", snooze_plugin_dictionary_get_uint(event, "deadline", 0), now);
        for (unsigned i = 0;
             i < VALUES_MAX && body->len < MESSAGE_BODY_MAX && (key = snooze_plugin_dictionary_get_key(data, i)); i++)
                add_value(body, data, key);
        g_string_append(body, "\nMore: " SNOOZE_COMMAND " events · " SNOOZE_COMMAND " history\n");
        return g_string_free(body, FALSE);
}

static void add_encoded_body(GString *message, const char *body) {
        g_autofree char *encoded = g_base64_encode((const guchar *) body, strlen(body));

        for (size_t i = 0, length = strlen(encoded); i < length; i += 76)
                g_string_append_printf(message, "%.76s\r\n", encoded + i);
}

/* In English whatever the locale, as it has to be. */
static void add_date(GString *message, uint64_t now) {
        static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
        static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
        time_t seconds = (time_t) (now / USEC_PER_SEC);
        struct tm tm;

        if (gmtime_r(&seconds, &tm))
                g_string_append_printf(message, "Date: %s, %d %s %d %02d:%02d:%02d +0000\r\n", days[tm.tm_wday],
                                       tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                                       tm.tm_sec);
}

char *message_mail(const SnoozePluginDictionary *event, const Mail *mail, uint64_t now) {
        g_autofree char *line = message_line(event, now), *body = body_of(event, mail, now), *subject = NULL,
                        *encoded = NULL;
        GString *message = g_string_new(NULL);

        subject = g_strdup_printf("[%s] %s", mail->host, line);
        encoded = message_encode_header(subject);
        add_date(message, now);
        g_string_append_printf(message, "From: %s\r\nTo: ", mail->from);
        for (const char *const *recipient = mail->recipients; *recipient; recipient++)
                g_string_append_printf(message, "%s%s", recipient == mail->recipients ? "" : ",\r\n ", *recipient);
        /* What answers mail by itself does not answer this (RFC 3834). */
        g_string_append_printf(
                message,
                "\r\nSubject: %s\r\nMessage-ID: <%s@%s>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
                encoded, mail->message_id, mail->host);
        add_encoded_body(message, body);
        return g_string_free(message, FALSE);
}
