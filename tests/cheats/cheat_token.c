/* cheat_token.c - a provider that changes one token of every answer it sells, number CHEAT_AT (1 is the first; 10 if it is not
 * given); the rest of the program is tallyd's own.
 *
 * Linked with --wrap=worker_next: the node believes what this worker tells it, signs for it, and is paid for it. Both
 * sides count the same tokens, so the receipt is in order; only computing the answer again shows the lie.
 */
#include <stdlib.h>

#include "node/worker_thread.h"

bool __real_worker_next(struct worker *w, struct worker_event *out);
bool __wrap_worker_next(struct worker *w, struct worker_event *out);

bool __wrap_worker_next(struct worker *w, struct worker_event *out)
{
    static uint64_t run, count;
    bool got = __real_worker_next(w, out);
    if (got && out->kind == WORKER_TOKEN) {
        count = out->run.id == run ? count + 1 : 1;
        run = out->run.id;
        const char *at = getenv("CHEAT_AT");
        if (count == strtoull(at ? at : "10", NULL, 10))
            out->token = out->token == 300 ? 301 : 300;
    }
    return got;
}
