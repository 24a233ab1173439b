/* fuzz_tokenizer.c - any bytes as text: what is decoded is what was encoded, cut into segments at any place, and no
 * control token comes out of text that is not template. The vocabulary is that of a tiny model plus SentencePiece's.
 */
#include <stdlib.h>
#include <string.h>

#include "kernels/modelfile_posix.h"
#include "kernels/tokenizer.h"
#include "tests/gguf_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tokenizer *open_bytes(struct bytes file)
{
    struct gguf g;
    struct tokenizer *t = NULL;
    ENSURE(gguf_open(file, false, &g, NULL) == OK);
    ENSURE(tokenizer_open(&g, &t, NULL) == OK);
    gguf_close(&g);
    return t;
}

static struct tokenizer *open_tiny(void)
{
    struct tiny_llama spec = TINY_LLAMA_DEFAULT;
    struct bytes file = tiny_llama_write(&spec);
    struct tokenizer *t = open_bytes(file);
    gguf_writer_free(file);
    return t;
}

static struct tokenizer *open_spm(void)
{
    struct modelfile f;
    ENSURE(modelfile_open("tests/vectors/tokenizer/spm.gguf", &f, NULL) == OK);
    struct tokenizer *t = open_bytes(f.bytes);
    modelfile_close(&f);
    return t;
}

static void check(const struct tokenizer *t, struct bytes text, size_t cut)
{
    const struct text_segment parts[] = { { bytes_of(text.data, cut), false },
                                          { bytes_of(text.data + cut, text.len - cut), false } };
    const struct text_segment template = { text, true };
    struct token_list list = { .ids = malloc((text.len + 2) * sizeof(uint32_t)), .cap = text.len + 2 };
    uint8_t *back = malloc(text.len + 1);
    ENSURE(list.ids && back);
    ENSURE(tokenizer_encode(t, parts, 2, &list) == OK);   /* a byte is at most one token; SPM adds a space */
    for (size_t i = 0; i < list.count; i++)
        ENSURE(!tokenizer_is_control(t, list.ids[i]));
    ENSURE(tokenizer_decode(t, list.ids, list.count, back, text.len + 1) == text.len);
    ENSURE(text.len == 0 || memcmp(back, text.data, text.len) == 0);
    list.count = 0;
    (void)!tokenizer_encode(t, &template, 1, &list);
    free(back);
    free(list.ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tokenizer *bpe, *spm;
    if (!bpe) {
        bpe = open_tiny();
        spm = open_spm();
    }
    if (size == 0)
        return 0;
    size_t cut = data[0] % size;
    check(bpe, bytes_of(data + 1, size - 1), cut < size - 1 ? cut : 0);
    check(spm, bytes_of(data + 1, size - 1), cut < size - 1 ? cut : 0);
    return 0;
}
