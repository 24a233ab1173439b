/* selftest_cuda.c - built-in cases for every kernel. */
#include "kernels/cuda/selftest_cuda.h"

#include <cuda_runtime_api.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/attention.h"
#include "kernels/conformance.h"
#include "kernels/cuda/memory_cuda.h"
#include "kernels/cuda/pack.h"
#include "kernels/cuda/tiles.h"
#include "kernels/exact_math.h"
#include "kernels/ops.h"
#include "kernels/quant.h"
#include "kernels/sampler.h"

enum { DEVICE_BYTES = 2 << 20, HOST_BYTES = 256 << 10 };

/* The attention case: one layer, a slot whose last rows see more than a chunk. */
enum { HEADS = 4, KV_HEADS = 2, DIM = 80, POSITIONS = CHUNK + 5, LAST_ROWS = 3, WIDTH = 96 };

/* One run: how much of the device's memory is taken, and whether anything failed. */
struct bench {
    struct selftest *t;
    cudaStream_t stream;
    size_t used;
    bool failed;
};

/* The functions of struct ops have no place for a context. */
static _Thread_local struct bench *here;

enum err selftest_init(struct selftest *t, struct fault *why)
{
    *t = (struct selftest){ 0 };
    struct memory_wish wishes[] = { { MEMORY_DEVICE, DEVICE_BYTES, &t->device },
                                    { MEMORY_HOST, HOST_BYTES, &t->host } };
    enum err e = kvcache_init(&t->cache, 1, KV_HEADS, DIM, 1, 2, 2);
    if (e != OK)
        return fault_set(why, e, "not enough memory for a self-test");
    e = memory_take(wishes, ARRAY_COUNT(wishes), "self-test", why);
    if (e != OK)
        kvcache_fini(&t->cache);
    return e;
}

void selftest_fini(struct selftest *t)
{
    struct memory_wish wishes[] = { { MEMORY_DEVICE, 0, &t->device }, { MEMORY_HOST, 0, &t->host } };
    if (t->cache.base)
        kvcache_fini(&t->cache);
    memory_give(wishes, ARRAY_COUNT(wishes));
}

/* --- device memory, from the bottom up ---------------------------------------------------------------------------- */

static void *room(size_t bytes)
{
    uint8_t *p = (uint8_t *)here->t->device + here->used;
    here->used += (bytes + 255) / 256 * 256;
    ENSURE(here->used <= DEVICE_BYTES);
    return p;
}

/* Copies wait for each other: what they read may be on a stack. */
static void move(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    if (cudaMemcpyAsync(to, from, bytes, kind, here->stream) != cudaSuccess ||
        cudaStreamSynchronize(here->stream) != cudaSuccess)
        here->failed = true;
}

static void *send(const void *from, size_t bytes)
{
    void *p = room(bytes);
    move(p, from, bytes, cudaMemcpyHostToDevice);
    return p;
}

static void fetch(void *to, const void *from, size_t bytes)
{
    memset(to, 0xee, bytes);                               /* whatever fails, these are no results */
    if (cudaGetLastError() != cudaSuccess)
        here->failed = true;
    move(to, from, bytes, cudaMemcpyDeviceToHost);
}

static uint32_t *flags(uint32_t n)
{
    static const uint32_t none[POSITIONS];
    ENSURE(n <= POSITIONS);
    return send(none, n * sizeof *none);
}

static bool fetch_flag(const uint32_t *bad)
{
    uint32_t flag;
    fetch(&flag, bad, sizeof flag);
    return flag != 0;
}

/* --- the device as a struct ops, for the cases of conformance.h --------------------------------------------------- */

static struct cuda_acts acts_room(const struct acts *like)
{
    size_t blocks = ops_act_blocks(like->cols);
    return (struct cuda_acts){ .cols = like->cols, .group = like->group, .q = room(blocks * ACT_BLOCK),
                               .d = room(blocks * ACT_SCALES * sizeof(float)),
                               .sums = room(blocks * CUDA_ACT_SUMS) };
}

static bool on_device_quantize(const float *in, struct acts *x, uint32_t token)
{
    size_t blocks = ops_act_blocks(x->cols), at = token * blocks;
    int8_t *sums = here->t->host;
    here->used = 0;
    struct cuda_acts to = acts_room(x);
    uint32_t *bad = flags(1);
    cuda_quantize(send(in, x->cols * sizeof *in), 1, &to, bad, here->stream);
    fetch(x->q + at * ACT_BLOCK, to.q, blocks * ACT_BLOCK);
    fetch(x->d + at * ACT_SCALES, to.d, blocks * ACT_SCALES * sizeof *x->d);
    fetch(sums, to.sums, blocks * CUDA_ACT_SUMS);
    for (size_t i = 0; i < blocks * ACT_RUNS; i++) {
        const int8_t *s = sums + i / ACT_RUNS * CUDA_ACT_SUMS + i % ACT_RUNS;
        x->sums[at * ACT_RUNS + i] = (int16_t)(s[0] + 128 * s[ACT_RUNS]);
    }
    return !fetch_flag(bad);
}

static size_t on_device_packed_bytes(enum tensor_type type, uint32_t rows, uint32_t cols)
{
    return cuda_packed_bytes((enum cuda_type)type, rows, cols);
}

static void on_device_pack(const struct matrix *w, uint32_t begin, uint32_t end, uint8_t *packed)
{
    enum cuda_type type = (enum cuda_type)w->type;
    size_t bytes = cuda_group_bytes(type, w->cols);
    for (uint32_t g = begin / PACK_ROWS; g * PACK_ROWS < end; g++)
        cuda_pack_group(type, w->rows, w->cols, w->data, g, packed + g * bytes);
}

/* The n tokens of x, `times` times. */
static struct cuda_acts send_acts(const struct acts *x, uint32_t n, uint32_t times)
{
    const enum cudaMemcpyKind up = cudaMemcpyHostToDevice;
    size_t blocks = (size_t)ops_act_blocks(x->cols) * n;
    int8_t *sums = here->t->host;
    for (size_t i = 0; i < blocks * ACT_RUNS; i++) {
        sums[i / ACT_RUNS * CUDA_ACT_SUMS + i % ACT_RUNS] = (int8_t)(x->sums[i] & 127);
        int8_t *high = sums + i / ACT_RUNS * CUDA_ACT_SUMS + ACT_RUNS + i % ACT_RUNS;
        *high = (int8_t)((x->sums[i] - (x->sums[i] & 127)) / 128);
    }
    struct cuda_acts to = { .cols = x->cols, .group = x->group, .q = room(times * blocks * ACT_BLOCK),
                            .d = room(times * blocks * ACT_SCALES * sizeof *x->d),
                            .sums = room(times * blocks * CUDA_ACT_SUMS) };
    for (uint32_t i = 0; i < times; i++) {
        move(to.q + i * blocks * ACT_BLOCK, x->q, blocks * ACT_BLOCK, up);
        move(to.d + i * blocks * ACT_SCALES, x->d, blocks * ACT_SCALES * sizeof *x->d, up);
        move(to.sums + i * blocks * CUDA_ACT_SUMS, sums, blocks * CUDA_ACT_SUMS, up);
    }
    return to;
}

static struct cuda_matrix send_matrix(const struct matrix *w, const uint8_t *packed)
{
    enum cuda_type type = (enum cuda_type)w->type;
    return (struct cuda_matrix){ .type = type, .rows = w->rows, .cols = w->cols,
                                 .packed = send(packed, cuda_packed_bytes(type, w->rows, w->cols)) };
}

enum { WIDE_TOKENS = 72, WIDE_FROM = 16 };                 /* once per type: the largest batch of its case */

/* y again, by the wide tile of matmul.cu: no case has tokens enough for it, so they come over and over. Besides, a
 * kernel that ran once is loaded, and needs no memory when the cache has taken all. */
static void check_wide(const struct cuda_matrix *w, const struct acts *x, uint32_t n, const float *y, size_t stride)
{
    uint32_t times = WIDE_TOKENS / n;
    size_t bytes = n * stride * sizeof *y;
    struct cuda_acts acts = send_acts(x, n, times);
    float *out = room(times * bytes);
    uint8_t *got = here->t->host;
    ENSURE(times * bytes <= HOST_BYTES);
    cuda_matmul(w, &acts, n * times, out, (uint32_t)stride, here->stream);
    fetch(got, out, times * bytes);
    for (uint32_t i = 0; i < times; i++)
        here->failed = here->failed || memcmp(got + i * bytes, y, bytes) != 0;
}

static void on_device_matmul(const struct matrix *w, const struct acts *x, uint32_t n, uint32_t begin, uint32_t end,
                             float *y, size_t stride)
{
    ENSURE(begin == 0);
    ENSURE(end == w->rows);
    ENSURE(w->packed);
    here->used = 0;
    struct cuda_matrix matrix = send_matrix(w, w->packed);
    struct cuda_acts acts = send_acts(x, n, 1);
    float *out = room(n * stride * sizeof *y);
    cuda_matmul(&matrix, &acts, n, out, (uint32_t)stride, here->stream);
    fetch(y, out, n * stride * sizeof *y);
    if (n >= WIDE_FROM)
        check_wide(&matrix, x, n, y, stride);
}

static void on_device_matmul_float(const struct matrix *w, const float *x, uint32_t n, uint32_t begin, uint32_t end,
                                   float *y, size_t stride)
{
    ENSURE(begin == 0);
    ENSURE(end == w->rows);
    ENSURE(cuda_packed_bytes((enum cuda_type)w->type, w->rows, w->cols) <= HOST_BYTES);
    here->used = 0;
    on_device_pack(w, 0, w->rows, here->t->host);
    struct cuda_matrix matrix = send_matrix(w, here->t->host);
    float *out = room(n * stride * sizeof *y);
    cuda_matmul_float(&matrix, send(x, (size_t)n * w->cols * sizeof *x), n, out, (uint32_t)stride, here->stream);
    fetch(y, out, n * stride * sizeof *y);
}

static bool on_device_rmsnorm(const float *x, const float *w, uint32_t n, float eps, float *y)
{
    here->used = 0;
    struct cuda_norm norm = { .x = send(x, n * sizeof *x), .weight = send(w, n * sizeof *w), .n = 1, .dim = n,
                              .eps = eps, .out = room(n * sizeof *y), .bad = flags(1) };
    cuda_rmsnorm(&norm, here->stream);
    fetch(y, norm.out, n * sizeof *y);
    return !fetch_flag(norm.bad);
}

static bool on_device_gate(const float *g, const float *u, uint32_t n, float *y)
{
    here->used = 0;
    float *gate = send(g, n * sizeof *g);
    uint32_t *bad = flags(1);
    cuda_gate(gate, send(u, n * sizeof *u), 1, n, NULL, bad, here->stream);
    fetch(y, gate, n * sizeof *y);
    return !fetch_flag(bad);
}

static const struct ops on_device = {
    .name = "cuda",
    .quantize = on_device_quantize,
    .group_rows = PACK_ROWS,
    .packed_bytes = on_device_packed_bytes,
    .pack = on_device_pack,
    .matmul = on_device_matmul,
    .matmul_float = on_device_matmul_float,
    .rmsnorm = on_device_rmsnorm,
    .gate = on_device_gate,
};

static bool agrees(enum conformance_case c) { return conformance_digest(&on_device, c) == conformance_expected(c); }

static bool digests_agree(void)
{
    static const enum conformance_case others[] = { CONFORMANCE_QUANTIZE, CONFORMANCE_RMSNORM, CONFORMANCE_GATE };
    bool fine = true;
    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        fine = fine && conformance_digest(&on_device, others[i]) == conformance_expected(others[i]);
    for (int c = CONFORMANCE_MATMUL_Q8_0; c <= CONFORMANCE_MATMUL_F32; c++)
        fine = fine && agrees((enum conformance_case)c);
    return fine;
}

/* --- beside the scalar code --------------------------------------------------------------------------------------- */

static void random_values(struct rng *r, float *x, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        x[i] = (float)(int32_t)(rng_next(r) >> 40) * 0x1p-21f - 4.0f;
}

static bool embedding_agrees(struct rng *r)
{
    enum { ROWS = 2, COLS = 512, BYTES = COLS / 256 * 144 };
    uint8_t stored[ROWS * BYTES];
    float right[COLS], got[ROWS * COLS];
    rng_bytes(r, stored, sizeof stored);
    for (size_t b = 0; b < sizeof stored; b += 144)
        stored[b + 1] &= 0xbb, stored[b + 3] &= 0xbb;      /* d and m below 2 */
    here->used = 0;
    struct cuda_stored a = { .type = CUDA_Q4_K, .block_len = 256, .block_bytes = 144, .cols = COLS,
                             .rows = send(stored, sizeof stored) };
    float *x = room(sizeof got);
    cuda_embed(&a, ROWS, x, here->stream);
    fetch(got, x, sizeof got);
    struct matrix w = { .type = TENSOR_Q4_K, .rows = ROWS, .cols = COLS, .data = stored };
    bool fine = true;
    for (uint32_t row = 0; row < ROWS; row++) {
        quant_row_to_float(&w, row, right);
        fine = fine && memcmp(right, got + (size_t)row * COLS, sizeof right) == 0;
    }
    return fine;
}

/* What the attention case is made of: POSITIONS rows of one slot, of which the last few are asked. */
struct attention_case {
    float q[POSITIONS][HEADS][DIM], k[POSITIONS][KV_HEADS][DIM], v[POSITIONS][KV_HEADS][DIM], cs[POSITIONS][DIM];
    struct cuda_row rows[POSITIONS];
    uint32_t table[2];
};

static const float SCORE_SCALE = 0x1.4a4p-3f;

static void fill_attention(struct attention_case *a, struct rng *r)
{
    random_values(r, &a->q[0][0][0], POSITIONS * HEADS * DIM);
    random_values(r, &a->k[0][0][0], POSITIONS * KV_HEADS * DIM);
    random_values(r, &a->v[0][0][0], POSITIONS * KV_HEADS * DIM);
    random_values(r, &a->cs[0][0], POSITIONS * DIM);
    for (uint32_t p = 0; p < POSITIONS; p++)
        a->rows[p] = (struct cuda_row){ .slot = 0, .position = p };
    a->table[0] = 1;
    a->table[1] = 0;
}

static void attend_right(struct attention_case *a, struct kvcache *kv, float right[LAST_ROWS][HEADS][DIM])
{
    ENSURE(kvpages_reserve(&kv->pages, 0, POSITIONS) == OK);
    for (uint32_t p = 0; p < POSITIONS; p++)
        for (uint32_t h = 0; h < KV_HEADS; h++) {
            struct kv_head k, v;
            ops_ref.rope(a->k[p][h], a->cs[p], DIM / 2);
            (void)ops_ref.quantize_head(a->k[p][h], DIM, k.high, k.low, &k.d);
            (void)ops_ref.quantize_head(a->v[p][h], DIM, v.high, v.low, &v.d);
            kvcache_write(kv, 0, p, 0, h, &k, &v);
        }
    for (uint32_t i = 0; i < LAST_ROWS; i++)
        for (uint32_t h = 0; h < HEADS; h++) {
            uint32_t p = POSITIONS - LAST_ROWS + i;
            ops_ref.rope(a->q[p][h], a->cs[p], DIM / 2);
            struct attn_queries query = { .kv_head = h / (HEADS / KV_HEADS), .score_scale = SCORE_SCALE, .count = 1,
                                          .each = { { a->q[p][h], p, right[i][h] } } };
            (void)attention(&ops_ref, kv, &query);
        }
    kvpages_release(&kv->pages, 0);
}

static void attend_got(const struct attention_case *a, bool split, float got[LAST_ROWS][HEADS][DIM])
{
    enum { FIRST = POSITIONS - LAST_ROWS };
    struct cuda_query_tile tiles[LAST_ROWS];
    here->used = 0;
    struct cuda_cache cache = { .tables = send(a->table, sizeof a->table), .pages_per_slot = 2, .kv_heads = KV_HEADS,
                                .head_dim = DIM, .width = WIDTH, .head_bytes = cuda_head_bytes(DIM) };
    cache.page_bytes = cache.head_bytes * KV_HEADS;
    cache.base = room(2 * cache.page_bytes);
    struct cuda_heads heads = { .q = send(a->q, sizeof a->q), .k = send(a->k, sizeof a->k),
                                .v = send(a->v, sizeof a->v),
                                .rotations = send(a->cs, sizeof a->cs), .rows = send(a->rows, sizeof a->rows),
                                .cache = cache,
                                .n = POSITIONS, .heads = HEADS, .rope_dims = DIM, .score_scale = SCORE_SCALE,
                                .q8 = room((size_t)POSITIONS * HEADS * LIMBS * WIDTH),
                                .cq = room(POSITIONS * HEADS * sizeof(float)),
                                .bad = flags(POSITIONS) };
    if (here->failed)
        return;                                            /* kernels would follow a table that never arrived */
    cuda_store_heads(&heads, here->stream);
    uint32_t count = tiles_fill(a->rows + FIRST, LAST_ROWS, HEADS / KV_HEADS, false, tiles);
    struct cuda_attention ask = { .q8 = heads.q8 + (size_t)FIRST * HEADS * LIMBS * WIDTH,
                                  .cq = heads.cq + FIRST * HEADS, .rows = heads.rows + FIRST,
                                  .tiles = send(tiles, count * sizeof *tiles), .cache = cache,
                                  .tile_count = count, .n = LAST_ROWS, .heads = HEADS, .chunks = 2,
                                  .o = room(LAST_ROWS * HEADS * DIM * sizeof(float)), .bad = heads.bad };
    if (split)
        ask.partial = room(cuda_partial_floats(LAST_ROWS, HEADS, 2, DIM) * sizeof(float));
    if (here->failed)
        return;
    cuda_attend(&ask, here->stream);
    fetch(got, ask.o, LAST_ROWS * HEADS * DIM * sizeof(float));
}

static bool attention_agrees(struct rng *r)
{
    float right[LAST_ROWS][HEADS][DIM], got[LAST_ROWS][HEADS][DIM] = { 0 };
    struct attention_case *a = calloc(1, sizeof *a);
    if (!a)
        return true;                                       /* no memory is no fault of the device */
    fill_attention(a, r);
    attend_got(a, false, got);
    struct attention_case *again = calloc(1, sizeof *again);
    if (again) {
        *again = *a;
        attend_right(again, &here->t->cache, right);
    }
    bool fine = !again || memcmp(right, got, sizeof right) == 0;
    attend_got(a, true, got);
    fine = fine && (!again || memcmp(right, got, sizeof right) == 0);
    free(again);
    free(a);
    return fine;
}

static bool sampling_agrees(struct rng *r)
{
    enum { VOCAB = 700, PICKS = 6 };
    float logits[VOCAB];
    _Alignas(8) uint8_t scratch[VOCAB * 8];
    struct cuda_pick picks[PICKS];
    bool fine = true;
    random_values(r, logits, VOCAB);
    for (uint32_t i = 0; i < PICKS; i++)
        picks[i] = (struct cuda_pick){ .temperature_micro = i * 400000, .top_k = i % 3 * 40,
                                       .top_p_micro = 1000000 - i / 2 * 90000, .position = i, .seed = rng_next(r) };
    here->used = 0;
    struct cuda_pick *asked = send(picks, sizeof picks);
    const float *sent = send(logits, sizeof logits);
    if (here->failed)
        return false;
    cuda_sample(sent, VOCAB, asked, PICKS, here->stream);
    fetch(picks, asked, sizeof picks);
    for (uint32_t i = 0; fine && i < PICKS; i++) {
        struct sampler_params p = { .temperature_micro = picks[i].temperature_micro, .top_k = picks[i].top_k,
                                    .top_p_micro = picks[i].top_p_micro, .seed = picks[i].seed };
        uint32_t token = 0;
        fine = sampler_params_check(&p) == OK && sampler_pick(logits, VOCAB, &p, picks[i].position, scratch,
                                                              &token) == OK &&
               token == picks[i].token;
    }
    return fine;
}

enum err selftest_run(struct selftest *t, struct CUstream_st *stream)
{
    struct bench bench = { .t = t, .stream = stream };
    struct rng r;
    rng_init(&r, 20);
    here = &bench;
    bool fine = numerics_check_fpu() == OK && digests_agree() && embedding_agrees(&r) && attention_agrees(&r) &&
        sampling_agrees(&r);
    here = NULL;
    return fine && !bench.failed ? OK : ERR_DEVICE;
}
