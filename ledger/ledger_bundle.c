/* ledger_bundle.c - gathers what the book holds about one job into a bundle for strangers. */
#include "ledger/book.h"
#include "ledger/bundle.h"

#include <stdlib.h>
#include <string.h>

enum { DIGESTS_MAX = OUTPUT_TOKENS_MAX / CLAIM_TOKENS };

/* Everything a bundle lends from, in one allocation: store views end with the next store call. */
struct gathered {
    uint8_t terms[TERMS_BYTES_MAX], claim[CLAIM_BYTES_MAX], receipt[RECEIPT_BODY_BYTES_MAX];
    uint8_t notes[BUNDLE_NOTES_MAX][NOTE_BYTES_MAX];
    uint8_t digests[DIGESTS_MAX * HASH_BYTES];
    uint32_t ids[STORE_VALUE_BYTES_MAX / sizeof(uint32_t)];
    uint8_t prefill[STORE_VALUE_BYTES_MAX], output[STORE_VALUE_BYTES_MAX];
};

static enum err copy(struct bytes from, uint8_t *to, size_t cap, struct bytes *out)
{
    if (from.len > cap)
        return ERR_CORRUPT;
    memcpy(to, from.data, from.len);
    *out = bytes_of(to, from.len);
    return OK;
}

static enum err gather_signed(struct ledger *l, enum store_table table, const struct book_key *k, uint8_t *to, size_t cap,
                              struct bundle_signed *out)
{
    struct book_signed s;
    enum err e = book_signed_get(l, table, k, &s);
    if (e != OK)
        return e;
    out->requester_sig = s.requester_sig;
    out->provider_sig = s.provider_sig;
    return copy(s.body, to, cap, &out->body);
}

static enum err gather_claim(struct ledger *l, const struct job *j, struct gathered *g, struct bundle *b)
{
    if (!j->has_claim)
        return OK;
    struct book_key k = book_key_hash_number(&j->terms, j->claim_index);
    enum err e = gather_signed(l, STORE_CLAIM, &k, g->claim, sizeof g->claim, &b->claim);
    return e == ERR_NOT_FOUND ? OK : e;                    /* an adopted receipt has no claim here */
}

static enum err gather_digests(struct ledger *l, const struct job *j, struct gathered *g, struct bundle *b)
{
    uint64_t count = j->has_claim ? j->claim_index : 0;
    if (count > DIGESTS_MAX)
        return ERR_CORRUPT;
    for (uint64_t i = 0; i < count; i++) {
        struct book_key k = book_key_hash_number(&j->terms, i);
        struct hash digest;
        enum err e = book_get_hash(l, STORE_DIGEST, &k, &digest);
        if (e != OK)
            return e == ERR_NOT_FOUND ? OK : e;            /* as above */
        memcpy(g->digests + i * HASH_BYTES, digest.b, HASH_BYTES);
        b->digests = bytes_of(g->digests, (size_t)(i + 1) * HASH_BYTES);
    }
    return OK;
}

static enum err gather_receipt(struct ledger *l, const struct job *j, struct gathered *g, struct bundle *b)
{
    struct receipt_view v;
    if (hash_is_zero(&j->receipt))
        return OK;
    enum err e = ledger_receipt_find(l, &j->receipt, &v);
    if (e != OK)
        return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
    b->receipt.requester_sig = v.requester_sig;
    b->receipt.provider_sig = v.provider_sig;
    return copy(v.body, g->receipt, sizeof g->receipt, &b->receipt.body);
}

static enum err gather_note(struct ledger *l, const struct job *j, enum side by, struct gathered *g, struct bundle *b)
{
    struct book_key k = book_key_hash_side(&j->terms, by);
    struct bundle_signed s;
    uint32_t i = b->note_count;
    enum err e = gather_signed(l, STORE_NOTE, &k, g->notes[i], NOTE_BYTES_MAX, &s);
    if (e != OK)
        return e == ERR_NOT_FOUND ? OK : e;
    b->notes[i].body = s.body;
    b->notes[i].sig = by == SIDE_REQUESTER ? s.requester_sig : s.provider_sig;
    b->note_count++;
    return OK;
}

static struct bytes ids_as_bytes(const uint32_t *ids, size_t count, uint8_t *to)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < 4; j++)
            to[4 * i + j] = (uint8_t)(ids[i] >> (8 * j));
    return bytes_of(to, 4 * count);
}

static enum err gather_opening(struct ledger *l, const struct job *j, struct gathered *g, struct bundle *b)
{
    struct opening o;
    enum err e = ledger_opening_get(l, &j->terms, g->ids, ARRAY_COUNT(g->ids), &o);
    if (e != OK)
        return e == ERR_NOT_FOUND ? OK : e;
    b->has_opening = true;
    b->nonce = o.nonce;
    b->seed = o.seed;
    b->prefill = ids_as_bytes(o.prompt, o.prompt_count, g->prefill);
    size_t of_signed = o.output_count < j->tokens.out ? o.output_count : (size_t)j->tokens.out;
    b->output = ids_as_bytes(o.output, of_signed, g->output);   /* the receipt may rest on an older claim than our last */
    return OK;
}

/* ERR_NOT_FOUND also for one that had run out when the terms were signed. */
static enum err cert_at(struct ledger *l, const struct pubkey *node, uint64_t stated_s, struct cert *out)
{
    enum err e = ledger_cert_find(l, node, out);
    return e == OK && out->not_after_s < stated_s ? ERR_NOT_FOUND : e;
}

static enum err gather_certs(struct ledger *l, const struct job *j, struct bundle *b)
{
    struct terms t;
    if (terms_decode(b->terms.body, &t) != OK)
        return ERR_CORRUPT;
    const struct pubkey *requester = j->role == SIDE_REQUESTER ? &l->self : &j->peer;
    const struct pubkey *provider = j->role == SIDE_REQUESTER ? &j->peer : &l->self;
    enum err r = cert_at(l, requester, t.stated_s, &b->requester_cert), p = cert_at(l, provider, t.stated_s, &b->provider_cert);
    b->has_requester_cert = r == OK;
    b->has_provider_cert = p == OK;
    return r != OK && r != ERR_NOT_FOUND ? r : p == ERR_NOT_FOUND ? OK : p;
}

static enum err gather(struct ledger *l, const struct hash *terms, bool with_opening, struct gathered *g, struct bundle *b)
{
    struct job j;
    struct book_key k = book_key_hash(terms);
    enum err e = book_job_load(l, terms, &j);
    if (e == OK)
        e = gather_signed(l, STORE_TERMS, &k, g->terms, sizeof g->terms, &b->terms);
    if (e == OK)
        e = gather_certs(l, &j, b);
    if (e == OK)
        e = gather_claim(l, &j, g, b);
    if (e == OK)
        e = gather_digests(l, &j, g, b);
    if (e == OK)
        e = gather_receipt(l, &j, g, b);
    if (e == OK)
        e = gather_note(l, &j, SIDE_REQUESTER, g, b);
    if (e == OK)
        e = gather_note(l, &j, SIDE_PROVIDER, g, b);
    if (e == OK && with_opening)
        e = gather_opening(l, &j, g, b);
    return e;
}

enum err ledger_bundle(struct ledger *l, const struct hash *terms, bool with_opening, uint8_t *buf, size_t cap, struct bytes *out)
{
    struct gathered *g = malloc(sizeof *g);
    if (!g)
        return ERR_MEMORY;
    struct bundle b = { .has_opening = false };
    enum err e = gather(l, terms, with_opening, g, &b);
    if (e == OK)
        e = bundle_encode(&b, buf, cap, out);
    if (with_opening)
        book_wipe(g, sizeof *g);
    free(g);
    return e;
}
