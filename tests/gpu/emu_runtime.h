/* emu_runtime.h - a CUDA runtime for the emulated device, as lazy as the rules allow.
 *
 * What is enqueued in a stream happens when the host waits for it, no sooner: a host that changes a buffer too
 * early, or looks at a result too soon, sees the wrong bytes here every time. Memory is counted and can be short;
 * any call can be made to fail. One stream, one device memory, several device numbers.
 *
 * Threads: one, like emu.h.
 */
#ifndef TALLYMESH_TESTS_GPU_EMU_RUNTIME_H
#define TALLYMESH_TESTS_GPU_EMU_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Devices that are there (at first 2; 0: as without a driver) and the memory they have. */
void emu_runtime_devices(int count);
void emu_runtime_memory(size_t bytes);
/* The n-th call from now on fails (0: none), and all after it if `for_good`, as when a device is lost. */
void emu_runtime_fail(uint64_t call, bool for_good);
/* Calls that could have failed, since emu_runtime_fail(). */
uint64_t emu_runtime_calls(void);
/* Things that were made and not given back: memory, streams, graphs. */
size_t emu_runtime_held(void);
/* Copies, launches and graphs that were played since the last call. */
struct emu_runtime_counts {
    uint64_t copies, launches, graphs;
};
struct emu_runtime_counts emu_runtime_counts(void);

#endif
