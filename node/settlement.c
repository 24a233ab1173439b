/* settlement.c - carries receipts between the ledger and the link. */
#include "node/settlement.h"

#include <string.h>

void settlement_init(struct settlement *t, struct services *s)
{
    *t = (struct settlement){ .s = s, .retry_at = s->now, .seek_at = MONO_NEVER };   /* a restart may have left something due */
}

static bool is_here(const struct services *s, const struct pubkey *key, struct node_id *node)
{
    struct overlay_peer peer;
    *node = node_id_of(key);
    return overlay_peer_find(s->overlay, node, &peer);
}

static void log_failure(struct services *s, const char *what, const struct node_id *node, enum err e)
{
    effects_log(s->out, LOG_WARN, what, "node %s: %s", short_name(&node->h).text, err_text(e));
}

/* Our note about the job goes beside the receipt; without one the receipt goes alone. */
static void send_receipt_msg(struct services *s, const struct node_id *to, enum message_type type, const struct hash *terms,
                             struct bytes receipt, const struct sig *sig)
{
    struct receipt_msg m = { .body = receipt, .sig = *sig };
    struct signed_body note;
    if (ledger_note_own(s->ledger, terms, &note) == OK) {
        m.note = signed_body_view(&note);
        m.note_sig = note.sig;
    }
    uint8_t buf[RECEIPT_MSG_BYTES_MAX];
    struct bytes body;
    ENSURE(receipt_msg_encode(&m, buf, sizeof buf, &body) == OK);
    services_send(s, to, type, body);
}

void settlement_propose(struct settlement *t, const struct pubkey *requester)
{
    struct services *s = t->s;
    struct node_id node;
    struct signed_body receipt;
    struct hash terms;
    if (!is_here(s, requester, &node)) {
        t->seek_at = mono_min(t->seek_at, mono_add_ms(s->now, SEEK_MS));
        return;
    }
    enum err e = ledger_receipt_propose(s->ledger, requester, &receipt, &terms);
    if (e == ERR_NOT_FOUND || e == ERR_STATE)
        return;                                            /* nothing is due, or the channel is frozen */
    if (e) {
        log_failure(s, "receipt.propose", &node, e);
        return;
    }
    send_receipt_msg(s, &node, MSG_RECEIPT, &terms, signed_body_view(&receipt), &receipt.sig);
    t->retry_at = mono_min(t->retry_at, mono_add_ms(s->now, SETTLE_RETRY_MS));
}

/* ---- resync ---- */

static void send_resync(struct services *s, const struct node_id *node, const struct pubkey *peer)
{
    struct channel_state earn, spend;
    if (ledger_channel(s->ledger, SIDE_PROVIDER, peer, &earn) != OK || ledger_channel(s->ledger, SIDE_REQUESTER, peer, &spend) != OK)
        return;
    struct resync_msg m = { .provider_seq = earn.seq, .provider_head = earn.head, .requester_seq = spend.seq, .requester_head = spend.head };
    uint8_t buf[RESYNC_BYTES_MAX];
    struct bytes body;
    ENSURE(resync_msg_encode(&m, buf, sizeof buf, &body) == OK);
    services_send(s, node, MSG_RESYNC, body);
}

static void send_kept_claim(struct services *s, const struct node_id *node, const struct hash *terms, uint64_t index)
{
    struct kept_msg m;
    struct claim c;
    uint8_t claim[CLAIM_BYTES_MAX], buf[KEPT_BYTES_MAX];
    struct bytes body;
    if (ledger_claim_at(s->ledger, terms, index, &c, &m.has_digest, &m.digest, &m.requester_sig, &m.provider_sig) != OK)
        return;
    ENSURE(claim_encode(&c, claim, &m.claim) == OK && kept_msg_encode(&m, buf, sizeof buf, &body) == OK);
    services_send(s, node, MSG_CLAIM_KEPT, body);
}

/* The newest claims of our lately ended jobs with this provider: our last co-signatures may have been lost with the link.
 * Older jobs settle with what the provider has. */
static void send_kept(struct services *s, const struct node_id *node, const struct pubkey *provider)
{
    uint64_t cursor = UINT64_MAX;
    struct job j;
    for (int i = 0; i < KEPT_JOBS_LOOKED_AT && ledger_job_next(s->ledger, &cursor, &j) == OK; i++) {
        if (j.role != SIDE_REQUESTER || j.stage != JOB_ENDED || !j.has_claim || !pubkey_equal(&j.peer, provider))
            continue;
        uint64_t first = j.claim_index < KEPT_CLAIMS_MAX ? 0 : j.claim_index - KEPT_CLAIMS_MAX + 1;
        for (uint64_t k = first; k <= j.claim_index; k++)
            send_kept_claim(s, node, &j.terms, k);
    }
}

void settlement_peer_up(struct settlement *t, const struct node_id *node)
{
    struct pubkey key;
    if (!services_peer_key(t->s, node, &key))
        return;
    send_kept(t->s, node, &key);                           /* before the heads: the receipt then covers them */
    send_resync(t->s, node, &key);
}

/* We sign nothing here that we did not sign before: the requester has to show our own signature. Otherwise it could put a
 * digest into our mouth that we never computed. */
enum err settlement_kept(struct settlement *t, const struct node_id *from, struct bytes body)
{
    struct services *s = t->s;
    struct kept_msg m;
    struct claim c;
    struct pubkey peer;
    struct job j;
    enum err e = kept_msg_decode(body, &m);
    if (e == OK)
        e = claim_decode(m.claim, &c);
    if (e)
        return e;
    if (!services_peer_key(s, from, &peer) || ledger_job_find(s->ledger, &c.terms, &j) != OK || !pubkey_equal(&j.peer, &peer))
        return OK;
    e = key_verify(&s->self, PURPOSE_CLAIM_PROVIDER, &s->config.net, m.claim, &m.provider_sig);
    if (e)
        return e;
    e = ledger_claim_acked(s->ledger, &c, m.has_digest ? &m.digest : NULL, &m.requester_sig);
    return e == ERR_SIGNATURE ? e : OK;                    /* known, or its receipt is proposed already */
}

/* At most `count` complete receipts from number `first` on; the last of RESYNC_RECEIPTS_MAX says that there may be more. */
static void send_receipts(struct services *s, enum side side, const struct node_id *node, const struct pubkey *peer, uint64_t first,
                          uint64_t count)
{
    struct receipt_view v;
    for (uint64_t seq = first; seq < first + count && ledger_receipt_at(s->ledger, side, peer, seq, &v) == OK; seq++) {
        struct adopt_msg m = { .side = side, .body = v.body, .requester_sig = v.requester_sig, .provider_sig = v.provider_sig,
                               .more = seq == first + RESYNC_RECEIPTS_MAX - 1 };
        uint8_t buf[ADOPT_BYTES_MAX];
        struct bytes body;
        ENSURE(adopt_msg_encode(&m, buf, sizeof buf, &body) == OK);
        services_send(s, node, MSG_RESYNC_OK, body);
    }
}

static void log_conflict(struct services *s, const struct node_id *node, uint64_t seq)
{
    effects_log(s->out, LOG_ERROR, "channel.conflict", "node %s holds another receipt %llu of our channel; nothing more is signed with it",
                short_name(&node->h).text, (unsigned long long)seq);
}

/* PROTO 7.9. Both sides show what they have under that number, so that each holds both. */
static void freeze(struct services *s, enum side side, const struct node_id *node, const struct pubkey *peer, uint64_t seq,
                   const struct hash *other)
{
    bool is_new;
    enum err e = ledger_freeze(s->ledger, side, peer, seq, other, &is_new);
    if (e) {
        log_failure(s, "channel.freeze", node, e);
        return;
    }
    if (is_new)
        log_conflict(s, node, seq);
    send_receipts(s, side, node, peer, seq, 1);
}

static void compare(struct settlement *t, enum side side, const struct node_id *node, const struct pubkey *peer, uint64_t peer_seq,
                    const struct hash *peer_head)
{
    struct services *s = t->s;
    enum resync what;
    enum err e = ledger_resync(s->ledger, side, peer, peer_seq, peer_head, &what);
    if (e) {
        log_failure(s, "resync", node, e);
        return;
    }
    switch (what) {
    case RESYNC_EQUAL:
    case RESYNC_ASK:                                       /* our own RESYNC tells the peer where we are */
        break;
    case RESYNC_PROPOSE:
        settlement_propose(t, peer);
        break;
    case RESYNC_SEND:
        send_receipts(s, side, node, peer, peer_seq + 1, RESYNC_RECEIPTS_MAX);
        break;
    case RESYNC_CONFLICT:
        freeze(s, side, node, peer, peer_seq, peer_head);
        break;
    }
}

enum err settlement_resync(struct settlement *t, const struct node_id *from, struct bytes body)
{
    struct resync_msg m;
    struct pubkey peer;
    enum err e = resync_msg_decode(body, &m);
    if (e)
        return e;
    if (!services_peer_key(t->s, from, &peer))
        return OK;
    compare(t, SIDE_PROVIDER, from, &peer, m.requester_seq, &m.requester_head);
    compare(t, SIDE_REQUESTER, from, &peer, m.provider_seq, &m.provider_head);
    return OK;
}

enum err settlement_resync_ok(struct settlement *t, const struct node_id *from, struct bytes body)
{
    struct services *s = t->s;
    struct adopt_msg m;
    struct pubkey peer;
    enum err e = adopt_msg_decode(body, &m);
    if (e)
        return e;
    if (!services_peer_key(s, from, &peer))
        return OK;
    enum side ours = m.side == SIDE_PROVIDER ? SIDE_REQUESTER : SIDE_PROVIDER;
    e = ledger_receipt_adopt(s->ledger, ours, &peer, m.body, &m.requester_sig, &m.provider_sig, s->wall);
    if (e == ERR_CHAIN)
        return OK;                                         /* had it already, or asked twice */
    if (e == ERR_EQUIVOCATION)
        log_failure(s, "channel.evidence", from, e);
    if (e)
        return e == ERR_SIGNATURE || e == ERR_EQUIVOCATION ? e : OK;
    if (m.more)
        send_resync(s, from, &peer);
    else if (ours == SIDE_PROVIDER)
        settlement_propose(t, &peer);
    return OK;
}

/* ---- receipts ---- */

/* A note is evidence for people; a bad one changes nothing, and is not kept. */
static void keep_note(struct services *s, const struct node_id *from, const struct receipt_msg *m)
{
    enum err e = m->note.len ? ledger_note_keep(s->ledger, m->note, &m->note_sig) : OK;
    if (e)
        log_failure(s, "note.refused", from, e);
}

enum err settlement_receipt(struct settlement *t, const struct node_id *from, struct bytes body, bool *out_closed,
                            struct hash *out_terms, struct hash *out_id)
{
    struct services *s = t->s;
    struct receipt_msg m;
    struct receipt r;
    struct sig sig;
    struct pubkey peer;
    *out_closed = false;
    enum err e = receipt_msg_decode(body, &m);
    if (e == OK)
        e = receipt_decode(m.body, &r);
    if (e)
        return e;
    if (!services_peer_key(s, from, &peer))
        return OK;
    struct hash channel = receipt_channel(&s->self, &peer);
    if (!hash_equal(&channel, &r.channel))
        return ERR_MISMATCH;
    e = ledger_receipt_cosign(s->ledger, m.body, &m.sig, s->wall, &sig, out_id);
    if (e) {
        log_failure(s, "receipt.refused", from, e);
        if (e == ERR_EQUIVOCATION)
            log_conflict(s, from, r.seq);
        if (e == ERR_CHAIN)
            send_resync(s, from, &peer);
        return e == ERR_SIGNATURE || e == ERR_MISMATCH || e == ERR_EQUIVOCATION ? e : OK;
    }
    keep_note(s, from, &m);
    send_receipt_msg(s, from, MSG_RECEIPT_OK, &r.terms, bytes_of(out_id->b, sizeof out_id->b), &sig);
    s->counters.receipts_closed++;
    *out_closed = true;
    *out_terms = r.terms;
    return OK;
}

enum err settlement_receipt_ok(struct settlement *t, const struct node_id *from, struct bytes body)
{
    struct services *s = t->s;
    struct receipt_msg m;
    struct pubkey peer;
    struct hash id;
    enum err e = receipt_msg_decode(body, &m);
    if (e)
        return e;
    if (m.body.len != HASH_BYTES)
        return ERR_ENCODING;
    memcpy(id.b, m.body.data, HASH_BYTES);
    if (!services_peer_key(s, from, &peer))
        return OK;
    e = ledger_receipt_complete(s->ledger, &peer, &id, &m.sig, s->wall);
    if (e)
        return e == ERR_SIGNATURE ? e : OK;
    keep_note(s, from, &m);
    s->counters.receipts_closed++;
    settlement_propose(t, &peer);                          /* the next one that waited for this */
    return OK;
}

/* ---- the clock ---- */

bool settlement_is_due(const struct settlement *t)
{
    struct pubkey peer = { { 0 } };
    struct node_id node;
    while (ledger_due_next(t->s->ledger, &peer) == OK)
        if (is_here(t->s, &peer, &node))
            return true;
    return false;
}

/* Looks up the next few debtors that are not connected. */
static void seek(struct settlement *t)
{
    struct services *s = t->s;
    uint32_t absent = 0;
    struct node_id node;
    while (absent < SEEKS_MAX && ledger_due_next(s->ledger, &t->sought) == OK)
        if (!is_here(s, &t->sought, &node)) {
            absent++;
            enum err e = overlay_find_node(s->overlay, s->now, &node);
            if (e)
                log_failure(s, "debtor.search", &node, e); /* too many lookups: its turn comes again */
        }
    struct pubkey first = { { 0 } };
    if (absent < SEEKS_MAX)
        t->sought = first;                                 /* all had their turn */
    t->seek_at = ledger_due_next(s->ledger, &first) == OK ? mono_add_ms(s->now, SEEK_MS) : MONO_NEVER;
}

void settlement_found(struct settlement *t, const struct node_record *record)
{
    struct services *s = t->s;
    struct node_record debtor = *record;                   /* lent only until the overlay is spoken to again */
    struct pubkey peer = { { 0 } };
    bool owes = false;
    while (!owes && ledger_due_next(s->ledger, &peer) == OK)
        owes = pubkey_equal(&peer, &debtor.key);
    enum err e = owes ? overlay_open(s->overlay, s->now, s->wall, &debtor) : OK;
    if (e && e != ERR_EXISTS)
        log_failure(s, "debtor.dial", &debtor.id, e);
}

static bool retry(struct settlement *t)
{
    struct pubkey peer = { { 0 } };
    if (!mono_reached(t->s->now, t->retry_at))
        return false;
    t->retry_at = MONO_NEVER;
    while (effects_is_roomy(t->s->out) && ledger_due_next(t->s->ledger, &peer) == OK)
        settlement_propose(t, &peer);                      /* sets retry_at again if the peer is here, seek_at if it is not */
    return true;
}

bool settlement_step(struct settlement *t)
{
    if (retry(t))
        return true;
    if (!mono_reached(t->s->now, t->seek_at))
        return false;
    seek(t);
    return true;
}

struct mono settlement_deadline(const struct settlement *t) { return mono_min(t->retry_at, t->seek_at); }
