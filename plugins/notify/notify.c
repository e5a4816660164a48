/* SPDX-License-Identifier: Apache-2.0 */

/* Tells people of events: on terminals, and by mail to a server or through a sendmail. What the machine's own stop
 * says on terminals is the plugin `terminal`'s; of that only mail tells. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <snooze/plugin.h>

#include <systemd/sd-id128.h>

#include "base/clock.h"
#include "base/names.h"
#include "config.h"
#include "message.h"
#include "plugins/terminal/broadcast.h"
#include "run/run.h"
#if HAVE_SMTP
#include "smtp.h"
#endif
#include "transport.h"

#define TIMEOUT (30 * USEC_PER_SEC)
#define TIMEOUT_LATE (10 * USEC_PER_SEC) /* where the deadline has passed: people want to know all the same */
#define RUNS_MAX 8U
#define RUNS_NOT_URGENT_MAX 4U
#define HOST_MAX 256U
#define URGENT 2U
#define CRITICAL 3U
#define BY_PRIVILEGE "works by setuid or setgid, which no plugin has"

typedef struct Turns {
        double room; /* messages that may be sent now */
        uint64_t at; /* monotonic µs: when that was so; 0: never asked */
} Turns;

typedef struct Notify {
        SnoozePluginInstance *instance;
        Runner *runner;
        Turns others, critical_others; /* of all, and of what anybody may call critical */
} Notify;

static const char *setting(const Notify *notify, const char *name) {
        return snooze_plugin_instance_get_string(notify->instance, name) ?: "";
}

static const char *const *recipients_of(const Notify *notify) {
        static const char *const none[] = { NULL };

        return snooze_plugin_instance_get_list(notify->instance, "recipients") ?: none;
}

static uint64_t severity_of(const SnoozePluginDictionary *event) {
        return snooze_plugin_dictionary_get_uint(event, "severity", 0);
}

/* A storm of events is one of mail otherwise. The end of this machine needs no turn: it comes once, and a storm of
 * small things before it must not silence it. What people and programs emit may call itself critical at will: that has
 * turns of its own. */
static gboolean take_turn(Notify *notify, const SnoozePluginDictionary *event) {
        gboolean custom = g_str_has_prefix(snooze_plugin_dictionary_get_string(event, "type", ""), "custom");
        gboolean critical = severity_of(event) >= CRITICAL;
        Turns *turns = critical ? &notify->critical_others : &notify->others;
        double most = (double) snooze_plugin_instance_get_integer(notify->instance, "max_per_hour");
        uint64_t now = clock_monotonic();
        double room = turns->room + most * (double) usec_sub(now, turns->at) / (double) USEC_PER_HOUR;

        if (critical && !custom)
                return TRUE;
        if (turns->at == 0)
                room = most;
        turns->room = MIN(room, most);
        turns->at = now;
        if (turns->room < 1)
                return FALSE;
        turns->room--;
        return TRUE;
}

static void host_name(char *host) {
        if (gethostname(host, HOST_MAX) < 0)
                host[0] = '\0';
        host[HOST_MAX - 1] = '\0';
        if (!*host || host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")] ||
            host[0] == '.')
                g_strlcpy(host, "localhost", HOST_MAX);
}

/* Terminals */

static void tell_terminals(SnoozePluginDictionary *result, const char *line) {
        const char *devices = getenv("SNOOZE_TERMINAL_DEVICES") ?: "/dev"; /* another folder, for tests */
        g_autofree char *text = g_strdup_printf("\r\n\aCloudSnooze: %s\r\n", line);
        Broadcast told = { .told = 0 };
        int r = broadcast(devices, text, strlen(text), &told);

        if (r < 0)
                snooze_plugin_log(LOG_WARNING, "Cannot read %s: %s", devices, strerror(-r));
        (void) snooze_plugin_dictionary_set_uint(result, "terminals", told.told);
}

/* Mail */

static void answer_mail(SnoozePluginCall *call, const char *error) {
        SnoozePluginDictionary *result = snooze_plugin_call_get_result(call);

        (void) snooze_plugin_dictionary_set_bool(result, "mailed", !error);
        if (error) {
                (void) snooze_plugin_dictionary_set_string(result, "error", error);
                snooze_plugin_log(LOG_WARNING, "No mail was sent: %s", error);
        }
        (void) snooze_plugin_call_set_answer(call,
                                             !error || snooze_plugin_dictionary_get_uint(result, "terminals", 0) > 0);
}

static void on_sendmail(const RunOutcome *outcome, void *userdata) {
        SnoozePluginCall *call = userdata;
        g_autofree char *error = NULL;

        if (outcome->end == RUN_EXITED && outcome->number != 0)
                error = g_strdup_printf("sendmail ended with status %d%s%s", outcome->number,
                                        *outcome->line ? ": " : "", outcome->line);
        else if (outcome->end == RUN_KILLED)
                error = g_strdup_printf("sendmail was ended by signal %d (%s)", outcome->number,
                                        g_strsignal(outcome->number));
        else if (outcome->end == RUN_FAILED)
                error = g_strdup_printf("sendmail cannot be run: %s", g_strerror(outcome->number));
        else if (outcome->end != RUN_EXITED)
                error = g_strdup_printf("sendmail was ended: it %s%s%s",
                                        outcome->end == RUN_FLOODED ? "wrote too much" : "took too long",
                                        *outcome->line ? ": " : "", outcome->line);
        answer_mail(call, error);
        snooze_plugin_call_finish(call, 0);
}

/* Programs get lines as this system ends them. */
static char *without_returns(const char *message) {
        GString *text = g_string_new(message);

        g_string_replace(text, "\r\n", "\n", 0);
        return g_string_free(text, FALSE);
}

static int send_by_program(const Notify *notify, SnoozePluginCall *call, const Transport *transport,
                           const char *message, uint64_t timeout, gboolean urgent) {
        const char *const *recipients = recipients_of(notify);
        g_autoptr(GPtrArray) arguments = g_ptr_array_new();
        g_autofree char *input = without_returns(message);

        if (runner_count(notify->runner) >= (urgent ? RUNS_MAX : RUNS_NOT_URGENT_MAX)) {
                answer_mail(call, "too many are under way");
                return 0;
        }
        g_ptr_array_add(arguments, transport->program);
        g_ptr_array_add(arguments, (char *) "-i"); /* a line with a dot is no end */
        g_ptr_array_add(arguments, (char *) "-f");
        g_ptr_array_add(arguments, (char *) setting(notify, "from"));
        g_ptr_array_add(arguments, (char *) "--");
        for (; *recipients; recipients++)
                g_ptr_array_add(arguments, (char *) *recipients);
        g_ptr_array_add(arguments, NULL);
        if (!run_start(notify->runner, &(const RunParameters) {
                .name = "sendmail",
                .arguments = (char **) arguments->pdata,
                .input = input,
                .timeout = timeout,
                .output_max = RUN_OUTPUT_MAX,
                .errors_too = TRUE,
                .done = on_sendmail,
                .userdata = call,
        })) {
                answer_mail(call, "sendmail cannot be run now");
                return 0;
        }
        return SNOOZE_PLUGIN_LATER;
}

#if HAVE_SMTP
typedef struct Delivery {
        char *url, *from, **recipients, *message;
        char *instead_of; /* the program that is not run; NULL: a server was named */
        uint64_t deadline;
} Delivery;

static void delivery_free(Delivery *delivery) {
        explicit_bzero(delivery->url, strlen(delivery->url));
        g_free(delivery->url);
        g_free(delivery->from);
        g_strfreev(delivery->recipients);
        g_free(delivery->message);
        g_free(delivery->instead_of);
        g_free(delivery);
}

static int deliver(SnoozePluginCall *call, void *userdata) {
        Delivery *delivery = userdata;
        g_autoptr(GError) error = NULL;
        gboolean sent = smtp_send(delivery->url, delivery->from, (const char *const *) delivery->recipients,
                                  delivery->message, delivery->deadline, &error);

        g_autofree char *why = NULL;

        if (!sent)
                why = delivery->instead_of
                        ? g_strdup_printf("%s (port 25 of this machine, since %s " BY_PRIVILEGE "; see smtp_url)",
                                          error->message, delivery->instead_of)
                        : g_strdup(error->message);
        delivery_free(delivery);
        answer_mail(call, why);
        return 0;
}

static int send_by_smtp(SnoozePluginCall *call, const Transport *transport, const Mail *mail, const char *message,
                        uint64_t timeout) {
        Delivery *delivery = g_new0(Delivery, 1);
        int r;

        *delivery = (Delivery) {
                .url = g_strdup(transport->server),
                .from = g_strdup(mail->from),
                .recipients = g_strdupv((char **) mail->recipients),
                .message = g_strdup(message),
                .instead_of = transport_instead(transport) ? g_strdup(transport->program) : NULL,
                .deadline = usec_add(clock_monotonic(), timeout),
        };
        r = snooze_plugin_call_run_in_thread(call, deliver, delivery);
        if (r < 0)
                delivery_free(delivery);
        return r;
}
#endif

static int send_mail(const Notify *notify, SnoozePluginCall *call, const SnoozePluginDictionary *event,
                     uint64_t timeout) {
        char host[HOST_MAX], id[SD_ID128_STRING_MAX];
        g_autofree char *message = NULL, *from = NULL;
        g_auto(Transport) transport = { .program = NULL };
        g_auto(GStrv) recipients = NULL;
        g_autoptr(GError) error = NULL;
        sd_id128_t random;
        Mail mail;

        if (!transport_choose(setting(notify, "smtp_url"), setting(notify, "sendmail_path"), &transport, &error)) {
                answer_mail(call, error->message);
                return 0;
        }
        host_name(host);
        from = transport_address(&transport, setting(notify, "from"));
        recipients = transport_addresses(&transport, recipients_of(notify));
        mail = (Mail) {
                .from = from,
                .recipients = (const char *const *) recipients,
                .host = host,
                .message_id = sd_id128_randomize(&random) >= 0 ? sd_id128_to_string(random, id) : "0",
        };
        message = message_mail(event, &mail, clock_realtime());
#if HAVE_SMTP
        if (transport.server)
                return send_by_smtp(call, &transport, &mail, message, timeout);
#endif
        return send_by_program(notify, call, &transport, message, timeout, severity_of(event) >= URGENT);
}

/* Events */

/* Once is enough: neither what nobody stops for, nor the second word on the same stop. That the daemon's own stop was
 * called off is an event of its own. */
static gboolean is_repetition(const SnoozePluginDictionary *event, const SnoozePluginDictionary *data) {
        return snooze_plugin_dictionary_get_bool(data, "dry_run", false) ||
                (snooze_plugin_dictionary_get_bool(event, "cancelled", false) &&
                 g_str_equal(snooze_plugin_dictionary_get_string(event, "source", ""), "snoozed")) ||
                g_str_equal(snooze_plugin_dictionary_get_string(data, "phase", ""), "reminder");
}

/* Where nobody waits any more for the answer, people still do for the mail. */
static uint64_t timeout_of(SnoozePluginCall *call, const SnoozePluginDictionary *event) {
        uint64_t deadline = snooze_plugin_dictionary_get_uint(event, "deadline", 0),
                 left = usec_sub(deadline, clock_realtime()), share = snooze_plugin_call_get_time_left(call);

        if (deadline > 0 && left == 0)
                return TIMEOUT_LATE;
        share -= MIN(share / 10, USEC_PER_SEC);
        return MIN(MIN(deadline > 0 ? left : TIMEOUT, TIMEOUT), share);
}

static int handle_event(SnoozePluginCall *call, const SnoozePluginDictionary *event, void *userdata) {
        const SnoozePluginDictionary *data = snooze_plugin_dictionary_get_dictionary(event, "data");
        const char *type = snooze_plugin_dictionary_get_string(event, "type", "");
        SnoozePluginDictionary *result = snooze_plugin_call_get_result(call);
        gboolean own = g_str_equal(type, EVENT_STOP_PENDING) || g_str_equal(type, EVENT_NOTICE);
        gboolean mails, terminals;
        Notify *notify = userdata;

        if (!*type || severity_of(event) <
                    (uint64_t) snooze_plugin_instance_get_integer(notify->instance, "minimum_severity"))
                return snooze_plugin_call_set_answer(call, false);
        mails = recipients_of(notify)[0] != NULL;
        terminals = snooze_plugin_instance_get_boolean(notify->instance, "wall") && !own;
        if ((own && is_repetition(event, data)) || (!mails && !terminals))
                return snooze_plugin_call_set_answer(call, false);
        if (!take_turn(notify, event)) {
                (void) snooze_plugin_dictionary_set_string(result, "status", "more than max_per_hour");
                return snooze_plugin_call_set_answer(call, false);
        }
        if (terminals) {
                g_autofree char *line = message_line(event, clock_realtime());

                tell_terminals(result, line);
        }
        if (mails)
                return send_mail(notify, call, event, timeout_of(call, event));
        return snooze_plugin_call_set_answer(call, snooze_plugin_dictionary_get_uint(result, "terminals", 0) > 0);
}

/* That nobody listens is no reason to refuse: the mail system may be started after this plugin. */
static int check_transport(SnoozePluginCall *call, const SnoozePluginDictionary *config) {
        g_auto(Transport) transport = { .program = NULL };
        g_autoptr(GError) error = NULL;

        if (!transport_choose(snooze_plugin_dictionary_get_string(config, "smtp_url", ""),
                              snooze_plugin_dictionary_get_string(config, "sendmail_path", ""), &transport, &error))
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "%s", error->message);
#if HAVE_SMTP
        if (transport_instead(&transport) && smtp_is_served(transport.server))
                snooze_plugin_log(LOG_NOTICE, "Mail goes to port 25 of this machine: %s " BY_PRIVILEGE ".",
                                  transport.program);
        else if (transport_instead(&transport))
                snooze_plugin_log(LOG_WARNING,
                                  "Mail will go to port 25 of this machine, where nobody takes any yet: %s "
                                  BY_PRIVILEGE ". Where its mail system listens on no port, set smtp_url.",
                                  transport.program);
#endif
        return 0;
}

static int configure(SnoozePluginCall *call, const SnoozePluginDictionary *config, void *userdata) {
        const char *const *recipients = snooze_plugin_dictionary_get_strv(config, "recipients", NULL);
        guint n = recipients ? g_strv_length((char **) recipients) : 0;

        for (guint i = 0; i < n; i++)
                if (!address_valid(recipients[i]))
                        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                                       "recipients: “%s” is no address of mail", recipients[i]);
        if (n > RECIPIENTS_MAX)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "recipients: expected at most %u", RECIPIENTS_MAX);
        if (!address_valid(snooze_plugin_dictionary_get_string(config, "from", "")))
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "from: expected an address of mail");
        return n > 0 ? check_transport(call, config) : 0;
}

static int start(SnoozePluginInstance *instance, void *userdata) {
        Notify *notify = userdata;

        notify->instance = instance;
        return runner_new(snooze_plugin_instance_get_event(instance), NULL, NULL, &notify->runner);
}

int main(int argc, char *argv[]) {
        static const SnoozePluginSetting settings[] = {
                { "recipients", SNOOZE_PLUGIN_LIST },
                { "from", SNOOZE_PLUGIN_STRING, .default_value = "root" },
                { "smtp_url", SNOOZE_PLUGIN_STRING },
                { "sendmail_path", SNOOZE_PLUGIN_STRING, .default_value = "/usr/sbin/sendmail" },
                { "wall", SNOOZE_PLUGIN_BOOLEAN, .default_value = "true" },
                { "minimum_severity", SNOOZE_PLUGIN_INTEGER, 0, 3, .default_value = "1" },
                { "max_per_hour", SNOOZE_PLUGIN_INTEGER, 1, 1000, .default_value = "20" },
                { NULL },
        };
        static const char *const events[] = { "cloud.*",  "system.*", EVENT_STOP_PENDING, EVENT_NOTICE, "custom",
                                              "custom.*", NULL };
        Notify notify = { .instance = NULL };
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = "notify",
                .version = PACKAGE_VERSION,
                .description = "Tells people of events, on terminals and by mail.",
                .userdata = &notify,
                .settings = settings,
                .start = start,
                .initialize = configure,
                .configure = configure,
                .supported_events = events,
                .handle_event = handle_event,
        };
        int r = snooze_plugin_main(&plugin, argc, argv);

        runner_free(notify.runner);
        return r;
}
