/* cmocka.h - the few words of cmocka that the tests of kernels/ use, for a target for which the library is not
 * installed.
 *
 * Found before the real one when tests are built for an emulated processor (tests/kernels_arm.cmake) or for a machine
 * with a GPU and little else (tests/gpu/CMakeLists.txt). A failure says where and ends its test; the others still run.
 */
#ifndef TALLYMESH_TESTS_EMULATED_CMOCKA_H
#define TALLYMESH_TESTS_EMULATED_CMOCKA_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};
#define cmocka_unit_test(f) { #f, f }

static jmp_buf cmocka_next __attribute__((unused));

#define fail_msg(...)                                                                                                  \
    do {                                                                                                               \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                                                \
        fprintf(stderr, __VA_ARGS__);                                                                                  \
        fprintf(stderr, "\n");                                                                                         \
        longjmp(cmocka_next, 1);                                                                                       \
    } while (0)
#define skip() return                   /* only ever the last word of a test's own function */
#define print_message(...) fprintf(stderr, __VA_ARGS__)
#define assert_true(x)                                                                                                 \
    do {                                                                                                               \
        if (!(x))                                                                                                      \
            fail_msg("%s", #x);                                                                                        \
    } while (0)
#define assert_false(x) assert_true(!(x))
#define assert_null(x) assert_true((x) == NULL)
#define assert_non_null(x) assert_true((x) != NULL)
#define assert_ptr_equal(a, b) assert_true((a) == (b))
#define assert_ptr_not_equal(a, b) assert_true((a) != (b))
#define assert_string_equal(a, b) assert_true(strcmp(a, b) == 0)
#define assert_int_equal(a, b)                                                                                         \
    do {                                                                                                               \
        long long assert_int_a = (long long)(a), assert_int_b = (long long)(b);                                        \
        if (assert_int_a != assert_int_b)                                                                              \
            fail_msg("%s is %lld, %s is %lld", #a, assert_int_a, #b, assert_int_b);                                    \
    } while (0)
#define assert_memory_equal(a, b, bytes) cmocka_same(a, b, bytes, #a, __FILE__, __LINE__)

static inline void cmocka_same(const void *a, const void *b, size_t bytes, const char *what, const char *file, int line)
{
    for (size_t i = 0; i < bytes; i++)
        if (((const uint8_t *)a)[i] != ((const uint8_t *)b)[i]) {
            fprintf(stderr, "%s:%d: %s differs from byte %zu of %zu on\n", file, line, what, i, bytes);
            longjmp(cmocka_next, 1);
        }
}

#define cmocka_run_group_tests(tests, setup, teardown) cmocka_run(tests, sizeof(tests) / sizeof((tests)[0]))

static inline int cmocka_run(const struct CMUnitTest *tests, size_t count)
{
    volatile int failed = 0;
    for (volatile size_t i = 0; i < count; i++) {
        void *state = NULL;
        if (setjmp(cmocka_next) == 0) {
            tests[i].run(&state);
            fprintf(stderr, "%s: fine\n", tests[i].name);
        } else {
            failed++;
            fprintf(stderr, "%s: FAILED\n", tests[i].name);
        }
    }
    return failed;
}

#endif
