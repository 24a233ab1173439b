/* peersfile_posix.h - whom we knew before the restart.
 *
 * A node whose bootstrap addresses have all moved must still find its mesh, and one whose restart an attacker waits for
 * must not depend on a single list: the oldest peers it had itself are tried beside the configured ones.
 *
 * File <data_dir>/peers: one bootstrap string per line, oldest link first, at most PEERSFILE_MAX; only a cache.
 * Threads: the loop's. Effects: reads and replaces the file.
 */
#ifndef TALLYMESH_NODE_PEERSFILE_POSIX_H
#define TALLYMESH_NODE_PEERSFILE_POSIX_H

#include "node/node_posix.h"

enum { PEERSFILE_MAX = 12, PEERSFILE_SETTLE_MS = 1000, PEERSFILE_REFRESH_MS = 5 * 60 * 1000 };

/* Hands every remembered address to the agent; damaged lines are skipped. */
void peersfile_read(struct node *n);
/* Writes what has changed, at most once a second; call every turn. */
void peersfile_turn(struct node *n);

#endif
