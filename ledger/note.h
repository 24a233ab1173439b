/* note.h - how did the job end, and whose fault does one side say it was?
 *
 * The two sides may honestly disagree about why a job ended, so this is not part of what both sign. It is one side's
 * signed word, kept beside the receipt.
 *
 * Encoded: array(6) [version, subject, by side, state, fault side, reason]. subject is the terms hash.
 * Owns:    nothing.
 * Threads: pure; any thread.
 * Spec:    PROTO 7.6
 */
#ifndef TALLYMESH_LEDGER_NOTE_H
#define TALLYMESH_LEDGER_NOTE_H

#include "ledger/terms.h"

enum { NOTE_VERSION = 1 };

/* How a job ended. On the wire and on disk; append only. */
#define JOB_OUTCOME_TABLE(X)                                                                                           \
    X(OUTCOME_NONE, "open")                          /* not ended; never in a note */                                  \
    X(OUTCOME_COMPLETE, "complete")                  /* the model stopped, or output_max was reached */                \
    X(OUTCOME_PARTIAL, "partial")                    /* some tokens, then one side went away */                        \
    X(OUTCOME_IDLE, "idle")                          /* agreed, but the other side never began */                      \
    X(OUTCOME_CANCELLED, "cancelled")                /* the requester asked for the end */                             \
    X(OUTCOME_REFUSED, "refused")                    /* terms not accepted */                                          \
    X(OUTCOME_FAILED, "failed")                      /* no token was delivered */

enum outcome {
#define X(name, text) name,
    JOB_OUTCOME_TABLE(X)
#undef X
    OUTCOME_COUNT
};
const char *outcome_text(enum outcome o);                  /* "partial"; static */
const char *side_text(enum side s);                        /* "none", "requester", "provider"; static */

/* Why, for people and counters. On the wire and on disk; append only. */
#define REASON_TABLE(X)                                                                                                \
    X(REASON_NONE, "nothing special")                                                                                  \
    X(REASON_STOP, "a stop token was generated")                                                                       \
    X(REASON_LENGTH, "the token limit was reached")                                                                    \
    X(REASON_CLIENT_CANCEL, "the client cancelled or went away")                                                       \
    X(REASON_LINK_LOST, "the link to the peer was lost")                                                               \
    X(REASON_TOKEN_DEADLINE, "no token arrived in time")                                                               \
    X(REASON_NO_ACK, "claims were not co-signed in time")                                                              \
    X(REASON_CLAIM_MISMATCH, "a claim did not match our own count")                                                    \
    X(REASON_BAD_SIGNATURE, "a signature did not verify")                                                              \
    X(REASON_CREDIT, "the credit limit was reached")                                                                   \
    X(REASON_CAPACITY, "no free slot")                                                                                 \
    X(REASON_MODEL, "the model is not served here")                                                                    \
    X(REASON_TERMS, "the terms were not acceptable")                                                                   \
    X(REASON_PROMPT, "the prompt did not open or did not match its commitment")                                        \
    X(REASON_ENGINE, "the engine failed")                                                                              \
    X(REASON_RESTART, "the process was restarted")                                                                     \
    X(REASON_SHUTDOWN, "the node is shutting down")                                                                    \
    X(REASON_ENDING, "its tokens do not show the end that was claimed")                                                \
    X(REASON_SATISFIED, "the client had what it wanted")

enum reason {
#define X(name, text) name,
    REASON_TABLE(X)
#undef X
    REASON_COUNT
};
const char *reason_text(enum reason r);                    /* static */

struct note {
    struct hash subject;                                   /* terms hash */
    enum side by, fault;
    enum outcome outcome;
    enum reason reason;
};

enum err note_encode(const struct note *n, uint8_t buf[NOTE_BYTES_MAX], struct bytes *out_body) MUST_CHECK;
enum err note_decode(struct bytes body, struct note *out) MUST_CHECK;
void note_sign(const struct secret_key *k, const struct net_id *net, struct bytes body, struct sig *out);
/* Signed by the side it names, per these terms. */
enum err note_verify(const struct note *n, const struct terms *t, struct bytes body, const struct sig *s) MUST_CHECK;

#endif
