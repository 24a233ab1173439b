/* ledger_rig.h - two parties with a ledger each, and a job that runs between them as two honest agents would run it. */
#ifndef TALLYMESH_TESTS_LEDGER_RIG_H
#define TALLYMESH_TESTS_LEDGER_RIG_H

#include "ledger/bundle.h"
#include "ledger/ledger.h"
#include "ledger/store_mem.h"

enum { RIG_OUTPUT_MAX = 512 };

struct party {
    struct store_mem *mem;                                 /* NULL if the store is somebody else's */
    struct store *store;
    struct ledger ledger;
    struct ledger_recovery recovery;
    struct secret_key key;
    struct pubkey self;
    struct net_id net;
};
/* Keys from one byte; no store yet. */
void party_init(struct party *p, uint8_t seed);
/* Opens the ledger over p->store, creating a store_mem first if there is none. Commits what recovery wrote. */
enum err party_open(struct party *p) MUST_CHECK;
/* Power off, power on. */
enum err party_crash(struct party *p) MUST_CHECK;
void party_fini(struct party *p);

/* What both sides of a running job hold in memory. */
struct rig_job {
    struct terms terms;
    struct hash hash, nonce;
    uint64_t seed;
    uint32_t prompt[8], output[RIG_OUTPUT_MAX];
    struct hash heads[RIG_OUTPUT_MAX];
    size_t output_count;
    struct token_chain tokens;
    struct digester digester;
    struct digest_chain digests;
    struct claim claim;                                    /* the newest made */
    struct hash digest;                                    /* that came with it */
    bool has_digest;
};

/* Terms that pass terms_check(); job number `n` gives distinct ones. */
void rig_job_init(struct rig_job *j, const struct party *requester, const struct party *provider, uint64_t n);
/* Both signatures on the terms, stored on both sides. */
enum err rig_job_begin(struct rig_job *j, struct party *requester, struct party *provider) MUST_CHECK;
/* The provider makes one token. */
void rig_job_token(struct rig_job *j);
/* The claim for all tokens so far, with the digest that closes it; false if there is none to make now. */
bool rig_job_claim(struct rig_job *j, bool last);
struct sig rig_claim_sig(const struct rig_job *j, const struct party *provider);
/* The claim goes to the requester and its signature back. */
enum err rig_job_exchange_claim(struct rig_job *j, struct party *requester, struct party *provider) MUST_CHECK;
/* Generates `count` tokens with a claim at every 32 and at the end. */
enum err rig_job_generate(struct rig_job *j, struct party *requester, struct party *provider, size_t count) MUST_CHECK;
/* Both end the job as complete; the receipt goes across and comes back. Commits both stores. */
enum err rig_job_close(struct rig_job *j, struct party *requester, struct party *provider, struct hash *out_receipt) MUST_CHECK;
/* begin, generate, close. */
enum err rig_job_whole(struct rig_job *j, struct party *requester, struct party *provider, uint64_t n, size_t tokens,
                       struct hash *out_receipt) MUST_CHECK;
void rig_job_opening(const struct rig_job *j, struct opening *out);

extern const struct credit_limits rig_limits;              /* generous */
extern const struct wall rig_now;

#endif
