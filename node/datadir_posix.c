/* datadir_posix.c - looks for the node's folder where tally and tallyd agree it may be. */
#include "node/datadir_posix.h"

#include <stdio.h>
#include <stdlib.h>

#include "node/identity_posix.h"

static const char machine_dir[] = "/var/lib/tallymesh";

void datadir_find(char out[CONFIG_PATH_CHARS])
{
    const char *env = getenv("TALLY_DATA_DIR"), *home = getenv("HOME");
    if (env && env[0]) {
        snprintf(out, CONFIG_PATH_CHARS, "%s", env);
        return;
    }
    snprintf(out, CONFIG_PATH_CHARS, "%s/.tallymesh", home ? home : "");
    if (!home || !home[0] || (identity_is_absent(out) && !identity_is_absent(machine_dir)))
        snprintf(out, CONFIG_PATH_CHARS, "%s", machine_dir);
}
