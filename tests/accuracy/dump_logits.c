/* dump_logits.c - what does our engine say after every token of a text?
 *
 *   dump_logits MODEL TOKENS OUT [BACKEND]     logits of every position of one sequence, fp32 little-endian,
 *                                              (tokens, vocab); BACKEND as in kernels/backend.h, the best by default
 *   dump_logits --encode MODEL TEXT TOKENS     the tokens of a text, control tokens recognised
 *
 * A token file is a list of 32-bit little-endian numbers. Not a test: tests/accuracy/compare.py asks the questions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/backend.h"
#include "kernels/gguf.h"
#include "kernels/model.h"
#include "kernels/modelfile_posix.h"
#include "kernels/pool_posix.h"
#include "kernels/tokenizer.h"
#include "kernels/transformer.h"

enum { SLICE = 64, TOKENS_MAX = 1 << 20, THREADS = 2 };

static _Noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "dump_logits: %s: %s\n", what, why);
    exit(1);
}

/* A whole small file; the caller frees it. */
static uint8_t *read_file(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0)
        fail(path, "cannot be read");
    long end = ftell(f);
    rewind(f);
    if (end <= 0 || end > (long)TOKENS_MAX * 4)
        fail(path, "empty or too large");
    uint8_t *data = malloc((size_t)end);
    if (!data || fread(data, 1, (size_t)end, f) != (size_t)end)
        fail(path, "cannot be read");
    fclose(f);
    *bytes = (size_t)end;
    return data;
}

static void write_words(FILE *f, const void *words, size_t n)
{
    if (fwrite(words, 4, n, f) != n)
        fail("the output", "cannot be written");
}

static FILE *create(const char *path)
{
    FILE *f = fopen(path, "wb");
    if (!f)
        fail(path, "cannot be written");
    return f;
}

static void finish(FILE *f)
{
    if (fclose(f) != 0)
        fail("the output", "cannot be written");
}

static void encode(const struct gguf *g, const char *text_path, const char *out_path)
{
    struct fault why = { "" };
    struct tokenizer *t;
    size_t bytes;
    uint8_t *text = read_file(text_path, &bytes);
    struct token_list list = { .ids = malloc((size_t)TOKENS_MAX * sizeof(uint32_t)), .cap = TOKENS_MAX };
    struct text_segment segment = { .text = bytes_of(text, bytes), .is_template = true };
    if (!list.ids || tokenizer_open(g, &t, &why) != OK)
        fail("tokenizer", why.text);
    if (tokenizer_adds_bos(t) && tokenizer_bos(t, &list.ids[0]))
        list.count = 1;
    if (tokenizer_encode(t, &segment, 1, &list) != OK)
        fail(text_path, "too long");
    FILE *f = create(out_path);
    write_words(f, list.ids, list.count);
    finish(f);
    tokenizer_close(t);
    free(list.ids);
    free(text);
}

/* One slice of the sequence: rows [at, at + n) of the output. */
static void dump_slice(struct transformer *t, const uint32_t *tokens, uint32_t at, uint32_t n, float *logits, FILE *out)
{
    struct row rows[SLICE];
    for (uint32_t i = 0; i < n; i++)
        rows[i] = (struct row){ .slot = 0, .position = at + i, .token = tokens[at + i], .want = true };
    transformer_forward(t, rows, n);
    for (uint32_t i = 0; i < n; i++)
        if (transformer_row_failed(t, i))
            fail("forward pass", "a value is not finite");
    transformer_logits(t, 0, n, logits);
    write_words(out, logits, (size_t)n * t->model->config.vocab);
}

static void dump(const struct model *m, const struct ops *ops, const char *tokens_path, const char *out_path)
{
    struct fault why = { "" };
    struct pool *pool;
    struct transformer t;
    size_t bytes;
    uint32_t *tokens = (uint32_t *)(void *)read_file(tokens_path, &bytes);
    uint32_t n = (uint32_t)(bytes / 4), pages = n / CHUNK + 1;
    float *logits = malloc((size_t)SLICE * m->config.vocab * sizeof *logits);
    for (uint32_t i = 0; i < n; i++)
        if (tokens[i] >= m->config.vocab)
            fail(tokens_path, "a token outside the vocabulary");
    if (!logits || pool_open(THREADS, &pool) != OK)
        fail("starting", "not enough memory");
    if (transformer_init(&t, m, ops, pool, SLICE, 1, pages, pages, &why) != OK)
        fail("model", why.text);
    if (kvpages_reserve(&t.kv.pages, 0, n) != OK)
        fail("cache", "too small");
    FILE *f = create(out_path);
    for (uint32_t at = 0; at < n; at += SLICE)
        dump_slice(&t, tokens, at, n - at < SLICE ? n - at : SLICE, logits, f);
    finish(f);
    transformer_fini(&t);
    pool_close(pool);
    free(logits);
    free(tokens);
}

int main(int argc, char **argv)
{
    bool encoding = argc == 5 && strcmp(argv[1], "--encode") == 0;
    struct modelfile file;
    struct gguf g;
    struct model m;
    struct fault why = { "" };
    if (!encoding && (argc < 4 || argc > 5))
        fail("usage", "dump_logits MODEL TOKENS OUT [BACKEND] | dump_logits --encode MODEL TEXT TOKENS");
    const char *path = argv[encoding ? 2 : 1];
    if (modelfile_open(path, &file, &why) != OK || gguf_open(file.bytes, false, &g, &why) != OK)
        fail(path, why.text);
    if (encoding) {
        encode(&g, argv[3], argv[4]);
    } else {
        const struct ops *ops = backend_find(argc == 5 ? argv[4] : NULL);
        if (!ops)
            fail(argv[4], "no such backend here");
        if (model_open(&g, &m, &why) != OK)
            fail(path, why.text);
        dump(&m, ops, argv[2], argv[3]);
        model_close(&m);
    }
    gguf_close(&g);
    modelfile_close(&file);
    return 0;
}
