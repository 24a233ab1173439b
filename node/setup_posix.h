/* setup_posix.h - can a node with this configuration do its work on this machine? Says no before anything is begun.
 *
 * What config_validate() cannot know: the backends of this build and machine, the identity in the data folder, the model
 * files, this machine's addresses. `tallyd --check`, the start of a node and `tally doctor` ask the same questions here, so that
 * they cannot give different answers.
 *
 * Threads: start-up and command line only; blocking.
 * Effects: reads files; binds a socket for a moment.
 * Errors:  a sentence that names what is wrong and what would mend it.
 */
#ifndef TALLYMESH_NODE_SETUP_POSIX_H
#define TALLYMESH_NODE_SETUP_POSIX_H

#include "kernels/fault.h"
#include "node/config.h"

/* "auto", or a backend of this build and machine. ERR_CONFIG. */
enum err setup_check_backend(const char *name, struct fault *why) MUST_CHECK;
/* Every bootstrap string is of this network. ERR_NETWORK. */
enum err setup_check_bootstraps(const struct config *c, struct fault *why) MUST_CHECK;
/* The identity is of this network and proves as much work as pow_bits asks for. OK too if nobody has made one yet, or its
 * public key cannot be told without a passphrase. ERR_NOT_FOUND (made by half), ERR_NETWORK, ERR_POW, ERR_CORRUPT. */
enum err setup_check_identity(const struct config *c, struct fault *why) MUST_CHECK;
/* listen.host is an address of this machine; if with_port, its port is free as well. ERR_CONFIG. */
enum err setup_check_listen(const struct config *c, bool with_port, struct fault *why) MUST_CHECK;
/* The file is a model that can be computed. It is not hashed: that takes minutes for a large one. has_chat may be NULL. */
enum err setup_check_model(const struct config_model *m, bool *has_chat, struct fault *why) MUST_CHECK;
/* All of it; the first fault. */
enum err setup_check(const struct config *c, struct fault *why) MUST_CHECK;

#endif
