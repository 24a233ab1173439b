/* cheat_stop.c - a provider that ends every answer after three tokens and says that a stop token did it.
 *
 * The prefill is billed whole with the first claim, so an answer that is cut short is the cheapest way to earn it. What the
 * claim says of the end is in no signature; the tokens have to show it.
 */
#include "node/worker_thread.h"

bool __real_worker_next(struct worker *w, struct worker_event *out);
bool __wrap_worker_next(struct worker *w, struct worker_event *out);

enum { TOKENS_MADE = 3 };

bool __wrap_worker_next(struct worker *w, struct worker_event *out)
{
    static uint64_t run, count;
    while (__real_worker_next(w, out)) {
        if (out->kind != WORKER_TOKEN && out->kind != WORKER_DONE)
            return true;
        count = out->run.id == run ? count + 1 : 1;
        run = out->run.id;
        if (count == TOKENS_MADE + 1)
            *out = (struct worker_event){ .kind = WORKER_DONE, .run = { run }, .finish = FINISH_STOP };
        if (count <= TOKENS_MADE + 1)
            return true;
    }
    return false;
}
