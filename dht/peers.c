/* peers.c - the table of links (PROTO 3.4). */
#include "dht/peers.h"

#include <string.h>

void peers_init(struct peers *p)
{
    memset(p, 0, sizeof *p);
    p->counts[PEER_FREE] = PEER_SLOTS;
}

static uint64_t tag_of(const struct node_id *id)
{
    uint64_t tag;
    memcpy(&tag, id->h.b, sizeof tag);
    return tag;
}

struct peer *peers_find_link(struct peers *p, struct link link)
{
    if (link.id == 0)
        return NULL;
    for (size_t i = 0; i < PEER_SLOTS; i++)
        if (p->links[i] == link.id)
            return &p->slots[i];
    return NULL;
}

static size_t find_id(const struct peers *p, const struct node_id *id)
{
    uint64_t tag = tag_of(id);
    for (size_t i = 0; i < PEER_SLOTS; i++)
        if (p->tags[i] == tag && p->slots[i].state == PEER_UP && node_id_equal(&p->slots[i].id, id))
            return i;
    return PEER_SLOTS;
}

struct peer *peers_find_id(struct peers *p, const struct node_id *id)
{
    size_t i = find_id(p, id);
    return i < PEER_SLOTS ? &p->slots[i] : NULL;
}

const struct peer *peers_find_id_const(const struct peers *p, const struct node_id *id)
{
    size_t i = find_id(p, id);
    return i < PEER_SLOTS ? &p->slots[i] : NULL;
}

static bool is_dial(const struct peer *peer) { return peer->state == PEER_DIALLING || peer->state == PEER_GREETING; }

struct peer *peers_find_dial(struct peers *p, const struct node_id *id)
{
    if (p->counts[PEER_DIALLING] + p->counts[PEER_GREETING] == 0)
        return NULL;
    for (size_t i = 0; i < PEER_SLOTS; i++)
        if (p->links[i] != 0 && is_dial(&p->slots[i]) && p->slots[i].has_id && node_id_equal(&p->slots[i].id, id))
            return &p->slots[i];
    return NULL;
}

struct peer *peers_find_transport(struct peers *p, const struct seal_key *transport)
{
    for (size_t i = 0; i < PEER_SLOTS; i++) {
        if (p->links[i] == 0)
            continue;
        struct peer *peer = &p->slots[i];
        if (peer->state != PEER_STRANGER &&
            memcmp(peer->transport.b, transport->b, SEAL_KEY_BYTES) == 0)
            return peer;
    }
    return NULL;
}

bool peers_has_room(const struct peers *p, enum peer_state state)
{
    switch (state) {
    case PEER_STRANGER: return p->counts[PEER_STRANGER] < STRANGERS_MAX;
    case PEER_DIALLING:
    case PEER_GREETING: return p->counts[PEER_DIALLING] + p->counts[PEER_GREETING] < DIALS_MAX;
    case PEER_ARRIVING: return p->counts[PEER_ARRIVING] == 0;
    case PEER_UP: return p->counts[PEER_UP] < PEERS_MAX;
    case PEER_SHADOW: return p->counts[PEER_SHADOW] < SHADOWS_MAX;
    case PEER_FREE:
    case PEER_STATE_COUNT: break;
    }
    return false;
}

struct peer *peers_take(struct peers *p, struct link link, enum peer_state state)
{
    ENSURE(link.id != 0);
    if (!peers_has_room(p, state))
        return NULL;
    size_t i = 0;
    while (p->slots[i].state != PEER_FREE) {
        i++;
        ENSURE(i < PEER_SLOTS);                                /* the limits per state add up to PEER_SLOTS */
    }
    p->links[i] = link.id;
    p->slots[i].link = link;
    peers_set_state(p, &p->slots[i], state);
    return &p->slots[i];
}

void peers_set_state(struct peers *p, struct peer *peer, enum peer_state state)
{
    p->counts[peer->state]--;
    p->counts[state]++;
    peer->state = state;
    p->tags[peer - p->slots] = state == PEER_UP ? tag_of(&peer->id) : 0;
}

void peers_release(struct peers *p, struct peer *peer)
{
    ENSURE(peer->state != PEER_FREE);
    peers_set_state(p, peer, PEER_FREE);
    p->links[peer - p->slots] = 0;
    memset(peer, 0, sizeof *peer);
}

struct peer *peers_each(struct peers *p, enum peer_state state, size_t *cursor)
{
    while (*cursor < PEER_SLOTS) {
        size_t i = (*cursor)++;
        if (p->links[i] != 0 && p->slots[i].state == state)
            return &p->slots[i];
    }
    return NULL;
}

static void check_slot(const struct peers *p, size_t i)
{
    const struct peer *a = &p->slots[i];
    ENSURE(p->links[i] == a->link.id);
    ENSURE((a->state == PEER_FREE) == (a->link.id == 0));
    ENSURE(p->tags[i] == (a->state == PEER_UP ? tag_of(&a->id) : 0));
}

void peers_check_link(const struct peers *p, struct link link)
{
    for (size_t i = 0; i < PEER_SLOTS; i++)
        if (p->links[i] == link.id && link.id != 0) {
            check_slot(p, i);
            for (size_t k = 0; k < PEER_SLOTS && p->tags[i] != 0; k++)
                ENSURE(k == i || p->tags[k] != p->tags[i] || !node_id_equal(&p->slots[k].id, &p->slots[i].id));
        }
    ENSURE(p->counts[PEER_UP] <= PEERS_MAX);
    ENSURE(p->counts[PEER_DIALLING] + p->counts[PEER_GREETING] <= DIALS_MAX);
}

void peers_check(const struct peers *p)
{
    uint32_t counts[PEER_STATE_COUNT] = { 0 };
    size_t up[PEER_SLOTS];
    for (size_t i = 0; i < PEER_SLOTS; i++) {
        const struct peer *a = &p->slots[i];
        if (a->state == PEER_UP)
            up[counts[PEER_UP]] = i;
        counts[a->state]++;
        check_slot(p, i);
    }
    for (size_t i = 0; i < counts[PEER_UP]; i++)
        for (size_t k = i + 1; k < counts[PEER_UP]; k++)
            ENSURE(p->tags[up[k]] != p->tags[up[i]] || !node_id_equal(&p->slots[up[i]].id, &p->slots[up[k]].id));
    for (size_t s = 0; s < PEER_STATE_COUNT; s++)
        ENSURE(counts[s] == p->counts[s]);
    ENSURE(counts[PEER_UP] <= PEERS_MAX);
    ENSURE(counts[PEER_DIALLING] + counts[PEER_GREETING] <= DIALS_MAX);
}
