/* vices.c - the few nodes that cheat: the same agent inside, other words outside. */
#include <stdlib.h>
#include <string.h>

#include "node/job_msg.h"
#include "tests/sim/sim.h"

enum { SPOKEN_MAX = 64 };

/* ---- frames changed on their way out ---- */

static bool repack(const struct frame *f, struct bytes body, uint8_t *buf, struct bytes *out)
{
    struct frame changed = *f;
    changed.body = body;
    return frame_encode(&changed, buf, FRAME_BYTES_MAX, out) == OK;
}

static bool overcount(struct sim_node *n, const struct frame *f, uint8_t *buf, struct bytes *out)
{
    struct claim_msg m;
    struct claim c;
    uint8_t claim[CLAIM_BYTES_MAX], message[CLAIM_MSG_BYTES_MAX];
    struct bytes body;
    if (claim_msg_decode(f->body, &m) != OK || claim_decode(m.claim, &c) != OK)
        return false;
    c.tokens.out++;
    c.cost.v += 1000;
    claim_sign(&n->key, SIDE_PROVIDER, &n->config.net, &c, &m.sig);
    if (claim_encode(&c, claim, &m.claim) != OK || claim_msg_encode(&m, message, sizeof message, &body) != OK)
        return false;
    return repack(f, body, buf, out);
}

static bool overcharge(struct sim_node *n, const struct frame *f, uint8_t *buf, struct bytes *out)
{
    struct receipt_msg m;
    struct receipt r;
    uint8_t receipt[RECEIPT_BODY_BYTES_MAX], message[RECEIPT_MSG_BYTES_MAX];
    struct bytes body;
    if (receipt_msg_decode(f->body, &m) != OK || receipt_decode(m.body, &r) != OK)
        return false;
    r.owed.v += 1000;
    r.cost.v += rng_below(&n->rng[STREAM_VICE], 2) * 1000;
    if (receipt_encode(&r, receipt, &m.body) != OK)
        return false;
    receipt_sign(&n->key, SIDE_PROVIDER, &n->config.net, m.body, &m.sig);
    return receipt_msg_encode(&m, message, sizeof message, &body) == OK && repack(f, body, buf, out);
}

static bool other_head(const struct frame *f, uint8_t *buf, struct bytes *out)
{
    struct resync_msg m;
    uint8_t message[RESYNC_BYTES_MAX];
    struct bytes body;
    if (resync_msg_decode(f->body, &m) != OK || m.provider_seq == 0)
        return false;
    m.provider_head.b[7] ^= 1;
    return resync_msg_encode(&m, message, sizeof message, &body) == OK && repack(f, body, buf, out);
}

static bool other_receipt(struct sim_node *n, const struct frame *f, uint8_t *buf, struct bytes *out)
{
    struct adopt_msg m;
    struct receipt r;
    uint8_t receipt[RECEIPT_BODY_BYTES_MAX], message[ADOPT_BYTES_MAX];
    struct bytes body;
    if (adopt_msg_decode(f->body, &m) != OK || m.side != SIDE_PROVIDER || receipt_decode(m.body, &r) != OK)
        return false;
    r.cost.v += 1000;
    r.owed.v += 1000;
    if (receipt_encode(&r, receipt, &m.body) != OK)
        return false;
    receipt_sign(&n->key, SIDE_PROVIDER, &n->config.net, m.body, &m.provider_sig);
    return adopt_msg_encode(&m, message, sizeof message, &body) == OK && repack(f, body, buf, out);
}

static void remember(struct sim_node *n, struct bytes frame)
{
    if (!n->spoken)
        n->spoken = calloc(SPOKEN_MAX, sizeof *n->spoken);
    uint8_t *copy = malloc(frame.len);
    ENSURE(n->spoken != NULL && copy != NULL);
    memcpy(copy, frame.data, frame.len);
    struct bytes *slot = &n->spoken[n->spoken_count++ % SPOKEN_MAX];
    free((void *)(uintptr_t)slot->data);
    *slot = bytes_of(copy, frame.len);
}

bool vices_send(struct sim *s, struct sim_node *n, uint8_t *buf, struct bytes *frame)
{
    struct frame f;
    struct bytes changed;
    if (frame_decode(*frame, &f) != OK)
        return true;
    bool lies = (n->vice == VICE_OVERCOUNT && f.type == MSG_CLAIM && overcount(n, &f, buf, &changed)) ||
                (n->vice == VICE_TWO_FACED && f.type == MSG_RESYNC && other_head(&f, buf, &changed)) ||
                (n->vice == VICE_TWO_FACED && f.type == MSG_RESYNC_OK && other_receipt(n, &f, buf, &changed)) ||
                (n->vice == VICE_OWED && f.type == MSG_RECEIPT && overcharge(n, &f, buf, &changed));
    if (lies) {
        *frame = changed;
        s->counts.vice_frames++;
    }
    if (n->vice == VICE_REPLAY)
        remember(n, *frame);
    return n->vice != VICE_NO_SIGNATURE || (f.type != MSG_CLAIM_OK && f.type != MSG_RECEIPT_OK);
}

bool vices_planted(struct sim *s, struct sim_node *n, uint8_t *buf, struct bytes *frame)
{
    struct frame f;
    struct bytes changed;
    if (frame_decode(*frame, &f) != OK)
        return true;
    if (s->options.plant == PLANT_TWO_BODIES && f.type == MSG_RECEIPT && overcharge(n, &f, buf, &changed))
        *frame = changed;
    return s->options.plant != PLANT_DEAF || f.type != MSG_RECEIPT_OK;
}

/* ---- frames out of nothing ---- */

/* Noise; or a well-formed frame with a body of noise; or a true frame with one bit turned. */
static struct bytes noise(struct sim_node *n, uint8_t *buf)
{
    struct rng *r = &n->rng[STREAM_VICE];
    uint8_t body[512];
    size_t len = 1 + rng_below(r, sizeof body);
    rng_bytes(r, body, len);
    memcpy(buf, body, len);
    if (rng_below(r, 2) == 0)
        return bytes_of(buf, len);
    struct frame f = { .type = 1 + (uint32_t)rng_below(r, 75), .request = rng_below(r, 1000), .hop = (uint32_t)rng_below(r, 12),
                       .age_ms = (uint32_t)rng_below(r, 40000), .body = bytes_of(body, len) };
    struct bytes out;
    return frame_encode(&f, buf, FRAME_BYTES_MAX, &out) == OK ? out : bytes_of(buf, len);
}

static void next(struct sim *s, struct sim_node *n)
{
    uint64_t us = s->now + sim_ms(1) + rng_below(&n->rng[STREAM_VICE], sim_ms(30));
    queue_push(&s->queue, (struct queue_item){ .us = us, .kind = ITEM_VICE, .node = n->idx, .life = n->life });
}

void vices_begin(struct sim *s, struct sim_node *n)
{
    if (n->alive && (n->vice == VICE_GARBAGE || n->vice == VICE_REPLAY))
        next(s, n);
}

void vices_item(struct sim *s, struct sim_node *n)
{
    static uint8_t buf[FRAME_BYTES_MAX];
    struct rng *r = &n->rng[STREAM_VICE];
    struct link link;
    if (rng_below(r, 64) == 0)
        n->victim = rng_next(r);
    if (s->vices_on && net_pick(s, n, n->victim, &link)) {
        if (n->vice == VICE_GARBAGE)
            net_send(s, n, link, noise(n, buf));
        else if (n->spoken_count)
            net_send(s, n, link, n->spoken[rng_below(r, n->spoken_count < SPOKEN_MAX ? n->spoken_count : SPOKEN_MAX)]);
        s->counts.vice_frames++;
    }
    next(s, n);
}

void vices_free(struct sim_node *n)
{
    for (size_t i = 0; n->spoken && i < SPOKEN_MAX; i++)
        free((void *)(uintptr_t)n->spoken[i].data);
    free(n->spoken);
}
