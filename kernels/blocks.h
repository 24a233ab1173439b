/* blocks.h - what do the stored blocks of a quantised matrix mean, as exact integers?
 *
 * Every quantised type of NV1 4.1 is the same thing with other widths: a block of `len` values has one or two float
 * factors, and for each run of `run` values an integer scale and perhaps an integer offset,
 *
 *     value i = d * (scale[i / run] * weight(code i)) + m * min[i / run]        weight(code) = table[code] or code - zero
 *
 * Types without integer scales have scale 1 and min 1. This is the only place that knows how GGUF lays the bits of a block
 * out: the scalar law, the embedding and the packers of all backends read blocks through it, so a new type is one row of
 * the table and one function here.
 *
 *   type     len  run  bits  zero   d                        m        scale             min
 *   Q8_0      32   32    8   128    fp16                     -        -                 -
 *   Q4_0      32   32    4     8    fp16                     -        -                 -
 *   Q4_1      32   32    4     0    fp16                     fp16     -                 1
 *   Q5_0      32   32    5    16    fp16                     -        -                 -
 *   Q5_1      32   32    5     0    fp16                     fp16     -                 1
 *   IQ4_NL    32   32    4  table   fp16                     -        -                 -
 *   MXFP4     32   32    4  table   2^(e - 128)              -        -                 -
 *   Q2_K     256   16    2     0    fp16                     -fp16    0..15             0..15
 *   Q3_K     256   16    3     4    fp16                     -        -32..31           -
 *   Q4_K     256   32    4     0    fp16                     -fp16    0..63             0..63
 *   Q5_K     256   32    5     0    fp16                     -fp16    0..63             0..63
 *   Q6_K     256   16    6    32    fp16                     -        -128..127         -
 *   IQ4_XS   256   32    4  table   fp16                     -        -32..31           -
 *
 * Threads: pure; any thread.
 * Spec:    NV1 4.1, 4.4; the bit layouts are GGUF's.
 */
#ifndef TALLYMESH_KERNELS_BLOCKS_H
#define TALLYMESH_KERNELS_BLOCKS_H

#include "crypto/base.h"
#include "kernels/tensor.h"

enum { BLOCK_LEN_MAX = 256, BLOCK_RUNS_MAX = 16 };

struct block_format {
    enum tensor_type type;
    uint16_t len, run;           /* values per block; per integer scale */
    uint16_t bytes;              /* of a stored block */
    uint8_t bits;                /* of a code */
    uint8_t zero;                /* weight = code - zero, unless there is a table */
    uint16_t half_at;            /* where the fp16 d lies in a stored block; the fp16 behind m, if any, follows it */
    bool has_min;                /* m and min[] count */
    bool has_scale;              /* scale[] is not all 1: one float step per 256 values instead of per 32 */
    const int8_t *table;         /* weight = table[code], 16 entries, or NULL */
};

struct block {
    float d, m;                         /* m is 0 without mins */
    uint8_t code[BLOCK_LEN_MAX];        /* below 2^bits */
    int16_t scale[BLOCK_RUNS_MAX];
    int16_t min[BLOCK_RUNS_MAX];        /* all 0 without mins */
};

/* NULL: not a quantised type that is computed with (F32, F16 and BF16 have no blocks). Static storage. */
const struct block_format *block_format(enum tensor_type type);
/* The i-th format, for whoever does something for all of them; NULL past the last. */
const struct block_format *block_format_at(size_t i);

/* Decodes one stored block of f->bytes bytes. Every bit pattern means something; d and m may be infinite or NaN. */
void block_read(const struct block_format *f, const uint8_t *stored, struct block *out);

/* The same without the codes, for packers that move those as they are: d, m, scale and min. */
void block_read_scales(const struct block_format *f, const uint8_t *stored, struct block *out);

/* The integer behind a code. */
static inline int32_t block_weight(const struct block_format *f, uint8_t code)
{
    return f->table ? f->table[code] : code - f->zero;
}

#endif
