/* torture_cuda_device.c - a GPU device comes through the failure of any call of the CUDA runtime: a named error,
 * nothing held, no kernel run on what never arrived. */
#include "tests/test.h"

#include "kernels/cuda/device_cuda.h"
#include "kernels/model.h"
#include "tests/gguf_writer.h"
#include "tests/gpu/emu.h"
#include "tests/gpu/emu_runtime.h"

static const struct device_shape SHAPE = { .rows_max = 12, .slots = 2, .pages = 4, .pages_per_slot = 3 };

/* One conversation in which the n-th call of the runtime fails; true if it was reached. */
static bool converse_until(const struct model *model, uint64_t call, bool for_good)
{
    struct device *d = NULL;
    struct row rows[12] = { { .token = 1, .want = true }, { .position = 1, .token = 2, .want = true } };
    const struct sampler_params params = { .top_p_micro = 1000000 };
    struct pick pick = { .wanted = 0, .position = 1, .params = &params };
    for (uint32_t i = 2; i < 12; i++)
        rows[i] = (struct row){ .position = i, .token = i, .want = i % 2 };
    emu_runtime_fail(call, for_good);
    enum err e = device_cuda_open(model, "cuda", 1, &SHAPE, &d, NULL);
    if (e == OK) {
        e = device_reserve(d, 0, 40);
        e = e == OK ? device_forward(d, rows, 1) : e;
        e = e == OK ? device_pick(d, &pick, 1) : e;
        e = e == OK ? device_forward(d, rows + 1, 1) : e;
        e = e == OK ? device_forward(d, rows + 2, 10) : e;
        if (e != OK) {
            assert_int_equal(e, ERR_DEVICE);
            assert_int_equal(device_forward(d, rows, 1), ERR_DEVICE);
            assert_int_equal(device_pick(d, &pick, 1), ERR_DEVICE);
            assert_int_equal(device_self_test(d), ERR_DEVICE);
        }
    }
    bool reached = emu_runtime_calls() >= call;
    device_close(d);
    assert_int_equal(e == OK, !reached);
    assert_true(e == OK || e == ERR_DEVICE || e == ERR_MEMORY);
    emu_runtime_fail(0, false);
    assert_int_equal(emu_runtime_held(), 0);
    assert_int_equal(emu_take_faults(NULL), 0);
    return reached;
}

static void every_failure_is_survived(void **state)
{
    static const struct tiny_llama spec = { .layers = 1, .dim = 32, .heads = 2, .kv_heads = 1, .head_dim = 16,
                                            .ffn_dim = 32,
                                            .vocab = 40, .context = 640, .rope_base = 10000.0f, .rope_factor = 1.0f,
                                            .rms_eps = 1e-5f, .type = TENSOR_F32, .embd_type = TENSOR_F32, .seed = 31 };
    (void)state;
    struct bytes file = tiny_llama_write(&spec);
    struct model model;
    struct gguf g;
    assert_ok(gguf_open(file, false, &g, NULL));
    assert_ok(model_open(&g, &model, NULL));
    gguf_close(&g);
    uint64_t call = 1;
    while (converse_until(&model, call, call % 2))
        call++;
    assert_true(call > 90);
    for (uint64_t at = 1; at < call; at += 3)
        (void)converse_until(&model, at, at % 2 == 0);
    model_close(&model);
    gguf_writer_free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_failure_is_survived) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
