/* parent.c - the verbs and questions of overlay.h that the parent uses between events: peers, messages, providers. */
#include "dht/overlay_state.h"

#include <string.h>

static const struct hash zero_hash;

/* ---- peers ---- */

const struct node_id *overlay_self(const struct overlay *o) { return &o->own.id; }
const struct node_record *overlay_own_record(const struct overlay *o) { return &o->own; }
const struct overlay_counters *overlay_counters(const struct overlay *o) { return &o->counters; }
size_t overlay_peer_count(const struct overlay *o) { return o->peers.counts[PEER_UP]; }

static void show(const struct peer *p, struct overlay_peer *out)
{
    *out = (struct overlay_peer){ .record = &p->record, .rtt_us = p->liveness.rtt_us, .up_since = p->since, .link = p->link,
                                  .outbound = !link_is_inbound(p->link) };
}

bool overlay_peer_each(const struct overlay *o, size_t *cursor, struct overlay_peer *out)
{
    while (*cursor < PEER_SLOTS) {
        const struct peer *p = &o->peers.slots[(*cursor)++];
        if (p->state != PEER_UP)
            continue;
        show(p, out);
        return true;
    }
    return false;
}

bool overlay_peer_find(const struct overlay *o, const struct node_id *node, struct overlay_peer *out)
{
    const struct peer *p = peers_find_id_const(&o->peers, node);
    if (p)
        show(p, out);
    return p != NULL;
}

enum err overlay_send(struct overlay *o, struct mono now, const struct node_id *node, enum message_type type,
                      uint64_t request, struct bytes body)
{
    struct frame f = { .type = type, .request = request, .body = body };
    overlay_begin(o, now, NULL);
    if (type < MSG_OFFER || !message_is_known(type))
        return ERR_TYPE;
    if (body.len > message_body_max(type))
        return ERR_TOO_LARGE;
    struct peer *peer = peers_find_id(&o->peers, node);
    if (!peer)
        return ERR_NOT_FOUND;
    if (!outbox_has_room(&o->out, 1, body.len + 2 * FRAME_OVERHEAD_BYTES_MAX))
        return ERR_FULL;
    peer->used = now;
    overlay_send_frame(o, peer->link, &f);
    return OK;
}

enum err overlay_open(struct overlay *o, struct mono now, struct wall wall, const struct node_record *record)
{
    overlay_begin(o, now, &wall);
    if (node_id_equal(&record->id, &o->own.id) || !record_is_dialable(record))
        return ERR_ARG;
    struct peer *peer = peers_find_id(&o->peers, &record->id);
    if (peer) {
        peer->used = now;
        return ERR_EXISTS;
    }
    struct peer *dial = peers_find_dial(&o->peers, &record->id);
    if (!dial) {
        enum err e = overlay_verify(o, record);
        if (e != OK)
            return e;
        dial = session_dial(o, &record->at, record);
        if (!dial)
            return ERR_FULL;
    }
    dial->opened = true;
    return OK;
}

void overlay_offence(struct overlay *o, struct mono now, const struct node_id *node, enum message_type type, enum err what)
{
    overlay_begin(o, now, NULL);
    struct peer *peer = peers_find_id(&o->peers, node);
    if (peer && outbox_has_room(&o->out, 8, 1024))
        (void)session_offence(o, peer, type, what);
    else
        overlay_refuse(o, type, what);
}

enum err overlay_find_node(struct overlay *o, struct mono now, const struct node_id *node)
{
    overlay_begin(o, now, NULL);
    struct search *s = search_find(o, SEARCH_NODE, &node->h);
    if (!s)
        s = search_start(o, SEARCH_NODE, &node->h, &node->h);
    if (!s)
        return ERR_FULL;
    s->notify = true;
    return OK;
}

/* ---- providers ---- */

/* Notes that the model is wanted, in the place of the one unused longest if need be. */
static struct kept_model *keep_model(struct overlay *o, const struct hash *model)
{
    struct kept_model *place = NULL;
    for (size_t i = 0; i < KEPT_MODELS_MAX; i++) {
        struct kept_model *k = &o->kept[i];
        if (k->used && hash_equal(&k->model, model)) {
            k->last_used = o->now;
            return k;
        }
        if (k->for_ever)
            continue;
        if (!place || (place->used && (!k->used || k->last_used.us < place->last_used.us)))
            place = k;
    }
    *place = (struct kept_model){ .used = true, .model = *model, .last_used = o->now, .refresh_at = o->now };
    overlay_wake(o, o->now);
    return place;
}

enum err overlay_find_providers(struct overlay *o, struct mono now, const struct hash *model)
{
    overlay_begin(o, now, NULL);
    struct kept_model *k = keep_model(o, model);
    struct hash key = advert_key(model);
    struct search *s = search_find(o, SEARCH_PROVIDERS, model);
    if (!s)
        s = search_start(o, SEARCH_PROVIDERS, &key, model);
    if (!s)
        return ERR_FULL;
    k->refresh_at = mono_add_ms(now, ADVERT_REFRESH_MS);
    s->notify = true;
    return OK;
}

static bool read_advert(const struct store_view *v, struct advert *out)
{
    enum err e = advert_decode(v->value, out);
    ENSURE(e == OK);                                           /* it was decoded before it was stored */
    return out->slots > 0;
}

/* Sorted by node id; of two adverts of one node the later stays. */
static size_t insert_advert(struct advert *list, size_t n, size_t max, const struct advert *a)
{
    size_t at = n;
    for (size_t i = 0; i < n; i++)
        if (node_id_equal(&list[i].node.id, &a->node.id)) {
            if (a->seq > list[i].seq)
                list[i] = *a;
            return n;
        }
    while (at > 0 && hash_compare(&a->node.id.h, &list[at - 1].node.id.h) < 0)
        at--;
    if (at == max)
        return n;
    size_t tail = n < max ? n - at : max - 1 - at;
    memmove(&list[at + 1], &list[at], tail * sizeof *list);
    list[at] = *a;
    return n < max ? n + 1 : n;
}

size_t overlay_providers(struct overlay *o, struct mono now, const struct hash *model, struct advert *out, size_t max)
{
    struct hash keys[2] = { advert_key(model), advert_key(&zero_hash) };
    struct store_view v;
    struct advert a;
    size_t n = 0;
    overlay_begin(o, now, NULL);
    keep_model(o, model);
    for (size_t k = 0; k < ARRAY_COUNT(keys); k++)
        for (size_t cursor = 0; store_each(&o->store, now, &keys[k], &cursor, &v);)
            if (hash_equal(&v.name->item, model) && read_advert(&v, &a))
                n = insert_advert(out, n, max, &a);
    return n;
}

/* Under the directory key, is this a second copy of what lies under its model's key? */
static bool is_second_copy(const struct overlay *o, struct mono now, const struct store_view *v, const struct hash *directory)
{
    struct store_name name = *v->name;
    struct store_view other;
    if (!hash_equal(&name.key, directory))
        return false;
    name.key = advert_key(&name.item);
    return store_find(&o->store, now, &name, &other);
}

bool overlay_advert_each(const struct overlay *o, struct mono now, size_t *cursor, struct advert *out)
{
    struct hash directory = advert_key(&zero_hash);
    struct store_view v;
    while (store_all(&o->store, now, cursor, &v))
        if (!hash_is_zero(&v.name->item) && !is_second_copy(o, now, &v, &directory) && read_advert(&v, out))
            return true;
    return false;
}

/* ---- what happened ---- */

void overlay_gauges(const struct overlay *o, struct overlay_gauges *out)
{
    const uint32_t *counts = o->peers.counts;
    *out = (struct overlay_gauges){
        .peers = counts[PEER_UP],
        .pending = counts[PEER_STRANGER] + counts[PEER_DIALLING] + counts[PEER_GREETING] + counts[PEER_SHADOW],
        .contacts = (uint32_t)(routing_count(&o->routing, CONTACT_LIVE) + routing_count(&o->routing, CONTACT_LOST)),
        .candidates = (uint32_t)routing_count(&o->routing, CONTACT_HEARD),
        .records = o->store.count,
        .outbox_peak = o->out.effects_peak,
        .outbox_bytes_peak = o->out.bytes_peak,
    };
    for (size_t i = 0; i < LOOKUPS_MAX; i++)
        out->lookups += o->searches[i].active;
    for (size_t i = 0; i < OWN_ADVERTS_MAX; i++)
        out->adverts_own += o->adverts[i].used;
}

void overlay_check_link(const struct overlay *o, struct link link)
{
    peers_check_link(&o->peers, link);
    for (size_t i = 0; i < LOOKUPS_MAX; i++)
        if (o->searches[i].active)
            lookup_check(&o->searches[i].walk);
    ENSURE(o->out.count <= OUTBOX_EFFECTS_MAX);
    ENSURE(o->out.used <= OUTBOX_BYTES_MAX);
}

void overlay_check(const struct overlay *o)
{
    peers_check(&o->peers);
    routing_check(&o->routing);
    store_check(&o->store);
    for (size_t i = 0; i < LOOKUPS_MAX; i++)
        if (o->searches[i].active)
            lookup_check(&o->searches[i].walk);
    for (size_t i = 0; i < PEER_SLOTS; i++) {
        const struct peer *p = &o->peers.slots[i];
        ENSURE(p->state != PEER_UP || !node_id_equal(&p->id, &o->own.id));
        ENSURE(p->state != PEER_ARRIVING);
    }
    ENSURE(o->out.count <= OUTBOX_EFFECTS_MAX);
    ENSURE(o->out.used <= OUTBOX_BYTES_MAX);
}
