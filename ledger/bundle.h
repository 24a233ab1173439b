/* bundle.h - can a stranger check a receipt with nothing but these bytes?
 *
 * Terms and both signatures, the last co-signed claim, every digest, the channel receipt if there is one, each side's note,
 * certificates if given, and the opening (prompt, nonce, seed, answer) if the requester chose to show it. Checking needs no
 * network, no ledger and no clock: certificates are compared with the time that both signed in the terms, so what once was
 * evidence stays evidence.
 *
 * Encoded: array(15) [version, terms body, requester's sig, provider's sig, requester's cert or empty, provider's cert or
 *          empty, claim body or empty, provider's sig, requester's sig, digests (32 bytes each), receipt body or empty,
 *          provider's sig, requester's sig, array of up to 2 notes [body, sig], opening: array(0) or
 *          array(4) [nonce, seed, prefill ids, output ids]].
 * Owns:    struct bundle lends into the decoded bytes.
 * Threads: pure; any thread.
 * Spec:    PROTO 7.10
 */
#ifndef TALLYMESH_LEDGER_BUNDLE_H
#define TALLYMESH_LEDGER_BUNDLE_H

#include "crypto/cert.h"
#include "ledger/note.h"
#include "ledger/receipt.h"

enum { BUNDLE_VERSION = 1, BUNDLE_NOTES_MAX = 2 };

struct bundle_signed {                                     /* a body and both signatures; body empty: absent */
    struct bytes body;
    struct sig requester_sig, provider_sig;
};
struct bundle {
    struct bundle_signed terms, claim, receipt;
    bool has_requester_cert, has_provider_cert;
    struct cert requester_cert, provider_cert;
    struct bytes digests;                                  /* whole 32-byte digests */
    uint32_t note_count;
    struct { struct bytes body; struct sig sig; } notes[BUNDLE_NOTES_MAX];
    bool has_opening;
    struct hash nonce;
    uint64_t seed;
    struct bytes prefill, output;                          /* token ids, u32 LE each */
};

enum err bundle_encode(const struct bundle *b, uint8_t *buf, size_t cap, struct bytes *out) MUST_CHECK;   /* ERR_TOO_LARGE */
/* Form only; what it says is bundle_check()'s. out lends into `in`. */
enum err bundle_decode(struct bytes in, struct bundle *out) MUST_CHECK;

size_t bundle_prefill_count(const struct bundle *b);
size_t bundle_output_count(const struct bundle *b);
size_t bundle_digest_count(const struct bundle *b);
/* i below the count. */
uint32_t bundle_prefill_id(const struct bundle *b, size_t i);
uint32_t bundle_output_id(const struct bundle *b, size_t i);
struct hash bundle_digest(const struct bundle *b, size_t i);

/* Every check by name, in the order they are made, with the sentence for people when it fails. */
#define BUNDLE_CHECKS(X)                                                                                               \
    X(BUNDLE_TERMS_FORM, "terms", "The terms are not well formed.")                                                    \
    X(BUNDLE_TERMS_NETWORK, "network", "The terms belong to another network.")                                         \
    X(BUNDLE_TERMS_REQUESTER, "terms: requester's signature", "The requester did not sign these terms.")               \
    X(BUNDLE_TERMS_PROVIDER, "terms: provider's signature", "The provider did not sign these terms.")                  \
    X(BUNDLE_CERT_REQUESTER, "requester's certificate",                                                                \
      "The requester's certificate does not hold for this key, network and time.")                                     \
    X(BUNDLE_CERT_PROVIDER, "provider's certificate",                                                                  \
      "The provider's certificate does not hold for this key, network and time.")                                      \
    X(BUNDLE_WORK, "claim or receipt", "Neither a claim nor a receipt is there: nothing signed says what was delivered.") \
    X(BUNDLE_CLAIM_FORM, "claim", "The claim is not well formed.")                                                     \
    X(BUNDLE_CLAIM_ARITHMETIC, "claim: counts and cost", "The claim's counts or cost do not follow from the terms.")   \
    X(BUNDLE_CLAIM_PROVIDER, "claim: provider's signature", "The provider did not sign this claim.")                   \
    X(BUNDLE_CLAIM_REQUESTER, "claim: requester's signature", "The requester did not sign this claim.")                \
    X(BUNDLE_DIGESTS, "digests", "The digests do not add up to the digest chain of the claim.")                        \
    X(BUNDLE_RECEIPT_FORM, "receipt", "The receipt is not well formed.")                                               \
    X(BUNDLE_RECEIPT_TERMS, "receipt: terms and claim", "The receipt does not say what terms and claim say.")          \
    X(BUNDLE_RECEIPT_TOTAL, "receipt: totals", "The receipt's totals are impossible.")                                 \
    X(BUNDLE_RECEIPT_PROVIDER, "receipt: provider's signature", "The provider did not sign this receipt.")             \
    X(BUNDLE_RECEIPT_REQUESTER, "receipt: requester's signature", "The requester did not sign this receipt.")          \
    X(BUNDLE_NOTES, "notes", "A note is malformed, about another job, or not signed by the side it names.")            \
    X(BUNDLE_OPENING_PROMPT, "opening: prompt", "The prompt shown is not the one committed to in the terms.")          \
    X(BUNDLE_OPENING_SEED, "opening: seed", "The seed shown is not the one committed to in the terms.")                \
    X(BUNDLE_OPENING_OUTPUT, "opening: answer", "The answer shown is not the one both sides signed for.")              \
    X(BUNDLE_ENDING, "ending", "The tokens do not show the end that a note states, or go on after a stop token.")

enum bundle_check_id {
#define X(name, label, sentence) name,
    BUNDLE_CHECKS(X)
#undef X
    BUNDLE_CHECK_COUNT
};
/* ABSENT: nothing there to check, or a check before it failed. */
enum check_result { CHECK_ABSENT, CHECK_PASSED, CHECK_FAILED };

struct bundle_report {
    enum check_result result[BUNDLE_CHECK_COUNT];
    enum err error[BUNDLE_CHECK_COUNT];                    /* why, where FAILED */
    struct terms terms;                                    /* decoded where the FORM check passed */
    struct claim claim;
    struct receipt receipt;
    struct hash terms_hash, receipt_id;
};
/* OK if nothing failed, else the error of the first failed check. */
enum err bundle_check(const struct bundle *b, const struct net_id *net, struct bundle_report *out) MUST_CHECK;
/* Is there something to hold a re-execution against: nothing failed, the answer is shown, and it and all its digests are what
 * both sides signed for? Without that a difference would accuse somebody of what he never said. */
bool bundle_can_be_reexecuted(const struct bundle_report *r);
const char *bundle_check_label(enum bundle_check_id id);       /* static */
const char *bundle_check_sentence(enum bundle_check_id id);    /* static */

/* After a re-execution: `heads` are the head hashes of the `count` output tokens of this job. OK if every digest is
 * reproduced; ERR_MISMATCH with the number of the first that is not in *out_first; ERR_STATE if !bundle_can_be_reexecuted(r). */
enum err bundle_reexecution_check(const struct bundle *b, const struct bundle_report *r, const struct hash *heads, size_t count,
                                  size_t *out_first) MUST_CHECK;

#endif
