/* test_cuda_selftest.c - a GPU's self-test on the emulated device: fine when all is fine, and ERR_DEVICE whichever
 * call fails. */
#include "tests/test.h"

#include "kernels/cuda/selftest_cuda.h"
#include "tests/gpu/emu.h"
#include "tests/gpu/emu_runtime.h"
#include "tests/gpu/runtime/cuda_runtime_api.h"

static void every_kernel_is_asked(void **state)
{
    (void)state;
    struct selftest t;
    cudaStream_t stream;
    assert_int_equal(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
    assert_ok(selftest_init(&t, NULL));
    (void)emu_runtime_counts();
    emu_runtime_fail(0, false);
    assert_ok(selftest_run(&t, stream));
    uint64_t calls = emu_runtime_calls();
    /* Thirteen types and three of floats, norm, gate, quantisation, embedding, heads, attention both ways, sampling. */
    assert_true(emu_runtime_counts().launches >= 16 + 3 + 1 + 2 + 3 + 4);
    assert_true(emu_shared_most() > 100 << 10);            /* only the wide tile of matmul.cu wants so much */
    for (uint64_t call = 1; call <= calls; call += calls / 5) {
        emu_runtime_fail(call, call % 2);
        assert_int_equal(selftest_run(&t, stream), ERR_DEVICE);
    }
    emu_runtime_fail(0, false);
    assert_int_equal(emu_take_faults(NULL), 0);
    selftest_fini(&t);
    (void)cudaStreamDestroy(stream);
    assert_int_equal(emu_runtime_held(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_kernel_is_asked) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
