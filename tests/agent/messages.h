/* messages.h - every message of market and jobs by name: one sample of each, and decode followed by encode. */
#ifndef TALLYMESH_TESTS_AGENT_MESSAGES_H
#define TALLYMESH_TESTS_AGENT_MESSAGES_H

#include "node/job_msg.h"
#include "node/offer.h"

#define MESSAGES(X) \
    X(offer) X(bid) X(signed_msg) X(decline) X(terms_msg) X(prompt_msg) X(ok_msg) X(chunk_msg) X(claim_msg) X(receipt_msg) \
    X(cancel_msg) X(resync_msg) X(adopt_msg) X(kept_msg) X(header_get) X(header_part)

enum message {
#define X(name) MESSAGE_##name,
    MESSAGES(X)
#undef X
    MESSAGE_COUNT
};
const char *message_label(enum message m);

/* A fixed, plausible message; with `most` every field as long as it may be. Lent until the next call. */
struct bytes message_sample(enum message m, bool most);
/* What its header promises that every message of this kind fits into. */
size_t message_bytes_max(enum message m);
/* Decodes, encodes again into a buffer of its own. What decode said; *out lent until the next call. */
enum err message_again(enum message m, struct bytes in, struct bytes *out);

#endif
