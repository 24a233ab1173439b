/* queue.h - what happens next? A heap of events in one total order: time, then the order in which they were made.
 *
 * Owns:    its array and the bytes of the items in it; queue_pop() hands the bytes over.
 */
#ifndef TALLYMESH_TESTS_SIM_QUEUE_H
#define TALLYMESH_TESTS_SIM_QUEUE_H

#include "dht/overlay.h"

enum item_kind {
    ITEM_TICK,                                             /* node: a deadline of its agent */
    ITEM_LINK_UP, ITEM_LINK_DOWN, ITEM_FRAME,              /* wire, end: who hears of it */
    ITEM_RUN,                                              /* node, idx: the engine's next step */
    ITEM_ASK, ITEM_CANCEL, ITEM_PROBE, ITEM_HEADER,        /* node; idx: client */
    ITEM_START, ITEM_VICE,                                 /* node */
    ITEM_CRASH, ITEM_DISK, ITEM_PARTITION,                 /* the world's faults */
};

struct queue_item {
    uint64_t us, order;
    enum item_kind kind;
    size_t node, idx;                                      /* LINK_*, FRAME: idx is the wire */
    uint64_t life;                                         /* of the node it is meant for; another life: dropped */
    int end;                                               /* of the wire */
    uint8_t *bytes;
    size_t len;
};

struct queue {
    struct queue_item *items;
    size_t count, room;
    uint64_t order;
};
void queue_push(struct queue *q, struct queue_item it);
bool queue_pop(struct queue *q, uint64_t until_us, struct queue_item *out);    /* false: nothing happens by then */
void queue_free(struct queue *q);
void *sim_grow(void *array, size_t *room, size_t count, size_t size);          /* room for one more, or exits */

#endif
