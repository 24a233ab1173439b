/* engine_score.c - checking an answer: what would the sampler have said after each of its tokens? */
#include "kernels/engine_parts.h"

enum { SCORES_AT_ONCE = 32 };           /* positions that are sampled together */

struct score {
    uint32_t slot;
    const uint32_t *tokens;
    uint32_t n_prompt, n_total;
    const struct sampler_params *params;
    bool (*each)(void *ctx, uint32_t position, uint32_t token, struct bytes head);
    void *ctx;
    bool stopped;
};

/* Samples picks [first, first + count) of the pass just made and reports them. */
static enum err report(struct engine *e, struct score *s, uint32_t first, uint32_t count)
{
    uint8_t *head = e->heads + e->slots * engine_head_bytes(e);
    enum err err = device_pick(e->device, e->picks + first, count);
    for (uint32_t i = first; i < first + count && err == OK && !s->stopped; i++) {
        const struct pick *p = &e->picks[i];
        if (p->error != OK)
            return p->error;
        device_head_bytes(e->device, p->wanted, head);
        s->stopped = !s->each(s->ctx, p->position, p->token, bytes_of(head, engine_head_bytes(e)));
    }
    return err;
}

/* One slice of the sequence, positions [at, at + count). */
static enum err score_slice(struct engine *e, struct score *s, uint32_t at, uint32_t count)
{
    uint32_t n = 0;
    e->n_asked = 0;
    for (uint32_t i = at; i < at + count; i++)
        engine_add_row(e, &n, s->slot, i, s->tokens[i], i + 1 >= s->n_prompt ? s->params : NULL);
    enum err err = device_forward(e->device, e->rows, n);
    for (uint32_t i = 0; i < n && err == OK; i++)
        if (device_row_failed(e->device, i))
            return ERR_NUMERIC;
    for (uint32_t first = 0; first < e->n_asked && err == OK && !s->stopped; first += SCORES_AT_ONCE)
        err = report(e, s, first, engine_min(e->n_asked - first, SCORES_AT_ONCE));
    return err;
}

enum err engine_score(struct engine *e, const uint32_t *tokens, uint32_t n_prompt, uint32_t n_total,
                      const struct sampler_params *params,
                      bool (*each)(void *ctx, uint32_t position, uint32_t token, struct bytes head), void *ctx)
{
    if (n_prompt == 0 || n_total <= n_prompt || sampler_params_check(params) != OK)
        return ERR_ARG;
    if (n_total > e->context)
        return ERR_CONTEXT;
    if (!engine_tokens_are_known(e, tokens, n_total))
        return ERR_ARG;
    struct score s = { .tokens = tokens, .n_prompt = n_prompt, .n_total = n_total, .params = params, .each = each,
                       .ctx = ctx };
    enum err err = engine_take_slot(e, n_total, &s.slot);
    if (err != OK)
        return err;
    /* The last token is only compared, never read. */
    for (uint32_t at = 0; at < n_total - 1 && err == OK && !s.stopped; at += e->rows_max)
        err = score_slice(e, &s, at, engine_min(n_total - 1 - at, e->rows_max));
    device_release(e->device, s.slot);
    return err;
}
