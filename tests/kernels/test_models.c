/* test_models.c - whole forward passes of every weight type: the same logits and head bytes from every backend, number
 * of threads, slice of a prompt and company in the batch, with neighbours that come, pause and are cut off.
 *
 * The law is the scalar backend with one thread, one sequence and all of it in one pass. Against it runs a random
 * schedule of three sequences in ragged batches. All choices come from a seed; a failure names model, backend and seed.
 */
#include "tests/kernels/tiny_engine.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/backend.h"
#include "kernels/pool_posix.h"
#include "kernels/quant.h"
#include "kernels/transformer.h"

enum { SEQUENCES = 3, LENGTH_MAX = 66, SLICE_MAX = 64, RESTARTS = 2 };

/* Q4_K_M and the like give some matrices of a layer another type. Norms count, so that lists of 9 repeat per layer. */
static const enum tensor_type MIX_K[] = { TENSOR_F32, TENSOR_Q4_K, TENSOR_Q4_K, TENSOR_Q6_K, TENSOR_Q4_K,
                                          TENSOR_F32, TENSOR_Q4_K, TENSOR_Q4_K, TENSOR_Q6_K };
static const enum tensor_type MIX_LOW[] = { TENSOR_Q2_K, TENSOR_Q3_K,   TENSOR_IQ4_XS, TENSOR_Q5_K,
                                            TENSOR_Q8_0, TENSOR_IQ4_NL, TENSOR_MXFP4 };
static const enum tensor_type MIX_OLD[] = { TENSOR_Q8_0, TENSOR_F16,  TENSOR_Q5_1, TENSOR_BF16,
                                            TENSOR_Q4_0, TENSOR_Q4_1, TENSOR_F32 };

#define COMMON .context = 320, .rope_base = 10000.0f, .rope_factor = 1.0f, .rms_eps = 1e-5f
/* Rows of 256 for types of 256; of 288, 352 and 896 for types of 32; odd ones for floats. */
#define WIDE .layers = 1, .dim = 256, .heads = 4, .kv_heads = 2, .head_dim = 64, .ffn_dim = 256, .vocab = 50, COMMON
#define SHORT .layers = 1, .dim = 288, .heads = 3, .kv_heads = 1, .head_dim = 32, .ffn_dim = 352, .vocab = 45, COMMON
#define ODD .layers = 2, .dim = 78, .heads = 3, .kv_heads = 3, .head_dim = 26, .ffn_dim = 91, .vocab = 37, COMMON
#define LONG .layers = 1, .dim = 896, .heads = 2, .kv_heads = 1, .head_dim = 64, .ffn_dim = 64, .vocab = 21, COMMON

static const struct {
    const char *name;
    struct tiny_llama spec;
} MODELS[] = {
    { "Q8_0", { SHORT, .type = TENSOR_Q8_0, .embd_type = TENSOR_Q8_0, .seed = 1 } },
    { "Q4_0", { SHORT, .type = TENSOR_Q4_0, .embd_type = TENSOR_Q4_0, .seed = 2 } },
    { "Q4_1", { SHORT, .type = TENSOR_Q4_1, .embd_type = TENSOR_Q4_1, .tied = true, .seed = 3 } },
    { "Q5_0", { SHORT, .type = TENSOR_Q5_0, .embd_type = TENSOR_Q5_0, .seed = 4 } },
    { "Q5_1", { SHORT, .type = TENSOR_Q5_1, .embd_type = TENSOR_Q5_1, .seed = 5 } },
    { "IQ4_NL", { SHORT, .type = TENSOR_IQ4_NL, .embd_type = TENSOR_IQ4_NL, .seed = 6 } },
    { "MXFP4", { SHORT, .type = TENSOR_MXFP4, .embd_type = TENSOR_MXFP4, .seed = 7 } },
    { "Q2_K", { WIDE, .type = TENSOR_Q2_K, .embd_type = TENSOR_Q2_K, .seed = 8 } },
    { "Q3_K", { WIDE, .type = TENSOR_Q3_K, .embd_type = TENSOR_Q3_K, .seed = 9 } },
    { "Q4_K", { WIDE, .type = TENSOR_Q4_K, .embd_type = TENSOR_Q4_K, .seed = 10 } },
    { "Q5_K", { WIDE, .type = TENSOR_Q5_K, .embd_type = TENSOR_Q5_K, .seed = 11 } },
    { "Q6_K", { WIDE, .type = TENSOR_Q6_K, .embd_type = TENSOR_Q6_K, .tied = true, .seed = 12 } },
    { "IQ4_XS", { WIDE, .type = TENSOR_IQ4_XS, .embd_type = TENSOR_IQ4_XS, .seed = 13 } },
    { "F16", { ODD, .type = TENSOR_F16, .embd_type = TENSOR_F16, .seed = 14 } },
    { "BF16", { ODD, .type = TENSOR_BF16, .embd_type = TENSOR_BF16, .tied = true, .seed = 15 } },
    { "F32", { ODD, .type = TENSOR_F32, .embd_type = TENSOR_F32, .seed = 16 } },
    { "Q4_K_M", { WIDE, .mix = MIX_K, .n_mix = ARRAY_COUNT(MIX_K), .embd_type = TENSOR_Q6_K, .seed = 17 } },
    { "low mix", { WIDE, .mix = MIX_LOW, .n_mix = ARRAY_COUNT(MIX_LOW), .embd_type = TENSOR_Q4_K, .seed = 18 } },
    { "old mix", { SHORT, .mix = MIX_OLD, .n_mix = ARRAY_COUNT(MIX_OLD), .embd_type = TENSOR_F16, .seed = 19 } },
    { "rows of 896", { LONG, .rope_freqs = true, .type = TENSOR_Q8_0, .embd_type = TENSOR_Q5_0, .seed = 20 } },
};

/* What the law says after each token of a sequence. */
struct sequence {
    uint32_t n, tokens[LENGTH_MAX];
    float *logits;               /* (n, vocab) */
    uint8_t *heads;              /* (n, head_bytes) */
};

struct company {
    const struct model *model;
    size_t head_bytes;
    struct sequence sequences[SEQUENCES];
};

static void open_pass(struct transformer *t, struct pool **pool, const struct model *m, const struct ops *ops,
                      uint32_t threads, uint32_t rows_max)
{
    struct fault why = { "" };
    assert_ok(pool_open(threads, pool));
    if (transformer_init(t, m, ops, *pool, rows_max, SEQUENCES, SEQUENCES, 1, &why) != OK)
        fail_msg("%s", why.text);
}

static void law_of(struct company *c, struct sequence *s)
{
    struct transformer t;
    struct pool *pool;
    struct row rows[LENGTH_MAX];
    open_pass(&t, &pool, c->model, &ops_ref, 1, LENGTH_MAX);
    assert_ok(kvpages_reserve(&t.kv.pages, 0, s->n));
    for (uint32_t i = 0; i < s->n; i++)
        rows[i] = (struct row){ .slot = 0, .position = i, .token = s->tokens[i], .want = true };
    transformer_forward(&t, rows, s->n);
    transformer_logits(&t, 0, s->n, s->logits);
    for (uint32_t i = 0; i < s->n; i++) {
        assert_false(transformer_row_failed(&t, i));
        transformer_head_bytes(&t, i, s->heads + i * c->head_bytes);
    }
    transformer_fini(&t);
    pool_close(pool);
}

/* A sane model says different things about different places. */
static void assert_sane(const struct sequence *s, uint32_t vocab)
{
    assert_memory_not_equal(s->logits, s->logits + (size_t)(s->n - 1) * vocab, vocab * sizeof(float));
    for (uint32_t i = 0; i < s->n * vocab; i++)
        assert_true(s->logits[i] > -100.0f && s->logits[i] < 100.0f);
}

static void company_open(struct company *c, const struct model *m, uint64_t seed)
{
    static const uint32_t lengths[SEQUENCES] = { LENGTH_MAX, 1, 12 };
    struct rng r;
    rng_init(&r, seed);
    c->model = m;
    c->head_bytes = quant_head_bytes(m->config.tied ? m->token_embd.type : m->output.type, m->config.dim);
    for (uint32_t i = 0; i < SEQUENCES; i++) {
        struct sequence *s = &c->sequences[i];
        s->n = lengths[i];
        for (uint32_t k = 0; k < s->n; k++)
            s->tokens[k] = (uint32_t)rng_below(&r, m->config.vocab);
        s->logits = calloc((size_t)s->n * m->config.vocab, sizeof *s->logits);
        s->heads = calloc(s->n, c->head_bytes);
        assert_true(s->logits && s->heads);
        law_of(c, s);
    }
    assert_sane(&c->sequences[0], m->config.vocab);
}

static void company_close(struct company *c)
{
    for (uint32_t i = 0; i < SEQUENCES; i++) {
        free(c->sequences[i].logits);
        free(c->sequences[i].heads);
    }
}

/* --- a random schedule ------------------------------------------------------------------------------------------ */

/* Sequence i runs in slot i. */
struct lane {
    bool active;
    uint32_t at, restarts;
};

struct schedule {
    const struct company *company;
    struct transformer *t;
    struct rng *r;
    struct lane lanes[SEQUENCES];
    struct row rows[SLICE_MAX];
    uint32_t n;
};

/* Starts, cuts off or restarts: neighbours come and go between any two passes. */
static void come_and_go(struct schedule *s, uint32_t i)
{
    struct lane *lane = &s->lanes[i];
    uint32_t n = s->company->sequences[i].n;
    if (lane->active && lane->at < n && lane->restarts < RESTARTS && rng_below(s->r, 6) == 0) {
        kvpages_release(&s->t->kv.pages, i);
        *lane = (struct lane){ .restarts = lane->restarts + 1 };
    }
    if (!lane->active && rng_below(s->r, 3) > 0) {
        assert_ok(kvpages_reserve(&s->t->kv.pages, i, n));
        lane->active = true;
    }
}

/* Some of its next tokens, or none: it pauses. */
static void add_rows(struct schedule *s, uint32_t i, uint32_t slice)
{
    struct lane *lane = &s->lanes[i];
    const struct sequence *from = &s->company->sequences[i];
    uint32_t left = from->n - lane->at, room = slice - s->n, most = left < room ? left : room;
    if (!lane->active || most == 0 || rng_below(s->r, 4) == 0)
        return;
    for (uint32_t count = rng_below(s->r, 3) ? most : 1; count > 0; count--, lane->at++)
        s->rows[s->n++] = (struct row){ .slot = i, .position = lane->at, .token = from->tokens[lane->at],
                                        .want = rng_below(s->r, 4) > 0 };
}

static void check_wanted(struct schedule *s)
{
    uint32_t vocab = s->company->model->config.vocab, wanted = 0;
    float *logits = calloc((size_t)SLICE_MAX * vocab, sizeof *logits);
    uint8_t *head = calloc(1, s->company->head_bytes);
    assert_true(logits && head);
    for (uint32_t i = 0; i < s->n; i++)
        wanted += s->rows[i].want;
    uint32_t middle = (uint32_t)rng_below(s->r, wanted + 1);
    if (middle > 0)
        transformer_logits(s->t, 0, middle, logits);
    if (middle < wanted)
        transformer_logits(s->t, middle, wanted - middle, logits + (size_t)middle * vocab);
    for (uint32_t i = 0, w = 0; i < s->n; i++) {
        const struct row *row = &s->rows[i];
        const struct sequence *law = &s->company->sequences[row->slot];
        assert_false(transformer_row_failed(s->t, i));
        if (!row->want)
            continue;
        assert_memory_equal(logits + (size_t)w * vocab, law->logits + (size_t)row->position * vocab,
                            vocab * sizeof *logits);
        transformer_head_bytes(s->t, w++, head);
        assert_memory_equal(head, law->heads + row->position * s->company->head_bytes,
                            s->company->head_bytes);
    }
    free(head);
    free(logits);
}

static bool all_done(const struct schedule *s)
{
    for (uint32_t i = 0; i < SEQUENCES; i++)
        if (s->lanes[i].at < s->company->sequences[i].n)
            return false;
    return true;
}

static void run_schedule(const struct company *c, const struct ops *ops, uint32_t threads, uint32_t slice,
                         struct rng *r)
{
    struct transformer t;
    struct pool *pool;
    struct schedule s = { .company = c, .t = &t, .r = r };
    open_pass(&t, &pool, c->model, ops, threads, slice);
    for (uint32_t passes = 0; !all_done(&s); passes++) {
        assert_true(passes < 5000);
        s.n = 0;
        uint32_t first = (uint32_t)rng_below(r, SEQUENCES);
        for (uint32_t k = 0; k < SEQUENCES; k++) {
            come_and_go(&s, (first + k) % SEQUENCES);
            add_rows(&s, (first + k) % SEQUENCES, slice);
        }
        if (s.n == 0)
            continue;
        transformer_forward(&t, s.rows, s.n);
        check_wanted(&s);
    }
    transformer_fini(&t);
    pool_close(pool);
}

/* Threads and slices in all nine pairs as the models go by; the slow scalar backend with every fifth model only. */
static void company_changes_no_bit(void **state)
{
    (void)state;
    static const uint32_t slices[] = { 1, 7, SLICE_MAX };
    uint32_t turn = 0;
    for (size_t i = 0; i < ARRAY_COUNT(MODELS); i++) {
        struct tiny_engine t;
        struct company c;
        tiny_model_open(&t, &MODELS[i].spec);
        company_open(&c, &t.model, 40 + i);
        for (size_t b = 0; backend_at(b); b++) {
            if (backend_at(b) == &ops_ref && i % 5 != 0)
                continue;
            for (uint32_t k = 0; k < 2; k++, turn++) {
                uint32_t threads = 1 + turn % 3, slice = slices[turn / 3 % 3];
                struct rng r;
                rng_init(&r, turn);
                print_message("%s on %s, %u threads, slices of %u, seed %u\n", MODELS[i].name, backend_at(b)->name,
                              threads, slice, turn);
                run_schedule(&c, backend_at(b), threads, slice, &r);
            }
        }
        company_close(&c);
        tiny_engine_close(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(company_changes_no_bit) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
