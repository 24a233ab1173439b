/* bidding.c - finds somebody for the rest of an ask: offer out, bids and refusals in, the best one chosen.
 *
 * Who is asked: providers known from signed adverts that meet the constraints, cheapest first, then nearest by the round
 * trip measured on our own link (one never measured counts as average), in rounds of OFFER_PROVIDERS_MAX. Batch work, and
 * any work when fewer than OFFER_DIRECT_MIN providers are known, is gossiped on the model's topic as well.
 *
 * When it closes: interactive work as soon as everybody asked directly has answered and one bid is acceptable, or
 * BID_GRACE_MS after the first acceptable bid - BID_GRACE_CHEAPER_MS while somebody who advertises a lower price has not
 * answered, so that a busy moment does not decide the price; gossiped batch work BID_GRACE_BATCH_MS after it. Whoever failed
 * lately is no acceptable bidder until BID_LAST_RESORT_MS after the first bid: others had their time, and its bid still holds. A
 * bid that ran out is never answered with terms: they would be refused, and the refusal held against an honest provider.
 * Load is never read from adverts: it is what a bid or a refusal says.
 */
#include <stdio.h>
#include <string.h>

#include "node/ask.h"

enum { OFFER_DIRECT_MIN = 3 };

/* ---- refusals: which one does the client hear of? ---- */

/* What the client can do something about weighs more than what was a matter of chance. */
static int telling(enum decline_reason r)
{
    enum err e = decline_err(r);
    if (e == ERR_CREDIT)
        return 5;
    if (e == ERR_PRICE || e == ERR_CONTEXT)
        return 4;
    if (e == ERR_CONSTRAINT)
        return 3;
    if (e == ERR_CAPACITY)
        return 2;
    return r != DECLINE_NONE;
}

void bidding_note_refusal(struct ask *a, const struct decline *d, const struct node_id *by)
{
    if (telling(d->reason) <= telling(a->why_not.reason))
        return;
    a->why_not = *d;
    a->why_not_by = *by;
}

/* Requests that were turned away together must not come back together. */
static uint32_t jitter(const struct requester *r, const struct ask *a)
{
    struct hasher h;
    struct hash out;
    hasher_init(&h, "jitter");
    hasher_add(&h, bytes_of(a->job_id, sizeof a->job_id));
    hasher_add_u64(&h, r->s->config.seed);
    hasher_add_u64(&h, a->rounds);
    hasher_finish(&h, &out);
    return (uint32_t)out.b[0] | (uint32_t)out.b[1] << 8;
}

/* A full house is no answer: the offer is made again a little later, unless the client has waited long enough. */
static bool queue(struct requester *r, struct ask *a)
{
    struct mono again = mono_add_ms(r->s->now, a->retry_ms + jitter(r, a) % a->retry_ms);
    if (decline_err(a->why_not.reason) != ERR_CAPACITY || mono_reached(again, a->queue_until))
        return false;
    a->state = ASK_QUEUED;
    a->deadline = again;
    a->grace_at = MONO_NEVER;
    a->retry_ms = a->retry_ms * 2 < QUEUE_RETRY_MS_MAX ? a->retry_ms * 2 : QUEUE_RETRY_MS_MAX;
    return true;
}

static void give_up(struct requester *r, struct ask *a)
{
    const struct decline *d = &a->why_not;
    char why[240];
    bidding_release(r, a, NULL);
    if (queue(r, a))
        return;
    if (d->reason == DECLINE_NONE) {
        enum err e = a->failed_count ? ERR_PEER_GONE : a->asked_count ? ERR_TIMEOUT : ERR_NO_PROVIDER;    /* gone, silent, or unknown */
        snprintf(why, sizeof why, a->failed_count ? "every provider of model %s failed or is gone" : "no provider of model %s answered",
                 a->model_name[0] ? a->model_name : short_name(&a->model).text);
        ask_fail(r, a, e, why);
        return;
    }
    int len = snprintf(why, sizeof why, "no provider took it; node %s: %s", short_name(&a->why_not_by.h).text, decline_text(d->reason));
    if (d->limit || d->have) {
        char limit[AMOUNT_CHARS_MAX + 1], have[AMOUNT_CHARS_MAX + 1];
        decline_amount(d->reason, d->limit, limit);
        decline_amount(d->reason, d->have, have);
        bool adds_up = decline_err(d->reason) == ERR_CREDIT;       /* to what is owed already, which the refusal does not say */
        snprintf(why + len, sizeof why - (size_t)len, adds_up ? " (limit %s, this request may add %s %s)" : " (limit %s, would be %s %s)",
                 limit, have, decline_unit(d->reason));
    }
    ask_fail(r, a, decline_err(d->reason), why);
}

/* ---- asking ---- */

static struct asked *asked_find(struct ask *a, const struct node_id *node)
{
    for (uint32_t i = 0; i < a->asked_count; i++)
        if (node_id_equal(&a->asked[i].node, node))
            return &a->asked[i];
    return NULL;
}

static void ask_one(struct requester *r, struct ask *a, const struct candidate *c)
{
    const struct node_record *record = &c->advert->node;
    struct asked *k = &a->asked[a->asked_count++];
    *k = (struct asked){ record->id, ASKED_SENT, c->cost };
    if (services_send(r->s, &record->id, MSG_OFFER, bytes_of(a->offer, a->offer_bytes)))
        return;
    enum err e = overlay_open(r->s->overlay, r->s->now, r->s->wall, record);
    k->state = e == OK ? ASKED_DIALLING : ASKED_DECLINED;
}

/* Asks up to OFFER_PROVIDERS_MAX that were not asked yet. Returns how many are worth asking at all, asked before or not. */
static size_t ask_round(struct requester *r, struct ask *a, uint32_t *out_asked)
{
    struct advert adverts[ADVERTS_MAX];
    struct candidate c[ADVERTS_MAX];
    size_t count = candidates_rank(r, a, adverts, c);
    *out_asked = 0;
    for (size_t i = 0; i < count && *out_asked < OFFER_PROVIDERS_MAX && a->asked_count < ASKED_MAX; i++) {
        if (asked_find(a, &c[i].advert->node.id))
            continue;
        ask_one(r, a, &c[i]);
        ++*out_asked;
    }
    return count;
}

static enum err offer_make(struct requester *r, struct ask *a)
{
    struct services *s = r->s;
    struct offer o = { .model = a->model, .requester = s->self, .prompt_count = a->tokens.count, .output_max = ask_rest(a),
                       .class = a->class, .limits = a->limits, .ttl_ms = BID_WINDOW_MS };
    struct hasher h;
    struct hash id;
    hasher_init(&h, "offer-id");
    hasher_add(&h, bytes_of(a->job_id, sizeof a->job_id));
    hasher_add_u64(&h, a->rounds++);
    hasher_finish(&h, &id);
    memcpy(o.id, id.b, sizeof o.id);
    a->commitment = o.commitment = terms_prompt_commitment(&a->nonce, a->tokens.ids, a->tokens.count);
    uint8_t body[OFFER_BYTES_MAX];
    struct signed_msg m;
    struct bytes message;
    enum err e = offer_encode(&o, body, &m.body);
    if (e)
        return e;
    key_sign(s->config.key, PURPOSE_OFFER, &s->config.net, m.body, &m.sig);
    a->offer_hash = offer_hash(m.body);
    e = signed_msg_encode(&m, a->offer, &message);
    a->offer_bytes = message.len;
    return e;
}

static void gossip(struct requester *r, struct ask *a)
{
    struct hash topic = gossip_topic(&a->model);
    a->gossiped = overlay_publish(r->s->overlay, r->s->now, &topic, bytes_of(a->offer, a->offer_bytes)) == OK;
}

void bidding_start(struct requester *r, struct ask *a)
{
    struct services *s = r->s;
    a->state = ASK_OFFERED;
    a->asked_count = a->bid_count = 0;
    a->why_not = (struct decline){ .reason = DECLINE_NONE };
    a->deadline = mono_add_ms(s->now, BID_WINDOW_MS);
    a->grace_at = a->first_bid_at = a->last_resort_at = MONO_NEVER;
    a->gossiped = a->searching = false;
    enum err e = a->tokens.count > PROMPT_TOKENS_MAX ? ERR_TOO_LARGE : offer_make(r, a);
    if (e) {
        ask_fail(r, a, e, "the offer cannot be made");
        return;
    }
    if (a->class == CLASS_BATCH)
        gossip(r, a);
    uint32_t asked;
    size_t known = a->gossiped ? OFFER_DIRECT_MIN : ask_round(r, a, &asked);   /* batch over its gossip rate asks directly */
    if (known < OFFER_DIRECT_MIN) {
        gossip(r, a);
        a->searching = overlay_find_providers(s->overlay, s->now, &a->model) == OK;
    }
    bidding_consider(r, a);
}

void bidding_release(struct requester *r, struct ask *a, const struct node_id *chosen)
{
    struct cancel_msg m = { .subject = a->offer_hash };
    uint8_t buf[CANCEL_BYTES_MAX];
    struct bytes body;
    ENSURE(cancel_msg_encode(&m, buf, sizeof buf, &body) == OK);
    for (uint32_t i = 0; i < a->asked_count; i++) {
        bool holds = a->asked[i].state == ASKED_SENT || a->asked[i].state == ASKED_BID;
        if (holds && !(chosen && node_id_equal(&a->asked[i].node, chosen)))
            services_send(r->s, &a->asked[i].node, MSG_CANCEL, body);
    }
    for (uint32_t i = 0; i < a->bid_count; i++)            /* bidders that heard of it by gossip */
        if (!asked_find(a, &a->bids[i].node) && !(chosen && node_id_equal(&a->bids[i].node, chosen)))
            services_send(r->s, &a->bids[i].node, MSG_CANCEL, body);
}

/* ---- choosing ---- */

static int bid_compare(const struct held_bid *x, const struct held_bid *y)
{
    if (x->failed_before != y->failed_before)
        return x->failed_before ? 1 : -1;
    if (x->cost != y->cost)
        return x->cost < y->cost ? -1 : 1;
    if (x->wait_us != y->wait_us)
        return x->wait_us < y->wait_us ? -1 : 1;
    return pubkey_compare(&x->bid.provider, &y->bid.provider);
}

static bool take_best(struct ask *a, bool last_resort, struct held_bid *out)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < a->bid_count; i++)
        if (bid_compare(&a->bids[i], &a->bids[best]) < 0)
            best = i;
    if (a->bid_count == 0 || (a->bids[best].failed_before && !last_resort))
        return false;
    *out = a->bids[best];
    return true;
}

static void drop_bid(struct ask *a, const struct held_bid *b)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < a->bid_count; i++)
        if (!hash_equal(&a->bids[i].hash, &b->hash))
            a->bids[kept++] = a->bids[i];
    a->bid_count = kept;
}

static bool everybody_answered(const struct ask *a)
{
    for (uint32_t i = 0; i < a->asked_count; i++)
        if (a->asked[i].state == ASKED_SENT || a->asked[i].state == ASKED_DIALLING)
            return false;
    return a->asked_count > 0;
}

/* A process that was not scheduled for seconds finds bids whose slots are long given to others. */
static void drop_lapsed(struct requester *r, struct ask *a)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < a->bid_count; i++)
        if (mono_reached(r->s->now, a->bids[i].until))
            bidding_note_refusal(a, &(struct decline){ .reason = DECLINE_EXPIRED }, &a->bids[i].node);
        else
            a->bids[kept++] = a->bids[i];
    a->bid_count = kept;
}

/* Best first until one can be reached. */
static bool choose(struct requester *r, struct ask *a, bool last_resort)
{
    struct held_bid b;
    drop_lapsed(r, a);
    while (take_best(a, last_resort, &b)) {
        if (purchase_begin(r, a, &b)) {
            bidding_release(r, a, &b.node);
            return true;
        }
        drop_bid(a, &b);
    }
    return false;
}

/* Somebody who advertises a lower price than the best bid has not answered yet. */
static bool cheaper_is_awaited(const struct ask *a)
{
    uint64_t best = UINT64_MAX;
    for (uint32_t i = 0; i < a->bid_count; i++)
        best = !a->bids[i].failed_before && a->bids[i].cost < best ? a->bids[i].cost : best;
    for (uint32_t i = 0; i < a->asked_count; i++)
        if ((a->asked[i].state == ASKED_SENT || a->asked[i].state == ASKED_DIALLING) && a->asked[i].cost < best)
            return true;
    return false;
}

/* How long bids are waited for after the first acceptable one. */
static struct mono grace_end(const struct ask *a)
{
    uint32_t ms = a->class == CLASS_BATCH ? BID_GRACE_BATCH_MS : cheaper_is_awaited(a) ? BID_GRACE_CHEAPER_MS : BID_GRACE_MS;
    return a->bid_count ? mono_add_ms(a->first_bid_at, ms) : MONO_NEVER;
}

/* When to look at the bids again, if not for a new one: the next of these times that is still to come. */
static struct mono next_look(struct mono now, struct mono grace, struct mono last_resort)
{
    return mono_min(mono_reached(now, grace) ? MONO_NEVER : grace, mono_reached(now, last_resort) ? MONO_NEVER : last_resort);
}

void bidding_consider(struct requester *r, struct ask *a)
{
    struct mono now = r->s->now, grace = grace_end(a);
    bool over = mono_reached(now, a->deadline), grace_over = mono_reached(now, grace), resort = mono_reached(now, a->last_resort_at);
    bool wait_for_strangers = a->searching || a->gossiped;
    bool complete = everybody_answered(a) && !wait_for_strangers;
    bool first_come = everybody_answered(a) && a->class == CLASS_INTERACTIVE;   /* strangers are not waited for if a friend has bid */
    a->grace_at = next_look(now, grace, a->last_resort_at);
    if ((over || grace_over || resort || complete || first_come) && choose(r, a, over || resort || complete))
        return;
    uint32_t asked = 0;
    if (a->bid_count == 0 && everybody_answered(a) && !over)
        ask_round(r, a, &asked);                           /* all declined: the next best may have a slot */
    if (asked > 0)
        return;
    if (over || (a->bid_count == 0 && !wait_for_strangers && (a->asked_count == 0 || everybody_answered(a))))
        give_up(r, a);
}

/* ---- what comes in ---- */

void requester_peer_up(struct requester *r, const struct node_id *node)
{
    for (size_t i = 0; i < JOBS_MAX; i++) {
        struct ask *a = &r->ask[i];
        struct asked *k = a->state == ASK_OFFERED ? asked_find(a, node) : NULL;
        if (k && k->state == ASKED_DIALLING)
            k->state = services_send(r->s, node, MSG_OFFER, bytes_of(a->offer, a->offer_bytes)) ? ASKED_SENT : ASKED_DECLINED;
    }
}

void requester_providers(struct requester *r, const struct hash *model)
{
    for (size_t i = 0; i < JOBS_MAX; i++) {
        struct ask *a = &r->ask[i];
        if (a->state != ASK_OFFERED || !a->searching || !hash_equal(&a->model, model))
            continue;
        uint32_t asked;
        a->searching = false;
        ask_round(r, a, &asked);
        bidding_consider(r, a);
    }
}

static struct ask *ask_of_offer(struct requester *r, const struct hash *offer)
{
    for (size_t i = 0; i < JOBS_MAX; i++)
        if (r->ask[i].state == ASK_OFFERED && hash_equal(&r->ask[i].offer_hash, offer))
            return &r->ask[i];
    return NULL;
}

static struct decline bid_judge(struct requester *r, const struct ask *a, const struct bid *b, const struct held_bid *held)
{
    struct decline d = { .reason = DECLINE_NONE };
    struct placement p = { b->price_input, b->price_output, { b->jurisdiction[0], b->jurisdiction[1] }, b->tier, b->energy_mj_per_1k,
                           services_peer_owner(r->s, &held->node) };
    d.reason = limits_check(&a->limits, &p, &d.have, &d.limit);
    if (d.reason == DECLINE_NONE && a->limits.first_token_ms_max && held->wait_us / 1000 > a->limits.first_token_ms_max)
        d = (struct decline){ .reason = DECLINE_FIRST_TOKEN, .have = held->wait_us / 1000, .limit = a->limits.first_token_ms_max };
    if (d.reason == DECLINE_NONE && a->limits.budget_pico && held->cost > a->limits.budget_pico - a->spent)
        d = (struct decline){ .reason = DECLINE_BUDGET, .have = held->cost, .limit = a->limits.budget_pico - a->spent };
    return d;
}

/* A bid that comes too late, or is not wanted: its sender need not hold the slot for two seconds. */
static void turn_down(struct requester *r, const struct node_id *from, const struct hash *offer)
{
    struct cancel_msg m = { .subject = *offer };
    uint8_t buf[CANCEL_BYTES_MAX];
    struct bytes body;
    ENSURE(cancel_msg_encode(&m, buf, sizeof buf, &body) == OK);
    services_send(r->s, from, MSG_CANCEL, body);
}

static void keep_bid(struct requester *r, struct ask *a, const struct held_bid *held)
{
    struct asked *k = asked_find(a, &held->node);
    struct decline d = bid_judge(r, a, &held->bid, held);
    bool take = d.reason == DECLINE_NONE && a->bid_count < BIDS_MAX;
    if (k)
        k->state = take ? ASKED_BID : ASKED_DECLINED;
    if (!take) {
        bidding_note_refusal(a, &d, &held->node);
        turn_down(r, &held->node, &a->offer_hash);
    } else {
        a->bids[a->bid_count++] = *held;
        a->last_resort_at = mono_min(a->last_resort_at, mono_add_ms(r->s->now, BID_LAST_RESORT_MS));
        if (!held->failed_before)
            a->first_bid_at = mono_min(a->first_bid_at, r->s->now);
    }
    bidding_consider(r, a);
}

enum err requester_bid(struct requester *r, const struct node_id *from, struct bytes body)
{
    struct services *s = r->s;
    struct signed_msg m;
    struct held_bid held = { .node = *from };
    enum err e = signed_msg_decode(body, &m);
    if (e == OK)
        e = bid_decode(m.body, &held.bid);
    if (e)
        return e;
    struct node_id signer = node_id_of(&held.bid.provider);
    if (!node_id_equal(&signer, from))
        return ERR_KEY;
    struct ask *a = ask_of_offer(r, &held.bid.offer);
    if (!a) {
        turn_down(r, from, &held.bid.offer);
        return OK;
    }
    e = key_verify(&held.bid.provider, PURPOSE_BID, &s->config.net, m.body, &m.sig);
    if (e)
        return e;
    for (uint32_t i = 0; i < a->bid_count; i++)
        if (node_id_equal(&a->bids[i].node, from))
            return OK;                                     /* one bid per provider; the first stands */
    held.hash = hash_of("bid", m.body);
    held.cost = candidate_cost(a, held.bid.price_input, held.bid.price_output);
    held.wait_us = (uint64_t)held.bid.first_token_ms * 1000 + services_rtt_us(s, from);
    held.until = mono_add_ms(s->now, held.bid.reservation_ms);
    held.failed_before = candidate_is_bad(r, a, from);
    keep_bid(r, a, &held);
    return OK;
}

enum err requester_decline(struct requester *r, const struct node_id *from, struct bytes body)
{
    struct decline d;
    enum err e = decline_decode(body, &d);
    if (e)
        return e;
    struct ask *a = ask_of_offer(r, &d.subject);
    struct asked *k = a ? asked_find(a, from) : NULL;
    if (!a)
        return OK;
    if (k && k->state == ASKED_SENT)
        k->state = ASKED_DECLINED;
    bidding_note_refusal(a, &d, from);
    bidding_consider(r, a);
    return OK;
}
