/* job_msg.h - the messages of a running job and of model headers, as bytes.
 *
 * Bodies only: the overlay's frame around them carries version, type, request id, hop count and age, and the link says who
 * speaks. Signed statements (terms, claims, receipts, notes) ride inside as the exact bytes that were signed.
 *
 * Owns:    nothing; decoded messages lend views into the body they were read from.
 * Threads: pure.
 * Spec:    PROTO 6.4 to 6.10, 8.2
 */
#ifndef TALLYMESH_NODE_JOB_MSG_H
#define TALLYMESH_NODE_JOB_MSG_H

#include "crypto/bounds.h"
#include "crypto/codec.h"
#include "ledger/receipt.h"
#include "node/event.h"

enum {
    PROMPT_BYTES_MAX = 5 * PROMPT_TOKENS_MAX + 64,         /* array head, nonce, seed, then at most 5 bytes a token */
    SEALED_BYTES_MAX = PROMPT_BYTES_MAX + SEAL_OVERHEAD_BYTES,
    SIGNED_OVERHEAD_BYTES = SIG_BYTES + 8,                 /* a signature and its neighbours' heads */
    TERMS_MSG_BYTES_MAX = TERMS_BYTES_MAX + SIGNED_OVERHEAD_BYTES + SEALED_BYTES_MAX + 16,
    CHUNK_BYTES_MAX = 5 * CHUNK_TOKENS_MAX + 64,
    CLAIM_MSG_BYTES_MAX = CLAIM_BYTES_MAX + SIGNED_OVERHEAD_BYTES + HASH_BYTES + 16,
    RECEIPT_MSG_BYTES_MAX = RECEIPT_BODY_BYTES_MAX + SIGNED_OVERHEAD_BYTES + NOTE_BYTES_MAX + SIGNED_OVERHEAD_BYTES + 16,
    HASH_SIG_BYTES_MAX = HASH_BYTES + SIG_BYTES + 24,      /* TERMS_OK, CLAIM_OK */
    CANCEL_BYTES_MAX = HASH_BYTES + 8,
    RESYNC_BYTES_MAX = 2 * HASH_BYTES + 32, ADOPT_BYTES_MAX = RECEIPT_BODY_BYTES_MAX + 2 * SIG_BYTES + 32,
    KEPT_BYTES_MAX = CLAIM_BYTES_MAX + HASH_BYTES + 2 * SIG_BYTES + 24,
    HEADER_GET_BYTES_MAX = HASH_BYTES + 16,
    HEADER_PART_MSG_BYTES_MAX = HEADER_PART_BYTES + 2 * HASH_BYTES + 32,
};
_Static_assert((int)TERMS_MSG_BYTES_MAX <= (int)DATA_BODY_BYTES_MAX, "the longest prompt and its terms fit one frame");
_Static_assert((int)HEADER_PART_MSG_BYTES_MAX <= (int)DATA_BODY_BYTES_MAX, "a header part fits one frame");
_Static_assert((int)RECEIPT_MSG_BYTES_MAX <= (int)CONTROL_BODY_BYTES_MAX, "a receipt is a control message");

/* TERMS: requester to provider. [terms, requester's signature, sealed prompt] */
struct terms_msg {
    struct bytes terms;
    struct sig sig;
    struct bytes sealed;                                   /* prompt_msg, sealed to the bid's one-time key; context: terms hash */
};
enum err terms_msg_encode(const struct terms_msg *m, void *buf, size_t cap, struct bytes *view) MUST_CHECK;
enum err terms_msg_decode(struct bytes body, struct terms_msg *out) MUST_CHECK;

/* What is sealed. [nonce, seed, [token ids]] */
struct prompt_msg {
    struct hash nonce;
    uint64_t seed;
    uint32_t count;
};
enum err prompt_msg_encode(const struct prompt_msg *m, const uint32_t *tokens, void *buf, size_t cap, struct bytes *view) MUST_CHECK;
/* tokens has room for PROMPT_TOKENS_MAX ids; m->count of them are written. */
enum err prompt_msg_decode(struct bytes body, struct prompt_msg *out, uint32_t *tokens) MUST_CHECK;

/* TERMS_OK [terms hash, 0, provider's signature] and CLAIM_OK [terms hash, claim index, requester's signature]. */
struct ok_msg {
    struct hash terms;
    uint64_t index;
    struct sig sig;
};
enum err ok_msg_encode(const struct ok_msg *m, void *buf, size_t cap, struct bytes *view) MUST_CHECK;
enum err ok_msg_decode(struct bytes body, struct ok_msg *out) MUST_CHECK;

/* CHUNK: tokens as they are made. [terms hash, offset within this job, [token ids]] */
struct chunk_msg {
    struct hash terms;
    uint64_t offset;
    uint32_t count, tokens[CHUNK_TOKENS_MAX];
};
enum err chunk_msg_encode(const struct chunk_msg *m, void *buf, size_t cap, struct bytes *view) MUST_CHECK;
enum err chunk_msg_decode(struct bytes body, struct chunk_msg *out) MUST_CHECK;

/* CLAIM: [claim, provider's signature, the digest new in it or empty (claim 0), ending: 0 not the last, else 1 + enum finish] */
struct claim_msg {
    struct bytes claim;
    struct sig sig;
    bool has_digest, last;
    struct hash digest;
    enum finish finish;                                    /* when last */
};
enum err claim_msg_encode(const struct claim_msg *m, void *buf, size_t cap, struct bytes *view) MUST_CHECK;
enum err claim_msg_decode(struct bytes body, struct claim_msg *out) MUST_CHECK;

/* RECEIPT, provider to requester, and RECEIPT_OK back: the same four fields, so that one codec serves both.
 * [receipt body, own signature, own note or empty, note's signature or empty] */
struct receipt_msg {
    struct bytes body;
    struct sig sig;
    struct bytes note;                                     /* empty: none */
    struct sig note_sig;
};
enum err receipt_msg_encode(const struct receipt_msg *m, void *buf, size_t cap, struct bytes *view) MUST_CHECK;
enum err receipt_msg_decode(struct bytes body, struct receipt_msg *out) MUST_CHECK;

/* CANCEL: [subject, why]. subject is an offer hash (bidder released) or a terms hash (job ends). */
enum cancel_why {
    CANCEL_CLIENT,                                         /* the client is gone, or the bid is not wanted */
    CANCEL_SATISFIED,                                      /* the client has what it wanted: a stop string matched */
    CANCEL_GIVEN_UP,                                       /* too late or wrong: nothing more will be co-signed */
};
struct cancel_msg {
    struct hash subject;
    enum cancel_why why;
};
enum err cancel_msg_encode(const struct cancel_msg *m, void *buf, size_t cap, struct bytes *view) MUST_CHECK;
enum err cancel_msg_decode(struct bytes body, struct cancel_msg *out) MUST_CHECK;

/* RESYNC: where I stand on the two channels between us.
 * [seq as provider, head as provider, seq as requester, head as requester]; head zero where seq is 0. */
struct resync_msg {
    uint64_t provider_seq, requester_seq;
    struct hash provider_head, requester_head;
};
enum err resync_msg_encode(const struct resync_msg *m, void *buf, size_t cap, struct bytes *view) MUST_CHECK;
enum err resync_msg_decode(struct bytes body, struct resync_msg *out) MUST_CHECK;

/* RESYNC_OK: a complete receipt that the other side lacks.
 * [sender's side on its channel, receipt body, requester's signature, provider's signature, 1 if more follow after another RESYNC] */
struct adopt_msg {
    enum side side;
    struct bytes body;
    struct sig requester_sig, provider_sig;
    bool more;
};
enum err adopt_msg_encode(const struct adopt_msg *m, void *buf, size_t cap, struct bytes *view) MUST_CHECK;
enum err adopt_msg_decode(struct bytes body, struct adopt_msg *out) MUST_CHECK;

/* CLAIM_KEPT: a claim both sides signed, from the requester who kept it.
 * [claim, digest new in it or empty, requester's signature, provider's signature] */
struct kept_msg {
    struct bytes claim;
    bool has_digest;
    struct hash digest;
    struct sig requester_sig, provider_sig;
};
enum err kept_msg_encode(const struct kept_msg *m, void *buf, size_t cap, struct bytes *view) MUST_CHECK;
enum err kept_msg_decode(struct bytes body, struct kept_msg *out) MUST_CHECK;

/* HEADER_GET [model id, offset] */
struct header_get_msg {
    struct hash model;
    uint32_t offset;
};
enum err header_get_encode(const struct header_get_msg *m, void *buf, size_t cap, struct bytes *view) MUST_CHECK;
enum err header_get_decode(struct bytes body, struct header_get_msg *out) MUST_CHECK;

/* HEADER_PART [model id, offset, total bytes, tensor hash, bytes]; total 0: not served here. */
struct header_part_msg {
    struct hash model, tensor_hash;
    uint32_t offset, total;
    struct bytes part;
};
enum err header_part_encode(const struct header_part_msg *m, void *buf, size_t cap, struct bytes *view) MUST_CHECK;
enum err header_part_decode(struct bytes body, struct header_part_msg *out) MUST_CHECK;

#endif
