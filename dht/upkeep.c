/* upkeep.c - what an overlay does without being asked: bootstrap, table, refresh, keeping adverts fresh (PROTO 4.5, 4.7). */
#include "dht/overlay_state.h"

/* With few peers a bootstrap node is asked again and again; with enough, now and then: two halves of a mesh that lost each
 * other for long have nobody else in common. */
static struct mono next_bootstrap(const struct overlay *o, const struct boot *b)
{
    uint32_t doublings = b->tries < 6 ? b->tries : 6;
    if (o->peers.counts[PEER_UP] < BOOTSTRAP_PEERS_MIN)
        return mono_add_ms(o->now, (uint64_t)ROUTING_RETRY_MS << doublings);
    return mono_add_ms(o->now, routing_is_small(&o->routing) ? BOOTSTRAP_AGAIN_SMALL_MS : BOOTSTRAP_AGAIN_MS);
}

static void tick_bootstrap(struct overlay *o)
{
    for (size_t i = 0; i < BOOTSTRAPS_MAX; i++) {
        struct boot *b = &o->boots[i];
        if (!b->used || !mono_reached(o->now, b->next_try) || !outbox_has_room(&o->out, 8, 1024))
            continue;
        bool linked = peers_find_transport(&o->peers, &b->at.transport) != NULL;
        b->tries = linked ? 0 : b->tries + 1;
        b->next_try = next_bootstrap(o, b);
        if (!linked)
            (void)session_dial(o, &b->at, NULL);               /* no slot: the next try comes */
    }
}

static bool may_dial_for_table(const struct overlay *o)
{
    return o->peers.counts[PEER_DIALLING] + o->peers.counts[PEER_GREETING] < TABLE_DIALS_MAX &&
           o->peers.counts[PEER_UP] < PEERS_MAX - PEERS_RESERVED;
}

static void tick_table(struct overlay *o)
{
    const struct node_record *r;
    while (may_dial_for_table(o) && outbox_has_room(&o->out, 8, 1024) && (r = routing_next_dial(&o->routing, o->now))) {
        struct node_record target = *r;                        /* the verdict may move the contact */
        struct peer *peer = peers_find_id(&o->peers, &target.id);
        enum err e = peer ? routing_proved(&o->routing, &peer->record) : OK;
        if (!peer && !session_dial(o, &target.at, &target))
            e = ERR_FULL;
        if (e != OK)
            routing_failed(&o->routing, o->now, &target.id);
    }
}

/* A young table is asked about again soon: others are joining at the same time. */
static const uint32_t refresh_again_ms[] = { 2000, 6000, 20 * 1000 };
enum { REFRESH_ROUNDS = ARRAY_COUNT(refresh_again_ms), REFRESH_CHANGED_MS = 5000 };

/* Whoever is joining at the same time may offer something: a look from before it had told anybody is not good for long. */
static void look_again(struct overlay *o)
{
    for (size_t i = 0; i < KEPT_MODELS_MAX; i++)
        o->kept[i].refresh_at = o->now;
}

static void begin_round(struct overlay *o)
{
    if (o->refresh_rounds == REFRESH_ROUNDS || !mono_reached(o->now, o->refresh_again))
        return;
    if (o->refresh_rounds > 0 && !routing_is_small(&o->routing)) {
        o->refresh_rounds = REFRESH_ROUNDS;                    /* large: nobody needs to know everybody */
        return;
    }
    routing_refresh_all(&o->routing, o->now);
    look_again(o);
    o->refresh_again = mono_add_ms(o->now, refresh_again_ms[o->refresh_rounds++]);
}

/* Somebody came (back) to a small mesh: where one is, there may be more, and we want links to all. One more round, not
 * sooner than the spacing of the last one allows. */
void upkeep_expect_more(struct overlay *o)
{
    if (!o->was_joined || o->refresh_rounds < REFRESH_ROUNDS || !routing_is_small(&o->routing))
        return;
    struct mono soon = mono_add_ms(o->now, REFRESH_CHANGED_MS);
    o->refresh_rounds = REFRESH_ROUNDS - 1;
    if (o->refresh_again.us < soon.us)
        o->refresh_again = soon;
    overlay_wake(o, o->refresh_again);
}

static void tick_refresh(struct overlay *o)
{
    struct hash target;
    if (!o->self_found || !peers_has_any(&o->peers) || search_count(o, SEARCH_REFRESH) > 0)
        return;
    begin_round(o);
    if (search_has_room(o) && routing_refresh_due(&o->routing, o->now, &o->rng, &target) == OK)
        search_start(o, SEARCH_REFRESH, &target, &target);
}

static struct mono refresh_deadline(const struct overlay *o)
{
    if (!o->self_found || !peers_has_any(&o->peers) || search_count(o, SEARCH_REFRESH) > 0)
        return MONO_NEVER;                                     /* a first peer or the end of the walk wakes us */
    struct mono rounds = o->refresh_rounds < REFRESH_ROUNDS ? o->refresh_again : MONO_NEVER;
    return mono_min(rounds, search_has_room(o) ? routing_refresh_deadline(&o->routing) : MONO_NEVER);
}

static bool is_kept_due(const struct overlay *o, const struct kept_model *k)
{
    return k->used && o->self_found && peers_has_any(&o->peers) && search_has_room(o) && mono_reached(o->now, k->refresh_at);
}

/* Well before adverts run out. In a small mesh, where it costs little, soon enough that a newcomer's offer is seen while
 * somebody waits for it. */
static struct mono next_keeping(const struct overlay *o)
{
    return mono_add_ms(o->now, routing_is_small(&o->routing) ? KEPT_SMALL_MS : ADVERT_REFRESH_MS);
}

static void tick_kept(struct overlay *o)
{
    for (size_t i = 0; i < KEPT_MODELS_MAX; i++) {
        struct kept_model *k = &o->kept[i];
        if (k->used && !k->for_ever && mono_reached(o->now, mono_add_ms(k->last_used, MODEL_KEPT_MS)))
            k->used = false;
        if (!is_kept_due(o, k))
            continue;
        k->refresh_at = next_keeping(o);
        struct hash key = advert_key(&k->model);
        if (!search_find(o, SEARCH_PROVIDERS, &k->model))
            search_start(o, SEARCH_PROVIDERS, &key, &k->model);
    }
}

static struct mono kept_deadline(const struct overlay *o)
{
    struct mono deadline = MONO_NEVER;
    if (!o->self_found || !peers_has_any(&o->peers) || !search_has_room(o))
        return deadline;
    for (size_t i = 0; i < KEPT_MODELS_MAX; i++)
        if (o->kept[i].used)
            deadline = mono_min(deadline, o->kept[i].refresh_at);
    return deadline;
}

static struct mono boot_deadline(const struct overlay *o)
{
    struct mono deadline = MONO_NEVER;
    for (size_t i = 0; i < BOOTSTRAPS_MAX; i++)
        if (o->boots[i].used)
            deadline = mono_min(deadline, o->boots[i].next_try);
    return deadline;
}

/* The last peers are going: ask the bootstrap nodes soon, not when it was their turn anyway. */
void upkeep_hurry_bootstrap(struct overlay *o)
{
    if (o->peers.counts[PEER_UP] >= BOOTSTRAP_PEERS_MIN)
        return;
    for (size_t i = 0; i < BOOTSTRAPS_MAX; i++)
        if (o->boots[i].used)
            o->boots[i].next_try = mono_min(o->boots[i].next_try, mono_add_ms(o->now, BOOTSTRAP_HURRY_MS));
    overlay_wake(o, boot_deadline(o));
}

void upkeep_tick(struct overlay *o)
{
    tick_bootstrap(o);
    tick_table(o);
    tick_refresh(o);
    tick_kept(o);
}

struct mono upkeep_deadline(const struct overlay *o)
{
    struct mono deadline = mono_min(boot_deadline(o), refresh_deadline(o));
    if (may_dial_for_table(o))
        deadline = mono_min(deadline, routing_deadline(&o->routing));
    return mono_min(deadline, kept_deadline(o));
}
