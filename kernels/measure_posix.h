/* measure_posix.h - how fast does this machine read memory, and how fast does an engine read and write tokens on it?
 *
 * A decode step reads every weight once, so on a CPU the rate at which memory can be read is the limit of decoding alone;
 * the share of it that is reached says how good an engine is, on whatever machine. Rates drift with the load of the
 * machine: measure both in the same minute.
 *
 * Threads: one caller; threads of its own while it measures.
 */
#ifndef TALLYMESH_KERNELS_MEASURE_POSIX_H
#define TALLYMESH_KERNELS_MEASURE_POSIX_H

#include "crypto/base.h"
#include "kernels/engine.h"

/* Bytes per second that `threads` threads read together from memory larger than the caches: the best of a few passes over
 * 384 MiB in about half a second. ERR_MEMORY; ERR_DEVICE as pool_open(). */
enum err measure_read_rate(uint32_t threads, uint64_t *bytes_per_s) MUST_CHECK;

struct measure_plan {
    uint32_t jobs;               /* answers written at once */
    uint32_t prompt, answer;     /* tokens of each; answer >= 2 */
    uint32_t at_most_ms;         /* of decoding; what was written until then counts. 0: no limit */
};

struct measure_rates {           /* thousandths of a token per second, over all jobs */
    uint64_t prefill_millitokens_s, decode_millitokens_s;
};

/* Runs the plan on an idle engine. ERR_STATE unless idle; ERR_CAPACITY, ERR_CONTEXT: the plan does not fit the engine. */
enum err measure_engine(struct engine *e, const struct measure_plan *plan, struct measure_rates *out) MUST_CHECK;

#endif
