/* amount.h - what do these tokens cost, exactly?
 *
 * Prices are micro-credits per million tokens, so tokens x price is pico-credits with nothing to round:
 *     3 tokens x 250000 micro-credits / 1000000 tokens = 0.75 micro-credits = 750000 pico-credits = 3 x 250000.
 * All sums are checked; a result above 2^64 - 1 pico-credits (18.4 million credits) is ERR_OVERFLOW, never a wrap.
 * Only display rounds, and this file's text form does not even do that: it prints all twelve decimals.
 *
 * Owns:    nothing.
 * Threads: pure; any thread.
 * Spec:    PROTO 7.1
 */
#ifndef TALLYMESH_LEDGER_AMOUNT_H
#define TALLYMESH_LEDGER_AMOUNT_H

#include "crypto/base.h"

/* Cumulative counts within one job. in and cached are disjoint: together they are the tokens of the prefill. */
struct tokens {
    uint64_t in, cached, out;
};
/* Micro-credits per million tokens, one price for each count. */
struct prices {
    uint64_t in, cached, out;
};
/* Money: 10^-12 credits. */
struct pico {
    uint64_t v;
};

enum { AMOUNT_CHARS_MAX = 24 };                            /* "18446744.073709551615" and some air */

enum err amount_cost(const struct tokens *t, const struct prices *p, struct pico *out) MUST_CHECK;   /* ERR_OVERFLOW */
enum err amount_add(struct pico a, struct pico b, struct pico *out) MUST_CHECK;                      /* ERR_OVERFLOW */
enum err amount_sub(struct pico a, struct pico b, struct pico *out) MUST_CHECK;                      /* ERR_OVERFLOW if b > a */

/* Credits with twelve decimals: "0.000000750000". */
void amount_format(struct pico a, char out[AMOUNT_CHARS_MAX + 1]);
/* Digits, optionally a point and one to twelve digits. ERR_FORMAT, ERR_OVERFLOW; out untouched. */
enum err amount_parse(const char *text, struct pico *out) MUST_CHECK;

#endif
