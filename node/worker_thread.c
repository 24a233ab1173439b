/* worker_thread.c - the engine's thread. */
#include "node/worker_thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "kernels/measure_posix.h"
#include "kernels/pool_posix.h"

/* Of the engine's thread, whatever a C library would give it: POOL_STACK_BYTES for the kernels, and a GPU's driver may
 * want more. */
enum { WORKER_STACK_BYTES = 8 << 20 };
_Static_assert((int)WORKER_STACK_BYTES >= (int)POOL_STACK_BYTES, "it takes part in the pool's loops");

enum command_kind { COMMAND_START, COMMAND_ALLOW, COMMAND_CANCEL };

struct command {
    enum command_kind kind;
    struct run_id run;
    uint32_t allowed;
    struct engine_job job;                             /* tokens owned by this command until the engine has copied them */
    uint32_t *tokens;
    uint32_t stop_ids[STOP_IDS_MAX];
    struct pubkey requester;
};
_Static_assert((int)PUBKEY_BYTES == (int)ENGINE_OWNER_BYTES, "a requester is the owner of his past");

struct worker {
    const struct model *model;
    struct worker_options options;
    char backend[32];
    struct engine *engine;
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t work, room;                         /* something to do; room for an event */
    bool closing;
    struct command commands[WORKER_COMMANDS_MAX];
    uint32_t command_first, command_count;
    struct worker_event events[WORKER_EVENTS_MAX];
    uint32_t event_first, event_count;
};

static void free_tokens(struct command *c)
{
    if (c->tokens)
        sodium_memzero(c->tokens, c->job.n * sizeof *c->tokens);
    free(c->tokens);
    c->tokens = NULL;
}

static void put_event(struct worker *w, const struct worker_event *e)
{
    pthread_mutex_lock(&w->lock);
    while (w->event_count == WORKER_EVENTS_MAX && !w->closing)
        pthread_cond_wait(&w->room, &w->lock);
    if (!w->closing)
        w->events[(w->event_first + w->event_count++) % WORKER_EVENTS_MAX] = *e;
    pthread_mutex_unlock(&w->lock);
}

static void put_done(struct worker *w, struct run_id run, enum finish finish, enum err error)
{
    put_event(w, &(struct worker_event){ .kind = WORKER_DONE, .run = run, .finish = finish, .error = error });
}

static void wake(struct worker *w) { w->options.wake(w->options.wake_ctx); }

static uint32_t context_of(const struct model *m, const struct worker_options *o) { return o->context ? o->context : m->config.context; }

static struct engine_options engine_options_of(const struct model *m, const struct worker_options *o)
{
    uint32_t context = context_of(m, o);
    return (struct engine_options){
        .backend = o->backend, .threads = o->threads, .slots_max = o->slots,
        .kv_tokens_max = context > UINT32_MAX / o->slots ? UINT32_MAX : context * o->slots,
    };
}

uint64_t worker_reserves(const struct model *model, const struct worker_options *o)
{
    struct engine_options options = engine_options_of(model, o);
    uint64_t others = o->threads ? o->threads - 1 : 0;
    return engine_reserves(model, &options) + WORKER_STACK_BYTES + others * POOL_STACK_BYTES;
}

/* What the advert states is what `tally bench` measures for one answer alone, in less time. */
static enum err measure_for_advert(struct engine *e, struct measure_rates *rates)
{
    enum { PROMPT = 256, ANSWER = 64, AT_MOST_MS = 500 };
    uint32_t context = engine_context(e), prompt = PROMPT < context / 2 ? PROMPT : context / 2 + 1;
    uint32_t answer = ANSWER < context - prompt ? ANSWER : context - prompt;
    if (answer < 2)
        return ERR_CONTEXT;
    const struct measure_plan plan = { .jobs = 1, .prompt = prompt, .answer = answer, .at_most_ms = AT_MOST_MS };
    return measure_engine(e, &plan, rates);
}

static bool open_engine(struct worker *w)
{
    struct fault why = { { 0 } };
    uint32_t context = context_of(w->model, &w->options);
    struct measure_rates rates = { 0 };
    struct engine_options o = engine_options_of(w->model, &w->options);
    struct worker_event e = { .kind = WORKER_READY };
    enum err err = engine_open(w->model, &o, &w->engine, &why);
    if (err == OK)
        err = measure_for_advert(w->engine, &rates);
    if (err != OK) {
        e.kind = WORKER_FAILED;
        e.error = err;
        snprintf(e.text, sizeof e.text, "%.190s", why.text[0] ? why.text : err_text(err));
    } else {
        e.context = engine_context(w->engine) < context ? engine_context(w->engine) : context;
        e.prefill_millitokens_s = rates.prefill_millitokens_s;
        e.decode_millitokens_s = rates.decode_millitokens_s;
        snprintf(e.text, sizeof e.text, "%s", engine_backend(w->engine));
    }
    put_event(w, &e);
    wake(w);
    return err == OK;
}

/* Takes one command without waiting. */
static bool take_command(struct worker *w, struct command *out)
{
    pthread_mutex_lock(&w->lock);
    bool got = w->command_count > 0;
    if (got) {
        *out = w->commands[w->command_first];
        w->command_first = (w->command_first + 1) % WORKER_COMMANDS_MAX;
        w->command_count--;
    }
    pthread_mutex_unlock(&w->lock);
    return got;
}

/* True if that ended a run. */
static bool run_command(struct worker *w, struct command *c)
{
    enum err err;
    switch (c->kind) {
    case COMMAND_START:
        c->job.stop_ids = c->stop_ids;
        c->job.owner = c->requester.b;
        err = engine_start(w->engine, &c->job);
        free_tokens(c);
        if (err != OK)
            put_done(w, c->run, FINISH_ERROR, err);
        return err != OK;
    case COMMAND_ALLOW:
        err = engine_allow(w->engine, c->run.id, c->allowed);
        ENSURE(err == OK || err == ERR_NOT_FOUND);         /* not found: it ended by itself meanwhile */
        return false;
    case COMMAND_CANCEL:
        if (engine_cancel(w->engine, c->run.id) == OK)
            put_done(w, c->run, FINISH_CANCELLED, OK);
        return true;
    }
    return false;
}

static void run_commands(struct worker *w)
{
    struct command c;
    bool told = false;
    while (take_command(w, &c)) {
        told = run_command(w, &c) || told;
    }
    if (told)
        wake(w);
}

static enum finish finish_of(enum engine_finish f)
{
    switch (f) {
    case ENGINE_RUNNING:
    case ENGINE_LENGTH:
        return FINISH_LENGTH;
    case ENGINE_STOP:
        return FINISH_STOP;
    case ENGINE_ERROR:
        break;
    }
    return FINISH_ERROR;
}

static void put_output(struct worker *w, const struct engine_output *o)
{
    struct run_id run = { o->id };
    if (o->finish != ENGINE_ERROR) {
        struct worker_event e = { .kind = WORKER_TOKEN, .run = run, .token = o->token, .has_head = o->head.len > 0 };
        if (e.has_head)
            e.head_hash = hash_of("head", o->head);
        put_event(w, &e);
    }
    if (o->finish != ENGINE_RUNNING)
        put_done(w, run, finish_of(o->finish), o->error);
}

/* Sleeps until there is a command, the worker closes or `until`. False when closing. */
static bool wait_for_work(struct worker *w, const struct timespec *until)
{
    pthread_mutex_lock(&w->lock);
    int rc = 0;
    while (!w->closing && w->command_count == 0 && rc == 0)
        rc = pthread_cond_timedwait(&w->work, &w->lock, until);
    bool go_on = !w->closing;
    pthread_mutex_unlock(&w->lock);
    return go_on;
}

static bool is_closing(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    bool closing = w->closing;
    pthread_mutex_unlock(&w->lock);
    return closing;
}

static void fail(struct worker *w, enum err err, const char *text)
{
    struct worker_event e = { .kind = WORKER_FAILED, .error = err };
    snprintf(e.text, sizeof e.text, "%s", text);
    put_event(w, &e);
    wake(w);
}

/* What comes by itself, in seconds of the monotonic clock. */
struct due {
    time_t self_test, forget;
};

enum { NEVER_S = 1 << 30 };

static time_t now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static enum err do_what_is_due(struct worker *w, struct due *d)
{
    time_t now = now_s();
    if (now >= d->forget) {
        engine_forget(w->engine);
        d->forget = now + NEVER_S;
    }
    if (now < d->self_test)
        return OK;
    d->self_test = now + WORKER_SELF_TEST_S;
    return engine_self_test(w->engine);
}

static enum err step(struct worker *w)
{
    struct engine_output outputs[ENGINE_SLOTS_MAX];
    size_t n = 0;
    enum err err = engine_step(w->engine, outputs, ENGINE_SLOTS_MAX, &n);
    for (size_t i = 0; err == OK && i < n; i++)
        put_output(w, &outputs[i]);
    if (err == OK && n)
        wake(w);
    return err;
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    if (!open_engine(w))
        return NULL;
    struct due due = { .self_test = now_s() + WORKER_SELF_TEST_S, .forget = now_s() + NEVER_S };
    while (!is_closing(w)) {
        run_commands(w);
        if (do_what_is_due(w, &due) != OK) {
            fail(w, ERR_DEVICE, "the hourly self-test of the backend failed");
            return NULL;
        }
        if (!engine_has_work(w->engine)) {
            struct timespec until = { .tv_sec = due.forget < due.self_test ? due.forget : due.self_test };
            if (!wait_for_work(w, &until))
                break;
            continue;
        }
        enum err err = step(w);
        if (err != OK) {
            fail(w, err, "the engine failed");
            return NULL;
        }
        due.forget = now_s() + WORKER_KEEP_S;
    }
    return NULL;
}

static void init_sync(struct worker *w)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->work, &attr);
    pthread_cond_init(&w->room, &attr);
    pthread_condattr_destroy(&attr);
}

enum err worker_open(const struct model *model, const struct worker_options *o, struct worker **out)
{
    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        return ERR_MEMORY;
    w->model = model;
    w->options = *o;
    if (o->backend) {
        snprintf(w->backend, sizeof w->backend, "%s", o->backend);
        w->options.backend = w->backend;
    }
    init_sync(w);
    pthread_attr_t attr;
    bool started = pthread_attr_init(&attr) == 0;
    if (started) {
        started = pthread_attr_setstacksize(&attr, WORKER_STACK_BYTES) == 0 &&
                  pthread_create(&w->thread, &attr, worker_main, w) == 0;
        pthread_attr_destroy(&attr);
    }
    if (!started) {
        free(w);
        return ERR_UNAVAILABLE;
    }
    *out = w;
    return OK;
}

void worker_close(struct worker *w)
{
    struct command c;
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->closing = true;
    pthread_cond_broadcast(&w->work);
    pthread_cond_broadcast(&w->room);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    while (take_command(w, &c))
        free_tokens(&c);
    if (w->engine)
        engine_close(w->engine);
    pthread_cond_destroy(&w->work);
    pthread_cond_destroy(&w->room);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static enum err put_command(struct worker *w, const struct command *c)
{
    pthread_mutex_lock(&w->lock);
    bool room = w->command_count < WORKER_COMMANDS_MAX;
    if (room) {
        w->commands[(w->command_first + w->command_count++) % WORKER_COMMANDS_MAX] = *c;
        pthread_cond_signal(&w->work);
    }
    pthread_mutex_unlock(&w->lock);
    return room ? OK : ERR_FULL;
}

enum err worker_start(struct worker *w, const struct agent_effect *e)
{
    ENSURE(e->kind == AGENT_RUN_START);
    ENSURE(e->u.start.stop_count <= STOP_IDS_MAX);
    struct command c = { .kind = COMMAND_START, .run = e->u.start.run, .requester = e->u.start.requester };
    size_t bytes = (size_t)e->u.start.token_count * sizeof *c.tokens;
    c.tokens = malloc(bytes ? bytes : 1);
    if (!c.tokens)
        return ERR_MEMORY;
    if (bytes)
        memcpy(c.tokens, e->u.start.tokens, bytes);
    if (e->u.start.stop_count)
        memcpy(c.stop_ids, e->u.start.stop_ids, e->u.start.stop_count * sizeof c.stop_ids[0]);
    c.job = (struct engine_job){
        .id = c.run.id, .tokens = c.tokens, .n = e->u.start.token_count, .max_tokens = e->u.start.output_max, .allowed = e->u.start.allowed,
        .n_stop = e->u.start.stop_count, .want_head_bytes = e->u.start.want_head_hashes,
        .params = { .temperature_micro = e->u.start.temperature_micro, .top_k = e->u.start.top_k,
                    .top_p_micro = e->u.start.top_p_micro, .seed = e->u.start.seed },
    };
    enum err err = put_command(w, &c);
    if (err != OK)
        free_tokens(&c);
    return err;
}

/* An allowance that waits already is raised, so that however fast the loop is, a run has one start, one allowance and one
 * cancel in the queue at most. */
enum { COMMANDS_PER_RUN = 3 };
_Static_assert(COMMANDS_PER_RUN * 2 * JOBS_MAX <= WORKER_COMMANDS_MAX, "the commands of all open runs fit");

static bool raise_waiting(struct worker *w, struct run_id run, uint32_t allowed)
{
    pthread_mutex_lock(&w->lock);
    struct command *found = NULL;
    for (uint32_t i = 0; i < w->command_count; i++) {
        struct command *c = &w->commands[(w->command_first + i) % WORKER_COMMANDS_MAX];
        if (c->kind == COMMAND_ALLOW && c->run.id == run.id)
            found = c;
    }
    if (found && found->allowed < allowed)
        found->allowed = allowed;
    pthread_mutex_unlock(&w->lock);
    return found != NULL;
}

void worker_allow(struct worker *w, struct run_id run, uint32_t allowed)
{
    struct command c = { .kind = COMMAND_ALLOW, .run = run, .allowed = allowed };
    if (!raise_waiting(w, run, allowed))
        ENSURE(put_command(w, &c) == OK);
}

void worker_cancel(struct worker *w, struct run_id run)
{
    struct command c = { .kind = COMMAND_CANCEL, .run = run };
    ENSURE(put_command(w, &c) == OK);                      /* see COMMANDS_PER_RUN */
}

bool worker_next(struct worker *w, struct worker_event *out)
{
    pthread_mutex_lock(&w->lock);
    bool got = w->event_count > 0;
    if (got) {
        *out = w->events[w->event_first];
        w->events[w->event_first] = (struct worker_event){ .token = 0 };
        w->event_first = (w->event_first + 1) % WORKER_EVENTS_MAX;
        if (w->event_count-- == WORKER_EVENTS_MAX)
            pthread_cond_signal(&w->room);
    }
    pthread_mutex_unlock(&w->lock);
    return got;
}

