/* cli_wallet_jansson.h - how the ledger's records read on paper and in JSON; shared by the wallet's commands, private to the program. */
#ifndef TALLYMESH_NODE_CLI_WALLET_JANSSON_H
#define TALLYMESH_NODE_CLI_WALLET_JANSSON_H

#include "node/cli.h"
#include "node/values_jansson.h"

/* A node goes by its node id everywhere; its key is in JSON. */
struct node_name { char full[HASH_HEX_CHARS + 1], shown[CLI_DIGITS_SHOWN + 1]; };
struct node_name node_name(const struct pubkey *key);

/* The label, or the first digits of the model id where a job has none. */
struct model_shown { char text[MODEL_LABEL_CHARS_MAX + 1]; };
struct model_shown job_model(const struct job *job);

json_t *receipt_json(const struct receipt_view *v, const struct job *job);     /* job may be NULL */
json_t *job_json(const struct job *job);

#endif
