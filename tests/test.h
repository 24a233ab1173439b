/* test.h - what every cmocka file includes, in the order cmocka needs. */
#ifndef TALLYMESH_TESTS_TEST_H
#define TALLYMESH_TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/base.h"

/* Fails with both names: "ERR_STALE, expected OK". */
#define assert_err(actual, expected)                                                                                   \
    do {                                                                                                               \
        enum err assert_err_actual = (actual), assert_err_expected = (expected);                                       \
        if (assert_err_actual != assert_err_expected)                                                                  \
            fail_msg("%s: got %s, expected %s", #actual, err_name(assert_err_actual), err_name(assert_err_expected));  \
    } while (0)
#define assert_ok(actual) assert_err(actual, OK)

#endif
