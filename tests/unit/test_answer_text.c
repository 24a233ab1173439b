/* test_answer_text.c - stop strings across tokens, whole characters, nothing shown twice or too early. */
#include "tests/test.h"

#include <string.h>

#include "node/answer_text.h"
#include "tests/gguf_writer.h"

static struct tokenizer *tokenizer;

static int open_tokenizer(void **state)
{
    struct tiny_llama spec = TINY_LLAMA_DEFAULT;
    struct bytes file = tiny_llama_write(&spec);
    struct gguf g;
    struct fault why;
    (void)state;
    assert_ok(gguf_open(file, false, &g, &why));
    assert_ok(tokenizer_open(&g, &tokenizer, &why));
    gguf_close(&g);
    gguf_writer_free(file);
    return 0;
}

static int close_tokenizer(void **state)
{
    (void)state;
    tokenizer_close(tokenizer);
    return 0;
}

/* The tiny vocabulary's ids 0..255 are the bytes themselves, so a test may speak byte by byte. Returns what was shown. */
static void speak(const char *text, const char *const *stops, size_t stop_count, char out[256], bool *stopped)
{
    struct answer_text a;
    size_t n = 0;
    answer_text_init(&a, tokenizer);
    for (size_t i = 0; i < stop_count; i++)
        strcpy(a.stops[i], stops[i]);
    a.stop_count = (uint32_t)stop_count;
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        assert_ok(answer_text_push(&a, *p));
        struct bytes b = answer_text_take(&a);
        for (size_t i = 0; i < b.len; i++)             /* shown pieces are whole characters */
            assert_true(i > 0 || (b.data[0] & 0xc0) != 0x80);
        memcpy(out + n, b.data, b.len);
        n += b.len;
    }
    *stopped = a.stopped;
    assert_ok(answer_text_end(&a));
    struct bytes b = answer_text_take(&a);
    memcpy(out + n, b.data, b.len);
    out[n + b.len] = 0;
    answer_text_fini(&a);
}

static void stops_end_the_text_before_themselves(void **state)
{
    static const struct { const char *text, *stops[2]; size_t count; const char *shown; bool stopped; } table[] = {
        { "hello world", { NULL }, 0, "hello world", false },
        { "hello world", { "o w" }, 1, "hell", true },
        { "hello world", { "xyz" }, 1, "hello world", false },
        { "aaab", { "aab" }, 1, "a", true },               /* the held-back end overlaps itself */
        { "ababab!", { "abab!" }, 1, "ab", true },
        { "one two", { "two", "one" }, 2, "", true },       /* the earlier one in the text wins */
        { "ends in sto", { "stop" }, 1, "ends in sto", false },
        { "caf\xc3\xa9 stop", { " stop" }, 1, "caf\xc3\xa9", true },
        { "\xe2\x82", { NULL }, 0, "\xef\xbf\xbd", false },   /* an unfinished character */
        { "stop", { "stop" }, 1, "", true },
    };
    char out[256];
    bool stopped;
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        speak(table[i].text, table[i].stops, table[i].count, out, &stopped);
        assert_string_equal(out, table[i].shown);
        assert_int_equal(stopped, table[i].stopped);
    }
}

static void control_tokens_show_nothing(void **state)
{
    struct answer_text a;
    (void)state;
    answer_text_init(&a, tokenizer);
    assert_ok(answer_text_push(&a, 'h'));
    assert_ok(answer_text_push(&a, TINY_TOKEN_IM_END));
    struct bytes b = answer_text_take(&a);
    assert_true(bytes_equal(b, bytes_text("h")));
    answer_text_fini(&a);
}

static void an_answer_has_an_end(void **state)
{
    struct answer_text a;
    enum err e = OK;
    size_t pushed = 0;
    (void)state;
    answer_text_init(&a, tokenizer);
    for (; e == OK && pushed <= ANSWER_BYTES_MAX; pushed++)
        e = answer_text_push(&a, 'x');
    assert_err(e, ERR_TOO_LARGE);
    assert_true(a.len <= ANSWER_BYTES_MAX);
    answer_text_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(an_answer_has_an_end), cmocka_unit_test(stops_end_the_text_before_themselves), cmocka_unit_test(control_tokens_show_nothing) };
    return cmocka_run_group_tests(tests, open_tokenizer, close_tokenizer);
}
