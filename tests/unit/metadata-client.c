/* SPDX-License-Identifier: Apache-2.0 */

/* Asks a metadata service for paths by the rules of one cloud or another, and prints each answer: "found TEXT",
 * "absent" or "failed WHY"; test-metadata.py looks at it. "-" among the paths waits for all that was asked before it;
 * "+" for them and a line on standard input. */

#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "base/clock.h"
#include "cloud/metadata.h"

static const MetadataRules token_rules = {
        .token_path = "/latest/api/token",
        .token_lifetime_header = "X-aws-ec2-metadata-token-ttl-seconds",
        .token_header = "X-aws-ec2-metadata-token",
        .token_seconds = 3600,
};

static const char *const flavor[] = { "Metadata-Flavor: Google", NULL };
static const MetadataRules flavor_rules = { .headers = flavor,
                                            .proof_header = "Metadata-Flavor",
                                            .proof_value = "Google" };

static sd_event *event;
static Metadata *metadata;
static char **next;
static unsigned under_way;

static void go_on(void);

static void on_answer(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        switch (outcome) {
        case METADATA_FOUND:
                printf("found %s\n", text);
                break;
        case METADATA_ABSENT:
                puts("absent");
                break;
        case METADATA_FAILED:
                printf("failed %s\n", text);
                break;
        }
        if (--under_way == 0)
                go_on();
}

static void wait_for_line(void) {
        char line[16];

        puts("waiting");
        if (!fgets(line, sizeof(line), stdin))
                *next = NULL;
}

static void go_on(void) {
        for (; *next; next++) {
                bool pause = g_str_equal(*next, "-") || g_str_equal(*next, "+");
                MetadataQuestion question = { .path = *next, .timeout = 10 * USEC_PER_SEC, .attempts = 2 };
                int r;

                if (pause && under_way > 0)
                        return;
                if (g_str_equal(*next, "+"))
                        wait_for_line();
                if (pause)
                        continue;
                r = metadata_ask(metadata, &question, on_answer, NULL);
                if (r < 0)
                        printf("refused %s\n", g_strerror(-r));
                else
                        under_way++;
        }
        if (under_way == 0)
                (void) sd_event_exit(event, 0);
}

int main(int argc, char *argv[]) {
        HttpClient *http = NULL;
        int r;

        if (argc < 4)
                return 2;
        setlinebuf(stdout);
        next = argv + 3;
        r = sd_event_new(&event);
        if (r >= 0)
                r = http_client_new(event, &http);
        if (r >= 0)
                r = metadata_new(http, g_str_equal(argv[1], "google") ? &flavor_rules : &token_rules, argv[2],
                                 g_str_equal(argv[1], "without-token"), &metadata);
        if (r < 0)
                return 1;
        go_on();
        r = sd_event_loop(event);
        metadata_free(metadata);
        http_client_free(http);
        sd_event_unref(event);
        return r < 0;
}
