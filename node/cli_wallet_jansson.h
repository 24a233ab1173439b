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

/* Frozen channels (PROTO 7.9): nothing is signed with such a node any more. */
bool wallet_is_frozen(struct wallet *w, const struct pubkey *peer);
uint64_t wallet_count_frozen(struct wallet *w);
/* Each number under which two receipts stand: ours and the peer's, with bodies and signatures as far as they are known. */
json_t *evidence_json(struct wallet *w, const struct pubkey *peer);
void evidence_print(struct cli *c, struct wallet *w, const struct pubkey *peer);

#endif
