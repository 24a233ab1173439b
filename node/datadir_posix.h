/* datadir_posix.h - in which folder does the node live, if nobody says?
 *
 * One answer for tally and tallyd: $TALLY_DATA_DIR; else ~/.tallymesh if a node lives there; else /var/lib/tallymesh if one
 * lives there; else ~/.tallymesh, which is where `tally init` makes one (without a home: /var/lib/tallymesh).
 *
 * Threads: start-up and command line only. Effects: reads the environment, looks at the two folders.
 */
#ifndef TALLYMESH_NODE_DATADIR_POSIX_H
#define TALLYMESH_NODE_DATADIR_POSIX_H

#include "node/config.h"

void datadir_find(char out[CONFIG_PATH_CHARS]);

#endif
