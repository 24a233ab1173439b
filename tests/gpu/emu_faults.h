/* emu_faults.h - kernels that break one rule each (emu_faults.cu), for test_emu.c. */
#ifndef TALLYMESH_TESTS_GPU_EMU_FAULTS_H
#define TALLYMESH_TESTS_GPU_EMU_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

enum fault_case {
    FAULT_neighbours,
    FAULT_warp_neighbours,
    FAULT_write_after_read,
    FAULT_one_place,
    FAULT_blocks_share,
    FAULT_missing_thread,
    FAULT_diverging,
    FAULT_beyond_buffer,
    FAULT_beyond_shared,
    FAULT_never_written,
    FAULT_bytes_of_a_word,
    FAULT_reads_early,
    FAULT_writes_early,
    FAULT_never_waits,
    FAULT_copies
};

#ifdef __cplusplus
extern "C" {
#endif

/* Two blocks of 64 threads; out has room for a word of each, from for a word of each thread of a block. */
void emu_faults_run(enum fault_case which, uint32_t *out, const uint32_t *from, bool rightly);
/* c (16, 8) = a (16, 32) times b (8, 32) transposed, by mma_k32 or two of mma_k16. */
void emu_multiply_tiles(const int8_t *a, const int8_t *b, int32_t *c, bool wide);

#ifdef __cplusplus
}
#endif

#endif
