/* overlay_state.h - the complete struct overlay, for who embeds it, and what its files say to each other.
 *
 * overlay.c decides; links.c, admission.c, session.c, upkeep.c, search.c, serve.c, publish.c, rumour.c and parent.c each tell
 * one part of the story over the same struct; the machines below (peers, routing, lookup, store, gossip) are leaves that do
 * not know it. Only dht/ and its tests look inside; everybody else uses overlay.h.
 */
#ifndef TALLYMESH_DHT_OVERLAY_STATE_H
#define TALLYMESH_DHT_OVERLAY_STATE_H

#include "dht/gossip.h"
#include "dht/lookup.h"
#include "dht/message.h"
#include "dht/outbox.h"
#include "dht/overlay.h"
#include "dht/peers.h"
#include "dht/routing.h"
#include "dht/store.h"

enum {
    HELLOS_PER_S = 200, HELLOS_BURST = 1000,               /* two signatures each: a few percent of a core */
    VERIFIED_MAX = 512,                                    /* a record is heard of, dialled and met: verified once */
    BOOTSTRAPS_MAX = 16,
    BOOTSTRAP_PEERS_MIN = 4,                               /* with fewer peers the bootstrap nodes are asked again */
    BOOTSTRAP_AGAIN_SMALL_MS = 2 * 60 * 1000, BOOTSTRAP_AGAIN_MS = 60 * 60 * 1000,
    BOOTSTRAP_HURRY_MS = 500,
    KEPT_SMALL_MS = 30 * 1000,
    KEPT_MODELS_MAX = 16,                                  /* the directory included */
    SEARCH_PAGES_MAX = 16,                                 /* further pages of values fetched in one walk: 112 adverts */
    PUBLISH_SEARCHES_MAX = 4,                              /* of LOOKUPS_MAX; the rest stays free for people who wait */
    TABLE_DIALS_MAX = DIALS_MAX / 2,                       /* the other half belongs to lookups and the parent */
    CACHE_RECORDS_MAX = RECORDS_MAX / 4,                   /* adverts held for our own use are not evicted, up to so many */
    PEERS_RESERVED = 32,                                   /* seats the routing table leaves to inbound peers and jobs */
    WITHDRAWN_TTL_MS = 60 * 1000,
};

enum search_purpose {
    SEARCH_SELF,                                           /* to be found by our neighbours: the join */
    SEARCH_REFRESH,                                        /* to hear of nodes in one bucket */
    SEARCH_NODE,                                           /* the parent wants this node */
    SEARCH_PROVIDERS,                                      /* adverts of a model */
    SEARCH_PUBLISH,                                        /* where a publication of ours belongs */
};

struct publication {
    struct mono due;
    bool running;
    uint32_t rounds;                                       /* spread so often since it was signed */
};

struct search {
    bool active, notify;
    enum search_purpose purpose;
    struct hash subject;                                   /* PROVIDERS: model. PUBLISH: model, zero for the node record */
    bool directory;                                        /* PUBLISH: under the directory key */
    uint32_t pages;
    struct lookup walk;
};

struct own_advert {
    bool used;
    struct advert advert;
    struct mono signed_at;
    struct mono resign_at;                                 /* withdrawn (slots = 0): when to forget it */
    struct publication by_model, by_directory;
};

struct boot {
    bool used;
    struct endpoint at;
    struct mono next_try;
    uint32_t tries;
};

struct kept_model {
    bool used, for_ever;
    struct hash model;
    struct mono last_used, refresh_at;
};

struct overlay {
    struct net_id net;
    unsigned pow_bits;
    const struct secret_key *key;
    struct node_record own;
    uint64_t last_seq, last_number;
    struct mono own_signed_at, resign_at;                  /* of our node record */
    struct publication own_spread;

    struct mono now, wall_at, deadline;
    struct wall wall;                                      /* as it was at wall_at */
    struct rng rng;
    uint64_t last_link, last_request;
    struct bucket hellos;                                  /* signatures checked for strangers are rationed */
    bool self_found, was_joined, stopped;
    uint32_t refresh_rounds;
    struct mono refresh_again;

    struct hash verified[VERIFIED_MAX];                    /* hashes of records whose signatures were found good */

    struct boot boots[BOOTSTRAPS_MAX];
    struct kept_model kept[KEPT_MODELS_MAX];
    struct own_advert adverts[OWN_ADVERTS_MAX];
    struct search searches[LOOKUPS_MAX];
    struct peers peers;
    struct routing routing;
    struct store store;
    struct gossip gossip;
    struct overlay_counters counters;
    struct outbox out;
};

/* ---- overlay.c: what all parts need ---- */

/* Each entry point but the queries starts here: what was lent is gone, time has moved. wall may be NULL. */
void overlay_begin(struct overlay *o, struct mono now, const struct wall *wall);
void overlay_wake(struct overlay *o, struct mono at);              /* the deadline is no later than this */
struct wall overlay_wall(const struct overlay *o);
uint64_t overlay_next_seq(struct overlay *o);
/* record_verify(), remembering the answer for these very bytes. */
enum err overlay_verify(struct overlay *o, const struct node_record *r) MUST_CHECK;
void overlay_refuse(struct overlay *o, uint32_t type, enum err why);       /* counts */
void overlay_emit(struct overlay *o, const struct overlay_effect *e);
/* Encodes into the outbox; one frame may then be sent on many links. */
struct bytes overlay_frame(struct overlay *o, const struct frame *f);
void overlay_send_bytes(struct overlay *o, struct link link, uint32_t type, struct bytes frame);
void overlay_send_frame(struct overlay *o, struct link link, const struct frame *f);

/* ---- links.c: links made, lost, given up ---- */

/* Dials; record NULL: whoever answers with that transport key. NULL: no slot free. An existing dial is returned as it is. */
struct peer *session_dial(struct overlay *o, const struct endpoint *at, const struct node_record *record);
void session_link_up(struct overlay *o, struct link link);
void session_link_down(struct overlay *o, struct link link);
void session_tick(struct overlay *o);
struct mono session_deadline(const struct overlay *o);
void session_end(struct overlay *o, struct peer *peer);    /* in whatever way its state asks for; the slot is free then */
void session_drop(struct overlay *o, struct peer *peer, enum goaway reason);
/* A protocol offence by this peer: counted, priced. True if the peer is gone (muted). */
bool session_offence(struct overlay *o, struct peer *peer, uint32_t type, enum err what);
/* Whose dial carries the talk when both have dialled: the smaller id's. */
bool session_our_dial_wins(const struct overlay *o, const struct node_id *other);
void session_hang_up(struct overlay *o, struct link link);
void session_notice(struct overlay *o, enum overlay_effect_kind kind, const struct node_id *node);
void session_say_goaway(struct overlay *o, struct link link, enum goaway reason);
void session_say_hello(struct overlay *o, struct peer *peer, enum message_type type);
void session_say_empty(struct overlay *o, struct peer *peer, enum message_type type, uint64_t request);

/* ---- admission.c: links become peers ---- */

/* A HELLO on an inbound link. OK: its author is up (or was already). */
enum err admission_hello(struct overlay *o, const struct overlay_event *ev, const struct frame *f) MUST_CHECK;
/* HELLO_OK on a link we dialled (the proof), or on any link that is up (news of a record). */
enum err admission_hello_ok(struct overlay *o, struct peer *peer, const struct frame *f) MUST_CHECK;

/* ---- session.c: who may say what ---- */

void session_frame(struct overlay *o, const struct overlay_event *e);

/* ---- overlay.c: messages of peers that are up ---- */

void overlay_message(struct overlay *o, struct peer *peer, const struct frame *f);
void overlay_peer_is_up(struct overlay *o, struct peer *peer);

/* ---- upkeep.c: what is done without being asked ---- */

void upkeep_tick(struct overlay *o);
struct mono upkeep_deadline(const struct overlay *o);
/* Somebody came (back) to a small mesh: where one is, there may be more, and we want links to all. One more round, not
 * sooner than the spacing of the last one allows. */
void upkeep_expect_more(struct overlay *o);
/* The last peers are going: ask the bootstrap nodes soon, not when it was their turn anyway. */
void upkeep_hurry_bootstrap(struct overlay *o);

/* ---- search.c ---- */

/* NULL: all LOOKUPS_MAX walks are under way. */
struct search *search_start(struct overlay *o, enum search_purpose purpose, const struct hash *target,
                            const struct hash *subject);
struct search *search_find(struct overlay *o, enum search_purpose purpose, const struct hash *subject);
void search_step(struct overlay *o, struct search *s);     /* asks whoever can be asked; ends the walk if it is over */
void search_peer_ready(struct overlay *o, struct peer *peer);              /* GREETING or UP: questions may be sent */
void search_peer_failed(struct overlay *o, const struct node_id *id);
enum err search_answer(struct overlay *o, struct peer *peer, const struct frame *f) MUST_CHECK;
void search_tick(struct overlay *o);
struct mono search_deadline(const struct overlay *o);
bool search_has_room(const struct overlay *o);             /* search_start() would succeed */
size_t search_count(const struct overlay *o, enum search_purpose purpose);

/* ---- publish.c: what we say about ourselves ---- */

void publish_sign_record(struct overlay *o);
void publish_tick(struct overlay *o);
struct mono publish_deadline(const struct overlay *o);
void publish_spread(struct overlay *o, struct search *s);  /* the walk of a SEARCH_PUBLISH has ended */
enum err publish_stored(struct overlay *o, const struct frame *f) MUST_CHECK;

/* ---- serve.c: what we hold and answer for others ---- */

enum err serve_find(struct overlay *o, struct peer *peer, const struct frame *f) MUST_CHECK;
enum err serve_get(struct overlay *o, struct peer *peer, const struct frame *f) MUST_CHECK;
enum err serve_store(struct overlay *o, struct peer *peer, const struct frame *f) MUST_CHECK;
/* An advert that came as an answer under `key`: verified and kept in the store. */
enum err serve_accept_advert(struct overlay *o, const struct hash *key, const struct aged_value *v) MUST_CHECK;

/* ---- rumour.c ---- */

enum err rumour_pub(struct overlay *o, struct peer *peer, const struct frame *f) MUST_CHECK;
enum err rumour_ihave(struct overlay *o, struct peer *peer, const struct frame *f) MUST_CHECK;
enum err rumour_iwant(struct overlay *o, struct peer *peer, const struct frame *f) MUST_CHECK;

#endif
