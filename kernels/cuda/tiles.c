/* tiles.c - rows and heads, sixteen queries at a time. */
#include "kernels/cuda/tiles.h"

uint32_t tiles_max(uint32_t n, uint32_t group) { return n * ((group + CUDA_QUERIES - 1) / CUDA_QUERIES); }

static uint32_t rows_together(const struct cuda_row *rows, uint32_t left, uint32_t most)
{
    uint32_t n = 1;
    while (n < left && n < most && rows[n].slot == rows[0].slot)
        n++;
    return n;
}

uint32_t tiles_fill(const struct cuda_row *rows, uint32_t n, uint32_t group, bool one_row,
                    struct cuda_query_tile *tiles)
{
    uint32_t count = 0, most = one_row || group > CUDA_QUERIES ? 1 : CUDA_QUERIES / group;
    for (uint32_t row = 0, taken; row < n; row += taken) {
        taken = rows_together(rows + row, n - row, most);
        for (uint32_t head = 0; head < group; head += CUDA_QUERIES) {
            uint32_t heads = group - head < CUDA_QUERIES ? group - head : CUDA_QUERIES;
            tiles[count++] = (struct cuda_query_tile){ .row = row, .rows = taken, .head = head, .heads = heads };
        }
    }
    return count;
}
