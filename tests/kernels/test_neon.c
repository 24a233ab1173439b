/* test_neon.c - which NEON tables does this processor get, and are packed weights as small as promised? Its one argument
 * names the table that must come first. Built for AArch64 alone. */
#include "tests/test.h"

#include <string.h>

#include "kernels/backend.h"
#include "kernels/blocks.h"
#include "kernels/packing_neon.h"

static const char *expected;

static void the_best_table_for_this_processor_comes_first(void **state)
{
    (void)state;
    if (strcmp(backend_at(0)->name, expected) != 0)
        fail_msg("%s comes first, expected %s", backend_at(0)->name, expected);
    assert_int_equal(backend_find("neondot") != NULL, strcmp(expected, "neondot") == 0);
    assert_non_null(backend_find("neon"));
    assert_non_null(backend_find("scalar"));
}

static void packed_weights_are_hardly_larger_than_stored_ones(void **state)
{
    (void)state;
    const struct block_format *f;
    for (size_t i = 0; (f = block_format_at(i)); i++) {
        size_t stored = (size_t)256 * (4096 / f->len) * f->bytes;
        size_t packed = neon_packed_bytes(f->type, 256, 4096);
        if (packed < stored || packed * 100 > stored * 105)
            fail_msg("%s: %zu bytes packed, %zu stored", tensor_type_name((uint32_t)f->type), packed, stored);
    }
    assert_int_equal(neon_packed_bytes(TENSOR_F32, 256, 4096), 0);
    assert_int_equal(neon_packed_bytes(TENSOR_Q4_0, 9, 32), 2 * NEON_GROUP * 18);     /* whole groups */
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_table_for_this_processor_comes_first),
        cmocka_unit_test(packed_weights_are_hardly_larger_than_stored_ones),
    };
    expected = argc > 1 ? argv[1] : "neondot";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
