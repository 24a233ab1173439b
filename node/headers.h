/* headers.h - how does a node without the weights get a model's header that it can trust?
 *
 * Asks one provider known from adverts for the header in parts, checks the whole against the model id, and goes to the next
 * provider if it does not fit. Serves the headers of its own models, a bounded number of parts per second.
 *
 * Owns:    at most FETCHES_MAX buffers on the heap, each allocated when the first part names the size (at most
 *          HEADER_BYTES_MAX) and freed when the fetch ends; a finished header lives until headers_reclaim(). A header is
 *          wanted once per model and may be ten megabytes, so reserving room in every agent would be wrong, and the shell
 *          cannot lend it because it does not know the size either.
 * Threads: none.
 * Effects: through services.
 * Spec:    PROTO 8.2 (transfer), PROTO 8.3 (check)
 */
#ifndef TALLYMESH_NODE_HEADERS_H
#define TALLYMESH_NODE_HEADERS_H

#include "node/served.h"
#include "node/services.h"

enum {
    FETCHES_MAX = 2, FETCH_TRIES_MAX = 8,
    HEADER_PARTS_AHEAD = 4,                                /* asked for before the first of them is here */
    HEADER_PART_WAIT_MS = 1500, HEADER_PART_RETRIES_MAX = 3,
    HEADER_FIND_MS = 4000, HEADER_DIAL_MS = 3000,
    HEADER_PARTS_PER_S = 64, HEADER_PARTS_BURST = 256,     /* served, to all requesters together: 2 MiB/s */
};

/* What is known in each state:
 *   FETCH_FINDING  no provider left to ask; a lookup is under way
 *   FETCH_DIALLING node is the provider whose link is being opened
 *   FETCH_ASKING   parts are asked of node; bytes[0 .. got) are here (bytes NULL until the first)
 *   FETCH_READY    handed out; freed by headers_reclaim() */
enum fetch_state { FETCH_FREE, FETCH_FINDING, FETCH_DIALLING, FETCH_ASKING, FETCH_READY };

struct fetch {
    enum fetch_state state;
    struct hash model, tensor_hash;
    uint8_t *bytes;
    uint32_t total, got, asked;
    struct node_id node;
    struct node_id tried[FETCH_TRIES_MAX];
    uint32_t tried_count, retries;
    bool searched;
    enum err why;                                          /* of the last provider that failed */
    struct mono deadline;
};

struct headers {
    struct services *s;
    struct served_table *served;
    struct fetch fetch[FETCHES_MAX];
    uint32_t parts_left;
    struct mono refilled;
};

void headers_init(struct headers *h, struct services *s, struct served_table *served);
void headers_fini(struct headers *h);
void headers_reclaim(struct headers *h);                   /* before each event: frees what was handed out with the last */

void headers_want(struct headers *h, const struct hash *model);
void headers_peer_up(struct headers *h, const struct node_id *node);
void headers_peer_down(struct headers *h, const struct node_id *node);
void headers_providers(struct headers *h, const struct hash *model);
enum err headers_get(struct headers *h, const struct node_id *from, struct bytes body) MUST_CHECK;
enum err headers_part(struct headers *h, const struct node_id *from, struct bytes body) MUST_CHECK;

bool headers_step(struct headers *h);
struct mono headers_deadline(const struct headers *h);

#endif
