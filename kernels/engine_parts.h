/* engine_parts.h - what the files of the engine share; private to engine*.c.
 *
 *   engine.c         opening, sizes, facts
 *   engine_jobs.c    jobs come and go; what a job leaves for its owner's next one
 *   engine_step.c    one ragged pass for everybody who wants a token
 *   engine_score.c   checking an answer
 */
#ifndef TALLYMESH_KERNELS_ENGINE_PARTS_H
#define TALLYMESH_KERNELS_ENGINE_PARTS_H

#include "kernels/device.h"
#include "kernels/engine.h"
#include "kernels/model.h"

/* FREE: the slot has no pages. ACTIVE: done < known. RESTING: the job is over, and the pages of tokens[0 .. done), done > 0,
 * are kept for the next job of the same owner; nobody but engine_jobs.c cares. */
enum job_state { JOB_FREE, JOB_ACTIVE, JOB_RESTING };

/* A job in its slot. Known tokens: the prompt, then what was sampled. `done` of them are in the cache; while the job
 * lives done < known, and it is generating when known - done == 1 and the prompt has been read. It is paused while
 * known >= pause: its newest token then waits in place, so that going on is the very step that was put off. */
struct job {
    enum job_state state;
    uint64_t id;
    uint32_t *tokens;                /* (n + max_tokens) */
    uint32_t n;                      /* of the prompt */
    uint32_t known, done, end;       /* end = n + max_tokens */
    uint32_t pause;                  /* n + what it may make for now; n < pause <= end */
    uint32_t stop_ids[ENGINE_STOP_IDS_MAX];
    uint32_t n_stop;
    struct sampler_params params;
    bool want_head_bytes;
    bool has_owner;
    uint8_t owner[ENGINE_OWNER_BYTES];
    uint64_t rests_since;            /* RESTING: a number that grows; the least has rested longest */
};

struct engine {
    const struct model *model;
    struct device *device;
    uint32_t slots, prefill_chunk, rows_max, context;
    uint32_t first_slot;             /* whose prompt is served first; moves on with every step */
    uint64_t rests;                  /* jobs that have come to rest so far */
    struct job *jobs;                /* (slots) */
    struct row *rows;                /* (rows_max): the batch */
    struct pick *picks;              /* (rows_max): the rows of the batch that ask for a token, in order */
    uint32_t *asked;                 /* (rows_max): their row numbers */
    uint32_t n_asked;
    uint8_t *heads;                  /* (slots + 1, head bytes): of each slot, then of a check */
};

static inline uint32_t engine_min(uint32_t a, uint32_t b) { return a < b ? a : b; }

bool engine_tokens_are_known(const struct engine *e, const uint32_t *tokens, uint32_t n);
/* A slot that is not active, with pages for `positions` and nothing in them that counts. ERR_CAPACITY. */
enum err engine_take_slot(struct engine *e, uint32_t positions, uint32_t *slot) MUST_CHECK;
/* The active job is over; what it leaves may rest if it ended well. */
void engine_end_job(struct engine *e, struct job *j, bool well);
/* The slot's pages go back, and nothing of its job stays in memory but in the batch of the last step. */
void engine_empty_slot(struct engine *e, struct job *j);
/* Nor there. */
void engine_wipe_batch(struct engine *e);
/* Adds a row to the batch of *n rows; with parameters, the token after it is asked for. */
void engine_add_row(struct engine *e, uint32_t *n, uint32_t slot, uint32_t position, uint32_t token,
                    const struct sampler_params *params);

#endif
