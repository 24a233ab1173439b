/* panel_avx512.c - packed weights taken apart for the products of a batch. */
#include "kernels/panel_avx512.h"

#include "kernels/packed_avx512.h"
#include "kernels/unroll.h"

struct panel_kind panel_kind(enum tensor_type type)
{
    int32_t bias = packed_type(type).bias;
    switch ((int)type) {
    case TENSOR_Q4_1:
    case TENSOR_Q5_1: return (struct panel_kind){ FOLD_BLOCKS_MIN, bias };
    case TENSOR_Q2_K: return (struct panel_kind){ FOLD_WHOLE_MIN, bias };
    case TENSOR_Q3_K: return (struct panel_kind){ FOLD_WHOLE, PANEL_Q3_BIAS };
    case TENSOR_Q4_K: return (struct panel_kind){ FOLD_WORDS_MIN, bias };
    case TENSOR_Q5_K: return (struct panel_kind){ FOLD_LONGS_MIN, bias };
    case TENSOR_Q6_K: return (struct panel_kind){ FOLD_LONGS_16, bias };
    case TENSOR_IQ4_XS: return (struct panel_kind){ FOLD_LONGS, bias };
    }
    return (struct panel_kind){ FOLD_BLOCKS, bias };
}

ALWAYS_INLINE void blocks_of(enum tensor_type type, const uint8_t *cell, uint32_t n, struct panel *p)
{
    const uint8_t *codes = cell + packed_codes_at(type, n);
    for (uint32_t b = 0; b < n; b++, codes += packed_type(type).vectors * VECTOR) {
        UNROLL
        for (uint32_t k = 0; k < QUADS; k++)
            _mm512_store_si512(p->quads[b * QUADS + k], packed_quad(type, codes, 0, k));
        _mm512_store_ps(p->d[b], packed_d(type, cell, b));
        if (packed_type(type).has_min)
            _mm512_store_ps(p->m[b], packed_m(type, cell, n, b));
    }
}

/* code * scale + more, byte by byte, modulo 256; scale is the same in both halves of a lane. */
ALWAYS_INLINE __m512i scaled_bytes(__m512i code, __m512i scale, __m512i more)
{
    const __m512i low = _mm512_set1_epi16(0xff);
    __m512i even = _mm512_and_si512(_mm512_mullo_epi16(_mm512_and_si512(code, low), scale), low);
    __m512i odd = _mm512_slli_epi16(_mm512_mullo_epi16(_mm512_srli_epi16(code, 8), scale), 8);
    return _mm512_add_epi8(_mm512_or_si512(even, odd), more);
}

/* Q2_K, Q3_K: the quads of one half of run r with the scale in them. */
ALWAYS_INLINE void scaled_half(enum tensor_type type, const uint8_t *codes, uint32_t r, uint32_t half, __m512i scale,
                               struct panel *p)
{
    scale = _mm512_and_si512(scale, _mm512_set1_epi32(0xffff));
    scale = _mm512_or_si512(scale, _mm512_slli_epi32(scale, 16));
    __m512i more = _mm512_setzero_si512();
    if (type == TENSOR_Q3_K) {
        __m512i zeros = _mm512_and_si512(_mm512_slli_epi16(scale, 2), _mm512_set1_epi16(0xff));
        more = _mm512_sub_epi8(_mm512_set1_epi8(PANEL_Q3_BIAS), _mm512_or_si512(zeros, _mm512_slli_epi16(zeros, 8)));
    }
    UNROLL
    for (uint32_t k = half * 4; k < half * 4 + 4; k++)
        _mm512_store_si512(p->quads[r * QUADS + k], scaled_bytes(packed_quad(type, codes, r, k), scale, more));
}

ALWAYS_INLINE void scales_of(enum tensor_type type, const uint8_t *cell, struct panel *p)
{
    const __m512i low = _mm512_set1_epi32(0xffff);
    const uint32_t runs = packed_type(type).runs;
    for (uint32_t pair = 0; pair < runs / 2; pair++) {
        __m512i both = packed_scale_pair(type, cell, pair);
        if (packed_type(type).has_min)
            _mm512_store_si512(p->mins[pair], packed_min_pair(type, cell, pair));
        if (type == TENSOR_Q4_K) {
            _mm512_store_si512(p->scales[pair * 2], _mm512_and_si512(both, low));
            _mm512_store_si512(p->scales[pair * 2 + 1], _mm512_srli_epi32(both, 16));
            _mm512_store_si512(p->scales[runs + pair], _mm512_mullo_epi16(both, _mm512_set1_epi16(PANEL_WORDS_CENTRE)));
        } else {
            _mm512_store_si512(p->scales[pair * 2], packed_scale_of_pair(both, 0));
            _mm512_store_si512(p->scales[pair * 2 + 1], packed_scale_of_pair(both, 1));
        }
    }
}

ALWAYS_INLINE void runs_of(enum tensor_type type, const uint8_t *cell, struct panel *p)
{
    const uint8_t *codes = cell + packed_codes_at(type, 1);
    scales_of(type, cell, p);
    _mm512_store_ps(p->d[0], packed_d(type, cell, 0));
    if (packed_type(type).has_min)
        _mm512_store_ps(p->m[0], packed_m(type, cell, 1, 0));
    UNROLL
    for (uint32_t r = 0; r < CELL_BLOCKS; r++) {
        if (type == TENSOR_Q2_K || type == TENSOR_Q3_K) {
            scaled_half(type, codes, r, 0, _mm512_load_si512(p->scales[r * 2]), p);
            scaled_half(type, codes, r, 1, _mm512_load_si512(p->scales[r * 2 + 1]), p);
            continue;
        }
        UNROLL
        for (uint32_t k = 0; k < QUADS; k++)
            _mm512_store_si512(p->quads[r * QUADS + k], packed_quad(type, codes, r, k));
    }
}

void panel_fill(enum tensor_type type, const uint8_t *cell, uint32_t n, struct panel *p)
{
    switch ((int)type) {
#define TYPE(name)                                                                                                     \
    case TENSOR_##name:                                                                                                \
        if (packed_type(TENSOR_##name).blocks32)                                                                       \
            blocks_of(TENSOR_##name, cell, n, p);                                                                      \
        else                                                                                                           \
            runs_of(TENSOR_##name, cell, p);                                                                           \
        return;
        PACKED_TYPES(TYPE)
#undef TYPE
    }
    ENSURE(false);
}
