/* slow_tallyd.c - tallyd with a slow engine: 4 ms a step ($TALLY_SLOW_MS), as a large model would take; the rest is tallyd's own code.
 *
 * The demo model answers in a few milliseconds on a fast machine. What must happen in the middle of an answer (a stream
 * that is seen to flow, a client that leaves, a provider that is killed) needs an answer that has a middle.
 */
#include "kernels/engine.h"

#include <stdlib.h>
#include <time.h>

enum err __real_engine_step(struct engine *e, struct engine_output *out, size_t cap, size_t *n);
enum err __wrap_engine_step(struct engine *e, struct engine_output *out, size_t cap, size_t *n);

enum err __wrap_engine_step(struct engine *e, struct engine_output *out, size_t cap, size_t *n)
{
    const char *ms = getenv("TALLY_SLOW_MS");
    nanosleep(&(struct timespec){.tv_nsec = (ms ? atol(ms) : 4) * 1000000}, NULL);
    return __real_engine_step(e, out, cap, n);
}
