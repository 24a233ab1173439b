/* candidates.c - who is worth asking for the rest of an ask, best first. */
#include <string.h>

#include "node/ask.h"

enum { RTT_UNKNOWN_US = 50 * 1000 };

bool candidate_is_bad(const struct requester *r, const struct ask *a, const struct node_id *node)
{
    for (uint32_t i = 0; i < a->failed_count; i++)
        if (node_id_equal(&a->failed[i], node))
            return true;
    return trust_is_bad(&r->trust, r->s->now, node);
}

uint64_t candidate_cost(const struct ask *a, uint64_t price_in, uint64_t price_out)
{
    struct tokens t = { .in = a->tokens.count, .out = ask_rest(a) };
    struct prices p = { .in = price_in, .out = price_out };
    struct pico cost;
    return amount_cost(&t, &p, &cost) == OK ? cost.v : UINT64_MAX;
}

static enum decline_reason advert_check(const struct ask *a, const struct advert *ad, uint64_t *have, uint64_t *limit)
{
    struct placement p = { .price_input = ad->prices.input, .price_output = ad->prices.output, .tier = (uint8_t)ad->tier,
                           .energy_mj_per_1k = ad->energy_mj_per_1000 > UINT32_MAX ? UINT32_MAX : (uint32_t)ad->energy_mj_per_1000,
                           .owner = ad->node.has_cert ? &ad->node.cert.owner : NULL };
    memcpy(p.jurisdiction, ad->jurisdiction, sizeof p.jurisdiction);
    *have = (uint64_t)a->tokens.count + ask_rest(a);
    *limit = ad->context_tokens;
    if (*have > *limit)
        return DECLINE_CONTEXT;
    return limits_check(&a->limits, &p, have, limit);
}

static int candidate_compare(const struct candidate *x, const struct candidate *y)
{
    if (x->failed != y->failed)
        return x->failed ? 1 : -1;
    if (x->cost != y->cost)
        return x->cost < y->cost ? -1 : 1;
    if (x->rtt_us != y->rtt_us)
        return x->rtt_us < y->rtt_us ? -1 : 1;
    return hash_compare(&x->advert->node.id.h, &y->advert->node.id.h);
}

size_t candidates_rank(struct requester *r, struct ask *a, struct advert adverts[ADVERTS_MAX], struct candidate out[ADVERTS_MAX])
{
    size_t known = overlay_providers(r->s->overlay, r->s->now, &a->model, adverts, ADVERTS_MAX), count = 0;
    for (size_t i = 0; i < known; i++) {
        const struct advert *ad = &adverts[i];
        struct decline d = { .reason = DECLINE_NONE };
        if (node_id_equal(&ad->node.id, overlay_self(r->s->overlay)))
            continue;
        d.reason = advert_check(a, ad, &d.have, &d.limit);
        if (d.reason != DECLINE_NONE) {
            bidding_note_refusal(a, &d, &ad->node.id);
            continue;
        }
        if (a->model_name[0] == 0)
            memcpy(a->model_name, ad->model_name, sizeof a->model_name);
        uint32_t rtt = services_rtt_us(r->s, &ad->node.id);
        struct candidate c = { ad, candidate_is_bad(r, a, &ad->node.id), candidate_cost(a, ad->prices.input, ad->prices.output), rtt ? rtt : RTT_UNKNOWN_US };
        size_t at = count++;
        for (; at > 0 && candidate_compare(&c, &out[at - 1]) < 0; at--)
            out[at] = out[at - 1];
        out[at] = c;
    }
    return count;
}
