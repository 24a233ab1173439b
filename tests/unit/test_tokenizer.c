/* test_tokenizer.c - tokens as independent implementations make them, and nothing a user writes becomes control. */
#define _POSIX_C_SOURCE 200809L   /* clock_gettime */
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/modelfile_posix.h"
#include "kernels/pairs.h"
#include "kernels/salt.h"
#include "kernels/tokenizer.h"
#include "kernels/utf8.h"
#include "tests/gguf_writer.h"

enum { IDS_MAX = 4096, LINE_MAX_BYTES = 16384 };

static struct tokenizer *open_file(struct bytes file)
{
    struct gguf g;
    struct fault why = { "" };
    struct tokenizer *t = NULL;
    if (gguf_open(file, false, &g, &why) != OK || tokenizer_open(&g, &t, &why) != OK)
        fail_msg("%s", why.text);
    gguf_close(&g);   /* a tokenizer borrows nothing */
    return t;
}

/* A vocabulary from tests/vectors, with another pre type unless that is NULL. */
static struct tokenizer *open_vector(const char *path, const char *pre)
{
    struct modelfile f;
    struct gguf g;
    struct gguf_writer w;
    struct fault why = { "" };
    if (modelfile_open(path, &f, &why) != OK || gguf_open(f.bytes, false, &g, &why) != OK)
        fail_msg("%s", why.text);
    gguf_writer_init(&w);
    for (size_t i = 0; i < g.n_entries; i++) {
        const struct gguf_entry *e = &g.entries[i];
        char key[GGUF_KEY_BYTES_MAX + 1];
        snprintf(key, sizeof key, "%.*s", (int)e->key.len, (const char *)e->key.data);
        if (strcmp(key, "tokenizer.ggml.pre") == 0 && pre)
            gguf_writer_string(&w, key, pre);
        else   /* the value with what stands before it in the file: element type and count, or a string's length */
            gguf_writer_raw(&w, key, e->type, e->type == GGUF_ARRAY ? bytes_of(e->value.data - 12, e->value.len + 12)
                                              : e->type == GGUF_STRING ? bytes_of(e->value.data - 8, e->value.len + 8)
                                                                       : e->value);
    }
    gguf_close(&g);
    struct bytes copy = gguf_writer_finish(&w);
    struct tokenizer *t = open_file(copy);
    gguf_writer_free(copy);
    modelfile_close(&f);
    return t;
}

static size_t encode(const struct tokenizer *t, struct bytes text, bool is_template, uint32_t *ids)
{
    struct token_list list = { .ids = ids, .cap = IDS_MAX };
    assert_ok(tokenizer_encode(t, &(struct text_segment){ .text = text, .is_template = is_template }, 1, &list));
    return list.count;
}

static void assert_round_trip(const struct tokenizer *t, struct bytes text)
{
    uint32_t ids[IDS_MAX];
    uint8_t out[LINE_MAX_BYTES];
    size_t n = encode(t, text, false, ids);
    size_t len = tokenizer_decode(t, ids, n, out, sizeof out);
    assert_int_equal(len, text.len);
    assert_memory_equal(out, text.len ? text.data : out, len);
}

/* "name hex id id id" -> name, text, ids. */
static size_t parse_case(char *line, char **name, uint8_t *text, size_t *text_len, uint32_t *ids)
{
    size_t n = 0;
    *name = strtok(line, " \n");
    const char *hex = strtok(NULL, " \n");
    *text_len = 0;
    for (; hex && hex[0] != '-' && hex[2 * *text_len]; (*text_len)++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * *text_len, "%2x", &byte), 1);
        text[*text_len] = (uint8_t)byte;
    }
    for (char *id; (id = strtok(NULL, " \n")) != NULL; n++)
        ids[n] = (uint32_t)strtoul(id, NULL, 10);
    return n;
}

static void run_cases(const char *path, const char *vocab, int expected_cases)
{
    static char line[LINE_MAX_BYTES];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    struct tokenizer *t = NULL;
    char opened[32] = "";
    int cases = 0;
    while (fgets(line, sizeof line, f)) {
        char *name, shown[80];
        uint8_t text[2048];
        size_t len;
        uint32_t expected[IDS_MAX], ids[IDS_MAX];
        memcpy(shown, line, sizeof shown - 1);
        shown[sizeof shown - 1] = 0;
        size_t n_expected = parse_case(line, &name, text, &len, expected);
        if (strcmp(opened, name) != 0) {
            tokenizer_close(t);
            t = open_vector(vocab, name);
            snprintf(opened, sizeof opened, "%s", name);
        }
        size_t n = encode(t, bytes_of(text, len), false, ids);
        if (n != n_expected || memcmp(ids, expected, n * sizeof *ids) != 0)
            fail_msg("%s: other tokens than the oracle's (%zu, expected %zu)", shown, n, n_expected);
        assert_round_trip(t, bytes_of(text, len));
        cases++;
    }
    tokenizer_close(t);
    fclose(f);
    assert_int_equal(cases, expected_cases);
}

static void byte_level_tokens_are_the_oracles(void **state)
{
    (void)state;
    run_cases("tests/vectors/tokenizer/bpe.txt", "tests/vectors/tokenizer/bpe.gguf", 570);
}

static void sentencepiece_tokens_are_the_oracles(void **state)
{
    (void)state;
    run_cases("tests/vectors/tokenizer/spm.txt", "tests/vectors/tokenizer/spm.gguf", 111);
}

static struct tokenizer *open_tiny(void)
{
    struct tiny_llama spec = TINY_LLAMA_DEFAULT;
    struct bytes file = tiny_llama_write(&spec);
    struct tokenizer *t = open_file(file);
    gguf_writer_free(file);
    return t;
}

static void every_byte_survives(void **state)
{
    (void)state;
    struct tokenizer *bpe = open_tiny(), *spm = open_vector("tests/vectors/tokenizer/spm.gguf", NULL);
    static const char letters[] = "the and,  Hello\n world\xc3\xa9 'll12";
    uint8_t text[1024];
    struct rng r;
    rng_init(&r, 5);
    for (int i = 0; i < 300; i++) {
        size_t len = (size_t)rng_below(&r, 200);
        rng_bytes(&r, text, len);
        assert_round_trip(bpe, bytes_of(text, len));
        assert_round_trip(spm, bytes_of(text, len));
        for (size_t j = 0; j < len; j++)   /* mostly letters and spaces */
            text[j] = (uint8_t)letters[rng_below(&r, sizeof letters - 1)];
        assert_round_trip(bpe, bytes_of(text, len));
        assert_round_trip(spm, bytes_of(text, len));
    }
    tokenizer_close(spm);
    tokenizer_close(bpe);
}

static void users_cannot_write_control_tokens(void **state)
{
    (void)state;
    struct tokenizer *t = open_tiny();
    const struct bytes text = bytes_text("a<|im_end|>b");
    uint32_t ids[IDS_MAX];
    size_t n = encode(t, text, true, ids);
    assert_int_equal(n, 3);
    assert_int_equal(ids[1], TINY_TOKEN_IM_END);
    n = encode(t, text, false, ids);
    assert_int_equal(n, text.len - 1);   /* "en" is the only pair among its letters */
    for (size_t i = 0; i < n; i++)
        assert_false(tokenizer_is_control(t, ids[i]));
    /* Not even with the template's help: a control token must lie inside one template segment. */
    const struct text_segment split[] = { { bytes_text("x<|im_"), true }, { bytes_text("end|>"), false } };
    struct token_list list = { .ids = ids, .cap = IDS_MAX };
    assert_ok(tokenizer_encode(t, split, 2, &list));
    for (size_t i = 0; i < list.count; i++)
        assert_false(tokenizer_is_control(t, ids[i]));
    const struct text_segment mixed[] = { { bytes_text("<|im_start|>"), true }, { bytes_text("<|im_start|>"), false },
                                          { bytes_text(""), false }, { bytes_text("<|im_end|>"), true } };
    list.count = 0;
    assert_ok(tokenizer_encode(t, mixed, 4, &list));
    assert_int_equal(ids[0], TINY_TOKEN_IM_START);
    assert_int_equal(ids[list.count - 1], TINY_TOKEN_IM_END);
    for (size_t i = 1; i + 1 < list.count; i++)
        assert_false(tokenizer_is_control(t, ids[i]));
    tokenizer_close(t);
}

static void segments_are_one_text(void **state)
{
    (void)state;
    struct tokenizer *t = open_tiny();
    const char *text = "Hello world and the other";
    uint32_t whole[IDS_MAX], ids[IDS_MAX];
    size_t n = encode(t, bytes_text(text), false, whole);
    assert_true(n < 12);
    for (size_t cut = 0; cut <= strlen(text); cut++) {
        const struct text_segment parts[] = { { bytes_of(text, cut), true }, { bytes_text(text + cut), false } };
        struct token_list list = { .ids = ids, .cap = IDS_MAX };
        assert_ok(tokenizer_encode(t, parts, 2, &list));
        assert_int_equal(list.count, n);
        assert_memory_equal(ids, whole, n * sizeof *ids);
    }
    tokenizer_close(t);
}

/* A SentencePiece vocabulary of these pieces (after <unk>, <s>, </s>), the earlier the better. */
static struct tokenizer *open_pieces(const char *const *pieces, size_t n)
{
    struct gguf_writer w;
    struct bytes tokens[32] = { bytes_text("<unk>"), bytes_text("<s>"), bytes_text("</s>") };
    int32_t types[32] = { 2, 3, 3 };
    float scores[32] = { 0 };
    for (size_t i = 0; i < n; i++) {
        tokens[3 + i] = bytes_text(pieces[i]);
        types[3 + i] = 1;
        scores[3 + i] = -(float)i;
    }
    gguf_writer_init(&w);
    gguf_writer_string(&w, "tokenizer.ggml.model", "llama");
    gguf_writer_strings(&w, "tokenizer.ggml.tokens", tokens, n + 3);
    gguf_writer_f32s(&w, "tokenizer.ggml.scores", scores, n + 3);
    gguf_writer_i32s(&w, "tokenizer.ggml.token_type", types, n + 3);
    struct bytes file = gguf_writer_finish(&w);
    struct tokenizer *t = open_file(file);
    gguf_writer_free(file);
    return t;
}

static void pieces_may_span_spaces(void **state)
{
    (void)state;
    /* U+2581 is the space of these vocabularies. With "a b" as a piece the text must not be cut at spaces. */
    static const char *const spanning[] = { "a\342\226\201", "a\342\226\201b", "a", "b", "\342\226\201" };
    static const char *const plain[] = { "\342\226\201b", "a", "b", "\342\226\201", "a" };
    uint32_t ids[IDS_MAX];
    struct tokenizer *t = open_pieces(spanning, 5);
    assert_int_equal(encode(t, bytes_text("a b"), false, ids), 2);
    assert_int_equal(ids[0], 7);
    assert_int_equal(ids[1], 4);
    tokenizer_close(t);
    t = open_pieces(plain, 5);
    assert_int_equal(encode(t, bytes_text("a bx"), false, ids), 4);
    const uint32_t expected[] = { 6, 7, 3, 0 };   /* of the two "a" the last; "x" is unknown */
    assert_memory_equal(ids, expected, sizeof expected);
    assert_true(bytes_equal(tokenizer_token_bytes(t, 0), bytes_text("\357\277\275")));
    tokenizer_close(t);
}

/* What has no token becomes the unknown token; some files name the end of the text for that. */
static void the_unknown_token_is_no_control_token(void **state)
{
    (void)state;
    static const char *const models[] = { "llama", "gpt2" };
    const struct bytes tokens[] = { bytes_text("<unk>"), bytes_text("<|end|>"), bytes_text("a") };
    const int32_t types[] = { 3, 1, 1 };
    const float scores[3] = { 0 };
    for (size_t i = 0; i < ARRAY_COUNT(models); i++)
        for (uint32_t unknown = 0; unknown < 2; unknown++) {
            struct gguf_writer w;
            uint32_t ids[IDS_MAX];
            gguf_writer_init(&w);
            gguf_writer_string(&w, "tokenizer.ggml.model", models[i]);
            gguf_writer_string(&w, "tokenizer.ggml.pre", "gpt-2");
            gguf_writer_bool(&w, "tokenizer.ggml.add_space_prefix", false);
            gguf_writer_strings(&w, "tokenizer.ggml.tokens", tokens, 3);
            gguf_writer_i32s(&w, "tokenizer.ggml.token_type", types, 3);
            gguf_writer_f32s(&w, "tokenizer.ggml.scores", scores, 3);
            gguf_writer_strings(&w, "tokenizer.ggml.merges", NULL, 0);
            gguf_writer_u32(&w, "tokenizer.ggml.unknown_token_id", unknown);
            struct bytes file = gguf_writer_finish(&w);
            struct tokenizer *t = open_file(file);
            size_t n = encode(t, bytes_text("zaz"), false, ids);
            assert_int_equal(n, unknown == 0 ? 3 : 1);
            for (size_t k = 0; k < n; k++)
                assert_false(tokenizer_is_control(t, ids[k]));
            tokenizer_close(t);
            gguf_writer_free(file);
        }
}

static void a_full_list_is_left_alone(void **state)
{
    (void)state;
    struct tokenizer *t = open_tiny();
    uint32_t ids[6] = { 7, 8, 9, 9, 9, 9 };
    struct token_list list = { .ids = ids, .cap = 5, .count = 2 };
    assert_err(tokenizer_encode(t, &(struct text_segment){ bytes_text("xqzv"), false }, 1, &list), ERR_FULL);
    assert_int_equal(list.count, 2);
    assert_int_equal(ids[5], 9);
    assert_ok(tokenizer_encode(t, &(struct text_segment){ bytes_text("xqz"), false }, 1, &list));
    assert_int_equal(list.count, 5);
    assert_int_equal(ids[0], 7);
    assert_ok(tokenizer_encode(t, NULL, 0, &list));
    assert_int_equal(list.count, 5);
    tokenizer_close(t);
}

static void ends_and_names_are_known(void **state)
{
    (void)state;
    struct tokenizer *t = open_tiny();
    size_t n;
    const uint32_t *ends = tokenizer_ends(t, &n);
    assert_int_equal(n, 2);
    assert_int_equal(ends[0], TINY_TOKEN_ENDOFTEXT);
    assert_int_equal(ends[1], TINY_TOKEN_IM_END);
    assert_true(tokenizer_is_end(t, TINY_TOKEN_IM_END));
    assert_false(tokenizer_is_end(t, TINY_TOKEN_IM_START));
    assert_true(bytes_equal(tokenizer_token_text(t, TINY_TOKEN_IM_END), bytes_text("<|im_end|>")));
    assert_int_equal(tokenizer_token_bytes(t, TINY_TOKEN_IM_END).len, 0);
    assert_int_equal(tokenizer_token_bytes(t, 383).len, 0);        /* an unused filler */
    assert_int_equal(tokenizer_token_bytes(t, 384).len, 0);        /* outside */
    assert_int_equal(tokenizer_token_bytes(t, UINT32_MAX).len, 0);
    assert_int_equal(tokenizer_vocab(t), 384);
    uint32_t id;
    assert_false(tokenizer_bos(t, &id));
    assert_false(tokenizer_adds_bos(t));
    assert_true(tokenizer_eos(t, &id));
    assert_int_equal(id, TINY_TOKEN_IM_END);
    assert_true(tokenizer_find_control(t, bytes_text("<|im_start|>"), &id));
    assert_int_equal(id, TINY_TOKEN_IM_START);
    assert_false(tokenizer_find_control(t, bytes_text("<|im_star"), &id));
    assert_false(tokenizer_find_control(t, bytes_text("the"), &id));
    tokenizer_close(t);
    t = open_vector("tests/vectors/tokenizer/spm.gguf", NULL);
    assert_true(tokenizer_adds_bos(t));
    assert_true(tokenizer_adds_space(t));
    assert_true(tokenizer_bos(t, &id) && tokenizer_is_control(t, id));
    assert_true(bytes_equal(tokenizer_token_text(t, id), bytes_text("<s>")));
    tokenizer_close(t);
}

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* The time for `unit` repeated to `len` bytes. */
static double time_of(const struct tokenizer *t, const char *what, const char *unit, size_t len)
{
    uint8_t *text = malloc(len);
    uint32_t *ids = malloc((len + 8) * sizeof *ids);
    assert_true(text && ids);
    for (size_t i = 0; i < len; i++)
        text[i] = (uint8_t)unit[i % strlen(unit)];
    struct token_list list = { .ids = ids, .cap = len + 8 };
    double start = cpu_seconds();
    assert_ok(tokenizer_encode(t, &(struct text_segment){ bytes_of(text, len), true }, 1, &list));
    double took = cpu_seconds() - start;
    if (getenv("TEST_TIMES"))
        printf("%-24s %8zu bytes %8zu tokens %.3f s\n", what, len, list.count, took);
    free(ids);
    free(text);
    return took;
}

/* Eight times the text may take eight times as long and some; quadratic code takes 64 times. */
static void assert_linear(const struct tokenizer *t, const char *what, const char *unit, size_t len)
{
    double small = time_of(t, what, unit, len / 8), large = time_of(t, what, unit, len);
    if (large > 32 * small + 0.2)
        fail_msg("%s: %zu bytes take %.3f s, %zu bytes %.3f s", what, len / 8, small, len, large);
}

static void no_text_is_quadratic(void **state)
{
    (void)state;
    const size_t len = getenv("TEST_TIMES") ? 1 << 20 : 1 << 16;
    static const struct {
        const char *what, *unit;
    } hostile[] = {
        { "one word", "the" },           { "one letter", "a" },       { "spaces", " " },
        { "newlines", "\n" },            { "spaces and letters", "                                    x" },
        { "almost control", "<|im_end|" }, { "control", "<|im_end|>" }, { "open brackets", "<" },
        { "digits", "1234567890" },      { "punctuation", "?!=+~" },  { "no UTF-8", "\xff\xc3" },
        { "apostrophes", "'" },          { "prose", "The fox said hello to the hen, and they'll walk home. " },
    };
    static const char *const pres[] = { "qwen2", "llama-bpe", "gpt-2", "smollm", "default" };
    for (size_t p = 0; p <= ARRAY_COUNT(pres); p++) {
        struct tokenizer *t = p < ARRAY_COUNT(pres) ? open_vector("tests/vectors/tokenizer/bpe.gguf", pres[p])
                                                    : open_vector("tests/vectors/tokenizer/spm.gguf", NULL);
        for (size_t i = 0; i < ARRAY_COUNT(hostile); i++)
            assert_linear(t, hostile[i].what, hostile[i].unit, len);
        tokenizer_close(t);
    }
}

enum { COLLIDING = 2 * SALT_PROBE_MAX, KEYS = 1024, SLOTS = 2 * KEYS };

/* Keys that would all fall into one place if the hash were not salted. */
static void nobody_chooses_collisions(void **state)
{
    (void)state;
    struct pairs p;
    assert_ok(pairs_init(&p, KEYS));
    uint32_t found = 0;
    for (uint32_t key = 0; found < COLLIDING; key++)
        if (salt_hash_pair(0, 7, key) % SLOTS == 0) {
            assert_ok(pairs_put(&p, 7, key, found, 0));
            assert_int_equal(pairs_find(&p, 7, key)->x, found++);
        }
    pairs_fini(&p);

    static uint32_t texts[KEYS];
    static struct bytes tokens[KEYS];
    struct gguf_writer w;
    found = 0;
    for (uint32_t key = 0; found < KEYS; key++) {
        texts[found] = key;
        tokens[found] = bytes_of((const uint8_t *)&texts[found], sizeof key);
        found += found >= COLLIDING || salt_hash(0, tokens[found]) % SLOTS == 0;
    }
    gguf_writer_init(&w);
    gguf_writer_string(&w, "tokenizer.ggml.model", "gpt2");
    gguf_writer_strings(&w, "tokenizer.ggml.tokens", tokens, KEYS);
    gguf_writer_strings(&w, "tokenizer.ggml.merges", NULL, 0);
    struct bytes file = gguf_writer_finish(&w);
    tokenizer_close(open_file(file));
    gguf_writer_free(file);
}

static void too_much_text_is_refused(void **state)
{
    (void)state;
    struct tokenizer *t = open_tiny();
    const struct bytes huge = bytes_of("x", TOKENIZER_TEXT_BYTES_MAX);   /* never read: the sum is checked first */
    const struct text_segment two[] = { { huge, false }, { bytes_text("y"), false } };
    struct token_list list = { .ids = NULL, .cap = 0 };
    assert_err(tokenizer_encode(t, two, 2, &list), ERR_TOO_LARGE);
    tokenizer_close(t);
}

static void assert_refused(struct gguf_writer *w, enum err code, const char *word)
{
    struct bytes file = gguf_writer_finish(w);
    struct gguf g;
    struct tokenizer *t = NULL;
    struct fault why = { "" };
    assert_ok(gguf_open(file, false, &g, &why));
    enum err e = tokenizer_open(&g, &t, &why);
    if (e == OK)
        tokenizer_close(t);
    if (e != code || !strstr(why.text, word))
        fail_msg("got %s '%s', expected %s with '%s'", err_name(e), why.text, err_name(code), word);
    gguf_close(&g);
    gguf_writer_free(file);
}

static void begin(struct gguf_writer *w, const char *model, const char *pre)
{
    static const char *const texts[] = { "a", "b", "ab", "<end>" };
    struct bytes tokens[ARRAY_COUNT(texts)];
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        tokens[i] = bytes_text(texts[i]);
    gguf_writer_init(w);
    if (model)
        gguf_writer_string(w, "tokenizer.ggml.model", model);
    if (pre)
        gguf_writer_string(w, "tokenizer.ggml.pre", pre);
    gguf_writer_strings(w, "tokenizer.ggml.tokens", tokens, ARRAY_COUNT(tokens));
}

static void broken_tokenizers_are_refused(void **state)
{
    (void)state;
    struct gguf_writer w;
    begin(&w, NULL, NULL);
    assert_refused(&w, ERR_FORMAT, "tokenizer.ggml.model");
    begin(&w, "t5", NULL);
    assert_refused(&w, ERR_UNSUPPORTED, "'t5'");
    begin(&w, "gpt2", "tekken");
    gguf_writer_strings(&w, "tokenizer.ggml.merges", NULL, 0);
    assert_refused(&w, ERR_UNSUPPORTED, "'tekken'");
    begin(&w, "gpt2", "qwen2");
    assert_refused(&w, ERR_FORMAT, "merges");
    begin(&w, "gpt2", "qwen2");
    gguf_writer_strings(&w, "tokenizer.ggml.merges", (struct bytes[]){ bytes_text("ab") }, 1);
    assert_refused(&w, ERR_FORMAT, "merge 0");
    begin(&w, "gpt2", "qwen2");
    gguf_writer_strings(&w, "tokenizer.ggml.merges", (struct bytes[]){ bytes_text("a b") }, 1);
    gguf_writer_u32(&w, "tokenizer.ggml.eos_token_id", 4);
    assert_refused(&w, ERR_FORMAT, "eos_token_id");
    begin(&w, "gpt2", "qwen2");
    gguf_writer_i32s(&w, "tokenizer.ggml.token_type", (int32_t[]){ 1, 1, 1 }, 3);
    assert_refused(&w, ERR_FORMAT, "3 token types");
    begin(&w, "gpt2", "qwen2");
    gguf_writer_i32s(&w, "tokenizer.ggml.token_type", (int32_t[]){ 1, 1, 7, 1 }, 4);
    assert_refused(&w, ERR_FORMAT, "type of token 2");
    begin(&w, "llama", NULL);
    assert_refused(&w, ERR_FORMAT, "scores");
    begin(&w, "llama", NULL);
    uint32_t nan_bits = 0x7fc00000u;
    float nan_score;
    memcpy(&nan_score, &nan_bits, 4);
    gguf_writer_f32s(&w, "tokenizer.ggml.scores", (float[]){ 0, 0, nan_score, 0 }, 4);
    assert_refused(&w, ERR_FORMAT, "score of token 2");
}

/* A table for them is forty times as large as they are. */
static void too_many_special_tokens_are_refused(void **state)
{
    (void)state;
    enum { MANY = 5000 };
    static char texts[MANY][TOKENIZER_SPECIAL_BYTES_MAX];
    static struct bytes tokens[MANY];
    static int32_t types[MANY];
    static float scores[MANY];
    struct gguf_writer w;
    for (size_t i = 0; i < MANY; i++) {
        memset(texts[i], 'x', sizeof texts[i]);
        memcpy(texts[i], &i, sizeof i);
        tokens[i] = bytes_of((const uint8_t *)texts[i], sizeof texts[i]);
        types[i] = 4;
    }
    gguf_writer_init(&w);
    gguf_writer_string(&w, "tokenizer.ggml.model", "llama");
    gguf_writer_strings(&w, "tokenizer.ggml.tokens", tokens, MANY);
    gguf_writer_i32s(&w, "tokenizer.ggml.token_type", types, MANY);
    gguf_writer_f32s(&w, "tokenizer.ggml.scores", scores, MANY);
    assert_refused(&w, ERR_TOO_LARGE, "640000 bytes together");
}

static void assert_stream(const char *in, size_t len, const char *expected)
{
    /* However the bytes are cut into tokens, the characters are the same. */
    for (size_t step = 1; step <= len + 1; step++) {
        struct utf8_stream s;
        uint8_t out[512];
        size_t n = 0;
        utf8_stream_init(&s);
        for (size_t at = 0; at < len; at += step) {
            size_t part = len - at < step ? len - at : step;
            n += utf8_stream_push(&s, bytes_of(in + at, part), out + n, sizeof out - n);
            assert_true(utf8_is_valid(bytes_of(out, n)));
        }
        n += utf8_stream_end(&s, out + n, sizeof out - n);
        assert_int_equal(n, strlen(expected));
        assert_memory_equal(out, expected, n);
    }
}

static void streams_hold_back_incomplete_characters(void **state)
{
    (void)state;
    assert_stream("abc", 3, "abc");
    assert_stream("\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80", 9, "\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80");
    assert_stream("a\xf0\x9f\x98", 4, "a\xef\xbf\xbd");                     /* cut off at the end */
    assert_stream("\xf0\x9f\x98z", 4, "\xef\xbf\xbdz");                     /* one beginning, one replacement */
    assert_stream("\xff\x80", 2, "\xef\xbf\xbd\xef\xbf\xbd");
    assert_stream("\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");  /* a surrogate */
    assert_stream("\xc0\xaf", 2, "\xef\xbf\xbd\xef\xbf\xbd");               /* overlong */
    assert_stream("\xf4\x90\x80\x80", 4, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    assert_stream("\xe4\xb8\xc3\xa9", 4, "\xef\xbf\xbd\xc3\xa9");
    assert_stream("\xe4\xc3\xe4\xb8\xad", 5, "\xef\xbf\xbd\xef\xbf\xbd\xe4\xb8\xad");
}

/* The demo model that the repository carries. */
static void the_demo_model_speaks_chatml(void **state)
{
    (void)state;
    const char *path = "testnet/model/tally-tales-q8_0.gguf";
    struct modelfile f;
    assert_ok(modelfile_open(path, &f, NULL));
    struct tokenizer *t = open_file(f.bytes);
    assert_round_trip(t, bytes_text("Tell me a story about a fox and a lantern."));
    assert_round_trip(t, bytes_text(" Once upon a time,\n\nin 1834, there wasn't a \xf0\x9f\xa6\x8a."));
    uint32_t ids[IDS_MAX], start, end;
    assert_true(tokenizer_find_control(t, bytes_text("<|im_start|>"), &start));
    assert_true(tokenizer_find_control(t, bytes_text("<|im_end|>"), &end));
    assert_true(tokenizer_is_end(t, end));
    assert_int_equal(encode(t, bytes_text("<|im_start|><|im_end|>"), true, ids), 2);
    assert_true(encode(t, bytes_text("<|im_start|>"), false, ids) > 1);
    tokenizer_close(t);
    modelfile_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(byte_level_tokens_are_the_oracles),
        cmocka_unit_test(sentencepiece_tokens_are_the_oracles),
        cmocka_unit_test(every_byte_survives),
        cmocka_unit_test(users_cannot_write_control_tokens),
        cmocka_unit_test(segments_are_one_text),
        cmocka_unit_test(pieces_may_span_spaces),
        cmocka_unit_test(the_unknown_token_is_no_control_token),
        cmocka_unit_test(a_full_list_is_left_alone),
        cmocka_unit_test(ends_and_names_are_known),
        cmocka_unit_test(no_text_is_quadratic),
        cmocka_unit_test(nobody_chooses_collisions),
        cmocka_unit_test(too_much_text_is_refused),
        cmocka_unit_test(broken_tokenizers_are_refused),
        cmocka_unit_test(too_many_special_tokens_are_refused),
        cmocka_unit_test(streams_hold_back_incomplete_characters),
        cmocka_unit_test(the_demo_model_speaks_chatml),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
