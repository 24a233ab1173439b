/* cli_node_curl.c - commands that show what a running node knows: status, peers, models, offers. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "node/address_posix.h"
#include "node/cli_http_curl.h"

static void print_price(uint64_t micro, char out[32]) { snprintf(out, 32, "%" PRIu64 ".%06" PRIu64, micro / 1000000, micro % 1000000); }

int cmd_status(struct cli *c)
{
    json_t *j, *m;
    size_t i;
    char credits[AMOUNT_CHARS_MAX + 1], address[ADDRESS_TEXT_CHARS];
    int rc = cli_get_json(c, "/tally/v1/status", &j);
    if (rc != EXIT_FINE)
        return rc;
    if (c->json) {
        cli_print_json(j);
        return EXIT_FINE;
    }
    address_text(json_text_of(j, "host"), (uint16_t)json_number_of(j, "port"), address);
    printf("%snode     %.12s%s  %s%s%s\nnetwork  %s\naddress  %s\npeers    %" PRIu64 "\nuptime   %" PRIu64 " s\n", cli_bold(c), json_text_of(j, "id"),
           cli_plain(c), strcmp(json_text_of(j, "state"), "ready") == 0 ? cli_green(c) : cli_dim(c), json_text_of(j, "state"), cli_plain(c), json_text_of(j, "network"),
           address, json_number_of(j, "peers"), json_number_of(j, "uptime_ms") / 1000);
    if (json_text_of(j, "reason")[0])
        printf("why      %s\n", json_text_of(j, "reason"));
    json_array_foreach(json_object_get(j, "models"), i, m)
        printf("model    %s (%.12s) on %s: %" PRIu64 " tokens/s prefill, %" PRIu64 " decode, context %" PRIu64 "\n", json_text_of(m, "name"), json_text_of(m, "id"),
               json_text_of(m, "backend"), json_number_of(m, "prefill_millitokens_s") / 1000, json_number_of(m, "decode_millitokens_s") / 1000, json_number_of(m, "context"));
    const json_t *jobs = json_object_get(j, "jobs"), *ledger = json_object_get(j, "ledger");
    printf("jobs     %" PRIu64 " served, %" PRIu64 " asked (%" PRIu64 " answered here), %" PRIu64 " open\n", json_number_of(jobs, "served"), json_number_of(jobs, "requested"),
           json_number_of(jobs, "local"), json_number_of(jobs, "open_provider") + json_number_of(jobs, "open_requester"));
    cli_format_credits(json_number_of(ledger, "earned_pico"), credits);
    printf("earned   %s credits", credits);
    cli_format_credits(json_number_of(ledger, "spent_pico"), credits);
    printf(", spent %s, %" PRIu64 " receipts\n", credits, json_number_of(ledger, "receipts"));
    json_decref(j);
    return EXIT_FINE;
}

int cmd_peers(struct cli *c)
{
    json_t *j, *p;
    size_t i;
    int rc = cli_get_json(c, "/tally/v1/peers", &j);
    if (rc != EXIT_FINE)
        return rc;
    if (c->json) {
        cli_print_json(j);
        return EXIT_FINE;
    }
    printf("%s%-12s  %-28s %9s  %-8s %s%s\n", cli_bold(c), "NODE", "ADDRESS", "RTT", "DIALLED", "OWNER", cli_plain(c));
    json_array_foreach(json_object_get(j, "peers"), i, p) {
        char address[ADDRESS_TEXT_CHARS];
        address_text(json_text_of(p, "host"), (uint16_t)json_number_of(p, "port"), address);
        printf("%.12s  %-28s %6.2f ms  %-8s %.12s\n", json_text_of(p, "id"), address, (double)json_number_of(p, "rtt_us") / 1000.0,
               json_is_true(json_object_get(p, "outbound")) ? "by us" : "by them", json_text_of(p, "owner"));
    }
    json_decref(j);
    return EXIT_FINE;
}

int cmd_models(struct cli *c)
{
    json_t *j, *a;
    size_t i;
    int rc = cli_get_json(c, "/tally/v1/models", &j);
    if (rc != EXIT_FINE)
        return rc;
    if (c->json) {
        cli_print_json(j);
        return EXIT_FINE;
    }
    printf("%s%-20s %-12s %-12s %10s %10s  %12s %12s  %-4s %-8s %s%s\n", cli_bold(c), "MODEL", "ID", "PROVIDER", "PREFILL/S", "DECODE/S", "IN", "OUT", "LAW",
           "TIER", "BACKEND", cli_plain(c));
    json_array_foreach(json_object_get(j, "adverts"), i, a) {
        char in[32], out[32];
        print_price(json_number_of(a, "price_input"), in);
        print_price(json_number_of(a, "price_output"), out);
        printf("%-20s %.12s %.12s %10" PRIu64 " %10" PRIu64 "  %12s %12s  %-4s %-8s %s%s\n",
               json_text_of(a, "model"), json_text_of(a, "model_id"), json_text_of(a, "provider"),
               json_number_of(a, "prefill_millitokens_s") / 1000, json_number_of(a, "decode_millitokens_s") / 1000, in, out,
               json_text_of(a, "jurisdiction"), json_text_of(a, "tier"), json_text_of(a, "backend"), json_is_true(json_object_get(a, "self")) ? " (this node)" : "");
    }
    if (json_array_size(json_object_get(j, "adverts")) == 0)
        puts("no model is offered in reach");
    else
        printf("%sIN and OUT: credits per million tokens%s\n", cli_dim(c), cli_plain(c));
    json_decref(j);
    return EXIT_FINE;
}

int cmd_offers(struct cli *c)
{
    json_t *j, *o;
    size_t i;
    int rc = cli_get_json(c, "/tally/v1/offers", &j);
    if (rc != EXIT_FINE)
        return rc;
    if (c->json) {
        cli_print_json(j);
        return EXIT_FINE;
    }
    if (json_array_size(json_object_get(j, "offers")) == 0)
        puts("no offers heard lately");
    else
        printf("%s%7s  %-12s  %-12s  %9s %9s  %-6s  %s%s\n", cli_bold(c), "AGO", "MODEL", "REQUESTER", "PROMPT", "ANSWER", "CAME", "WHAT BECAME OF IT", cli_plain(c));
    json_array_foreach(json_object_get(j, "offers"), i, o)
        printf("%5" PRIu64 " s  %.12s  %.12s  %9" PRIu64 " %9" PRIu64 "  %-6s  %s\n", json_number_of(o, "age_ms") / 1000, json_text_of(o, "model_id"),
               json_text_of(o, "requester_id"), json_number_of(o, "prompt_tokens"), json_number_of(o, "output_max"),
               json_is_true(json_object_get(o, "gossiped")) ? "gossip" : "direct",
               json_is_true(json_object_get(o, "bid")) ? "we bid" : json_text_of(o, "declined"));
    json_decref(j);
    return EXIT_FINE;
}

/* ---- pins ---- */

static void list_pins(struct cli *c, const json_t *pins)
{
    const json_t *p;
    size_t i;
    char when[24];
    json_array_foreach(pins, i, p) {
        if (i == 0)
            printf("%s%-24s  %-12s  %s%s\n", cli_bold(c), "NAME", "MODEL", "SINCE", cli_plain(c));
        cli_format_time((struct wall){ json_number_of(p, "since_ms") }, when);
        printf("%-24s  %.12s  %s\n", json_text_of(p, "name"), json_text_of(p, "model_id"), when);
    }
    if (json_array_size(pins) == 0)
        puts("no name is pinned: none has been used yet");
}

static int forget_pin(struct cli *c, const char *name)
{
    json_t *j;
    char *escaped = curl_easy_escape(NULL, name, 0), path[512];
    if (!escaped)
        return cli_fail(EXIT_FAILED, "out of memory");
    int len = snprintf(path, sizeof path, "/tally/v1/pins/%s", escaped);
    curl_free(escaped);
    if (len < 0 || (size_t)len >= sizeof path)
        return cli_fail(EXIT_NOT_FOUND, "no such name is pinned");
    int rc = cli_json(c, "DELETE", path, &j);
    if (rc != EXIT_FINE)
        return rc;
    if (c->json) {
        cli_print_json(j);
        return EXIT_FINE;
    }
    printf("forgotten: \"%s\" meant model %.12s\n", json_text_of(j, "forgotten"), json_text_of(j, "model_id"));
    json_decref(j);
    return EXIT_FINE;
}

int cmd_pins(struct cli *c)
{
    const char *name = NULL;
    json_t *j;
    for (int i = 1; i < c->argc; i++) {
        name = cli_option(c, &i, "--forget");
        if (!name || !name[0])
            return cli_fail(EXIT_USAGE, "what is \"%.80s\"? tally pins [--forget NAME]", c->argv[i]);
    }
    if (name)
        return forget_pin(c, name);
    int rc = cli_get_json(c, "/tally/v1/pins", &j);
    if (rc != EXIT_FINE)
        return rc;
    if (c->json) {
        cli_print_json(j);
        return EXIT_FINE;
    }
    list_pins(c, json_object_get(j, "pins"));
    json_decref(j);
    return EXIT_FINE;
}
