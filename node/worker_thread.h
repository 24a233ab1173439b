/* worker_thread.h - runs one model's engine on its own thread; commands in, tokens out.
 *
 * One worker per served model. The loop thread starts and cancels runs and takes events; the worker thread is the only
 * one that touches the engine. They meet in two bounded queues under one lock. When the event queue is full the worker
 * waits: tokens are never dropped, a slow loop slows the engine.
 *
 * Owns:    copies of every command; the engine. Borrows the model until worker_close().
 * Threads: worker_open/start/cancel/next/close from one thread. `wake` is called on the worker thread after events were
 *          queued; it must be safe there (an eventfd write).
 * Effects: one thread (plus the engine's pool); CPU.
 */
#ifndef TALLYMESH_NODE_WORKER_THREAD_H
#define TALLYMESH_NODE_WORKER_THREAD_H

#include "kernels/engine.h"
#include "kernels/model.h"
#include "node/event.h"

enum { WORKER_EVENTS_MAX = 1024, WORKER_COMMANDS_MAX = 8 * JOBS_MAX, WORKER_SELF_TEST_S = 3600 };
/* So long after the last token, what was kept for the next turns of requesters is wiped. */
enum { WORKER_KEEP_S = 600 };

struct worker_options {
    const char *backend;                               /* NULL: best */
    uint32_t threads, slots, context;                  /* context 0: the model's */
    void (*wake)(void *ctx);
    void *wake_ctx;
};

enum worker_event_kind {
    WORKER_READY,                                      /* engine open, self-test passed, speed measured */
    WORKER_TOKEN, WORKER_DONE,
    WORKER_FAILED,                                     /* could not open, or the hourly self-test failed: serve no more */
};

struct worker_event {
    enum worker_event_kind kind;
    struct run_id run;
    uint32_t token;
    struct hash head_hash;                             /* H("head", head bytes); zero unless wanted */
    bool has_head;
    enum finish finish;
    enum err error;
    char text[200];                                    /* WORKER_FAILED: why; WORKER_READY: backend name */
    uint32_t context;
    uint64_t prefill_millitokens_s, decode_millitokens_s;
};

struct worker;
/* Starts the thread; WORKER_READY or WORKER_FAILED follows. ERR_MEMORY, ERR_UNAVAILABLE (no thread). */
enum err worker_open(const struct model *model, const struct worker_options *o, struct worker **out) MUST_CHECK;
/* Bytes that worker_open() will make the process reserve: the engine and the stacks of its threads. */
uint64_t worker_reserves(const struct model *model, const struct worker_options *o);
void worker_close(struct worker *w);                   /* cancels everything, joins the thread; NULL is fine */

/* Copies what it needs. ERR_FULL if too many commands wait. WORKER_DONE always follows an OK. */
enum err worker_start(struct worker *w, const struct agent_effect *start) MUST_CHECK;
/* The run may make `allowed` tokens in all; more than it was allowed before. Nothing if it is over. A run that has made what it may
 * is paused: it costs no step until it may make more, or is cancelled. */
void worker_allow(struct worker *w, struct run_id run, uint32_t allowed);
/* Takes effect before the engine's next step; WORKER_DONE (FINISH_CANCELLED) follows unless the run had ended. */
void worker_cancel(struct worker *w, struct run_id run);
bool worker_next(struct worker *w, struct worker_event *out);

#endif
