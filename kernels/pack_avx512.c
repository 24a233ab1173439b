/* pack_avx512.c - from the file's rows to groups of 16 rows in lanes (packed_avx512.h). The codes are moved four bytes
 * of 16 rows at a time by one transposition; a byte at a time would take longer than reading the file. */
#include "kernels/matmul_avx512.h"

#include "kernels/blocks.h"
#include "kernels/packed_avx512.h"
#include "kernels/unroll.h"

/* Where the codes of a stored block are: two stretches of 4-byte words, each becoming as many vectors. */
struct stretch {
    uint8_t at, words;
};

struct code_places {
    struct stretch low, high;    /* high: the plane of further bits, if the type has one */
};

static struct code_places code_places(enum tensor_type type)
{
    switch ((int)type) {
    case TENSOR_Q8_0: return (struct code_places){ { 2, 8 }, { 0, 0 } };
    case TENSOR_Q4_0:
    case TENSOR_IQ4_NL: return (struct code_places){ { 2, 4 }, { 0, 0 } };
    case TENSOR_Q4_1: return (struct code_places){ { 4, 4 }, { 0, 0 } };
    case TENSOR_Q5_0: return (struct code_places){ { 6, 4 }, { 2, 1 } };
    case TENSOR_Q5_1: return (struct code_places){ { 8, 4 }, { 4, 1 } };
    case TENSOR_MXFP4: return (struct code_places){ { 1, 4 }, { 0, 0 } };
    case TENSOR_Q2_K: return (struct code_places){ { 16, 16 }, { 0, 0 } };
    case TENSOR_Q3_K: return (struct code_places){ { 32, 16 }, { 0, 8 } };
    case TENSOR_Q4_K: return (struct code_places){ { 16, 32 }, { 0, 0 } };
    case TENSOR_Q5_K: return (struct code_places){ { 48, 32 }, { 16, 8 } };
    case TENSOR_Q6_K: return (struct code_places){ { 0, 32 }, { 128, 16 } };
    case TENSOR_IQ4_XS: return (struct code_places){ { 8, 32 }, { 0, 0 } };
    }
    ENSURE(false);
    return (struct code_places){ { 0, 0 }, { 0, 0 } };
}

/* The stored blocks at one place of up to 16 rows. */
struct column {
    const uint8_t *first;        /* of the first row */
    size_t stride;               /* to the next row */
    uint32_t rows;
};

/* 16 x 16 words: first within 128-bit lanes, then the lanes. */
static void transpose_words(__m512i v[16])
{
    __m512i t[16];
    UNROLL
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
    UNROLL
    for (int i = 0; i < 16; i += 4) {
        v[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        v[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        v[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        v[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(v[i], v[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(v[i], v[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(v[i + 8], v[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(v[i + 8], v[i + 12], 0xdd);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        v[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        v[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        v[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
        v[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
    }
}

/* Word i of every row becomes vector i. Returns the place behind. */
static uint8_t *put_words(const struct column *c, struct stretch s, __m512i flip, uint8_t *to)
{
    for (uint32_t first = 0; first < s.words; first += 16) {
        uint32_t n = s.words - first < 16 ? s.words - first : 16;
        __mmask16 some = (__mmask16)((1u << n) - 1);
        __m512i v[16];
        for (uint32_t i = 0; i < GROUP; i++)
            v[i] = i < c->rows ? _mm512_maskz_loadu_epi32(some, c->first + i * c->stride + s.at + first * 4)
                               : _mm512_setzero_si512();
        transpose_words(v);
        for (uint32_t i = 0; i < n; i++, to += VECTOR)
            _mm512_storeu_si512(to, _mm512_xor_si512(v[i], flip));
    }
    return to;
}

/* Exchanges the bits of `mask` with those `shift` above them. */
static __m512i swap_bits(__m512i v, uint32_t mask, uint32_t shift)
{
    __m512i t = _mm512_and_si512(_mm512_xor_si512(v, _mm512_srl_epi32(v, _mm_cvtsi32_si128((int)shift))),
                                 _mm512_set1_epi32((int)mask));
    return _mm512_xor_si512(_mm512_xor_si512(v, t), _mm512_sll_epi32(t, _mm_cvtsi32_si128((int)shift)));
}

/* Q5_0, Q5_1: bit 4 k + i of each 32 becomes bit k of byte i, where packed_quad() finds it as in the 256-block types:
 * the five digits of the bit's index are turned by two places, one exchange of two digits at a time. */
static void regroup_fifth_bits(uint8_t *vector)
{
    __m512i v = _mm512_loadu_si512(vector);
    v = swap_bits(v, 0x22222222u, 1);      /* digits 0 and 1 */
    v = swap_bits(v, 0x0a0a0a0au, 3);      /* digits 0 and 2 */
    v = swap_bits(v, 0x00cc00ccu, 6);      /* digits 1 and 3 */
    v = swap_bits(v, 0x0000f0f0u, 12);     /* digits 2 and 4 */
    _mm512_storeu_si512(vector, v);
}

static void put_codes(enum tensor_type type, const struct column *c, uint8_t *to)
{
    struct code_places places = code_places(type);
    uint8_t *high = put_words(c, places.low, _mm512_set1_epi8((char)(type == TENSOR_Q8_0 ? 0x80 : 0)), to);
    (void)put_words(c, places.high, _mm512_setzero_si512(), high);
    if (type == TENSOR_Q5_0 || type == TENSOR_Q5_1)
        regroup_fifth_bits(high);
}

/* d and m of block b of a cell of n, for all rows. */
static void put_factors(const struct block_format *f, const struct column *c, uint8_t *cell, uint32_t n, uint32_t b)
{
    for (uint32_t i = 0; i < c->rows; i++) {
        const uint8_t *stored = c->first + i * c->stride;
        if (f->type == TENSOR_MXFP4) {
            cell[b * GROUP + i] = stored[0];
            continue;
        }
        memcpy(cell + (b * GROUP + i) * 2, stored + f->half_at, 2);
        if (!f->has_min)
            continue;
        uint8_t *m = cell + packed_m_at(f->type, n) + (b * GROUP + i) * 2;
        memcpy(m, stored + f->half_at + 2, 2);
        m[1] = (uint8_t)(m[1] ^ (f->has_scale ? 0x80 : 0));
    }
}

/* Integer scales and mins of a 256-block. */
static void put_scales(const struct block_format *f, const struct column *c, uint8_t *cell)
{
    uint8_t *scales = cell + packed_scales_at(f->type, 1), *mins = cell + packed_mins_at(f->type, 1);
    for (uint32_t i = 0; i < c->rows; i++) {
        struct block b;
        block_read_scales(f, c->first + i * c->stride, &b);
        for (uint32_t r = 0; r < packed_type(f->type).runs; r++) {
            uint32_t at = (r / 2 * GROUP + i) * 2 + r % 2;
            if (f->type == TENSOR_Q2_K) {
                scales[at] = (uint8_t)(b.scale[r] | b.min[r] << 4);
                continue;
            }
            scales[at] = (uint8_t)b.scale[r];
            if (f->has_min)
                mins[at] = (uint8_t)b.min[r];
        }
    }
}

static void pack_group(const struct block_format *f, const struct column *rows, uint32_t cols, uint8_t *to)
{
    struct column at = *rows;
    memset(to, 0, packed_group_bytes(f->type, cols));
    for (uint32_t first = 0; first < cols; first += CELL_COLS) {
        uint32_t n = packed_cell_blocks(f->type, cols, first);
        uint8_t *codes = to + packed_codes_at(f->type, n);
        for (uint32_t b = 0; b < n; b++, at.first += f->bytes) {
            put_factors(f, &at, to, n, b);
            if (f->has_scale)
                put_scales(f, &at, to);
            put_codes(f->type, &at, codes + (size_t)b * packed_type(f->type).vectors * VECTOR);
        }
        to += packed_cell_bytes(f->type, n);
    }
}

size_t avx512_packed_bytes(enum tensor_type type, uint32_t rows, uint32_t cols)
{
    return (size_t)((rows + GROUP - 1) / GROUP) * packed_group_bytes(type, cols);
}

void avx512_pack(const struct matrix *w, uint32_t begin, uint32_t end, uint8_t *packed)
{
    const struct block_format *f = block_format(w->type);
    ENSURE(f);
    size_t row_bytes = (size_t)(w->cols / f->len) * f->bytes, group_bytes = packed_group_bytes(w->type, w->cols);
    for (uint32_t row = begin; row < end; row += GROUP) {
        struct column c = { .first = w->data + row * row_bytes, .stride = row_bytes,
                            .rows = end - row < GROUP ? end - row : GROUP };
        pack_group(f, &c, w->cols, packed + row / GROUP * group_bytes);
    }
}
