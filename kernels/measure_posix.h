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

/* A probe of the memory: `threads` threads that read 384 MiB together, several streams each. ERR_MEMORY; ERR_DEVICE as
 * pool_open(). Pair with measure_probe_close(). */
struct measure_probe;
enum err measure_probe_open(uint32_t threads, struct measure_probe **out) MUST_CHECK;
void measure_probe_close(struct measure_probe *p);
/* Bytes per second of one pass; some tens of milliseconds. */
uint64_t measure_probe_read(struct measure_probe *p);

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
