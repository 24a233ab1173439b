/* ledger_channel.c - channel receipts: proposed, co-signed, completed, and brought back into step after a crash.
 *
 *   provider                                     requester
 *   due -> half-signed (body stored) --body-->   checked, stored with both signatures
 *   complete (stored) <-------signature------    (same answer to the same body, for ever)
 *
 * Whichever message is lost, the provider proposes the same body again.
 */
#include "ledger/book.h"

#include <string.h>

/* ---- provider ---- */

/* Invariant 3, before and after: our signature goes on the stored body of the next number and on nothing else. */
static enum err sign_half(struct ledger *l, const struct pubkey *requester, struct signed_body *out, struct hash *out_terms)
{
    struct channel stored;
    struct receipt r;
    enum err e = book_channel_load(l, SIDE_PROVIDER, requester, &stored);
    if (e != OK)
        return e;
    struct bytes body = bytes_of(stored.half, stored.half_len);
    if (receipt_decode(body, &r) != OK || book_channel_link(&stored, &r) != OK)
        return ERR_CORRUPT;
    ENSURE(r.seq == stored.seq + 1);
    memcpy(out->buf, body.data, body.len);
    out->len = body.len;
    *out_terms = r.terms;
    receipt_sign(l->key, SIDE_PROVIDER, &l->net, body, &out->sig);
    return OK;
}

/* The oldest job of this requester that wants a receipt. */
static enum err first_due(struct ledger *l, const struct pubkey *requester, struct hash *out_terms)
{
    struct book_key from = book_key_peer(requester);
    struct bytes key, value;
    enum err e = store_seek(l->store, STORE_JOB_DUE, book_key_view(&from), &key, &value);
    if (e != OK)
        return e;
    if (key.len != PUBKEY_BYTES + 8 || value.len != HASH_BYTES)
        return ERR_CORRUPT;
    if (memcmp(key.data, requester->b, PUBKEY_BYTES) != 0)
        return ERR_NOT_FOUND;
    memcpy(out_terms->b, value.data, HASH_BYTES);
    return OK;
}

static enum err compose(struct ledger *l, const struct channel *c, const struct hash *terms, struct receipt *out)
{
    struct job j;
    struct claim claim;
    struct terms t;
    enum err e = book_job_load(l, terms, &j);
    if (e == OK)
        e = book_terms_load(l, terms, &t);
    if (e == OK)
        e = book_claim_load(l, terms, j.claim_index, &claim);
    if (e != OK)
        return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
    struct receipt r = {
        .net = l->net, .channel = book_channel_id(l, SIDE_PROVIDER, &c->peer), .seq = c->seq + 1, .previous = c->head,
        .terms = *terms, .tokens = claim.tokens, .token_chain = claim.token_chain, .digest_chain = claim.digest_chain,
        .cost = claim.cost, .settled = c->settled, .output_offset = t.output_offset, .parent = t.parent,
    };
    e = amount_add(c->owed, r.cost, &r.owed);
    if (e != OK)
        return e;
    if (receipt_check(&r, &t, terms, &claim) != OK)        /* terms and claim agreed when they were stored */
        return ERR_CORRUPT;
    *out = r;
    return OK;
}

enum err ledger_receipt_propose(struct ledger *l, const struct pubkey *requester, struct signed_body *out, struct hash *out_terms)
{
    ENSURE(l->key != NULL);
    struct channel c;
    enum err e = ledger_frozen_check(l, requester);
    if (e == OK)
        e = book_channel_load(l, SIDE_PROVIDER, requester, &c);
    if (e == OK && c.half_len > 0)
        return sign_half(l, requester, out, out_terms);
    struct hash terms;
    struct receipt r;
    if (e == OK)
        e = first_due(l, requester, &terms);
    if (e == OK)
        e = compose(l, &c, &terms, &r);
    if (e != OK)
        return e;
    struct bytes body;
    e = receipt_encode(&r, c.half, &body);
    ENSURE(e == OK);
    c.half_len = body.len;
    e = book_channel_save(l, &c);                          /* before the signature exists */
    return e == OK ? sign_half(l, requester, out, out_terms) : e;
}

enum err ledger_receipt_complete(struct ledger *l, const struct pubkey *requester, const struct hash *id,
                                 const struct sig *requester_sig, struct wall now)
{
    ENSURE(l->key != NULL);
    struct channel c;
    struct receipt r;
    struct receipt_view known;
    enum err e = book_channel_load(l, SIDE_PROVIDER, requester, &c);
    if (e != OK)
        return e;
    uint8_t half[RECEIPT_BODY_BYTES_MAX];
    memcpy(half, c.half, sizeof half);
    struct book_signed s = { .body = bytes_of(half, c.half_len), .requester_sig = *requester_sig };
    struct hash half_id = receipt_id(s.body);
    if (c.half_len == 0 || !hash_equal(&half_id, id)) {
        e = ledger_receipt_find(l, id, &known);
        return e == OK && !pubkey_equal(&known.peer, requester) ? ERR_NOT_FOUND : e;
    }
    if (receipt_decode(s.body, &r) != OK)
        return ERR_CORRUPT;
    e = receipt_verify(&r, requester, SIDE_REQUESTER, s.body, requester_sig);
    struct job j;
    if (e == OK)
        e = book_job_load(l, &r.terms, &j);
    if (e != OK)
        return e;
    receipt_sign(l->key, SIDE_PROVIDER, &l->net, s.body, &s.provider_sig);
    return book_receipt_append(l, &c, &r, &s, &j, now);
}

static enum err due_next(struct ledger *l, struct pubkey *cursor)
{
    struct book_key last = book_key_peer_number(cursor, UINT64_MAX), from = book_key_after(&last);
    struct bytes key, value;
    enum err e = store_seek(l->store, STORE_JOB_DUE, book_key_view(&from), &key, &value);
    if (e != OK)
        return e;
    if (key.len != PUBKEY_BYTES + 8)
        return ERR_CORRUPT;
    memcpy(cursor->b, key.data, PUBKEY_BYTES);
    return OK;
}

enum err ledger_due_next(struct ledger *l, struct pubkey *cursor)
{
    struct pubkey at = *cursor;
    for (;;) {
        enum err e = due_next(l, &at);
        if (e == OK)
            e = ledger_frozen_check(l, &at);
        if (e == ERR_STATE)
            continue;
        if (e == OK)
            *cursor = at;
        return e;
    }
}

/* ---- requester ---- */

/* Two bodies under one number: the other one is proof of it and is kept, which freezes the channel. NULL: a signature that is not
 * there, or does not verify. */
static enum err keep_evidence(struct ledger *l, const struct channel *c, uint64_t seq, struct bytes body,
                              const struct sig *provider_sig, const struct sig *requester_sig)
{
    struct book_signed s = { .body = body };
    if (provider_sig)
        s.provider_sig = *provider_sig;
    if (requester_sig)
        s.requester_sig = *requester_sig;
    enum err e = book_evidence_keep(l, c->role, &c->peer, seq, &s);
    return e == OK ? ERR_EQUIVOCATION : e;
}

/* A number that is already taken: the same body gets the same answer, another one is equivocation. */
static enum err answer_again(struct ledger *l, const struct channel *c, const struct receipt *r, struct bytes body,
                             const struct sig *provider_sig, struct sig *out, struct hash *out_id)
{
    struct receipt_view v;
    enum err e = ledger_receipt_at(l, c->role, &c->peer, r->seq, &v);
    if (e != OK)
        return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
    if (!bytes_equal(v.body, body))
        return keep_evidence(l, c, r->seq, body, provider_sig, NULL);
    *out = v.requester_sig;
    *out_id = v.id;
    return OK;
}

/* Which claim of ours does it rest on? Any that we co-signed will do: the provider may not have got our last signature. */
static enum err check_rests_on_claim(struct ledger *l, const struct receipt *r, const struct terms *t)
{
    struct claim claim;
    uint64_t index = r->tokens.out / CLAIM_TOKENS + (r->tokens.out % CLAIM_TOKENS != 0);
    enum err e = book_claim_load(l, &r->terms, index, &claim);
    if (e != OK)
        return e == ERR_NOT_FOUND ? ERR_MISMATCH : e;
    return receipt_check(r, t, &r->terms, &claim);
}

static enum err cosign_next(struct ledger *l, struct channel *c, const struct receipt *r, const struct terms *t, struct job *j,
                            struct bytes body, const struct sig *provider_sig, struct wall now, struct sig *out)
{
    enum err e = ledger_frozen_check(l, &c->peer);
    if (e != OK)
        return e;
    if (!hash_is_zero(&j->receipt))
        return ERR_REPLAY;
    e = book_channel_link(c, r);
    if (e == OK)
        e = check_rests_on_claim(l, r, t);
    if (e != OK)
        return e;
    struct book_key taken = book_key_channel_seq(c->role, &c->peer, r->seq);
    uint64_t number;
    e = book_get_number(l, STORE_CHANNEL_SEQ, &taken, &number);
    if (e != ERR_NOT_FOUND)
        return e == OK ? ERR_CORRUPT : e;                  /* head and index disagree: sign nothing */
    ENSURE(r->seq == c->seq + 1);
    struct book_signed s = { .body = body, .provider_sig = *provider_sig };
    receipt_sign(l->key, SIDE_REQUESTER, &l->net, body, &s.requester_sig);
    e = book_receipt_append(l, c, r, &s, j, now);
    if (e == OK)
        *out = s.requester_sig;                            /* only now: the record is in the transaction */
    return e;
}

enum err ledger_receipt_cosign(struct ledger *l, struct bytes body, const struct sig *provider_sig, struct wall now,
                               struct sig *out, struct hash *out_id)
{
    ENSURE(l->key != NULL);
    struct receipt r;
    struct job j;
    struct terms t;
    struct channel c;
    enum err e = receipt_decode(body, &r);
    if (e == OK)
        e = book_job_load(l, &r.terms, &j);
    if (e == OK && j.role != SIDE_REQUESTER)
        e = ERR_NOT_FOUND;
    if (e == OK)
        e = book_terms_load(l, &r.terms, &t);
    if (e == OK)
        e = receipt_check(&r, &t, &r.terms, NULL);
    if (e == OK)
        e = receipt_verify(&r, &t.provider, SIDE_PROVIDER, body, provider_sig);
    if (e == OK)
        e = book_channel_load(l, SIDE_REQUESTER, &t.provider, &c);
    if (e != OK)
        return e;
    if (r.seq <= c.seq)
        return answer_again(l, &c, &r, body, provider_sig, out, out_id);
    e = cosign_next(l, &c, &r, &t, &j, body, provider_sig, now, out);
    if (e == OK)
        *out_id = c.head;
    return e;
}

/* ---- resync ---- */

enum err ledger_channel(struct ledger *l, enum side role, const struct pubkey *peer, struct channel_state *out)
{
    struct channel c;
    enum err e = book_channel_load(l, role, peer, &c);
    if (e != OK)
        return e;
    *out = (struct channel_state){
        .seq = c.seq, .head = c.head, .owed = c.owed, .settled = c.settled, .has_half = c.half_len > 0
    };
    if (out->has_half)
        out->half = receipt_id(bytes_of(c.half, c.half_len));
    return OK;
}

static enum err peer_is_behind(struct ledger *l, const struct channel *c, uint64_t peer_seq, const struct hash *peer_head,
                               enum resync *out)
{
    *out = RESYNC_SEND;
    if (peer_seq == 0)
        return OK;
    struct receipt_view v;
    enum err e = ledger_receipt_at(l, c->role, &c->peer, peer_seq, &v);
    if (e == OK && !hash_equal(&v.id, peer_head))
        *out = RESYNC_CONFLICT;
    return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
}

static enum err same_number(struct ledger *l, const struct channel *c, const struct hash *peer_head, enum resync *out)
{
    struct hash due;
    *out = hash_equal(&c->head, peer_head) ? RESYNC_EQUAL : RESYNC_CONFLICT;
    if (*out == RESYNC_CONFLICT || c->role != SIDE_PROVIDER)
        return OK;
    enum err e = c->half_len > 0 ? OK : first_due(l, &c->peer, &due);
    if (e == OK)
        *out = RESYNC_PROPOSE;
    return e == ERR_NOT_FOUND ? OK : e;
}

enum err ledger_resync(struct ledger *l, enum side role, const struct pubkey *peer, uint64_t peer_seq,
                       const struct hash *peer_head, enum resync *out)
{
    struct channel c;
    enum err e = book_channel_load(l, role, peer, &c);
    if (e != OK)
        return e;
    if (peer_seq == c.seq)
        return same_number(l, &c, peer_head, out);
    if (peer_seq < c.seq)
        return peer_is_behind(l, &c, peer_seq, peer_head, out);
    struct hash half = receipt_id(bytes_of(c.half, c.half_len));
    bool only_our_half = c.half_len > 0 && peer_seq == c.seq + 1 && hash_equal(&half, peer_head);
    *out = only_our_half ? RESYNC_PROPOSE : RESYNC_ASK;    /* proposing again brings the signature that was lost */
    return OK;
}

/* What we know of the job behind a receipt that the peer kept; *known false if nothing. */
static enum err job_behind(struct ledger *l, const struct receipt *r, enum side role, const struct pubkey *peer,
                           struct job *j, bool *known)
{
    enum err e = book_job_load(l, &r->terms, j);
    *known = e == OK;
    if (e == ERR_NOT_FOUND)
        return OK;
    if (e != OK)
        return e;
    if (j->role != role || !pubkey_equal(&j->peer, peer))
        return ERR_MISMATCH;
    return hash_is_zero(&j->receipt) ? OK : ERR_REPLAY;
}

/* The peer's signature must hold; *ours says whether our own does. */
static enum err verify_peer(struct ledger *l, const struct receipt *r, enum side role, const struct pubkey *peer,
                            const struct book_signed *s, bool *ours)
{
    enum side other = role == SIDE_REQUESTER ? SIDE_PROVIDER : SIDE_REQUESTER;
    const struct sig *own = role == SIDE_REQUESTER ? &s->requester_sig : &s->provider_sig;
    *ours = receipt_verify(r, &l->self, role, s->body, own) == OK;
    return receipt_verify(r, peer, other, s->body, role == SIDE_REQUESTER ? &s->provider_sig : &s->requester_sig);
}

/* A number that has a receipt, or our half of one: the same body is old news, another one is evidence. */
static enum err adopt_known(struct ledger *l, const struct channel *c, const struct receipt *r, const struct book_signed *s, bool ours)
{
    struct receipt_view v;
    bool half = r->seq > c->seq;
    enum err e = half ? OK : ledger_receipt_at(l, c->role, &c->peer, r->seq, &v);
    if (e != OK)
        return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
    if (bytes_equal(s->body, half ? bytes_of(c->half, c->half_len) : v.body))
        return ours ? OK : ERR_SIGNATURE;
    if (half && !ours)
        return ERR_SIGNATURE;                              /* the peer has signed nothing yet that this could contradict */
    bool requester = c->role == SIDE_REQUESTER;
    return keep_evidence(l, c, r->seq, s->body, requester || ours ? &s->provider_sig : NULL, !requester || ours ? &s->requester_sig : NULL);
}

enum err ledger_receipt_adopt(struct ledger *l, enum side role, const struct pubkey *peer, struct bytes body,
                              const struct sig *requester_sig, const struct sig *provider_sig, struct wall now)
{
    struct receipt r;
    struct channel c;
    struct job j;
    bool known, ours;
    struct book_signed s = { .body = body, .requester_sig = *requester_sig, .provider_sig = *provider_sig };
    enum err e = receipt_decode(body, &r);
    if (e != OK)
        return e;
    struct hash id = book_channel_id(l, role, peer);
    if (!net_id_equal(&r.net, &l->net) || !hash_equal(&r.channel, &id))
        return ERR_MISMATCH;
    e = verify_peer(l, &r, role, peer, &s, &ours);
    if (e == OK)
        e = book_channel_load(l, role, peer, &c);
    if (e != OK)
        return e;
    bool half = c.half_len > 0 && r.seq == c.seq + 1 && !bytes_equal(body, bytes_of(c.half, c.half_len));
    if (r.seq <= c.seq || half)
        return adopt_known(l, &c, &r, &s, ours);
    if (!ours)
        return ERR_SIGNATURE;
    e = ledger_frozen_check(l, peer);
    if (e == OK)
        e = book_channel_link(&c, &r);
    if (e == OK)
        e = job_behind(l, &r, role, peer, &j, &known);
    return e == OK ? book_receipt_append(l, &c, &r, &s, known ? &j : NULL, now) : e;
}
