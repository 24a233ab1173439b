/* metrics_posix.c - the Prometheus text page: base units, _total on counters, no label that a peer can choose. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/node_posix.h"

static void head(FILE *f, const char *name, const char *type, const char *help)
{
    fprintf(f, "# HELP tally_%s %s\n# TYPE tally_%s %s\n", name, help, name, type);
}

static void one(FILE *f, const char *name, const char *type, const char *help, uint64_t v)
{
    head(f, name, type, help);
    fprintf(f, "tally_%s %" PRIu64 "\n", name, v);
}

static void put_refusals(FILE *f, const char *name, const char *help, const uint64_t counts[ERR_COUNT])
{
    head(f, name, "counter", help);
    for (int e = 1; e < ERR_COUNT; e++)
        if (counts[e])
            fprintf(f, "tally_%s{reason=\"%s\"} %" PRIu64 "\n", name, err_name((enum err)e), counts[e]);
}

static void put_transport(FILE *f, struct node *n)
{
    const char *name;
    uint64_t value;
    head(f, "transport_total", "counter", "What the transport saw and refused, by kind.");
    for (size_t i = 0; transport_counter_at(n->transport, i, &name, &value); i++)
        fprintf(f, "tally_transport_total{kind=\"%s\"} %" PRIu64 "\n", name, value);
}

static void put_process(FILE *f)
{
    unsigned long pages = 0, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm) {
        if (fscanf(statm, "%lu %lu", &pages, &resident) == 2) {
            head(f, "resident_memory_bytes", "gauge", "Resident memory of the node process.");
            fprintf(f, "tally_resident_memory_bytes %llu\n", (unsigned long long)resident * (unsigned long long)sysconf(_SC_PAGESIZE));
        }
        fclose(statm);
    }
}

static void put_ledger(FILE *f, struct node *n)
{
    struct ledger_totals t;
    if (ledger_totals(agent_ledger(n->agent), &t) != OK)
        return;
    one(f, "receipts_total", "counter", "Channel receipts signed by both sides.", t.receipts);
    one(f, "earned_pico_credits_total", "counter", "Cumulative owed to this node, pico-credits.", t.earned.v);
    one(f, "spent_pico_credits_total", "counter", "Cumulative owed by this node, pico-credits.", t.spent.v);
}

char *node_metrics_text(struct node *n)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return NULL;
    const struct agent_counters *c = agent_counters(n->agent);
    const struct overlay_counters *o = overlay_counters(agent_overlay(n->agent));
    struct overlay_gauges g;
    struct gateway_counters h = gateway_counters(n->gateway);
    overlay_gauges(agent_overlay(n->agent), &g);
    head(f, "build_info", "gauge", "Version of this node.");
    fprintf(f, "tally_build_info{version=\"" TALLY_VERSION "\"} 1\n");
    one(f, "ready", "gauge", "1 when joined and every model is loaded.", node_is_ready(n));
    one(f, "restarts", "gauge", "Restarts by the supervisor.", n->supervised ? n->supervised->restarts : 0);
    one(f, "peers", "gauge", "Authenticated peers.", g.peers);
    one(f, "contacts", "gauge", "Contacts in the routing table.", g.contacts);
    one(f, "records", "gauge", "Signed records and adverts held.", g.records);
    one(f, "lookups_total", "counter", "Iterative lookups.", o->lookups);
    one(f, "frames_in_total", "counter", "Frames from peers.", o->frames_in);
    one(f, "frames_out_total", "counter", "Frames to peers.", o->frames_out);
    one(f, "bytes_in_total", "counter", "Frame bytes from peers.", o->bytes_in);
    one(f, "bytes_out_total", "counter", "Frame bytes to peers.", o->bytes_out);
    one(f, "gossip_delivered_total", "counter", "Gossip delivered here.", o->gossip_delivered);
    one(f, "gossip_duplicates_total", "counter", "Gossip seen again.", o->gossip_duplicates);
    put_refusals(f, "refused_total", "Messages refused, by reason.", o->refused);
    put_refusals(f, "offers_declined_total", "Offers not bid on, by reason.", c->offers_declined);
    one(f, "requests_total", "counter", "Requests by clients of this node.", c->requests);
    one(f, "requests_local_total", "counter", "Answered by this node itself.", c->requests_local);
    one(f, "requests_failed_total", "counter", "Requests that ended without an answer.", c->requests_failed);
    one(f, "failovers_total", "counter", "Answers continued by another provider.", c->failovers);
    one(f, "jobs_served_total", "counter", "Jobs answered for others.", c->jobs_served);
    one(f, "jobs_lost_total", "counter", "Jobs whose other side vanished.", c->jobs_lost);
    one(f, "offers_seen_total", "counter", "Offers heard of.", c->offers_seen);
    one(f, "bids_sent_total", "counter", "Bids made.", c->bids_sent);
    head(f, "tokens_total", "counter", "Tokens of jobs for others and of own requests.");
    fprintf(f, "tally_tokens_total{kind=\"served_input\"} %" PRIu64 "\n", c->tokens_in);
    fprintf(f, "tally_tokens_total{kind=\"served_output\"} %" PRIu64 "\n", c->tokens_out);
    fprintf(f, "tally_tokens_total{kind=\"bought_output\"} %" PRIu64 "\n", c->tokens_bought);
    one(f, "http_requests_total", "counter", "Requests to the endpoint.", h.requests);
    one(f, "http_cancelled_total", "counter", "Clients that left before their answer was whole.", h.cancelled);
    put_ledger(f, n);
    put_transport(f, n);
    put_process(f);
    fclose(f);
    return text;
}
