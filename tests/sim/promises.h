/* promises.h - has anybody honest ever signed two different things under one name?
 *
 * One table over the whole world and all lives of all nodes: name of a promise -> hash of what was promised. A promise
 * is counted when its frame leaves the process, so what a crash swallowed binds nobody.
 *
 * Owns:    its table, which grows.
 */
#ifndef TALLYMESH_TESTS_SIM_PROMISES_H
#define TALLYMESH_TESTS_SIM_PROMISES_H

#include "crypto/hash.h"

struct promise { struct hash name, said; };
struct promises {
    struct promise *slots;                                 /* open addressing; an all-zero name is free */
    size_t room, count;
};
void promises_free(struct promises *p);
/* The name under which `what` with these parts is promised. */
struct hash promise_name(const char *what, struct bytes a, uint64_t b, uint64_t c);
/* True if this is new or the same as before. */
bool promises_keep(struct promises *p, const struct hash *name, const struct hash *said);
const struct hash *promises_find(const struct promises *p, const struct hash *name);   /* NULL: never said */

#endif
