/* ops.h - the operations of NV1, as one table per backend.
 *
 * A backend is a struct ops. ops_ref.c is the law in plain loops; every other table must give the same bytes for every
 * input, which tests/kernels/test_ops.c asks with memcmp and backend_self_test() asks of the running machine. What is
 * decided here by the caller (threads, batches, which rows of a matrix) never changes a result.
 *
 * Layouts:
 *   stored row      blocks as GGUF has them (blocks.h), or fp32, fp16, bf16 values.
 *   packed matrix   the backend's own arrangement of the same values, made once by pack().
 *   struct acts     quantised activations of a batch, one row per token (NV1 3.2).
 *   key tile        64 positions of one head, first the high limbs of all, then the low ones (NV1 3.3): in each part
 *                   the byte of (position j, dimension i) at ((i / 4) * 64 + j) * 4 + i % 4.
 *   value tile      likewise, byte of (position j, dimension i) at ((j / 2) * width + i) * 2 + j % 2.
 *                   width = ops_head_width(D), D rounded up to 16; the added dimensions are zero and stay zero. Four
 *                   neighbours along the sum lie together, so that lanes are results and nothing is added across lanes.
 *
 * Alignment: none is required of floats and weights; tiles and packed weights are aligned to 64 bytes.
 * Threads:   pure; any thread whose numerics_check_fpu() is fine.
 * Spec:      NV1 3-7
 */
#ifndef TALLYMESH_KERNELS_OPS_H
#define TALLYMESH_KERNELS_OPS_H

#include "crypto/base.h"
#include "kernels/tensor.h"

enum {
    ACT_BLOCK = 256,             /* values activations are padded to, and per block of VSUM */
    ACT_RUN = 16,                /* values per entry of acts.sums: the shortest run of any weight type */
    ACT_RUNS = ACT_BLOCK / ACT_RUN,
    ACT_SCALED = 32,             /* values per entry of acts.d */
    ACT_SCALES = ACT_BLOCK / ACT_SCALED,
    LIMBS = 2,                   /* of queries, keys and values: r = LIMB_RADIX * high + low */
    LIMB_RADIX = 128,
    LIMB_LEVELS = 127 * LIMB_RADIX,
    TILE = 64,                   /* positions per softmax tile */
    CHUNK = 256,                 /* positions per attention chunk */
    ATTN_QUERIES = 4,            /* that pass over a tile together */
    HEAD_DIM_MAX = 1024,
    OPS_ALIGN = 64
};

static inline uint32_t ops_act_blocks(uint32_t cols) { return (cols + ACT_BLOCK - 1) / ACT_BLOCK; }
/* The group of NV1 3.2 for a quantised type. */
static inline uint32_t ops_act_group(enum tensor_type type) { return tensor_type_block_len(type) == 32 ? 32 : 256; }
static inline uint32_t ops_head_width(uint32_t head_dim) { return (head_dim + 15u) & ~15u; }

/* Activations of up to some number of tokens. q is zero from cols to blocks * 256. There is a scale for every 32
 * values; where the group of NV1 3.2 is 256, its scale is written eight times. */
struct acts {
    uint32_t cols;               /* length of a row before padding */
    uint32_t group;              /* values that share a scale, 32 or 256: ops_act_group() of its readers */
    int8_t *q;                   /* (tokens, blocks * 256) */
    float *d;                    /* (tokens, blocks * 8) */
    int16_t *sums;               /* (tokens, blocks * 16): sum of q over each 16, for mins and for biased weights */
};

/* A weight matrix: y[row] = row . x */
struct matrix {
    enum tensor_type type;       /* F32, F16, BF16, or one that block_format() knows */
    uint32_t rows, cols;
    const uint8_t *data;         /* as stored, (rows, cols) */
    const uint8_t *packed;       /* the backend's arrangement, or NULL */
};

/* One softmax tile (NV1 7.3). u[j] is 0 for positions that do not exist. */
struct attn_tile {
    float max, l, g;             /* M_t, l_t, g_t */
    int16_t u[TILE];
};

struct ops {
    const char *name;

    /* NV1 3.2 for one row of x->cols values; fills q, d and sums of `token`. False: not finite (the row is zeroed). */
    bool (*quantize)(const float *in, struct acts *x, uint32_t token);
    /* NV1 3.3: high[0..n), low[0..n) and *d. False: not finite (all is zeroed). */
    bool (*quantize_head)(const float *in, uint32_t n, int8_t *high, int8_t *low, float *d);

    /* Bytes of the packed form of a quantised matrix, 0 if this backend reads the type as stored; and rows per packed
     * group: the row ranges below begin at multiples of it, and end at one or at the last row. */
    uint32_t group_rows;
    size_t (*packed_bytes)(enum tensor_type type, uint32_t rows, uint32_t cols);
    /* Writes the packed form of rows [begin, end), all bytes of their groups, to where it belongs in `packed`. */
    void (*pack)(const struct matrix *w, uint32_t begin, uint32_t end, uint8_t *packed);

    /* NV1 4.1 for rows [begin, end) and tokens [0, n): y[token * stride + row]. w->type is quantised. */
    void (*matmul)(const struct matrix *w, const struct acts *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
                   size_t stride);
    /* NV1 4.2 likewise; x is (n, w->cols). w->type is F32, F16 or BF16. */
    void (*matmul_float)(const struct matrix *w, const float *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
                         size_t stride);

    /* NV1 5.1. False: ss is not finite. y may be x. */
    bool (*rmsnorm)(const float *x, const float *w, uint32_t n, float eps, float *y);
    /* NV1 5.2: y = SILU(g) * u. False: g or u not finite. y may be g or u. */
    bool (*gate)(const float *g, const float *u, uint32_t n, float *y);
    /* NV1 5.3: x += y. */
    void (*add)(float *x, const float *y, uint32_t n);
    /* NV1 6.6 in place: pairs of v[0 .. 2 * pairs) with cos, sin from cs[2 * i], cs[2 * i + 1]. */
    void (*rope)(float *v, const float *cs, uint32_t pairs);

    /* NV1 7.2: H and L of one key tile for n queries (1..ATTN_QUERIES); q is (n, 2, width), high limbs and low limbs,
     * zero from head_dim on. */
    void (*attn_scores)(const int8_t *q, uint32_t n, const int8_t *key_tile, uint32_t width,
                        int32_t (*scores)[LIMBS][TILE]);
    /* NV1 7.2-7.3 for the first n positions of a tile (1..64). False: a score is not finite. */
    bool (*attn_softmax)(const int32_t scores[LIMBS][TILE], float cq, const float *dk, const float *dv, uint32_t n,
                         struct attn_tile *out);
    /* NV1 7.3: H and L of one value tile for the u of n softmax tiles (1..ATTN_QUERIES), (n, 2, width). */
    void (*attn_values)(const struct attn_tile *tiles, uint32_t n, const int8_t *value_tile, uint32_t width,
                        int32_t *sums);
    /* NV1 7.4: o = fma(e, U, a * o) with U from the (2, n) sums. */
    void (*attn_fold)(float *o, const int32_t *sums, float a, float e, uint32_t n);
    /* NV1 7.5: o = fma(b, part, a * o). */
    void (*attn_merge)(float *o, const float *part, float a, float b, uint32_t n);

    /* NV1 2.1, 2.2 over arrays: the vector forms of the functions inside the above, so that they can be compared. */
    void (*exp2_each)(const float *x, uint32_t n, float *y);
    void (*exp_each)(const float *x, uint32_t n, float *y);
};

/* The law. */
extern const struct ops ops_ref;

/* NV1 4.1 from the stored bytes: what a backend uses for a type it has no kernel of its own for. */
void ops_ref_matmul(const struct matrix *w, const struct acts *x, uint32_t n, uint32_t begin, uint32_t end, float *y,
                    size_t stride);
/* VSUM of NV1 4.3 by the law, for whoever needs a single one. */
float ops_ref_vsum(const float *a, const float *b, uint32_t n);

#endif
