/* faults.c - when does something break, and what? Drawn from the world's own stream, at the climate's rates. */
#include "tests/sim/sim.h"

static void push(struct sim *s, enum item_kind kind, uint64_t mean)
{
    if (mean == SIM_NEVER || !s->faults_on)
        return;
    queue_push(&s->queue, (struct queue_item){ .us = s->now + 1 + sim_exponential(&s->rng, mean), .kind = kind, .life = SIM_NEVER });
}

void faults_begin(struct sim *s)
{
    s->faults_on = true;
    push(s, ITEM_CRASH, s->climate.crash_every_us);
    push(s, ITEM_DISK, s->climate.disk_every_us);
    push(s, ITEM_PARTITION, s->climate.partition_every_us);
}

void faults_stop(struct sim *s)
{
    s->faults_on = false;
    s->partition_until = s->now;
    for (size_t i = 0; i < s->count; i++) {
        s->nodes[i].crash = CRASH_NONE;
        store_mem_fail_at(s->nodes[i].store, 0, OK);
        sim_start(s, &s->nodes[i]);
    }
    for (size_t i = 0; i < s->wires_count; i++)
        s->wires[i].stalled_us = 0;
}

/* At once between two turns; or in the middle of the next turn that writes, before or after its commit. Every second time it
 * meets a provider: that is where the promises are. */
static void crash(struct sim *s)
{
    struct sim_node *n = &s->nodes[rng_below(&s->rng, rng_below(&s->rng, 2) ? s->climate.serving : s->count)];
    uint64_t how = rng_below(&s->rng, 3);
    uint32_t after = (uint32_t)rng_below(&s->rng, 4);
    if (how == 0) {
        sim_crash(s, n);
        return;
    }
    n->crash = how == 1 ? CRASH_BEFORE_COMMIT : CRASH_MID_EFFECTS;
    n->crash_after = after;
}

static void disk(struct sim *s)
{
    struct sim_node *n = &s->nodes[rng_below(&s->rng, s->count)];
    uint64_t in = 1 + rng_below(&s->rng, 200);
    if (n->alive)
        store_mem_fail_at(n->store, in, rng_below(&s->rng, 2) ? ERR_DISK_FULL : ERR_IO);
}

/* One node, or a region (left of a line), or any half. */
static void partition(struct sim *s)
{
    uint64_t shape = rng_below(&s->rng, 3), at = rng_below(&s->rng, 1000), one = rng_below(&s->rng, s->count);
    for (size_t i = 0; i < s->count; i++)
        s->side[i] = shape == 0 ? i == one : shape == 1 ? s->nodes[i].x < at : rng_below(&s->rng, 2) == 0;
    s->counts.partitions++;
    net_partition(s, s->now + sim_ms(500) + sim_exponential(&s->rng, sim_ms(8000)));
}

void faults_item(struct sim *s, const struct queue_item *it)
{
    if (!s->faults_on)
        return;
    if (it->kind == ITEM_CRASH) {
        crash(s);
        push(s, ITEM_CRASH, s->climate.crash_every_us);
    } else if (it->kind == ITEM_DISK) {
        disk(s);
        push(s, ITEM_DISK, s->climate.disk_every_us);
    } else {
        if (s->now >= s->partition_until)
            partition(s);
        push(s, ITEM_PARTITION, s->climate.partition_every_us);
    }
}
