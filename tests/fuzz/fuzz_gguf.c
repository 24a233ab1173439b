/* fuzz_gguf.c - any bytes as a model file: whole and header only, then the model, tokenizer and chat template on top, and
 * a touch of what they point to, so that a view outside the file is seen by AddressSanitizer.
 */
#include "kernels/chat.h"
#include "kernels/model.h"
#include "kernels/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned touch(const struct gguf *g)
{
    unsigned sum = 0;
    for (size_t i = 0; i < g->n_tensors; i++) {
        const struct tensor *t = &g->tensors[i].tensor;
        if (t->data)
            sum += t->data[0] + t->data[t->bytes - 1];
    }
    for (size_t i = 0; i < g->n_entries; i++) {
        const struct gguf_entry *e = &g->entries[i];
        uint32_t u;
        float f;
        if (e->count) {
            sum += gguf_element_u32(e, e->count - 1, &u) == OK;
            sum += gguf_element_f32(e, e->count - 1, &f) == OK;
        }
        struct bytes s;
        size_t cursor = 0;
        while (e->type == GGUF_ARRAY && e->element == GGUF_STRING && gguf_next_string(e, &cursor, &s))
            sum += s.len ? s.data[s.len - 1] : 0;
    }
    return sum;
}

/* A tokenizer made of hostile tokens still gives every id inside its vocabulary. */
static unsigned speak(const struct gguf *g)
{
    struct tokenizer *t;
    struct chat c;
    struct fault why = { "" };
    uint32_t ids[256];
    uint8_t text[256];
    struct token_list list = { .ids = ids, .cap = ARRAY_COUNT(ids) };
    const struct chat_message talk[] = { { CHAT_SYSTEM, bytes_text("a b") }, { CHAT_USER, bytes_text("ab  <|x|>\xff 12") } };
    if (tokenizer_open(g, &t, &why) != OK) {
        ENSURE(why.text[0] != 0);
        return 0;
    }
    unsigned sum = tokenizer_vocab(t);
    if (chat_open(g, t, &c, &why) == OK && chat_encode(&c, t, talk, 2, true, &list) == OK) {
        for (size_t i = 0; i < list.count; i++)
            ENSURE(ids[i] < tokenizer_vocab(t));
        sum += (unsigned)tokenizer_decode(t, ids, list.count, text, sizeof text);
    }
    tokenizer_close(t);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned sink = 0;
    for (int header_only = 0; header_only < 2; header_only++) {
        struct gguf g;
        struct model m;
        struct model_config c;
        struct fault why = { "" };
        if (gguf_open(bytes_of(data, size), header_only, &g, &why) != OK) {
            ENSURE(why.text[0] != 0);
            continue;
        }
        sink += touch(&g);
        sink += speak(&g);
        if (model_open(&g, &m, &why) == OK) {
            sink += m.layers[m.config.layers - 1].ffn_down.data[0] + m.output.data[m.output.bytes - 1];
            model_close(&m);
        } else {
            ENSURE(why.text[0] != 0);
        }
        if (model_open_header(&g, &c, &why) == OK)
            sink += c.dim;
        gguf_close(&g);
    }
    /* Used, so that no compiler drops the reads. */
    return sink == UINT32_MAX ? -1 : 0;
}
