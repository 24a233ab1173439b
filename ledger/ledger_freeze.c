/* ledger_freeze.c - which channels are frozen, and on what evidence? (PROTO 7.9)
 *
 * A channel is frozen when the peer showed, or said that it holds, another receipt under a number that has one. Our own
 * receipt stays where it is, in the primary; the other one is kept here:
 *
 *   evidence: role, peer, seq -> the other body with its signatures; or, until the peer shows it, its id alone
 *
 * A record here is what "frozen" means, so a restart forgets nothing. Nothing thaws a channel: two histories of one debt are
 * for people to settle.
 */
#include "ledger/book.h"

#include <string.h>

/* The first record of a channel from number `seq` on. */
static enum err evidence_from(struct ledger *l, enum side role, const struct pubkey *peer, uint64_t seq, uint64_t *out_seq)
{
    struct book_key from = book_key_channel_seq(role, peer, seq);
    struct bytes key, value;
    enum err e = store_seek(l->store, STORE_EVIDENCE, book_key_view(&from), &key, &value);
    if (e != OK)
        return e;
    if (key.len != from.len)
        return ERR_CORRUPT;
    if (memcmp(key.data, from.b, from.len - 8) != 0)
        return ERR_NOT_FOUND;
    *out_seq = book_number_at(key, from.len - 8);
    return OK;
}

static enum err side_is_frozen(struct ledger *l, enum side role, const struct pubkey *peer)
{
    uint64_t seq;
    enum err e = evidence_from(l, role, peer, 0, &seq);
    return e == OK ? ERR_STATE : e == ERR_NOT_FOUND ? OK : e;
}

enum err ledger_frozen_check(struct ledger *l, const struct pubkey *peer)
{
    enum err e = side_is_frozen(l, SIDE_REQUESTER, peer);
    return e == OK ? side_is_frozen(l, SIDE_PROVIDER, peer) : e;
}

/* A body is never as short as an id: what is 32 bytes long is one. */
static bool is_id_alone(const struct book_signed *s) { return s->body.len == HASH_BYTES; }

enum err book_evidence_keep(struct ledger *l, enum side role, const struct pubkey *peer, uint64_t seq, const struct book_signed *other)
{
    struct book_key k = book_key_channel_seq(role, peer, seq);
    struct book_signed known;
    enum err e = book_signed_get(l, STORE_EVIDENCE, &k, &known);
    if (e != OK && e != ERR_NOT_FOUND)
        return e;
    if (e == OK && (!is_id_alone(&known) || is_id_alone(other)))
        return OK;                                         /* the first proof is enough, and no peer fills our disk with more */
    return book_signed_put(l, STORE_EVIDENCE, &k, other);
}

enum err ledger_freeze(struct ledger *l, enum side role, const struct pubkey *peer, uint64_t seq, const struct hash *other, bool *out_new)
{
    struct book_signed s = { .body = bytes_of(other->b, HASH_BYTES) };
    enum err e = side_is_frozen(l, role, peer);
    *out_new = e == OK;
    return e == OK ? book_evidence_keep(l, role, peer, seq, &s) : e == ERR_STATE ? OK : e;
}

enum err ledger_evidence_at(struct ledger *l, enum side role, const struct pubkey *peer, uint64_t seq, struct evidence *out)
{
    struct book_signed s;
    uint64_t at;
    enum err e = evidence_from(l, role, peer, seq, &at);
    if (e != OK)
        return e;
    struct book_key k = book_key_channel_seq(role, peer, at);
    e = book_signed_get(l, STORE_EVIDENCE, &k, &s);
    if (e != OK)
        return e;
    *out = (struct evidence){ .seq = at, .requester_sig = s.requester_sig, .provider_sig = s.provider_sig };
    if (is_id_alone(&s)) {
        memcpy(out->other.b, s.body.data, HASH_BYTES);
    } else {
        out->other = receipt_id(s.body);
        out->body = s.body;
    }
    return OK;
}
