/* tile_amx.h - the matrix registers of AMX: eight tiles of 16 rows x 64 bytes.
 *
 * What the kernels need of them and nothing more, with two bodies: the instructions, and (TM_TILE_EMULATED, in tests)
 * plain loops that do what the manual says, so that the very same kernels are compared with the law on any machine.
 * Tile numbers are constants: macros.
 *
 *   TILE_DOT_SU(c, a, b)   c[m][n] += sum over k, j < 4 of a[m][4 k + j] * b[k][4 n + j], a signed, b unsigned bytes
 *   TILE_DOT_SS(c, a, b)   the same, both signed
 *
 * Every thread loads its own shape before it touches a tile, and gives the tiles back afterwards, so that the system
 * need not save them with the thread. The whole process must have been allowed to use them (amx_posix.h).
 *
 * Threads: the tiles are the thread's own.
 */
#ifndef TALLYMESH_KERNELS_TILE_AMX_H
#define TALLYMESH_KERNELS_TILE_AMX_H

#include <string.h>

#include "crypto/base.h"

enum { TILES = 8, TILE_ROWS = 16, TILE_BYTES = 64 };

/* The 64 bytes of LDTILECFG. */
struct tile_shapes {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[TILES], reserved_bytes[8];    /* of a row */
    uint8_t rows[TILES], reserved_rows[8];
};

#if defined(TM_TILE_EMULATED)

static _Thread_local struct {
    struct tile_shapes shapes;
    uint8_t row[TILES][TILE_ROWS][TILE_BYTES];
} tiles;

static inline void tiles_begin(const struct tile_shapes *s)
{
    memset(&tiles, 0, sizeof tiles);
    tiles.shapes = *s;
}

static inline void tiles_end(void) { memset(&tiles, 0x55, sizeof tiles); }

static inline void tile_load(int t, const void *p, size_t stride)
{
    memset(tiles.row[t], 0, sizeof tiles.row[t]);
    for (int i = 0; i < tiles.shapes.rows[t]; i++)
        memcpy(tiles.row[t][i], (const uint8_t *)p + (size_t)i * stride, tiles.shapes.bytes[t]);
}

static inline void tile_store(int t, void *p, size_t stride)
{
    for (int i = 0; i < tiles.shapes.rows[t]; i++)
        memcpy((uint8_t *)p + (size_t)i * stride, tiles.row[t][i], tiles.shapes.bytes[t]);
}

static inline void tile_dot(int c, int a, int b, bool b_signed)
{
    ENSURE(tiles.shapes.bytes[a] == tiles.shapes.rows[b] * 4 && tiles.shapes.rows[c] == tiles.shapes.rows[a] &&
           tiles.shapes.bytes[c] == tiles.shapes.bytes[b]);
    for (int m = 0; m < tiles.shapes.rows[c]; m++)
        for (int n = 0; n < tiles.shapes.bytes[c] / 4; n++) {
            int32_t sum;
            memcpy(&sum, &tiles.row[c][m][n * 4], sizeof sum);
            for (int k = 0; k < tiles.shapes.rows[b]; k++)
                for (int j = 0; j < 4; j++) {
                    uint8_t y = tiles.row[b][k][n * 4 + j];
                    sum += (int8_t)tiles.row[a][m][k * 4 + j] * (b_signed ? (int8_t)y : (int32_t)y);
                }
            memcpy(&tiles.row[c][m][n * 4], &sum, sizeof sum);
        }
}

#define TILE_ZERO(t) memset(tiles.row[t], 0, sizeof tiles.row[t])
#define TILE_LOAD(t, p, stride) tile_load(t, p, stride)
#define TILE_STORE(t, p, stride) tile_store(t, p, stride)
#define TILE_DOT_SU(c, a, b) tile_dot(c, a, b, false)
#define TILE_DOT_SS(c, a, b) tile_dot(c, a, b, true)

#else

#include <immintrin.h>

/* By hand: gcc 12's _tile_loadconfig tells the compiler that it reads 8 of the 64 bytes, and the stores that fill the
 * others may then be dropped. */
static inline void tiles_begin(const struct tile_shapes *s) { __asm__ volatile("ldtilecfg %0" : : "m"(*s)); }

static inline void tiles_end(void) { _tile_release(); }

#define TILE_ZERO(t) _tile_zero(t)
#define TILE_LOAD(t, p, stride) _tile_loadd(t, p, stride)
#define TILE_STORE(t, p, stride) _tile_stored(t, p, stride)
#define TILE_DOT_SU(c, a, b) _tile_dpbsud(c, a, b)
#define TILE_DOT_SS(c, a, b) _tile_dpbssd(c, a, b)

#endif
#endif
