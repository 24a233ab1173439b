/* engine.h - many answers at once from one model, one shared forward pass per step.
 *
 * The worker thread of a node opens one engine per model, starts jobs as they come and calls engine_step() in a loop
 * while engine_has_work() is true. A step runs one pass over a ragged batch: the newest token of every job that is
 * generating and a slice of the prompt of every job that is still reading it. Which jobs share a pass never changes a
 * bit of any answer (NV1), so batching, prefill slices, threads and the backend are invisible in the results.
 *
 * Positions are absolute: a job's tokens[0] has position 0. To continue an answer that another provider began, start a
 * job whose `tokens` are the prompt and the tokens delivered so far; sampling goes on exactly as it would have.
 *
 * Owns:    a device (KV cache, scratch, repacked weights, threads) and the jobs - all reserved in engine_open(). Borrows the
 *          struct model (and the mapping behind it) until engine_close().
 * Threads: one thread at a time owns an engine and makes every call; the pool inside is the engine's own business.
 * Time:    none.
 * Effects: heap memory, threads.
 * Spec:    NV1
 */
#ifndef TALLYMESH_KERNELS_ENGINE_H
#define TALLYMESH_KERNELS_ENGINE_H

#include "crypto/base.h"
#include "kernels/fault.h"
#include "kernels/sampler.h"

struct engine;
struct model;

enum {
    ENGINE_SLOTS_MAX = 256,
    ENGINE_THREADS_MAX = 256,
    ENGINE_STOP_IDS_MAX = 16,
    ENGINE_OWNER_BYTES = 32
};

/* Zero in any field takes the default in brackets. */
struct engine_options {
    const char *backend;        /* "scalar", "avx2", ..., "cuda", "cuda:1"; NULL: the best CPU backend of this machine */
    uint32_t threads;           /* compute threads of a CPU backend, the calling one included [1] */
    uint32_t slots_max;         /* jobs at once [8] */
    uint32_t kv_tokens_max;     /* tokens remembered over all jobs, in pages of 256 [the model's context, at most 8192] */
    uint32_t prefill_chunk;     /* prompt tokens per step over all jobs [512]; at most 64 while somebody writes */
};

/* Reserves everything and runs the backend's self-test. On failure *out is untouched and *why (may be NULL) says what is
 * wrong: ERR_ARG an option, ERR_NOT_FOUND no such backend here, ERR_UNSUPPORTED a model outside NV1 12, ERR_DEVICE the
 * self-test or the floating-point mode, ERR_MEMORY. */
enum err engine_open(const struct model *model, const struct engine_options *options, struct engine **out,
                     struct fault *why) MUST_CHECK;
void engine_close(struct engine *e);
/* Bytes of heap that engine_open() would reserve: cache, scratch and repacked weights, not the stacks of its threads.
 * For whoever keeps a cap on memory. Pure; 0 if engine_open() would refuse the options or knows no such backend. */
uint64_t engine_reserves(const struct model *model, const struct engine_options *options);

/* Name of the backend in use; static storage. */
const char *engine_backend(const struct engine *e);
/* The longest sequence (prompt and answer) a job may have here. */
uint32_t engine_context(const struct engine *e);
uint32_t engine_vocab(const struct engine *e);
/* Bytes of weights, as stored, that writing one token reads. */
uint64_t engine_weight_bytes(const struct engine *e);
/* Bytes that head_bytes have for this model (NV1 9). */
size_t engine_head_bytes(const struct engine *e);
/* Backend and FPU still compute what NV1 says. ERR_DEVICE: sign nothing more. A few milliseconds. */
enum err engine_self_test(const struct engine *e) MUST_CHECK;

struct engine_job {
    uint64_t id;                    /* the caller's, unique among active jobs */
    const uint32_t *tokens;         /* copied; prompt, or prompt + what was delivered so far */
    uint32_t n;                     /* at least 1 */
    uint32_t max_tokens;            /* at least 1 */
    uint32_t allowed;               /* pause after so many new tokens until engine_allow() [max_tokens] */
    const uint32_t *stop_ids;       /* copied; the answer ends with the first of these (it is delivered too) */
    uint32_t n_stop;                /* at most ENGINE_STOP_IDS_MAX */
    struct sampler_params params;
    bool want_head_bytes;
    /* ENGINE_OWNER_BYTES, copied, or NULL: whose job it is, for instance his public key. When it is over, its past is kept for the
     * next job of the same owner that begins with the same tokens, which then need not be read again. Nobody else can tell:
     * how fast a prompt is read says something about the past of its own owner only. No bit of an answer changes. */
    const uint8_t *owner;
};

/* Takes a slot and the pages for n + max_tokens, so that a started job never runs out of memory.
 * ERR_ARG a bad field or a token outside the vocabulary, ERR_EXISTS id is active, ERR_CONTEXT n + max_tokens is over
 * engine_context(), ERR_CAPACITY no slot or too few free pages: try again when a job has ended. */
enum err engine_start(struct engine *e, const struct engine_job *job) MUST_CHECK;

enum engine_finish {
    ENGINE_RUNNING,       /* more will come, or would if the job may make more */
    ENGINE_STOP,          /* this token is one of stop_ids */
    ENGINE_LENGTH,        /* this token is the max_tokens-th */
    ENGINE_ERROR          /* no token: `error` says why (ERR_NUMERIC) */
};

/* One new token of one job. */
struct engine_output {
    uint64_t id;
    enum engine_finish finish;      /* anything but ENGINE_RUNNING: the job is gone and its slot is free */
    enum err error;                 /* OK unless finish is ENGINE_ERROR */
    uint32_t token;
    uint32_t position;              /* absolute index of this token */
    struct bytes head;              /* NV1 9, empty unless wanted; valid until the next call on this engine */
};

/* One forward pass over all active jobs; fills at most one output per job. cap >= slots_max of the options, so that
 * nothing waits. *n may be 0 while prompts are being read, or when idle. ERR_DEVICE: the engine is unusable. */
enum err engine_step(struct engine *e, struct engine_output *out, size_t cap, size_t *n) MUST_CHECK;

/* The job may now make `allowed` new tokens in all, counted from its start; never fewer than before. A job that has made
 * what it may is paused: it keeps its slot and pages, costs no step and disturbs nobody, and pausing changes no bit of its answer.
 * ERR_NOT_FOUND: no such active job. */
enum err engine_allow(struct engine *e, uint64_t id, uint32_t allowed) MUST_CHECK;

/* The job gives no further output; its slot is free at once. ERR_NOT_FOUND: no such active job. */
enum err engine_cancel(struct engine *e, uint64_t id) MUST_CHECK;

/* Nothing of the jobs that are over stays in memory: what was kept for their owners, the batch of the last step, and once
 * no job is active all activations and logits. Without it the tokens and pages of a job without owner are wiped when it
 * ends, those of others when their slot or pages are wanted; call it when nobody has come for a while. On a GPU, pages
 * and activations are not wiped but overwritten by later jobs. */
void engine_forget(struct engine *e);

/* True while no job is active; what is kept for owners does not count. */
bool engine_idle(const struct engine *e);
/* True if engine_step() would do something: a job is active that is not paused. */
bool engine_has_work(const struct engine *e);
uint32_t engine_active(const struct engine *e);
/* Prompt tokens still to be read over all jobs; with the measured rate, the queue a new prompt would wait behind. */
uint64_t engine_backlog(const struct engine *e);

/* Teacher-forced check of an answer: reads tokens[0 .. n_total) in slices and calls `each` for every position a in
 * n_prompt .. n_total-1, ascending, with the token that the sampler would have put there after tokens[0 .. a), and the
 * head bytes of that choice (valid during the call). Returning false from `each` ends the check with OK.
 * Needs a free slot and pages like a job; costs one prefill, and other jobs wait for it (run it on an engine of its own,
 * or when idle). ERR_ARG, ERR_CONTEXT, ERR_CAPACITY as engine_start(); ERR_NUMERIC. */
enum err engine_score(struct engine *e, const uint32_t *tokens, uint32_t n_prompt, uint32_t n_total,
                      const struct sampler_params *params,
                      bool (*each)(void *ctx, uint32_t position, uint32_t token, struct bytes head),
                      void *ctx) MUST_CHECK;

#endif
