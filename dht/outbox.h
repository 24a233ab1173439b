/* outbox.h - what should happen next, in order, and where the bytes of it live.
 *
 * Emptied as a whole: once everything has been taken, the next call that appends starts from the beginning. Entries that
 * say the same to many links share their bytes.
 *
 * Worst case of one FRAME event on an empty outbox (TICK and the parent's verbs ask outbox_has_room() first and put work
 * off that does not fit):
 *
 *   PUB      8 pushes and 248 IHAVE, each group sharing bytes, 1 notice           257 effects,  3 KiB
 *   IWANT    GOSSIP_IDS_MAX answers                                                16 effects, 33 KiB
 *   HELLO    answer, notices, 1 displaced peer, each search's next questions       16 * 4 + 8 effects, 22 KiB
 *   NODES    3 questions, or the end of a walk: STORE_REPLICAS stores              20 effects, 20 KiB
 *
 * Owns:    OUTBOX_EFFECTS_MAX entries and OUTBOX_BYTES_MAX bytes inside the struct.
 * Threads: none.
 * Effects: it is them.
 */
#ifndef TALLYMESH_DHT_OUTBOX_H
#define TALLYMESH_DHT_OUTBOX_H

#include "dht/overlay.h"

enum { OUTBOX_EFFECTS_MAX = 640, OUTBOX_BYTES_MAX = 160 * 1024 };

struct outbox {
    size_t head, count, used;
    uint32_t effects_peak, bytes_peak;
    struct overlay_effect effects[OUTBOX_EFFECTS_MAX];
    _Alignas(16) uint8_t bytes[OUTBOX_BYTES_MAX];
};

void outbox_init(struct outbox *b);
bool outbox_is_drained(const struct outbox *b);
/* Starts from the beginning if everything has been taken. What was lent is gone. */
void outbox_recycle(struct outbox *b);
bool outbox_has_room(const struct outbox *b, size_t effects, size_t bytes);
/* Aligned room for `size` bytes; the caller has asked for room or knows its worst case. */
void *outbox_alloc(struct outbox *b, size_t size);
void outbox_push(struct outbox *b, const struct overlay_effect *e);
bool outbox_take(struct outbox *b, struct overlay_effect *out);

#endif
