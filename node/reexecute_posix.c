/* reexecute_posix.c - see reexecute_posix.h. */
#include "node/reexecute_posix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/engine.h"

struct scoring {
    const struct bundle *bundle;
    uint32_t prefill;
    struct hash *heads;
    struct reexecution *out;
};

static bool score(void *ctx, uint32_t position, uint32_t token, struct bytes head)
{
    struct scoring *s = ctx;
    uint32_t i = position - s->prefill, claimed = bundle_output_id(s->bundle, i);
    s->heads[i] = hash_of("head", head);
    s->out->tokens++;
    if (token != claimed && s->out->tokens_match) {
        s->out->tokens_match = false;
        s->out->first_token = i;
        s->out->expected = token;
        s->out->claimed = claimed;
    }
    return true;
}

static enum err run(struct engine *e, const struct bundle *b, const struct bundle_report *r, struct reexecution *out)
{
    const struct terms *t = &r->terms;
    size_t prefill = bundle_prefill_count(b), answer = bundle_output_count(b), first = 0;
    uint32_t *ids = malloc((prefill + answer + 1) * sizeof *ids);
    struct hash *heads = calloc(answer + 1, sizeof *heads);
    struct scoring s = { .bundle = b, .prefill = (uint32_t)prefill, .heads = heads, .out = out };
    struct sampler_params params = { .temperature_micro = t->sampling.temperature_micro, .top_k = t->sampling.top_k,
                                     .top_p_micro = t->sampling.top_p_micro, .seed = b->seed };
    enum err err = ids && heads ? OK : ERR_MEMORY;
    for (size_t i = 0; err == OK && i < prefill + answer; i++)
        ids[i] = i < prefill ? bundle_prefill_id(b, i) : bundle_output_id(b, i - prefill);
    if (err == OK)
        err = engine_score(e, ids, (uint32_t)prefill, (uint32_t)(prefill + answer), &params, score, &s);
    if (err == OK) {
        enum err digests = bundle_reexecution_check(b, r, heads, answer, &first);
        out->digests = (uint32_t)bundle_digest_count(b);
        out->digests_match = digests == OK;
        out->first_digest = first;
        if (digests != OK && digests != ERR_MISMATCH)
            err = digests;
    }
    free(heads);
    free(ids);
    return err;
}

enum err reexecute(const struct model *m, const struct bundle *b, const struct bundle_report *r, const char *backend, uint32_t threads,
                   struct reexecution *out, struct fault *why)
{
    struct engine *e;
    struct timespec from, to;
    size_t total = bundle_prefill_count(b) + bundle_output_count(b);
    if (!b->has_opening || bundle_output_count(b) == 0)
        return fault_set(why, ERR_STATE, "prompt and answer are not kept here (any more), so there is nothing to compute again");
    if (!bundle_can_be_reexecuted(r))
        return fault_set(why, ERR_STATE, "nothing that both sides signed stands behind the answer and its digests, so there is nothing to compare with");
    if (total >= m->config.context + 1)
        return fault_set(why, ERR_CONTEXT, "prompt and answer are longer than the model's context");
    struct engine_options o = { .backend = backend, .threads = threads, .slots_max = 1,
                                .kv_tokens_max = (uint32_t)(total + 255) / 256 * 256, .prefill_chunk = 512 };
    enum err err = engine_open(m, &o, &e, why);
    if (err != OK)
        return err;
    *out = (struct reexecution){ .tokens_match = true };
    snprintf(out->backend, sizeof out->backend, "%s", engine_backend(e));
    clock_gettime(CLOCK_MONOTONIC, &from);
    err = run(e, b, r, out);
    clock_gettime(CLOCK_MONOTONIC, &to);
    out->seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    engine_close(e);
    return err == OK ? OK : fault_set(why, err, "the forward pass failed: %s", err_text(err));
}
