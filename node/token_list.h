/* token_list.h - token ids that grow: a prompt and its answer on the requester's side, what is not yet sent on the provider's.
 *
 * A job holds between ten and OUTPUT_TOKENS_MAX tokens; reserving the most for every slot would be forty megabytes per
 * node, and the simulator runs two hundred nodes. So this is the one place of the agent's jobs that allocates, doubling up
 * to the bound its caller names; ERR_MEMORY ends that job and nothing else.
 *
 * Owns:    its memory; pair token_list_init() with token_list_fini(). All-zero is a valid empty list.
 * Threads: none.
 */
#ifndef TALLYMESH_NODE_TOKEN_LIST_H
#define TALLYMESH_NODE_TOKEN_LIST_H

#include "crypto/hash.h"

struct token_list {
    uint32_t *ids;
    uint32_t count, capacity;
};
void token_list_init(struct token_list *l);
void token_list_fini(struct token_list *l);                /* empty afterwards */
/* ERR_TOO_LARGE above max, ERR_MEMORY; the list is then as it was. */
enum err token_list_add(struct token_list *l, const uint32_t *ids, uint32_t count, uint32_t max) MUST_CHECK;

/* i below the count, which whoever counts on a peer's behalf does not take its word for. */
static inline uint32_t token_list_at(const struct token_list *l, uint32_t i)
{
    ENSURE(i < l->count);
    return l->ids[i];
}

/* Head hashes of tokens that no digest covers yet; the front is dropped as digests are made. */
struct hash_list {
    struct hash *at;
    uint32_t count, capacity;
};
void hash_list_init(struct hash_list *l);
void hash_list_fini(struct hash_list *l);
enum err hash_list_add(struct hash_list *l, const struct hash *h, uint32_t count, uint32_t max) MUST_CHECK;
void hash_list_drop(struct hash_list *l, uint32_t count);  /* the first `count`, at most all */

#endif
