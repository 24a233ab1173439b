/* test_gguf.c - the container: what is read comes back, and every malformed file is refused with a sentence. */
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/gguf.h"
#include "tests/gguf_writer.h"

static const uint64_t row_of_8[] = { 8 };

/* A small file with one of everything; tests break it in one place. */
static void write_sample(struct gguf_writer *w)
{
    gguf_writer_init(w);
    gguf_writer_string(w, "general.architecture", "llama");
    gguf_writer_u32(w, "a.u32", 7);
    gguf_writer_u64(w, "a.u64", 9);
    gguf_writer_i32(w, "a.i32", -3);
    gguf_writer_f32(w, "a.f32", 0.5f);
    gguf_writer_bool(w, "a.bool", true);
    gguf_writer_strings(w, "a.strings", (struct bytes[]){ bytes_text("x"), bytes_text(""), bytes_text("yz") }, 3);
    gguf_writer_i32s(w, "a.i32s", (int32_t[]){ 1, -2, 3 }, 3);
    gguf_writer_tensor(w, "one", TENSOR_F32, 1, row_of_8, "abcdefghijklmnopqrstuvwxyz012345", 32);
    gguf_writer_tensor(w, "two", TENSOR_Q8_0, 2, (uint64_t[]){ 32, 2 }, NULL, 68);
}

/* Opens, expects this code and a sentence that contains `word`. */
static void assert_refused(struct bytes file, enum err code, const char *word)
{
    struct gguf g;
    struct fault why = { "" };
    enum err e = gguf_open(file, false, &g, &why);
    if (e == OK)
        gguf_close(&g);
    if (e != code || !strstr(why.text, word))
        fail_msg("got %s '%s', expected %s with '%s'", err_name(e), why.text, err_name(code), word);
    gguf_writer_free(file);
}

static void what_was_written_is_read(void **state)
{
    (void)state;
    struct gguf_writer w;
    write_sample(&w);
    struct bytes file = gguf_writer_finish(&w);
    struct gguf g;
    struct fault why = { "" };
    assert_ok(gguf_open(file, false, &g, &why));
    uint32_t u = 0;
    float f = 0;
    bool b = false;
    struct bytes s;
    assert_ok(gguf_get_u32(&g, "a.u32", &u));
    assert_int_equal(u, 7);
    assert_ok(gguf_get_u32(&g, "a.u64", &u));   /* integers are lenient in width */
    assert_int_equal(u, 9);
    assert_err(gguf_get_u32(&g, "a.i32", &u), ERR_OVERFLOW);
    assert_err(gguf_get_u32(&g, "a.f32", &u), ERR_TYPE);
    assert_err(gguf_get_u32(&g, "a.none", &u), ERR_NOT_FOUND);
    assert_ok(gguf_get_f32(&g, "a.f32", &f));
    assert_true(f == 0.5f);
    assert_ok(gguf_get_bool(&g, "a.bool", &b));
    assert_true(b);
    assert_ok(gguf_get_string(&g, "general.architecture", &s));
    assert_true(bytes_equal(s, bytes_text("llama")));
    const struct gguf_entry *strings = gguf_find(&g, "a.strings");
    size_t cursor = 0;
    const char *expected[] = { "x", "", "yz" };
    for (size_t i = 0; i < 3; i++) {
        assert_true(gguf_next_string(strings, &cursor, &s));
        assert_true(bytes_equal(s, bytes_text(expected[i])));
    }
    assert_false(gguf_next_string(strings, &cursor, &s));
    const struct gguf_tensor *one = gguf_find_tensor(&g, "one");
    assert_memory_equal(one->tensor.data, "abcdefgh", 8);
    assert_null(gguf_find_tensor(&g, "three"));
    assert_int_equal(g.header.len + g.data.len, file.len);
    assert_ptr_equal(g.data.data, file.data + g.data_start);
    gguf_close(&g);
    gguf_writer_free(file);
}

static void a_header_alone_can_be_read(void **state)
{
    (void)state;
    struct gguf_writer w;
    write_sample(&w);
    struct bytes file = gguf_writer_finish(&w);
    struct gguf whole, g;
    assert_ok(gguf_open(file, false, &whole, NULL));
    struct fault why = { "" };
    struct bytes header = bytes_of(file.data, (size_t)whole.data_start);
    assert_err(gguf_open(header, false, &g, &why), ERR_FORMAT);
    assert_non_null(strstr(why.text, "cut off"));
    assert_ok(gguf_open(header, true, &g, &why));
    assert_true(bytes_equal(g.header, whole.header));
    assert_int_equal(g.data.len, 0);
    assert_int_equal(g.data_bytes, whole.data_bytes);
    assert_null(gguf_find_tensor(&g, "two")->tensor.data);
    assert_int_equal(gguf_find_tensor(&g, "two")->tensor.bytes, 68);
    gguf_close(&g);
    gguf_close(&whole);
    gguf_writer_free(file);
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    struct gguf_writer w;
    write_sample(&w);
    struct bytes file = gguf_writer_finish(&w);
    struct gguf g;
    assert_ok(gguf_open(file, false, &g, NULL));
    const size_t needed = (size_t)(g.data_start + g.data_bytes), header = (size_t)g.data_start;
    gguf_close(&g);
    for (size_t len = 0; len < needed; len++) {
        uint8_t *copy = malloc(len ? len : 1);   /* exact size, so that a sanitizer sees one byte too far */
        memcpy(copy, file.data, len);
        struct fault why = { "" };
        assert_int_not_equal(gguf_open(bytes_of(copy, len), false, &g, &why), OK);
        assert_true(strlen(why.text) > 10);
        if (len < header) {
            why.text[0] = 0;
            assert_int_not_equal(gguf_open(bytes_of(copy, len), true, &g, &why), OK);
            assert_true(strlen(why.text) > 10);
        }
        free(copy);
    }
    gguf_writer_free(file);
}

static struct bytes patched(size_t at, uint64_t value, size_t len)
{
    struct gguf_writer w;
    write_sample(&w);
    struct bytes file = gguf_writer_finish(&w);
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)(uintptr_t)file.data)[at + i] = (uint8_t)(value >> (8 * i));
    return file;
}

static void wrong_preambles_are_refused(void **state)
{
    (void)state;
    assert_refused(patched(0, 0x4c4d4747, 4), ERR_FORMAT, "not a GGUF file");
    assert_refused(patched(4, 1, 4), ERR_VERSION, "version 1");
    assert_refused(patched(4, 4, 4), ERR_VERSION, "version 4");
    assert_refused(patched(4, 0x03000000, 4), ERR_VERSION, "big-endian");
    assert_refused(patched(8, UINT64_MAX, 8), ERR_TOO_LARGE, "tensors");
    assert_refused(patched(16, UINT64_MAX, 8), ERR_TOO_LARGE, "metadata entries");
    assert_refused(patched(8, 60000, 8), ERR_FORMAT, "announces");
    assert_refused(patched(8, 3, 8), ERR_FORMAT, "");       /* reads padding and data as a third tensor */
    assert_refused(patched(16, 9, 8), ERR_FORMAT, "");
    assert_refused(patched(16, 7, 8), ERR_FORMAT, "");
    assert_refused(patched(24, UINT64_MAX, 8), ERR_FORMAT, "metadata key");   /* length of the first key */
    assert_refused(patched(24, 0, 8), ERR_FORMAT, "");
}

static struct bytes with_entry(uint32_t type, const void *value, size_t len)
{
    struct gguf_writer w;
    write_sample(&w);
    gguf_writer_raw(&w, "the.entry", type, bytes_of(value, len));
    return gguf_writer_finish(&w);
}

static void wrong_values_are_refused(void **state)
{
    (void)state;
    assert_refused(with_entry(13, "\0\0\0\0", 4), ERR_FORMAT, "unknown value type 13");
    assert_refused(with_entry(GGUF_BOOL, "\2", 1), ERR_FORMAT, "boolean");
    assert_refused(with_entry(GGUF_ARRAY, "\11\0\0\0\0\0\0\0\0\0\0\0", 12), ERR_UNSUPPORTED, "array of arrays");
    assert_refused(with_entry(GGUF_ARRAY, "\143\0\0\0\0\0\0\0\0\0\0\0", 12), ERR_FORMAT, "unknown value type 99");
    assert_refused(with_entry(GGUF_ARRAY, "\4\0\0\0\377\377\377\377\377\377\377\377", 12), ERR_FORMAT, "'the.entry'");
    assert_refused(with_entry(GGUF_ARRAY, "\10\0\0\0\377\377\377\377\377\377\377\17", 12), ERR_FORMAT, "'the.entry'");
    assert_refused(with_entry(GGUF_ARRAY, "\0\0\0\0\0\0\0\0\0\0\0\1", 12), ERR_FORMAT, "'the.entry'");
    assert_refused(with_entry(GGUF_STRING, "\377\377\377\377\377\377\377\377", 8), ERR_FORMAT, "'the.entry'");
    assert_refused(with_entry(GGUF_STRING, "\0\0\0\0\0\0\0\200", 8), ERR_FORMAT, "'the.entry'");
}

static void repeated_names_are_refused(void **state)
{
    (void)state;
    struct gguf_writer w;
    write_sample(&w);
    gguf_writer_u32(&w, "a.f32", 1);
    assert_refused(gguf_writer_finish(&w), ERR_FORMAT, "metadata key 'a.f32' appears twice");
    write_sample(&w);
    gguf_writer_tensor(&w, "one", TENSOR_F32, 1, row_of_8, NULL, 32);
    assert_refused(gguf_writer_finish(&w), ERR_FORMAT, "tensor 'one' appears twice");
}

static struct bytes with_alignment(uint32_t alignment)
{
    struct gguf_writer w;
    write_sample(&w);
    w.alignment = alignment;
    return gguf_writer_finish(&w);
}

static void alignments_are_checked(void **state)
{
    (void)state;
    const uint32_t wrong[] = { 0, 1, 4, 24, 33, 131072, UINT32_MAX };
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct gguf_writer w;
        write_sample(&w);
        gguf_writer_u32(&w, "general.alignment", wrong[i]);
        assert_refused(gguf_writer_finish(&w), ERR_FORMAT, "general.alignment");
    }
    struct gguf_writer w;
    gguf_writer_init(&w);
    gguf_writer_string(&w, "general.alignment", "32");
    assert_refused(gguf_writer_finish(&w), ERR_FORMAT, "general.alignment");
    const uint32_t right[] = { 8, 16, 64, 4096 };
    for (size_t i = 0; i < ARRAY_COUNT(right); i++) {
        gguf_writer_init(&w);
        w.alignment = right[i];
        gguf_writer_tensor(&w, "t", TENSOR_F32, 1, row_of_8, "12345678901234567890123456789012", 32);
        struct bytes file = gguf_writer_finish(&w);
        struct gguf g;
        assert_ok(gguf_open(file, false, &g, NULL));
        assert_int_equal(g.data_start % right[i], 0);
        assert_memory_equal(gguf_find_tensor(&g, "t")->tensor.data, "1234", 4);
        gguf_close(&g);
        gguf_writer_free(file);
    }
    assert_refused(with_alignment(128), ERR_FORMAT, "no multiple of the alignment");   /* laid out for 32 */
}

static struct bytes with_info(uint32_t type, uint32_t n_dims, const uint64_t *extents, uint64_t offset)
{
    struct gguf_writer w;
    write_sample(&w);
    gguf_writer_info(&w, "wrong", type, n_dims, extents, offset);
    return gguf_writer_finish(&w);
}

static void wrong_tensors_are_refused(void **state)
{
    (void)state;
    const uint64_t huge[] = { (uint64_t)1 << 40, (uint64_t)1 << 40, 1, 1 }, zero[] = { 8, 0 }, odd[] = { 33 },
                   wrap[] = { (uint64_t)1 << 62, 4 }, max[] = { UINT64_MAX }, big[] = { (uint64_t)1 << 61 };
    assert_refused(with_info(TENSOR_F32, 4, huge, 128), ERR_OVERFLOW, "2^63");
    assert_refused(with_info(TENSOR_F32, 2, wrap, 128), ERR_OVERFLOW, "2^63");
    assert_refused(with_info(TENSOR_F32, 1, max, 128), ERR_OVERFLOW, "2^63");
    assert_refused(with_info(TENSOR_F32, 1, big, 128), ERR_OVERFLOW, "2^63");
    assert_refused(with_info(TENSOR_F32, 2, zero, 128), ERR_FORMAT, "extent is 0");
    assert_refused(with_info(TENSOR_Q8_0, 1, odd, 128), ERR_FORMAT, "whole number of blocks of Q8_0");
    assert_refused(with_info(4, 1, row_of_8, 128), ERR_UNSUPPORTED, "unknown type 4");
    assert_refused(with_info(777, 1, row_of_8, 128), ERR_UNSUPPORTED, "unknown type 777");
    assert_refused(with_info(TENSOR_F32, 0, row_of_8, 128), ERR_FORMAT, "0 dimensions");
    assert_refused(with_info(TENSOR_F32, 1, row_of_8, 0), ERR_FORMAT, "overlaps");
    assert_refused(with_info(TENSOR_F32, 1, row_of_8, 64), ERR_FORMAT, "overlaps");    /* inside 'two' */
    assert_refused(with_info(TENSOR_F32, 1, row_of_8, 129), ERR_FORMAT, "alignment");
    assert_refused(with_info(TENSOR_F32, 1, row_of_8, 128), ERR_FORMAT, "cut off");
    assert_refused(with_info(TENSOR_F32, 1, row_of_8, (uint64_t)1 << 40), ERR_FORMAT, "cut off");
    assert_refused(with_info(TENSOR_F32, 1, row_of_8, UINT64_MAX - 31), ERR_OVERFLOW, "2^63");
    struct gguf_writer w;
    write_sample(&w);
    gguf_writer_info(&w, "", TENSOR_F32, 1, row_of_8, 128);
    assert_refused(gguf_writer_finish(&w), ERR_FORMAT, "name has 0 bytes");
    write_sample(&w);
    char name[GGUF_TENSOR_NAME_BYTES_MAX + 2];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = 0;
    gguf_writer_info(&w, name, TENSOR_F32, 1, row_of_8, 128);
    assert_refused(gguf_writer_finish(&w), ERR_FORMAT, "name has 129 bytes");
    write_sample(&w);
    gguf_writer_info(&w, "five", TENSOR_F32, 5, (uint64_t[]){ 1, 1, 1, 1, 1 }, 128);
    assert_refused(gguf_writer_finish(&w), ERR_FORMAT, "5 dimensions");
}

static void tensors_may_come_in_any_order(void **state)
{
    (void)state;
    struct gguf_writer w;
    gguf_writer_init(&w);
    gguf_writer_info(&w, "second", TENSOR_F32, 1, row_of_8, 32);
    gguf_writer_tensor(&w, "first", TENSOR_F32, 1, (uint64_t[]){ 16 }, NULL, 64);
    struct bytes file = gguf_writer_finish(&w);
    struct gguf g;
    struct fault why;
    assert_err(gguf_open(file, false, &g, &why), ERR_FORMAT);   /* first has 64 bytes, second begins at 32 */
    assert_non_null(strstr(why.text, "'second' overlaps tensor 'first'"));
    gguf_writer_free(file);
    gguf_writer_info(&w, "second", TENSOR_F32, 1, row_of_8, 32);
    gguf_writer_tensor(&w, "first", TENSOR_F32, 1, row_of_8, "first...first...first...first...", 32);
    gguf_writer_raw(&w, "k", GGUF_U8, bytes_of("\7", 1));
    w.data.len = 64;   /* within the capacity that the writer reserves */
    memcpy(w.data.data + 32, "second..second..second..second..", 32);
    file = gguf_writer_finish(&w);
    assert_ok(gguf_open(file, false, &g, &why));
    assert_memory_equal(gguf_find_tensor(&g, "first")->tensor.data, "first", 5);
    assert_memory_equal(gguf_find_tensor(&g, "second")->tensor.data, "second", 6);
    gguf_close(&g);
    gguf_writer_free(file);
}

static void non_finite_floats_are_no_numbers(void **state)
{
    (void)state;
    struct gguf_writer w;
    gguf_writer_init(&w);
    gguf_writer_f32(&w, "nan", NAN);
    gguf_writer_f32(&w, "inf", INFINITY);
    gguf_writer_raw(&w, "wide", GGUF_F64, bytes_of("\0\0\0\0\0\0\360\107", 8));   /* 2^128 */
    struct bytes file = gguf_writer_finish(&w);
    struct gguf g;
    float f = 1;
    assert_ok(gguf_open(file, false, &g, NULL));
    assert_err(gguf_get_f32(&g, "nan", &f), ERR_OVERFLOW);
    assert_err(gguf_get_f32(&g, "inf", &f), ERR_OVERFLOW);
    assert_err(gguf_get_f32(&g, "wide", &f), ERR_OVERFLOW);
    assert_true(f == 1);
    gguf_close(&g);
    gguf_writer_free(file);
}

static void names_from_files_are_safe_to_print(void **state)
{
    (void)state;
    struct gguf_writer w;
    gguf_writer_init(&w);
    gguf_writer_raw(&w, "evil\x1b[31m\n", 99, bytes_of("", 0));
    struct bytes file = gguf_writer_finish(&w);
    struct gguf g;
    struct fault why;
    assert_err(gguf_open(file, false, &g, &why), ERR_FORMAT);
    assert_null(strpbrk(why.text, "\x1b\n"));
    assert_non_null(strstr(why.text, "'evil?[31m?'"));
    gguf_writer_free(file);
}

static void sizes_of_types_are_those_of_the_format(void **state)
{
    (void)state;
    struct tensor t;
    const uint64_t shape[TENSOR_DIMS_MAX] = { 512, 3, 1, 1 };
    assert_ok(tensor_init(&t, TENSOR_Q4_K, 2, shape));
    assert_int_equal(t.bytes, 2 * 144 * 3);
    assert_int_equal(tensor_row_bytes(&t), 288);
    assert_int_equal(tensor_rows(&t), 3);
    assert_ok(tensor_init(&t, TENSOR_Q8_0, 2, shape));
    assert_int_equal(t.bytes, 16 * 34 * 3);
    assert_ok(tensor_init(&t, TENSOR_BF16, 1, shape));
    assert_int_equal(t.bytes, 1024);
    assert_string_equal(tensor_type_name(TENSOR_IQ4_XS), "IQ4_XS");
    assert_string_equal(tensor_type_name(36), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(a_header_alone_can_be_read),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(wrong_preambles_are_refused),
        cmocka_unit_test(wrong_values_are_refused),
        cmocka_unit_test(repeated_names_are_refused),
        cmocka_unit_test(alignments_are_checked),
        cmocka_unit_test(wrong_tensors_are_refused),
        cmocka_unit_test(tensors_may_come_in_any_order),
        cmocka_unit_test(non_finite_floats_are_no_numbers),
        cmocka_unit_test(names_from_files_are_safe_to_print),
        cmocka_unit_test(sizes_of_types_are_those_of_the_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
