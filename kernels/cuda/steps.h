/* steps.h - everything of a pass on a CUDA device that is not a matrix product (those: matrix.h).
 *
 * One function per launch, in the order of NV1 8. Rows of the batch are independent; which rows share a block of
 * threads changes no bit. A row that meets a NaN or an infinity (NV1 11) gets its entry of `bad` set to 1.
 *
 *   key and value block of one chunk, one head: 256 positions, dimensions padded to `width`, a multiple of 32
 *     keys     the high limbs, then the low ones: of (position p, dimension i) at (i / 32 * 256 + p) * 32 + i % 32
 *     values   likewise, at (p / 32 * width + i) * 32 + place(p % 32)
 *              place(8 n + 2 t + e) = 8 t + 2 n + e: a lane of the matrix unit that has scored positions 2 t, 2 t +
 *              1 of four groups of eight finds the values of just these side by side (attention.cu)
 *     then 256 key scales, 256 value scales (fp32)
 *   page: layers x kv_heads x that.
 *
 * Owns:    nothing; all pointers but those inside structs passed by value are to device memory, aligned to 16 bytes.
 * Threads: launches are enqueued in `stream`; none synchronises, all can be captured in a graph. A launch that
 *          fails is found by cudaGetLastError().
 * Spec:    NV1 3-7, 9-11
 */
#ifndef TALLYMESH_KERNELS_CUDA_STEPS_H
#define TALLYMESH_KERNELS_CUDA_STEPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/cuda/matrix.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CUDA_CHUNK = 256, CUDA_TILE = 64, CUDA_QUERIES = 16, CUDA_LIMBS = 2 };

struct cuda_row {
    uint32_t slot, position;
};

/* Queries that one block answers together: of each row in [row, row + rows) the query heads [head, head + heads) among
 * those that share a kv head. rows * heads <= CUDA_QUERIES; the rows are of one slot. */
struct cuda_query_tile {
    uint32_t row, rows, head, heads;
};

struct cuda_cache {
    uint8_t *base;
    const uint32_t *tables;              /* (slots, pages_per_slot): page numbers */
    uint32_t pages_per_slot, kv_heads, head_dim, width;
    size_t page_bytes, head_bytes;
};

static inline uint32_t cuda_head_width(uint32_t head_dim) { return (head_dim + 31u) & ~31u; }
static inline size_t cuda_head_bytes(uint32_t head_dim)
{
    return (size_t)CUDA_CHUNK * (2 * CUDA_LIMBS * cuda_head_width(head_dim) + 2 * sizeof(float));
}

/* NV1 4.4: x (n, cols) from n stored rows. */
struct cuda_stored {
    enum cuda_type type;
    uint32_t block_len, block_bytes, cols;   /* tensor_type_block_len() and _bytes() of the type */
    const uint8_t *rows;                     /* (n, row bytes), on the device */
};
void cuda_embed(const struct cuda_stored *stored, uint32_t n, float *x, struct CUstream_st *stream);

/* NV1 5.3, 5.1, 3.2: for r < n with i = which ? which[r] : r: x[i] += y[i] unless y is NULL; row r of out is
 * RMSNORM(x[i]), of acts its quantisations, as matrices of both groupings may read it. What is NULL is not wanted. */
struct cuda_norm {
    float *x;
    const float *y;
    const uint32_t *which;
    const float *weight;
    uint32_t n, dim;
    float eps;
    float *out;
    const struct cuda_acts *acts[2];
    uint32_t *bad;                       /* by the row of x */
};
void cuda_rmsnorm(const struct cuda_norm *norm, struct CUstream_st *stream);

/* NV1 3.2 of x (n, acts->cols). */
void cuda_quantize(const float *x, uint32_t n, const struct cuda_acts *acts, uint32_t *bad, struct CUstream_st *stream);

/* NV1 5.2, 3.2: gate = GATE(gate, up), (n, dim), and its quantisation unless acts is NULL. */
void cuda_gate(float *gate, const float *up, uint32_t n, uint32_t dim, const struct cuda_acts *acts, uint32_t *bad,
               struct CUstream_st *stream);

/* NV1 6.6, 7.1 of all heads of n rows: quantised queries to q8 (n, heads, 2, width), high limbs and low ones, and cq
 * (n, heads), keys and values to their places in the cache. */
struct cuda_heads {
    const float *q, *k, *v;              /* (n, heads or kv_heads, head_dim) */
    const float *rotations;              /* (positions, rope_dims): cos, sin of each pair */
    const struct cuda_row *rows;
    struct cuda_cache cache;
    uint32_t n, heads, rope_dims, layer;
    float score_scale;                   /* A of NV1 7.1 */
    int8_t *q8;
    float *cq;
    uint32_t *bad;
};
void cuda_store_heads(const struct cuda_heads *heads, struct CUstream_st *stream);

/* NV1 7.2-7.6: o (rows, heads, head_dim). With `partial` every chunk has its own block and a second launch folds
 * them; without, a block walks through all chunks of its queries. The bits are the same. With `acts` o is quantised
 * (NV1 3.2), mostly by the launch that folds, and may not be written itself. */
struct cuda_attention {
    const int8_t *q8;
    const float *cq;
    const struct cuda_row *rows;
    const struct cuda_query_tile *tiles;
    struct cuda_cache cache;
    uint32_t tile_count, n, heads, layer;
    uint32_t chunks;                     /* at least position / 256 + 1 of every row */
    float *partial;                      /* NULL, or cuda_partial_floats() */
    float *o;
    const struct cuda_acts *acts;        /* NULL, or cols = heads * head_dim */
    uint32_t *bad;
};
void cuda_attend(const struct cuda_attention *attention, struct CUstream_st *stream);
static inline size_t cuda_partial_floats(uint32_t n, uint32_t heads, uint32_t chunks, uint32_t head_dim)
{
    return (size_t)n * heads * chunks * (head_dim + 2);
}

/* NV1 10, one answer per row of logits (n, vocab). */
struct cuda_pick {
    uint32_t temperature_micro, top_k, top_p_micro, position;
    uint64_t seed;
    uint32_t row;                        /* of the logits */
    uint32_t bad;                        /* out: something was not finite; then there is no token */
    uint32_t token;                      /* out */
    uint32_t unused;
    uint64_t best, threshold, winner;    /* scratch */
};
void cuda_sample(const float *logits, uint32_t vocab, struct cuda_pick *picks, uint32_t n, struct CUstream_st *stream);

#ifdef __cplusplus
}
#endif

#endif
