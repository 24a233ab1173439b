/* lookup.h - who is closest to a key? One iterative walk.
 *
 * A candidate is in one of three states:
 *
 *   NEW       named, not asked yet            -> ASKED by lookup_asked()
 *   ASKED     a question is on its way        -> ANSWERED by lookup_answered(); gone by lookup_failed() after two tries
 *   ANSWERED  did answer
 *
 * The closest candidates are kept, sorted by distance: LOOKUP_WIDTH that matter and a few to move up when one fails.
 * LOOKUP_ALPHA questions are out at once, nearest first. The walk is over when all that matter have answered: then they are
 * the closest that exist and live.
 *
 * Owns:    the struct: one walk.
 * Threads: none.
 * Time:    every call gets `now`; it may repeat but never goes back.
 * Effects: none. The parent asks whom lookup_pick() names (dialling first where there is no link) and reports.
 * Spec:    PROTO 4.6
 */
#ifndef TALLYMESH_DHT_LOOKUP_H
#define TALLYMESH_DHT_LOOKUP_H

#include "dht/record.h"

enum {
    LOOKUP_TRIES_MAX = 2,                                  /* a lost frame is not a dead node */
    LOOKUP_FAILED_MAX = 32,                                /* remembered, so that others cannot name them back in */
    LOOKUP_MS_MAX = 30 * 1000,                             /* then whoever has answered is the answer */
    LOOKUP_KEPT = LOOKUP_WIDTH + 4,
    LOOKUP_NONE = LOOKUP_KEPT,
};

enum candidate_state { CANDIDATE_NEW, CANDIDATE_ASKED, CANDIDATE_ANSWERED };

struct candidate {
    struct node_record record;
    enum candidate_state state;
    uint32_t tries;
    uint32_t skip;                                         /* values already received from it */
    uint64_t request;                                      /* 0: waiting for a link, nothing sent yet */
    struct mono deadline;
};

struct lookup {
    struct hash target;
    struct mono deadline;
    size_t count, failed_count;
    struct candidate candidates[LOOKUP_KEPT];             /* by distance to target */
    struct hash failed[LOOKUP_FAILED_MAX];
};

void lookup_init(struct lookup *l, struct mono now, const struct hash *target);
/* Keeps the record if it is among the closest, new, and has not failed before. True if kept. */
bool lookup_add(struct lookup *l, const struct node_record *record);
/* Index of the candidate to ask next; LOOKUP_NONE while enough are asked or nobody is new. */
size_t lookup_pick(const struct lookup *l);
/* The question is on its way (request 0: still waiting for a link). Counts a try only when really sent. */
void lookup_asked(struct lookup *l, size_t i, uint64_t request, struct mono deadline);
/* Index of the candidate whose question this was, and who answered; LOOKUP_NONE if nobody's. */
size_t lookup_match(const struct lookup *l, uint64_t request, const struct node_id *from);
size_t lookup_index(const struct lookup *l, const struct node_id *id);     /* LOOKUP_NONE if not kept */
void lookup_answered(struct lookup *l, size_t i);
void lookup_failed(struct lookup *l, size_t i);            /* later indices move down by one */
/* Somebody's time is up: true and its index. The parent asks again (tries < LOOKUP_TRIES_MAX) or reports failure. */
bool lookup_late(const struct lookup *l, struct mono now, size_t *i);
bool lookup_is_done(const struct lookup *l, struct mono now);
struct mono lookup_deadline(const struct lookup *l);
void lookup_check(const struct lookup *l);

#endif
